//! [`Value`]: any Lua value.

use std::os::raw::{c_int, c_void};

use crate::call::failure::{failure_at, push_error, Failure};
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::string::String;
use crate::table::Table;
use crate::thread::Thread;
use crate::userdata::AnyUserData;
#[cfg(feature = "luau")]
use crate::Vector;
use crate::{Integer, Lua, Number};

pub use Value::Nil;

/// A light userdata: an address that means something to the host only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LightUserData(pub *mut c_void);

/// Any Lua value.
///
/// Strings, tables, functions, coroutines and userdata are references to what lies in Lua; the others are plain values.
#[derive(Clone)]
pub enum Value<'lua> {
    /// The Lua value `nil`.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// A light userdata.
    LightUserData(LightUserData),
    /// A number with an integer as value.
    Integer(Integer),
    /// A floating-point number.
    Number(Number),
    /// A vector.
    #[cfg(feature = "luau")]
    Vector(Vector),
    /// A string.
    String(String<'lua>),
    /// A table.
    Table(Table<'lua>),
    /// A function, of Lua or of Rust.
    Function(Function<'lua>),
    /// A coroutine.
    Thread(Thread<'lua>),
    /// A userdata.
    UserData(AnyUserData<'lua>),
    /// An error of Rust's that went through Lua.
    Error(Error),
}

/// Pushes a light userdata. On LuaJIT it may take memory, or the address be one that LuaJIT cannot hold.
unsafe fn push_light(state: *mut engine::lua_State, address: *mut c_void) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        if cfg!(feature = "luajit") {
            return protect(state, 0, 1, |state| {
                engine::lua_pushlightuserdata(state, address)
            });
        }
        engine::lua_pushlightuserdata(state, address);
    }
    Ok(())
}

/// The userdata at `index`, or what is to Rust one.
///
/// # Safety
///
/// As [`Value::at`].
unsafe fn userdata_at(lua: &Lua, index: c_int) -> Result<AnyUserData<'_>> {
    // SAFETY: passed on.
    unsafe {
        let reference = Ref::at(lua, index)?;
        #[cfg(feature = "luau")]
        if engine::lua_type(lua.state(), index) == engine::LUA_TBUFFER {
            return Ok(AnyUserData(reference.foreign()));
        }
        #[cfg(feature = "luajit")]
        if engine::lua_type(lua.state(), index) == engine::LUA_TCDATA {
            return Ok(AnyUserData(reference.foreign()));
        }
        Ok(AnyUserData(reference))
    }
}

impl<'lua> Value<'lua> {
    /// Pushes the value onto the running state of `lua`; an error if it is of another instance.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[inline]
    pub(crate) unsafe fn push(&self, lua: &Lua) -> Result<()> {
        let inner = lua.inner();
        let state = inner.state();
        // SAFETY: the caller guarantees room; none of the plain pushes raises.
        unsafe {
            match self {
                Value::Nil => engine::lua_pushnil(state),
                Value::Boolean(b) => engine::lua_pushboolean(state, *b as c_int),
                Value::LightUserData(p) => return push_light(state, p.0),
                Value::Integer(i) => engine::lua_pushinteger(state, *i),
                Value::Number(n) => engine::lua_pushnumber(state, *n),
                #[cfg(feature = "luau")]
                Value::Vector(v) => v.push(state),
                Value::String(s) => return s.0.push_to(lua),
                Value::Table(t) => return t.0.push_to(lua),
                Value::Function(f) => return f.0.push_to(lua),
                Value::Thread(t) => return t.0.push_to(lua),
                Value::UserData(u) => return u.0.push_to(lua),
                Value::Error(e) => return push_error(inner, state, e.clone()),
            }
        }
        Ok(())
    }

    /// The value at `index` of the running state, which stays where it is.
    ///
    /// # Safety
    ///
    /// There is a value at `index`, and room for one more.
    #[inline]
    pub(crate) unsafe fn at(lua: &'lua Lua, index: c_int) -> Result<Value<'lua>> {
        let inner = lua.inner();
        let state = inner.state();
        // SAFETY: the reads match the type that is found.
        unsafe {
            Ok(match engine::lua_type(state, index) {
                engine::LUA_TNIL | engine::LUA_TNONE => Nil,
                engine::LUA_TBOOLEAN => Value::Boolean(engine::lua_toboolean(state, index) != 0),
                engine::LUA_TLIGHTUSERDATA => {
                    Value::LightUserData(LightUserData(engine::lua_touserdata(state, index)))
                }
                engine::LUA_TNUMBER if engine::lua_isinteger(state, index) != 0 => {
                    Value::Integer(engine::lua_tointeger(state, index))
                }
                engine::LUA_TNUMBER => Value::Number(engine::lua_tonumber(state, index)),
                #[cfg(feature = "luau")]
                engine::LUA_TINTEGER => match engine::integer_at(state, index) {
                    Ok(i) => Value::Integer(i),
                    Err(n) => Value::Number(n),
                },
                #[cfg(feature = "luau")]
                engine::LUA_TVECTOR => Vector::at(state, index).map_or(Nil, Value::Vector),
                engine::LUA_TSTRING => Value::String(String(Ref::at(lua, index)?)),
                engine::LUA_TTABLE => Value::Table(Table(Ref::at(lua, index)?)),
                engine::LUA_TFUNCTION => Value::Function(Function(Ref::at(lua, index)?)),
                engine::LUA_TTHREAD => Value::Thread(Thread(Ref::at(lua, index)?)),
                _ => match failure_at(inner, state, index) {
                    Some(Failure::Error(error)) => Value::Error(error.clone()),
                    Some(Failure::Panic(payload)) => match payload.take() {
                        Some(payload) => std::panic::resume_unwind(payload),
                        None => Value::Error(Error::PreviouslyResumedPanic),
                    },
                    None => Value::UserData(userdata_at(lua, index)?),
                },
            })
        }
    }

    /// As [`Value::at`], for those that only look: a panic that was caught in Lua stays where it is, a userdata.
    ///
    /// # Safety
    ///
    /// As [`Value::at`].
    pub(crate) unsafe fn look_at(lua: &'lua Lua, index: c_int) -> Result<Value<'lua>> {
        // SAFETY: passed on.
        unsafe {
            match failure_at(lua.inner(), lua.state(), index) {
                Some(Failure::Panic(Some(_))) => {
                    Ok(Value::UserData(AnyUserData(Ref::at(lua, index)?)))
                }
                _ => Value::at(lua, index),
            }
        }
    }

    /// Pops the value on top of the running state.
    ///
    /// # Safety
    ///
    /// There is a value on top, and room for one more.
    pub(crate) unsafe fn pop(lua: &'lua Lua) -> Result<Value<'lua>> {
        // SAFETY: passed on.
        unsafe {
            let state = lua.state();
            let _held = crate::stack::Held::adopt(state, 1);
            Value::at(lua, -1)
        }
    }
}
