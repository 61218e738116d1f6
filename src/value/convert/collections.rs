//! Collections: sequences, maps and sets as tables.
//!
//! They are read and built raw, without metamethods. The table and the entry at hand lie on the stack, so that code of the
//! user, which converts the elements, may do what it likes in between, with the table too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::os::raw::c_int;

use super::{mismatch, through_stack};
use crate::call::protect::protect;
use crate::call::push_table;
use crate::engine;
use crate::error::Result;
use crate::stack::Held;
use crate::value::{FromLua, IntoLua, Value};
use crate::{Integer, Lua};

/// A table in the making, on top of the stack.
struct Builder<'lua> {
    lua: &'lua Lua,
    held: Held,
}

impl<'lua> Builder<'lua> {
    /// # Safety
    ///
    /// As for `push_into_stack`.
    unsafe fn new(lua: &'lua Lua, narr: usize, nrec: usize) -> Result<Builder<'lua>> {
        lua.reserve_stack()?;
        let inner = lua.inner();
        let state = inner.state();
        let hint = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        // SAFETY: there is room.
        unsafe {
            let mut held = Held::new(state);
            push_table(inner, state, hint(narr), hint(nrec))?;
            held.add(1);
            Ok(Builder { lua, held })
        }
    }

    fn set<T: IntoLua<'lua>>(&mut self, index: Integer, value: T) -> Result<()> {
        let (lua, state) = (self.lua, self.lua.state());
        // SAFETY: `new` has made room. With memory that does not run out, setting an index does not raise.
        unsafe {
            value.push_into_stack(lua)?;
            self.held.add(1);
            if lua.inner().infallible_writes() {
                let memory = &lua.inner().memory;
                memory.unfailing(|| engine::lua_rawseti(state, -2, index));
                self.held.release(1);
            } else {
                self.held.release(2);
                protect(state, 2, 1, |state| engine::lua_rawseti(state, 1, index))?;
                self.held.add(1);
            }
        }
        Ok(())
    }

    fn insert<K: IntoLua<'lua>, V: IntoLua<'lua>>(&mut self, key: K, value: V) -> Result<()> {
        let (lua, state) = (self.lua, self.lua.state());
        // SAFETY: `new` has made room. With memory that does not run out, only a bad key raises.
        unsafe {
            key.push_into_stack(lua)?;
            self.held.add(1);
            value.push_into_stack(lua)?;
            self.held.add(1);
            if lua.inner().infallible_writes() && is_key(state, -2) {
                let memory = &lua.inner().memory;
                memory.unfailing(|| engine::lua_rawset(state, -3));
                self.held.release(2);
            } else {
                self.held.release(3);
                protect(state, 3, 1, |state| engine::lua_rawset(state, 1))?;
                self.held.add(1);
            }
        }
        Ok(())
    }

    /// Leaves the table on the stack.
    fn finish(mut self) {
        self.held.release(1);
    }
}

/// Whether a table can have the value at `idx` as a key: not nil, not NaN.
///
/// # Safety
///
/// There is a value at `idx`.
#[inline]
unsafe fn is_key(state: *mut engine::lua_State, idx: c_int) -> bool {
    // SAFETY: plain reads.
    unsafe {
        match engine::lua_type(state, idx) {
            engine::LUA_TNIL => false,
            engine::LUA_TNUMBER => !engine::lua_tonumber(state, idx).is_nan(),
            // One with NaN in it is no key either; Luau will tell.
            #[cfg(feature = "luau")]
            engine::LUA_TVECTOR => false,
            _ => true,
        }
    }
}

/// Pushes a table of `values` at the indices from 1 on.
///
/// # Safety
///
/// As for `push_into_stack`.
unsafe fn push_sequence<'lua, T: IntoLua<'lua>>(
    values: impl ExactSizeIterator<Item = T>,
    lua: &'lua Lua,
) -> Result<()> {
    // SAFETY: passed on.
    let mut table = unsafe { Builder::new(lua, values.len(), 0)? };
    for (index, value) in (1..).zip(values) {
        table.set(index, value)?;
    }
    table.finish();
    Ok(())
}

/// Pushes a table of `entries`.
///
/// # Safety
///
/// As for `push_into_stack`.
unsafe fn push_map<'lua, K: IntoLua<'lua>, V: IntoLua<'lua>>(
    entries: impl ExactSizeIterator<Item = (K, V)>,
    lua: &'lua Lua,
) -> Result<()> {
    // SAFETY: passed on.
    let mut table = unsafe { Builder::new(lua, 0, entries.len())? };
    for (key, value) in entries {
        table.insert(key, value)?;
    }
    table.finish();
    Ok(())
}

/// Calls `each` with the elements of the table at `idx`, from 1 on up to the first nil.
///
/// # Safety
///
/// There is a table at `idx` of the running state.
pub(crate) unsafe fn each_element<'lua, T: FromLua<'lua>>(
    idx: c_int,
    lua: &'lua Lua,
    mut each: impl FnMut(T),
) -> Result<()> {
    lua.reserve_stack()?;
    let state = lua.state();
    // SAFETY: there is room; a raw get does not raise.
    unsafe {
        let table = engine::lua_absindex(state, idx);
        for index in 1.. {
            let kind = engine::lua_rawgeti(state, table, index);
            let _held = Held::adopt(state, 1);
            if kind == engine::LUA_TNIL {
                break;
            }
            each(T::from_stack(-1, lua)?);
        }
    }
    Ok(())
}

/// Calls `each` for every entry of the table at `idx`, with the key at -2 of the running state's stack and the value at -1.
///
/// # Safety
///
/// There is a table at `idx`; `each` leaves the stack as it was.
pub(crate) unsafe fn each_entry(
    idx: c_int,
    lua: &Lua,
    mut each: impl FnMut() -> Result<()>,
) -> Result<()> {
    lua.reserve_stack()?;
    let state = lua.state();
    // SAFETY: there is room.
    unsafe {
        let table = engine::lua_absindex(state, idx);
        engine::lua_pushnil(state);
        let mut held = Held::adopt(state, 1);
        while next(state, table, &mut held)? {
            each()?;
            engine::lua_pop(state, 1);
            held.release(1);
        }
    }
    Ok(())
}

/// `lua_next` with the key on top, which is the last that `held` counts.
///
/// # Safety
///
/// `table` is the absolute index of a table, with room for a few values.
unsafe fn next(state: *mut engine::lua_State, table: c_int, held: &mut Held) -> Result<bool> {
    // SAFETY: `lua_next` raises only if it does not find the key; it finds one that has a value.
    unsafe {
        held.release(1);
        let more = if engine::lua_type(state, -1) == engine::LUA_TNIL || has_value(state, table) {
            engine::lua_next(state, table) != 0
        } else {
            engine::lua_pushvalue(state, table);
            engine::lua_insert(state, -2);
            let next = |state| engine::lua_next(state, 1);
            let more = protect(state, 2, engine::LUA_MULTRET, next)? != 0;
            engine::lua_remove(state, if more { -3 } else { -1 });
            more
        };
        if more {
            held.add(2);
        }
        Ok(more)
    }
}

/// Whether the table at `table` has a value for the key on top.
///
/// # Safety
///
/// As [`next`].
#[inline]
unsafe fn has_value(state: *mut engine::lua_State, table: c_int) -> bool {
    // SAFETY: a raw get does not raise.
    unsafe {
        engine::lua_pushvalue(state, -1);
        let kind = engine::lua_rawget(state, table);
        engine::lua_pop(state, 1);
        kind != engine::LUA_TNIL
    }
}

/// A type that is made from a table.
trait FromTable<'lua>: Sized {
    /// What error messages call it.
    const NAME: &'static str;

    /// Reads the table at `idx`.
    ///
    /// # Safety
    ///
    /// As for `from_stack`; there is a table at `idx`.
    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self>;

    /// Takes the components of a vector, if the type has as many elements.
    #[cfg(feature = "luau")]
    fn from_vector(vector: crate::Vector, lua: &'lua Lua) -> Option<Result<Self>> {
        let _ = (vector, lua);
        None
    }
}

fn from_value<'lua, T: FromTable<'lua>>(value: Value<'lua>, lua: &'lua Lua) -> Result<T> {
    #[cfg(feature = "luau")]
    if let Value::Vector(vector) = value {
        if let Some(components) = T::from_vector(vector, lua) {
            return components;
        }
    }
    let Value::Table(table) = value else {
        return Err(mismatch(value.type_name(), T::NAME, "expected table"));
    };
    let entered = lua.try_enter()?;
    lua.reserve_stack()?;
    // SAFETY: there is room; a table has been pushed.
    unsafe {
        table.0.push_to(lua)?;
        let _held = Held::adopt(entered.state, 1);
        T::from_table(-1, lua)
    }
}

/// # Safety
///
/// As for `from_stack`.
unsafe fn from_stack<'lua, T: FromTable<'lua>>(idx: c_int, lua: &'lua Lua) -> Result<T> {
    // SAFETY: passed on.
    unsafe {
        if engine::lua_type(lua.state(), idx) == engine::LUA_TTABLE {
            return T::from_table(idx, lua);
        }
        lua.reserve_stack()?;
        from_value(Value::at(lua, idx)?, lua)
    }
}

macro_rules! from_lua {
    ($([$($generics:tt)*] $Type:ty;)*) => {$(
        impl<'lua, $($generics)*> FromLua<'lua> for $Type {
            fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
                from_value(value, lua)
            }

            #[inline]
            unsafe fn from_stack(idx: c_int, lua: &'lua Lua) -> Result<Self> {
                // SAFETY: passed on.
                unsafe { from_stack(idx, lua) }
            }
        }
    )*};
}

from_lua! {
    [T: FromLua<'lua>] Vec<T>;
    [T: FromLua<'lua>] Box<[T]>;
    [T: FromLua<'lua>, const N: usize] [T; N];
    [K: Eq + Hash + FromLua<'lua>, V: FromLua<'lua>, S: BuildHasher + Default] HashMap<K, V, S>;
    [K: Ord + FromLua<'lua>, V: FromLua<'lua>] BTreeMap<K, V>;
    [T: Eq + Hash + FromLua<'lua>, S: BuildHasher + Default] HashSet<T, S>;
    [T: Ord + FromLua<'lua>] BTreeSet<T>;
}

impl<'lua, T: FromLua<'lua>> FromTable<'lua> for Vec<T> {
    const NAME: &'static str = "Vec";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        /// The length of a table with holes can be anything, so no more than this is reserved.
        const MOST: usize = 1 << 12;
        // SAFETY: passed on; the length is a plain read.
        unsafe {
            let len = engine::lua_rawlen(lua.state(), idx);
            let mut vec = Vec::with_capacity(len.min(MOST));
            each_element(idx, lua, |value| vec.push(value))?;
            Ok(vec)
        }
    }
}

impl<'lua, T: FromLua<'lua>> FromTable<'lua> for Box<[T]> {
    const NAME: &'static str = "Vec";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        unsafe { Vec::from_table(idx, lua) }.map(Vec::into_boxed_slice)
    }
}

impl<'lua, T: FromLua<'lua>, const N: usize> FromTable<'lua> for [T; N] {
    const NAME: &'static str = "Array";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        let values = unsafe { Vec::from_table(idx, lua)? };
        values.try_into().map_err(|values: Vec<T>| {
            let message = format!("expected table of length {N}, got {}", values.len());
            mismatch("table", Self::NAME, message)
        })
    }

    #[cfg(feature = "luau")]
    fn from_vector(vector: crate::Vector, lua: &'lua Lua) -> Option<Result<Self>> {
        let components = vector.components().iter();
        if components.len() != N {
            return None;
        }
        let components: Result<Vec<T>> = components
            .map(|component| T::from_lua(Value::Number((*component).into()), lua))
            .collect();
        Some(components.map(|components| match components.try_into() {
            Ok(array) => array,
            Err(_) => unreachable!("there are as many components as elements"),
        }))
    }
}

impl<'lua, K, V, S> FromTable<'lua> for HashMap<K, V, S>
where
    K: Eq + Hash + FromLua<'lua>,
    V: FromLua<'lua>,
    S: BuildHasher + Default,
{
    const NAME: &'static str = "HashMap";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        lua.reserve_stack()?;
        let mut map = HashMap::default();
        // SAFETY: passed on.
        unsafe {
            each_entry(idx, lua, || {
                map.insert(K::from_stack(-2, lua)?, V::from_stack(-1, lua)?);
                Ok(())
            })?;
        }
        Ok(map)
    }
}

impl<'lua, K, V> FromTable<'lua> for BTreeMap<K, V>
where
    K: Ord + FromLua<'lua>,
    V: FromLua<'lua>,
{
    const NAME: &'static str = "BTreeMap";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        let mut map = BTreeMap::new();
        // SAFETY: passed on.
        unsafe {
            each_entry(idx, lua, || {
                map.insert(K::from_stack(-2, lua)?, V::from_stack(-1, lua)?);
                Ok(())
            })?;
        }
        Ok(map)
    }
}

/// Calls `each` for the members of a set: the elements of a sequence, the keys of any other table.
///
/// # Safety
///
/// As for `from_table`.
unsafe fn each_member<'lua, T: FromLua<'lua>>(
    idx: c_int,
    lua: &'lua Lua,
    mut each: impl FnMut(T),
) -> Result<()> {
    // SAFETY: passed on; the length is a plain read.
    unsafe {
        if engine::lua_rawlen(lua.state(), idx) > 0 {
            return each_element(idx, lua, each);
        }
        each_entry(idx, lua, || {
            each(T::from_stack(-2, lua)?);
            Ok(())
        })
    }
}

impl<'lua, T, S> FromTable<'lua> for HashSet<T, S>
where
    T: Eq + Hash + FromLua<'lua>,
    S: BuildHasher + Default,
{
    const NAME: &'static str = "HashSet";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        lua.reserve_stack()?;
        let mut set = HashSet::default();
        // SAFETY: passed on.
        unsafe {
            each_member(idx, lua, |member| {
                set.insert(member);
            })?;
        }
        Ok(set)
    }
}

impl<'lua, T: Ord + FromLua<'lua>> FromTable<'lua> for BTreeSet<T> {
    const NAME: &'static str = "BTreeSet";

    unsafe fn from_table(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        let mut set = BTreeSet::new();
        // SAFETY: passed on.
        unsafe {
            each_member(idx, lua, |member| {
                set.insert(member);
            })?;
        }
        Ok(set)
    }
}

macro_rules! into_lua {
    ($([$($generics:tt)*] $Type:ty, |$this:ident, $lua:ident| $push:expr;)*) => {$(
        impl<'lua, $($generics)*> IntoLua<'lua> for $Type {
            fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
                through_stack(self, lua)
            }

            unsafe fn push_into_stack(self, $lua: &'lua Lua) -> Result<()> {
                let $this = self;
                // SAFETY: passed on.
                unsafe { $push }
            }
        }
    )*};
}

into_lua! {
    [T: IntoLua<'lua>] Vec<T>, |this, lua| push_sequence(this.into_iter(), lua);
    [T: IntoLua<'lua>] Box<[T]>, |this, lua| push_sequence(this.into_vec().into_iter(), lua);
    [T: IntoLua<'lua>, const N: usize] [T; N], |this, lua| push_sequence(this.into_iter(), lua);
    [T: IntoLua<'lua> + Clone] &[T], |this, lua| push_sequence(this.iter().cloned(), lua);
    [K: Eq + Hash + IntoLua<'lua>, V: IntoLua<'lua>, S: BuildHasher] HashMap<K, V, S>,
        |this, lua| push_map(this.into_iter(), lua);
    [K: Ord + IntoLua<'lua>, V: IntoLua<'lua>] BTreeMap<K, V>,
        |this, lua| push_map(this.into_iter(), lua);
    [T: Eq + Hash + IntoLua<'lua>, S: BuildHasher] HashSet<T, S>,
        |this, lua| push_map(this.into_iter().map(|member| (member, true)), lua);
    [T: Ord + IntoLua<'lua>] BTreeSet<T>,
        |this, lua| push_map(this.into_iter().map(|member| (member, true)), lua);
}
