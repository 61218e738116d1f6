//! Lua 5.2: numbers are floats; the one user value of a userdata is a table; errors in finalizers come out where the
//! collector ran.

use std::os::raw::c_int;

#[cfg(feature = "async")]
pub(crate) use super::before54::lua_isyieldable;
pub(crate) use super::before54::{
    lua_getiuservalue, lua_newuserdatauv, lua_rawgeti, lua_rawseti, lua_rotate, lua_setiuservalue,
    USER_VALUES,
};
pub(crate) use super::growing::*;
pub(crate) use super::since52::*;
pub(crate) use ffi::*;

pub(crate) const FINALIZERS_RAISE: bool = true;
pub(crate) const REF_BITS: u32 = 16;

#[allow(non_snake_case)]
pub(crate) unsafe fn luaL_len(state: *mut lua_State, index: c_int) -> lua_Integer {
    // SAFETY: passed on.
    unsafe { lua_Integer::from(ffi::luaL_len(state, index)) }
}
