//! Small blocks of Lua's memory: tables, closures, userdata, short strings.
//!
//! A program makes and drops these all the time, and always of the same few sizes. So they are cut from chunks, and a block
//! that is freed waits on the list of its size for the next one. The chunks go when the VM does; what stays until then is
//! what the small blocks took when there were most of them.
//!
//! Builds with debug assertions leave each block to the global allocator, where sanitizers see it.

use std::alloc::{self, Layout};
use std::cell::{Cell, UnsafeCell};
use std::mem;
use std::ptr;

/// Sizes are multiples of this, and so are addresses.
const STEP: usize = 16;
/// Lists of free blocks.
const CLASSES: usize = 16;
/// The largest block from here.
const LARGEST: usize = STEP * CLASSES;
/// The sizes of the first chunk and of the largest.
const FIRST_CHUNK: usize = 8 * 1024;
const LARGEST_CHUNK: usize = 128 * 1024;

/// Invariants:
///
/// * P1. Each list holds blocks of its size, which nobody else uses; the first word of a block is the address of the next.
/// * P2. From `rest` on, `left` bytes of the last chunk have never been used. Both are multiples of [`STEP`].
pub(super) struct Pool {
    free: [Cell<*mut u8>; CLASSES],
    rest: Cell<*mut u8>,
    left: Cell<usize>,
    chunks: UnsafeCell<Vec<(*mut u8, Layout)>>,
}

impl Pool {
    pub(super) fn new() -> Pool {
        Pool {
            free: [const { Cell::new(ptr::null_mut()) }; CLASSES],
            rest: Cell::new(ptr::null_mut()),
            left: Cell::new(0),
            chunks: UnsafeCell::new(Vec::new()),
        }
    }

    /// Whether blocks of `size` bytes, which is not zero, come from here.
    #[inline(always)]
    pub(super) fn serves(size: usize) -> bool {
        size <= LARGEST && !cfg!(debug_assertions)
    }

    /// Whether blocks of these sizes, both served, are the same.
    #[inline(always)]
    pub(super) fn is_same(size: usize, other: usize) -> bool {
        class(size) == class(other)
    }

    /// A block of `size` bytes, which is served; null if there is no memory.
    #[inline(always)]
    pub(super) fn take(&self, size: usize) -> *mut u8 {
        // SAFETY: `size` is served.
        let list = unsafe { self.free.get_unchecked(class(size)) };
        let block = list.get();
        if block.is_null() {
            return self.cut((class(size) + 1) * STEP);
        }
        // SAFETY: P1.
        list.set(unsafe { *(block as *mut *mut u8) });
        block
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// It comes from [`Pool::take`] with this size, and is not used any more.
    #[inline(always)]
    pub(super) unsafe fn give(&self, block: *mut u8, size: usize) {
        // SAFETY: `size` is served; P1.
        unsafe {
            let list = self.free.get_unchecked(class(size));
            *(block as *mut *mut u8) = list.replace(block);
        }
    }

    /// Cuts a block of `size` bytes, a multiple of [`STEP`], from the last chunk.
    #[inline(never)]
    fn cut(&self, size: usize) -> *mut u8 {
        if self.left.get() < size && !self.add_chunk() {
            return ptr::null_mut();
        }
        let block = self.rest.get();
        // SAFETY: P2.
        self.rest.set(unsafe { block.add(size) });
        self.left.set(self.left.get() - size);
        block
    }

    #[cold]
    fn add_chunk(&self) -> bool {
        // SAFETY: the reference ends with this function, which nothing else can enter meanwhile.
        let chunks = unsafe { &mut *self.chunks.get() };
        let doubled = FIRST_CHUNK << chunks.len().min(8);
        let size = doubled.min(LARGEST_CHUNK);
        let (Ok(layout), Ok(())) = (Layout::from_size_align(size, STEP), chunks.try_reserve(1))
        else {
            return false;
        };
        // SAFETY: the size is not zero.
        let chunk = unsafe { alloc::alloc(layout) };
        if chunk.is_null() {
            return false;
        }
        chunks.push((chunk, layout));
        self.rest.set(chunk);
        self.left.set(size);
        true
    }

    /// Frees all chunks.
    ///
    /// # Safety
    ///
    /// No block from here is used any more.
    pub(super) unsafe fn clear(&self) {
        self.forget();
        // SAFETY: the reference ends with the statement.
        for (chunk, layout) in unsafe { mem::take(&mut *self.chunks.get()) } {
            // SAFETY: made by `add_chunk`.
            unsafe { alloc::dealloc(chunk, layout) }
        }
    }

    /// Leaves all chunks to those who use blocks of them.
    pub(super) fn leak(&self) {
        self.forget();
        // SAFETY: the reference ends with the statement.
        mem::forget(unsafe { mem::take(&mut *self.chunks.get()) });
    }

    /// Hands out nothing that has been cut or given back so far.
    fn forget(&self) {
        self.free.iter().for_each(|list| list.set(ptr::null_mut()));
        self.left.set(0);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the VM is gone, or was never made.
        unsafe { self.clear() }
    }
}

/// The list of blocks of `size` bytes.
#[inline(always)]
fn class(size: usize) -> usize {
    (size - 1) / STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap_and_come_back() {
        let pool = Pool::new();
        let mut random = 88_172_645_463_325_252_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % below
        };
        let mut blocks: Vec<(*mut u8, usize, u8)> = Vec::new();
        for step in 0..200_000 {
            if blocks.is_empty() || next(5) < 3 && blocks.len() < 5_000 {
                let size = 1 + next(LARGEST);
                let (block, mark) = (pool.take(size), step as u8);
                assert!(!block.is_null() && (block as usize).is_multiple_of(STEP));
                // SAFETY: the block is ours.
                unsafe { ptr::write_bytes(block, mark, size) };
                blocks.push((block, size, mark));
            } else {
                let (block, size, mark) = blocks.swap_remove(next(blocks.len()));
                // SAFETY: the block is ours until it is given back.
                unsafe {
                    let bytes = std::slice::from_raw_parts(block, size);
                    assert!(bytes.iter().all(|&byte| byte == mark));
                    pool.give(block, size);
                }
            }
        }
        let chunks = || {
            // SAFETY: the reference ends with the statement.
            unsafe { (&*pool.chunks.get()).len() }
        };
        let before = chunks();
        let sizes: Vec<usize> = blocks.iter().map(|block| block.1).collect();
        for (block, size, _) in blocks {
            // SAFETY: given back once.
            unsafe { pool.give(block, size) };
        }
        for size in sizes {
            pool.take(size);
        }
        assert_eq!(chunks(), before);
        // SAFETY: nobody looks at a block any more.
        unsafe { pool.clear() };
        assert_eq!(chunks(), 0);
    }
}
