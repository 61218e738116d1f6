//! Lua 5.1 and LuaJIT: numbers are floats; functions have an environment; a C function is always an object of the
//! collector; the stack of a thread ends at 8,000 values; C functions cannot be yielded over.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};

#[cfg(all(feature = "lua51", feature = "async"))]
pub(crate) use super::before54::lua_isyieldable;
pub(crate) use super::before54::{
    lua_newuserdatauv, lua_rawgeti, lua_rawseti, lua_rotate, USER_VALUES,
};
pub(crate) use super::family51::{
    call_bare, lua_KContext, lua_callk, lua_compare, lua_copy, lua_pcallk, push_environment,
    push_globals, set_environment, LUA_OPEQ,
};
pub(crate) use ffi::*;

/// The LuaJIT that is built from source has ended errors in finalizers where they are raised since 2023. One of the system
/// may be older.
pub(crate) const FINALIZERS_RAISE: bool = cfg!(not(all(feature = "luajit", feature = "vendored")));
/// The check of the mode makes its message without protection, and LuaJIT runs the collector after it has loaded a chunk.
pub(crate) const LOADING_RAISES: bool = true;
pub(crate) const DUMPING_RAISES: bool = false;
pub(crate) const REF_BITS: u32 = 9;

/// As that of the bindings, without a check of the stack, which may raise. Needs one free place.
#[inline(always)]
pub(crate) unsafe fn lua_rawsetp(state: *mut lua_State, index: c_int, key: *const c_void) {
    // SAFETY: passed on.
    unsafe {
        let index = lua_absindex(state, index);
        lua_pushlightuserdata(state, key as *mut c_void);
        lua_insert(state, -2);
        lua_rawset(state, index)
    }
}

/// Whether what `lua_getinfo` has been asked about, with "t", is a tail call. On Lua 5.1 that is a level of its own, which
/// nothing else is known about; LuaJIT does not tell.
pub(crate) fn is_tail_call(debug: &lua_Debug) -> bool {
    // SAFETY: `lua_getinfo` has filled it in with a literal.
    unsafe { *debug.what as u8 == b't' }
}

/// Also of strings, of which there is one for each text.
#[cfg(feature = "lua51")]
#[inline(always)]
pub(crate) unsafe fn lua_topointer(state: *mut lua_State, index: c_int) -> *const c_void {
    // SAFETY: passed on; on a string, `lua_tolstring` is a plain read.
    unsafe {
        if lua_type(state, index) == LUA_TSTRING {
            return lua_tolstring(state, index, std::ptr::null_mut()) as *const c_void;
        }
        ffi::lua_topointer(state, index)
    }
}

/// With "S" in the place of "t", which this Lua does not know.
pub(crate) unsafe fn lua_getinfo(
    state: *mut lua_State,
    what: *const c_char,
    debug: *mut lua_Debug,
) -> c_int {
    // SAFETY: passed on, in a C string that is not longer.
    unsafe {
        let mut asked = [0; 16];
        let what = CStr::from_ptr(what).to_bytes();
        for (to, &from) in asked[..15].iter_mut().zip(what) {
            *to = if from == b't' { b'S' } else { from } as c_char;
        }
        ffi::lua_getinfo(state, asked.as_ptr(), debug)
    }
}

/// A reference thread gets its whole stack when it is made. To make the stack of a thread larger that is not running may raise
/// an error that nothing catches, and can run finalizers on that thread; so it is done while the thread is still nobody's, by
/// running it: it asks for the stack and yields, for good.
pub(crate) const WHOLE_THREADS: bool = true;
/// How many slots of a reference thread the top of its stack always stays above. LuaJIT's collector halves a stack that is used
/// to less than a quarter, where a stack has at most 64 places more than it was asked to have room for. That of Lua 5.1 leaves
/// a function that has yielded what it has asked for.
pub(crate) const FLOOR: u32 = if cfg!(feature = "luajit") {
    ((1 << REF_BITS) + 64) / 4
} else {
    0
};

/// Puts the function onto `thread` that [`make_whole`] runs.
///
/// # Safety
///
/// May raise.
#[cfg(feature = "lua51")]
pub(crate) unsafe fn prepare_whole_thread(state: *mut lua_State, thread: *mut lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        lua_pushcfunction(state, make_room);
        lua_xmove(state, thread, 1);
    }
}

/// Makes room on the stack of `thread` for `room` values, to stay, and returns whether there was memory for that. What lies
/// there is of no use.
///
/// # Safety
///
/// [`prepare_whole_thread`] has been called for `thread`, and nothing else done with it. `from` is the running state.
#[cfg(feature = "lua51")]
pub(crate) unsafe fn make_whole(thread: *mut lua_State, from: *mut lua_State, room: c_int) -> bool {
    // SAFETY: a coroutine that has not begun, with room for `LUA_MINSTACK` values.
    unsafe {
        lua_pushinteger(thread, lua_Integer::from(room));
        let mut nresults = 0;
        lua_resume(thread, from, 1, &mut nresults) == LUA_YIELD
    }
}

/// Yields nothing, with room for as many values as its argument says.
#[cfg(feature = "lua51")]
unsafe extern "C-unwind" fn make_room(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua, in a coroutine. Nothing here needs a drop.
    unsafe {
        let room = lua_tointeger(state, 1) as c_int;
        lua_settop(state, 0);
        luaL_checkstack(state, room, c"no stack".as_ptr());
        lua_yield(state, 0)
    }
}

#[cfg(feature = "luajit")]
pub(crate) unsafe fn prepare_whole_thread(_state: *mut lua_State, _thread: *mut lua_State) {}

/// As for Lua 5.1; but a coroutine cannot yield like any other while a finalizer runs, and after a protected call on a thread
/// LuaJIT does not run the collector, which would make the stack smaller again.
#[cfg(feature = "luajit")]
pub(crate) unsafe fn make_whole(
    thread: *mut lua_State,
    _from: *mut lua_State,
    room: c_int,
) -> bool {
    // SAFETY: a thread that runs nothing.
    unsafe { call_check(thread, room) }
}

/// The thread that stands for the main thread of the VM of `state`: `state` itself if that is the one, or else a thread of our
/// own, since there is no way from a coroutine to the main thread. Null if there is no memory for it.
///
/// # Safety
///
/// There is room for one value.
pub(crate) unsafe fn main_thread(state: *mut lua_State) -> *mut lua_State {
    static KEY: u8 = 0;
    unsafe extern "C-unwind" fn make(state: *mut lua_State) -> c_int {
        // SAFETY: called with the address of a pointer that is there meanwhile. The registry keeps the thread.
        unsafe {
            let place = lua_touserdata(state, 1) as *mut *mut lua_State;
            let thread = lua_newthread(state);
            lua_rawsetp(state, LUA_REGISTRYINDEX, &KEY as *const u8 as *const c_void);
            *place = thread;
        }
        0
    }
    // SAFETY: passed on.
    unsafe {
        let is_main = lua_pushthread(state) != 0;
        lua_pop(state, 1);
        if is_main {
            return state;
        }
        let mut thread = std::ptr::null_mut();
        call_bare(state, make, &raw mut thread as *mut c_void);
        thread
    }
}

/// Makes room for `n` values on the stack of the running `state`, without raising anything, and returns whether there is.
///
/// # Safety
///
/// `state` is a running state.
pub(crate) unsafe fn check_running_stack(state: *mut lua_State, n: c_int) -> bool {
    // SAFETY: once there has been memory for it, the stack is that large, or there is memory for it again.
    unsafe { call_check(state, n) && lua_checkstack(state, n) != 0 }
}

/// Calls `lua_checkstack` in a protected call on `state`, and returns whether that has made room.
unsafe fn call_check(state: *mut lua_State, n: c_int) -> bool {
    unsafe extern "C-unwind" fn check(state: *mut lua_State) -> c_int {
        // SAFETY: called with the address of a number that is there meanwhile.
        unsafe {
            let n = lua_touserdata(state, 1) as *mut c_int;
            if lua_checkstack(state, *n) != 0 {
                *n = 0;
            }
        }
        0
    }
    // SAFETY: passed on.
    unsafe {
        let mut wanted = n;
        call_bare(state, check, &raw mut wanted as *mut c_void);
        wanted == 0
    }
}

/// Runs `body`. This Lua does not tell whether the collector runs by itself, so it goes on to.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn without_collector<R>(_state: *mut lua_State, body: impl FnOnce() -> R) -> R {
    body()
}

/// Makes the table on top, which is popped, the environment of the function below it, which was just loaded.
///
/// # Safety
///
/// There are these values.
pub(crate) unsafe fn set_chunk_environment(state: *mut lua_State) {
    // SAFETY: as above.
    unsafe { lua_setfenv(state, -2) };
}

#[cfg(all(feature = "luajit", feature = "async"))]
extern "C-unwind" {
    pub(crate) fn lua_isyieldable(state: *mut lua_State) -> c_int;
}

/// The key that tells the user value of a userdata from any other environment that it may have.
static USER_VALUE: u8 = 0;

fn user_value_key() -> *const c_void {
    &USER_VALUE as *const u8 as *const c_void
}

/// The user value is a table in the place of the environment, which every userdata has.
pub(crate) unsafe fn lua_getiuservalue(state: *mut lua_State, index: c_int, n: c_int) -> c_int {
    debug_assert_eq!(n, 1);
    // SAFETY: raw reads; there is room for two values.
    unsafe {
        lua_getfenv(state, index);
        let is_ours = lua_rawgetp(state, -1, user_value_key()) != LUA_TNIL;
        lua_pop(state, 1);
        if !is_ours {
            lua_pop(state, 1);
            lua_pushnil(state);
        }
        lua_type(state, -1)
    }
}

/// The value on top is a table that has room for one more field, or nil.
pub(crate) unsafe fn lua_setiuservalue(state: *mut lua_State, index: c_int, n: c_int) {
    debug_assert_eq!(n, 1);
    // SAFETY: the table has room, so setting the field takes no memory. There is room for two values.
    unsafe {
        let index = lua_absindex(state, index);
        if lua_type(state, -1) == LUA_TTABLE {
            lua_pushboolean(state, 1);
            lua_rawsetp(state, -2, user_value_key());
        } else {
            lua_pop(state, 1);
            push_globals(state);
        }
        lua_setfenv(state, index);
    }
}
