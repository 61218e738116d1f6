//! The event bus: a Rust struct that holds Lua functions and is itself a value of that Lua.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mlua::{Error, Function, IntoLua, Lua, Result, UserData, UserDataMethods};

use crate::callback::Callback;

/// Delivers events to the callbacks that plugins subscribed.
pub struct Bus<C: Callback> {
    instance: C::Instance,
    subscribers: RefCell<BTreeMap<String, Subscribers<C>>>,
    _token: Rc<()>,
}

/// The subscribers of one event. Whoever calls them holds the list, and not a borrow of the bus.
type Subscribers<C> = Rc<Vec<Rc<Subscriber<C>>>>;

struct Subscriber<C> {
    callback: C,
    tally: RefCell<Tally>,
}

/// What became of one callback's events.
#[derive(Clone, Default)]
pub struct Tally {
    pub event: String,
    /// File and line of the callback.
    pub place: String,
    pub calls: u64,
    pub answers: u64,
    pub errors: u64,
    pub last_answer: Option<String>,
    pub last_error: Option<String>,
}

impl<C: Callback> Bus<C> {
    /// Makes a bus for the plugins of `lua`; who holds another clone of `token` can count the buses.
    pub fn new(lua: &Rc<Lua>, token: Rc<()>) -> Self {
        Bus {
            instance: C::instance(lua),
            subscribers: RefCell::default(),
            _token: token,
        }
    }

    fn subscribe(&self, event: String, function: Function) -> Result<()> {
        let tally = Tally {
            event: event.clone(),
            place: place_of(&function),
            ..Tally::default()
        };
        let subscriber = Subscriber {
            callback: C::keep(&self.instance, function)?,
            tally: RefCell::new(tally),
        };
        let mut subscribers = self.subscribers.borrow_mut();
        Rc::make_mut(subscribers.entry(event).or_default()).push(Rc::new(subscriber));
        Ok(())
    }

    /// Calls every subscriber of `event` and returns how many there are.
    ///
    /// Callbacks may fire events and subscribe to them: those who join now hear the next event.
    pub fn fire<P>(&self, event: &str, payload: P) -> usize
    where
        P: Copy + for<'lua> IntoLua<'lua>,
    {
        let Some(subscribers) = self.subscribers.borrow().get(event).cloned() else {
            return 0;
        };
        for subscriber in subscribers.iter() {
            let answer = subscriber.callback.answer(payload);
            subscriber.tally.borrow_mut().count(answer);
        }
        subscribers.len()
    }

    /// A tally of each callback, ordered by event.
    pub fn tallies(&self) -> Vec<Tally> {
        let subscribers = self.subscribers.borrow();
        let all = subscribers.values().flat_map(|of_event| of_event.iter());
        all.map(|one| one.tally.borrow().clone()).collect()
    }
}

impl<C: Callback> UserData for Bus<C> {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("subscribe", |_, bus, (event, function)| {
            bus.subscribe(event, function)
        });
        methods.add_method("fire", |_, bus, (event, payload): (String, String)| {
            Ok(bus.fire(&event, payload.as_str()))
        });
    }
}

impl Tally {
    fn count(&mut self, answer: Result<Option<String>>) {
        self.calls += 1;
        match answer {
            Ok(None) => {}
            Ok(answer) => {
                self.answers += 1;
                self.last_answer = answer;
            }
            Err(error) => {
                self.errors += 1;
                self.last_error = Some(brief(&error));
            }
        }
    }
}

/// An error without its traceback.
pub fn brief(error: &Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

fn place_of(function: &Function) -> String {
    let info = function.info();
    let file = info.short_src.unwrap_or_default();
    match info.line_defined {
        Some(line) => format!("{file}:{line}"),
        None => file,
    }
}
