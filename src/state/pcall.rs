//! `pcall` and `xpcall` that let Rust panics pass, for instances without
//! [`LuaOptions::catch_rust_panics`](crate::LuaOptions::catch_rust_panics).
//!
//! They are C functions in the strict sense: none of their frames has anything to drop, since errors and yields jump over
//! them.

use std::os::raw::c_int;

use crate::call::failure::{failure_at, Failure};
use crate::call::inner_of;

/// Puts both in the place of the ones of the basic library.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn install(state: *mut ffi::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        ffi::lua_pushcfunction(state, pcall);
        ffi::lua_setglobal(state, c"pcall".as_ptr());
        ffi::lua_pushcfunction(state, xpcall);
        ffi::lua_setglobal(state, c"xpcall".as_ptr());
    }
}

unsafe extern "C-unwind" fn pcall(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: entered by Lua. The result of a call that succeeds is `true` and what the function returned.
    unsafe {
        ffi::luaL_checkany(state, 1);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        let nargs = ffi::lua_gettop(state) - 2;
        let status = ffi::lua_pcallk(state, nargs, ffi::LUA_MULTRET, 0, 0, Some(finish));
        finish(state, status, 0)
    }
}

unsafe extern "C-unwind" fn xpcall(state: *mut ffi::lua_State) -> c_int {
    const HANDLER: c_int = 2;
    // SAFETY: entered by Lua. Before the call the stack holds: function, handler, true, function, arguments.
    unsafe {
        ffi::luaL_checktype(state, HANDLER, ffi::LUA_TFUNCTION);
        let nargs = ffi::lua_gettop(state) - 2;
        ffi::lua_pushvalue(state, HANDLER);
        ffi::lua_pushcclosure(state, handler, 1);
        ffi::lua_replace(state, HANDLER);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rotate(state, 3, 2);
        let status = ffi::lua_pcallk(state, nargs, ffi::LUA_MULTRET, HANDLER, 2, Some(finish));
        finish(state, status, 2)
    }
}

/// The end of both: `skip` values at the bottom are no results.
unsafe extern "C-unwind" fn finish(
    state: *mut ffi::lua_State,
    status: c_int,
    skip: ffi::lua_KContext,
) -> c_int {
    // SAFETY: called after `lua_pcallk`, which leaves the error object on top.
    unsafe {
        if status == ffi::LUA_OK || status == ffi::LUA_YIELD {
            return ffi::lua_gettop(state) - skip as c_int;
        }
        if is_panic(state) {
            ffi::lua_error(state);
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_insert(state, -2);
        2
    }
}

/// The message handler of `xpcall`: calls that of the program, which does not get to see a panic.
unsafe extern "C-unwind" fn handler(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: entered by Lua with the error object; the handler of the program is the upvalue.
    unsafe {
        if !is_panic(state) {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, 1, 1);
        }
    }
    1
}

/// Whether the value on top is a panic that nobody has gone on with yet.
unsafe fn is_panic(state: *mut ffi::lua_State) -> bool {
    // SAFETY: entered from Lua; the reference ends here.
    unsafe {
        matches!(
            failure_at(inner_of(state).as_ref(), state, -1),
            Some(Failure::Panic(Some(_)))
        )
    }
}
