//! How an instance begins.

use std::os::raw::c_void;
use std::ptr::NonNull;

use super::LuaInner;
use crate::call::protect::protect;
use crate::call::set_inner;
use crate::error::{Error, Result};
use crate::state::memory::Memory;
use crate::Lua;

impl Lua {
    /// A fresh VM without libraries.
    pub(super) fn open_vm() -> Result<Lua> {
        let block = LuaInner::alloc();
        // From here on `lua` owns the count that `alloc` made, and closes the VM on an error below.
        let lua = Lua(block);
        let inner = lua.inner();
        // SAFETY: the allocator and what it counts in live as long as the VM: the block is freed after closing it.
        unsafe {
            let memory = &inner.memory as *const Memory as *mut c_void;
            let state = ffi::lua_newstate(Memory::allocate, memory);
            if state.is_null() {
                return Err(Error::MemoryError("not enough memory".into()));
            }
            inner.attach(state, state, true);
            ffi::lua_atpanic(state, unprotected);
            set_up(block, state)?;
        }
        Ok(lua)
    }
}

/// Makes what every instance has, in a VM that has none of it yet.
///
/// # Safety
///
/// `block` is attached to `state`.
pub(super) unsafe fn set_up(block: NonNull<LuaInner>, state: *mut ffi::lua_State) -> Result<()> {
    let address = block.as_ptr();
    // SAFETY: the block lives as long as the VM. Until `set_inner` is through, no error can be looked at, but with our own
    // allocator it does not fail at this size.
    unsafe {
        let inner = block.as_ref();
        set_inner(state, address);
        protect(state, 0, 0, |_| ())?;
        inner.internals.open(inner, state)?;
        super::close::post_sentinel(inner, state)
    }
}

/// Lua's panic function: an error outside of any protected call, which the library never lets happen.
unsafe extern "C-unwind" fn unprotected(_: *mut ffi::lua_State) -> std::os::raw::c_int {
    eprintln!("unprotected error in a call into Lua");
    std::process::abort()
}
