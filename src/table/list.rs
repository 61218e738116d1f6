//! A table as a list: fields 1, 2, and so on.

use std::os::raw::c_int;

use super::{access, Table};
use crate::engine;
use crate::error::{Error, Result};
use crate::value::{FromLua, IntoLua};
use crate::Integer;

impl<'lua> Table<'lua> {
    /// Appends `value` to the list.
    ///
    /// The metamethods `__len` and `__newindex` are respected; [`Table::raw_push`] goes without.
    ///
    /// # Errors
    ///
    /// An error in a metamethod or in the conversion of `value`; a lack of memory.
    pub fn push<V: IntoLua<'lua>>(&self, value: V) -> Result<()> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes.
        unsafe {
            let mut held = self.hold_with(state, value)?;
            if access::has_metatable(state, -2) {
                return access::call_on_copies(state, &mut held, append, 2, 0);
            }
            access::check_writable(state, -2)?;
            held.release(2);
            raw_append(self, state)
        }
    }

    /// Removes the last value of the list and returns it, nil if the list is empty.
    ///
    /// The metamethods `__len`, `__index` and `__newindex` are respected; [`Table::raw_pop`] goes without.
    ///
    /// # Errors
    ///
    /// An error in a metamethod or in the conversion of the value, which is then gone.
    pub fn pop<V: FromLua<'lua>>(&self) -> Result<V> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes; the value is on top.
        unsafe {
            let mut held = self.hold(state);
            if !access::has_metatable(state, -1) {
                drop(held);
                return self.raw_pop();
            }
            access::call_on_copies(state, &mut held, remove_last, 1, 1)?;
            V::from_stack(-1, self.0.lua())
        }
    }

    /// Like [`Table::push`] without metamethods.
    ///
    /// # Errors
    ///
    /// An error in the conversion of `value`; a lack of memory.
    pub fn raw_push<V: IntoLua<'lua>>(&self, value: V) -> Result<()> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes.
        unsafe {
            let mut held = self.hold_with(state, value)?;
            access::check_writable(state, -2)?;
            held.release(2);
            raw_append(self, state)
        }
    }

    /// Like [`Table::pop`] without metamethods.
    ///
    /// # Errors
    ///
    /// An error in the conversion of the value, which is then gone.
    pub fn raw_pop<V: FromLua<'lua>>(&self) -> Result<V> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes; the body holds nothing and leaves the value in place of the table.
        unsafe {
            let mut held = self.hold(state);
            access::check_writable(state, -1)?;
            held.release(1);
            access::with_memory(self.0.lua().inner(), state, 1, 1, |state| {
                let last = engine::lua_rawlen(state, -1) as Integer;
                engine::lua_rawgeti(state, -1, last);
                engine::lua_pushnil(state);
                engine::lua_rawseti(state, -3, last);
                engine::lua_replace(state, -2);
            })?;
            held.add(1);
            V::from_stack(-1, self.0.lua())
        }
    }

    /// Inserts `value` at position `idx` of the list; the values from there on move up by one. Metamethods are ignored.
    ///
    /// # Errors
    ///
    /// An `idx` below 1 or above the length plus one; an error in the conversion of `value`; a lack of memory.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let list = lua.create_sequence_from([1, 3])?;
    /// list.raw_insert(2, 2)?;
    /// assert_eq!(list, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn raw_insert<V: IntoLua<'lua>>(&self, idx: Integer, value: V) -> Result<()> {
        let state = self.state()?;
        let end = (self.raw_len() as Integer).saturating_add(1);
        if idx < 1 || idx > end {
            return Err(out_of_bounds());
        }
        // SAFETY: a fixed number of pushes; the body holds nothing and pops both values.
        unsafe {
            let mut held = self.hold_with(state, value)?;
            access::check_writable(state, -2)?;
            held.release(2);
            access::with_memory(self.0.lua().inner(), state, 2, 0, |state| {
                for i in (idx..end).rev() {
                    engine::lua_rawgeti(state, -2, i);
                    engine::lua_rawseti(state, -3, i + 1);
                }
                engine::lua_rawseti(state, -2, idx);
                engine::lua_pop(state, 1);
            })
        }
    }

    /// Removes the field `key`, without metamethods.
    ///
    /// If `key` is an integer, it is a position of the list, and the values above it move down by one.
    ///
    /// # Errors
    ///
    /// An integer below 1 or above the length; a key that is nil or NaN; an error in the conversion of `key`.
    pub fn raw_remove<K: IntoLua<'lua>>(&self, key: K) -> Result<()> {
        let state = self.state()?;
        let inner = self.0.lua().inner();
        // SAFETY: a fixed number of pushes; the body holds nothing and pops both values.
        unsafe {
            let mut held = self.hold_with(state, key)?;
            access::check_writable(state, -2)?;
            if engine::lua_isinteger(state, -1) == 0 {
                engine::lua_pushnil(state);
                held.add(1);
                return access::raw_set(inner, state, &mut held);
            }
            let idx = engine::lua_tointeger(state, -1);
            let len = engine::lua_rawlen(state, -2) as Integer;
            if idx < 1 || idx > len {
                return Err(out_of_bounds());
            }
            held.release(2);
            access::with_memory(inner, state, 2, 0, |state| {
                for i in idx..len {
                    engine::lua_rawgeti(state, -2, i + 1);
                    engine::lua_rawseti(state, -3, i);
                }
                engine::lua_pushnil(state);
                engine::lua_rawseti(state, -3, len);
                engine::lua_pop(state, 2);
            })
        }
    }

    /// Sets position `idx` to `value`, without metamethods.
    #[doc(hidden)]
    pub fn raw_seti<V: IntoLua<'lua>>(&self, idx: usize, value: V) -> Result<()> {
        let state = self.state()?;
        let idx = Integer::try_from(idx).map_err(|_| out_of_bounds())?;
        // SAFETY: a fixed number of pushes.
        unsafe {
            let mut held = self.hold_with(state, value)?;
            access::raw_set_index(self.0.lua().inner(), state, &mut held, idx)
        }
    }

    /// Whether the list consists of exactly `values`, compared without metamethods.
    fn is_list_of<T: IntoLua<'lua> + Clone>(&self, values: &[T]) -> Result<bool> {
        let lua = self.0.lua();
        let state = self.state()?;
        let mut i = 0;
        // SAFETY: a fixed number of pushes at a time; a raw read and a raw comparison do not raise.
        unsafe {
            let mut held = self.hold(state);
            lua.reserve_stack()?;
            for value in values {
                i += 1;
                value.clone().push_into_stack(lua)?;
                held.add(1);
                engine::lua_rawgeti(state, -2, i);
                let same = engine::lua_rawequal(state, -1, -2) != 0;
                engine::lua_pop(state, 2);
                held.release(1);
                if !same {
                    return Ok(false);
                }
            }
            let more = engine::lua_rawgeti(state, -1, i + 1) != engine::LUA_TNIL;
            engine::lua_pop(state, 1);
            Ok(!more)
        }
    }
}

/// Pops the table and the value on top after appending it, without metamethods.
///
/// # Safety
///
/// `state` is the running state of the instance of `table` with both on top and 3 free places.
unsafe fn raw_append(table: &Table, state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: the body holds nothing and pops both values.
    unsafe {
        access::with_memory(table.0.lua().inner(), state, 2, 0, |state| {
            let len = engine::lua_rawlen(state, -2) as Integer;
            engine::lua_rawseti(state, -2, len.wrapping_add(1));
            engine::lua_pop(state, 1);
        })
    }
}

unsafe extern "C-unwind" fn append(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called with a table and a value.
    unsafe {
        let len = engine::luaL_len(state, 1);
        engine::lua_seti(state, 1, len.wrapping_add(1));
    }
    0
}

unsafe extern "C-unwind" fn remove_last(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called with a table.
    unsafe {
        let len = engine::luaL_len(state, 1);
        engine::lua_geti(state, 1, len);
        engine::lua_pushnil(state);
        engine::lua_seti(state, 1, len);
    }
    1
}

#[cold]
fn out_of_bounds() -> Error {
    Error::RuntimeError("index out of bounds".into())
}

/// Whether the list consists of exactly these values, compared without metamethods.
impl<'lua, T: IntoLua<'lua> + Clone> PartialEq<[T]> for Table<'lua> {
    fn eq(&self, other: &[T]) -> bool {
        self.is_list_of(other).unwrap_or(false)
    }
}

/// Whether the list consists of exactly these values, compared without metamethods.
impl<'lua, T: IntoLua<'lua> + Clone> PartialEq<&[T]> for Table<'lua> {
    fn eq(&self, other: &&[T]) -> bool {
        self == *other
    }
}

/// Whether the list consists of exactly these values, compared without metamethods.
impl<'lua, T: IntoLua<'lua> + Clone, const N: usize> PartialEq<[T; N]> for Table<'lua> {
    fn eq(&self, other: &[T; N]) -> bool {
        self == &other[..]
    }
}
