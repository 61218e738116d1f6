//! The allocator that Lua is given, and the memory limit.

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::os::raw::c_void;
use std::ptr;

use crate::engine;

/// The alignment that Lua counts on.
const ALIGN: usize = engine::SYS_MIN_ALIGN;

/// A block is at least this large: one that is smaller than its alignment is not what `malloc` is made for.
const LEAST: usize = ALIGN;

/// A size above this makes no layout.
const MOST: usize = isize::MAX as usize - ALIGN;

/// What Lua's allocator counts.
pub(crate) struct Memory {
    used: Cell<usize>,
    /// No allocation may bring `used` above this: the limit, or [`MOST`] if there is none or it is lifted.
    ceiling: Cell<usize>,
    /// Zero: no limit.
    limit: Cell<usize>,
    /// While set, the limit is not looked at: for the few operations that cannot report an error.
    lifted: Cell<bool>,
    /// While set, an allocation must not fail. See [`Memory::unfailing`].
    unfailing: Cell<bool>,
    /// Once set, nothing is freed any more. See [`Memory::stop_freeing`].
    keep_all: Cell<bool>,
    /// Whether a limit is in force. See [`Memory::limited`].
    #[cfg(feature = "luajit")]
    in_force: Cell<bool>,
    /// Whether the next allocation fails.
    #[cfg(feature = "luajit")]
    refuse_next: Cell<bool>,
}

impl Memory {
    pub(crate) fn new() -> Memory {
        Memory {
            used: Cell::new(0),
            ceiling: Cell::new(MOST),
            limit: Cell::new(0),
            lifted: Cell::new(false),
            unfailing: Cell::new(false),
            keep_all: Cell::new(false),
            #[cfg(feature = "luajit")]
            in_force: Cell::new(false),
            #[cfg(feature = "luajit")]
            refuse_next: Cell::new(false),
        }
    }

    /// Bytes that Lua holds.
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Sets the limit (zero: none) and returns the one before.
    pub(crate) fn set_limit(&self, limit: usize) -> usize {
        let before = self.limit.replace(limit);
        self.set_ceiling();
        before
    }

    /// Runs `f` with the limit lifted. `f` must not run code of the user other than finalizers.
    pub(crate) fn without_limit<R>(&self, f: impl FnOnce() -> R) -> R {
        let before = self.lifted.replace(true);
        self.set_ceiling();
        let result = f();
        self.lifted.set(before);
        self.set_ceiling();
        result
    }

    /// Whether there is a limit, in force or lifted.
    #[cfg(all(waits_in_lua, finalizers))]
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.get() != 0
    }

    fn set_ceiling(&self) {
        let limit = self.limit.get();
        let open = limit == 0 || self.lifted.get();
        self.ceiling.set(if open { MOST } else { limit.min(MOST) });
    }

    /// Runs a call into Lua that allocates but is not protected, since there is no limit.
    ///
    /// If the system has no memory for it all the same, the process ends, as it does when a `Vec` of Rust's grows: an error
    /// would leap over Rust's frames. Anywhere else that is an error in Lua.
    #[inline(always)]
    pub(crate) fn unfailing<R>(&self, call: impl FnOnce() -> R) -> R {
        let before = self.unfailing.replace(true);
        let result = call();
        self.unfailing.set(before);
        result
    }

    /// Runs a protected call into Lua, or one that reports by its result what there is no memory for. On LuaJIT a limit is in
    /// force in these alone: any push there may make the stack grow, for which a limit has to give way where the error would
    /// leap over Rust's frames.
    #[inline(always)]
    pub(crate) fn limited<R>(&self, call: impl FnOnce() -> R) -> R {
        #[cfg(feature = "luajit")]
        let before = self.in_force.replace(true);
        let result = call();
        #[cfg(feature = "luajit")]
        self.in_force.set(before);
        result
    }

    /// Runs what Lua has called, which nothing may leap over.
    #[inline(always)]
    pub(crate) fn unlimited<R>(&self, call: impl FnOnce() -> R) -> R {
        #[cfg(feature = "luajit")]
        let before = self.in_force.replace(false);
        let result = call();
        #[cfg(feature = "luajit")]
        self.in_force.set(before);
        result
    }

    /// Whether the limit concerns a block of `size` bytes now.
    ///
    /// If LuaJIT gets no memory for an upvalue of a new closure, it later frees the closure with a wrong size. So once there was
    /// memory for a closure, there is for the upvalues that it can have.
    #[inline(always)]
    fn is_in_force(&self, size: usize, used: usize) -> bool {
        #[cfg(feature = "luajit")]
        {
            const UPVALUE: usize = 2 * 8 + 4 * std::mem::size_of::<usize>();
            const MOST_UPVALUES: usize = 60;
            let upvalue = size == UPVALUE && used - self.ceiling.get() <= MOST_UPVALUES * UPVALUE;
            self.in_force.get() && !upvalue
        }
        #[cfg(not(feature = "luajit"))]
        {
            let _ = (size, used);
            true
        }
    }

    /// The memory of the VM of `state`, if its allocator is ours.
    ///
    /// # Safety
    ///
    /// `state` is a state of an open VM, and the VM outlives the reference.
    #[cfg(all(waits_in_lua, finalizers))]
    pub(crate) unsafe fn of<'a>(state: *mut engine::lua_State) -> Option<&'a Memory> {
        let mut ud = ptr::null_mut();
        // SAFETY: reading the allocator does not raise. Ours is given a `Memory`.
        unsafe {
            let function = engine::lua_getallocf(state, &mut ud);
            std::ptr::fn_addr_eq(function, Memory::allocate as engine::lua_Alloc)
                .then(|| &*(ud as *const Memory))
        }
    }

    /// Lets the next allocation fail.
    #[cfg(feature = "luajit")]
    pub(crate) fn refuse_next(&self) {
        self.refuse_next.set(true);
    }

    /// The system has no block of `size` bytes, which are counted in place of `osize`.
    //
    // With an ABI that lets no panic out, so that the allocator has none to stop.
    #[cold]
    #[inline(never)]
    extern "C" fn refused(&self, osize: usize, size: usize) {
        if self.unfailing.get() {
            // SAFETY: an allocation of this size was tried.
            alloc::handle_alloc_error(unsafe { layout(size) });
        }
        self.used.set(self.used.get() - size + osize);
    }

    /// From here on no memory of this VM is freed.
    ///
    /// The last resort while a VM is closed: a finalizer let something escape that borrows from the VM (which takes a
    /// leaked handle and a `'static` callback). Its memory then stays, so that the borrow does not dangle.
    #[cfg(finalizers)]
    pub(crate) fn stop_freeing(&self) {
        self.keep_all.set(true)
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
        // SAFETY: the caller's promise about `block` and `osize`. With a null block, `osize` is a type tag.
        unsafe {
            match (block.is_null(), nsize) {
                (true, 0) => ptr::null_mut(),
                (true, _) => memory.make(nsize) as *mut c_void,
                (false, 0) => {
                    memory.free(block as *mut u8, osize);
                    ptr::null_mut()
                }
                (false, _) => memory.resize(block as *mut u8, osize, nsize) as *mut c_void,
            }
        }
    }

    /// Counts `nsize` bytes in place of `osize`, or refuses to.
    #[inline(always)]
    fn count(&self, osize: usize, nsize: usize) -> bool {
        let used = (self.used.get() - osize).saturating_add(nsize);
        if nsize > osize
            && used > self.ceiling.get()
            && (used > MOST || self.is_in_force(nsize, used))
        {
            return false;
        }
        #[cfg(feature = "luajit")]
        if self.refuse_next.get() && nsize > osize {
            self.refuse_next.set(false);
            return false;
        }
        self.used.set(used);
        true
    }

    /// # Safety
    ///
    /// `size` is not zero.
    #[inline(never)]
    unsafe fn make(&self, size: usize) -> *mut u8 {
        if !self.count(0, size) {
            return ptr::null_mut();
        }
        // SAFETY: `count` has checked the size.
        let new = unsafe { alloc::alloc(layout(size)) };
        if new.is_null() {
            self.refused(0, size);
        }
        new
    }

    /// # Safety
    ///
    /// `block` is one from here, of `size` bytes.
    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, size: usize) {
        self.used.set(self.used.get() - size);
        if !self.keep_all.get() {
            // SAFETY: the caller's promise.
            unsafe { alloc::dealloc(block, layout(size)) }
        }
    }

    /// # Safety
    ///
    /// `block` is one from here, of `osize` bytes; `nsize` is not zero.
    #[inline(never)]
    unsafe fn resize(&self, block: *mut u8, osize: usize, nsize: usize) -> *mut u8 {
        if !self.count(osize, nsize) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise; `count` has checked the new size.
        let new = unsafe {
            if self.keep_all.get() {
                let new = alloc::alloc(layout(nsize));
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, osize.min(nsize));
                }
                new
            } else {
                alloc::realloc(block, layout(osize), nsize.max(LEAST))
            }
        };
        if new.is_null() {
            self.refused(osize, nsize);
        }
        new
    }
}

/// # Safety
///
/// `size` makes a layout.
#[inline(always)]
unsafe fn layout(size: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and the caller knows the size.
    unsafe { Layout::from_size_align_unchecked(size.max(LEAST), ALIGN) }
}
