//! Conversions of the types of Lua and of the standard library.

use std::os::raw::c_int;

use super::{FromLua, IntoLua, Value};
use crate::error::{Error, Result};
use crate::Lua;

pub(crate) mod collections;
mod lua_types;
mod numbers;
mod option;
pub(crate) mod text;

pub(crate) use text::{bytes_at, utf8};

/// The way of the values that a direct read does not know: coercions and errors are those of `from_lua`.
///
/// # Safety
///
/// As for `from_stack`.
#[cold]
unsafe fn through_value<'lua, T: FromLua<'lua>>(idx: c_int, lua: &'lua Lua) -> Result<T> {
    lua.reserve_stack()?;
    // SAFETY: passed on; there is room by the line above.
    let value = unsafe { Value::at(lua, idx)? };
    T::from_lua(value, lua)
}

/// `into_lua` of the types that are made on the stack.
fn through_stack<'lua, T: IntoLua<'lua>>(value: T, lua: &'lua Lua) -> Result<Value<'lua>> {
    let _entered = lua.try_enter()?;
    lua.reserve_stack()?;
    // SAFETY: there is room; `push_into_stack` leaves one value.
    unsafe {
        value.push_into_stack(lua)?;
        Value::pop(lua)
    }
}

#[cold]
fn mismatch(from: &'static str, to: &'static str, message: impl Into<String>) -> Error {
    Error::from_lua_conversion(from, to, message.into())
}
