//! Slots that were given up where they could not be freed.
//!
//! A [`RegistryKey`](super::RegistryKey), and with `send` an owned handle, may be dropped on any thread, at any time. It
//! puts its slot on this queue; the VM's thread frees what is queued at the next safe point ([`UnrefQueue::drain`]): when
//! the user asks for it or collects garbage, and whenever one more key or handle is made.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::slots::Slot;
use crate::state::LuaInner;

/// The queue of an instance.
#[derive(Clone)]
pub(crate) struct UnrefQueue(Arc<Queue>);

struct Queue {
    /// Whether there may be something to drain, so that looking takes no lock.
    waiting: AtomicBool,
    /// `None` once the instance is gone.
    slots: Mutex<Option<Vec<Slot>>>,
}

impl UnrefQueue {
    pub(crate) fn new() -> UnrefQueue {
        UnrefQueue(Arc::new(Queue {
            waiting: AtomicBool::new(false),
            slots: Mutex::new(Some(Vec::new())),
        }))
    }

    /// Whether both belong to the same instance.
    pub(crate) fn is_same(&self, other: &UnrefQueue) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Slot>>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up one count of `slot`.
    pub(crate) fn put(&self, slot: Slot) {
        if let Some(queue) = &mut *self.lock() {
            queue.push(slot);
            self.0.waiting.store(true, Ordering::Relaxed);
        }
    }

    /// Frees what has been queued.
    ///
    /// # Safety
    ///
    /// On the VM's thread, with the VM there and not in the middle of a sweep.
    #[inline]
    pub(crate) unsafe fn drain(&self, inner: &LuaInner) {
        if self.0.waiting.load(Ordering::Relaxed) {
            // SAFETY: passed on.
            unsafe { self.drain_waiting(inner) }
        }
    }

    #[cold]
    unsafe fn drain_waiting(&self, inner: &LuaInner) {
        let queued = {
            let mut queue = self.lock();
            self.0.waiting.store(false, Ordering::Relaxed);
            queue.as_mut().map(mem::take).unwrap_or_default()
        };
        for slot in queued {
            // SAFETY: each entry stands for one count.
            unsafe { inner.slots.release(slot) }
        }
    }

    /// From here on nothing is queued any more: the VM is gone.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }
}
