//! Slots that were given up where they could not be freed.
//!
//! A [`RegistryKey`](super::RegistryKey) may be dropped on any thread, at any time. It puts its slot on this queue; the
//! VM's thread frees what is queued at the next safe point ([`UnrefQueue::drain`]).

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::slots::Slot;
use crate::state::LuaInner;

/// The queue of an instance; `None` inside once the instance is gone.
#[derive(Clone)]
pub(crate) struct UnrefQueue(Arc<Mutex<Option<Vec<Slot>>>>);

impl UnrefQueue {
    pub(crate) fn new() -> UnrefQueue {
        UnrefQueue(Arc::new(Mutex::new(Some(Vec::new()))))
    }

    /// Whether both belong to the same instance.
    pub(crate) fn is_same(&self, other: &UnrefQueue) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Gives up one count of `slot`.
    pub(crate) fn put(&self, slot: Slot) {
        if let Some(queue) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            queue.push(slot);
        }
    }

    /// Frees what has been queued.
    ///
    /// # Safety
    ///
    /// On the VM's thread, with the VM there and not in the middle of a sweep.
    pub(crate) unsafe fn drain(&self, inner: &LuaInner) {
        let queued = match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(queue) if !queue.is_empty() => mem::take(queue),
            _ => return,
        };
        for slot in queued {
            // SAFETY: each entry stands for one count.
            unsafe { inner.slots.release(slot) }
        }
    }

    /// From here on nothing is queued any more: the VM is gone.
    pub(crate) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
