//! Threads whose stacks grow as they are used: all but those of Lua 5.1 and LuaJIT, see `lua51.rs`.

use std::os::raw::c_int;

use super::*;

/// Whether a reference thread gets its whole stack when it is made.
pub(crate) const WHOLE_THREADS: bool = false;
/// How many slots of a reference thread the top of its stack always stays above.
pub(crate) const FLOOR: u32 = 0;

pub(crate) unsafe fn prepare_whole_thread(_state: *mut lua_State, _thread: *mut lua_State) {}

pub(crate) unsafe fn make_whole(
    _thread: *mut lua_State,
    _from: *mut lua_State,
    _room: c_int,
) -> bool {
    true
}

/// Makes room for `n` values on the stack of the running `state`, without raising anything, and returns whether there is.
///
/// # Safety
///
/// `state` is a running state.
pub(crate) unsafe fn check_running_stack(state: *mut lua_State, n: c_int) -> bool {
    // SAFETY: passed on.
    unsafe { lua_checkstack(state, n) != 0 }
}
