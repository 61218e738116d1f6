//! Lua 5.5: as 5.4, but for the seed of a state and the parameters of the collector, which have a request of their own; for a
//! coroutine that closes itself; and for dumping a function, which takes memory.

use std::ffi::CStr;
use std::mem::size_of;
use std::os::raw::{c_int, c_void};
use std::ptr;

pub(crate) use super::growing::*;
pub(crate) use super::since52::*;
pub(crate) use ffi::*;

pub(crate) const USER_VALUES: c_int = 2;
pub(crate) const FINALIZERS_RAISE: bool = false;
pub(crate) const REF_BITS: u32 = 16;

/// The strings that were dumped already are kept in a table.
pub(crate) const DUMPING_RAISES: bool = true;

/// Makes a VM with a seed that nobody can know.
pub(crate) unsafe fn lua_newstate(allocate: lua_Alloc, data: *mut c_void) -> *mut lua_State {
    // SAFETY: passed on. The seed is made without a state.
    unsafe { ffi::lua_newstate(allocate, data, luaL_makeseed(ptr::null_mut())) }
}

/// Requests that the library makes by the numbers of Lua 5.4; none of 5.5 has them.
pub(crate) const LUA_GCSETPAUSE: c_int = 100;
pub(crate) const LUA_GCSETSTEPMUL: c_int = 101;

/// As that of Lua 5.4 for requests with no more than one argument.
pub(crate) unsafe fn lua_gc(state: *mut lua_State, what: c_int, argument: c_int) -> c_int {
    // SAFETY: passed on, with arguments of the types that each request reads.
    unsafe {
        match what {
            LUA_GCSETPAUSE => set_parameter(state, LUA_GCPPAUSE, argument),
            LUA_GCSETSTEPMUL => set_parameter(state, LUA_GCPSTEPMUL, argument),
            LUA_GCSTEP => steps(state, argument),
            _ => ffi::lua_gc(state, what),
        }
    }
}

/// Performs as many steps as `kbytes` take, one at the least; returns 1 if that has finished a cycle, and -1 in a finalizer. To
/// Lua 5.5 a step is a step, however much is asked for.
unsafe fn steps(state: *mut lua_State, kbytes: c_int) -> c_int {
    const ONE: usize = 0;
    // SAFETY: passed on. A negative value reads a parameter.
    unsafe {
        let size = i64::from(ffi::lua_gc(state, LUA_GCPARAM, LUA_GCPSTEPSIZE, -1)).max(1);
        let count = i64::from(kbytes) * 1024 / size;
        // Nothing tells of the end of a collection in generational mode. The work of a cycle is counted in words, of which no
        // object has more than bytes.
        let multiplier = i64::from(ffi::lua_gc(state, LUA_GCPARAM, LUA_GCPSTEPMUL, -1));
        let work = size / size_of::<usize>() as i64 * multiplier / 100;
        let used = i64::from(ffi::lua_gc(state, LUA_GCCOUNT)) * 1024;
        let enough = used / work.max(1) + 100;
        for _ in 0..count.min(enough).max(1) {
            match ffi::lua_gc(state, LUA_GCSTEP, ONE) {
                0 => {}
                finished_or_refused => return finished_or_refused,
            }
        }
        0
    }
}

/// Sets a parameter and returns its value before.
unsafe fn set_parameter(state: *mut lua_State, parameter: c_int, value: c_int) -> c_int {
    // SAFETY: passed on.
    unsafe { ffi::lua_gc(state, LUA_GCPARAM, parameter, value.max(0)) }
}

/// Sets those parameters that are not 0.
unsafe fn set_parameters<const N: usize>(state: *mut lua_State, parameters: [(c_int, c_int); N]) {
    for (parameter, value) in parameters {
        if value > 0 {
            // SAFETY: passed on.
            unsafe { set_parameter(state, parameter, value) };
        }
    }
}

/// Makes the collector incremental and returns the mode before. A parameter of 0 stays as it is. As in Lua 5.4, the size of a
/// step is the logarithm of its bytes.
pub(crate) unsafe fn gc_inc(
    state: *mut lua_State,
    pause: c_int,
    step_multiplier: c_int,
    step_size: c_int,
) -> c_int {
    let bytes = match step_size {
        ..=0 => 0,
        1..=29 => 1 << step_size,
        _ => 1 << 30,
    };
    // SAFETY: passed on.
    unsafe {
        set_parameters(
            state,
            [
                (LUA_GCPPAUSE, pause),
                (LUA_GCPSTEPMUL, step_multiplier),
                (LUA_GCPSTEPSIZE, bytes),
            ],
        );
        ffi::lua_gc(state, LUA_GCINC)
    }
}

/// Makes the collector generational and returns the mode before. A parameter of 0 stays as it is.
pub(crate) unsafe fn gc_gen(
    state: *mut lua_State,
    minor_multiplier: c_int,
    major_multiplier: c_int,
) -> c_int {
    // SAFETY: passed on.
    unsafe {
        set_parameters(
            state,
            [
                (LUA_GCPMINORMUL, minor_multiplier),
                (LUA_GCPMINORMAJOR, major_multiplier),
            ],
        );
        ffi::lua_gc(state, LUA_GCGEN)
    }
}

/// Opens the library `coroutine`, with our [`close`].
///
/// # Safety
///
/// Called by Lua.
pub(crate) unsafe extern "C-unwind" fn luaopen_coroutine(state: *mut lua_State) -> c_int {
    // SAFETY: entered by Lua, with nothing to drop. The library leaves its table on top.
    unsafe {
        ffi::luaopen_coroutine(state);
        guard_close(state);
    }
    1
}

/// Puts our [`close`] into the library `coroutine` that a host has opened, if it has.
///
/// # Safety
///
/// May raise. There are `LUA_MINSTACK` free places.
pub(crate) unsafe fn guard_coroutines(state: *mut lua_State) {
    // SAFETY: the caller runs protected. Raw reads call nothing of the program's.
    unsafe {
        let top = lua_gettop(state);
        if lua_getfield(state, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE {
            lua_pushstring(state, c"coroutine".as_ptr());
            if lua_rawget(state, -2) == LUA_TTABLE {
                guard_close(state);
            }
        }
        lua_settop(state, top);
    }
}

/// Puts our [`close`] around the one in the table on top.
unsafe fn guard_close(state: *mut lua_State) {
    const NAME: &CStr = c"close";
    // SAFETY: the callers run protected.
    unsafe {
        lua_pushstring(state, NAME.as_ptr());
        lua_pushvalue(state, -1);
        lua_rawget(state, -3);
        if lua_iscfunction(state, -1) != 0 {
            lua_pushcclosure(state, close, 1);
            lua_rawset(state, -3);
        } else {
            lua_pop(state, 2);
        }
    }
}

/// The library function `coroutine.close`, around that of Lua's.
///
/// Asked to close the coroutine that is running, that one leaps to where the coroutine was resumed, over all protected calls
/// in between and over the frames that made them, of which those of Rust have something to drop. Whoever calls Lua from C or
/// Rust does so without a continuation, and the coroutine cannot yield then; where it can yield, there is nobody whom that
/// would not leap over, too.
unsafe extern "C-unwind" fn close(state: *mut lua_State) -> c_int {
    const RUNNING: &CStr = c"attempt to close a coroutine across a C-call boundary";
    // SAFETY: entered by Lua; there is nothing to drop. The upvalue is Lua's own function, which takes its arguments from the
    // same stack. It refuses to close the main thread by itself.
    unsafe {
        let itself = lua_isnone(state, 1) != 0 || lua_tothread(state, 1) == state;
        if itself && lua_isyieldable(state) == 0 && main_thread(state) != state {
            return luaL_error(state, RUNNING.as_ptr());
        }
        match lua_tocfunction(state, lua_upvalueindex(1)) {
            Some(close) => close(state),
            None => 0,
        }
    }
}
