//! `pcall` and `xpcall` that let Rust panics pass, for instances without
//! [`LuaOptions::catch_rust_panics`](crate::LuaOptions::catch_rust_panics).
//!
//! They are C functions in the strict sense: none of their frames has anything to drop, since errors and yields jump over
//! them.

use std::os::raw::c_int;

use crate::call::failure::{failure_at, Failure};
use crate::call::inner_of;
use crate::engine;

/// Puts both in the place of the ones of the basic library.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn install(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_pushcfunction(state, pcall);
        engine::lua_setglobal(state, c"pcall".as_ptr());
        engine::lua_pushcfunction(state, xpcall);
        engine::lua_setglobal(state, c"xpcall".as_ptr());
    }
}

unsafe extern "C-unwind" fn pcall(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua. The result of a call that succeeds is `true` and what the function returned.
    unsafe {
        engine::luaL_checkany(state, 1);
        engine::lua_pushboolean(state, 1);
        engine::lua_insert(state, 1);
        let nargs = engine::lua_gettop(state) - 2;
        let status = engine::lua_pcallk(state, nargs, engine::LUA_MULTRET, 0, 0, Some(go_on));
        finish(state, status, 0)
    }
}

unsafe extern "C-unwind" fn xpcall(state: *mut engine::lua_State) -> c_int {
    const HANDLER: c_int = 2;
    // SAFETY: entered by Lua. Before the call the stack holds: function, handler, true, function, arguments.
    unsafe {
        engine::luaL_checktype(state, HANDLER, engine::LUA_TFUNCTION);
        let nargs = engine::lua_gettop(state) - 2;
        engine::lua_pushvalue(state, HANDLER);
        engine::lua_pushcclosure(state, handler, 1);
        engine::lua_replace(state, HANDLER);
        engine::lua_pushboolean(state, 1);
        engine::lua_pushvalue(state, 1);
        engine::lua_rotate(state, 3, 2);
        let status = engine::lua_pcallk(state, nargs, engine::LUA_MULTRET, HANDLER, 2, Some(go_on));
        finish(state, status, 2)
    }
}

engine::continuation! {
    /// Goes on with either after the called function has yielded.
    unsafe fn go_on(state, status, skip) {
        // SAFETY: entered by Lua after `lua_pcallk`.
        unsafe { finish(state, status, skip as c_int) }
    }
}

/// The end of both: `skip` values at the bottom are no results.
unsafe fn finish(state: *mut engine::lua_State, status: c_int, skip: c_int) -> c_int {
    // SAFETY: called after `lua_pcallk`, which leaves the error object on top.
    unsafe {
        if status == engine::LUA_OK || status == engine::LUA_YIELD {
            return engine::lua_gettop(state) - skip;
        }
        if is_panic(state) {
            engine::lua_error(state);
        }
        engine::lua_pushboolean(state, 0);
        engine::lua_insert(state, -2);
        2
    }
}

/// The message handler of `xpcall`: calls that of the program, which does not get to see a panic.
unsafe extern "C-unwind" fn handler(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua with the error object; the handler of the program is the upvalue.
    unsafe {
        if !is_panic(state) {
            engine::lua_pushvalue(state, engine::lua_upvalueindex(1));
            engine::lua_insert(state, 1);
            engine::lua_call(state, 1, 1);
        }
    }
    1
}

/// Whether the value on top is a panic that nobody has gone on with yet.
unsafe fn is_panic(state: *mut engine::lua_State) -> bool {
    // SAFETY: entered from Lua; the reference ends here.
    unsafe {
        matches!(
            failure_at(inner_of(state).as_ref(), state, -1),
            Some(Failure::Panic(Some(_)))
        )
    }
}
