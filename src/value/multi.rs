//! [`MultiValue`] and [`Variadic`].

use std::fmt;
use std::iter::Rev;
use std::ops::{Deref, DerefMut, Index};
use std::os::raw::c_int;
use std::{slice, vec};

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

    /// The values of `vec`, in its order.
    #[inline]
    pub fn from_vec(mut vec: Vec<Value<'lua>>) -> MultiValue<'lua> {
        vec.reverse();
        MultiValue(vec)
    }

    /// The values, in order.
    #[inline]
    pub fn into_vec(self) -> Vec<Value<'lua>> {
        let mut vec = self.0;
        vec.reverse();
        vec
    }

    /// The value at `index`, counted from zero.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Value<'lua>> {
        self.0.iter().nth_back(index)
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

    /// Removes all values.
    #[inline]
    pub fn clear(&mut self) {
        self.0.clear()
    }

    /// How many values there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Goes through the values in order.
    #[inline]
    pub fn iter(&self) -> Rev<slice::Iter<'_, Value<'lua>>> {
        self.0.iter().rev()
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

impl fmt::Debug for MultiValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MultiValue(")?;
        f.debug_list().entries(self).finish()?;
        f.write_str(")")
    }
}

impl<'lua> Index<usize> for MultiValue<'lua> {
    type Output = Value<'lua>;

    #[inline]
    #[track_caller]
    fn index(&self, index: usize) -> &Value<'lua> {
        match self.get(index) {
            Some(value) => value,
            None => panic!(
                "index out of bounds: the len is {} but the index is {index}",
                self.len()
            ),
        }
    }
}

impl<'lua> FromIterator<Value<'lua>> for MultiValue<'lua> {
    fn from_iter<I: IntoIterator<Item = Value<'lua>>>(iter: I) -> Self {
        MultiValue::from_vec(Vec::from_iter(iter))
    }
}

impl<'lua> IntoIterator for MultiValue<'lua> {
    type Item = Value<'lua>;
    type IntoIter = Rev<vec::IntoIter<Value<'lua>>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().rev()
    }
}

impl<'a, 'lua> IntoIterator for &'a MultiValue<'lua> {
    type Item = &'a Value<'lua>;
    type IntoIter = Rev<slice::Iter<'a, Value<'lua>>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'lua> IntoLuaMulti<'lua> for MultiValue<'lua> {
    #[inline]
    fn into_lua_multi(self, _: &'lua Lua) -> Result<MultiValue<'lua>> {
        Ok(self)
    }

    #[inline]
    unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
        // SAFETY: passed on.
        unsafe { self.push(lua) }
    }
}

impl<'lua> FromLuaMulti<'lua> for MultiValue<'lua> {
    #[inline]
    fn from_lua_multi(values: MultiValue<'lua>, _: &'lua Lua) -> Result<Self> {
        Ok(values)
    }
}

/// Any number of values of one type, as the last element of a tuple or alone.
///
/// # Examples
///
/// ```
/// # use mlua::{Lua, Result, Variadic};
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let sum = lua.create_function(|_, numbers: Variadic<i64>| Ok(numbers.iter().sum::<i64>()))?;
/// assert_eq!(sum.call::<_, i64>((1, 2, 3))?, 6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Variadic<T>(Vec<T>);

impl<T> Variadic<T> {
    /// No values.
    pub const fn new() -> Variadic<T> {
        Variadic(Vec::new())
    }
}

impl<T> Default for Variadic<T> {
    fn default() -> Variadic<T> {
        Variadic::new()
    }
}

impl<T> FromIterator<T> for Variadic<T> {
    fn from_iter<I: IntoIterator<Item = T>>(iter: I) -> Self {
        Variadic(Vec::from_iter(iter))
    }
}

impl<T> IntoIterator for Variadic<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> Deref for Variadic<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> DerefMut for Variadic<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<'lua, T: IntoLua<'lua>> IntoLuaMulti<'lua> for Variadic<T> {
    fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
        let values = self.0.into_iter().map(|value| value.into_lua(lua));
        values.collect::<Result<_>>().map(MultiValue::from_vec)
    }

    unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
        let n = self.0.len();
        lua.reserve_stack_for(n)?;
        // SAFETY: there is room for all of them.
        unsafe {
            let mut held = Held::new(lua.state());
            for value in self.0 {
                value.push_into_stack(lua)?;
                held.add(1);
            }
            held.release(n as c_int);
        }
        Ok(n as c_int)
    }
}

impl<'lua, T: FromLua<'lua>> FromLuaMulti<'lua> for Variadic<T> {
    fn from_lua_multi(values: MultiValue<'lua>, lua: &'lua Lua) -> Result<Self> {
        let values = values.into_iter().map(|value| T::from_lua(value, lua));
        values.collect::<Result<_>>().map(Variadic)
    }

    unsafe fn from_stack_multi(nvals: c_int, lua: &'lua Lua) -> Result<Self> {
        let values = (1..=nvals).rev().map(|i| {
            // SAFETY: there are `nvals` values.
            unsafe { T::from_stack(-i, lua) }
        });
        values.collect::<Result<_>>().map(Variadic)
    }
}
