//! The allocator that Lua is given, and the memory limit.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr;

/// What Lua's allocator counts.
pub(crate) struct Memory {
    used: Cell<usize>,
    /// Zero: no limit.
    limit: Cell<usize>,
    /// While set, the limit is not looked at: for the few operations that cannot report an error.
    lifted: Cell<bool>,
    /// Once set, nothing is freed any more. See [`Memory::stop_freeing`].
    keep_all: Cell<bool>,
}

impl Memory {
    pub(crate) fn new() -> Memory {
        Memory {
            used: Cell::new(0),
            limit: Cell::new(0),
            lifted: Cell::new(false),
            keep_all: Cell::new(false),
        }
    }

    /// Bytes that Lua holds.
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Sets the limit (zero: none) and returns the one before.
    pub(crate) fn set_limit(&self, limit: usize) -> usize {
        self.limit.replace(limit)
    }

    /// Runs `f` with the limit lifted. `f` must not run code of the user.
    pub(crate) fn without_limit<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = self.lifted.replace(true);
        let result = f();
        self.lifted.set(before);
        result
    }

    /// From here on no memory of this VM is freed.
    ///
    /// The last resort while a VM is closed: a finalizer let something escape that borrows from the VM (which takes a
    /// leaked handle and a `'static` callback). Its memory then stays, so that the borrow does not dangle.
    pub(crate) fn stop_freeing(&self) {
        self.keep_all.set(true)
    }

    /// Whether an allocation that adds `more` bytes has to be refused.
    fn refuses(&self, more: usize) -> bool {
        let limit = self.limit.get();
        limit != 0 && !self.lifted.get() && self.used.get().saturating_add(more) > limit
    }

    /// The `lua_Alloc` function; `ud` is a `Memory`.
    ///
    /// # Safety
    ///
    /// As `lua_Alloc` is called: `ptr` is null or came from here with size `osize`. `ud` points to a `Memory`.
    pub(crate) unsafe extern "C" fn allocate(
        ud: *mut c_void,
        block: *mut c_void,
        osize: usize,
        nsize: usize,
    ) -> *mut c_void {
        // SAFETY: `ud` is what `lua_newstate` was given, a `Memory` that outlives the VM.
        let memory = unsafe { &*(ud as *const Memory) };
        // With a null block, `osize` is a type tag.
        let osize = if block.is_null() { 0 } else { osize };
        if nsize > osize && memory.refuses(nsize - osize) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise about `block` and `osize`.
        let new = unsafe { memory.resize(block as *mut u8, osize, nsize) };
        if nsize == 0 || !new.is_null() {
            memory.used.set(memory.used.get() - osize + nsize);
        }
        new as *mut c_void
    }

    unsafe fn resize(&self, block: *mut u8, osize: usize, nsize: usize) -> *mut u8 {
        let layout = |size| Layout::from_size_align(size, ffi::SYS_MIN_ALIGN).ok();
        let Some(new_layout) = layout(nsize) else {
            return ptr::null_mut();
        };
        // SAFETY: `block`, if there is one of non-zero size, was allocated here with `osize` and this alignment; no
        // allocation of size zero is ever asked for.
        unsafe {
            match (osize, nsize) {
                (0, 0) => ptr::null_mut(),
                (0, _) => alloc::alloc(new_layout),
                (_, 0) if self.keep_all.get() => ptr::null_mut(),
                _ => {
                    let old_layout = Layout::from_size_align_unchecked(osize, ffi::SYS_MIN_ALIGN);
                    if nsize == 0 {
                        alloc::dealloc(block, old_layout);
                        return ptr::null_mut();
                    }
                    if self.keep_all.get() {
                        let new = alloc::alloc(new_layout);
                        if !new.is_null() {
                            ptr::copy_nonoverlapping(block, new, osize.min(nsize));
                        }
                        return new;
                    }
                    alloc::realloc(block, old_layout, nsize)
                }
            }
        }
    }
}
