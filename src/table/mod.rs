//! [`Table`].

use std::fmt;
use std::os::raw::c_void;

use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::value::{FromLua, IntoLua, Value};
use crate::Integer;

mod access;
mod create;
mod ext;
mod iter;
mod list;
mod place;

pub use ext::TableExt;
pub use iter::{TablePairs, TableSequence};

/// A Lua table.
///
/// This is a reference: clones of it refer to the same table.
///
/// ```
/// # use mlua::{Lua, Result, Table};
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let point = lua.create_table()?;
/// point.set("x", 3)?;
/// point.set("label", "corner")?;
///
/// let x: i64 = point.get("x")?;
/// assert_eq!(x, 3);
/// let missing: Option<i64> = point.get("y")?;
/// assert_eq!(missing, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Table<'lua>(pub(crate) Ref<'lua>);

impl<'lua> Table<'lua> {
    /// The running state of the table's instance.
    #[inline(always)]
    fn state(&self) -> Result<*mut engine::lua_State> {
        self.0.lua().inner().try_state()
    }

    /// Pushes the table.
    ///
    /// # Safety
    ///
    /// `state` is the running state with a free place.
    #[inline(always)]
    unsafe fn hold(&self, state: *mut engine::lua_State) -> Held {
        // SAFETY: passed on.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            held
        }
    }

    /// Pushes the table and `key`.
    ///
    /// # Safety
    ///
    /// `state` is the running state.
    #[inline(always)]
    unsafe fn hold_with<K: IntoLua<'lua>>(
        &self,
        state: *mut engine::lua_State,
        key: K,
    ) -> Result<Held> {
        // SAFETY: a fixed number of pushes.
        unsafe {
            let mut held = self.hold(state);
            key.push_into_stack(self.0.lua())?;
            held.add(1);
            Ok(held)
        }
    }

    /// Returns the value of the field `key`, nil if there is none.
    ///
    /// A metatable's `__index` is respected; [`Table::raw_get`] goes without.
    ///
    /// # Errors
    ///
    /// An error in a metamethod or in a conversion of `key` or of the value.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let table = lua.create_table_from([("width", 80)])?;
    /// assert_eq!(table.get::<_, u32>("width")?, 80);
    /// assert_eq!(table.get::<_, Option<u32>>("height")?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn get<K: IntoLua<'lua>, V: FromLua<'lua>>(&self, key: K) -> Result<V> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes; the value is on top.
        unsafe {
            let in_place = if let Some(index) = key.to_lua_index() {
                self.find_element(index)
            } else if let Some(slot) = key.to_lua_slot(self.0.lua()) {
                self.find_field(slot)
            } else {
                None
            };
            if let Some(found) = in_place {
                return found.read(self.0.lua(), state);
            }
            self.get_pushed(state, key)
        }
    }

    /// As [`Table::get`] for a key that has to be pushed, or with a metamethod.
    ///
    /// # Safety
    ///
    /// `state` is the running state.
    #[inline(never)]
    unsafe fn get_pushed<K: IntoLua<'lua>, V: FromLua<'lua>>(
        &self,
        state: *mut engine::lua_State,
        key: K,
    ) -> Result<V> {
        // SAFETY: a fixed number of pushes; the value is on top.
        unsafe {
            let mut held = self.hold_with(state, key)?;
            access::get(self.0.lua().inner(), state, &mut held)?;
            V::from_stack(-1, self.0.lua())
        }
    }

    /// Sets the field `key` to `value`; nil removes the field.
    ///
    /// A metatable's `__newindex` is respected; [`Table::raw_set`] goes without.
    ///
    /// # Errors
    ///
    /// An error in a metamethod or in a conversion of `key` or `value`; a key that is nil or NaN; a lack of memory.
    ///
    /// ```
    /// # use mlua::{Lua, Nil, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let table = lua.create_table()?;
    /// table.set("name", "value")?;
    /// table.set("name", Nil)?;
    /// assert!(table.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn set<K: IntoLua<'lua>, V: IntoLua<'lua>>(&self, key: K, value: V) -> Result<()> {
        self.set_as(key, value, false)
    }

    /// Like [`Table::get`] without metamethods.
    ///
    /// # Errors
    ///
    /// An error in a conversion of `key` or of the value.
    #[inline]
    pub fn raw_get<K: IntoLua<'lua>, V: FromLua<'lua>>(&self, key: K) -> Result<V> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes; a raw read does not raise.
        unsafe {
            if let Some(index) = key.to_lua_index() {
                return self.find_raw_element(index).read(self.0.lua(), state);
            }
            if let Some(slot) = key.to_lua_slot(self.0.lua()) {
                return self.find_raw_field(slot).read(self.0.lua(), state);
            }
            let _held = self.hold_with(state, key)?;
            engine::lua_rawget(state, -2);
            V::from_stack(-1, self.0.lua())
        }
    }

    /// Like [`Table::set`] without metamethods.
    ///
    /// # Errors
    ///
    /// An error in a conversion of `key` or `value`; a key that is nil or NaN; a lack of memory.
    #[inline]
    pub fn raw_set<K: IntoLua<'lua>, V: IntoLua<'lua>>(&self, key: K, value: V) -> Result<()> {
        self.set_as(key, value, true)
    }

    /// [`Table::set`], or [`Table::raw_set`] if `raw`.
    #[inline(always)]
    fn set_as<K, V>(&self, key: K, value: V, raw: bool) -> Result<()>
    where
        K: IntoLua<'lua>,
        V: IntoLua<'lua>,
    {
        let state = self.state()?;
        let lua = self.0.lua();
        let keys = &lua.inner().keys;
        // SAFETY: a fixed number of pushes. The value's conversion may run code of the user, so the slot of the key counts only
        // if no key was replaced meanwhile.
        unsafe {
            let (index, replaced) = (key.to_lua_index(), keys.replaced());
            let slot = key.to_lua_slot(lua);
            if index.is_none() && slot.is_none() {
                let mut held = self.hold_with(state, key)?;
                value.push_into_stack(lua)?;
                held.add(1);
                return access::set(lua.inner(), state, &mut held, raw);
            }
            if V::PUSHES_PLAIN && self.set_plain(index, slot, &value, raw) {
                return Ok(());
            }
            let mut held = Held::new(state);
            value.push_into_stack(lua)?;
            held.add(1);
            let done = match (index, slot) {
                (Some(index), _) => self.set_element(state, &mut held, index, raw),
                (_, Some(slot)) if keys.replaced() == replaced => {
                    self.set_field(state, &mut held, slot, raw)
                }
                _ => false,
            };
            if done {
                return Ok(());
            }
            self.set_pushed(state, held, key, raw)
        }
    }

    /// Sets the field `key` to the value on top, which `held` counts.
    ///
    /// # Safety
    ///
    /// `state` is the running state.
    #[cold]
    #[inline(never)]
    unsafe fn set_pushed<K: IntoLua<'lua>>(
        &self,
        state: *mut engine::lua_State,
        mut held: Held,
        key: K,
        raw: bool,
    ) -> Result<()> {
        // SAFETY: a fixed number of pushes; the value moves to the top each time.
        unsafe {
            self.0.push();
            engine::lua_insert(state, -2);
            held.add(1);
            key.push_into_stack(self.0.lua())?;
            engine::lua_insert(state, -2);
            held.add(1);
            access::set(self.0.lua().inner(), state, &mut held, raw)
        }
    }

    /// Returns whether the field `key` is not nil.
    ///
    /// A metatable's `__index` is respected.
    ///
    /// # Errors
    ///
    /// An error in a metamethod or in the conversion of `key`.
    pub fn contains_key<K: IntoLua<'lua>>(&self, key: K) -> Result<bool> {
        let state = self.state()?;
        // SAFETY: a fixed number of pushes; the value is on top.
        unsafe {
            let mut held = self.hold_with(state, key)?;
            access::get(self.0.lua().inner(), state, &mut held)?;
            Ok(engine::lua_type(state, -1) != engine::LUA_TNIL)
        }
    }

    /// Returns whether this table and `other` are equal: the same table, or equal by an `__eq` metamethod.
    ///
    /// The metamethod is looked for in the metatable of `self` first, then in that of `other`.
    ///
    /// # Errors
    ///
    /// An error in the metamethod, an `__eq` that is no function, a table of another instance.
    ///
    /// ```
    /// # use mlua::{Lua, Result, Table};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let (a, b) = (lua.create_table()?, lua.create_table()?);
    /// assert!(a.equals(&a.clone())?);
    /// assert!(!a.equals(&b)?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn equals<T: AsRef<Self>>(&self, other: T) -> Result<bool> {
        let other = other.as_ref();
        if !self.0.lua().is_same(other.0.lua()) {
            return Err(Error::MismatchedLua);
        }
        if self == other {
            return Ok(true);
        }
        for table in [self, other] {
            let Some(metatable) = table.get_metatable() else {
                continue;
            };
            if let Some(equal) = metatable.raw_get::<_, Option<Function>>("__eq")? {
                return equal.call((self, other));
            }
        }
        Ok(false)
    }

    /// Removes all fields, without metamethods. The table keeps its room.
    ///
    /// # Errors
    ///
    /// None with Lua 5.4.
    pub fn clear(&self) -> Result<()> {
        let state = self.state()?;
        // SAFETY: setting an existing field to nil neither allocates nor raises, so the collector does not run in between
        // and the key just cleared stays valid for `lua_next`.
        unsafe {
            let _held = self.hold(state);
            access::check_writable(state, -1)?;
            engine::lua_pushnil(state);
            while engine::lua_next(state, -2) != 0 {
                engine::lua_pop(state, 1);
                engine::lua_pushvalue(state, -1);
                engine::lua_pushnil(state);
                engine::lua_rawset(state, -4);
            }
        }
        Ok(())
    }

    /// Returns the length as Lua's operator `#` gives it, with the metamethod `__len`.
    ///
    /// # Errors
    ///
    /// An error in the metamethod, or a result of it that is no integer.
    pub fn len(&self) -> Result<Integer> {
        let state = self.state()?;
        if !self.has_metatable() {
            return Ok(self.raw_len() as Integer);
        }
        // SAFETY: a fixed number of pushes; what may raise is protected.
        unsafe {
            self.0.push();
            protect(state, 1, 0, |state| engine::luaL_len(state, -1))
        }
    }

    /// Returns the length as Lua's operator `#` gives it, without metamethods.
    #[inline]
    pub fn raw_len(&self) -> usize {
        // SAFETY: a plain read.
        unsafe {
            let (thread, index) = self.0.peek();
            engine::lua_rawlen(thread, index)
        }
    }

    /// Returns whether the table has no field at all, neither in its list part nor elsewhere. Metamethods are ignored.
    pub fn is_empty(&self) -> bool {
        let state = self.0.state();
        // SAFETY: from nil on, `lua_next` does not raise.
        unsafe {
            let mut held = self.hold(state);
            engine::lua_pushnil(state);
            let found = engine::lua_next(state, -2) != 0;
            if found {
                held.add(2);
            }
            !found
        }
    }

    /// Returns the metatable, `None` if there is none. Its field `__metatable` is ignored.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory left for a reference.
    pub fn get_metatable(&self) -> Option<Table<'lua>> {
        let state = self.0.state();
        // SAFETY: a fixed number of pushes; what is held lies below the metatable.
        unsafe {
            self.0.push();
            if engine::lua_getmetatable(state, -1) == 0 {
                engine::lua_pop(state, 1);
                return None;
            }
            engine::lua_remove(state, -2);
            Some(Table(Ref::pop_or_panic(self.0.lua())))
        }
    }

    /// Sets the metatable, or removes it if `metatable` is `None`.
    ///
    /// # Panics
    ///
    /// Panics if `metatable` belongs to another instance, and if the table is read-only, as tables of Luau can be.
    pub fn set_metatable(&self, metatable: Option<Table<'lua>>) {
        let state = self.0.state();
        // SAFETY: a fixed number of pushes; setting the metatable of a table that can be written to does not raise.
        unsafe {
            let mut held = self.hold(state);
            if !access::is_writable(state, -1) {
                panic!("attempt to modify a readonly table");
            }
            match &metatable {
                Some(metatable) => metatable.0.push_to(self.0.lua()).expect("metatable"),
                None => engine::lua_pushnil(state),
            }
            held.add(1);
            engine::lua_setmetatable(state, -2);
            held.release(1);
        }
    }

    /// Returns whether there is a metatable.
    #[doc(hidden)]
    #[inline]
    pub fn has_metatable(&self) -> bool {
        // SAFETY: reads, and a pop of what was pushed.
        unsafe {
            let (thread, index) = self.0.peek();
            access::has_metatable(thread, index)
        }
    }

    /// Returns the address of the table: different tables have different ones.
    ///
    /// There is no way back from it to the table; it serves for hashing and for messages.
    pub fn to_pointer(&self) -> *const c_void {
        self.0.to_pointer()
    }

    /// Returns an iterator over all fields, in no particular order.
    ///
    /// This is like Lua's `pairs` without the metamethod `__pairs`. What is met is converted to `K` and `V` as the iteration
    /// goes; after a failed conversion it ends.
    ///
    /// The table can be changed meanwhile. Existing fields may be changed and removed; the effect of new fields on the
    /// iteration is not defined by Lua, and it may end with an error.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let prices = lua.create_table_from([("apple", 3), ("pear", 4)])?;
    /// let mut sum = 0;
    /// for pair in prices.pairs::<String, i64>() {
    ///     let (_name, price) = pair?;
    ///     sum += price;
    /// }
    /// assert_eq!(sum, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pairs<K: FromLua<'lua>, V: FromLua<'lua>>(self) -> TablePairs<'lua, K, V> {
        TablePairs::new(self)
    }

    /// Calls `f` with each field, in no particular order, until it returns an error.
    ///
    /// It visits what [`Table::pairs`] does, and is faster.
    ///
    /// # Errors
    ///
    /// The first error of `f` or of a conversion.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let mut names = Vec::new();
    /// lua.create_table_from([("apple", 3), ("pear", 4)])?
    ///     .for_each(|name: String, _price: i64| {
    ///         names.push(name);
    ///         Ok(())
    ///     })?;
    /// names.sort();
    /// assert_eq!(names, ["apple", "pear"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<K, V>(&self, f: impl FnMut(K, V) -> Result<()>) -> Result<()>
    where
        K: FromLua<'lua>,
        V: FromLua<'lua>,
    {
        iter::for_each(self, f)
    }

    /// Returns an iterator over the values of the list part: fields 1, 2, and so on up to the first nil.
    ///
    /// This is like Lua's `ipairs` without metamethods.
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let list = lua.create_sequence_from(["a", "b"])?;
    /// let values: Vec<String> = list.sequence_values().collect::<Result<_>>()?;
    /// assert_eq!(values, ["a", "b"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sequence_values<V: FromLua<'lua>>(self) -> TableSequence<'lua, V> {
        TableSequence::new(self)
    }

    /// The same as [`Table::sequence_values`].
    #[doc(hidden)]
    pub fn raw_sequence_values<V: FromLua<'lua>>(self) -> TableSequence<'lua, V> {
        TableSequence::new(self)
    }
}

/// Whether both are the same table, without metamethods.
impl PartialEq for Table<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl<'lua> AsRef<Table<'lua>> for Table<'lua> {
    #[inline]
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for Table<'_> {
    /// With `{:#?}` the table is shown with its contents, tables in it included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.state().is_ok() {
            return Value::Table(self.clone()).fmt(f);
        }
        write!(f, "Table({:?})", self.0)
    }
}
