//! The standard libraries, and what safe mode takes out of them.

use std::ffi::CStr;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, BitXorAssign};
use std::os::raw::c_int;

use crate::call::protect::protect;
#[cfg(not(feature = "luau"))]
use crate::call::{callback::enter, inner_of};
use crate::engine;
use crate::error::{Error, Result};
use crate::Lua;

/// A set of standard libraries.
///
/// The basic functions (`print`, `pairs`, `pcall`, …) are there in every instance.
///
/// # Examples
///
/// ```
/// use mlua::{Lua, LuaOptions, StdLib};
///
/// # fn main() -> mlua::Result<()> {
/// let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING, LuaOptions::default())?;
/// # drop(lua);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StdLib(u32);

impl StdLib {
    /// The library `coroutine`.
    #[cfg(any(lua_ge_52, feature = "luau"))]
    pub const COROUTINE: StdLib = StdLib(1);
    /// The library `table`.
    pub const TABLE: StdLib = StdLib(1 << 1);
    /// The library `io`.
    #[cfg(not(feature = "luau"))]
    pub const IO: StdLib = StdLib(1 << 2);
    /// The library `os`.
    pub const OS: StdLib = StdLib(1 << 3);
    /// The library `string`.
    pub const STRING: StdLib = StdLib(1 << 4);
    /// The library `utf8`.
    #[cfg(any(lua_ge_53, feature = "luau"))]
    pub const UTF8: StdLib = StdLib(1 << 5);
    /// The library `bit32`, on LuaJIT `bit`.
    #[cfg(any(feature = "lua52", feature = "luajit", feature = "luau"))]
    pub const BIT: StdLib = StdLib(1 << 6);
    /// The library `math`.
    pub const MATH: StdLib = StdLib(1 << 7);
    /// The library `package`, with `require`. In safe mode it loads no C modules.
    pub const PACKAGE: StdLib = StdLib(1 << 8);
    /// The library `buffer`.
    #[cfg(feature = "luau")]
    pub const BUFFER: StdLib = StdLib(1 << 9);
    /// The library `jit`.
    #[cfg(feature = "luajit")]
    pub const JIT: StdLib = StdLib(1 << 9);
    /// The library `ffi`. It reads and writes any memory, so safe instances refuse it.
    #[cfg(feature = "luajit")]
    pub const FFI: StdLib = StdLib(1 << 30);
    /// The library `debug`. It can break what Rust relies on, so safe instances refuse it.
    pub const DEBUG: StdLib = StdLib(1 << 31);
    /// No library.
    pub const NONE: StdLib = StdLib(0);
    /// All libraries, also those that safe instances refuse.
    pub const ALL: StdLib = StdLib(u32::MAX);
    /// All libraries but those that safe instances refuse.
    pub const ALL_SAFE: StdLib = StdLib((1 << 30) - 1);

    /// Whether all libraries of `lib` are in this set.
    pub fn contains(self, lib: Self) -> bool {
        self & lib == lib
    }

    /// The name of a library in this set that safe instances refuse, if there is one.
    pub(super) fn refused(self) -> Option<&'static str> {
        if self.contains(StdLib::DEBUG) {
            return Some("debug");
        }
        #[cfg(feature = "luajit")]
        if self.contains(StdLib::FFI) {
            return Some("ffi");
        }
        None
    }
}

macro_rules! operator {
    ($Op:ident::$op:ident, $Assign:ident::$assign:ident) => {
        impl $Op for StdLib {
            type Output = StdLib;

            fn $op(self, other: StdLib) -> StdLib {
                StdLib($Op::$op(self.0, other.0))
            }
        }

        impl $Assign for StdLib {
            fn $assign(&mut self, other: StdLib) {
                *self = $Op::$op(*self, other);
            }
        }
    };
}

operator!(BitAnd::bitand, BitAndAssign::bitand_assign);
operator!(BitOr::bitor, BitOrAssign::bitor_assign);
operator!(BitXor::bitxor, BitXorAssign::bitxor_assign);

type Opener = unsafe extern "C-unwind" fn(*mut engine::lua_State) -> c_int;

const LIBRARIES: &[(StdLib, &CStr, Opener)] = &[
    #[cfg(not(feature = "luau"))]
    (StdLib::PACKAGE, c"package", engine::luaopen_package),
    #[cfg(feature = "luau")]
    (
        StdLib::PACKAGE,
        c"package",
        crate::luau::require::open_package,
    ),
    #[cfg(any(lua_ge_52, feature = "luau"))]
    (StdLib::COROUTINE, c"coroutine", engine::luaopen_coroutine),
    (StdLib::TABLE, c"table", engine::luaopen_table),
    #[cfg(not(feature = "luau"))]
    (StdLib::IO, c"io", engine::luaopen_io),
    (StdLib::OS, c"os", engine::luaopen_os),
    (StdLib::STRING, c"string", engine::luaopen_string),
    #[cfg(any(feature = "lua52", feature = "luau"))]
    (StdLib::BIT, c"bit32", engine::luaopen_bit32),
    #[cfg(feature = "luajit")]
    (StdLib::BIT, c"bit", engine::luaopen_bit),
    #[cfg(feature = "luau")]
    (StdLib::BUFFER, c"buffer", engine::luaopen_buffer),
    #[cfg(any(lua_ge_53, feature = "luau"))]
    (StdLib::UTF8, c"utf8", engine::luaopen_utf8),
    (StdLib::MATH, c"math", engine::luaopen_math),
    (StdLib::DEBUG, c"debug", engine::luaopen_debug),
    #[cfg(feature = "luajit")]
    (StdLib::JIT, c"jit", engine::luaopen_jit),
    #[cfg(feature = "luajit")]
    (StdLib::FFI, c"ffi", engine::luaopen_ffi),
];

impl Lua {
    /// Loads the libraries `libs` into this instance.
    ///
    /// # Errors
    ///
    /// [`Error::SafetyError`] if a safe instance would have to load the library `debug`; nothing is loaded then.
    pub fn load_from_std_lib(&self, libs: StdLib) -> Result<()> {
        let entered = self.enter();
        let safe = self.inner().safe.get();
        if let Some(name) = libs.refused().filter(|_| safe) {
            return Err(Error::SafetyError(format!(
                "the unsafe `{name}` module can't be loaded in safe mode"
            )));
        }
        // SAFETY: the state is running.
        unsafe { protect(entered.state, 0, 0, |state| open(state, libs, safe)) }
    }
}

/// Opens the libraries `libs`, each as a global and in `package.loaded`.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn open(
    state: *mut engine::lua_State,
    libs: StdLib,
    #[cfg_attr(feature = "luau", allow(unused_variables))] safe: bool,
) {
    for &(lib, name, opener) in LIBRARIES {
        if libs.contains(lib) {
            // SAFETY: the caller runs protected.
            unsafe {
                #[cfg(not(feature = "luau"))]
                let opener = if safe && lib == StdLib::PACKAGE {
                    open_barred_package
                } else {
                    opener
                };
                let opener = if lib == StdLib::OS {
                    super::exit::open_os
                } else {
                    opener
                };
                engine::luaL_requiref(state, name.as_ptr(), opener, 1);
                engine::lua_pop(state, 1);
            }
        }
    }
}

/// Opens what every instance has.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn open_base(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::luaL_requiref(state, c"_G".as_ptr(), engine::luaopen_base, 1);
        engine::lua_pop(state, 1);
        #[cfg(feature = "luau")]
        crate::luau::open(state);
    }
}

/// Opens the library `package` without what loads C modules.
///
/// A program may have run before, and must not get hold of that in between. The library opens itself into the table of globals
/// and that of loaded modules, into tables that it finds there even, and what it makes on the way may run finalizers; so it
/// does that in a thread with tables of its own.
#[cfg(not(any(lua_ge_52, feature = "luau")))]
unsafe extern "C-unwind" fn open_barred_package(state: *mut engine::lua_State) -> c_int {
    const LOADED: c_int = 1;
    const THREAD: c_int = 2;
    const ITS_LOADED: c_int = 3;
    const PACKAGE: c_int = 4;
    // SAFETY: called by Lua, with nothing to drop. Between the two places where the table of loaded modules is exchanged nothing
    // is raised.
    unsafe {
        engine::lua_settop(state, 0);
        engine::luaL_getsubtable(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);
        let thread = engine::lua_newthread(state);
        engine::lua_createtable(thread, 0, 4);
        engine::lua_replace(thread, engine::LUA_GLOBALSINDEX);
        engine::lua_pushcfunction(thread, engine::luaopen_package);
        engine::lua_createtable(state, 0, 1);

        engine::lua_pushvalue(state, ITS_LOADED);
        engine::lua_setfield(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);
        let status = engine::lua_pcall(thread, 0, 1, 0);
        engine::lua_pushvalue(state, LOADED);
        engine::lua_setfield(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);

        engine::lua_xmove(thread, state, 1);
        if status != engine::LUA_OK {
            engine::lua_error(state);
        }
        bar_c_modules(state);
        engine::lua_pushvalue(state, LOADED);
        engine::lua_setfield(state, PACKAGE, c"loaded".as_ptr());
        engine::lua_pushstring(state, c"package".as_ptr());
        engine::lua_pushvalue(state, PACKAGE);
        engine::lua_rawset(state, LOADED);
        for name in [c"require", c"module"] {
            engine::lua_pushstring(state, name.as_ptr());
            engine::lua_getfield(thread, engine::LUA_GLOBALSINDEX, name.as_ptr());
            engine::lua_xmove(thread, state, 1);
            engine::lua_rawset(state, engine::LUA_GLOBALSINDEX);
        }
        debug_assert!(engine::lua_isthread(state, THREAD) != 0);
    }
    1
}

/// Opens the library `package` without what loads C modules.
///
/// A program may have run before, and must not get hold of that in between: `luaopen_package` sets the global `require`, so
/// the table of globals has no metatable meanwhile.
#[cfg(lua_ge_52)]
unsafe extern "C-unwind" fn open_barred_package(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called by Lua, and raises nothing before the metatable is back in its place.
    unsafe {
        engine::push_globals(state);
        let globals = engine::lua_gettop(state);
        if engine::lua_getmetatable(state, globals) == 0 {
            engine::lua_pushnil(state);
        }
        engine::lua_pushnil(state);
        engine::lua_setmetatable(state, globals);
        engine::lua_pushcfunction(state, engine::luaopen_package);
        let status = engine::lua_pcall(state, 0, 1, 0);
        engine::lua_pushvalue(state, -2);
        engine::lua_setmetatable(state, globals);
        if status != engine::LUA_OK {
            engine::lua_error(state);
        }
        bar_c_modules(state);
    }
    1
}

/// The field of the library `package` with the functions that look for a module.
#[cfg(lua_ge_52)]
const SEARCHERS: &CStr = c"searchers";
#[cfg(not(any(lua_ge_52, feature = "luau")))]
const SEARCHERS: &CStr = c"loaders";

#[cfg(not(feature = "luau"))]
/// Takes the loading of C modules out of the library `package`, which is on top and was just opened.
unsafe fn bar_c_modules(state: *mut engine::lua_State) {
    // SAFETY: runs protected. Searchers 3 and 4 are those for C modules. The fields are there, so nothing is allocated and no
    // finalizer runs in between.
    unsafe {
        engine::lua_pushcfunction(state, loadlib_barred);
        engine::lua_setfield(state, -2, c"loadlib".as_ptr());
        engine::lua_getfield(state, -1, SEARCHERS.as_ptr());
        engine::lua_pushcfunction(state, searcher_barred);
        engine::lua_rawseti(state, -2, 3);
        engine::lua_pushnil(state);
        engine::lua_rawseti(state, -2, 4);
        engine::lua_pop(state, 1);
    }
}

#[cfg(not(feature = "luau"))]
unsafe extern "C-unwind" fn loadlib_barred(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua.
    unsafe {
        enter(inner_of(state), state, |_, _| {
            Err(Error::SafetyError(
                "package.loadlib is disabled in safe mode".to_owned(),
            ))
        })
    }
}

#[cfg(not(feature = "luau"))]
unsafe extern "C-unwind" fn searcher_barred(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua, as the library `package` enters its searchers.
    unsafe { engine::lua_pushstring(state, c"\n\tcan't load C modules in safe mode".as_ptr()) };
    1
}
