//! Reads and writes of a table where it lies, on its reference thread: nothing need be pushed but the key.
//!
//! All of it keeps to invariant S4 of the slots: raw reads and, where they cannot fail, raw writes; no more than 6 places
//! above the slots; nothing left there.

use std::os::raw::c_int;

use super::{access, Table};
use crate::engine;
use crate::error::Result;
use crate::handle::slots::Slot;
use crate::stack::Held;
use crate::state::LuaInner;
use crate::value::{FromLua, IntoLua};
use crate::{Integer, Lua};

/// A value on top of a reference thread, which has to be [read](Found::read).
pub(super) struct Found {
    thread: *mut engine::lua_State,
    /// Values under it that have to go too.
    below: c_int,
}

impl Found {
    /// Pops the value and converts it.
    ///
    /// # Safety
    ///
    /// `state` is the running state of `lua`, the instance of the table, with a free place.
    #[inline(always)]
    pub(super) unsafe fn read<'lua, V: FromLua<'lua>>(
        self,
        lua: &'lua Lua,
        state: *mut engine::lua_State,
    ) -> Result<V> {
        // SAFETY: the values are there; what `read_plain` does keeps to S4.
        unsafe {
            if !V::READS_PLAIN {
                return self.read_moved(lua, state);
            }
            if let Some(value) = V::read_plain(self.thread, -1) {
                engine::lua_settop(self.thread, -self.below - 2);
                return Ok(value);
            }
            self.read_coerced(lua, state)
        }
    }

    #[inline(always)]
    unsafe fn read_moved<'lua, V: FromLua<'lua>>(
        self,
        lua: &'lua Lua,
        state: *mut engine::lua_State,
    ) -> Result<V> {
        // SAFETY: as in `read`.
        unsafe {
            engine::lua_xmove(self.thread, state, 1);
            if self.below > 0 {
                engine::lua_settop(self.thread, -self.below - 1);
            }
            V::pop_from_stack(lua)
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn read_coerced<'lua, V: FromLua<'lua>>(
        self,
        lua: &'lua Lua,
        state: *mut engine::lua_State,
    ) -> Result<V> {
        // SAFETY: passed on.
        unsafe { self.read_moved(lua, state) }
    }
}

impl<'lua> Table<'lua> {
    #[inline(always)]
    fn inner(&self) -> &'lua LuaInner {
        self.0.lua().inner()
    }

    /// The value at position `index`; `None` if it takes a metamethod to tell.
    ///
    /// # Safety
    ///
    /// The instance is open. What is found is read before anything else happens.
    #[inline(always)]
    pub(super) unsafe fn find_element(&self, index: Integer) -> Option<Found> {
        // SAFETY: see the module's documentation.
        unsafe {
            let (thread, place) = self.0.peek();
            if engine::lua_rawgeti(thread, place, index) == engine::LUA_TNIL
                && engine::lua_getmetatable(thread, place) != 0
            {
                engine::lua_settop(thread, -3);
                return None;
            }
            Some(Found { thread, below: 0 })
        }
    }

    /// As [`find_element`](Self::find_element), without metamethods.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn find_raw_element(&self, index: Integer) -> Found {
        // SAFETY: see the module's documentation.
        unsafe {
            let (thread, place) = self.0.peek();
            engine::lua_rawgeti(thread, place, index);
            Found { thread, below: 0 }
        }
    }

    /// As [`find_raw_element`](Self::find_raw_element); `None` if the value is nil.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn find_listed(&self, index: Integer) -> Option<Found> {
        // SAFETY: see the module's documentation.
        unsafe {
            let (thread, place) = self.0.peek();
            if engine::lua_rawgeti(thread, place, index) == engine::LUA_TNIL {
                engine::lua_settop(thread, -2);
                return None;
            }
            Some(Found { thread, below: 0 })
        }
    }

    /// As [`find_element`](Self::find_element) for the field with the key in the slot `key`.
    ///
    /// # Safety
    ///
    /// As there; `key` is a slot of the instance.
    #[inline(always)]
    pub(super) unsafe fn find_field(&self, key: Slot) -> Option<Found> {
        // SAFETY: see the module's documentation.
        unsafe {
            let (thread, place) = self.0.peek();
            self.inner().slots.push_beside(key, thread);
            if engine::lua_rawget(thread, place) == engine::LUA_TNIL
                && engine::lua_getmetatable(thread, place) != 0
            {
                let below = self.find_by_metatable(thread, key)?;
                return Some(Found { thread, below });
            }
            Some(Found { thread, below: 0 })
        }
    }

    /// As [`find_field`](Self::find_field), without metamethods.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn find_raw_field(&self, key: Slot) -> Found {
        // SAFETY: see the module's documentation.
        unsafe {
            let (thread, place) = self.0.peek();
            self.inner().slots.push_beside(key, thread);
            engine::lua_rawget(thread, place);
            Found { thread, below: 0 }
        }
    }

    /// The rest of [`find_field`](Self::find_field) for a field that is nil in a table with a metatable; both are on top of
    /// `thread`. A table in the metatable's `__index` that has the field, or no metatable of its own, is enough.
    ///
    /// Returns how many values are left below that of the field.
    #[inline(never)]
    unsafe fn find_by_metatable(&self, thread: *mut engine::lua_State, key: Slot) -> Option<c_int> {
        let inner = self.inner();
        // SAFETY: see the module's documentation.
        unsafe {
            inner.slots.push_beside(inner.keys.index(), thread);
            match engine::lua_rawget(thread, -2) {
                engine::LUA_TNIL => return Some(2),
                engine::LUA_TTABLE => {
                    inner.slots.push_beside(key, thread);
                    if engine::lua_rawget(thread, -2) != engine::LUA_TNIL
                        || engine::lua_getmetatable(thread, -2) == 0
                    {
                        return Some(3);
                    }
                    engine::lua_settop(thread, -6);
                }
                _ => engine::lua_settop(thread, -4),
            }
        }
        None
    }

    /// Whether a field can be set here without fail and, unless `raw`, without a metamethod.
    #[inline(always)]
    unsafe fn is_plain(&self, thread: *mut engine::lua_State, place: c_int, raw: bool) -> bool {
        // SAFETY: see the module's documentation.
        unsafe {
            self.inner().infallible_writes()
                && access::is_writable(thread, place)
                && (raw
                    || engine::lua_getmetatable(thread, place) == 0
                    || self.has_no_new_index(thread))
        }
    }

    /// Pops the metatable on top of `thread` and returns whether it has no field `__newindex`.
    #[inline(never)]
    unsafe fn has_no_new_index(&self, thread: *mut engine::lua_State) -> bool {
        let inner = self.inner();
        // SAFETY: see the module's documentation.
        unsafe {
            inner.slots.push_beside(inner.keys.new_index(), thread);
            let none = engine::lua_rawget(thread, -2) == engine::LUA_TNIL;
            engine::lua_settop(thread, -3);
            none
        }
    }

    /// Whether there is a value at position `index` that can be overwritten: that takes neither memory nor a metamethod.
    #[inline(never)]
    unsafe fn has_element(
        &self,
        thread: *mut engine::lua_State,
        place: c_int,
        index: Integer,
    ) -> bool {
        // SAFETY: see the module's documentation.
        unsafe {
            let is = engine::lua_rawgeti(thread, place, index) != engine::LUA_TNIL;
            engine::lua_settop(thread, -2);
            is && access::is_writable(thread, place)
        }
    }

    /// As [`has_element`](Self::has_element) for the field with the key in the slot `key`.
    #[inline(never)]
    unsafe fn has_field(&self, thread: *mut engine::lua_State, place: c_int, key: Slot) -> bool {
        // SAFETY: see the module's documentation.
        unsafe {
            self.inner().slots.push_beside(key, thread);
            let is = engine::lua_rawget(thread, place) != engine::LUA_TNIL;
            engine::lua_settop(thread, -2);
            is && access::is_writable(thread, place)
        }
    }

    /// Pops the value on top of `state` into position `index`, and returns whether it did: not if it can fail, or takes
    /// a metamethod and is not `raw`.
    ///
    /// # Safety
    ///
    /// `state` is the running state with a value on top, which `held` counts.
    #[inline(always)]
    pub(super) unsafe fn set_element(
        &self,
        state: *mut engine::lua_State,
        held: &mut Held,
        index: Integer,
        raw: bool,
    ) -> bool {
        // SAFETY: see the module's documentation. With memory to be had, or a value to overwrite, setting a position does not
        // fail.
        unsafe {
            let (thread, place) = self.0.peek();
            if !self.is_plain(thread, place, raw) && !self.has_element(thread, place, index) {
                return false;
            }
            engine::lua_xmove(state, thread, 1);
            held.release(1);
            self.inner()
                .memory
                .unfailing(|| engine::lua_rawseti(thread, place, index));
        }
        true
    }

    /// As [`set_element`](Self::set_element) for the field with the key in the slot `key`.
    ///
    /// # Safety
    ///
    /// As there; `key` is a slot of the instance.
    #[inline(always)]
    pub(super) unsafe fn set_field(
        &self,
        state: *mut engine::lua_State,
        held: &mut Held,
        key: Slot,
        raw: bool,
    ) -> bool {
        // SAFETY: as above; what lies in a slot is neither nil nor a number, so it is a valid key.
        unsafe {
            let (thread, place) = self.0.peek();
            if !self.is_plain(thread, place, raw) && !self.has_field(thread, place, key) {
                return false;
            }
            self.inner().slots.push_beside(key, thread);
            engine::lua_xmove(state, thread, 1);
            held.release(1);
            self.inner()
                .memory
                .unfailing(|| engine::lua_rawset(thread, place));
        }
        true
    }

    /// Sets the field at position `index`, or with the key in the slot `key`, to a plain value, and returns whether it did:
    /// not if it can fail, or takes a metamethod and is not `raw`.
    ///
    /// # Safety
    ///
    /// The instance is open; `key` is a slot of it, and there if there is no index. A `V` pushes plain.
    #[inline(always)]
    pub(super) unsafe fn set_plain<V: IntoLua<'lua>>(
        &self,
        index: Option<Integer>,
        key: Option<Slot>,
        value: &V,
        raw: bool,
    ) -> bool {
        // SAFETY: as above.
        unsafe {
            let (thread, place) = self.0.peek();
            let memory = &self.inner().memory;
            if !self.is_plain(thread, place, raw) {
                let exists = match (index, key) {
                    (Some(index), _) => self.has_element(thread, place, index),
                    (None, Some(key)) => self.has_field(thread, place, key),
                    (None, None) => false,
                };
                if !exists {
                    return false;
                }
            }
            match (index, key) {
                (Some(index), _) => {
                    value.push_plain(thread);
                    memory.unfailing(|| engine::lua_rawseti(thread, place, index));
                }
                (None, Some(key)) => {
                    self.inner().slots.push_beside(key, thread);
                    value.push_plain(thread);
                    memory.unfailing(|| engine::lua_rawset(thread, place));
                }
                (None, None) => return false,
            }
        }
        true
    }
}
