//! [`Debug`]: what Lua tells about a running function.

use std::borrow::Cow;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::raw::{c_char, c_int};
use std::ptr;

use crate::engine;
use crate::Lua;

/// What happened that a hook was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugEvent {
    /// A function is called.
    Call,
    /// A function returns.
    Ret,
    /// A function is called in the place of its caller, which will not return.
    TailCall,
    /// A line is run.
    Line,
    /// A number of instructions was run.
    Count,
    /// An event of a number that is not known here.
    Unknown(i32),
}

/// How a function is named by the code that called it.
#[derive(Clone, Debug)]
pub struct DebugNames<'a> {
    /// The name, if one is found.
    pub name: Option<Cow<'a, str>>,
    /// What the name is: `"global"`, `"local"`, `"method"`, `"field"`, …
    pub name_what: Option<&'static str>,
}

/// Where a function comes from.
#[derive(Clone, Debug)]
pub struct DebugSource<'a> {
    /// The name of its chunk.
    pub source: Option<Cow<'a, str>>,
    /// The name of its chunk, short enough for messages.
    pub short_src: Option<Cow<'a, str>>,
    /// The line where its definition begins.
    pub line_defined: Option<usize>,
    /// The line where its definition ends.
    pub last_line_defined: Option<usize>,
    /// What it is: `"Lua"`, `"C"` or `"main"`.
    pub what: &'static str,
}

/// The numbers of a function's upvalues and parameters.
#[derive(Clone, Copy, Debug)]
pub struct DebugStack {
    /// How many upvalues it has.
    pub num_ups: i32,
    /// How many parameters it has; 0 for a C function.
    #[cfg(any(lua_ge_52, feature = "luau"))]
    pub num_params: i32,
    /// Whether it takes a variable number of arguments.
    #[cfg(any(lua_ge_52, feature = "luau"))]
    pub is_vararg: bool,
}

/// What Lua tells about a running function: see [`Lua::inspect_stack`].
#[cfg_attr(
    not(feature = "luau"),
    doc = "A hook gets one, too: see [`Lua::set_hook`]."
)]
pub struct Debug<'lua> {
    record: Record,
    _lua: PhantomData<&'lua Lua>,
}

enum Record {
    /// Asked from Lua when wanted: the function is running as long as the `Debug` can live.
    #[cfg(not(feature = "luau"))]
    Live {
        state: *mut engine::lua_State,
        record: *mut engine::lua_Debug,
    },
    /// Asked from Lua beforehand: the function may return.
    Read(Box<Snapshot>),
}

struct Snapshot {
    #[cfg(not(feature = "luau"))]
    event: c_int,
    line: i32,
    #[cfg(not(feature = "luau"))]
    tail_call: bool,
    stack: DebugStack,
    names: DebugNames<'static>,
    source: DebugSource<'static>,
}

impl Lua {
    /// Tells about the running function at `level`: 0 is the function that is running, 1 the one that called it, and so on.
    /// `None` if there is no such level, as outside of any function.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let line = lua.create_function(|lua, ()| {
    ///     Ok(lua.inspect_stack(1).map(|caller| caller.curr_line()))
    /// })?;
    /// assert_eq!(lua.load("\n\nlocal line = ... return (line())").call::<_, i32>(line)?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inspect_stack(&self, level: usize) -> Option<Debug<'_>> {
        let entered = self.enter();
        let level = c_int::try_from(level).ok()?;
        let mut record = MaybeUninit::<engine::lua_Debug>::zeroed();
        // SAFETY: `lua_getstack` only reads; the record is valid if it found the level, and used at once.
        let snapshot = unsafe {
            if engine::lua_getstack(entered.state, level, record.as_mut_ptr()) == 0 {
                return None;
            }
            Snapshot::read(entered.state, record.as_mut_ptr())
        };
        Some(Debug {
            record: Record::Read(Box::new(snapshot)),
            _lua: PhantomData,
        })
    }
}

impl<'lua> Debug<'lua> {
    /// What a hook is given.
    ///
    /// # Safety
    ///
    /// `record` and the function it is about are there as long as `'lua`.
    #[cfg(not(feature = "luau"))]
    pub(super) unsafe fn in_hook(
        state: *mut engine::lua_State,
        record: *mut engine::lua_Debug,
    ) -> Debug<'lua> {
        Debug {
            record: Record::Live { state, record },
            _lua: PhantomData,
        }
    }

    /// The event that the hook was called for.
    #[cfg(not(feature = "luau"))]
    pub fn event(&self) -> DebugEvent {
        let event = match &self.record {
            #[cfg(not(feature = "luau"))]
            // SAFETY: `in_hook`.
            Record::Live { record, .. } => unsafe { (**record).event },
            Record::Read(snapshot) => snapshot.event,
        };
        match event {
            engine::LUA_HOOKCALL => DebugEvent::Call,
            engine::LUA_HOOKRET => DebugEvent::Ret,
            engine::LUA_HOOKTAILCALL => DebugEvent::TailCall,
            engine::LUA_HOOKLINE => DebugEvent::Line,
            engine::LUA_HOOKCOUNT => DebugEvent::Count,
            event => DebugEvent::Unknown(event),
        }
    }

    /// How the function is named.
    pub fn names(&self) -> DebugNames<'_> {
        match &self.record {
            #[cfg(not(feature = "luau"))]
            // SAFETY: `in_hook`; the name is a string of the running program.
            Record::Live { state, record } => unsafe { names(&ask(*state, *record, c"n")) },
            Record::Read(snapshot) => DebugNames {
                name: snapshot.names.name.as_deref().map(Cow::Borrowed),
                ..snapshot.names
            },
        }
    }

    /// Where the function comes from.
    pub fn source(&self) -> DebugSource<'_> {
        match &self.record {
            #[cfg(not(feature = "luau"))]
            // SAFETY: `in_hook`; the source is a string of the running function.
            Record::Live { state, record } => unsafe { source(&ask(*state, *record, c"S")) },
            Record::Read(snapshot) => DebugSource {
                source: snapshot.source.source.as_deref().map(Cow::Borrowed),
                short_src: snapshot.source.short_src.as_deref().map(Cow::Borrowed),
                ..snapshot.source
            },
        }
    }

    /// The line that is running, -1 if there is none.
    pub fn curr_line(&self) -> i32 {
        match &self.record {
            #[cfg(not(feature = "luau"))]
            // SAFETY: `in_hook`.
            Record::Live { state, record } => unsafe { ask(*state, *record, c"l") }.currentline,
            Record::Read(snapshot) => snapshot.line,
        }
    }

    /// Whether the function was called by a tail call.
    #[cfg(not(feature = "luau"))]
    pub fn is_tail_call(&self) -> bool {
        match &self.record {
            #[cfg(not(feature = "luau"))]
            // SAFETY: `in_hook`.
            Record::Live { state, record } => unsafe {
                engine::is_tail_call(&ask(*state, *record, c"t"))
            },
            Record::Read(snapshot) => snapshot.tail_call,
        }
    }

    /// The numbers of the function's upvalues and parameters.
    pub fn stack(&self) -> DebugStack {
        match &self.record {
            #[cfg(not(feature = "luau"))]
            // SAFETY: `in_hook`.
            Record::Live { state, record } => stack(&unsafe { ask(*state, *record, c"u") }),
            Record::Read(snapshot) => snapshot.stack,
        }
    }
}

impl Snapshot {
    /// # Safety
    ///
    /// `record` is about a function that is running in `state`.
    unsafe fn read(state: *mut engine::lua_State, record: *mut engine::lua_Debug) -> Snapshot {
        // SAFETY: passed on. The strings are copied at once.
        unsafe {
            let record = ask(state, record, c"nSltu");
            let (names, source) = (names(&record), source(&record));
            Snapshot {
                #[cfg(not(feature = "luau"))]
                event: record.event,
                line: record.currentline,
                #[cfg(not(feature = "luau"))]
                tail_call: engine::is_tail_call(&record),
                stack: stack(&record),
                names: DebugNames {
                    name: names.name.map(own),
                    ..names
                },
                source: DebugSource {
                    source: source.source.map(own),
                    short_src: source.short_src.map(own),
                    ..source
                },
            }
        }
    }
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// A copy of `record` with the parts that `what` names filled in.
///
/// # Safety
///
/// `record` is about a function that is running in `state`.
unsafe fn ask(
    state: *mut engine::lua_State,
    record: *mut engine::lua_Debug,
    what: &'static CStr,
) -> engine::lua_Debug {
    // SAFETY: passed on. Without "f" and "L" nothing is pushed and nothing raises.
    unsafe {
        let mut copy = ptr::read(record);
        engine::lua_getinfo(state, what.as_ptr(), &mut copy);
        copy
    }
}

/// # Safety
///
/// "n" is filled in, and the name is there for `'a`.
unsafe fn names<'a>(record: &engine::lua_Debug) -> DebugNames<'a> {
    // SAFETY: passed on. What kind of name it is, is a literal of Lua's.
    unsafe {
        DebugNames {
            name: text(record.name),
            name_what: literal(record.namewhat).filter(|what| !what.is_empty()),
        }
    }
}

/// # Safety
///
/// "S" is filled in, and the source is there for `'a`.
unsafe fn source<'a>(record: &engine::lua_Debug) -> DebugSource<'a> {
    // SAFETY: passed on. The short source lies in the record itself, and is copied.
    unsafe {
        DebugSource {
            source: text(record.source),
            short_src: text(record.short_src.as_ptr()).map(own),
            line_defined: usize::try_from(record.linedefined).ok(),
            last_line_defined: usize::try_from(record.lastlinedefined).ok(),
            what: literal(record.what).unwrap_or("?"),
        }
    }
}

fn stack(record: &engine::lua_Debug) -> DebugStack {
    DebugStack {
        #[allow(clippy::useless_conversion)] // its type is not the same in all Luas
        num_ups: record.nups.into(),
        #[cfg(any(lua_ge_52, feature = "luau"))]
        num_params: record.nparams.into(),
        #[cfg(any(lua_ge_52, feature = "luau"))]
        is_vararg: record.isvararg != 0,
    }
}

/// # Safety
///
/// `data` is null or a C string that is there for `'a`.
unsafe fn text<'a>(data: *const c_char) -> Option<Cow<'a, str>> {
    // SAFETY: passed on.
    (!data.is_null()).then(|| unsafe { CStr::from_ptr(data) }.to_string_lossy())
}

/// # Safety
///
/// `data` is null or a string literal of Lua's.
unsafe fn literal(data: *const c_char) -> Option<&'static str> {
    if data.is_null() {
        return None;
    }
    // SAFETY: passed on.
    unsafe { CStr::from_ptr(data) }.to_str().ok()
}
