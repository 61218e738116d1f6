//! Lua's own types: values, proxies, registry keys, errors.

use std::os::raw::c_int;

use super::through_value;
use crate::call::failure::{failure_at, push_error};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::stack::Held;
use crate::value::{FromLua, IntoLua, Value};
use crate::{AnyUserData, Function, LightUserData, Lua, RegistryKey, String, Table, Thread};

impl<'lua> IntoLua<'lua> for Value<'lua> {
    #[inline]
    fn into_lua(self, _: &'lua Lua) -> Result<Value<'lua>> {
        Ok(self)
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.push(lua) }
    }
}

impl<'lua> IntoLua<'lua> for &Value<'lua> {
    #[inline]
    fn into_lua(self, _: &'lua Lua) -> Result<Value<'lua>> {
        Ok(self.clone())
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.push(lua) }
    }
}

impl<'lua> FromLua<'lua> for Value<'lua> {
    #[inline]
    fn from_lua(value: Value<'lua>, _: &'lua Lua) -> Result<Self> {
        Ok(value)
    }

    #[inline]
    unsafe fn from_stack(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        unsafe { Value::at(lua, idx) }
    }
}

macro_rules! into_lua {
    ($($Proxy:ident, $Variant:ident;)*) => {$(
        impl<'lua> IntoLua<'lua> for $Proxy<'lua> {
            #[inline]
            fn into_lua(self, _: &'lua Lua) -> Result<Value<'lua>> {
                Ok(Value::$Variant(self))
            }

            #[inline(always)]
            fn to_lua_slot(&self, lua: &'lua Lua) -> Option<Slot> {
                self.0.slot_in(lua)
            }

            #[inline]
            unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
                // SAFETY: passed on.
                unsafe { self.0.push_to(lua) }
            }
        }

        impl<'lua> IntoLua<'lua> for &$Proxy<'lua> {
            #[inline]
            fn into_lua(self, _: &'lua Lua) -> Result<Value<'lua>> {
                Ok(Value::$Variant(self.clone()))
            }

            #[inline(always)]
            fn to_lua_slot(&self, lua: &'lua Lua) -> Option<Slot> {
                self.0.slot_in(lua)
            }

            #[inline]
            unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
                // SAFETY: passed on.
                unsafe { self.0.push_to(lua) }
            }
        }
    )*};
}

into_lua! {
    String, String;
    Table, Table;
    Function, Function;
    Thread, Thread;
    AnyUserData, UserData;
}

macro_rules! from_lua {
    ($($Proxy:ident, $Variant:ident, $name:literal, |$lua:ident, $idx:ident| $is:expr;)*) => {$(
        impl<'lua> FromLua<'lua> for $Proxy<'lua> {
            #[inline]
            fn from_lua(value: Value<'lua>, _: &'lua Lua) -> Result<Self> {
                match value {
                    Value::$Variant(proxy) => Ok(proxy),
                    other => Err(Error::from_lua_conversion(other.type_name(), $name, None)),
                }
            }

            #[inline]
            unsafe fn from_stack($idx: c_int, $lua: &'lua Lua) -> Result<Self> {
                // SAFETY: passed on; the test is a read that does not raise.
                unsafe {
                    if $is {
                        return Ref::at($lua, $idx).map($Proxy);
                    }
                    through_value($idx, $lua)
                }
            }

            #[inline]
            unsafe fn pop_from_stack($lua: &'lua Lua) -> Result<Self> {
                let $idx = -1;
                // SAFETY: passed on; a value of another type is popped all the same.
                unsafe {
                    if $is {
                        return Ref::pop($lua).map($Proxy);
                    }
                    let _held = Held::adopt($lua.state(), 1);
                    through_value($idx, $lua)
                }
            }
        }
    )*};
}

from_lua! {
    Table, Table, "table", |lua, idx| engine::lua_type(lua.state(), idx) == engine::LUA_TTABLE;
    Function, Function, "function", |lua, idx| engine::lua_type(lua.state(), idx) == engine::LUA_TFUNCTION;
    Thread, Thread, "thread", |lua, idx| engine::lua_type(lua.state(), idx) == engine::LUA_TTHREAD;
    AnyUserData, UserData, "userdata", |lua, idx| {
        let (inner, state) = (lua.inner(), lua.state());
        engine::lua_type(state, idx) == engine::LUA_TUSERDATA && failure_at(inner, state, idx).is_none()
    };
}

impl IntoLua<'_> for LightUserData {
    #[inline]
    fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
        Ok(Value::LightUserData(self))
    }
}

impl FromLua<'_> for LightUserData {
    #[inline]
    fn from_lua(value: Value<'_>, _: &Lua) -> Result<Self> {
        match value {
            Value::LightUserData(address) => Ok(address),
            other => {
                let from = other.type_name();
                Err(Error::from_lua_conversion(from, "light userdata", None))
            }
        }
    }
}

impl IntoLua<'_> for Error {
    #[inline]
    fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
        Ok(Value::Error(self))
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
        let inner = lua.inner();
        // SAFETY: passed on.
        unsafe { push_error(inner, inner.state(), self) }
    }
}

impl FromLua<'_> for Error {
    /// A string or a number is taken for the message of a [`Error::RuntimeError`]; never fails for want of a better one.
    fn from_lua(value: Value<'_>, lua: &Lua) -> Result<Self> {
        if let Value::Error(error) = value {
            return Ok(error);
        }
        let string = lua.coerce_string(value)?;
        let text = string.as_ref().and_then(|string| string.to_str().ok());
        let message = text.unwrap_or("<unprintable error>");
        Ok(Error::RuntimeError(message.to_owned()))
    }
}

impl IntoLua<'_> for RegistryKey {
    fn into_lua(self, lua: &Lua) -> Result<Value<'_>> {
        super::through_stack(self, lua)
    }

    unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
        // SAFETY: passed on. `remove` drops no user's value: it is on the stack now.
        unsafe {
            (&self).push_into_stack(lua)?;
            self.remove(lua.inner())
        }
    }
}

impl IntoLua<'_> for &RegistryKey {
    fn into_lua(self, lua: &Lua) -> Result<Value<'_>> {
        super::through_stack(self, lua)
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
        let inner = lua.inner();
        // SAFETY: passed on.
        unsafe { self.push(inner, inner.state()) }
    }
}

impl FromLua<'_> for RegistryKey {
    fn from_lua(value: Value<'_>, lua: &Lua) -> Result<Self> {
        let entered = lua.try_enter()?;
        lua.reserve_stack()?;
        // SAFETY: there is room.
        unsafe {
            value.push(lua)?;
            let _held = Held::adopt(entered.state, 1);
            Self::from_stack(-1, lua)
        }
    }

    #[inline]
    unsafe fn from_stack(idx: c_int, lua: &Lua) -> Result<Self> {
        let inner = lua.inner();
        // SAFETY: passed on; `take` pops the copy.
        unsafe {
            engine::lua_pushvalue(inner.state(), idx);
            RegistryKey::take(inner, inner.state())
        }
    }
}
