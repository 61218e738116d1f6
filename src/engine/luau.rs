//! Luau: a language that began as Lua 5.1, with finalizers for userdata only, which run in the sweep and must not touch the
//! VM; a C function is always an object of the collector, and tells by a continuation of its own how to go on after a yield.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr;

pub(crate) use ffi::*;

pub(crate) const USER_VALUES: c_int = 1;

/// Makes room for `n` values on the stack of the running `state`, and returns whether there is.
pub(crate) unsafe fn check_running_stack(state: *mut lua_State, n: c_int) -> bool {
    // SAFETY: passed on.
    unsafe { lua_checkstack(state, n) != 0 }
}

pub(crate) const FINALIZERS_RAISE: bool = false;
pub(crate) const REF_BITS: u32 = 16;

#[allow(non_camel_case_types)]
pub(crate) type lua_KContext = isize;
#[allow(non_camel_case_types)]
type lua_KFunction = unsafe extern "C-unwind" fn(*mut lua_State, c_int, lua_KContext) -> c_int;

pub(crate) const LUA_OPEQ: c_int = 0;
pub(crate) const LUA_LOADED_TABLE: *const c_char = c"_LOADED".as_ptr();

pub(crate) unsafe fn lua_newuserdatauv(
    state: *mut lua_State,
    size: usize,
    _uservalues: c_int,
) -> *mut c_void {
    // SAFETY: passed on.
    unsafe { lua_newuserdata(state, size) }
}

/// A call that cannot be yielded over.
pub(crate) unsafe fn lua_callk(
    state: *mut lua_State,
    nargs: c_int,
    nresults: c_int,
    _context: lua_KContext,
    _k: Option<lua_KFunction>,
) {
    // SAFETY: passed on.
    unsafe { lua_call(state, nargs, nresults) }
}

/// As [`lua_callk`].
pub(crate) unsafe fn lua_pcallk(
    state: *mut lua_State,
    nargs: c_int,
    nresults: c_int,
    handler: c_int,
    _context: lua_KContext,
    _k: Option<lua_KFunction>,
) -> c_int {
    // SAFETY: passed on.
    unsafe { lua_pcall(state, nargs, nresults, handler) }
}

pub(crate) unsafe fn lua_compare(state: *mut lua_State, a: c_int, b: c_int, op: c_int) -> c_int {
    debug_assert_eq!(op, LUA_OPEQ);
    // SAFETY: passed on.
    unsafe { lua_equal(state, a, b) }
}

/// Needs one free place, and no more.
#[inline(always)]
pub(crate) unsafe fn lua_copy(state: *mut lua_State, from: c_int, to: c_int) {
    // SAFETY: passed on; `to` is no index from the top.
    unsafe {
        debug_assert!(to > 0);
        lua_pushvalue(state, from);
        lua_replace(state, to);
    }
}

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

/// Without a check of the stack. Needs a free place.
pub(crate) unsafe fn lua_rotate(state: *mut lua_State, index: c_int, n: c_int) {
    // SAFETY: passed on: the values from `index` on are turned by one step at a time.
    unsafe {
        let index = lua_absindex(state, index);
        if n >= 0 {
            for _ in 0..n {
                lua_insert(state, index);
            }
        } else {
            for _ in n..0 {
                lua_pushvalue(state, index);
                lua_remove(state, index);
            }
        }
    }
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

/// Pushes the table of globals of `state`.
///
/// # Safety
///
/// There is room for one value.
pub(crate) unsafe fn push_globals(state: *mut lua_State) {
    // SAFETY: passed on.
    unsafe { lua_pushvalue(state, LUA_GLOBALSINDEX) }
}

/// The main thread of the VM of `state`.
pub(crate) unsafe fn main_thread(state: *mut lua_State) -> *mut lua_State {
    // SAFETY: passed on.
    unsafe { lua_mainthread(state) }
}

/// Calls `function` protected, with `argument` as its only argument and no message handler, and returns whether it raised
/// nothing.
///
/// # Safety
///
/// `state` is a running state with a free place.
pub(crate) unsafe fn call_bare(
    state: *mut lua_State,
    function: lua_CFunction,
    argument: *mut c_void,
) -> bool {
    // SAFETY: `lua_cpcall` makes the function's object protected.
    unsafe {
        let status = lua_cpcall(state, function, argument);
        if status != LUA_OK {
            lua_pop(state, 1);
        }
        status == LUA_OK
    }
}

/// Sets the function that is called for an error outside of any protected call.
pub(crate) unsafe fn lua_atpanic(
    state: *mut lua_State,
    function: unsafe extern "C-unwind" fn(*mut lua_State) -> c_int,
) {
    let _ = (state, function);
}

/// Whether a reference thread gets its whole stack when it is made: see `lua51.rs`.
pub(crate) const WHOLE_THREADS: bool = false;

pub(crate) unsafe fn prepare_whole_thread(_state: *mut lua_State, _thread: *mut lua_State) {}

pub(crate) unsafe fn make_whole(
    _thread: *mut lua_State,
    _from: *mut lua_State,
    _height: c_int,
    _spare: c_int,
) -> bool {
    true
}

/// Pushes the environment of the function at `index`, if it is one of Luau's, and returns whether it is.
///
/// # Safety
///
/// There is a function at `index`, and room for one value.
pub(crate) unsafe fn push_environment(state: *mut lua_State, index: c_int) -> bool {
    // SAFETY: reading an environment does not raise.
    unsafe {
        if lua_iscfunction(state, index) != 0 {
            return false;
        }
        lua_getfenv(state, index);
        true
    }
}

/// Makes the table at 2 the environment of the function at 1, and returns whether that is one of Luau's.
///
/// # Safety
///
/// There are these values, and a free place.
pub(crate) unsafe fn set_environment(state: *mut lua_State) -> bool {
    // SAFETY: setting the environment of a function does not raise.
    unsafe {
        if lua_iscfunction(state, 1) != 0 {
            return false;
        }
        lua_pushvalue(state, 2);
        lua_setfenv(state, 1);
        true
    }
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

/// Luau's userdata have no user values: theirs lie in a table with weak keys, by userdata.
pub(crate) unsafe fn lua_getiuservalue(state: *mut lua_State, index: c_int, n: c_int) -> c_int {
    debug_assert_eq!(n, 1);
    // SAFETY: passed on.
    unsafe { lua_getuservalue(state, index) }
}
