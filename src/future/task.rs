//! Async functions: how their futures are polled, and where they wait.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::raw::{c_int, c_void};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::Poll;

use super::pending_mark;
use crate::call::callback::{enter, upvalue};
#[cfg(waits_in_lua)]
use crate::call::lua_side::{waiting_mark, LuaSide};
use crate::call::{cell, new_closure};
use crate::engine;
use crate::error::{Error, Result};
#[cfg(not(lua_ge_53))]
use crate::handle::slots::Slot;
#[cfg(not(yields_hide))]
use crate::stack::ensure;
use crate::state::LuaInner;
use crate::value::{FromLuaMulti, IntoLuaMulti};
use crate::Lua;

/// What the body of a C function returns in place of a number of results, if its future waits: see [`leave`].
const SUSPEND: c_int = -1;

/// The C function of an async function.
///
/// # Safety
///
/// Called by Lua, as a closure made for an `F`.
pub(super) unsafe extern "C-unwind" fn call<'lua, F, A, FR, R>(
    state: *mut engine::lua_State,
) -> c_int
where
    F: Fn(&'lua Lua, A) -> FR,
    A: FromLuaMulti<'lua>,
    FR: Future<Output = Result<R>> + 'lua,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: entered by Lua; the closure, and with it the cell, is on the stack as the running function.
    unsafe {
        let (inner, func) = upvalue::<F>(state);
        let outcome = enter(inner, state, |lua, nargs| {
            let _inside = lua.inner().futures.enter();
            let args = A::from_stack_args(nargs, 1, None, lua)?;
            start(lua, (*func)(lua, args), NoSelf)
        });
        leave(state, outcome)
    }
}

/// The end of a C function whose body has come from [`start`]: returns, or yields until it is resumed.
///
/// # Safety
///
/// The last act of a C function that has nothing left to drop. `outcome` comes from [`enter`].
#[inline(always)]
pub(crate) unsafe fn leave(state: *mut engine::lua_State, outcome: c_int) -> c_int {
    if outcome != SUSPEND {
        return outcome;
    }
    // SAFETY: `lua_yieldk` does not return; it raises an error where it cannot yield.
    #[cfg(not(waits_in_lua))]
    unsafe {
        engine::lua_pushlightuserdata(state, pending_mark());
        engine::lua_yieldk(state, 1, 0, Some(resumed))
    }
    // SAFETY: the cell, if there is one, is all there is on the stack. The mark takes no memory: it was pushed before.
    #[cfg(waits_in_lua)]
    unsafe {
        engine::lua_pushlightuserdata(state, waiting_mark());
        engine::lua_insert(state, 1);
        engine::lua_gettop(state)
    }
}

/// What the Lua function around an async one calls to yield.
#[cfg(waits_in_lua)]
pub(crate) unsafe extern "C-unwind" fn yield_pending(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua, with the mark.
    unsafe { engine::lua_yield(state, 1) }
}

/// What a coroutine yields while its future is pending.
#[cfg(waits_in_lua)]
pub(crate) fn pending() -> *mut std::os::raw::c_void {
    pending_mark()
}

/// Pushes the function of Lua's for the C function `function`, which ends with [`leave`].
///
/// # Safety
///
/// As [`new_closure`].
pub(crate) unsafe fn new_function<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    function: engine::lua_CFunction,
    value: T,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        new_closure(inner, state, function, value)?;
        #[cfg(waits_in_lua)]
        LuaSide::wait(inner, state)?;
    }
    Ok(())
}

/// What a future borrows its `self` with, if it is that of a method.
pub(crate) trait Guard {
    /// Whether that is the userdata at index 1.
    const IS_BORROW: bool;
}

/// The guard of a future that is not that of a method.
pub(crate) struct NoSelf;

impl Guard for NoSelf {
    const IS_BORROW: bool = false;
}

/// Polls the future of an async function for the first time. Leaves its results on the stack and returns how many, or
/// [`SUSPEND`].
///
/// # Safety
///
/// The whole result goes to [`leave`]. What `future` borrows is kept by `guard`.
#[inline]
pub(crate) unsafe fn start<'lua, FR, R, G>(lua: &'lua Lua, future: FR, guard: G) -> Result<c_int>
where
    FR: Future<Output = Result<R>>,
    R: IntoLuaMulti<'lua>,
    G: Guard,
{
    let mut task = Box::pin(Task {
        future,
        _guard: guard,
        _marker: PhantomData,
    });
    // SAFETY: passed on.
    unsafe {
        match task.as_mut().advance(lua)? {
            Poll::Ready(nresults) => Ok(nresults),
            Poll::Pending => park(lua, task, G::IS_BORROW),
        }
    }
}

/// The future of one call.
//
// The future is dropped before the guard of what it borrows: A3.
struct Task<'lua, FR, R, G> {
    future: FR,
    _guard: G,
    _marker: PhantomData<fn(&'lua Lua) -> R>,
}

/// A [`Task`] of any type.
trait Advance<'lua> {
    /// Polls the future. If it is ready, pushes its results onto the running state and returns how many.
    ///
    /// # Safety
    ///
    /// Inside of a C function of the instance.
    unsafe fn advance(self: Pin<&mut Self>, lua: &'lua Lua) -> Result<Poll<c_int>>;
}

impl<'lua, FR, R, G> Advance<'lua> for Task<'lua, FR, R, G>
where
    FR: Future<Output = Result<R>>,
    R: IntoLuaMulti<'lua>,
{
    #[inline]
    unsafe fn advance(self: Pin<&mut Self>, lua: &'lua Lua) -> Result<Poll<c_int>> {
        // SAFETY: the future is not moved out of the pinned task.
        let future = unsafe { self.map_unchecked_mut(|task| &mut task.future) };
        match lua.inner().futures.with_context(|cx| future.poll(cx)) {
            // SAFETY: a C function has room for one value.
            Poll::Ready(results) => unsafe { results?.push_into_stack_multi(lua) }.map(Poll::Ready),
            Poll::Pending => Ok(Poll::Pending),
        }
    }
}

type AnyTask = Pin<Box<dyn Advance<'static>>>;

/// A task that waits.
struct Waiting {
    task: ManuallyDrop<AnyTask>,
    /// Dropped after the task, which borrows from it.
    #[cfg(not(lua_ge_53))]
    _kept: Option<Kept>,
    #[cfg(feature = "send")]
    home: std::thread::ThreadId,
}

impl Waiting {
    fn new(task: AnyTask, #[cfg(not(lua_ge_53))] kept: Option<Kept>) -> Waiting {
        Waiting {
            task: ManuallyDrop::new(task),
            #[cfg(not(lua_ge_53))]
            _kept: kept,
            #[cfg(feature = "send")]
            home: std::thread::current().id(),
        }
    }

    /// Whether this is the thread that the future belongs to (A5).
    fn is_home(&self) -> bool {
        #[cfg(feature = "send")]
        return self.home == std::thread::current().id();
        #[cfg(not(feature = "send"))]
        true
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_home() {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.task) }
        }
    }
}

/// The cell of a future that waits: a userdata on the stack of its coroutine. All cells of an instance form a list.
pub(crate) struct Park {
    waiting: Cell<Option<Waiting>>,
    /// Whether the user value of the cell is the userdata that the future borrows.
    #[cfg(lua_ge_53)]
    borrows: Cell<bool>,
    inner: NonNull<LuaInner>,
    next: Cell<*const Park>,
    previous: Cell<*const Park>,
    is_linked: Cell<bool>,
    /// The coroutine that waits. Only compared: it may be gone.
    #[cfg(yields_hide)]
    thread: Cell<*mut engine::lua_State>,
}

impl Park {
    fn link(&self) {
        // SAFETY: all cells in the list are alive, since a cell that is dropped takes itself out; so is the block.
        unsafe {
            let first = &self.inner.as_ref().futures.first;
            self.next.set(first.get());
            if let Some(next) = self.next.get().as_ref() {
                next.previous.set(self);
            }
            first.set(self);
            self.is_linked.set(true);
        }
    }

    fn unlink(&self) {
        if !self.is_linked.replace(false) {
            return;
        }
        // SAFETY: as in `link`.
        unsafe {
            if let Some(next) = self.next.get().as_ref() {
                next.previous.set(self.previous.get());
            }
            match self.previous.get().as_ref() {
                Some(previous) => previous.next.set(self.next.get()),
                None => self.inner.as_ref().futures.first.set(self.next.get()),
            }
        }
    }
}

/// Which coroutine waits in which cell: it does not lie where it could be found on the stack.
#[cfg(yields_hide)]
impl Park {
    /// `thread` waits here from now on.
    fn settle(&self, thread: *mut engine::lua_State) {
        self.thread.set(thread);
        // SAFETY: the block is there as long as the VM.
        let inner = unsafe { self.inner.as_ref() };
        inner.futures.parked.borrow_mut().insert(thread, self);
    }

    /// Nobody waits here any more.
    fn leave(&self) {
        let thread = self.thread.replace(ptr::null_mut());
        if thread.is_null() {
            return;
        }
        // SAFETY: as in `settle`.
        let inner = unsafe { self.inner.as_ref() };
        let mut parked = inner.futures.parked.borrow_mut();
        // The coroutine may be gone, and another be at its address.
        if parked.get(&thread).is_some_and(|&park| ptr::eq(park, self)) {
            parked.remove(&thread);
        }
    }
}

impl Drop for Park {
    fn drop(&mut self) {
        self.unlink();
        #[cfg(yields_hide)]
        self.leave();
        drop(self.waiting.take());
    }
}

/// Puts a task that is pending into a cell, which becomes all there is on the stack.
///
/// # Safety
///
/// As [`start`].
unsafe fn park<'lua>(
    lua: &'lua Lua,
    task: Pin<Box<dyn Advance<'lua> + '_>>,
    borrows: bool,
) -> Result<c_int> {
    let inner = lua.inner();
    let state = inner.state();
    // SAFETY: a C function has room for the few values; the rest are moves on its stack. A1 for the lifetimes of the task.
    unsafe {
        if engine::lua_isyieldable(state) == 0 {
            // `leave` will find out, and raise Lua's own error.
            #[cfg(waits_in_lua)]
            engine::lua_settop(state, 0);
            return Ok(SUSPEND);
        }
        if inner.futures.nobody_waits() {
            return Err(Error::LuaDestroyed);
        }
        #[cfg(not(lua_ge_53))]
        let kept = match borrows {
            true => Some(Kept::new(inner, state)?),
            false => None,
        };
        // All else that may lie there are arguments, which have been converted.
        engine::lua_settop(state, borrows as c_int);
        let park = push_cell(inner, state)?;
        if borrows {
            #[cfg(lua_ge_53)]
            {
                engine::lua_pushvalue(state, 1);
                engine::lua_setiuservalue(state, -2, 1);
                (*park).borrows.set(true);
            }
            engine::lua_replace(state, 1);
        }
        let task = std::mem::transmute::<Pin<Box<dyn Advance<'lua> + '_>>, AnyTask>(task);
        (*park).waiting.set(Some(Waiting::new(
            task,
            #[cfg(not(lua_ge_53))]
            kept,
        )));
        #[cfg(yields_hide)]
        (*park).settle(state);
    }
    Ok(SUSPEND)
}

/// A slot of the userdata that a future borrows, where the cell cannot have it for a user value. It is not collected before
/// the future is dropped.
#[cfg(not(lua_ge_53))]
struct Kept {
    inner: NonNull<LuaInner>,
    slot: Slot,
}

#[cfg(not(lua_ge_53))]
impl Kept {
    /// Keeps the userdata at index 1.
    unsafe fn new(inner: &LuaInner, state: *mut engine::lua_State) -> Result<Kept> {
        // SAFETY: a C function has room for the value, which `take` pops.
        unsafe {
            engine::lua_pushvalue(state, 1);
            Ok(Kept {
                inner: NonNull::from(inner),
                slot: inner.slots.take(state)?,
            })
        }
    }
}

#[cfg(not(lua_ge_53))]
impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the block is there as long as futures are; without a VM there are no slots. Futures are dropped where the VM
        // can be entered.
        unsafe {
            let inner = self.inner.as_ref();
            if !inner.state_or_null().is_null() {
                inner.slots.release(self.slot);
            }
        }
    }
}

/// What the cell at `userdata` holds: in a box, so that it stays where it is when the cell goes.
unsafe fn park_in(userdata: *mut c_void) -> *mut Park {
    // SAFETY: the caller has made sure that it is such a cell.
    unsafe { &raw mut **cell::value::<Box<Park>>(userdata) }
}

/// Pushes a cell without a future.
unsafe fn push_cell(inner: &LuaInner, state: *mut engine::lua_State) -> Result<*mut Park> {
    let futures = &inner.futures;
    // SAFETY: the pool owns a count of the slot. The metatable is that of cells, and holds their `__gc`.
    unsafe {
        if let Some((slot, park)) = futures.cells.take() {
            inner.slots.give_back(slot, state);
            return Ok(park);
        }
        let park = Box::new(Park {
            waiting: Cell::new(None),
            #[cfg(lua_ge_53)]
            borrows: Cell::new(false),
            inner: NonNull::from(inner),
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
            is_linked: Cell::new(false),
            #[cfg(yields_hide)]
            thread: Cell::new(ptr::null_mut()),
        });
        cell::push_with_user_value(inner, state, park, futures.metatable())?;
        let park = park_in(engine::lua_touserdata(state, -1));
        (*park).link();
        Ok(park)
    }
}

/// Keeps the cell at index 1, which is empty, for the next future.
unsafe fn recycle_cell(inner: &LuaInner, state: *mut engine::lua_State, park: *mut Park) {
    if inner.futures.cells.is_full() {
        return;
    }
    // SAFETY: what has pushed the results has left room (see `STACK_RESERVE`); `take` pops the cell.
    unsafe {
        #[cfg(lua_ge_53)]
        if (*park).borrows.replace(false) {
            engine::lua_pushnil(state);
            engine::lua_setiuservalue(state, 1, 1);
        }
        engine::lua_pushvalue(state, 1);
        if let Ok(slot) = inner.slots.take(state) {
            inner.futures.cells.put(slot, park);
        }
    }
}

engine::continuation! {
    /// Goes on with a function that has yielded in [`leave`].
    #[cfg(not(waits_in_lua))]
    unsafe fn resumed(state, _status, _context) {
        // SAFETY: `park` has left the cell as all there is on the stack; what the coroutine was resumed with lies above.
        unsafe { go_on_with_cell(state) }
    }
}

/// What the Lua function around an async one calls, with the cell, when it is resumed.
#[cfg(waits_in_lua)]
pub(crate) unsafe extern "C-unwind" fn resume(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua.
    unsafe { go_on_with_cell(state) }
}

/// # Safety
///
/// All that a C function does. The cell is at index 1.
unsafe fn go_on_with_cell(state: *mut engine::lua_State) -> c_int {
    // SAFETY: passed on.
    unsafe {
        engine::lua_settop(state, 1);
        let userdata = engine::lua_touserdata(state, 1);
        let park = park_in(userdata);
        let outcome = enter(cell::instance(userdata), state, |lua, _| {
            let _inside = lua.inner().futures.enter();
            go_on(lua, park)
        });
        leave(state, outcome)
    }
}

unsafe fn go_on(lua: &Lua, cell: *mut Park) -> Result<c_int> {
    let inner = lua.inner();
    // SAFETY: the cell is on the stack.
    let park = unsafe { &*cell };
    #[cfg(yields_hide)]
    park.leave();
    // The function was cut off by `drop_all`.
    let Some(mut waiting) = park.waiting.take() else {
        return Err(Error::LuaDestroyed);
    };
    if !waiting.is_home() {
        park.waiting.set(Some(waiting));
        #[cfg(yields_hide)]
        park.settle(inner.state());
        return Err(Error::runtime(
            "a future that is pending cannot go on in another thread",
        ));
    }
    // SAFETY: within a C function of the instance. A1: `'lua` is not longer than the instance.
    match unsafe { waiting.task.as_mut().advance(inner.lend())? } {
        Poll::Ready(nresults) => {
            drop(waiting);
            // SAFETY: the cell is at index 1, and empty.
            unsafe { recycle_cell(inner, inner.state(), cell) };
            Ok(nresults)
        }
        Poll::Pending if inner.futures.nobody_waits() => Err(Error::LuaDestroyed),
        Poll::Pending => {
            park.waiting.set(Some(waiting));
            #[cfg(yields_hide)]
            park.settle(inner.state());
            Ok(SUSPEND)
        }
    }
}

/// Drops the future that `thread` waits for, if it is suspended in an async function.
///
/// # Safety
///
/// `thread` is a coroutine of the instance, which is open, and is not running.
pub(crate) unsafe fn drop_future_of(inner: &LuaInner, thread: *mut engine::lua_State) {
    #[cfg(yields_hide)]
    {
        let park = inner.futures.parked.borrow_mut().remove(&thread);
        if let Some(park) = park {
            // SAFETY: a cell that is dropped takes itself out of the map.
            discard(inner, unsafe { (*park).waiting.take() });
        }
    }
    #[cfg(not(yields_hide))]
    // SAFETY: only cells have that metatable. They are at index 1 where a coroutine is suspended by `leave`.
    unsafe {
        if engine::lua_status(thread) != engine::LUA_YIELD
            || engine::lua_gettop(thread) == 0
            || ensure(inner, thread, 1).is_err()
            || engine::lua_getmetatable(thread, 1) == 0
        {
            return;
        }
        let metatable = engine::lua_topointer(thread, -1);
        engine::lua_pop(thread, 1);
        if metatable == inner.futures.metatable_address() {
            let park = park_in(engine::lua_touserdata(thread, 1));
            discard(inner, (*park).waiting.take());
        }
    }
}

/// Drops all futures that wait (A4).
#[cold]
pub(super) fn drop_all(inner: &LuaInner) {
    let mut park = inner.futures.first.get();
    // SAFETY: see `Park::link`. What is dropped may run any code, which may change the list, so it begins anew then.
    while let Some(at) = unsafe { park.as_ref() } {
        park = match at.waiting.take() {
            None => at.next.get(),
            waiting => {
                discard(inner, waiting);
                inner.futures.first.get()
            }
        }
    }
}

/// Drops a future on behalf of somebody who cannot take its panic.
fn discard(inner: &LuaInner, waiting: Option<Waiting>) {
    // SAFETY: the instance is open.
    unsafe { cell::run_drop(NonNull::from(inner), inner.state(), || drop(waiting)) }
}
