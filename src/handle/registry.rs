//! [`RegistryKey`]: a reference without a lifetime that says nothing about its instance.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::slots::Slot;
use super::unref::UnrefQueue;
use crate::engine;
use crate::error::{Error, Result};
use crate::state::LuaInner;

/// The key of a value in the registry of a Lua instance.
///
/// A key owns its value: as long as it exists, and the instance does, the value is not collected. It says nothing about
/// the instance, so every use takes the [`Lua`](crate::Lua) that made it. It can be sent to and dropped on any thread; the
/// value of a dropped key goes at the next [`Lua::expire_registry_values`](crate::Lua::expire_registry_values) or
/// [`Lua::gc_collect`](crate::Lua::gc_collect).
pub struct RegistryKey {
    slot: Slot,
    queue: UnrefQueue,
}

impl RegistryKey {
    /// Pops the value on top of `state` into a key.
    ///
    /// # Safety
    ///
    /// As [`Slots::take`](super::slots::Slots::take).
    pub(crate) unsafe fn take(
        inner: &LuaInner,
        state: *mut engine::lua_State,
    ) -> Result<RegistryKey> {
        // SAFETY: passed on; the VM is there.
        let slot = unsafe {
            inner.unref.drain(inner);
            inner.slots.take(state)?
        };
        Ok(RegistryKey {
            slot,
            queue: inner.unref.clone(),
        })
    }

    /// The number of this key among those of its instance.
    pub fn id(&self) -> i32 {
        self.slot.id()
    }

    pub(crate) fn belongs_to(&self, inner: &LuaInner) -> bool {
        self.queue.is_same(&inner.unref)
    }

    fn check(&self, inner: &LuaInner) -> Result<()> {
        if self.belongs_to(inner) {
            Ok(())
        } else {
            Err(Error::MismatchedRegistryKey)
        }
    }

    /// Pushes the value; an error if the key is of another instance.
    ///
    /// # Safety
    ///
    /// `state` is a running state of `inner` with one free place.
    pub(crate) unsafe fn push(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
    ) -> Result<()> {
        self.check(inner)?;
        // SAFETY: the key owns a count of its slot.
        unsafe { inner.slots.push(self.slot, state) };
        Ok(())
    }

    /// Puts the value on top of `state`, which is popped, in the place of the key's.
    ///
    /// # Safety
    ///
    /// `state` is a running state of `inner` with a value on top, and `self` belongs to `inner`.
    pub(crate) unsafe fn overwrite(&self, inner: &LuaInner, state: *mut engine::lua_State) {
        debug_assert!(self.belongs_to(inner));
        // SAFETY: the key owns its slot alone: `take` never shares one.
        unsafe { inner.slots.overwrite(self.slot, state) }
    }

    /// Frees the value now.
    ///
    /// # Safety
    ///
    /// On the VM's thread with the VM there.
    pub(crate) unsafe fn remove(self, inner: &LuaInner) -> Result<()> {
        self.check(inner)?;
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so its queue is moved out once, and the count is given back once.
        unsafe {
            drop(ptr::read(&this.queue));
            inner.slots.release(this.slot);
        }
        Ok(())
    }
}

impl Drop for RegistryKey {
    fn drop(&mut self) {
        self.queue.put(self.slot)
    }
}

impl PartialEq for RegistryKey {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.queue.is_same(&other.queue)
    }
}

impl Eq for RegistryKey {}

impl Hash for RegistryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state)
    }
}

impl fmt::Debug for RegistryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryKey({})", self.id())
    }
}

const _: () = assert!(mem::size_of::<RegistryKey>() <= 16);
