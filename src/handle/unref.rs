//! Slots that were given up where they could not be freed.
//!
//! A [`RegistryKey`](super::RegistryKey), and with `send` an owned handle, may be dropped on any thread, at any time. It
//! puts its slot on this queue; the VM's thread frees what is queued at the next safe point ([`UnrefQueue::drain`]): when
//! the user asks for it or collects garbage, and whenever one more key or handle is made.
//!
//! The queue is a linked list without a lock. Any thread may put an entry in front (it owns the entry until the exchange
//! succeeds, and never looks into another one); one thread takes all there are at once, and owns them then. So no entry is
//! ever read that somebody else may free.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::Arc;

use super::slots::Slot;
use crate::state::LuaInner;

/// The queue of an instance.
#[derive(Clone)]
pub(crate) struct UnrefQueue(Arc<Queue>);

struct Queue {
    /// Null if there is nothing to drain; [`closed`] once the instance is gone.
    first: AtomicPtr<Entry>,
}

struct Entry {
    slot: Slot,
    next: *mut Entry,
}

/// No entry: what the queue of an instance that is gone begins with.
fn closed() -> *mut Entry {
    ptr::dangling_mut()
}

impl UnrefQueue {
    pub(crate) fn new() -> UnrefQueue {
        UnrefQueue(Arc::new(Queue {
            first: AtomicPtr::new(ptr::null_mut()),
        }))
    }

    /// Whether both belong to the same instance.
    pub(crate) fn is_same(&self, other: &UnrefQueue) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Gives up one count of `slot`.
    pub(crate) fn put(&self, slot: Slot) {
        let mut first = self.0.first.load(Ordering::Relaxed);
        if first == closed() {
            return;
        }
        let entry = Box::into_raw(Box::new(Entry { slot, next: first }));
        loop {
            // Release: whoever takes the entry sees what is in it.
            match self.0.first.compare_exchange_weak(
                first,
                entry,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => first = now,
            }
            // SAFETY: the entry is ours until the exchange succeeds.
            unsafe {
                if first == closed() {
                    drop(Box::from_raw(entry));
                    return;
                }
                (*entry).next = first;
            }
        }
    }

    /// Frees what has been queued.
    ///
    /// # Safety
    ///
    /// On the VM's thread, with the VM there and not in the middle of a sweep.
    #[inline]
    pub(crate) unsafe fn drain(&self, inner: &LuaInner) {
        let first = self.0.first.load(Ordering::Relaxed);
        if !first.is_null() && first != closed() {
            // SAFETY: passed on.
            unsafe { self.drain_waiting(inner) }
        }
    }

    #[cold]
    unsafe fn drain_waiting(&self, inner: &LuaInner) {
        // SAFETY: each entry stands for one count.
        self.0
            .take(ptr::null_mut(), |slot| unsafe { inner.slots.release(slot) });
    }

    /// From here on nothing is queued any more: the VM is gone.
    pub(crate) fn close(&self) {
        self.0.take(closed(), drop);
    }
}

impl Queue {
    /// Leaves `rest` in place of all entries, and calls `f` for each of them.
    fn take(&self, rest: *mut Entry, mut f: impl FnMut(Slot)) {
        let mut entry = self.first.swap(rest, Ordering::Acquire);
        while !entry.is_null() && entry != closed() {
            // SAFETY: made by `put`; the exchange has made it ours.
            let Entry { slot, next } = *unsafe { Box::from_raw(entry) };
            f(slot);
            entry = next;
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.take(closed(), drop);
    }
}
