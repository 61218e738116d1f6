//! What identified the values that handles refer to, once their instance is closed.
//!
//! A handle to a value of an open instance looks the address of the value up when it is asked for: it has the slot. When the
//! instance closes, the addresses of all values are noted down here, by slot, for as long as there is a handle to ask.

use std::cell::RefCell;
use std::os::raw::c_void;
use std::ptr;

use super::slots::{Slot, Slots};

#[derive(Default)]
pub(crate) struct Graves(RefCell<Vec<*const c_void>>);

impl Graves {
    /// Notes down what is in `slots`.
    ///
    /// # Safety
    ///
    /// There is a VM.
    pub(crate) unsafe fn dig(&self, slots: &Slots) {
        // SAFETY: passed on.
        *self.0.borrow_mut() = unsafe { slots.pointers() };
    }

    /// Notes down one more value, for a handle that is made while the instance is being closed.
    pub(super) fn add(&self, slot: Slot, pointer: *const c_void) {
        let mut pointers = self.0.borrow_mut();
        if pointers.len() <= slot.index() {
            pointers.resize(slot.index() + 1, ptr::null());
        }
        pointers[slot.index()] = pointer;
    }

    /// The address of the value that `slot` held, null if it held none.
    pub(super) fn pointer(&self, slot: Slot) -> *const c_void {
        let pointers = self.0.borrow();
        pointers.get(slot.index()).copied().unwrap_or(ptr::null())
    }
}
