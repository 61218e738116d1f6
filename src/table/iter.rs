//! Iteration over tables.

use std::marker::PhantomData;
use std::os::raw::{c_int, c_void};
use std::ptr;

use super::{access, Table};
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::value::FromLua;
use crate::{Integer, Number};

/// An iterator over the fields of a table. See [`Table::pairs`].
pub struct TablePairs<'lua, K, V> {
    table: Table<'lua>,
    last: Key,
    /// Where the last key lies if it is no plain value. Nothing else refers to this slot.
    slot: Option<Ref<'lua>>,
    _marker: PhantomData<(K, V)>,
}

/// The key that an iteration has come to.
#[derive(Clone, Copy)]
enum Key {
    Start,
    Boolean(bool),
    LightUserData(*mut c_void),
    Integer(Integer),
    Number(Number),
    InSlot,
    End,
}

impl<'lua, K, V> TablePairs<'lua, K, V> {
    pub(super) fn new(table: Table<'lua>) -> Self {
        TablePairs {
            table,
            last: Key::Start,
            slot: None,
            _marker: PhantomData,
        }
    }

    /// Pushes the last key, nil at the start.
    ///
    /// # Safety
    ///
    /// `state` is any state of the instance with a free place.
    #[inline(never)]
    unsafe fn push_last(&self, state: *mut engine::lua_State) {
        // SAFETY: none of the pushes raises or allocates.
        unsafe {
            match (self.last, &self.slot) {
                (Key::Boolean(b), _) => engine::lua_pushboolean(state, b as c_int),
                (Key::LightUserData(p), _) => engine::lua_pushlightuserdata(state, p),
                (Key::Integer(i), _) => engine::lua_pushinteger(state, i),
                (Key::Number(n), _) => engine::lua_pushnumber(state, n),
                (Key::InSlot, Some(slot)) => slot.push_onto(state),
                _ => engine::lua_pushnil(state),
            }
        }
    }

    /// Pushes the value that the table at `place` of `thread` has for the last key, and the key; at the start nothing and nil.
    /// Returns how many values that are below the key, or `None` if the key has no value any more, or at the end.
    ///
    /// # Safety
    ///
    /// As for reads on a reference thread.
    #[inline(always)]
    unsafe fn push_present(&self, thread: *mut engine::lua_State, place: c_int) -> Option<c_int> {
        // SAFETY: raw reads.
        unsafe {
            let kind = match (self.last, &self.slot) {
                (Key::Start, _) => {
                    engine::lua_pushnil(thread);
                    return Some(0);
                }
                (Key::End, _) => return None,
                (Key::Integer(i), _) => engine::lua_rawgeti(thread, place, i),
                (Key::InSlot, Some(slot)) => {
                    slot.push_beside(thread);
                    engine::lua_rawget(thread, place)
                }
                _ => {
                    self.push_last(thread);
                    engine::lua_rawget(thread, place)
                }
            };
            if kind == engine::LUA_TNIL {
                engine::lua_settop(thread, -2);
                return None;
            }
            match (self.last, &self.slot) {
                (Key::Integer(i), _) => engine::lua_pushinteger(thread, i),
                (Key::InSlot, Some(slot)) => slot.push_beside(thread),
                _ => self.push_last(thread),
            }
            Some(1)
        }
    }

    /// Moves on as [`push_present`](Self::push_present) does not: for a key that has no value any more. Pushes the next key
    /// and its value onto the running state, or returns false at the end.
    ///
    /// # Safety
    ///
    /// `state` is the running state with 8 free places.
    #[cold]
    unsafe fn push_next_protected(&self, state: *mut engine::lua_State) -> Result<bool> {
        // SAFETY: passed on; the table is taken from below the results.
        unsafe {
            let mut held = self.table.hold(state);
            self.push_last(state);
            held.add(1);
            let found = step_protected(state, &mut held)?;
            if found {
                engine::lua_remove(state, -3);
                held.release(3);
            }
            Ok(found)
        }
    }

    /// Keeps the key at `index` as the last one.
    ///
    /// # Safety
    ///
    /// `state` is the running state with a key at `index` and a free place.
    #[inline]
    unsafe fn keep(&mut self, state: *mut engine::lua_State, index: c_int) -> Result<()> {
        // SAFETY: the reads match the type; nothing but `self` refers to the slot.
        unsafe {
            if engine::lua_isinteger(state, index) != 0 {
                self.last = Key::Integer(engine::lua_tointeger(state, index));
                return Ok(());
            }
            self.last = match engine::lua_type(state, index) {
                engine::LUA_TBOOLEAN => Key::Boolean(engine::lua_toboolean(state, index) != 0),
                engine::LUA_TLIGHTUSERDATA => {
                    Key::LightUserData(engine::lua_touserdata(state, index))
                }
                engine::LUA_TNUMBER => Key::Number(engine::lua_tonumber(state, index)),
                _ => {
                    engine::lua_pushvalue(state, index);
                    match &mut self.slot {
                        Some(slot) => slot.overwrite(),
                        None => self.slot = Some(Ref::pop(self.table.0.lua())?),
                    }
                    Key::InSlot
                }
            };
        }
        Ok(())
    }
}

impl<'lua, K: FromLua<'lua>, V: FromLua<'lua>> TablePairs<'lua, K, V> {
    /// Keeps the key at `index` as the last one and reads it, if that takes no more than plain reads and no slot yet.
    ///
    /// # Safety
    ///
    /// `thread` is a reference thread with a key at `index`.
    #[inline(always)]
    unsafe fn keep_plain(&mut self, thread: *mut engine::lua_State, index: c_int) -> Option<K> {
        // SAFETY: plain reads; nothing but `self` refers to the slot.
        unsafe {
            if let Some(slot) = &mut self.slot {
                if engine::lua_type(thread, index) == engine::LUA_TSTRING {
                    let key = K::read_plain(thread, index)?;
                    slot.overwrite_from(thread, index);
                    self.last = Key::InSlot;
                    return Some(key);
                }
            }
            if engine::lua_isinteger(thread, index) == 0 {
                return None;
            }
            let i = engine::lua_tointegerx(thread, index, ptr::null_mut());
            let key = K::from_integer(i).or_else(|| K::read_plain(thread, index))?;
            self.last = Key::Integer(i);
            Some(key)
        }
    }

    /// The next pair if it takes plain reads only; `None`, and nothing has changed, at the end and if it takes more.
    ///
    /// # Safety
    ///
    /// The instance is open.
    #[inline(always)]
    unsafe fn next_plain(&mut self) -> Option<(K, V)> {
        // SAFETY: all this happens where the table lies, in at most 4 of the spare places of that thread. They are plain
        // reads: `lua_next` neither allocates nor, with a key that is there, raises.
        unsafe {
            let (thread, place) = self.table.0.peek();
            let below = self.push_present(thread, place)?;
            if engine::lua_next(thread, place) == 0 {
                engine::lua_settop(thread, -below - 1);
                return None;
            }
            let pair = match V::read_plain(thread, -1) {
                Some(value) => self.keep_plain(thread, -2).map(|key| (key, value)),
                None => None,
            };
            engine::lua_settop(thread, -below - 3);
            pair
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<(K, V)>> {
        let state = self.table.state()?;
        // SAFETY: as in `next_plain`; what is found moves to the running state and is held there.
        unsafe {
            let (thread, place) = self.table.0.peek();
            let Some(below) = self.push_present(thread, place) else {
                return self.advance_protected(state);
            };
            if engine::lua_next(thread, place) == 0 {
                engine::lua_settop(thread, -below - 1);
                return Ok(None);
            }
            engine::lua_xmove(thread, state, 2);
            if below > 0 {
                engine::lua_settop(thread, -below - 1);
            }
            let held = Held::adopt(state, 2);
            self.keep(state, -2)?;
            self.convert(held)
        }
    }

    /// As [`advance`](Self::advance) for a key that has no value any more.
    #[cold]
    #[inline(never)]
    unsafe fn advance_protected(
        &mut self,
        state: *mut engine::lua_State,
    ) -> Result<Option<(K, V)>> {
        // SAFETY: a fixed number of pushes.
        unsafe {
            if !self.push_next_protected(state)? {
                return Ok(None);
            }
            let held = Held::adopt(state, 2);
            self.keep(state, -2)?;
            self.convert(held)
        }
    }

    /// Converts the key and the value on top, and pops them.
    #[inline]
    unsafe fn convert(&self, _held: Held) -> Result<Option<(K, V)>> {
        let lua = self.table.0.lua();
        // SAFETY: `_held` counts them.
        unsafe {
            let key = K::from_stack(-2, lua)?;
            Ok(Some((key, V::from_stack(-1, lua)?)))
        }
    }
}

impl<'lua, K: FromLua<'lua>, V: FromLua<'lua>> TablePairs<'lua, K, V> {
    #[inline(never)]
    fn next_any(&mut self) -> Option<Result<(K, V)>> {
        if let Key::End = self.last {
            return None;
        }
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.last = Key::End;
            self.slot = None;
        }
        next
    }
}

impl<'lua, K: FromLua<'lua>, V: FromLua<'lua>> Iterator for TablePairs<'lua, K, V> {
    type Item = Result<(K, V)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if K::READS_PLAIN && V::READS_PLAIN && self.table.state().is_ok() {
            // SAFETY: the instance is open.
            if let Some(pair) = unsafe { self.next_plain() } {
                return Some(Ok(pair));
            }
        }
        self.next_any()
    }
}

/// See [`Table::for_each`].
pub(super) fn for_each<'lua, K, V>(
    table: &Table<'lua>,
    mut f: impl FnMut(K, V) -> Result<()>,
) -> Result<()>
where
    K: FromLua<'lua>,
    V: FromLua<'lua>,
{
    let lua = table.0.lua();
    let state = table.state()?;
    // SAFETY: stack is reserved for `f`; what it finds there is held.
    unsafe {
        let mut held = table.hold(state);
        engine::lua_pushnil(state);
        held.add(1);
        let mut first = true;
        while step(state, &mut held, first)? {
            if first {
                lua.reserve_stack()?;
                first = false;
            }
            let key = K::from_stack(-2, lua)?;
            f(key, V::from_stack(-1, lua)?)?;
            engine::lua_pop(state, 1);
            held.release(1);
        }
    }
    Ok(())
}

/// Replaces the key on top of the table by the next key and its value and returns true, or pops it at the end.
///
/// `lua_next` raises if the key is in the table no more, not even as a field that has been cleared. A field that still
/// has a value is there for sure; else the call is protected.
///
/// # Safety
///
/// `state` is a running state with a table and a key on top, the latter counted by `held`, and 6 free places. If `first`,
/// the key is nil.
#[inline]
unsafe fn step(state: *mut engine::lua_State, held: &mut Held, first: bool) -> Result<bool> {
    // SAFETY: see above.
    unsafe {
        if !first && !is_present(state, -2) {
            return step_protected(state, held);
        }
        let found = engine::lua_next(state, -2) != 0;
        if found {
            held.add(1);
        } else {
            held.release(1);
        }
        Ok(found)
    }
}

/// Whether the table at `index` has a value for the key on top.
///
/// # Safety
///
/// `state` has a table at `index`, a key on top and a free place.
#[inline(always)]
unsafe fn is_present(state: *mut engine::lua_State, index: c_int) -> bool {
    let index = if index < 0 { index - 1 } else { index };
    // SAFETY: a raw read does not raise.
    unsafe {
        engine::lua_pushvalue(state, -1);
        let present = engine::lua_rawget(state, index) != engine::LUA_TNIL;
        engine::lua_pop(state, 1);
        present
    }
}

#[cold]
#[inline(never)]
unsafe fn step_protected(state: *mut engine::lua_State, held: &mut Held) -> Result<bool> {
    // SAFETY: as for `step`. On top of table and key there are the handler, the next key and its value.
    unsafe {
        access::call_on_copies(state, held, next, 2, 2)?;
        engine::lua_remove(state, -4);
        engine::lua_remove(state, -3);
        held.release(2);
        let found = engine::lua_type(state, -2) != engine::LUA_TNIL;
        if !found {
            engine::lua_pop(state, 2);
            held.release(2);
        }
        Ok(found)
    }
}

unsafe extern "C-unwind" fn next(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called with a table and a key.
    unsafe { engine::lua_next(state, 1) * 2 }
}

/// An iterator over the list part of a table. See [`Table::sequence_values`].
pub struct TableSequence<'lua, V> {
    table: Table<'lua>,
    next: Integer,
    _marker: PhantomData<V>,
}

impl<'lua, V> TableSequence<'lua, V> {
    pub(super) fn new(table: Table<'lua>) -> Self {
        TableSequence {
            table,
            next: 1,
            _marker: PhantomData,
        }
    }
}

impl<'lua, V: FromLua<'lua>> Iterator for TableSequence<'lua, V> {
    type Item = Result<V>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let lua = self.table.0.lua();
        let state = lua.state();
        // SAFETY: what is found is read at once.
        unsafe {
            let found = self.table.find_listed(self.next)?;
            self.next += 1;
            Some(found.read(lua, state))
        }
    }
}
