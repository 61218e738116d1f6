//! When values are equal.

use super::Value;
use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::Number;

impl PartialEq for Value<'_> {
    /// Whether both are the same, without metamethods: strings, numbers and vectors by value, all else by identity. An error equals
    /// nothing.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::LightUserData(a), Value::LightUserData(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Integer(i), Value::Number(n)) | (Value::Number(n), Value::Integer(i)) => {
                *i as Number == *n
            }
            (Value::Number(a), Value::Number(b)) => a == b,
            #[cfg(feature = "luau")]
            (Value::Vector(a), Value::Vector(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::Table(a), Value::Table(b)) => a.0.is_same(&b.0),
            (Value::Function(a), Value::Function(b)) => a.0.is_same(&b.0),
            (Value::Thread(a), Value::Thread(b)) => a.0.is_same(&b.0),
            (Value::UserData(a), Value::UserData(b)) => a.0.is_same(&b.0),
            _ => false,
        }
    }
}

impl<'lua> AsRef<Value<'lua>> for Value<'lua> {
    #[inline]
    fn as_ref(&self) -> &Value<'lua> {
        self
    }
}

impl<'lua> Value<'lua> {
    /// Whether both are equal as Lua's `==` sees it: two tables, or two userdata, that are not the same are compared by
    /// the metamethod `__eq` of the first or else of the second; on Lua 5.1, LuaJIT and Luau only if that is the same for both.
    ///
    /// # Errors
    ///
    /// What the metamethod raises; [`Error::MismatchedLua`](crate::Error::MismatchedLua) for two tables or userdata of
    /// different instances.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, Value};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let code = "local all = { __eq = function() return true end }
    ///             return setmetatable({}, all), setmetatable({}, all)";
    /// let (one, other): (Value, Value) = lua.load(code).eval()?;
    /// assert!(one.equals(&other)?);
    /// assert_ne!(one, other);
    /// # Ok(())
    /// # }
    /// ```
    pub fn equals<T: AsRef<Self>>(&self, other: T) -> Result<bool> {
        match (self, other.as_ref()) {
            (Value::Table(a), Value::Table(b)) => are_equal(&a.0, &b.0),
            (Value::UserData(a), Value::UserData(b)) => are_equal(&a.0, &b.0),
            (a, b) => Ok(a == b),
        }
    }
}

/// Whether two tables or two userdata are equal, with metamethods.
pub(crate) fn are_equal(a: &Ref, b: &Ref) -> Result<bool> {
    if a.is_same(b) {
        return Ok(true);
    }
    let lua = a.lua();
    let entered = lua.try_enter()?;
    lua.reserve_stack()?;
    // SAFETY: there is room; the comparison runs protected.
    unsafe {
        a.push();
        let mut held = Held::adopt(entered.state, 1);
        b.push_to(lua)?;
        held.release(1);
        protect(entered.state, 2, 0, |state| {
            engine::lua_compare(state, 1, 2, engine::LUA_OPEQ) != 0
        })
    }
}
