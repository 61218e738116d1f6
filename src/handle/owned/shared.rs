//! Weak handles that any thread may clone, compare, print and drop: those of `weak-owned` with `send`.
//!
//! The clones of a handle share one [`Node`], which holds what a handle of one thread holds itself. The last of them to go,
//! on whatever thread, puts the slot on the queue of the instance ([`UnrefQueue`](crate::handle::unref::UnrefQueue)), where
//! the VM's thread finds it.
//!
//! Invariants, beside H1 to H3 of `weak.rs`, which hold for a node:
//!
//! * H4. Of the block, other threads than the VM's touch `refs` and `alive`, which are atomic, and the queue, which any
//!   thread may put something on. Slots and proxies are touched only with a `&Lua` at hand, which is the proof of being on the VM's thread, since
//!   `Lua` is not `Sync`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::os::raw::c_void;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::state::LuaInner;
use crate::Lua;

/// What every owned handle is made of.
#[derive(Clone)]
pub(crate) struct OwnedRef(Arc<Node>);

struct Node {
    lua: ManuallyDrop<Lua>,
    pointer: *const c_void,
    slot: Slot,
}

// SAFETY: H4. `pointer` is only a number.
unsafe impl Send for Node {}
// SAFETY: as above; nothing in a node changes.
unsafe impl Sync for Node {}

impl OwnedRef {
    /// Moves the slot of `proxy` into a handle.
    pub(crate) fn new(proxy: Ref) -> OwnedRef {
        let pointer = proxy.to_pointer();
        let (lua, slot) = proxy.into_parts();
        let inner = lua.inner();
        inner.retain();
        if inner.is_alive() {
            // SAFETY: a proxy has been at hand: this is the VM's thread, and the VM is there.
            unsafe { inner.unref.drain(inner) };
        }
        let node = Node {
            lua: lua.view(),
            pointer,
            slot,
        };
        // SAFETY: the count in `open` that the proxy had; the node keeps the block (H1).
        unsafe { LuaInner::let_close(lua.0) };
        OwnedRef(Arc::new(node))
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.lua.inner().is_alive()
    }

    /// A proxy that shares the slot and borrows `lua`.
    pub(crate) fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<Ref<'lua>> {
        self.check(lua)?;
        // SAFETY: H2; `lua` is the proof that this is the VM's thread.
        Ok(unsafe { Ref::share(lua, self.0.slot) })
    }

    /// Pushes the value onto the running state of `lua`.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    pub(super) unsafe fn push_to(&self, lua: &Lua) -> Result<()> {
        self.check(lua)?;
        let inner = lua.inner();
        // SAFETY: as in `upgrade_in`.
        unsafe { inner.slots.push(self.0.slot, inner.state()) };
        Ok(())
    }

    /// That the instance is open and that of `lua`.
    fn check(&self, lua: &Lua) -> Result<()> {
        if !self.is_alive() {
            return Err(Error::LuaDestroyed);
        }
        if !self.0.lua.is_same(lua) {
            return Err(Error::MismatchedLua);
        }
        Ok(())
    }

    pub(crate) fn pointer(&self) -> *const c_void {
        self.0.pointer
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let inner = self.lua.inner();
        inner.unref.put(self.slot);
        // SAFETY: H1.
        unsafe { LuaInner::release(self.lua.0) }
    }
}

impl PartialEq for OwnedRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.lua.is_same(&other.0.lua) && self.0.pointer == other.0.pointer
    }
}

impl Hash for OwnedRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.lua.0.hash(state);
        self.0.pointer.hash(state);
    }
}

impl fmt::Debug for OwnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:p}{}",
            self.0.pointer,
            if self.is_alive() { "" } else { ", closed" }
        )
    }
}
