//! The types of userdata that an instance knows.
//!
//! What is in a userdata follows from its metatable: the map leads from the address of a metatable to the Rust type that
//! all userdata with this metatable hold. A userdata whose metatable is not in the map is not ours, and its memory is never
//! looked at.
//!
//! * T1. The metatable of a `'static` type is anchored by a slot that is never freed, so its address means that type for as
//!   long as the VM is there, and may be remembered anywhere.
//! * T2. The metatable of a userdata that is not `'static` (made by a scope) is in the map only as long as the scope, which
//!   anchors it. Its address may mean something else later, so only its serial number may be remembered.
//! * T3. No code of the user runs, and no value of the user is dropped, while the map is borrowed.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::os::raw::{c_int, c_void};
use std::ptr;

use rustc_hash::FxHashMap;

use crate::engine;
use crate::error::{Error, Result};
use crate::handle::slots::Slot;

/// What the userdata with a certain metatable hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TypeKey {
    /// A value of this type, or what stands for one: see [`Kind`](super::cell::Kind).
    Static(TypeId),
    /// The value of a scope with this serial number.
    Scoped(u64),
}

/// A userdata of ours.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) userdata: *mut c_void,
    pub(crate) metatable: *const c_void,
    pub(crate) key: TypeKey,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct TypeMap {
    keys: RefCell<FxHashMap<*const c_void, TypeKey>>,
    metatables: RefCell<FxHashMap<TypeId, Slot>>,
    /// The entry of `keys` that was found last, of a `'static` type.
    last: Cell<Option<(*const c_void, TypeId)>>,
    serials: Cell<u64>,
    /// The metatable of userdata whose value is gone, with its address.
    destructed: Cell<Option<(Slot, *const c_void)>>,
}

impl TypeMap {
    /// The metatable for userdata that hold a `T`, if there is one already.
    #[inline]
    pub(crate) fn metatable_of<T: 'static>(&self) -> Option<Slot> {
        self.metatables.borrow().get(&TypeId::of::<T>()).copied()
    }

    /// From here on, `metatable` with its `address` is the one for `T`. Others that were keep their meaning.
    pub(crate) fn insert<T: 'static>(&self, metatable: Slot, address: *const c_void) {
        let id = TypeId::of::<T>();
        self.keys.borrow_mut().insert(address, TypeKey::Static(id));
        self.metatables.borrow_mut().insert(id, metatable);
    }

    /// A new serial number for a value of a scope.
    pub(crate) fn next_serial(&self) -> u64 {
        let serial = self.serials.get();
        self.serials.set(serial + 1);
        serial
    }

    /// The metatable at `address` is that of the scope's value `serial`, until [`TypeMap::remove_scoped`].
    pub(crate) fn insert_scoped(&self, address: *const c_void, serial: u64) {
        let key = TypeKey::Scoped(serial);
        self.keys.borrow_mut().insert(address, key);
    }

    /// The metatable at `address`, which is that of a scope's value, goes.
    pub(crate) fn remove_scoped(&self, address: *const c_void) {
        self.keys.borrow_mut().remove(&address);
    }

    /// The metatable of userdata whose value is gone.
    pub(crate) fn destructed(&self) -> Option<Slot> {
        self.destructed.get().map(|(slot, _)| slot)
    }

    pub(crate) fn set_destructed(&self, metatable: Slot, address: *const c_void) {
        self.destructed.set(Some((metatable, address)));
    }

    /// The userdata at `index` of `state`.
    ///
    /// # Errors
    ///
    /// [`Error::UserDataTypeMismatch`] if it is no userdata of ours, [`Error::UserDataDestructed`] if its value is gone.
    ///
    /// # Safety
    ///
    /// There is a value at `index` of `state`, a state of this instance, and room for one more. Nothing here allocates in Lua
    /// or runs code, so `state` may be a reference thread.
    pub(crate) unsafe fn find(&self, state: *mut engine::lua_State, index: c_int) -> Result<Found> {
        // SAFETY: passed on.
        let metatable = unsafe { metatable_at(state, index) };
        Ok(Found {
            // SAFETY: as above.
            userdata: unsafe { engine::lua_touserdata(state, index) },
            metatable,
            key: self.look_up(metatable)?,
        })
    }

    /// The full userdata at `index` of `state` if it is one of type `T`.
    ///
    /// # Errors
    ///
    /// As [`TypeMap::find`].
    ///
    /// # Safety
    ///
    /// As [`TypeMap::find`], and that value is a full userdata.
    #[inline]
    pub(crate) unsafe fn find_typed<T: 'static>(
        &self,
        state: *mut engine::lua_State,
        index: c_int,
    ) -> Result<*mut c_void> {
        // SAFETY: passed on.
        let metatable = unsafe { metatable_of(state, index) };
        let id = TypeId::of::<T>();
        if self.last.get() != Some((metatable, id))
            && self.look_up(metatable)? != TypeKey::Static(id)
        {
            return Err(Error::UserDataTypeMismatch);
        }
        // SAFETY: passed on.
        Ok(unsafe { engine::lua_touserdata(state, index) })
    }

    #[inline(never)]
    fn look_up(&self, metatable: *const c_void) -> Result<TypeKey> {
        if let Some(&key) = self.keys.borrow().get(&metatable) {
            if let TypeKey::Static(id) = key {
                self.last.set(Some((metatable, id)));
            }
            return Ok(key);
        }
        match self.destructed.get() {
            Some((_, address)) if address == metatable => Err(Error::UserDataDestructed),
            _ => Err(Error::UserDataTypeMismatch),
        }
    }

    /// Forgets everything: the VM is gone.
    pub(crate) fn clear(&self) {
        self.last.set(None);
        self.destructed.set(None);
        self.keys.borrow_mut().clear();
        self.metatables.borrow_mut().clear();
    }
}

/// The address of the metatable of the full userdata at `index`; null if it has none, or if that is something else.
///
/// # Safety
///
/// As [`TypeMap::find`].
pub(crate) unsafe fn metatable_at(state: *mut engine::lua_State, index: c_int) -> *const c_void {
    // SAFETY: passed on.
    unsafe {
        match engine::lua_type(state, index) {
            engine::LUA_TUSERDATA => metatable_of(state, index),
            _ => ptr::null(),
        }
    }
}

/// The address of the metatable of the value at `index`, of whatever type it is; null if it has none.
///
/// Only userdata have the metatables of this library: no safe code gets at one to set it elsewhere.
///
/// # Safety
///
/// As [`TypeMap::find`].
#[inline(always)]
pub(crate) unsafe fn metatable_of(state: *mut engine::lua_State, index: c_int) -> *const c_void {
    // SAFETY: plain reads; the metatable that is pushed is popped.
    unsafe {
        if engine::lua_getmetatable(state, index) == 0 {
            return ptr::null();
        }
        let metatable = engine::lua_topointer(state, -1);
        engine::lua_pop(state, 1);
        metatable
    }
}
