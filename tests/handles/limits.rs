//! Many handles, and too little memory.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use mlua::{
    AnyUserData, Error, Function, Lua, OwnedAnyUserData, OwnedFunction, OwnedString, OwnedTable,
    OwnedThread, OwnedValue, RegistryKey, Result, Table, UserData, UserDataMethods, Value,
    Variadic,
};

use crate::kit::{bytes_in_use, root, Tally, Token};
use crate::scale::{scaled, tiny, Random};

// ---- a model

/// What refers to a value, and how many of these there are.
#[derive(Default)]
struct Model {
    handles: Vec<(OwnedValue, usize)>,
    keys: Vec<(RegistryKey, usize)>,
    references: HashMap<usize, usize>,
    made: usize,
}

/// A userdata that notes its end.
struct Numbered(usize, Rc<RefCell<Vec<bool>>>);

impl Numbered {
    fn number(&self) -> usize {
        self.0
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let was_there = std::mem::replace(&mut self.1.borrow_mut()[self.0], false);
        assert!(was_there, "dropped twice");
    }
}

impl UserData for Numbered {}

impl Model {
    fn refer(&mut self, number: usize) {
        *self.references.entry(number).or_default() += 1;
    }

    fn forget(&mut self, number: usize) {
        let references = self.references.get_mut(&number).unwrap();
        *references -= 1;
        if *references == 0 {
            self.references.remove(&number);
        }
    }

    fn make(&mut self, lua: &Lua, alive: &Rc<RefCell<Vec<bool>>>, kind: usize) -> Result<()> {
        let number = self.made;
        self.made += 1;
        alive.borrow_mut().push(true);
        let numbered = Numbered(number, alive.clone());
        let value: OwnedValue = match kind {
            0..=3 => {
                let table = lua.create_table()?;
                table.raw_set(1, number)?;
                table.raw_set(2, lua.create_userdata(numbered)?)?;
                table.into_owned().into()
            }
            4 | 5 => lua.create_userdata(numbered)?.into_owned().into(),
            _ => {
                let function = lua.create_function(move |_, ()| Ok(numbered.number()))?;
                match kind {
                    6 => function.into_owned().into(),
                    _ => lua.create_thread(function)?.into_owned().into(),
                }
            }
        };
        self.refer(number);
        self.handles.push((value, number));
        Ok(())
    }
}

fn number_of(value: &Value) -> usize {
    match value {
        Value::Table(table) => table.raw_get(1).unwrap(),
        Value::UserData(userdata) => userdata.borrow::<Numbered>().unwrap().0,
        Value::Function(function) => function.call(()).unwrap(),
        // A coroutine that has run has no more to say; so none is run here.
        Value::Thread(_) => usize::MAX,
        other => panic!("{other:?}"),
    }
}

#[test]
fn handles_keys_and_proxies_behave_like_counted_references() {
    let lua = Lua::new();
    let random = Random::seeded();
    let alive: Rc<RefCell<Vec<bool>>> = Rc::default();
    let mut model = Model::default();
    let most = scaled(200_000);
    let mut growing = true;
    for step in 0..most * 6 {
        if model.handles.len() >= most {
            growing = false;
        } else if model.handles.len() < most / 10 {
            growing = true;
        }
        let pick = random.below(20);
        if model.handles.is_empty() || pick < if growing { 8 } else { 2 } {
            model.make(&lua, &alive, random.below(8)).unwrap();
            continue;
        }
        let at = random.below(model.handles.len());
        let number = model.handles[at].1;
        match pick {
            0..=10 => {
                model.forget(number);
                drop(model.handles.swap_remove(at));
            }
            11 | 12 => {
                let clone = model.handles[at].0.clone();
                model.refer(number);
                model.handles.push((clone, number));
            }
            13 => {
                // The way through a proxy and its clone.
                let proxy = model.handles[at].0.upgrade_in(&lua).unwrap().clone();
                model.refer(number);
                model.handles.push((proxy.into_owned(), number));
            }
            14 | 15 => {
                let value = model.handles[at].0.upgrade();
                assert!([number, usize::MAX].contains(&number_of(&value)));
            }
            16 => {
                let key = lua.create_registry_value(&model.handles[at].0).unwrap();
                model.refer(number);
                model.keys.push((key, number));
            }
            17 if !model.keys.is_empty() => {
                let other = random.below(model.keys.len());
                lua.replace_registry_value(&model.keys[other].0, &model.handles[at].0)
                    .unwrap();
                model.forget(model.keys[other].1);
                model.refer(number);
                model.keys[other].1 = number;
            }
            18 if !model.keys.is_empty() => {
                let (key, number) = model.keys.swap_remove(random.below(model.keys.len()));
                let value: Value = lua.registry_value(&key).unwrap();
                assert!([number, usize::MAX].contains(&number_of(&value)));
                model.forget(number);
                match random.below(2) {
                    0 => drop(key),
                    _ => lua.remove_registry_value(key).unwrap(),
                }
            }
            _ => {
                let other = &model.handles[random.below(model.handles.len())];
                let same = match (&model.handles[at].0, &other.0) {
                    (OwnedValue::Table(a), OwnedValue::Table(b)) => a == b,
                    (OwnedValue::UserData(a), OwnedValue::UserData(b)) => a == b,
                    (OwnedValue::Function(a), OwnedValue::Function(b)) => a == b,
                    (OwnedValue::Thread(a), OwnedValue::Thread(b)) => a == b,
                    _ => false,
                };
                assert_eq!(same, number == other.1);
            }
        }
        if step % most == most / 2 {
            lua.gc_collect().unwrap();
            lua.gc_collect().unwrap();
            let alive = alive.borrow();
            assert!((0..model.made)
                .all(|number| alive[number] == model.references.contains_key(&number)));
        }
    }
    for (value, number) in &model.handles {
        assert!([*number, usize::MAX].contains(&number_of(&value.upgrade())));
    }
    random.shuffle(&mut model.handles);
    let kept = model.handles.split_off(model.handles.len() / 2);
    drop(model);
    for _ in 0..2 {
        lua.gc_collect().unwrap();
    }
    for (value, number) in &kept {
        assert!([*number, usize::MAX].contains(&number_of(&value.upgrade())));
    }
    drop(kept);
    for _ in 0..2 {
        lua.gc_collect().unwrap();
    }
    assert!(!alive.borrow().contains(&true));
}

// ---- ten million

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .map_or(0, |pages| pages.parse::<usize>().unwrap() * 4096)
}

fn live_handles(n: usize) {
    let lua = Lua::new();
    let random = Random::seeded();
    let start = Instant::now();
    let told = |what: &str| println!("{:6.2} s  {what}", start.elapsed().as_secs_f32());
    let (before, used) = (resident(), lua.used_memory());
    let mut handles: Vec<OwnedTable> = Vec::with_capacity(n);
    for i in 0..n {
        let table = lua.create_table().unwrap();
        // One in a hundred has a number in it.
        if i % 100 == 0 {
            table.raw_set(1, i).unwrap();
        }
        handles.push(table.into_owned());
    }
    told(&format!("{n} handles of as many tables"));
    println!(
        "per handle: {} bytes resident, {} of them Lua's, table included",
        resident().saturating_sub(before) / n,
        (lua.used_memory() - used) / n
    );
    lua.gc_collect().unwrap();
    told("collected");
    for (i, handle) in handles.iter().enumerate() {
        if i % 100 == 0 {
            assert_eq!(handle.upgrade().raw_get::<_, usize>(1).unwrap(), i);
        } else if i % 10 == 1 {
            assert_eq!(handle.upgrade_in(&lua).unwrap().raw_len(), 0);
        }
    }
    told("used");
    let mut pointers: Vec<_> = handles.iter().map(OwnedTable::to_pointer).collect();
    pointers.sort();
    pointers.dedup();
    assert_eq!(pointers.len(), n, "each handle has a value of its own");
    drop(pointers);
    let shared: Vec<OwnedTable> = (0..n).map(|_| handles[n / 2].clone()).collect();
    assert!(shared.iter().all(|handle| *handle == handles[n / 2]));
    drop(shared);
    told(&format!("{n} clones of one"));
    random.shuffle(&mut handles);
    let kept = handles.split_off(n - 1000.min(n / 2));
    drop(handles);
    told("dropped in random order");
    lua.gc_collect().unwrap();
    told("collected");
    for handle in &kept {
        let number: Option<usize> = handle.get(1).unwrap();
        assert!(number.is_none_or(|number| number % 100 == 0));
    }
    // They are used again.
    let used = lua.used_memory();
    let source = lua.create_table().unwrap();
    source.raw_set(1, &source).unwrap();
    let again: Vec<OwnedTable> = (0..n / 2).map(|_| source.raw_get(1).unwrap()).collect();
    assert!(lua.used_memory() < used + 4096);
    drop((again, source));
    drop(lua);
    told("closed");
    assert!(kept.iter().all(|handle| !handle.is_alive()));
}

#[test]
fn a_million_live_handles() {
    live_handles(scaled(1_000_000));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long in a debug build")]
fn ten_million_live_handles() {
    live_handles(scaled(10_000_000));
}

#[test]
fn slots_that_are_given_up_are_taken_again() {
    let lua = Lua::new();
    let source = lua.create_table().unwrap();
    source.raw_set(1, lua.create_table().unwrap()).unwrap();
    let n = scaled(300_000);
    let take = |n| {
        (0..n)
            .map(|_| source.raw_get::<_, OwnedTable>(1).unwrap())
            .collect::<Vec<_>>()
    };
    let mut handles = take(n);
    let used = lua.used_memory();
    let random = Random::seeded();
    for _ in 0..5 {
        random.shuffle(&mut handles);
        handles.truncate(n / 3);
        handles.extend(take(n - handles.len()));
        assert!(lua.used_memory() <= used);
    }
}

// ---- too little memory

/// Something to try with too little memory; what it makes, it drops.
/// Luau takes memory by the page: what is small may find room where a limit is reached.
const PAGED: bool = cfg!(feature = "luau");

type Operation = (&'static str, fn(&Lua, &Fixture) -> Result<()>);

/// What operations work on, made while there was memory.
struct Fixture {
    tally: Tally,
    table: OwnedTable,
    echo: OwnedFunction,
    rust_echo: OwnedFunction,
    fails: OwnedFunction,
    object: OwnedAnyUserData,
}

struct Object(#[allow(dead_code)] Token, i64);

impl UserData for Object {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, ()| Ok(this.1));
        methods.add_method_mut("set", |_, this, value: i64| {
            this.1 = value;
            Ok(())
        });
        methods.add_method("twin", |_, this, tally: Option<String>| Ok((this.1, tally)));
        methods.add_function("pack", |_, values: Variadic<Value>| {
            Ok(values.into_iter().collect::<Vec<_>>())
        });
    }
}

impl Fixture {
    fn new(lua: &Lua) -> Fixture {
        let tally = Tally::default();
        Fixture {
            table: lua
                .load("return { x = 1, inner = { y = 2 }, list = { 1, 2, 3 } }")
                .eval()
                .unwrap(),
            echo: lua
                .load("return function(...) return ... end")
                .eval()
                .unwrap(),
            rust_echo: lua
                .create_function(|_, values: Variadic<Value>| Ok(values))
                .unwrap()
                .into_owned(),
            fails: lua
                .load("return function() error({ 'an error' }) end")
                .eval()
                .unwrap(),
            object: lua
                .create_userdata(Object(tally.token(), 1))
                .unwrap()
                .into_owned(),
            tally,
        }
    }

    /// What the fixture itself holds.
    const OWN_TOKENS: usize = 1;

    fn assert_usable(&self, lua: &Lua) {
        assert_eq!(self.table.get::<_, i32>("x").unwrap(), 1);
        assert_eq!(
            self.echo.call::<_, (i32, String)>((1, "s")).unwrap(),
            (1, "s".to_string())
        );
        assert_eq!(
            self.rust_echo.call::<_, (i32, String)>((1, "s")).unwrap(),
            (1, "s".to_string())
        );
        assert_eq!(
            lua.load("local t = {} for i = 1, 9 do t[i] = i end return #t")
                .eval::<i32>()
                .unwrap(),
            9
        );
    }
}

const BIG: usize = 3000;

/// Operations that need memory of Lua's.
const OPERATIONS: &[Operation] = &[
    ("create_table", |lua, _| lua.create_table().map(drop)),
    ("create_table_with_capacity", |lua, _| {
        lua.create_table_with_capacity(50, 50).map(drop)
    }),
    ("create_table_from", |lua, _| {
        lua.create_table_from((0..50).map(|n| (n, "v"))).map(drop)
    }),
    ("create_sequence_from", |lua, _| {
        lua.create_sequence_from(0..50).map(drop)
    }),
    ("create_string", |lua, _| {
        lua.create_string("this text is in no other place")
            .map(drop)
    }),
    ("create_string, long", |lua, _| {
        lua.create_string(vec![b'x'; BIG]).map(drop)
    }),
    ("create_function", |lua, fixture| {
        let token = fixture.tally.token();
        lua.create_function(move |_, ()| Ok(std::mem::size_of_val(&token)))
            .map(drop)
    }),
    ("create_function_mut", |lua, fixture| {
        let token = fixture.tally.token();
        lua.create_function_mut(move |_, ()| Ok(std::mem::size_of_val(&token)))
            .map(drop)
    }),
    ("create_userdata", |lua, fixture| {
        lua.create_userdata(Object(fixture.tally.token(), 1))
            .map(drop)
    }),
    ("create_any_userdata", |lua, fixture| {
        lua.create_any_userdata((fixture.tally.token(), [0_u8; 400]))
            .map(drop)
    }),
    ("create_thread", |lua, fixture| {
        lua.create_thread(fixture.echo.upgrade_in(lua)?).map(drop)
    }),
    ("resume", |lua, fixture| {
        let thread = lua.create_thread(fixture.echo.upgrade_in(lua)?)?;
        thread
            .resume::<_, (Table, String)>((lua.create_table()?, "an argument of the coroutine"))
            .map(drop)
    }),
    ("create_registry_value", |lua, fixture| {
        let value = lua.create_userdata(Object(fixture.tally.token(), 1))?;
        lua.create_registry_value(value).map(drop)
    }),
    ("replace_registry_value", |lua, _| {
        let key = lua.create_registry_value("the first text of the key")?;
        lua.replace_registry_value(&key, "the second text of the key")?;
        assert_eq!(
            lua.registry_value::<String>(&key)?,
            "the second text of the key"
        );
        lua.remove_registry_value(key)
    }),
    ("set_named_registry_value", |lua, _| {
        lua.set_named_registry_value("some name in the registry", "the text of the name")?;
        lua.unset_named_registry_value("some name in the registry")
    }),
    ("set on a table", |lua, fixture| {
        let table = lua.create_table()?;
        for n in 0..40 {
            table.set(format!("a key with number {n}"), n)?;
        }
        fixture.table.set("of the fixture", &table)?;
        fixture.table.set("of the fixture", Value::Nil)
    }),
    ("push on a table", |lua, _| {
        let table = lua.create_table()?;
        (0..100).try_for_each(|n| table.push(n))
    }),
    ("get with a metatable", |lua, fixture| {
        let metatable = lua.create_table()?;
        metatable.set("__index", fixture.echo.upgrade_in(lua)?)?;
        let table = lua.create_table()?;
        table.set_metatable(Some(metatable));
        assert_eq!(table.get::<_, Table>("an absent key")?, table);
        Ok(())
    }),
    ("pairs", |lua, _| {
        let table = lua.create_table_from((0..20).map(|n| (format!("name {n}"), n)))?;
        table
            .pairs::<String, i32>()
            .try_for_each(|pair| pair.map(drop))
    }),
    ("a call of Lua", |lua, fixture| {
        fixture
            .echo
            .call::<_, (Table, String)>((lua.create_table()?, "some argument, not short".repeat(5)))
            .map(drop)
    }),
    (
        "a call of Rust, with arguments in need of slots",
        |lua, fixture| {
            let table = fixture.table.upgrade_in(lua)?;
            let mut arguments = Variadic::from_iter((0..100).map(|_| table.clone()));
            arguments.push(lua.create_table()?);
            fixture
                .rust_echo
                .call::<_, Variadic<Table>>(arguments)
                .map(drop)
        },
    ),
    ("Lua that calls Rust that makes things", |lua, fixture| {
        let tally = fixture.tally.clone();
        let make =
            lua.create_function(move |lua, ()| lua.create_userdata(Object(tally.token(), 5)))?;
        lua.load(
            "local make = ... ; local o = make(); o:set(o:get() + 1); return o:pack(o, o:get())",
        )
        .call::<_, Table>(make)
        .map(drop)
    }),
    ("an error with a traceback", |lua, fixture| {
        let rust =
            lua.create_function(|_, ()| Err::<(), _>(Error::RuntimeError("of Rust".into())))?;
        let error = lua
            .load("local f = ... ; f()")
            .call::<_, ()>(rust)
            .unwrap_err();
        match root(&error) {
            Error::RuntimeError(message) if message == "of Rust" => Ok(()),
            _ => Err(error),
        }?;
        // The error object is a table, so all that is left of it is that it was an error.
        match fixture.fails.call::<_, ()>(()).unwrap_err() {
            error if is_memory(&error) => Err(error),
            Error::RuntimeError(_) => Ok(()),
            error => Err(error),
        }
    }),
    ("load", |lua, _| {
        assert_eq!(
            lua.load("local a, b = 'some', 'text' return (function() return a .. b end)()")
                .eval::<String>()?,
            "sometext"
        );
        Ok(())
    }),
    ("load with a name and an environment", |lua, _| {
        let environment = lua.create_table()?;
        lua.load("answer = 42")
            .set_name("the name of this chunk")
            .set_environment(environment.clone())
            .exec()?;
        assert_eq!(environment.get::<_, i32>("answer")?, 42);
        Ok(())
    }),
    #[cfg(not(feature = "luau"))]
    ("dump and load a binary chunk", |lua, _| {
        let bytes = lua
            .load("local t = {} return function(x) t[1] = x return t end")
            .into_function()?
            .dump(false);
        match bytes.is_empty() {
            true => Err(Error::MemoryError("dump has no other way to say it".into())),
            false => Ok(()),
        }
    }),
    ("bind", |lua, fixture| {
        let bound = fixture.echo.upgrade_in(lua)?.bind(("first", "second"))?;
        assert_eq!(bound.call::<_, (String, String, i32)>(3)?.2, 3);
        Ok(())
    }),
    ("scope", |lua, fixture| {
        let count = Cell::new(0);
        lua.scope(|scope| {
            let function = scope.create_function(|_, n: i32| {
                count.set(n);
                Ok(())
            })?;
            let userdata = scope.create_userdata(Object(fixture.tally.token(), 9))?;
            let borrowed = scope.create_any_userdata_ref(&count)?;
            function.call::<_, ()>(4)?;
            fixture
                .echo
                .call::<_, (AnyUserData, AnyUserData)>((userdata, borrowed))
                .map(drop)
        })?;
        assert_eq!(count.get(), 4);
        Ok(())
    }),
    ("userdata with user values", |lua, fixture| {
        let object = lua.create_userdata(Object(fixture.tally.token(), 1))?;
        object.set_user_value(lua.create_table()?)?;
        object.set_named_user_value("name", "value")?;
        object.user_value::<Table>().map(drop)
    }),
    ("a method of a userdata", |lua, fixture| {
        let object = fixture.object.upgrade_in(lua)?;
        lua.load("local o = ... ; return o:pack(o:get(), o:twin('some text'), {}, {})")
            .call::<_, Table>(object)
            .map(drop)
    }),
    ("conversions", |lua, fixture| {
        let values: (Vec<String>, HashMap<String, Vec<i32>>, Option<OwnedTable>) =
            fixture.echo.upgrade_in(lua)?.call((
                vec!["some text", "some more"],
                HashMap::from([("list of numbers", vec![1, 2, 3])]),
                &fixture.table,
            ))?;
        assert_eq!((values.0.len(), values.1["list of numbers"].len()), (2, 3));
        Ok(())
    }),
    ("an error as a value", |lua, fixture| {
        let error = Error::RuntimeError("as a value".into());
        fixture
            .echo
            .upgrade_in(lua)?
            .call::<_, Error>(Value::Error(error))
            .map(drop)
    }),
    ("globals", |lua, _| {
        lua.globals()
            .set("a_new_global_variable", lua.create_table()?)?;
        lua.globals().set("a_new_global_variable", Value::Nil)
    }),
    ("handles of all kinds", |lua, fixture| {
        let token = fixture.tally.token();
        let table: OwnedTable = lua.create_table()?.into_owned();
        let string: OwnedString = lua.create_string("a string in a handle")?.into_owned();
        let function: OwnedFunction = lua
            .create_function(move |_, ()| Ok(std::mem::size_of_val(&token)))?
            .into_owned();
        let thread: OwnedThread = lua.create_thread(function.upgrade_in(lua)?)?.into_owned();
        table.set(&string, &thread)?;
        assert_eq!(table.get::<_, OwnedThread>(string.clone())?, thread);
        thread.resume::<_, ()>(())
    }),
    ("pcall in Lua catches it", |lua, _| {
        let caught = lua
            .load("local ok, e = pcall(function() return { string.rep('x', 5000) } end) return ok, tostring(e)")
            .eval::<(bool, String)>()?;
        match caught {
            (true, _) => Ok(()),
            (false, message) => Err(Error::MemoryError(message)),
        }
    }),
];

fn is_memory(error: &Error) -> bool {
    match root(error) {
        // The Lua stack could not grow.
        Error::MemoryError(_) | Error::StackError => true,
        other => other.to_string().contains("not enough memory"),
    }
}

/// What is in use after collecting all that can be.
fn settled(lua: &Lua) -> usize {
    for _ in 0..3 {
        lua.gc_collect().unwrap();
    }
    lua.used_memory()
}

/// Bytes that are in use outside of Lua.
fn outside(lua: &Lua) -> isize {
    bytes_in_use() - lua.used_memory() as isize
}

/// Tracebacks remember the names of a bounded number of functions. This many fill that memory.
fn remember_many_functions(lua: &Lua) {
    let functions: Vec<Function> = (0..1500)
        .map(|_| lua.load("error('')").into_function().unwrap())
        .collect();
    assert!(functions
        .iter()
        .all(|function| function.call::<_, ()>(()).is_err()));
}

/// Runs `operation` with `room` bytes more than are in use; returns whether it went through.
#[track_caller]
fn try_with(lua: &Lua, fixture: &Fixture, (name, operation): &Operation, room: usize) -> bool {
    lua.set_memory_limit(lua.used_memory() + room).unwrap();
    let outcome = operation(lua, fixture);
    lua.set_memory_limit(0).unwrap();
    if let Err(error) = &outcome {
        assert!(is_memory(error), "{name} with {room} bytes: {error:?}");
    }
    outcome.is_ok()
}

#[test]
fn each_operation_fails_cleanly_at_each_of_its_allocations() {
    let step = if cfg!(debug_assertions) { 24 } else { 8 };
    for operation in OPERATIONS {
        let name = operation.0;
        let lua = Lua::new();
        let fixture = Fixture::new(&lua);
        // Once with enough, so that what is made once (the metatable of a type, …) is there.
        fixture.assert_usable(&lua);
        operation.1(&lua, &fixture).unwrap();
        remember_many_functions(&lua);
        let base = settled(&lua);
        let base_outside = outside(&lua);
        let (mut room, mut failed, mut passed) = (0, 0, 0);
        while passed < 3 {
            match try_with(&lua, &fixture, operation, room) {
                true => passed += 1,
                false => {
                    failed += 1;
                    passed = 0;
                }
            }
            fixture.assert_usable(&lua);
            let used = settled(&lua);
            // The stacks of Lua 5.1 and LuaJIT stay as large as they once were until less than a quarter is in use.
            let slack = match cfg!(any(feature = "lua51", feature = "luajit")) {
                true => 8192,
                false => 1024,
            };
            assert!(
                used <= base + slack,
                "{name} with {room} bytes leaves {} bytes more",
                used - base
            );
            let more = outside(&lua) - base_outside;
            assert!(
                more <= 0,
                "{name} with {room} bytes leaves {more} bytes more outside of Lua"
            );
            assert_eq!(
                fixture.tally.dropped() + Fixture::OWN_TOKENS,
                fixture.tally.made(),
                "{name} with {room} bytes"
            );
            room += step;
            assert!(room < 1 << 20, "{name} never succeeds");
        }
        println!("{name}: failed {failed} times, enough are {room} bytes");
        assert!(failed > 0 || PAGED, "{name} needs no memory");
        drop(lua);
        fixture.tally.assert_all_dropped();
    }
}

#[test]
fn each_operation_fails_cleanly_on_an_instance_that_never_did_it_before() {
    let step = if cfg!(debug_assertions) { 160 } else { 48 };
    for operation in OPERATIONS {
        let mut room = 0;
        loop {
            let lua = Lua::new();
            let fixture = Fixture::new(&lua);
            settled(&lua);
            let passed = try_with(&lua, &fixture, operation, room);
            fixture.assert_usable(&lua);
            operation.1(&lua, &fixture).unwrap();
            settled(&lua);
            assert_eq!(
                fixture.tally.dropped() + Fixture::OWN_TOKENS,
                fixture.tally.made(),
                "{} with {room} bytes",
                operation.0
            );
            drop(lua);
            fixture.tally.assert_all_dropped();
            if passed {
                break;
            }
            room += step;
        }
    }
}

#[test]
fn a_session_of_all_operations_under_a_limit_that_rises_step_by_step() {
    let lua = Lua::new();
    let fixture = Fixture::new(&lua);
    let session = |lua: &Lua| {
        OPERATIONS
            .iter()
            .map(|operation| (operation.1)(lua, &fixture))
            .collect::<Vec<_>>()
    };
    session(&lua)
        .into_iter()
        .for_each(|outcome| outcome.unwrap());
    let base = settled(&lua);
    let mut failed = vec![0; OPERATIONS.len()];
    // Begins below what is in use: a failing allocation first collects, and the least that is in use is less than `base`.
    let mut limit = base / 2;
    loop {
        // One limit for the whole session: what one leaves behind as garbage, the next has to do without.
        lua.set_memory_limit(limit).unwrap();
        let outcomes = session(&lua);
        lua.set_memory_limit(0).unwrap();
        let mut all = true;
        for (at, outcome) in outcomes.into_iter().enumerate() {
            if let Err(error) = outcome {
                assert!(is_memory(&error), "{}: {error:?}", OPERATIONS[at].0);
                failed[at] += 1;
                all = false;
            }
        }
        fixture.assert_usable(&lua);
        let more = settled(&lua).saturating_sub(base);
        // The table of strings has one of two sizes.
        assert!(more <= 2048, "under {limit} bytes: {more} bytes more");
        assert_eq!(
            fixture.tally.dropped() + Fixture::OWN_TOKENS,
            fixture.tally.made()
        );
        if all {
            break;
        }
        limit += if limit < base {
            base / 16
        } else if cfg!(debug_assertions) {
            96
        } else {
            32
        };
    }
    for (operation, failed) in OPERATIONS.iter().zip(failed) {
        assert!(failed > 0 || PAGED, "{} has not failed", operation.0);
    }
    drop(lua);
    fixture.tally.assert_all_dropped();
}

#[cfg(not(feature = "luau"))]
#[test]
fn what_needs_no_memory_works_without_any() {
    let lua = Lua::new();
    let fixture = Fixture::new(&lua);
    let key = lua.create_registry_value(&fixture.table).unwrap();
    fixture.assert_usable(&lua);
    lua.set_memory_limit(1).unwrap();
    let proxy = fixture.table.upgrade();
    let clones: Vec<Table> = (0..1000).map(|_| proxy.clone()).collect();
    let handles: Vec<OwnedTable> = clones.into_iter().map(Table::into_owned).collect();
    assert!(handles.iter().all(|handle| handle.upgrade() == proxy));
    assert_eq!(
        fixture
            .echo
            .call::<_, (Table, i32, bool)>((&proxy, 1, true))
            .unwrap()
            .0,
        proxy
    );
    assert_eq!(proxy.get::<_, i32>("x").unwrap(), 1);
    assert_eq!(
        proxy
            .get::<_, Table>("inner")
            .unwrap()
            .get::<_, i32>("y")
            .unwrap(),
        2
    );
    assert_eq!(lua.registry_value::<Table>(&key).unwrap(), proxy);
    assert_eq!(lua.globals().len().unwrap(), 0);
    drop((handles, key));
    lua.gc_collect().unwrap();
    assert!(matches!(
        root(&lua.create_table().unwrap_err()),
        Error::MemoryError(_)
    ));
    lua.set_memory_limit(0).unwrap();
    drop(proxy);
    fixture.assert_usable(&lua);
}

/// A slot is taken when there is no room for one: at each of the places where the slots grow.
#[test]
fn taking_a_slot_without_memory_is_an_error_and_nothing_else() {
    let lua = Lua::new();
    let source = lua.create_table().unwrap();
    source.raw_set(1, lua.create_table().unwrap()).unwrap();
    let expected: Table = source.raw_get(1).unwrap();
    let returns_it: Function = lua
        .load("local t = ... ; return function() return t end")
        .call(&expected)
        .unwrap();
    let mut taken: Vec<Table> = Vec::new();
    let mut failures = 0;
    let most = if tiny() { 3_000 } else { 3 * 65_536 + 1000 };
    while taken.len() < most {
        lua.set_memory_limit(1).unwrap();
        match source.raw_get::<_, Table>(1) {
            Ok(table) => taken.push(table),
            Err(error) => {
                assert!(matches!(error, Error::MemoryError(_)), "{error:?}");
                failures += 1;
                // The same by other ways, then a little memory, more and more, until it is enough.
                assert!(returns_it.call::<_, Table>(()).is_err());
                assert!(returns_it.call::<_, (i32, Table)>(()).is_err());
                assert!(source
                    .clone()
                    .pairs::<i32, Table>()
                    .any(|pair| pair.is_err()));
                assert!(lua.create_registry_value(&expected).is_err());
                let (mut room, mut clones) = (0, Vec::new());
                loop {
                    lua.set_memory_limit(lua.used_memory() + room).unwrap();
                    clones.push((
                        taken.last().unwrap_or(&expected).clone(),
                        expected.clone().into_owned(),
                    ));
                    if let Ok(table) = source.raw_get::<_, Table>(1) {
                        taken.push(table);
                        break;
                    }
                    room = room * 2 + 64;
                }
            }
        }
    }
    println!("the slots grew {failures} times");
    assert!(failures >= 4);
    lua.set_memory_limit(0).unwrap();
    assert!(taken.iter().all(|table| *table == expected));
    Random::seeded().shuffle(&mut taken);
    taken.truncate(10);
    lua.gc_collect().unwrap();
    assert!(taken.iter().all(|table| *table == expected));
}

#[cfg(not(feature = "luau"))]
#[test]
fn values_that_lua_cannot_take_are_dropped() {
    let lua = Lua::new();
    let tally = Tally::default();
    lua.create_any_userdata(tally.token()).unwrap();
    lua.set_memory_limit(1).unwrap();
    for _ in 0..100 {
        let token = tally.token();
        assert!(lua
            .create_function(move |_, ()| Ok(std::mem::size_of_val(&token)))
            .is_err());
        assert!(lua.create_any_userdata(tally.token()).is_err());
        assert!(lua.create_userdata(Object(tally.token(), 1)).is_err());
    }
    // All but the first, which is garbage.
    assert_eq!(tally.dropped() + 1, tally.made());
    lua.set_memory_limit(0).unwrap();
    drop(lua);
    tally.assert_all_dropped();
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_panic_and_an_error_without_memory_to_carry_them() {
    use std::panic::{catch_unwind, panic_any, AssertUnwindSafe};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    let lua = Lua::new();
    /// What a destructor does when it can do no worse.
    struct PanicsOnDrop(Arc<AtomicUsize>);
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            panic!("in a destructor");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let error = lua
        .create_function(|lua, ()| {
            lua.set_memory_limit(1)?;
            Err::<(), _>(Error::RuntimeError("an error".into()))
        })
        .unwrap();
    let panic = {
        let drops = drops.clone();
        lua.create_function(move |lua, ()| -> Result<()> {
            lua.set_memory_limit(1)?;
            panic_any(PanicsOnDrop(drops.clone()))
        })
        .unwrap()
    };
    for n in 1..=10 {
        let outcome = error.call::<_, ()>(());
        lua.set_memory_limit(0).unwrap();
        assert!(is_memory(&outcome.unwrap_err()));
        let outcome = catch_unwind(AssertUnwindSafe(|| panic.call::<_, ()>(())));
        lua.set_memory_limit(0).unwrap();
        assert!(is_memory(&outcome.unwrap().unwrap_err()));
        assert_eq!(drops.load(Ordering::Relaxed), n);
        assert_eq!(lua.load("return 1").eval::<i32>().unwrap(), 1);
    }
}
