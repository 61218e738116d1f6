//! Tracebacks, as `luaL_traceback` writes them, without its cost.
//!
//! The functions of the levels are read first, so that one search finds the [names] of all that are global; then a line is
//! written for each level.

use std::cell::Cell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::raw::{c_int, c_void};

use super::failure::{failure_at, raise_no_memory};
use super::names::{self, is_field, Name};
use crate::engine;
use crate::stack::ensure;
use crate::state::LuaInner;

/// Levels shown at the top and at the bottom of a deep stack.
const HEAD: c_int = if cfg!(feature = "lua52") { 11 } else { 10 };
const TAIL: c_int = 11;
/// A stack that is deeper by one is shown whole: the line would only take another's place.
const MOST: c_int = HEAD + TAIL + 1;
/// Free places that a traceback takes.
const STACK: c_int = 2 + names::STACK;

/// The message handler of protected calls: makes a text with a traceback of an error that is not a failure of ours.
///
/// # Safety
///
/// Called by Lua.
pub(crate) unsafe extern "C-unwind" fn message_handler(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua with the error object as argument.
    unsafe { describe(state, state, 0) };
    1
}

/// Replaces the error object at 1 with its text and a traceback of the coroutine `thread`, which it has ended.
///
/// # Safety
///
/// May raise. `state` has nothing but the error object on its stack, and is not `thread`.
pub(crate) unsafe fn describe_error(state: *mut engine::lua_State, thread: *mut engine::lua_State) {
    // SAFETY: passed on.
    unsafe { describe(state, thread, 0) }
}

/// Pushes what becomes of the error object at 1: itself if it is a failure of ours, or else its text with a traceback of
/// `thread` from `level` on.
unsafe fn describe(state: *mut engine::lua_State, thread: *mut engine::lua_State, level: c_int) {
    // SAFETY: `luaL_tolstring` may raise and does so before there is anything to drop; the text, which has moved out of its
    // `String`, is dropped before the lack of memory is raised.
    unsafe {
        if engine::lua_checkstack(state, STACK) == 0 {
            return;
        }
        let inner = super::inner_of(state);
        if failure_at(inner.as_ref(), state, 1).is_some() {
            engine::lua_pushvalue(state, 1);
            return;
        }
        let mut len = 0;
        let data = if engine::lua_type(state, 1) == engine::LUA_TSTRING {
            engine::lua_tolstring(state, 1, &mut len)
        } else {
            engine::luaL_tolstring(state, 1, &mut len)
        };
        let plain = engine::lua_gettop(state);
        let message = std::slice::from_raw_parts(data as *const u8, len);
        if engine::HANDLES_NO_MEMORY && message == engine::NO_MEMORY.to_bytes() {
            engine::lua_pushvalue(state, 1);
            return;
        }
        let inner = inner.as_ref();
        let push = || {
            with_traceback(inner, state, thread, level, Some(message), |text| {
                super::push_lasting(inner, state, text)
            })
        };
        match inner.memory.unlimited(push) {
            Ok(()) => {}
            Err(failed) => {
                let no_memory = matches!(failed, crate::Error::MemoryError(_));
                drop(failed);
                if no_memory {
                    raise_no_memory(state);
                }
                // Calls are nested too deeply for one more.
                engine::lua_pushvalue(state, plain);
            }
        }
    }
}

/// Where texts are written, kept for the next one.
#[derive(Default)]
pub(super) struct Buffer(Cell<Vec<u8>>);

impl Buffer {
    /// The size up to which it is kept.
    const MOST: usize = 4096;
}

/// Calls `take` with the traceback of `thread` from `level` on, after `message` if there is one. The bytes are those of Lua,
/// UTF-8 or not.
///
/// # Safety
///
/// `state` is a running state of the instance with [`STACK`] free places, or with an empty stack; `thread` is the same, or a
/// coroutine of the same VM. Nothing in here raises but `take`.
#[inline]
pub(super) unsafe fn with_traceback<R>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    level: c_int,
    message: Option<&[u8]>,
    take: impl FnOnce(&[u8]) -> R,
) -> R {
    let buffer = &inner.internals.buffer;
    let mut text = buffer.0.take();
    text.clear();
    if let Some(message) = message {
        put(&mut text, &[message, b"\n"]);
    }
    // SAFETY: passed on.
    unsafe { write_traceback(&mut text, inner, state, thread, level) };
    let result = take(&text);
    if text.capacity() <= Buffer::MOST {
        buffer.0.set(text);
    }
    result
}

/// What is to be known of a level before the functions are named.
#[derive(Clone, Copy)]
struct Level {
    function: *const c_void,
    number: c_int,
    is_c: bool,
    is_tail_call: bool,
}

/// The levels to show, and how many are left out between the first [`HEAD`] and the rest.
struct Levels {
    list: [Level; MOST as usize],
    len: usize,
    skipped: c_int,
}

/// Appends the traceback.
///
/// # Safety
///
/// As [`with_traceback`].
unsafe fn write_traceback(
    text: &mut Vec<u8>,
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    first: c_int,
) {
    // SAFETY: passed on.
    unsafe {
        let levels = read_levels(inner, state, thread, first);
        let list = &levels.list[..levels.len];
        let functions = list.iter().map(|level| level.function);
        inner.internals.names.learn(inner, state, functions);
        put(text, &[b"stack traceback:"]);
        for (i, level) in list.iter().enumerate() {
            if levels.skipped > 0 && i == HEAD as usize {
                write_skipped(text, levels.skipped);
            }
            write_level(text, inner, state, thread, level);
        }
    }
}

/// Reads the levels from `first` on.
unsafe fn read_levels(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    first: c_int,
) -> Levels {
    const NO_LEVEL: Level = Level {
        function: std::ptr::null(),
        number: 0,
        is_c: false,
        is_tail_call: false,
    };
    let mut levels = Levels {
        list: [NO_LEVEL; MOST as usize],
        len: 0,
        skipped: 0,
    };
    // Where it takes a call on that thread to make room, there is the place where the error was that ended it.
    let has_room = cfg!(raising_checkstack) && thread != state;
    // SAFETY: passed on.
    if !has_room && unsafe { ensure(inner, thread, 1) }.is_err() {
        return levels;
    }
    // SAFETY: passed on.
    unsafe {
        levels.read(thread, first, 0);
        if levels.len == MOST as usize && exists(thread, first + MOST) {
            let rest = depth(thread, first + MOST) - TAIL;
            levels.skipped = rest - first - HEAD;
            levels.read(thread, rest, HEAD as usize);
        }
    }
    levels
}

impl Levels {
    /// Reads the levels of `thread` from `number` on to the end of the list, from `start` on.
    ///
    /// # Safety
    ///
    /// `thread` has a free place.
    unsafe fn read(&mut self, thread: *mut engine::lua_State, number: c_int, start: usize) {
        self.len = start;
        for (level, number) in self.list[start..].iter_mut().zip(number..) {
            // SAFETY: passed on.
            match unsafe { read_level(thread, number) } {
                Some(read) => *level = read,
                None => break,
            }
            self.len += 1;
        }
    }
}

/// The level `number` of `thread`, if it exists.
///
/// # Safety
///
/// `thread` has one free place.
#[inline(always)]
unsafe fn read_level(thread: *mut engine::lua_State, number: c_int) -> Option<Level> {
    // Lua 5.1 has levels of their own for tail calls, which another part tells.
    let what = if cfg!(lua_ge_52) { c"tf" } else { c"f" };
    let mut debug = MaybeUninit::<engine::lua_Debug>::zeroed();
    // SAFETY: an empty record is a valid one. If the level exists, "f" pushes the function, which is popped.
    unsafe {
        if engine::lua_getstack(thread, number, debug.as_mut_ptr()) == 0 {
            return None;
        }
        engine::lua_getinfo(thread, what.as_ptr(), debug.as_mut_ptr());
        let level = Level {
            function: engine::lua_topointer(thread, -1),
            number,
            is_c: engine::lua_iscfunction(thread, -1) != 0,
            is_tail_call: cfg!(lua_ge_52) && engine::is_tail_call(debug.assume_init_ref()),
        };
        engine::lua_pop(thread, 1);
        Some(level)
    }
}

/// Whether `thread` has a level `number`.
unsafe fn exists(thread: *mut engine::lua_State, number: c_int) -> bool {
    let mut debug = MaybeUninit::<engine::lua_Debug>::zeroed();
    // SAFETY: only reads.
    unsafe { engine::lua_getstack(thread, number, debug.as_mut_ptr()) != 0 }
}

/// The number of levels of the stack, which are more than `low`.
unsafe fn depth(state: *mut engine::lua_State, mut low: c_int) -> c_int {
    // SAFETY: passed on.
    let exists = |level| unsafe { exists(state, level) };
    let mut high = 2 * low;
    while exists(high) {
        low = high;
        high *= 2;
    }
    while low < high {
        let middle = (low + high) / 2;
        if exists(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Appends the line of `level`. Asks Lua only for what the line takes: that of a C function with a global name takes no more.
///
/// # Safety
///
/// As [`with_traceback`].
unsafe fn write_level(
    text: &mut Vec<u8>,
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    level: &Level,
) {
    let mut debug = MaybeUninit::<engine::lua_Debug>::zeroed();
    // SAFETY: an empty record is a valid one, and `lua_getinfo` fills it with C strings that live as long as the function, which
    // is on the stack.
    unsafe {
        let names = &inner.internals.names;
        let mut global = names.recall(inner, state, level.function);
        let what = match (level.is_c, NAMES_CALLS || global.is_none()) {
            (true, true) => c"n",
            (true, false) => c"",
            (false, true) => c"Snl",
            (false, false) => c"Sl",
        };
        if !what.is_empty() {
            // What pushes a name may have run finalizers, and those what they like on another thread.
            if engine::lua_getstack(thread, level.number, debug.as_mut_ptr()) == 0 {
                return;
            }
            engine::lua_getinfo(thread, what.as_ptr(), debug.as_mut_ptr());
        }
        let debug = debug.assume_init_ref();
        let call = call_name(debug);
        if let (None, Some((b"global", name))) = (&global, call) {
            // It may have become a global one after it was looked for.
            global =
                is_field(inner, state, b"_G", name, level.function).then(|| Name::new(b"_G", name));
        }
        write_line(text, level, debug, global.as_ref().map(Name::bytes), call);
    }
}

/// Whether what a caller calls a function comes before a global name, as in Lua 5.2.
const NAMES_CALLS: bool = cfg!(feature = "lua52");

/// The kind of the name by which a function was called, and that name, if Lua was asked and knows one.
///
/// # Safety
///
/// `debug` is all zeros, or filled in.
unsafe fn call_name(debug: &engine::lua_Debug) -> Option<(&[u8], &[u8])> {
    if debug.name.is_null() {
        return None;
    }
    // SAFETY: where there is a name there are both, as C strings.
    let (kind, name) = unsafe { (CStr::from_ptr(debug.namewhat), CStr::from_ptr(debug.name)) };
    (!kind.is_empty()).then(|| (kind.to_bytes(), name.to_bytes()))
}

/// # Safety
///
/// `debug` is filled in, but for a C function.
unsafe fn write_line(
    text: &mut Vec<u8>,
    level: &Level,
    debug: &engine::lua_Debug,
    global: Option<&[u8]>,
    call: Option<(&[u8], &[u8])>,
) {
    const TAIL_CALLS: &[u8] = b"\n\t(...tail calls...)";
    let (mut source, mut what): (&[u8], u8) = (b"[C]", b'C');
    if !level.is_c {
        // SAFETY: these are C strings.
        unsafe {
            source = CStr::from_ptr(debug.short_src.as_ptr()).to_bytes();
            what = *debug.what as u8;
        }
    }
    if what == b't' {
        return put(text, &[TAIL_CALLS]);
    }
    put(text, &[b"\n\t", source, b":"]);
    if debug.currentline > 0 {
        put_number(text, debug.currentline);
        put(text, &[b":"]);
    }
    // Lua 5.2 says where a function is to be found only of C functions, and calls any name that of a function.
    let global = global.filter(|_| !NAMES_CALLS || (call.is_none() && level.is_c));
    match (global, call) {
        (Some(name), _) => put(text, &[b" in function '", name, b"'"]),
        (None, Some((_, name))) if NAMES_CALLS => put(text, &[b" in function '", name, b"'"]),
        (None, Some((kind, name))) => put(text, &[b" in ", kind, b" '", name, b"'"]),
        (None, None) => write_place(text, debug, source, what),
    }
    if level.is_tail_call {
        put(text, &[TAIL_CALLS]);
    }
}

/// What there is to say of a function without a name.
fn write_place(text: &mut Vec<u8>, debug: &engine::lua_Debug, source: &[u8], what: u8) {
    match what {
        b'm' => put(text, &[b" in main chunk"]),
        b'C' => put(text, &[b" in ?"]),
        _ => {
            put(text, &[b" in function <", source, b":"]);
            put_number(text, debug.linedefined);
            put(text, &[b">"]);
        }
    }
}

/// What stands in the place of the levels that are left out.
#[cold]
fn write_skipped(text: &mut Vec<u8>, skipped: c_int) {
    put(text, &[b"\n\t..."]);
    if cfg!(not(any(feature = "lua52", feature = "lua53"))) {
        put(text, &[b"\t(skipping "]);
        // Lua's text does not count the level in whose place it stands.
        put_number(text, skipped - 1);
        put(text, &[b" levels)"]);
    }
}

/// Appends `parts`.
#[inline(always)]
fn put(text: &mut Vec<u8>, parts: &[&[u8]]) {
    text.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        text.extend_from_slice(part);
    }
}

/// Appends the decimal digits of a line's number.
#[inline(never)]
fn put_number(text: &mut Vec<u8>, number: c_int) {
    let mut digits = [0; 10];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return put(text, &[&digits[start..]]);
        }
    }
}
