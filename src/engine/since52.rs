//! What all Luas since 5.2 have in common: globals and the main thread lie in the registry, functions have their environment
//! in an upvalue, a C function without upvalues is a plain value, and `lua_checkstack` raises nothing.

use std::ffi::CStr;
use std::os::raw::{c_int, c_void};

use ffi::*;

/// Pushes the table of globals.
///
/// # Safety
///
/// There is room for one value.
pub(crate) unsafe fn push_globals(state: *mut lua_State) {
    // SAFETY: a plain entry of the registry.
    unsafe { lua_rawgeti(state, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS) };
}

pub(crate) fn is_tail_call(debug: &lua_Debug) -> bool {
    debug.istailcall != 0
}

/// `lua_load` protects itself.
pub(crate) const LOADING_RAISES: bool = false;
#[cfg(not(feature = "lua55"))]
pub(crate) const DUMPING_RAISES: bool = false;

/// The main thread of the VM of `state`.
///
/// # Safety
///
/// There is room for one value.
pub(crate) unsafe fn main_thread(state: *mut lua_State) -> *mut lua_State {
    // SAFETY: every registry has the main thread there.
    unsafe {
        lua_rawgeti(state, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
        let main = lua_tothread(state, -1);
        lua_pop(state, 1);
        main
    }
}

/// Calls `function` protected, with `argument` as its only argument and no message handler, and returns whether it raised
/// nothing.
///
/// # Safety
///
/// `state` is a running state with two free places.
pub(crate) unsafe fn call_bare(
    state: *mut lua_State,
    function: lua_CFunction,
    argument: *mut c_void,
) -> bool {
    // SAFETY: neither push takes memory.
    unsafe {
        lua_pushcfunction(state, function);
        lua_pushlightuserdata(state, argument);
        let status = lua_pcall(state, 1, 0, 0);
        if status != LUA_OK {
            lua_pop(state, 1);
        }
        status == LUA_OK
    }
}

/// Runs `body` while the collector does not run by itself, so that no finalizer runs in there.
///
/// # Safety
///
/// `state` is a state of an open VM. `body` raises nothing.
#[cfg(raising_finalizers)]
pub(crate) unsafe fn without_collector<R>(state: *mut lua_State, body: impl FnOnce() -> R) -> R {
    struct Restart(*mut lua_State);
    impl Drop for Restart {
        fn drop(&mut self) {
            // SAFETY: the VM is open; this raises nothing.
            unsafe { lua_gc(self.0, LUA_GCRESTART, 0) };
        }
    }
    // SAFETY: neither request raises.
    let _restart = unsafe {
        (lua_gc(state, LUA_GCISRUNNING, 0) != 0).then(|| {
            lua_gc(state, LUA_GCSTOP, 0);
            Restart(state)
        })
    };
    body()
}

/// Sees to it that the collector does not run before the next allocation.
///
/// On Lua 5.2 it may run whenever a C function is called, on 5.3 whenever the stack has to grow for one. That may be a message
/// handler: an error in a finalizer would then take the place of the one that is to be handled.
///
/// # Safety
///
/// `state` is a state of an open VM.
#[cfg(raising_finalizers)]
pub(crate) unsafe fn put_off_collection(state: *mut lua_State) {
    // SAFETY: neither request raises. To start the collector again takes back what was allocated too much for it to wait.
    unsafe {
        if lua_gc(state, LUA_GCISRUNNING, 0) != 0 {
            lua_gc(state, LUA_GCRESTART, 0);
        }
    }
}

/// Pushes the environment of the function at `index`, if it has one, and returns whether it has.
///
/// # Safety
///
/// There is a function at `index`, and room for one value.
pub(crate) unsafe fn push_environment(state: *mut lua_State, index: c_int) -> bool {
    // SAFETY: passed on.
    unsafe { find_environment(state, index).is_some() }
}

/// Makes the table at 2 the environment of the function at 1, and returns whether it has one.
///
/// # Safety
///
/// May raise. There are these values, and `LUA_MINSTACK` free places.
pub(crate) unsafe fn set_environment(state: *mut lua_State) -> bool {
    // SAFETY: the caller runs protected. The chunk that is loaded is a function with one upvalue, which nobody else shares.
    unsafe {
        let Some(n) = find_environment(state, 1) else {
            return false;
        };
        if luaL_loadstring(state, c"".as_ptr()) != LUA_OK {
            lua_error(state);
        }
        lua_pushvalue(state, 2);
        lua_setupvalue(state, -2, 1);
        lua_upvaluejoin(state, 1, n, -1, 1);
        true
    }
}

/// Makes the table on top, which is popped, the environment of the function below it, which was just loaded.
///
/// # Safety
///
/// There are these values.
pub(crate) unsafe fn set_chunk_environment(state: *mut lua_State) {
    // SAFETY: setting an upvalue does not raise; that of a main function is its environment.
    unsafe {
        if lua_setupvalue(state, -2, 1).is_null() {
            // A binary chunk of a function without upvalues, which needs no environment.
            lua_pop(state, 1);
        }
    }
}

/// Looks for the upvalue that holds the environment of the function at `index`. Pushes it and returns its number if there
/// is one.
unsafe fn find_environment(state: *mut lua_State, index: c_int) -> Option<c_int> {
    // SAFETY: reading upvalues does not raise.
    unsafe {
        if lua_iscfunction(state, index) != 0 {
            return None;
        }
        for n in 1.. {
            let name = lua_getupvalue(state, index, n);
            if name.is_null() {
                break;
            }
            if CStr::from_ptr(name) == c"_ENV" {
                return Some(n);
            }
            lua_pop(state, 1);
        }
        None
    }
}
