//! `Option`: a value or nil.  `Result`: the values of a success, or nil and what went wrong.

use std::os::raw::c_int;

use crate::engine;
use crate::error::Result;
use crate::stack::Held;
use crate::value::{FromLua, IntoLua, IntoLuaMulti, MultiValue, Nil, Value};
use crate::Lua;

impl<'lua, T: IntoLua<'lua>> IntoLua<'lua> for Option<T> {
    #[inline]
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        match self {
            Some(value) => value.into_lua(lua),
            None => Ok(Nil),
        }
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe {
            match self {
                Some(value) => value.push_into_stack(lua),
                None => {
                    engine::lua_pushnil(lua.state());
                    Ok(())
                }
            }
        }
    }
}

impl<'lua, T: FromLua<'lua>> FromLua<'lua> for Option<T> {
    #[inline]
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        match value {
            Nil => Ok(None),
            value => T::from_lua(value, lua).map(Some),
        }
    }

    const READS_PLAIN: bool = T::READS_PLAIN;

    #[inline(always)]
    unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
        // SAFETY: passed on; a nil that `T` can read, as `bool` does, is `None` all the same.
        unsafe {
            match engine::lua_type(state, idx) {
                engine::LUA_TNIL => Some(None),
                _ => T::read_plain(state, idx).map(Some),
            }
        }
    }

    #[inline]
    fn from_lua_arg(arg: Value<'lua>, i: usize, to: Option<&str>, lua: &'lua Lua) -> Result<Self> {
        match arg {
            Nil => Ok(None),
            arg => T::from_lua_arg(arg, i, to, lua).map(Some),
        }
    }

    #[inline]
    unsafe fn from_stack(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        unsafe {
            match engine::lua_type(lua.state(), idx) {
                engine::LUA_TNIL | engine::LUA_TNONE => Ok(None),
                _ => T::from_stack(idx, lua).map(Some),
            }
        }
    }

    #[inline]
    unsafe fn pop_from_stack(lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        unsafe {
            match engine::lua_type(lua.state(), -1) {
                engine::LUA_TNIL => {
                    engine::lua_pop(lua.state(), 1);
                    Ok(None)
                }
                _ => T::pop_from_stack(lua).map(Some),
            }
        }
    }

    #[inline]
    unsafe fn from_stack_arg(
        idx: c_int,
        i: usize,
        to: Option<&str>,
        lua: &'lua Lua,
    ) -> Result<Self> {
        // SAFETY: passed on.
        unsafe {
            match engine::lua_type(lua.state(), idx) {
                engine::LUA_TNIL | engine::LUA_TNONE => Ok(None),
                _ => T::from_stack_arg(idx, i, to, lua).map(Some),
            }
        }
    }
}

/// Nil and the error, as functions of Lua's library report one.
fn failed<'lua, E: IntoLua<'lua>>(error: E, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
    (Nil, error).into_lua_multi(lua)
}

/// # Safety
///
/// As for `push_into_stack_multi`.
unsafe fn push_failed<'lua, E: IntoLua<'lua>>(error: E, lua: &'lua Lua) -> Result<c_int> {
    // SAFETY: passed on; two values are few.
    unsafe {
        engine::lua_pushnil(lua.state());
        let mut held = Held::adopt(lua.state(), 1);
        error.push_into_stack(lua)?;
        held.release(1);
    }
    Ok(2)
}

impl<'lua, T: IntoLua<'lua>, E: IntoLua<'lua>> IntoLuaMulti<'lua> for std::result::Result<T, E> {
    fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
        match self {
            Ok(value) => value.into_lua_multi(lua),
            Err(error) => failed(error, lua),
        }
    }

    #[inline]
    unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
        // SAFETY: passed on.
        unsafe {
            match self {
                Ok(value) => value.push_into_stack_multi(lua),
                Err(error) => push_failed(error, lua),
            }
        }
    }
}

impl<'lua, E: IntoLua<'lua>> IntoLuaMulti<'lua> for std::result::Result<(), E> {
    fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
        match self {
            Ok(()) => Ok(MultiValue::new()),
            Err(error) => failed(error, lua),
        }
    }

    #[inline]
    unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
        match self {
            Ok(()) => Ok(0),
            // SAFETY: passed on.
            Err(error) => unsafe { push_failed(error, lua) },
        }
    }
}
