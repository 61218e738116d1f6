//! Lua 5.4: the API that the library is written for.

use std::os::raw::c_int;

pub(crate) use super::growing::*;
pub(crate) use super::since52::*;
pub(crate) use ffi::*;

pub(crate) const USER_VALUES: c_int = 2;
pub(crate) const FINALIZERS_RAISE: bool = false;
pub(crate) const REF_BITS: u32 = 16;

/// A Lua of the system may be too old to be told who closes the coroutine.
#[cfg(not(feature = "vendored"))]
pub(crate) unsafe fn lua_closethread(thread: *mut lua_State, _from: *mut lua_State) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_resetthread(thread) }
}

/// Makes the collector incremental and returns the mode before. A parameter of 0 stays as it is.
pub(crate) unsafe fn gc_inc(
    state: *mut lua_State,
    pause: c_int,
    step_multiplier: c_int,
    step_size: c_int,
) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_gc(state, LUA_GCINC, pause, step_multiplier, step_size) }
}

/// Makes the collector generational and returns the mode before. A parameter of 0 stays as it is.
pub(crate) unsafe fn gc_gen(
    state: *mut lua_State,
    minor_multiplier: c_int,
    major_multiplier: c_int,
) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_gc(state, LUA_GCGEN, minor_multiplier, major_multiplier) }
}
