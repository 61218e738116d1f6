//! Whether the host of a VM is closing it.
//!
//! `lua_close` runs all finalizers, the youngest object's first, so the [guard](super::hosted) of an instance is late to
//! know. A function of the library that a finalizer calls earlier has to ask. Lua does not tell; but an object that gets a
//! metatable with `__gc` while the VM is closing is not marked for finalization any more (since 5.4.4), and marking shows
//! in the header that all objects of the collector begin with: it moves the object to another list and sets a flag. So the
//! question is asked by making a table, the probe, and comparing its header before and after it gets its metatable.
//!
//! Before Lua 5.4 there is nothing to ask by: there handles die when the guard is finalized, and userdata that finalizers make
//! before that are not finalized.
//!
//! It is asked only in finalizers, where Lua refuses all requests to the collector; so anywhere else the question costs one
//! such request.

#[cfg(lua_ge_54)]
use std::os::raw::c_int;

use super::LuaInner;
#[cfg(lua_ge_54)]
use crate::call::protect::protect;
use crate::engine;
#[cfg(lua_ge_54)]
use crate::error::{Error, Result};

/// Makes the metatable of probes.
///
/// # Errors
///
/// Fails if the VM is being closed: nothing would tell the new instance when it is gone.
///
/// # Safety
///
/// `state` is the running state of the instance, which is being made.
#[cfg(lua_ge_54)]
pub(super) unsafe fn prepare(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: runs protected; `take` pops the table.
    unsafe {
        protect(state, 0, 1, |state| {
            engine::lua_createtable(state, 0, 1);
            engine::lua_pushcfunction(state, nothing);
            engine::lua_setfield(state, -2, c"__gc".as_ptr());
        })?;
        inner.probe.set(Some(inner.slots.take(state)?));
        match is_closing(inner, state)? {
            true => Err(Error::runtime("the Lua instance is being closed")),
            false => Ok(()),
        }
    }
}

/// Ends the instance if its host is closing the VM: handles are dead from here on.
///
/// # Safety
///
/// Lua has called a function of the library on `state`, the running state, that has 10 free places.
#[inline(always)]
pub(crate) unsafe fn notice(inner: &LuaInner, state: *mut engine::lua_State) {
    #[cfg(lua_ge_54)]
    if inner.hosted.get() {
        // SAFETY: passed on.
        unsafe { look(inner, state) }
    }
    #[cfg(not(lua_ge_54))]
    let _ = (inner, state);
}

#[cfg(lua_ge_54)]
#[inline(never)]
unsafe fn look(inner: &LuaInner, state: *mut engine::lua_State) {
    const REFUSED: c_int = -1;
    // SAFETY: passed on; the request does not raise. Without memory for a probe the guard will tell.
    unsafe {
        if inner.is_alive()
            && engine::lua_gc(state, engine::LUA_GCISRUNNING, 0) == REFUSED
            && is_closing(inner, state).unwrap_or(false)
        {
            inner.end();
        }
    }
}

#[cfg(lua_ge_54)]
/// The `next` pointer, and the bytes for the type and the marks, of any object of the collector.
type Header = (usize, u16);

#[cfg(lua_ge_54)]
unsafe fn is_closing(inner: &LuaInner, state: *mut engine::lua_State) -> Result<bool> {
    let Some(metatable) = inner.probe.get() else {
        return Ok(false);
    };
    // SAFETY: only making the table may raise. The address of a table is that of its header, which is initialized and far
    // smaller than a table; nothing is assumed about what it holds. No collection happens between the two reads.
    unsafe {
        inner.slots.push(metatable, state);
        protect(state, 1, 0, |state| {
            engine::lua_createtable(state, 0, 0);
            let object = engine::lua_topointer(state, -1) as *const usize;
            let header = || -> Header { (object.read(), (object.add(1) as *const u16).read()) };
            let before = header();
            engine::lua_insert(state, 1);
            engine::lua_setmetatable(state, 1);
            before == header()
        })
    }
}

/// `__gc` of probes.
#[cfg(lua_ge_54)]
unsafe extern "C-unwind" fn nothing(_: *mut engine::lua_State) -> c_int {
    0
}
