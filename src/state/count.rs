//! The count of a block's references, atomic where other threads than the VM's count.

#[cfg(not(feature = "send"))]
use std::cell::Cell;
#[cfg(feature = "send")]
use std::sync::atomic::{AtomicUsize, Ordering};

/// Begins at one.
#[cfg(not(feature = "send"))]
pub(super) struct Count(Cell<usize>);

#[cfg(not(feature = "send"))]
impl Count {
    pub(super) fn one() -> Count {
        Count(Cell::new(1))
    }

    #[inline(always)]
    pub(super) fn add(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// Whether there is more than one.
    #[cfg(feature = "weak-owned")]
    pub(super) fn is_shared(&self) -> bool {
        self.0.get() > 1
    }

    /// Takes one away and returns whether none is left.
    #[inline(always)]
    pub(super) fn sub(&self) -> bool {
        self.0.set(self.0.get() - 1);
        self.0.get() == 0
    }
}

/// Begins at one.
#[cfg(feature = "send")]
pub(super) struct Count(AtomicUsize);

#[cfg(feature = "send")]
impl Count {
    pub(super) fn one() -> Count {
        Count(AtomicUsize::new(1))
    }

    pub(super) fn add(&self) {
        // Whoever adds has a count already, so there is nothing to order.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one away and returns whether none is left.
    pub(super) fn sub(&self) -> bool {
        if self.0.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // What other threads did with the block happens before it is freed. (ThreadSanitizer does not see fences.)
        self.0.load(Ordering::Acquire);
        true
    }
}
