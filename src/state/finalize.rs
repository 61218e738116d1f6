//! What runs while Lua closes a VM, and after Lua has stopped to look for finalizers.
//!
//! A function that a finalizer calls can let a proxy, or a borrow out of the VM, escape into a `static`, if it was made through a leaked
//! handle and so may name its instance for `'static`. A proxy finds out that the VM is gone; a plain `&str` into a Lua
//! string does not. So the last finalizer of all, that of the [`Sentinel`], looks whether counts are left, and if so keeps
//! the VM's memory from being freed.
//!
//! Lua takes no more finalizers once it has begun to close. So a userdata that is made from there on is a [latecomer](Late),
//! and the sentinel runs its finalizer (in a VM of somebody else: the guard, see [`super::hosted`]).

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use super::LuaInner;
use crate::call::cell;
use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::slots::Slot;

/// The object that is finalized last: Lua calls finalizers in the reverse order of their creation.
struct Sentinel(NonNull<LuaInner>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        // SAFETY: the block outlives its VM.
        let inner = unsafe { self.0.as_ref() };
        // In the middle of a function of the library, which may well hold proxies: looked at when that is through.
        #[cfg(raising_finalizers)]
        if inner.depth() > 1 {
            return inner.late.is_over.set(true);
        }
        finalize_latecomers(inner);
        if inner.escaped_while_closing() {
            stop_freeing(inner);
        }
        #[cfg(raising_finalizers)]
        inner.late.is_over.set(true);
    }
}

/// Does the same again for what a finalizer leaves behind that runs after the sentinel's: before Lua 5.4 one that collects
/// garbage while the VM is closed runs all the others before it goes on. Called when no function of the library is in progress.
#[cfg(raising_finalizers)]
pub(super) fn after_sentinel(inner: &LuaInner) {
    if !inner.late.is_over.get() {
        return;
    }
    finalize_latecomers(inner);
    if inner.escaped_while_closing() {
        stop_freeing(inner);
    }
}

fn stop_freeing(inner: &LuaInner) {
    inner.memory.stop_freeing();
    #[cfg(feature = "luajit")]
    if inner.foreign_memory.get() {
        // SAFETY: the instance is there, and owns its VM.
        unsafe { foreign::stop_freeing(inner.main_state()) }
    }
}

/// The allocator of LuaJIT's own.
#[cfg(feature = "luajit")]
mod foreign {
    use std::os::raw::c_void;

    use crate::engine;

    struct Allocator(engine::lua_Alloc, *mut c_void);

    /// See [`Memory::stop_freeing`](crate::state::memory::Memory::stop_freeing).
    pub(super) unsafe fn stop_freeing(state: *mut engine::lua_State) {
        let mut ud = std::ptr::null_mut();
        // SAFETY: passed on. What takes the place of the allocator does the same, but for freeing; it stays for good, as what it
        // allocates does.
        unsafe {
            let function = engine::lua_getallocf(state, &mut ud);
            if !std::ptr::fn_addr_eq(function, keep as engine::lua_Alloc) {
                let before = Box::leak(Box::new(Allocator(function, ud)));
                engine::lua_setallocf(state, keep, before as *mut Allocator as *mut c_void);
            }
        }
    }

    unsafe extern "C" fn keep(
        ud: *mut c_void,
        block: *mut c_void,
        osize: usize,
        nsize: usize,
    ) -> *mut c_void {
        if nsize == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: `stop_freeing` has made it; a block that grows moves, and the old one stays.
        unsafe {
            let before = &*(ud as *const Allocator);
            let new = before.0(before.1, std::ptr::null_mut(), 0, nsize);
            if !new.is_null() && !block.is_null() {
                std::ptr::copy_nonoverlapping(block as *const u8, new as *mut u8, osize.min(nsize));
            }
            new
        }
    }
}

/// Makes the sentinel. Nothing else with a finalizer may exist yet.
///
/// # Safety
///
/// `state` is the running state of the instance, which is being made.
pub(super) unsafe fn post_sentinel(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: the slot is never freed, so the sentinel lives as long as the VM.
    unsafe {
        cell::push_plain(inner, state, Sentinel(NonNull::from(inner)))?;
        inner.slots.take(state)?;
    }
    Ok(())
}

/// Userdata that were made while the VM was closing.
#[derive(Default)]
pub(crate) struct Late {
    slots: RefCell<Vec<Slot>>,
    is_draining: Cell<bool>,
    /// Whether the sentinel has been finalized.
    #[cfg(raising_finalizers)]
    is_over: Cell<bool>,
}

impl Late {
    fn pop(&self) -> Option<Slot> {
        self.slots.borrow_mut().pop()
    }
}

/// Sees to it that the userdata on top, which has just got its metatable, is finalized: if the VM is closing, Lua does not.
///
/// # Safety
///
/// `state` is a running state of the instance with 4 free places and a userdata of the library's on top. On an error it is
/// finalized already, and stays on top.
#[inline]
pub(crate) unsafe fn ensure_finalizer(
    inner: &LuaInner,
    state: *mut engine::lua_State,
) -> Result<()> {
    if inner.is_alive() {
        return Ok(());
    }
    // SAFETY: passed on.
    unsafe { add_latecomer(inner, state) }
}

#[cold]
unsafe fn add_latecomer(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: the slot keeps the userdata until the sentinel has seen it.
    unsafe {
        engine::lua_pushvalue(state, -1);
        match inner.slots.take(state) {
            Ok(slot) => inner.late.slots.borrow_mut().push(slot),
            Err(error) => {
                engine::lua_pushvalue(state, -1);
                finalize(state);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Runs the finalizers of the latecomers, on the running state: that of a finalizer, with little on its stack.
pub(super) fn finalize_latecomers(inner: &LuaInner) {
    if inner.late.is_draining.replace(true) {
        return;
    }
    // A finalizer may make more of them.
    while let Some(slot) = inner.late.pop() {
        // SAFETY: a finalizer of the library is running.
        unsafe {
            inner.slots.push(slot, inner.state());
            finalize(inner.state());
        }
    }
    inner.late.is_draining.set(false);
}

/// Pops the userdata on top and calls its finalizer.
unsafe fn finalize(state: *mut engine::lua_State) {
    // SAFETY: runs protected. The finalizers of the library do not fail; without memory to call one there is no more to do.
    let _ = unsafe {
        protect(state, 1, 0, |state| {
            if engine::luaL_getmetafield(state, 1, c"__gc".as_ptr()) != engine::LUA_TNIL {
                engine::lua_insert(state, 1);
                engine::lua_call(state, 1, 0);
            }
        })
    };
}
