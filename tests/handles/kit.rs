//! What the tests have in common.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::{Mutex, Once};

#[cfg(feature = "weak-owned")]
use mlua::OwnedTable;
use mlua::{Error, FromLua, Lua, Result, UserData, Value};

/// The system's allocator, which counts for each thread what it has in use. Lua allocates through it, too.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // While a thread ends there is nothing left to count in.
    let _ = IN_USE.try_with(|in_use| in_use.set(in_use.get() + bytes));
}

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// Bytes that this thread has allocated and not freed, Lua's included.
pub fn bytes_in_use() -> isize {
    // What is made once for the process, by whichever thread is first, is not for one test to count.
    static FIRST: Once = Once::new();
    FIRST.call_once(|| drop(Lua::new()));
    IN_USE.get()
}

/// Counts the tokens it has made, and those that are dropped.
#[derive(Clone, Default)]
pub struct Tally(Rc<(Cell<usize>, Cell<usize>)>);

impl Tally {
    pub fn token(&self) -> Token {
        self.0 .0.set(self.made() + 1);
        Token(self.clone())
    }

    pub fn made(&self) -> usize {
        self.0 .0.get()
    }

    pub fn dropped(&self) -> usize {
        self.0 .1.get()
    }

    /// Tokens were made, and each is dropped.
    #[track_caller]
    pub fn assert_all_dropped(&self) {
        assert_ne!(self.made(), 0);
        assert_eq!(self.dropped(), self.made());
    }
}

/// Something to be dropped exactly once; can be a userdata.
pub struct Token(Tally);

impl UserData for Token {}

impl Drop for Token {
    fn drop(&mut self) {
        self.0 .0 .1.set(self.0.dropped() + 1);
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub fn note(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }

    pub fn events(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// Runs its closure when it is dropped; as a userdata it stands for a finalizer.
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub fn new(run: F) -> Self {
        OnDrop(Some(run))
    }
}

impl<F: FnOnce()> UserData for OnDrop<F> {}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0.take().unwrap()();
    }
}

/// The owner of an instance, in a place from where anybody can drop it.
#[derive(Clone, Default)]
pub struct Owner(Rc<RefCell<Option<Lua>>>);

impl Owner {
    pub fn new(lua: Lua) -> Owner {
        Owner(Rc::new(RefCell::new(Some(lua))))
    }

    pub fn has_lua(&self) -> bool {
        self.0.borrow().is_some()
    }

    #[cfg(feature = "weak-owned")]
    /// A reference to the instance that does not stand in the way of dropping it.
    pub fn view(&self) -> &'static Lua {
        stored_view(self.0.borrow().as_ref().expect("there is an instance"))
    }

    pub fn drop_lua(&self) {
        let lua = self.0.borrow_mut().take();
        drop(lua.expect("there is an instance"));
    }
}

/// Keeps `value` until the program ends, where a leak detector finds it.
pub fn keep_forever<T>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    let value = Box::leak(Box::new(value));
    KEPT.lock().unwrap().push(value as *const T as usize);
    value
}

/// A `&Lua` that was handed to a conversion.
pub struct Handed<'lua>(pub &'lua Lua);

impl<'lua> FromLua<'lua> for Handed<'lua> {
    fn from_lua(_: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        Ok(Handed(lua))
    }
}

#[cfg(feature = "weak-owned")]
/// A reference to the instance that outlives it. Only safe code: a leaked handle lends its view for `'static`.
pub fn stored_view(lua: &Lua) -> &'static Lua {
    let handle: &'static OwnedTable = keep_forever(lua.globals().into_owned());
    handle
        .upgrade()
        .get::<_, Handed<'static>>("nothing")
        .unwrap()
        .0
}

#[cfg(feature = "weak-owned")]
/// A reference to an instance that is gone.
pub fn dead_view() -> &'static Lua {
    let lua = Lua::new();
    stored_view(&lua)
}

/// The message of the panic that `f` ends with.
#[track_caller]
pub fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    let payload = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("no panic"),
        Err(payload) => payload,
    };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

pub const DESTROYED: &str = "Lua instance is destroyed";

/// The error at the bottom of `error`.
pub fn root(error: &Error) -> &Error {
    match error {
        Error::CallbackError { cause, .. }
        | Error::BadArgument { cause, .. }
        | Error::WithContext { cause, .. } => root(cause),
        other => other,
    }
}

#[cfg(feature = "weak-owned")]
#[track_caller]
pub fn assert_mismatched<R>(what: &str, result: Result<R>) {
    match result.as_ref().map_err(root) {
        Err(Error::MismatchedLua) => {}
        Err(error) => panic!("{what}: {error:?}"),
        Ok(_) => panic!("{what}: no error"),
    }
}

#[cfg(feature = "weak-owned")]
#[track_caller]
pub fn assert_destroyed<R>(what: &str, result: Result<R>) {
    match result.as_ref().map_err(root) {
        Err(Error::LuaDestroyed) => {}
        Err(error) => panic!("{what}: {error:?}"),
        Ok(_) => panic!("{what}: no error"),
    }
}
