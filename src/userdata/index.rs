//! `__index` and `__newindex` of userdata with getters or setters, and `__index` of those whose value is gone.
//!
//! These are plain C functions: they allocate nothing on the Rust side and have nothing to drop, so an error may jump over
//! them.

use std::ffi::CStr;
use std::os::raw::c_int;

use super::method::call_field;
use crate::call::callback::enter;
use crate::call::inner_of;
use crate::error::Error;

/// `__index`. Its upvalues are the table of getters, the table of methods or nil, and what `__index` the type has itself.
///
/// # Safety
///
/// Called by Lua, as a closure with these upvalues.
pub(super) unsafe extern "C-unwind" fn index(state: *mut ffi::lua_State) -> c_int {
    const METHODS: c_int = ffi::lua_upvalueindex(2);
    // SAFETY: raw reads of tables do not raise; a missing argument reads as nil. What follows may raise.
    unsafe {
        ffi::lua_pushvalue(state, 2);
        if ffi::lua_rawget(state, ffi::lua_upvalueindex(1)) == ffi::LUA_TUSERDATA {
            return call_field(state);
        }
        let has_methods = ffi::lua_type(state, METHODS) == ffi::LUA_TTABLE;
        if has_methods {
            ffi::lua_pushvalue(state, 2);
            if ffi::lua_rawget(state, METHODS) != ffi::LUA_TNIL {
                return 1;
            }
        }
        const OWN: c_int = ffi::lua_upvalueindex(3);
        ffi::lua_settop(state, 2);
        match ffi::lua_type(state, OWN) {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, OWN);
                ffi::lua_insert(state, 1);
                ffi::lua_callk(state, 2, 1, 1, Some(go_on));
                1
            }
            ffi::LUA_TTABLE => {
                ffi::lua_gettable(state, OWN);
                1
            }
            _ if has_methods => {
                ffi::lua_pushnil(state);
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
pub(super) unsafe extern "C-unwind" fn new_index(state: *mut ffi::lua_State) -> c_int {
    const OWN: c_int = ffi::lua_upvalueindex(2);
    // SAFETY: as in `index`.
    unsafe {
        ffi::lua_settop(state, 3);
        ffi::lua_pushvalue(state, 2);
        if ffi::lua_rawget(state, ffi::lua_upvalueindex(1)) == ffi::LUA_TUSERDATA {
            return call_field(state);
        }
        ffi::lua_pop(state, 1);
        match ffi::lua_type(state, OWN) {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, OWN);
                ffi::lua_insert(state, 1);
                ffi::lua_callk(state, 3, 0, 0, Some(go_on));
                0
            }
            ffi::LUA_TTABLE => {
                ffi::lua_settable(state, OWN);
                0
            }
            _ => unknown_field(state, c"attempt to set an unknown field '"),
        }
    }
}

/// Goes on after what the type has itself has yielded: with `n` results.
unsafe extern "C-unwind" fn go_on(_: *mut ffi::lua_State, _: c_int, n: ffi::lua_KContext) -> c_int {
    n as c_int
}

/// Raises an error about the field whose key is at index 2.
#[cold]
unsafe fn unknown_field(state: *mut ffi::lua_State, text: &'static CStr) -> c_int {
    // SAFETY: a C function has room for these values; nothing here needs a drop.
    unsafe {
        ffi::lua_pushstring(state, text.as_ptr());
        ffi::luaL_tolstring(state, 2, std::ptr::null_mut());
        ffi::lua_pushstring(state, c"'".as_ptr());
        ffi::lua_concat(state, 3);
        ffi::lua_error(state)
    }
}

/// All metamethods of userdata whose value is gone.
///
/// # Safety
///
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn destructed(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: entered by Lua as a C function.
    unsafe {
        enter(inner_of(state), state, |_, _| {
            Err(Error::CallbackDestructed)
        })
    }
}
