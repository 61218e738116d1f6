//! What identified the values that handles refer to, once their instance is closed.
//!
//! A handle to a value of an open instance looks the address of the value up when it is asked for: it has the slot. When the
//! instance closes, the addresses of all values are noted down here, by slot, for as long as there is a handle to ask.
//! An instance that [ends unseen](crate::state::LuaInner::ends_unseen) notes down each address when the handle is made.
//! The first slots are left out: they hold [keys](super::keys).

use std::cell::RefCell;
use std::os::raw::c_void;
use std::ptr;

use super::keys;
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
        *self.0.borrow_mut() = unsafe { slots.pointers(keys::COUNT) };
    }

    /// Notes down one more value.
    pub(super) fn add(&self, slot: Slot, pointer: *const c_void) {
        let mut pointers = self.0.borrow_mut();
        let place = place(slot);
        if pointers.len() <= place {
            pointers.resize(place + 1, ptr::null());
        }
        pointers[place] = pointer;
    }

    /// The address of the value that `slot` held, null if it held none.
    pub(super) fn pointer(&self, slot: Slot) -> *const c_void {
        let pointers = self.0.borrow();
        pointers.get(place(slot)).copied().unwrap_or(ptr::null())
    }
}

fn place(slot: Slot) -> usize {
    slot.index() - keys::COUNT as usize
}
