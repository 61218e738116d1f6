//! Handles that own their instance, as in 0.9.

use std::fmt;

use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::Lua;

/// What every owned handle is made of.
pub(crate) struct OwnedRef {
    /// An owner.
    lua: Lua,
    slot: Slot,
}

impl OwnedRef {
    /// Moves the slot of `proxy` into a handle.
    pub(crate) fn new(proxy: Ref) -> OwnedRef {
        let (lua, slot) = proxy.into_parts();
        lua.inner().add_owner();
        // The count in `open` that the proxy had is now that of an owner.
        OwnedRef {
            lua: Lua(lua.0),
            slot,
        }
    }

    /// A proxy that borrows the slot.
    pub(crate) const fn to_ref(&self) -> Ref<'_> {
        // SAFETY: we own a count of the slot for as long as we are borrowed, and an owner keeps the instance open.
        unsafe { Ref::lend(&self.lua, self.slot) }
    }

    pub(super) unsafe fn push_to(&self, lua: &Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.to_ref().push_to(lua) }
    }

    pub(super) fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<Ref<'lua>> {
        if !self.lua.is_same(lua) {
            return Err(Error::MismatchedLua);
        }
        // SAFETY: we own a count of the slot, and an owner keeps the instance open.
        Ok(unsafe { Ref::share(lua, self.slot) })
    }
}

impl Clone for OwnedRef {
    fn clone(&self) -> Self {
        OwnedRef::new(self.to_ref())
    }
}

impl Drop for OwnedRef {
    fn drop(&mut self) {
        let inner = self.lua.inner();
        if !inner.state_or_null().is_null() {
            // SAFETY: we own a count of the slot. `lua`, which goes last, keeps the VM open, unless a host has closed it: then there
            // are no slots.
            unsafe { inner.slots.release(self.slot) }
        }
    }
}

impl fmt::Debug for OwnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.to_ref().to_pointer())
    }
}
