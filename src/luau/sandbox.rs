//! The sandbox: libraries and globals that a program cannot change.

use std::os::raw::c_int;

use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::stack::{ensure, Held};
use crate::thread::Thread;
use crate::Lua;

impl Lua {
    /// Turns the sandbox on or off.
    ///
    /// With it the table of globals, the tables in it (the libraries, that is) and the metatable of strings are read-only. The
    /// main thread gets a new table of globals: what a program sets goes there, and what it reads and is not there comes from
    /// the original one. Off again, the original globals are as they were.
    ///
    /// Code runs faster in the sandbox, since Luau relies on what cannot change. For globals that a program does change between
    /// the chunks that it loads, see [`Compiler::set_mutable_globals`](crate::Compiler::set_mutable_globals).
    ///
    /// # Errors
    ///
    /// [`Error::MemoryError`](crate::Error::MemoryError).
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.sandbox(true)?;
    /// lua.load("var = 123").exec()?;
    /// assert_eq!(lua.globals().get::<_, u32>("var")?, 123);
    /// assert!(lua.load("string.rep = nil").exec().is_err());
    ///
    /// lua.sandbox(false)?;
    /// assert_eq!(lua.globals().get::<_, Option<u32>>("var")?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sandbox(&self, enabled: bool) -> Result<()> {
        let entered = self.enter();
        let (inner, state) = (self.inner(), entered.state);
        let globals = inner.globals.get().expect("the instance has been opened");
        // SAFETY: the instance counts the slot. The table is the argument of `protect`; what it leaves on top is held.
        unsafe {
            inner.slots.push(globals, state);
            protect(state, 1, 1, |state| {
                bar_writes(state, enabled.into());
                if enabled {
                    push_proxy(state);
                }
            })?;
            set_globals(self, inner.main_state())
        }
    }
}

impl Thread<'_> {
    /// Gives the coroutine a table of globals of its own: what is set goes there, and what is read and is not there comes from
    /// the one it had.
    ///
    /// A chunk is bound to the globals of the coroutine that loads it; so this has an effect on chunks that are loaded in the
    /// coroutine after this call.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryError`](crate::Error::MemoryError).
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let thread = lua.create_thread(lua.create_function(|lua, ()| lua.load("var = 123").exec())?)?;
    /// thread.sandbox()?;
    /// thread.resume::<_, ()>(())?;
    /// assert_eq!(lua.globals().get::<_, Option<u32>>("var")?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(hidden)]
    pub fn sandbox(&self) -> Result<()> {
        let lua = self.0.lua();
        let entered = lua.try_enter()?;
        let (thread, state) = (self.thread(), entered.state);
        // SAFETY: there is room on `thread` for a value, which moves. It is the argument of `protect`; what that leaves on top is
        // held.
        unsafe {
            ensure(lua.inner(), thread, 1)?;
            engine::push_globals(thread);
            if thread != state {
                engine::lua_xmove(thread, state, 1);
            }
            protect(state, 1, 1, |state| push_proxy(state))?;
            set_globals(lua, thread)
        }
    }
}

/// Gives `thread`, which has finished and is used again, the globals of the running coroutine, as a new one would have.
///
/// # Safety
///
/// `thread` is a thread of the instance, with an empty stack.
pub(crate) unsafe fn inherit_globals(lua: &Lua, thread: *mut engine::lua_State) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        engine::push_globals(lua.state());
        set_globals(lua, thread)
    }
}

/// Makes the table on top of the running state, which is popped, the globals of `thread`.
///
/// # Safety
///
/// There is a table on top; `thread` is a thread of the instance.
unsafe fn set_globals(lua: &Lua, thread: *mut engine::lua_State) -> Result<()> {
    let state = lua.state();
    // SAFETY: there is room on `thread` for the table, which moves.
    unsafe {
        let mut held = Held::adopt(state, 1);
        if thread != state {
            ensure(lua.inner(), thread, 1)?;
            engine::lua_xmove(state, thread, 1);
        }
        held.release(1);
        engine::lua_replace(thread, engine::LUA_GLOBALSINDEX);
    }
    Ok(())
}

/// Makes the table of globals at 1, the tables in it and the metatable of strings read-only, or no longer.
///
/// # Safety
///
/// May raise.
unsafe fn bar_writes(state: *mut engine::lua_State, enabled: c_int) {
    const GLOBALS: c_int = 1;
    // SAFETY: the caller runs protected. The globals themselves do not change while they are gone through.
    unsafe {
        engine::lua_pushnil(state);
        while engine::lua_next(state, GLOBALS) != 0 {
            if engine::lua_istable(state, -1) != 0 {
                engine::lua_setreadonly(state, -1, enabled);
            }
            engine::lua_pop(state, 1);
        }
        engine::lua_pushstring(state, c"".as_ptr());
        if engine::lua_getmetatable(state, -1) != 0 {
            engine::lua_setreadonly(state, -1, enabled);
            engine::lua_pop(state, 1);
        }
        engine::lua_pop(state, 1);
        engine::lua_setreadonly(state, GLOBALS, enabled);
        engine::lua_setsafeenv(state, GLOBALS, enabled);
    }
}

/// Pushes a table that falls back to the one on top.
///
/// # Safety
///
/// May raise.
unsafe fn push_proxy(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_createtable(state, 0, 0);
        engine::lua_createtable(state, 0, 1);
        engine::lua_pushvalue(state, -3);
        engine::lua_setfield(state, -2, c"__index".as_ptr());
        engine::lua_setreadonly(state, -1, 1);
        engine::lua_setmetatable(state, -2);
        engine::lua_setsafeenv(state, -1, 1);
    }
}
