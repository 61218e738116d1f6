//! Lua 5.4 and 5.5: the API that the library is written for.

use std::os::raw::c_int;

pub(crate) use super::since52::*;
pub(crate) use ffi::*;

pub(crate) const USER_VALUES: c_int = 2;
pub(crate) const FINALIZERS_RAISE: bool = false;
pub(crate) const REF_BITS: u32 = 16;

/// A Lua of the system may be too old to be told who closes the coroutine.
#[cfg(all(feature = "lua54", not(feature = "vendored")))]
pub(crate) unsafe fn lua_closethread(thread: *mut lua_State, _from: *mut lua_State) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_resetthread(thread) }
}
