//! Modules: what `require` finds.

use crate::call::protect::protect;
use crate::call::push_bytes;
use crate::engine;
use crate::error::Result;
use crate::function::Function;
use crate::stack::Held;
use crate::value::FromLua;
use crate::Lua;

impl Lua {
    /// Loads the module `modname` with the function `func`, as `require` does with a loader.
    ///
    /// Calls `func` with the name, keeps what it returns (`true` in place of nil) in `package.loaded` and returns that. A
    /// module that is loaded already is returned as it is.
    ///
    /// # Errors
    ///
    /// What `func` raises and the conversion returns; [`Error::MismatchedLua`](crate::Error::MismatchedLua) if `func` is of
    /// another instance.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, Table};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let loader = lua.load("local name = ... return { name = name }").into_function()?;
    /// let _: Table = lua.load_from_function("greeter", loader)?;
    /// lua.load("assert(require('greeter').name == 'greeter')").exec()
    /// # }
    /// ```
    pub fn load_from_function<'lua, T>(&'lua self, modname: &str, func: Function<'lua>) -> Result<T>
    where
        T: FromLua<'lua>,
    {
        let entered = self.enter();
        let state = entered.state;
        // SAFETY: what is pushed is held, or the arguments of `protect`.
        unsafe {
            let mut held = Held::new(state);
            func.0.push_to(self)?;
            held.add(1);
            push_bytes(self.inner(), state, modname.as_bytes())?;
            held.release(1);
            protect(state, 2, 1, |state| load(state))?;
            held.add(1);
            T::from_stack(-1, self)
        }
    }

    /// Forgets the module `modname`, so that the next `require` loads it anew.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryError`](crate::Error::MemoryError).
    pub fn unload(&self, modname: &str) -> Result<()> {
        let entered = self.enter();
        let state = entered.state;
        // SAFETY: the name is the argument of `protect`; the table of loaded modules gets a string as key.
        unsafe {
            push_bytes(self.inner(), state, modname.as_bytes())?;
            protect(state, 1, 0, |state| {
                engine::luaL_getsubtable(
                    state,
                    engine::LUA_REGISTRYINDEX,
                    engine::LUA_LOADED_TABLE,
                );
                engine::lua_insert(state, -2);
                engine::lua_pushnil(state);
                engine::lua_rawset(state, -3);
            })
        }
    }
}

/// Leaves the module on top; the stack holds the loader and the name.
///
/// # Safety
///
/// May raise.
unsafe fn load(state: *mut engine::lua_State) {
    const LOADER: i32 = 1;
    const NAME: i32 = 2;
    const LOADED: i32 = 3;
    // SAFETY: runs protected, with a stack of its own.
    unsafe {
        engine::luaL_getsubtable(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);
        engine::lua_pushvalue(state, NAME);
        if engine::lua_rawget(state, LOADED) != engine::LUA_TNIL {
            return;
        }
        engine::lua_pushvalue(state, LOADER);
        engine::lua_pushvalue(state, NAME);
        engine::lua_call(state, 1, 1);
        if engine::lua_isnil(state, -1) != 0 {
            engine::lua_pushboolean(state, 1);
        }
        engine::lua_pushvalue(state, NAME);
        engine::lua_pushvalue(state, -2);
        engine::lua_rawset(state, LOADED);
    }
}
