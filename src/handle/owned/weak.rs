//! Handles that are weak to their instance and strong to their value.
//!
//! Such a handle holds a count of the block (so that it can always find out whether the instance is open) and a count of
//! its slot (so that the value stays), but none in `open`.
//!
//! Invariants:
//!
//! * H1. `lua` is a view, and the handle holds one count in `refs` for it. So `&self.lua` is a valid `&Lua` for as long as
//!   the handle is borrowed, whether or not the instance is open: that is what lets
//!   [`upgrade`](super::OwnedTable::upgrade) lend it for the whole borrow.
//! * H2. While the instance is open, the handle holds one count of `slot`. Once it is not, that count is never given back, and
//!   `slot` is only the number by which the [graves](crate::handle::graves) know the value.
//! * H3. The address of the value identifies it among all that were alive in the instance together with the handle. It is
//!   the same before and after the instance is closed, so that comparing, hashing and printing work at any time.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::os::raw::c_void;

use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::state::LuaInner;
use crate::Lua;

/// What every owned handle is made of.
pub(crate) struct OwnedRef {
    lua: ManuallyDrop<Lua>,
    slot: Slot,
}

impl OwnedRef {
    /// Moves the slot of `proxy` into a handle.
    #[inline]
    pub(crate) fn new(proxy: Ref) -> OwnedRef {
        let (lua, slot) = proxy.into_parts();
        let inner = lua.inner();
        inner.retain();
        let slot = if inner.is_alive() && !inner.ends_unseen() {
            slot
        } else {
            bury(inner, slot)
        };
        let this = OwnedRef {
            lua: lua.view(),
            slot,
        };
        // SAFETY: the count in `open` that the proxy had; we keep the block (H1).
        unsafe { LuaInner::let_close(this.lua.0) };
        this
    }

    #[inline(always)]
    pub(crate) fn is_alive(&self) -> bool {
        self.lua.inner().is_alive()
    }

    /// A proxy that borrows the slot and the view in this handle; `None` if the instance is closed.
    #[inline(always)]
    pub(crate) fn upgrade(&self) -> Option<Ref<'_>> {
        if !self.is_alive() {
            return None;
        }
        // SAFETY: H2: for as long as the handle is borrowed.
        Some(unsafe { Ref::lend(&self.lua, self.slot) })
    }

    /// As [`OwnedRef::upgrade`], with an error.
    #[inline(always)]
    pub(crate) fn try_upgrade(&self) -> Result<Ref<'_>> {
        self.upgrade().ok_or(Error::LuaDestroyed)
    }

    /// A proxy that shares the slot and borrows `lua`.
    #[inline(always)]
    pub(crate) fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<Ref<'lua>> {
        self.check(lua)?;
        // SAFETY: H2.
        Ok(unsafe { Ref::share(lua, self.slot) })
    }

    /// Pushes the value onto the running state of `lua`.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[inline(always)]
    pub(super) unsafe fn push_to(&self, lua: &Lua) -> Result<()> {
        self.check(lua)?;
        let inner = lua.inner();
        // SAFETY: H2.
        unsafe { inner.slots.push(self.slot, inner.state()) };
        Ok(())
    }

    /// That the instance is open and that of `lua`.
    #[inline(always)]
    fn check(&self, lua: &Lua) -> Result<()> {
        if !self.is_alive() {
            return Err(Error::LuaDestroyed);
        }
        if !self.lua.is_same(lua) {
            return Err(Error::MismatchedLua);
        }
        Ok(())
    }

    pub(crate) fn pointer(&self) -> *const c_void {
        let inner = self.lua.inner();
        if inner.is_alive() {
            // SAFETY: H2.
            return unsafe { inner.slots.pointer(self.slot) };
        }
        inner.graves.pointer(self.slot)
    }
}

/// What the slot is to a handle that is made after its instance was closed, or while it is being closed; or if the end will
/// come unseen.
#[cold]
fn bury(inner: &LuaInner, slot: Slot) -> Slot {
    if inner.state_or_null().is_null() {
        return Slot::NONE;
    }
    // SAFETY: the handle has a count of the slot, and there is a VM.
    inner.graves.add(slot, unsafe { inner.slots.pointer(slot) });
    slot
}

impl Clone for OwnedRef {
    #[inline(always)]
    fn clone(&self) -> Self {
        let inner = self.lua.inner();
        if inner.is_alive() {
            inner.slots.retain(self.slot);
        }
        inner.retain();
        OwnedRef {
            lua: self.lua.view(),
            ..*self
        }
    }
}

impl Drop for OwnedRef {
    #[inline(always)]
    fn drop(&mut self) {
        let inner = self.lua.inner();
        // SAFETY: H2: the slot is ours while the instance is open; handles do not leave the VM's thread. H1: so is the count.
        unsafe {
            if inner.is_alive() && !inner.slots.release_shared(self.slot) {
                return self.drop_last();
            }
            LuaInner::release(self.lua.0);
        }
    }
}

impl OwnedRef {
    /// The drop of a handle that is the last user of its slot.
    #[inline(never)]
    unsafe fn drop_last(&mut self) {
        // SAFETY: as in `drop`.
        unsafe {
            self.lua.inner().slots.release_last(self.slot);
            LuaInner::release(self.lua.0);
        }
    }
}

impl PartialEq for OwnedRef {
    fn eq(&self, other: &Self) -> bool {
        self.lua.is_same(&other.lua)
            && (self.slot == other.slot || self.pointer() == other.pointer())
    }
}

impl Hash for OwnedRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lua.0.hash(state);
        self.pointer().hash(state);
    }
}

impl fmt::Debug for OwnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:p}{}",
            self.pointer(),
            if self.is_alive() { "" } else { ", closed" }
        )
    }
}

const _: () = assert!(std::mem::size_of::<OwnedRef>() == 16);
