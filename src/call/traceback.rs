//! Tracebacks, as `luaL_traceback` writes them, without its cost.
//!
//! `luaL_traceback` looks for the name of a global function by searching all of `package.loaded`, for each level anew.
//! Here the levels are read first, one pass over `package.loaded` serves them all, and what it found is remembered.

use std::cell::RefCell;
use std::ffi::CStr;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::raw::{c_int, c_void};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::failure::{failure_at, raise_no_memory};
use super::push_key;
use crate::engine;
use crate::stack::ensure;
use crate::state::LuaInner;

/// Levels shown at the top and at the bottom of a deep stack.
const HEAD: c_int = if cfg!(feature = "lua52") { 11 } else { 10 };
const TAIL: c_int = 11;
/// Free places that a traceback takes.
const STACK: c_int = 8;

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
            let (data, len, capacity) = with_message(inner, state, thread, level, message);
            let pushed = super::push_lasting(inner, state, std::slice::from_raw_parts(data, len));
            drop(Vec::from_raw_parts(data, len, capacity));
            pushed
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

/// The text of `message` with a traceback of `thread`, as the parts of a vector.
#[inline(never)]
unsafe fn with_message(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    level: c_int,
    message: &[u8],
) -> (*mut u8, usize, usize) {
    // SAFETY: `describe` has asked for the places.
    let text = unsafe { write_traceback(inner, state, thread, Some(message), level) };
    let mut bytes = std::mem::ManuallyDrop::new(text);
    (bytes.as_mut_ptr(), bytes.len(), bytes.capacity())
}

struct Level {
    debug: engine::lua_Debug,
    function: *const c_void,
    global_name: Option<Rc<str>>,
}

/// The traceback of `thread` from `level` on.
///
/// # Safety
///
/// `state` is a running state of the instance with [`STACK`] free places, or with an empty stack; `thread` is the same, or a
/// coroutine of the same VM. Nothing in here raises.
pub(crate) unsafe fn traceback(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    level: c_int,
) -> String {
    // SAFETY: passed on.
    let text = unsafe { write_traceback(inner, state, thread, None, level) };
    String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// As [`traceback`], after `message` if there is one. The bytes are those of Lua, UTF-8 or not.
unsafe fn write_traceback(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    message: Option<&[u8]>,
    level: c_int,
) -> Vec<u8> {
    /// What a level takes, more or less.
    const LINE: usize = 64;
    // SAFETY: passed on.
    let (levels, skipped) = unsafe {
        let (mut levels, skipped) = read_levels(inner, state, thread, level);
        name_globals(inner, state, &mut levels);
        (levels, skipped)
    };
    let message_len = message.map_or(0, <[u8]>::len);
    let mut text = Vec::with_capacity(message_len + LINE * (levels.len() + 1));
    if let Some(message) = message {
        text.extend_from_slice(message);
        text.push(b'\n');
    }
    text.extend_from_slice(b"stack traceback:");
    for (i, level) in levels.iter().enumerate() {
        if skipped > 0 && i == HEAD as usize {
            text.extend_from_slice(b"\n\t...");
            if cfg!(not(any(feature = "lua52", feature = "lua53"))) {
                // Lua's text does not count the level in whose place it stands.
                let _ = write!(text, "\t(skipping {} levels)", skipped - 1);
            }
        }
        write_level(&mut text, level);
    }
    text
}

/// The levels to show, and how many are left out between the first [`HEAD`] and the rest.
unsafe fn read_levels(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    thread: *mut engine::lua_State,
    first: c_int,
) -> (Vec<Level>, c_int) {
    // Where it takes a call on that thread to make room, there is the place where the error was that ended it.
    let has_room = cfg!(raising_checkstack) && thread != state;
    // SAFETY: passed on.
    if !has_room && unsafe { ensure(inner, thread, 1) }.is_err() {
        return (Vec::new(), 0);
    }
    // SAFETY: passed on.
    let depth = unsafe { depth(thread) };
    let count = depth - first;
    let skipped = if count > HEAD + TAIL + 1 {
        count - HEAD - TAIL
    } else {
        0
    };
    let mut levels: Vec<Level> = Vec::with_capacity((count - skipped).max(0) as usize);
    let mut level = first;
    while level < depth {
        if skipped > 0 && level == first + HEAD {
            level += skipped;
        }
        // SAFETY: an empty record is a valid one. The level exists, so it is filled; "f" pushes the function, which is popped.
        unsafe {
            levels.push(Level {
                debug: MaybeUninit::zeroed().assume_init(),
                function: std::ptr::null(),
                global_name: None,
            });
            let last = levels.last_mut().expect("one was pushed");
            engine::lua_getstack(thread, level, &mut last.debug);
            engine::lua_getinfo(thread, c"Slntf".as_ptr(), &mut last.debug);
            last.function = engine::lua_topointer(thread, -1);
            engine::lua_pop(thread, 1);
        }
        level += 1;
    }
    (levels, skipped)
}

/// The number of levels of the stack.
unsafe fn depth(state: *mut engine::lua_State) -> c_int {
    let mut debug = MaybeUninit::<engine::lua_Debug>::zeroed();
    // SAFETY: `lua_getstack` only reads.
    let mut exists = |level| unsafe { engine::lua_getstack(state, level, debug.as_mut_ptr()) != 0 };
    // Most stacks are shallow.
    let (mut low, mut high) = (0, 3);
    while exists(high) {
        low = high;
        high *= 4;
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

/// Names the levels whose functions are fields of a loaded module.
///
/// What has been found out about a function is remembered; a full search is made only if one is new.
unsafe fn name_globals(inner: &LuaInner, state: *mut engine::lua_State, levels: &mut [Level]) {
    let names = &inner.internals.names;
    // SAFETY: raw reads of tables, which are checked to be tables; the key "_LOADED" is a string that exists already as a
    // key of the registry, so pushing it allocates nothing. `lua_next` gets the keys it returned, and nothing writes between.
    unsafe {
        engine::lua_getfield(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);
        if engine::lua_type(state, -1) == engine::LUA_TTABLE {
            let mut all_known = true;
            for level in levels.iter_mut() {
                match names.recall(level.function) {
                    Some(name) => {
                        level.global_name =
                            name.filter(|name| is_field(inner, state, name, level.function))
                    }
                    None => all_known = false,
                }
            }
            if !all_known {
                search_loaded(state, levels);
                for level in levels.iter() {
                    names.remember(level.function, level.global_name.clone());
                }
            }
            for level in levels
                .iter_mut()
                .filter(|level| level.global_name.is_none())
            {
                level.global_name = new_global(inner, state, level);
            }
        }
        engine::lua_pop(state, 1);
    }
}

/// Whether the field `name` of the table of loaded modules on top (`module.field`, or `field` of `_G`) is `function`.
///
/// # Safety
///
/// As [`name_globals`].
unsafe fn is_field(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    name: &str,
    function: *const c_void,
) -> bool {
    let (module, field) = name.rsplit_once('.').unwrap_or(("_G", name));
    // SAFETY: passed on. Pushing a string may fail for want of memory, but does not raise.
    unsafe {
        if push_key(inner, state, module.as_bytes()).is_err() {
            return false;
        }
        engine::lua_rawget(state, -2);
        let mut is = false;
        if engine::lua_type(state, -1) == engine::LUA_TTABLE
            && push_key(inner, state, field.as_bytes()).is_ok()
        {
            engine::lua_rawget(state, -2);
            is = engine::lua_topointer(state, -1) == function;
            engine::lua_pop(state, 1);
        }
        engine::lua_pop(state, 1);
        is
    }
}

/// The name of a function that was called by a global name, and has become one after it was looked for.
unsafe fn new_global(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    level: &Level,
) -> Option<Rc<str>> {
    let debug = &level.debug;
    // SAFETY: as in `write_level`.
    unsafe {
        if debug.name.is_null() || CStr::from_ptr(debug.namewhat) != c"global" {
            return None;
        }
        let name = CStr::from_ptr(debug.name).to_str().ok()?;
        is_field(inner, state, name, level.function).then(|| name.into())
    }
}

/// Names of functions as they were found in the loaded modules, `None` for those that were not.
///
/// A name may be out of date and is checked before use. That a function has none is taken as it is, since the mistake is
/// only one of wording: `upvalue 'f'` in place of `function 'f'`.
#[derive(Default)]
pub(super) struct Names(RefCell<FxHashMap<*const c_void, Option<Rc<str>>>>);

impl Names {
    /// Functions that are remembered at most.
    const MOST: usize = 1024;

    fn recall(&self, function: *const c_void) -> Option<Option<Rc<str>>> {
        self.0.borrow().get(&function).cloned()
    }

    fn remember(&self, function: *const c_void, name: Option<Rc<str>>) {
        let mut names = self.0.borrow_mut();
        if names.len() >= Self::MOST {
            names.clear();
        }
        names.insert(function, name);
    }
}

/// Looks for the functions of `levels` in the loaded modules, the table of which is on top.
unsafe fn search_loaded(state: *mut engine::lua_State, levels: &mut [Level]) {
    // SAFETY: as in `name_globals`.
    unsafe {
        engine::lua_pushnil(state);
        while engine::lua_next(state, -2) != 0 {
            if engine::lua_type(state, -2) == engine::LUA_TSTRING
                && engine::lua_type(state, -1) == engine::LUA_TTABLE
            {
                name_fields(state, levels);
            }
            engine::lua_pop(state, 1);
        }
    }
}

/// As [`search_loaded`], for the module on top with its name below.
unsafe fn name_fields(state: *mut engine::lua_State, levels: &mut [Level]) {
    // SAFETY: as in `name_globals`.
    unsafe {
        engine::lua_pushnil(state);
        while engine::lua_next(state, -2) != 0 {
            if engine::lua_type(state, -2) == engine::LUA_TSTRING
                && engine::lua_type(state, -1) == engine::LUA_TFUNCTION
            {
                let function = engine::lua_topointer(state, -1);
                for level in levels.iter_mut().filter(|l| l.function == function) {
                    let (module, field) = (string_at(state, -4), string_at(state, -2));
                    if module == "_G" {
                        level.global_name = Some(field.into());
                    } else if level.global_name.is_none() {
                        level.global_name = Some(format!("{module}.{field}").into());
                    }
                }
            }
            engine::lua_pop(state, 1);
        }
    }
}

unsafe fn string_at(state: *mut engine::lua_State, index: c_int) -> String {
    // SAFETY: a string is there.
    unsafe {
        CStr::from_ptr(engine::lua_tolstring(state, index, std::ptr::null_mut()))
            .to_string_lossy()
            .into_owned()
    }
}

fn write_level(text: &mut Vec<u8>, level: &Level) {
    let debug = &level.debug;
    // SAFETY: `lua_getinfo` has filled these with C strings that live as long as the function, which is on the stack.
    let (source, name_what, name, what) = unsafe {
        (
            CStr::from_ptr(debug.short_src.as_ptr()).to_bytes(),
            CStr::from_ptr(debug.namewhat).to_bytes(),
            (!debug.name.is_null()).then(|| CStr::from_ptr(debug.name).to_bytes()),
            *debug.what as u8,
        )
    };
    if what == b't' {
        text.extend_from_slice(b"\n\t(...tail calls...)");
        return;
    }
    text.extend_from_slice(b"\n\t");
    text.extend_from_slice(source);
    text.push(b':');
    if debug.currentline > 0 {
        text.extend_from_slice(Digits::of(debug.currentline).bytes());
        text.push(b':');
    }
    let name = name.filter(|_| !name_what.is_empty());
    match (&level.global_name, name) {
        // Lua 5.2 says where a function is to be found only if there is no other name, and calls any name that of a function.
        #[cfg(feature = "lua52")]
        (_, Some(name)) => {
            text.extend_from_slice(b" in function '");
            text.extend_from_slice(name);
            text.push(b'\'');
        }
        #[cfg(feature = "lua52")]
        (Some(_), None) if what != b'C' => write_place(text, debug, source, what),
        (Some(global), _) => {
            text.extend_from_slice(b" in function '");
            text.extend_from_slice(global.as_bytes());
            text.push(b'\'');
        }
        #[cfg(not(feature = "lua52"))]
        (None, Some(name)) => {
            text.extend_from_slice(b" in ");
            text.extend_from_slice(name_what);
            text.extend_from_slice(b" '");
            text.extend_from_slice(name);
            text.push(b'\'');
        }
        (None, None) => write_place(text, debug, source, what),
    }
    if engine::is_tail_call(debug) {
        text.extend_from_slice(b"\n\t(...tail calls...)");
    }
}

/// What there is to say of a function without a name.
fn write_place(text: &mut Vec<u8>, debug: &engine::lua_Debug, source: &[u8], what: u8) {
    match what {
        b'm' => text.extend_from_slice(b" in main chunk"),
        b'C' => text.extend_from_slice(b" in ?"),
        _ => {
            text.extend_from_slice(b" in function <");
            text.extend_from_slice(source);
            text.push(b':');
            text.extend_from_slice(Digits::of(debug.linedefined).bytes());
            text.push(b'>');
        }
    }
}

/// The decimal digits of a line's number.
struct Digits {
    digits: [u8; 10],
    start: usize,
}

impl Digits {
    fn of(number: c_int) -> Digits {
        let mut digits = [0; 10];
        let mut start = digits.len();
        let mut rest = number.unsigned_abs();
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Digits { digits, start };
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}
