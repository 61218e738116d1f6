//! `__index` and `__newindex` of userdata with getters or setters, and `__index` of those whose value is gone.
//!
//! These are plain C functions: they allocate nothing on the Rust side and have nothing to drop, so an error may jump over
//! them.

use std::ffi::CStr;
use std::os::raw::c_int;

use super::method::call_field;
use crate::call::callback::enter;
use crate::call::inner_of;
use crate::engine;
use crate::error::Error;

/// `__index`. Its upvalues are the table of getters, the table of methods or nil, and what `__index` the type has itself.
///
/// # Safety
///
/// Called by Lua, as a closure with these upvalues.
pub(super) unsafe extern "C-unwind" fn index(state: *mut engine::lua_State) -> c_int {
    const METHODS: c_int = engine::lua_upvalueindex(2);
    // SAFETY: raw reads of tables do not raise; a missing argument reads as nil. What follows may raise.
    unsafe {
        engine::lua_pushvalue(state, 2);
        if engine::lua_rawget(state, engine::lua_upvalueindex(1)) == engine::LUA_TUSERDATA {
            return call_field(state);
        }
        let has_methods = engine::lua_type(state, METHODS) == engine::LUA_TTABLE;
        if has_methods {
            engine::lua_pushvalue(state, 2);
            if engine::lua_rawget(state, METHODS) != engine::LUA_TNIL {
                return 1;
            }
        }
        const OWN: c_int = engine::lua_upvalueindex(3);
        engine::lua_settop(state, 2);
        match engine::lua_type(state, OWN) {
            engine::LUA_TFUNCTION => {
                engine::lua_pushvalue(state, OWN);
                engine::lua_insert(state, 1);
                engine::lua_callk(state, 2, 1, 1, Some(go_on));
                1
            }
            engine::LUA_TTABLE => {
                engine::lua_gettable(state, OWN);
                1
            }
            // The function of Lua's around this one goes on.
            engine::LUA_TBOOLEAN => {
                engine::lua_pushnil(state);
                engine::lua_pushboolean(state, 1);
                2
            }
            _ if has_methods => {
                engine::lua_pushnil(state);
                1
            }
            _ => unknown_field(state, c"attempt to get an unknown field '"),
        }
    }
}

/// `__newindex`. Its upvalues are the table of setters and what `__newindex` the type has itself.
///
/// # Safety
///
/// Called by Lua, as a closure with these upvalues.
pub(super) unsafe extern "C-unwind" fn new_index(state: *mut engine::lua_State) -> c_int {
    const OWN: c_int = engine::lua_upvalueindex(2);
    // SAFETY: as in `index`.
    unsafe {
        engine::lua_settop(state, 3);
        engine::lua_pushvalue(state, 2);
        if engine::lua_rawget(state, engine::lua_upvalueindex(1)) == engine::LUA_TUSERDATA {
            return call_field(state);
        }
        engine::lua_pop(state, 1);
        match engine::lua_type(state, OWN) {
            engine::LUA_TFUNCTION => {
                engine::lua_pushvalue(state, OWN);
                engine::lua_insert(state, 1);
                engine::lua_callk(state, 3, 0, 0, Some(go_on));
                0
            }
            engine::LUA_TTABLE => {
                engine::lua_settable(state, OWN);
                0
            }
            engine::LUA_TBOOLEAN => {
                engine::lua_pushboolean(state, 1);
                1
            }
            _ => unknown_field(state, c"attempt to set an unknown field '"),
        }
    }
}

engine::continuation! {
    /// Goes on after what the type has itself has yielded: with `n` results.
    unsafe fn go_on(_state, _status, n) {
        n as c_int
    }
}

/// Raises an error about the field whose key is at index 2.
#[cold]
unsafe fn unknown_field(state: *mut engine::lua_State, text: &'static CStr) -> c_int {
    // SAFETY: a C function has room for these values; nothing here needs a drop.
    unsafe {
        engine::lua_pushstring(state, text.as_ptr());
        engine::luaL_tolstring(state, 2, std::ptr::null_mut());
        engine::lua_pushstring(state, c"'".as_ptr());
        engine::lua_concat(state, 3);
        engine::lua_error(state)
    }
}

/// All metamethods of userdata whose value is gone.
///
/// # Safety
///
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn destructed(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua as a C function.
    unsafe {
        enter(inner_of(state), state, |_, _| {
            Err(Error::CallbackDestructed)
        })
    }
}
