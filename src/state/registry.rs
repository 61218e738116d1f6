//! Values that Rust keeps in an instance: by key and by name.

use crate::Lua;

impl Lua {
    /// Frees the values whose keys and handles were dropped where that could not be done at once, as on another thread.
    pub fn expire_registry_values(&self) {
        let _entered = self.enter();
        let inner = self.inner();
        // SAFETY: the VM is there and this is its thread; no sweep of Lua 5.4 runs code of ours.
        unsafe { inner.unref.drain(inner) }
    }
}
