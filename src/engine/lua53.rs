//! Lua 5.3: one user value, of any type; no warnings; errors in finalizers come out where the collector ran.

use std::os::raw::{c_int, c_void};

pub(crate) use super::since52::*;
pub(crate) use ffi::*;

pub(crate) const USER_VALUES: c_int = 1;
pub(crate) const FINALIZERS_RAISE: bool = true;
pub(crate) const REF_BITS: u32 = 16;

pub(crate) unsafe fn lua_newuserdatauv(
    state: *mut lua_State,
    size: usize,
    _uservalues: c_int,
) -> *mut c_void {
    // SAFETY: passed on.
    unsafe { lua_newuserdata(state, size) }
}

pub(crate) unsafe fn lua_getiuservalue(state: *mut lua_State, index: c_int, n: c_int) -> c_int {
    debug_assert_eq!(n, 1);
    // SAFETY: passed on.
    unsafe { lua_getuservalue(state, index) }
}

pub(crate) unsafe fn lua_setiuservalue(state: *mut lua_State, index: c_int, n: c_int) {
    debug_assert_eq!(n, 1);
    // SAFETY: passed on.
    unsafe { lua_setuservalue(state, index) }
}
