//! From Lua into Rust.
//!
//! A Rust function is a C closure whose first upvalue is the address of the cell that holds the Rust closure, or of the
//! instance if that captures nothing. The C function is generic over the closure's type, so that arguments are read from and
//! results written to the stack without an intermediate form.

use std::os::raw::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::NonNull;

use super::failure::{raise, Failure};
use super::{cell, is_nothing, new_closure};
use crate::engine;
use crate::error::{Error, Result};
use crate::state::{host_close, LuaInner};
use crate::value::{FromLuaMulti, IntoLuaMulti};
use crate::Lua;

/// Runs `body` as the body of a C function that Lua has called on `state`, and returns what the C function returns.
///
/// `body` gets the number of arguments and returns the number of results, which it has left on top.
///
/// # Safety
///
/// Called by an `extern "C-unwind"` function entered by Lua, as its last act and with nothing left to drop. `inner` is the
/// instance of `state`.
#[inline(always)]
pub(crate) unsafe fn enter<'lua, F>(
    inner: NonNull<LuaInner>,
    state: *mut engine::lua_State,
    body: F,
) -> c_int
where
    F: FnOnce(&'lua Lua, c_int) -> Result<c_int>,
{
    // SAFETY: passed on. The whole stack of a C function is its own.
    unsafe { enter_above(inner, state, 0, body) }
}

/// As [`enter`], for code that does not own the `base` values at the bottom of the stack: a hook.
///
/// # Safety
///
/// As [`enter`].
#[inline(always)]
pub(crate) unsafe fn enter_above<'lua, F>(
    inner: NonNull<LuaInner>,
    state: *mut engine::lua_State,
    base: c_int,
    body: F,
) -> c_int
where
    F: FnOnce(&'lua Lua, c_int) -> Result<c_int>,
{
    let failure = {
        // SAFETY: the block is there while its VM runs code.
        let instance = unsafe { inner.as_ref() };
        // SAFETY: entered by Lua.
        let nargs = unsafe { engine::lua_gettop(state) } - base;
        let outer = instance.switch_state(state);
        if outer.is_null() {
            instance.switch_state(outer);
            drop(body);
            // SAFETY: entered by Lua, and nothing is left to drop.
            unsafe { raise_destroyed(state) }
        }
        // SAFETY: Lua has just called this function, with room for the values of an operation.
        unsafe { host_close::notice(instance, state) };
        let frame = instance.enter_frame();
        let body = AssertUnwindSafe(|| body(instance.lend(), nargs));
        let body = || instance.nested(|| Ok(catch_unwind(body)));
        let outcome = instance
            .memory
            .unlimited(body)
            .unwrap_or_else(|error| Ok(Err(error)));
        // SAFETY: the frame is still that of this function.
        unsafe { instance.bury() };
        drop(frame);
        instance.switch_state(outer);
        match outcome {
            Ok(Ok(nresults)) => return nresults,
            Ok(Err(error)) => Failure::Error(error),
            Err(payload) => Failure::Panic(Some(payload)),
        }
    };
    // SAFETY: nothing is left to drop in this frame but `failure`, which moves.
    unsafe { raise(inner, state, base, failure) }
}

/// The host of a VM closes it, and a finalizer that runs late calls into an instance that is gone.
///
/// # Safety
///
/// As [`raise`].
#[cold]
#[inline(never)]
unsafe fn raise_destroyed(state: *mut engine::lua_State) -> ! {
    // SAFETY: passed on.
    unsafe {
        engine::lua_pushstring(state, c"Lua instance is destroyed".as_ptr());
        engine::lua_error(state)
    }
}

/// The instance, and what the running C function was made with: see [`new_closure`].
///
/// Raises an error if that is gone: a finalizer may call a function whose cell has been finalized before.
///
/// # Safety
///
/// The first act of a C function that Lua has called on `state`, and that was made by [`new_closure`] with a `T`.
#[inline(always)]
pub(crate) unsafe fn upvalue<T>(state: *mut engine::lua_State) -> (NonNull<LuaInner>, *const T) {
    // SAFETY: `new_closure` has made the first upvalue. A value that is nothing can be read at any aligned address.
    unsafe {
        let userdata = engine::lua_touserdata(state, engine::lua_upvalueindex(1));
        if is_nothing::<T>() {
            let inner = NonNull::new_unchecked(userdata as *mut LuaInner);
            return (inner, NonNull::dangling().as_ptr());
        }
        let inner = cell::instance(userdata);
        if cell::is_gone::<T>(userdata) {
            raise_gone(inner, state);
        }
        (inner, cell::value::<T>(userdata))
    }
}

/// A finalizer calls a function that lived only as long as it: the function's own end came first.
///
/// # Safety
///
/// As [`enter`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn raise_gone(inner: NonNull<LuaInner>, state: *mut engine::lua_State) -> ! {
    // SAFETY: passed on.
    unsafe { enter(inner, state, |_, _| Err(Error::CallbackDestructed)) };
    unreachable!("the body has failed")
}

/// Pushes `func` as a Lua function onto `state`.
///
/// # Safety
///
/// `state` is a running state of the instance with 4 free places. `func` upholds the bounds that `'lua` stands for: see
/// invariant I2 of `LuaInner`.
pub(crate) unsafe fn push_function<'lua, F, A, R>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    func: F,
) -> Result<()>
where
    F: Fn(&'lua Lua, A) -> Result<R>,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: passed on; `function` is the C function for a cell of `F`.
    unsafe { new_closure(inner, state, function::<F, A, R>, func) }
}

unsafe extern "C-unwind" fn function<'lua, F, A, R>(state: *mut engine::lua_State) -> c_int
where
    F: Fn(&'lua Lua, A) -> Result<R>,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: entered by Lua; the closure, and with it the cell, is on the stack as the running function.
    unsafe {
        let (inner, func) = upvalue::<F>(state);
        enter(inner, state, |lua, nargs| {
            let args = A::from_stack_args(nargs, 1, None, lua)?;
            (*func)(lua, args)?.push_into_stack_multi(lua)
        })
    }
}

/// Makes a function that may be called while it runs out of one that may not.
pub(crate) fn not_recursive<'lua, F, A, R>(func: F) -> impl Fn(&'lua Lua, A) -> Result<R>
where
    F: FnMut(&'lua Lua, A) -> Result<R>,
{
    let func = std::cell::RefCell::new(func);
    move |lua, args| {
        let mut func = func
            .try_borrow_mut()
            .map_err(|_| Error::RecursiveMutCallback)?;
        (*func)(lua, args)
    }
}
