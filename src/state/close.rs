//! How an instance ends.
//!
//! [`close_vm`] runs when the last count in `open` is gone, so no Lua code is running and no proxy is left. Handles are
//! dead from the first line on (`alive` is false), while finalizers that Lua runs inside `lua_close` may still call Rust
//! functions, which find a working instance for as long as they run.

use super::LuaInner;

/// Closes the VM of `inner` and drops what the instance held on the Rust side.
pub(super) fn close_vm(inner: &LuaInner) {
    let main = inner.main_state();
    if !main.is_null() {
        inner.switch_state(main);
        // SAFETY: nothing runs in the VM and no proxy is left (module docs); the instance owns its VM, since one that was
        // made by a host keeps a count in `open` until the host closes it.
        unsafe { ffi::lua_close(main) };
    }
    inner.detach();
    inner.slots.clear();
    inner.types.clear();
    inner.hooks.clear();
    inner.app_data.clear();
}
