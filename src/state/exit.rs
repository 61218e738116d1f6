//! `os.exit`.
//!
//! With a true second argument it closes the VM before it ends the process. What belongs to the thread is dropped after that,
//! so the instance has to know.

use std::os::raw::c_int;
use std::process;

use super::close::close_vm;
use crate::call::find_inner;
use crate::engine;

/// Opens the library `os`, with our `exit`.
///
/// # Safety
///
/// Called by Lua.
pub(super) unsafe extern "C-unwind" fn open_os(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua, with nothing to drop. The library leaves its table on top.
    unsafe {
        engine::luaopen_os(state);
        engine::lua_pushcfunction(state, exit);
        engine::lua_setfield(state, -2, c"exit".as_ptr());
    }
    1
}

/// The library function `os.exit`.
unsafe extern "C-unwind" fn exit(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua. There is nothing to drop while the arguments are checked; the VM is closed once, and nothing
    // of what was running in it goes on.
    unsafe {
        let code = if engine::lua_isboolean(state, 1) != 0 {
            c_int::from(engine::lua_toboolean(state, 1) == 0)
        } else {
            engine::luaL_optinteger(state, 1, 0) as c_int
        };
        if engine::lua_toboolean(state, 2) != 0 {
            if let Some(inner) = find_inner(state).as_ref().filter(|inner| inner.is_alive()) {
                inner.begin_last_close();
                close_vm(inner);
            }
        }
        process::exit(code)
    }
}
