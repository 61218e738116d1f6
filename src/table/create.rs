//! Making tables.

use std::os::raw::c_int;

use super::{access, Table};
use crate::call::push_table;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::value::IntoLua;
use crate::{Integer, Lua};

impl Lua {
    /// Makes an empty table.
    ///
    /// # Errors
    ///
    /// A lack of memory.
    #[inline]
    pub fn create_table(&self) -> Result<Table<'_>> {
        self.create_table_with_capacity(0, 0)
    }

    /// Makes an empty table with room for `narr` values of a list and `nrec` other fields.
    ///
    /// # Errors
    ///
    /// A lack of memory.
    #[inline]
    pub fn create_table_with_capacity(&self, narr: usize, nrec: usize) -> Result<Table<'_>> {
        let entered = self.enter();
        // SAFETY: one value is pushed, and popped into the reference.
        unsafe {
            push_table(self.inner(), entered.state, size(narr), size(nrec))?;
            Ref::pop(self).map(Table)
        }
    }

    /// Makes a table of keys and values.
    ///
    /// # Errors
    ///
    /// An error in a conversion; a key that is nil or NaN; a lack of memory.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let table = lua.create_table_from([("width", 80), ("height", 25)])?;
    /// assert_eq!(table.get::<_, i64>("height")?, 25);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_table_from<'lua, K, V, I>(&'lua self, iter: I) -> Result<Table<'lua>>
    where
        K: IntoLua<'lua>,
        V: IntoLua<'lua>,
        I: IntoIterator<Item = (K, V)>,
    {
        let entered = self.enter();
        let (inner, state) = (self.inner(), entered.state);
        let iter = iter.into_iter();
        // SAFETY: stack is reserved for the iterator and the conversions; what they find on it is held.
        unsafe {
            let mut held = Held::new(state);
            push_table(inner, state, 0, size(iter.size_hint().0))?;
            held.add(1);
            self.reserve_stack()?;
            for (key, value) in iter {
                if let Some(index) = key.to_lua_index() {
                    value.push_into_stack(self)?;
                    held.add(1);
                    access::raw_set_index(inner, state, &mut held, index)?;
                    continue;
                }
                key.push_into_stack(self)?;
                held.add(1);
                value.push_into_stack(self)?;
                held.add(1);
                access::raw_set(inner, state, &mut held)?;
            }
            held.release(1);
            Ref::pop(self).map(Table)
        }
    }

    /// Makes a list: a table with the values in fields 1, 2, and so on.
    ///
    /// # Errors
    ///
    /// An error in a conversion; a lack of memory.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let list = lua.create_sequence_from(["a", "b", "c"])?;
    /// assert_eq!(list.raw_len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_sequence_from<'lua, T, I>(&'lua self, iter: I) -> Result<Table<'lua>>
    where
        T: IntoLua<'lua>,
        I: IntoIterator<Item = T>,
    {
        let entered = self.enter();
        let (inner, state) = (self.inner(), entered.state);
        let iter = iter.into_iter();
        // SAFETY: as above; the body holds nothing and pops the value.
        unsafe {
            let mut held = Held::new(state);
            push_table(inner, state, size(iter.size_hint().0), 0)?;
            held.add(1);
            self.reserve_stack()?;
            for (i, value) in (1 as Integer..).zip(iter) {
                value.push_into_stack(self)?;
                held.add(1);
                access::raw_set_index(inner, state, &mut held, i)?;
            }
            held.release(1);
            Ref::pop(self).map(Table)
        }
    }
}

/// The size as Lua takes it. One that is too large makes Lua run out of memory all the same.
fn size(n: usize) -> c_int {
    c_int::try_from(n).unwrap_or(c_int::MAX)
}
