//! How an instance ends.
//!
//! [`close_vm`] runs when the last count in `open` is gone, so no Lua code is running and no proxy is left. Handles are
//! dead from the first line on (`alive` is false), while finalizers that Lua runs inside `lua_close` may still call Rust
//! functions, which find a working instance for as long as they run.
//!
//! Such a function can let a proxy, or a borrow out of the VM, escape into a `static`, if it was made through a leaked
//! handle and so may name its instance for `'static`. A proxy finds out that the VM is gone; a plain `&str` into a Lua
//! string does not. So the last finalizer of all, that of the [`Sentinel`], looks whether counts are left, and if so keeps
//! the VM's memory from being freed.

use std::ptr::NonNull;

use super::LuaInner;
use crate::call::cell;
use crate::error::Result;

/// Closes the VM of `inner` and drops what the instance held on the Rust side.
pub(super) fn close_vm(inner: &LuaInner) {
    let main = inner.main_state();
    if !main.is_null() {
        inner.switch_state(main);
        // SAFETY: nothing runs in the VM and no proxy is left (module docs); the instance owns its VM, since one that was
        // made by a host keeps a count in `open` until the host closes it.
        unsafe { ffi::lua_close(main) };
    }
    forget_vm(inner);
}

/// Drops what the instance held on the Rust side: the VM is gone.
///
/// Code of the user may run here, in destructors; it finds the instance gone.
pub(super) fn forget_vm(inner: &LuaInner) {
    inner.detach();
    inner.unref.close();
    inner.slots.clear();
    inner.types.clear();
    inner.hooks.clear();
    inner.app_data.clear();
}

/// The object that is finalized last: Lua calls finalizers in the reverse order of their creation.
struct Sentinel(NonNull<LuaInner>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        // SAFETY: the block outlives its VM.
        let inner = unsafe { self.0.as_ref() };
        if inner.escaped_while_closing() {
            inner.memory.stop_freeing();
        }
    }
}

/// Makes the sentinel. Nothing else with a finalizer may exist yet.
///
/// # Safety
///
/// `state` is the running state of the instance, which is being made.
pub(super) unsafe fn post_sentinel(inner: &LuaInner, state: *mut ffi::lua_State) -> Result<()> {
    // SAFETY: the slot is never freed, so the sentinel lives as long as the VM.
    unsafe {
        cell::push_plain(inner, state, Sentinel(NonNull::from(inner)))?;
        inner.slots.take(state)?;
    }
    Ok(())
}
