//! What the engines before Lua 5.4 have in common: a userdata has one user value. With it, what some of them do not have yet:
//! those before 5.3 have no integers and cannot turn values on the stack.

use std::os::raw::{c_int, c_void};

use super::*;

pub(crate) const USER_VALUES: c_int = 1;

pub(crate) unsafe fn lua_newuserdatauv(
    state: *mut lua_State,
    size: usize,
    _uservalues: c_int,
) -> *mut c_void {
    // SAFETY: passed on.
    unsafe { lua_newuserdata(state, size) }
}

/// On Luau they lie in a table with weak keys, by userdata.
#[cfg(any(lua_ge_52, feature = "luau"))]
pub(crate) unsafe fn lua_getiuservalue(state: *mut lua_State, index: c_int, n: c_int) -> c_int {
    debug_assert_eq!(n, 1);
    // SAFETY: passed on.
    unsafe { lua_getuservalue(state, index) }
}

/// On Lua 5.2, the value on top is a table or nil.
#[cfg(lua_ge_52)]
pub(crate) unsafe fn lua_setiuservalue(state: *mut lua_State, index: c_int, n: c_int) {
    debug_assert_eq!(n, 1);
    // SAFETY: passed on.
    unsafe { lua_setuservalue(state, index) }
}

/// The field at `n`, which may be any integer.
#[cfg(not(any(lua_ge_53, feature = "luau")))]
#[inline(always)]
pub(crate) unsafe fn lua_rawgeti(state: *mut lua_State, index: c_int, n: lua_Integer) -> c_int {
    // SAFETY: passed on. A number is no object of the collector.
    unsafe {
        if let Ok(n) = c_int::try_from(n) {
            lua_rawgeti_(state, index, n);
            return lua_type(state, -1);
        }
        let index = lua_absindex(state, index);
        lua_pushnumber(state, n as lua_Number);
        lua_rawget(state, index)
    }
}

/// The field at `n`, which may be any integer.
#[cfg(not(any(lua_ge_53, feature = "luau")))]
#[inline(always)]
pub(crate) unsafe fn lua_rawseti(state: *mut lua_State, index: c_int, n: lua_Integer) {
    // SAFETY: passed on.
    unsafe {
        if let Ok(n) = c_int::try_from(n) {
            return lua_rawseti_(state, index, n);
        }
        let index = lua_absindex(state, index);
        lua_pushnumber(state, n as lua_Number);
        lua_insert(state, -2);
        lua_rawset(state, index)
    }
}

/// Without a check of the stack, which may raise. Needs two free places.
#[cfg(not(lua_ge_53))]
pub(crate) unsafe fn lua_rotate(state: *mut lua_State, index: c_int, n: c_int) {
    // SAFETY: passed on: the values from `index` on are turned by one step at a time.
    unsafe {
        let index = lua_absindex(state, index);
        if n >= 0 {
            for _ in 0..n {
                lua_insert(state, index);
            }
        } else {
            for _ in n..0 {
                lua_pushvalue(state, index);
                lua_remove(state, index);
            }
        }
    }
}

/// Whether `state` may be able to yield: this Lua does not tell more.
#[cfg(all(any(feature = "lua51", feature = "lua52"), feature = "async"))]
pub(crate) unsafe fn lua_isyieldable(state: *mut lua_State) -> c_int {
    // SAFETY: one value is pushed and popped; every C function has room for it.
    unsafe {
        let is_main = lua_pushthread(state);
        lua_pop(state, 1);
        c_int::from(is_main == 0)
    }
}
