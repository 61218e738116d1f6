//! [`MultiValue`] and [`Variadic`].

use std::os::raw::c_int;

use super::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, Value};
use crate::error::Result;
use crate::stack::Held;
use crate::Lua;

/// Any number of Lua values: the arguments or the results of a call.
//
// The values lie in reverse order, so that taking the first, which is what conversions do, is a pop.
#[derive(Clone, Default)]
pub struct MultiValue<'lua>(Vec<Value<'lua>>);

impl<'lua> MultiValue<'lua> {
    /// No values.
    pub const fn new() -> MultiValue<'lua> {
        MultiValue(Vec::new())
    }

    /// Removes and returns the first value.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Value<'lua>> {
        self.0.pop()
    }

    /// Puts a value before the first.
    #[inline]
    pub fn push_front(&mut self, value: Value<'lua>) {
        self.0.push(value)
    }

    /// Pushes the values onto the running state of `lua` and returns how many.
    ///
    /// # Safety
    ///
    /// As for `push_into_stack_multi`.
    pub(crate) unsafe fn push(&self, lua: &Lua) -> Result<c_int> {
        lua.reserve_stack_for(self.0.len())?;
        // SAFETY: there is room for all of them.
        unsafe {
            let mut held = Held::new(lua.state());
            for value in self.0.iter().rev() {
                value.push(lua)?;
                held.add(1);
            }
            let n = self.0.len() as c_int;
            held.release(n);
            Ok(n)
        }
    }

    /// The `n` values on top of the running state, which stay there.
    ///
    /// # Safety
    ///
    /// There are `n` values.
    pub(crate) unsafe fn top(lua: &'lua Lua, n: c_int) -> Result<MultiValue<'lua>> {
        let mut values = Vec::with_capacity(n as usize);
        for i in 1..=n {
            // SAFETY: there are `n` values; the caller's reserve has room for one.
            values.push(unsafe { Value::at(lua, -i)? });
        }
        Ok(MultiValue(values))
    }
}

impl<'lua> IntoLuaMulti<'lua> for MultiValue<'lua> {
    fn into_lua_multi(self, _: &'lua Lua) -> Result<MultiValue<'lua>> {
        Ok(self)
    }
}

impl<'lua> FromLuaMulti<'lua> for MultiValue<'lua> {
    fn from_lua_multi(values: MultiValue<'lua>, _: &'lua Lua) -> Result<Self> {
        Ok(values)
    }
}

/// Any number of values of one type, for the last element of a tuple.
#[derive(Clone, Debug)]
pub struct Variadic<T>(Vec<T>);

impl<'lua, T: IntoLua<'lua>> IntoLuaMulti<'lua> for Variadic<T> {
    fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
        let mut values: Vec<_> = self
            .0
            .into_iter()
            .map(|value| value.into_lua(lua))
            .collect::<Result<_>>()?;
        values.reverse();
        Ok(MultiValue(values))
    }
}

impl<'lua, T: FromLua<'lua>> FromLuaMulti<'lua> for Variadic<T> {
    fn from_lua_multi(values: MultiValue<'lua>, lua: &'lua Lua) -> Result<Self> {
        let values = values
            .0
            .into_iter()
            .rev()
            .map(|value| T::from_lua(value, lua));
        values.collect::<Result<_>>().map(Variadic)
    }
}
