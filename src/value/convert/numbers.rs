//! Numbers and booleans.

use std::os::raw::c_int;

use num_traits::cast;

use super::{mismatch, through_value};
use crate::engine;
use crate::error::Result;
use crate::value::{FromLua, IntoLua, Value};
use crate::{Integer, Lua, Number};

/// A number of any kind out of any Lua value that is, or that Lua can read as, a number.
fn from_value<T: num_traits::NumCast>(value: &Value, to: &'static str) -> Result<T> {
    let number = match value {
        Value::Integer(i) => cast(*i),
        Value::Number(n) => cast(*n),
        other => match (other.coerce_integer(), other.coerce_number()) {
            (Some(i), _) => cast(i),
            (None, Some(n)) => cast(n),
            (None, None) => {
                let expected = "expected number or string coercible to number";
                return Err(mismatch(value.type_name(), to, expected));
            }
        },
    };
    number.ok_or_else(|| mismatch(value.type_name(), to, "out of range"))
}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl IntoLua<'_> for $int {
            #[inline]
            fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
                Ok(match cast(self) {
                    Some(i) => Value::Integer(i),
                    None => Value::Number(self as Number),
                })
            }

            #[inline(always)]
            fn to_lua_index(&self) -> Option<Integer> {
                cast(*self)
            }

            const PUSHES_PLAIN: bool = true;

            #[inline(always)]
            unsafe fn push_plain(&self, state: *mut engine::lua_State) {
                // SAFETY: the caller guarantees one place; pushing a number does not raise.
                unsafe {
                    match cast::<_, Integer>(*self) {
                        Some(i) => engine::lua_pushinteger(state, i),
                        None => engine::lua_pushnumber(state, *self as Number),
                    }
                }
            }

            #[inline(always)]
            unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
                // SAFETY: passed on.
                unsafe { self.push_plain(lua.state()) };
                Ok(())
            }
        }

        impl FromLua<'_> for $int {
            #[inline]
            fn from_lua(value: Value<'_>, _: &Lua) -> Result<Self> {
                from_value(&value, stringify!($int))
            }

            const READS_PLAIN: bool = true;

            #[inline(always)]
            unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
                let mut is_integer = 0;
                // SAFETY: a read that neither allocates nor raises.
                let i = unsafe { engine::lua_tointegerx(state, idx, &mut is_integer) };
                if is_integer != 0 { cast(i) } else { None }
            }

            #[inline(always)]
            fn from_integer(i: Integer) -> Option<Self> {
                cast(i)
            }

            #[inline]
            unsafe fn from_stack(idx: c_int, lua: &Lua) -> Result<Self> {
                // SAFETY: passed on.
                unsafe {
                    match Self::read_plain(lua.state(), idx) {
                        Some(i) => Ok(i),
                        None => through_value(idx, lua),
                    }
                }
            }
        }
    )*};
}

integers!(i8 u8 i16 u16 i32 u32 i64 u64 i128 u128 isize usize);

macro_rules! floats {
    ($($float:ty)*) => {$(
        impl IntoLua<'_> for $float {
            #[inline]
            fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
                Ok(Value::Number(self as Number))
            }

            const PUSHES_PLAIN: bool = true;

            #[inline(always)]
            unsafe fn push_plain(&self, state: *mut engine::lua_State) {
                // SAFETY: the caller guarantees one place; pushing a number does not raise.
                unsafe { engine::lua_pushnumber(state, *self as Number) }
            }

            #[inline(always)]
            unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
                // SAFETY: passed on.
                unsafe { self.push_plain(lua.state()) };
                Ok(())
            }
        }

        impl FromLua<'_> for $float {
            #[inline]
            fn from_lua(value: Value<'_>, _: &Lua) -> Result<Self> {
                from_value(&value, stringify!($float))
            }

            const READS_PLAIN: bool = true;

            #[inline(always)]
            unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
                let mut is_number = 0;
                // SAFETY: a read that neither allocates nor raises.
                let n = unsafe { engine::lua_tonumberx(state, idx, &mut is_number) };
                (is_number != 0).then_some(n as $float)
            }

            #[inline]
            unsafe fn from_stack(idx: c_int, lua: &Lua) -> Result<Self> {
                // SAFETY: passed on.
                unsafe {
                    match Self::read_plain(lua.state(), idx) {
                        Some(n) => Ok(n),
                        None => through_value(idx, lua),
                    }
                }
            }
        }
    )*};
}

floats!(f32 f64);

impl IntoLua<'_> for bool {
    #[inline]
    fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
        Ok(Value::Boolean(self))
    }

    const PUSHES_PLAIN: bool = true;

    #[inline(always)]
    unsafe fn push_plain(&self, state: *mut engine::lua_State) {
        // SAFETY: the caller guarantees one place; pushing a boolean does not raise.
        unsafe { engine::lua_pushboolean(state, *self as c_int) }
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.push_plain(lua.state()) };
        Ok(())
    }
}

impl FromLua<'_> for bool {
    /// As conditions in Lua do: all but `nil` and `false` is true.
    #[inline]
    fn from_lua(value: Value<'_>, _: &Lua) -> Result<Self> {
        Ok(!matches!(value, Value::Nil | Value::Boolean(false)))
    }

    const READS_PLAIN: bool = true;

    #[inline(always)]
    unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
        // SAFETY: a read that neither allocates nor raises.
        Some(unsafe { engine::lua_toboolean(state, idx) } != 0)
    }

    #[inline]
    unsafe fn from_stack(idx: c_int, lua: &Lua) -> Result<Self> {
        // SAFETY: as above.
        Ok(unsafe { engine::lua_toboolean(lua.state(), idx) } != 0)
    }
}
