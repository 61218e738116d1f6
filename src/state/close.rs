//! How an instance ends.
//!
//! [`close_vm`] runs when the last count in `open` is gone, so no Lua code is running and no proxy is left. Handles are
//! dead from the first line on (`alive` is false), while finalizers that Lua runs inside `lua_close` may still call Rust
//! functions, which find a working instance for as long as they run.

use super::LuaInner;
use crate::engine;

/// Closes the VM of `inner` and drops what the instance held on the Rust side.
pub(super) fn close_vm(inner: &LuaInner) {
    let main = inner.main_state();
    if !main.is_null() {
        if cfg!(finalizers) {
            inner.switch_state(main);
        } else {
            // What is dropped by the sweep finds the instance gone.
            inner.detach();
        }
        // SAFETY: nothing runs in the VM and no proxy is left (module docs); the instance owns its VM, since one that was
        // made by a host keeps a count in `open` until the host closes it.
        unsafe { engine::lua_close(main) };
    }
    forget_vm(inner);
}

/// Drops what the instance held on the Rust side: the VM is gone.
///
/// Destructors of the user may run here, which find the instance gone. As in a finalizer, a panic in one ends there: what
/// lets go of an instance may itself be a drop, on unwinding even.
pub(super) fn forget_vm(inner: &LuaInner) {
    inner.detach();
    inner.unref.close();
    inner.keys.clear();
    inner.slots.clear();
    inner.types.clear();
    #[cfg(raising_finalizers)]
    inner.internals.clear();
    #[cfg(not(feature = "luau"))]
    inner.hooks.clear();
    #[cfg(feature = "luau")]
    inner.luau.clear();
    #[cfg(not(finalizers))]
    inner.remains.clear();
    inner.app_data.clear();
    #[cfg(feature = "async")]
    inner.futures.clear();
}
