//! [`Thread`]: coroutines.

use std::fmt;
use std::os::raw::{c_int, c_void};

use crate::call::failure::pop_error;
#[cfg(any(lua_ge_54, feature = "luau"))]
use crate::call::inner_of;
#[cfg(waits_in_lua)]
use crate::call::lua_side::LuaSide;
use crate::call::new_thread;
use crate::call::protect::{self, protect};
use crate::call::traceback::describe_error;
use crate::engine;
use crate::error::{Error, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::stack::{ensure, Held};
use crate::state::STACK_RESERVE;
use crate::value::{wanted, FromLuaMulti, IntoLuaMulti};
use crate::Lua;

/// A coroutine of Lua's.
///
/// Two of them are equal if they are the same coroutine.
#[derive(Clone)]
pub struct Thread<'lua>(pub(crate) Ref<'lua>);

/// What a [`Thread`] is doing: see [`Thread::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadStatus {
    /// It has not begun, or it has yielded: [`Thread::resume`] goes on with it.
    Resumable,
    /// It has finished, or it is running: itself, or a coroutine that it has resumed.
    Unresumable,
    /// It was ended by an error.
    Error,
}

impl Lua {
    /// Makes a coroutine that will run `func`.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left, or if `func` is of another instance.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Function, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let count: Function = lua.load("function(n) while true do n = n + coroutine.yield(n) end end").eval()?;
    /// let thread = lua.create_thread(count)?;
    /// assert_eq!(thread.resume::<_, i64>(1)?, 1);
    /// assert_eq!(thread.resume::<_, i64>(10)?, 11);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_thread<'lua>(&'lua self, func: Function) -> Result<Thread<'lua>> {
        let entered = self.try_enter()?;
        let state = entered.state;
        // SAFETY: two values are pushed and held; the fresh thread has room for the function. `pop` takes the thread.
        unsafe {
            let thread = new_thread(self.inner(), state)?;
            let mut held = Held::adopt(state, 1);
            func.0.push_to(self)?;
            #[cfg(waits_in_lua)]
            LuaSide::body(self.inner(), state)?;
            engine::lua_xmove(state, thread, 1);
            held.release(1);
            Ref::pop(self).map(Thread)
        }
    }

    /// The coroutine that is running: within a callback the one that has called it, elsewhere the main one.
    pub fn current_thread(&self) -> Thread<'_> {
        let entered = self.enter();
        // SAFETY: `pop_or_panic` takes what is pushed.
        unsafe {
            engine::lua_pushthread(entered.state);
            Thread(Ref::pop_or_panic(self))
        }
    }
}

impl<'lua> Thread<'lua> {
    /// Starts the coroutine, or goes on with it where it has yielded, until it yields or ends.
    ///
    /// `args` become the arguments of its function, or what its call of `coroutine.yield` returns. What it passes to
    /// `coroutine.yield`, or what its function returns, is converted to `R`.
    ///
    /// # Errors
    ///
    /// Fails with [`Error::CoroutineInactive`] if the status is not [`ThreadStatus::Resumable`], with the error that ended
    /// the coroutine (with a traceback of it), and if a conversion fails.
    ///
    /// # Panics
    ///
    /// Goes on with the panic of a Rust callback that ended the coroutine.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Error, Lua, Result, Thread};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let thread: Thread = lua
    ///     .load(
    ///         r#"
    ///         coroutine.create(function(first)
    ///             local second = coroutine.yield(first + 1)
    ///             return first + second
    ///         end)
    ///         "#,
    ///     )
    ///     .eval()?;
    /// assert_eq!(thread.resume::<_, i64>(1)?, 2);
    /// assert_eq!(thread.resume::<_, i64>(10)?, 11);
    /// assert!(matches!(thread.resume::<_, ()>(()), Err(Error::CoroutineInactive)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume<A, R>(&self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        let lua = self.0.lua();
        let state = self.0.state();
        let thread = self.thread();
        // SAFETY: the arguments are held until they are moved; `resume` leaves as many results as it says.
        unsafe {
            let nargs = args.push_into_stack_multi(lua)?;
            let mut held = Held::adopt(state, nargs);
            // After the conversions, which may have run anything, this coroutine too.
            if self.status_of(thread) != ThreadStatus::Resumable {
                return Err(Error::CoroutineInactive);
            }
            ensure(lua.inner(), thread, nargs)?;
            engine::lua_xmove(state, thread, nargs);
            held.release(nargs);
            let nresults = resume(lua, thread, nargs, wanted::<R>())?;
            held.add(nresults);
            lua.inner().bury();
            R::from_stack_multi(nresults, lua)
        }
    }

    /// Whether the coroutine can be resumed.
    pub fn status(&self) -> ThreadStatus {
        // SAFETY: the state is that of this coroutine.
        unsafe { self.status_of(self.thread()) }
    }

    /// Makes the coroutine as good as new, with `func` to run: what it was doing ends here, and its variables to be closed
    /// are closed.
    ///
    /// # Errors
    ///
    /// Fails with the error that had ended the coroutine, or one raised by the closing of a variable: the coroutine is then
    /// left without a function, and another call resets it. Fails if it is running.
    #[cfg(any(lua_ge_54, feature = "luau"))]
    pub fn reset(&self, func: Function<'lua>) -> Result<()> {
        let lua = self.0.lua();
        let state = self.0.state();
        let thread = self.thread();
        // SAFETY: `is_active` makes sure that nothing runs on `thread`, so that its stack can be cleared. Closing runs
        // protected inside Lua and leaves either nothing or an error object, which moves.
        unsafe {
            if is_active(lua, thread) {
                return Err(Error::runtime("cannot reset a running thread"));
            }
            func.0.push_to(lua)?;
            let mut held = Held::adopt(state, 1);
            #[cfg(feature = "async")]
            crate::future::task::drop_future_of(lua.inner(), thread);
            let status = close(thread, state);
            if status != engine::LUA_OK {
                engine::lua_xmove(thread, state, 1);
                return Err(pop_error(state, status));
            }
            #[cfg(feature = "luau")]
            crate::luau::sandbox::inherit_globals(lua, thread)?;
            engine::lua_xmove(state, thread, 1);
            held.release(1);
        }
        Ok(())
    }

    /// The address that identifies the coroutine, for hashing and debugging. It cannot be turned back into a coroutine.
    pub fn to_pointer(&self) -> *const c_void {
        self.0.to_pointer()
    }

    /// The state of this coroutine.
    pub(crate) fn thread(&self) -> *mut engine::lua_State {
        // SAFETY: a plain read of the thread in our slot.
        unsafe {
            let (state, index) = self.0.peek();
            engine::lua_tothread(state, index)
        }
    }

    /// # Safety
    ///
    /// `thread` is the state of this coroutine.
    pub(crate) unsafe fn status_of(&self, thread: *mut engine::lua_State) -> ThreadStatus {
        // SAFETY: plain reads.
        unsafe {
            match engine::lua_status(thread) {
                engine::LUA_YIELD => ThreadStatus::Resumable,
                engine::LUA_OK
                    if engine::lua_gettop(thread) > 0 && !is_active(self.0.lua(), thread) =>
                {
                    ThreadStatus::Resumable
                }
                engine::LUA_OK => ThreadStatus::Unresumable,
                _ => ThreadStatus::Error,
            }
        }
    }
}

/// Whether a function runs on `thread`, or ever could outside of a resume: the main thread counts as running.
///
/// # Safety
///
/// `thread` is a thread of the instance, which is open.
pub(crate) unsafe fn is_active(lua: &Lua, thread: *mut engine::lua_State) -> bool {
    let inner = lua.inner();
    if thread == inner.state() || thread == inner.main_state() {
        return true;
    }
    let mut debug = std::mem::MaybeUninit::<engine::lua_Debug>::uninit();
    // SAFETY: plain reads; the record is only written to.
    unsafe {
        engine::lua_status(thread) == engine::LUA_OK
            && engine::lua_getstack(thread, 0, debug.as_mut_ptr()) != 0
    }
}

/// Clears the stack of `thread` and closes its variables; on an error leaves the error object there.
///
/// # Safety
///
/// Nothing runs on `thread`; `from` is the running state.
#[cfg(any(lua_ge_54, feature = "luau"))]
pub(crate) unsafe fn close(thread: *mut engine::lua_State, from: *mut engine::lua_State) -> c_int {
    // SAFETY: passed on.
    unsafe { engine::lua_closethread(thread, from) }
}

/// Resumes `thread` with the `nargs` values on top of it as arguments. Moves its results to the running state and returns
/// how many, no more than `wanted` unless that is `LUA_MULTRET`.
///
/// # Safety
///
/// `thread` can be resumed, and there are that many arguments.
unsafe fn resume(
    lua: &Lua,
    thread: *mut engine::lua_State,
    nargs: c_int,
    wanted: c_int,
) -> Result<c_int> {
    let state = lua.state();
    // SAFETY: resuming runs protected. It leaves its results, or an error object, on top of `thread`.
    unsafe {
        let mut nresults = 0;
        let status = protect::resume(thread, state, nargs, &mut nresults);
        if status != engine::LUA_OK && status != engine::LUA_YIELD {
            return Err(pop_thread_error(state, thread, status));
        }
        take_results(lua, thread, nresults, wanted)
    }
}

/// Moves the `nresults` values on top of `thread` to the running state, no more than `wanted` of them unless that is
/// `LUA_MULTRET`, and returns how many.
///
/// # Safety
///
/// There are that many values.
#[inline]
pub(crate) unsafe fn take_results(
    lua: &Lua,
    thread: *mut engine::lua_State,
    mut nresults: c_int,
    wanted: c_int,
) -> Result<c_int> {
    // SAFETY: passed on.
    unsafe {
        if wanted != engine::LUA_MULTRET && nresults > wanted {
            engine::lua_pop(thread, nresults - wanted);
            nresults = wanted;
        }
        if nresults > STACK_RESERVE / 4 {
            if let Err(error) = lua.reserve_stack_for(nresults as usize) {
                engine::lua_pop(thread, nresults);
                return Err(error);
            }
        }
        engine::lua_xmove(thread, lua.state(), nresults);
        Ok(nresults)
    }
}

/// The error that resuming `thread` has left on top of it, with a traceback of `thread`.
///
/// # Safety
///
/// There is such an error object.
#[cold]
pub(crate) unsafe fn pop_thread_error(
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    status: c_int,
) -> Error {
    // SAFETY: the object is moved, and `protect` and `pop_error` take it from there.
    unsafe {
        #[cfg(any(lua_ge_54, feature = "luau"))]
        if engine::lua_status(thread) != engine::LUA_YIELD
            && engine::lua_status(thread) != engine::LUA_OK
        {
            // The thread has ended, and a reset looks for the error where it is: so a copy moves.
            if ensure(inner_of(state).as_ref(), thread, 1).is_ok() {
                engine::lua_pushvalue(thread, -1);
            }
        }
        engine::lua_xmove(thread, state, 1);
        let describe = || protect(state, 1, 1, |state| describe_error(state, thread));
        #[cfg(raising_finalizers)]
        engine::lua_pushvalue(state, -1);
        let described = describe();
        #[cfg(raising_finalizers)]
        let described = match described {
            // The error of some finalizer is not the one that ended the coroutine.
            Ok(()) => {
                engine::lua_remove(state, -2);
                Ok(())
            }
            Err(_) => engine::without_collector(state, describe),
        };
        match described {
            Ok(()) => pop_error(state, status),
            Err(error) => error,
        }
    }
}

impl PartialEq for Thread<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl fmt::Debug for Thread<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Thread").field(&self.0).finish()
    }
}
