//! Lua's own conversions between numbers and strings, and conversions by hand.

use std::os::raw::c_int;

use super::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, MultiValue, Value};
use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::string::String;
use crate::{Integer, Lua, Number};

impl Value<'_> {
    /// The integer that Lua reads this value as.
    pub(super) fn coerce_integer(&self) -> Option<Integer> {
        match self {
            Value::Integer(i) => Some(*i),
            Value::Number(n) if n.floor() == *n => num_traits::cast(*n),
            Value::String(string) => string.read_number(|state, index, is_number| {
                // SAFETY: a read of the text of a string.
                unsafe { engine::lua_tointegerx(state, index, is_number) as Integer }
            }),
            _ => None,
        }
    }

    /// The number that Lua reads this value as.
    pub(super) fn coerce_number(&self) -> Option<Number> {
        match self {
            Value::Integer(i) => Some(*i as Number),
            Value::Number(n) => Some(*n),
            Value::String(string) => string.read_number(|state, index, is_number| {
                // SAFETY: a read of the text of a string.
                unsafe { engine::lua_tonumberx(state, index, is_number) }
            }),
            _ => None,
        }
    }
}

impl String<'_> {
    fn read_number<N>(
        &self,
        read: impl FnOnce(*mut engine::lua_State, c_int, &mut c_int) -> N,
    ) -> Option<N> {
        let mut is_number = 0;
        // SAFETY: what is done there only reads.
        let (thread, index) = unsafe { self.0.peek() };
        let number = read(thread, index, &mut is_number);
        (is_number != 0).then_some(number)
    }
}

impl Lua {
    /// The string that `v` is, or that Lua makes of a number; `None` for all other values.
    ///
    /// # Errors
    ///
    /// There is no memory for the string.
    pub fn coerce_string<'lua>(&'lua self, v: Value<'lua>) -> Result<Option<String<'lua>>> {
        match v {
            Value::String(string) => Ok(Some(string)),
            Value::Integer(_) | Value::Number(_) => {
                let entered = self.try_enter()?;
                // SAFETY: only a lack of memory raises; a fixed number of places is taken.
                unsafe {
                    v.push(self)?;
                    if self.inner().infallible_creation() {
                        let memory = &self.inner().memory;
                        memory.unfailing(|| {
                            engine::lua_tolstring(entered.state, -1, std::ptr::null_mut())
                        });
                    } else {
                        protect(entered.state, 1, 1, |state| {
                            engine::lua_tolstring(state, 1, std::ptr::null_mut());
                        })?;
                    }
                    Ok(Some(String(Ref::pop(self)?)))
                }
            }
            _ => Ok(None),
        }
    }

    /// The integer that Lua reads `v` as: an integer, a float without fraction that fits, or a string that reads as one of
    /// these. `None` for all other values.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn coerce_integer(&self, v: Value<'_>) -> Result<Option<Integer>> {
        Ok(v.coerce_integer())
    }

    /// The number that Lua reads `v` as: a number, or a string that reads as one. `None` for all other values.
    ///
    /// # Errors
    ///
    /// None so far.
    pub fn coerce_number(&self, v: Value<'_>) -> Result<Option<Number>> {
        Ok(v.coerce_number())
    }

    /// Turns `t` into a Lua value.
    ///
    /// # Errors
    ///
    /// What the conversion returns.
    pub fn pack<'lua, T: IntoLua<'lua>>(&'lua self, t: T) -> Result<Value<'lua>> {
        t.into_lua(self)
    }

    /// Turns a Lua value into a `T`.
    ///
    /// # Errors
    ///
    /// What the conversion returns.
    pub fn unpack<'lua, T: FromLua<'lua>>(&'lua self, value: Value<'lua>) -> Result<T> {
        T::from_lua(value, self)
    }

    /// Turns `t` into any number of Lua values.
    ///
    /// # Errors
    ///
    /// What the conversion returns.
    pub fn pack_multi<'lua, T: IntoLuaMulti<'lua>>(&'lua self, t: T) -> Result<MultiValue<'lua>> {
        t.into_lua_multi(self)
    }

    /// Turns any number of Lua values into a `T`.
    ///
    /// # Errors
    ///
    /// What the conversion returns.
    pub fn unpack_multi<'lua, T>(&'lua self, value: MultiValue<'lua>) -> Result<T>
    where
        T: FromLuaMulti<'lua>,
    {
        T::from_lua_multi(value, self)
    }

    /// Pushes `value` onto the stack of the running state.
    ///
    /// # Safety
    ///
    /// Whoever calls this answers for the balance of the stack.
    #[doc(hidden)]
    pub unsafe fn push<'lua>(&'lua self, value: impl IntoLua<'lua>) -> Result<()> {
        let _entered = self.try_enter()?;
        self.reserve_stack()?;
        // SAFETY: there is room.
        unsafe { value.push_into_stack(self) }
    }

    /// As [`Lua::push`] for a [`Value`].
    ///
    /// # Safety
    ///
    /// As [`Lua::push`].
    #[doc(hidden)]
    pub unsafe fn push_value(&self, value: Value<'_>) -> Result<()> {
        let _entered = self.try_enter()?;
        self.reserve_stack()?;
        // SAFETY: there is room.
        unsafe { value.push(self) }
    }

    /// Pops the value on top of the running state.
    ///
    /// # Panics
    ///
    /// Panics if the instance is gone, or if there is no memory for a reference to the value.
    ///
    /// # Safety
    ///
    /// There is a value on top, and whoever calls this answers for the balance of the stack.
    #[doc(hidden)]
    pub unsafe fn pop_value(&self) -> Value<'_> {
        let _entered = self.enter();
        // SAFETY: passed on.
        unsafe { Value::pop(self) }.expect("not enough memory for a reference")
    }
}
