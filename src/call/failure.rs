//! Errors and panics on their way through Lua.
//!
//! A Rust [`Error`] or a panic travels through Lua as a *failure*: a userdata that owns it. [`raise`] turns one into a Lua
//! error, [`pop_error`] turns what a protected call left back into an [`Error`], or goes on with the panic.

use std::any::Any;
use std::mem;
use std::os::raw::c_int;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::NonNull;

use super::cell;
use super::chain::shortened;
use super::traceback;
use crate::engine;
use crate::error::{Error, Result};
use crate::state::LuaInner;
use crate::Lua;

/// What a failure userdata owns.
pub(crate) enum Failure {
    /// An error; it stays in the userdata and is cloned out.
    Error(Error),
    /// A panic, until somebody goes on with it.
    Panic(Option<Box<dyn Any + Send>>),
}

/// The failure at `index`, if there is one. What has been finalized before reads as an error.
///
/// # Safety
///
/// `state` is a running state of the instance with one free place; the reference must not outlive the value on the stack.
pub(crate) unsafe fn failure_at<'a>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    index: c_int,
) -> Option<&'a mut Failure> {
    // SAFETY: a userdata with the failure metatable holds a `Failure` in a cell: only `push_failure` sets that metatable.
    unsafe {
        if engine::lua_type(state, index) != engine::LUA_TUSERDATA
            || engine::lua_getmetatable(state, index) == 0
        {
            return None;
        }
        let metatable = engine::lua_topointer(state, -1);
        engine::lua_pop(state, 1);
        if metatable != inner.internals.failure_metatable() {
            return None;
        }
        let userdata = engine::lua_touserdata(state, index);
        let failure = cell::value::<Failure>(userdata);
        if cell::is_gone::<Failure>(userdata) {
            // Needs no drop, so it may be written any number of times.
            failure.write(Failure::Error(Error::UserDataDestructed));
        }
        Some(&mut *failure)
    }
}

/// Pushes a failure that owns `failure`. If there is no memory for it, it is dropped and the error returned.
///
/// # Safety
///
/// `state` is a running state of the instance with 4 free places.
pub(crate) unsafe fn push_failure(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    failure: Failure,
) -> Result<()> {
    // SAFETY: passed on; the metatable is that of failures.
    unsafe { cell::push(inner, state, failure, inner.internals.failure()) }
}

/// Pushes `error` as a Lua value.
///
/// # Safety
///
/// As [`push_failure`].
pub(crate) unsafe fn push_error(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    error: Error,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe { push_failure(inner, state, Failure::Error(error)) }
}

/// Raises `failure` as a Lua error, after cutting the stack down to `top`; an error gets the traceback of `state` with it.
///
/// # Safety
///
/// Called by the outermost frame of a C function or hook that Lua called, which has nothing left to drop. Above `top` there
/// is nothing but what that frame has pushed.
#[cold]
#[inline(never)]
pub(crate) unsafe fn raise(
    inner: NonNull<LuaInner>,
    state: *mut engine::lua_State,
    top: c_int,
    failure: Failure,
) -> ! {
    // SAFETY: the block is there while Lua code runs. All Rust values are gone when `lua_error` jumps: `failure` has been
    // moved into Lua, or dropped by `push_failure`. What panics there ends there, since no frame of Lua's could take it.
    unsafe {
        // The callback may have left anything on the stack; its frame ends here.
        engine::lua_settop(state, top);
        let memory = &inner.as_ref().memory;
        let push = || {
            let failure = with_traceback(inner.as_ref(), state, failure);
            #[cfg(raising_finalizers)]
            return push_or_leave(inner.as_ref(), state, failure);
            #[cfg(not(raising_finalizers))]
            push_failure(inner.as_ref(), state, failure).is_ok()
        };
        let push = || {
            catch_unwind(AssertUnwindSafe(push)).unwrap_or_else(|payload| {
                discard(payload);
                false
            })
        };
        let pushed = memory.unlimited(push);
        if !pushed {
            #[cfg(raising_finalizers)]
            push_left(inner.as_ref(), state);
            #[cfg(not(raising_finalizers))]
            raise_no_memory(state);
        }
        #[cfg(any(feature = "lua52", feature = "lua53"))]
        engine::put_off_collection(state);
        engine::lua_error(state)
    }
}

/// Pushes `failure` and returns whether it could. If that was for anything else than a lack of memory (calls are nested too
/// deeply for one more that protects, or, where the collector cannot be kept from running, an error in a finalizer came out of
/// it), it is left for [`push_left`].
#[cfg(raising_finalizers)]
unsafe fn push_or_leave(inner: &LuaInner, state: *mut engine::lua_State, failure: Failure) -> bool {
    let internals = &inner.internals;
    // SAFETY: passed on.
    let push = |failure| unsafe { cell::try_push(inner, state, failure, internals.failure()) };
    let pushed = match push(failure) {
        // SAFETY: passed on.
        Err(Some(failure)) => unsafe { engine::without_collector(state, || push(failure)) },
        pushed => pushed,
    };
    match pushed {
        Ok(()) => true,
        Err(left) => {
            let before = internals.raising.replace(left);
            drop(before);
            false
        }
    }
}

/// Pushes the failure that is left without protection; if there is none, raises Lua's own error for a lack of memory.
///
/// # Safety
///
/// As [`raise`]: nothing is left to drop.
#[cold]
#[cfg(raising_finalizers)]
unsafe fn push_left(inner: &LuaInner, state: *mut engine::lua_State) {
    let internals = &inner.internals;
    // SAFETY: passed on; the place is only looked at.
    unsafe {
        if (*internals.raising.as_ptr()).is_none() {
            raise_no_memory(state);
        }
        cell::push_raising(inner, state, &internals.raising, internals.failure());
    }
}

/// Runs a destructor of the user where no panic may get out.
pub(crate) fn contain(drop: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(drop)) {
        discard(payload);
    }
}

/// Drops what a panic left, where no panic may get out: the payload may have a destructor that panics as well.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
}

/// Raises Lua's own error for a lack of memory.
///
/// # Safety
///
/// Raises. `state` has a free place.
pub(super) unsafe fn raise_no_memory(state: *mut engine::lua_State) -> ! {
    // SAFETY: passed on. No allocator has that much. LuaJIT would not ask for that much: there ours refuses anything. That of
    // a host has to be taken at its word; the message is always there.
    unsafe {
        if engine::HANDLES_NO_MEMORY {
            engine::lua_pushstring(state, engine::NO_MEMORY.as_ptr());
            engine::lua_error(state)
        }
        #[cfg(feature = "luajit")]
        {
            use crate::state::memory::Memory;
            if let Some(memory) = Memory::of(state) {
                // A first field takes memory, and nothing runs before.
                engine::lua_createtable(state, 0, 0);
                engine::lua_pushboolean(state, 1);
                memory.refuse_next();
                engine::lua_rawseti(state, -2, 1 << 20);
            }
            engine::lua_pushstring(state, c"not enough memory".as_ptr());
            engine::lua_error(state)
        }
        #[cfg(not(feature = "luajit"))]
        {
            engine::lua_newuserdatauv(state, isize::MAX as usize / 2, 0);
            engine::lua_error(state)
        }
    }
}

unsafe fn with_traceback(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    failure: Failure,
) -> Failure {
    let Failure::Error(cause) = failure else {
        return failure;
    };
    // SAFETY: `state` runs the C function that raises; its stack is empty, or that of a hook, so there is room.
    let traceback = unsafe { traceback::with_traceback(inner, state, state, 0, None, text_of) };
    Failure::Error(Error::CallbackError {
        traceback,
        cause: shortened(cause),
    })
}

/// Pops the error object that a protected call left with `status`.
///
/// Goes on with a panic if that is what it holds.
///
/// # Safety
///
/// `state` is a running state of its instance; the error object is on top.
pub(crate) unsafe fn pop_error(state: *mut engine::lua_State, status: c_int) -> Error {
    // SAFETY: there is an error object on top; every state of a VM that we call into belongs to an instance.
    unsafe {
        if engine::lua_type(state, -1) == engine::LUA_TSTRING {
            let error = from_message(status, message(state));
            engine::lua_pop(state, 1);
            return error;
        }
        let inner = super::inner_of(state).as_ref();
        let error = match failure_at(inner, state, -1) {
            Some(Failure::Error(error)) => Ok(error.clone()),
            Some(Failure::Panic(payload)) => match payload.take() {
                Some(payload) => Err(payload),
                None => Ok(Error::PreviouslyResumedPanic),
            },
            None => Ok(from_message(status, message(state))),
        };
        engine::lua_pop(state, 1);
        error.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

/// The text of the error object on top.
unsafe fn message(state: *mut engine::lua_State) -> String {
    // SAFETY: a string or a number on top; converting a number in place may allocate, so only strings are read. The message
    // handler has made a string of everything that it could.
    unsafe {
        if engine::lua_type(state, -1) == engine::LUA_TSTRING {
            let mut len = 0;
            let data = engine::lua_tolstring(state, -1, &mut len);
            let bytes = std::slice::from_raw_parts(data as *const u8, len);
            return text_of(bytes);
        }
        let name = std::ffi::CStr::from_ptr(engine::luaL_typename(state, -1));
        format!("<unprintable {} error>", name.to_string_lossy())
    }
}

/// A text of Lua's as one of Rust's; what is not UTF-8 in it is replaced.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn from_message(status: c_int, message: String) -> Error {
    match status {
        engine::LUA_ERRSYNTAX => Error::SyntaxError {
            incomplete_input: message.ends_with("<eof>") || message.ends_with("'<eof>'"),
            message,
        },
        engine::LUA_ERRMEM => Error::MemoryError(message),
        engine::LUA_ERRRUN
            if engine::HANDLES_NO_MEMORY && message.as_bytes() == engine::NO_MEMORY.to_bytes() =>
        {
            Error::MemoryError(message)
        }
        #[cfg(any(feature = "lua52", feature = "lua53"))]
        engine::LUA_ERRGCMM => Error::GarbageCollectorError(message),
        // An error in the message handler is no other kind of error to a caller.
        _ => Error::RuntimeError(message),
    }
}

/// `__tostring` of failures.
pub(super) unsafe extern "C-unwind" fn failure_tostring(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua as a C function.
    unsafe {
        super::callback::enter(super::inner_of(state), state, |lua: &Lua, _| {
            let text = match failure_at(lua.inner(), state, 1) {
                Some(Failure::Error(error)) => error.to_string(),
                Some(Failure::Panic(Some(payload))) => panic_text(payload.as_ref()),
                Some(Failure::Panic(None)) => Error::PreviouslyResumedPanic.to_string(),
                None => return Err(Error::UserDataTypeMismatch),
            };
            super::push_bytes(lua.inner(), state, text.as_bytes())?;
            Ok(1)
        })
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panic").to_owned()
}
