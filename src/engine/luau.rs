//! Luau: a language that began as Lua 5.1, with finalizers for userdata only, which run in the sweep and must not touch the
//! VM; a C function is always an object of the collector, and tells by a continuation of its own how to go on after a yield.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::raw::{c_char, c_int};
use std::ptr;

pub(crate) use super::before54::{lua_getiuservalue, lua_newuserdatauv, lua_rotate, USER_VALUES};
pub(crate) use super::family51::{
    call_bare, lua_KContext, lua_callk, lua_compare, lua_copy, lua_pcallk, push_environment,
    push_globals, set_environment, LUA_OPEQ,
};
pub(crate) use super::growing::*;
pub(crate) use ffi::*;

pub(crate) const FINALIZERS_RAISE: bool = false;
pub(crate) const REF_BITS: u32 = 16;

pub(crate) const LUA_LOADED_TABLE: *const c_char = c"_LOADED".as_ptr();

/// The integers of this library: those that a `number` of Luau has been for C code all along.
#[allow(non_camel_case_types)]
pub(crate) type lua_Integer = i32;

#[inline(always)]
pub(crate) unsafe fn lua_rawgeti(state: *mut lua_State, index: c_int, n: lua_Integer) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_rawgeti_(state, index, n) }
}

#[inline(always)]
pub(crate) unsafe fn lua_rawseti(state: *mut lua_State, index: c_int, n: lua_Integer) {
    // SAFETY: passed on.
    unsafe { lua_rawseti_(state, index, n) }
}

#[inline(always)]
pub(crate) unsafe fn lua_geti(state: *mut lua_State, index: c_int, n: lua_Integer) -> c_int {
    // SAFETY: passed on.
    unsafe {
        let index = lua_absindex(state, index);
        lua_pushinteger(state, n);
        lua_gettable(state, index)
    }
}

/// Needs one free place.
#[inline(always)]
pub(crate) unsafe fn lua_seti(state: *mut lua_State, index: c_int, n: lua_Integer) {
    // SAFETY: passed on.
    unsafe {
        let index = lua_absindex(state, index);
        lua_pushinteger(state, n);
        lua_insert(state, -2);
        lua_settable(state, index);
    }
}

#[inline(always)]
pub(crate) unsafe fn lua_pushinteger(state: *mut lua_State, n: lua_Integer) {
    // SAFETY: passed on.
    unsafe { lua_pushnumber(state, lua_Number::from(n)) }
}

/// The integer that the value at `index` is or can be read as; 0 if it is none, or a larger one.
pub(crate) unsafe fn lua_tointegerx(
    state: *mut lua_State,
    index: c_int,
    is_integer: *mut c_int,
) -> lua_Integer {
    // SAFETY: passed on.
    unsafe {
        let mut is_number = 0;
        let number = lua_tonumberx(state, index, &mut is_number);
        let integer = number as lua_Integer;
        let ok = is_number != 0 && lua_Number::from(integer) == number;
        if !is_integer.is_null() {
            *is_integer = c_int::from(ok);
        }
        if ok {
            integer
        } else {
            0
        }
    }
}

#[inline(always)]
pub(crate) unsafe fn lua_tointeger(state: *mut lua_State, index: c_int) -> lua_Integer {
    // SAFETY: passed on.
    unsafe { lua_tointegerx(state, index, ptr::null_mut()) }
}

/// Whether the value at `index` is a number that is an integer, and not minus zero.
#[inline(always)]
pub(crate) unsafe fn lua_isinteger(state: *mut lua_State, index: c_int) -> c_int {
    // SAFETY: passed on.
    unsafe {
        if lua_type(state, index) != LUA_TNUMBER {
            return 0;
        }
        let number = lua_tonumber(state, index);
        let integer = lua_Number::from(number as lua_Integer);
        c_int::from(integer.to_bits() == number.to_bits())
    }
}

/// The 64-bit integer at `index`, as a float if it is too large for an integer of this library.
pub(crate) unsafe fn integer_at(
    state: *mut lua_State,
    index: c_int,
) -> Result<lua_Integer, lua_Number> {
    // SAFETY: passed on: a plain read.
    let integer = unsafe { lua_tointeger64(state, index, ptr::null_mut()) };
    lua_Integer::try_from(integer).map_err(|_| integer as lua_Number)
}

/// The length of the value at `index`, with metamethods.
#[allow(non_snake_case)]
pub(crate) unsafe fn luaL_len(state: *mut lua_State, index: c_int) -> lua_Integer {
    // SAFETY: passed on.
    unsafe { ffi::luaL_len(state, index) as lua_Integer }
}

/// Clears the stack of `thread`, which is not running.
pub(crate) unsafe fn lua_closethread(thread: *mut lua_State, _from: *mut lua_State) -> c_int {
    // SAFETY: passed on. There are no variables to be closed.
    unsafe { lua_resetthread(thread) };
    LUA_OK
}

/// What Luau tells about a function, in the form of Lua 5.4.
#[allow(non_camel_case_types)]
pub(crate) struct lua_Debug {
    pub(crate) name: *const c_char,
    pub(crate) namewhat: *const c_char,
    pub(crate) what: *const c_char,
    pub(crate) source: *const c_char,
    pub(crate) short_src: [c_char; 256],
    pub(crate) currentline: c_int,
    pub(crate) linedefined: c_int,
    pub(crate) lastlinedefined: c_int,
    pub(crate) nups: u8,
    pub(crate) nparams: u8,
    pub(crate) isvararg: c_char,
    level: c_int,
}

/// Fills in the level of `debug` if there is one.
pub(crate) unsafe fn lua_getstack(
    state: *mut lua_State,
    level: c_int,
    debug: *mut lua_Debug,
) -> c_int {
    // SAFETY: `debug` can be written to; the depth is a plain read.
    unsafe {
        let exists = (0..lua_stackdepth(state)).contains(&level);
        if exists {
            (*debug).level = level;
        }
        c_int::from(exists)
    }
}

/// As that of Lua 5.4 for the parts `n`, `S`, `l`, `u`, `f`, and `>` in front.
pub(crate) unsafe fn lua_getinfo(
    state: *mut lua_State,
    what: *const c_char,
    debug: *mut lua_Debug,
) -> c_int {
    // SAFETY: passed on. An empty record is a valid one.
    unsafe {
        let what = CStr::from_ptr(what).to_bytes();
        let of_value = what.first() == Some(&b'>');
        let level = if of_value { -1 } else { (*debug).level };
        let mut asked = [0; 8];
        let parts = what.iter().filter_map(|part| match part {
            b'n' | b'l' | b'f' => Some(*part),
            b'S' => Some(b's'),
            b'u' => Some(b'a'),
            _ => None,
        });
        for (place, part) in asked.iter_mut().take(7).zip(parts) {
            *place = part;
        }
        let mut found = MaybeUninit::<ffi::lua_Debug>::zeroed();
        let asked = asked.as_ptr() as *const c_char;
        let ok = ffi::lua_getinfo(state, level, asked, found.as_mut_ptr());
        if of_value {
            lua_pop(state, 1);
        }
        let found = found.assume_init();
        fill(&mut *debug, &found, what);
        ok
    }
}

/// # Safety
///
/// `found` has been filled in with what `what` asks for.
unsafe fn fill(debug: &mut lua_Debug, found: &ffi::lua_Debug, what: &[u8]) {
    if what.contains(&b'n') {
        debug.name = found.name;
        debug.namewhat = match found.name.is_null() {
            true => c"".as_ptr(),
            false => c"function".as_ptr(),
        };
    }
    if what.contains(&b'S') {
        debug.what = found.what;
        debug.source = found.source;
        debug.linedefined = found.linedefined;
        debug.lastlinedefined = -1;
        // SAFETY: `short_src` is a C string.
        let short = unsafe { CStr::from_ptr(found.short_src) }.to_bytes();
        let n = short.len().min(debug.short_src.len() - 1);
        for (to, from) in debug.short_src.iter_mut().zip(&short[..n]) {
            *to = *from as c_char;
        }
        debug.short_src[n] = 0;
    }
    if what.contains(&b'l') {
        debug.currentline = found.currentline;
    }
    if what.contains(&b'u') {
        debug.nups = found.nupvals;
        debug.nparams = found.nparams;
        debug.isvararg = found.isvararg;
    }
}

/// Luau makes no tail calls.
pub(crate) fn is_tail_call(_debug: &lua_Debug) -> bool {
    false
}

/// The main thread of the VM of `state`.
pub(crate) unsafe fn main_thread(state: *mut lua_State) -> *mut lua_State {
    // SAFETY: passed on.
    unsafe { lua_mainthread(state) }
}

/// Sets the function that is called for an error outside of any protected call.
pub(crate) unsafe fn lua_atpanic(
    state: *mut lua_State,
    function: unsafe extern "C-unwind" fn(*mut lua_State) -> c_int,
) {
    let _ = (state, function);
}

pub(crate) const LUA_GCSETPAUSE: c_int = LUA_GCSETGOAL;

/// As Luau's own, with parameters of the collector that it can count with: it divides by the multiplier of steps, and multiplies
/// both in the type `int`.
pub(crate) unsafe fn lua_gc(state: *mut lua_State, what: c_int, argument: c_int) -> c_int {
    const MOST_PAUSE: c_int = 2_000;
    const MOST_STEPMUL: c_int = 1_000_000;
    const _: () = assert!(MOST_PAUSE.checked_mul(MOST_STEPMUL).is_some());

    let argument = match what {
        LUA_GCSETGOAL => argument.clamp(0, MOST_PAUSE),
        LUA_GCSETSTEPMUL => argument.clamp(1, MOST_STEPMUL),
        _ => argument,
    };
    // SAFETY: passed on.
    unsafe { ffi::lua_gc(state, what, argument) }
}
