//! What Lua 5.1, LuaJIT and Luau have in common: globals are reached by a pseudo index, functions have an environment, a C
//! function is always an object of the collector and cannot be yielded over.

use std::os::raw::{c_int, c_void};

use super::*;

#[allow(non_camel_case_types)]
pub(crate) type lua_KContext = isize;
#[allow(non_camel_case_types)]
type lua_KFunction = unsafe extern "C-unwind" fn(*mut lua_State, c_int, lua_KContext) -> c_int;

pub(crate) const LUA_OPEQ: c_int = 0;

/// A call that cannot be yielded over.
pub(crate) unsafe fn lua_callk(
    state: *mut lua_State,
    nargs: c_int,
    nresults: c_int,
    _context: lua_KContext,
    _k: Option<lua_KFunction>,
) {
    // SAFETY: passed on.
    unsafe { lua_call(state, nargs, nresults) }
}

/// As [`lua_callk`].
pub(crate) unsafe fn lua_pcallk(
    state: *mut lua_State,
    nargs: c_int,
    nresults: c_int,
    handler: c_int,
    _context: lua_KContext,
    _k: Option<lua_KFunction>,
) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_pcall(state, nargs, nresults, handler) }
}

pub(crate) unsafe fn lua_compare(state: *mut lua_State, a: c_int, b: c_int, op: c_int) -> c_int {
    debug_assert_eq!(op, LUA_OPEQ);
    // SAFETY: passed on.
    unsafe { lua_equal(state, a, b) }
}

/// Needs one free place, and no more.
#[inline(always)]
pub(crate) unsafe fn lua_copy(state: *mut lua_State, from: c_int, to: c_int) {
    // SAFETY: passed on; `to` is no index from the top.
    unsafe {
        debug_assert!(to > 0);
        lua_pushvalue(state, from);
        lua_replace(state, to);
    }
}

/// Pushes the table of globals of `state`.
///
/// # Safety
///
/// There is room for one value.
pub(crate) unsafe fn push_globals(state: *mut lua_State) {
    // SAFETY: passed on.
    unsafe { lua_pushvalue(state, LUA_GLOBALSINDEX) }
}

/// Calls `function` protected, with `argument` as its only argument and no message handler, and returns whether it raised
/// nothing.
///
/// # Safety
///
/// `state` is a running state with a free place.
pub(crate) unsafe fn call_bare(
    state: *mut lua_State,
    function: lua_CFunction,
    argument: *mut c_void,
) -> bool {
    // SAFETY: `lua_cpcall` makes the function's object protected.
    unsafe {
        let status = lua_cpcall(state, function, argument);
        if status != LUA_OK {
            lua_pop(state, 1);
        }
        status == LUA_OK
    }
}

/// Pushes the environment of the function at `index`, if it is one of Lua's, and returns whether it is.
///
/// # Safety
///
/// There is a function at `index`, and room for one value.
pub(crate) unsafe fn push_environment(state: *mut lua_State, index: c_int) -> bool {
    // SAFETY: reading an environment does not raise.
    unsafe {
        if lua_iscfunction(state, index) != 0 {
            return false;
        }
        lua_getfenv(state, index);
        true
    }
}

/// Makes the table at 2 the environment of the function at 1, and returns whether that is one of Lua's.
///
/// # Safety
///
/// There are these values, and a free place.
pub(crate) unsafe fn set_environment(state: *mut lua_State) -> bool {
    // SAFETY: setting the environment of a function does not raise.
    unsafe {
        if lua_iscfunction(state, 1) != 0 {
            return false;
        }
        lua_pushvalue(state, 2);
        lua_setfenv(state, 1);
        true
    }
}
