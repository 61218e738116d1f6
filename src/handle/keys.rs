//! Strings that lie ready: those that the program uses as keys again and again.
//!
//! To make a Lua string of a Rust one takes a hash over its bytes, a search in Lua's table of strings, and a step of the
//! collector's accounting. A program names its fields by literals mostly, and those are at the same address each time. So
//! a string that was seen at the same address twice is kept in a slot, and found there by its address.
//!
//! Invariants:
//!
//! * K1. The [`COUNT`] slots from `first` on belong to this table from the beginning to the end of the VM.
//! * K2. If `text` of an entry is not null, its slot holds a Lua string of `len` bytes, which lie at `text`: Lua does not
//!   move or change a string, and nothing but [`Keys::keep`] writes to the slot.
//!
//! An address alone says nothing, since memory is used again: the bytes are compared each time. What is kept is bounded:
//! short strings, one for each slot.

use std::cell::{Cell, UnsafeCell};
use std::ffi::CStr;
use std::ptr;

use super::slots::{Slot, Slots};
use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;

/// Entries of the table.
const ENTRIES: usize = 128;
/// Slots that belong to the table: one for each entry, and one for each name that Lua itself looks up.
pub(super) const COUNT: u32 = ENTRIES as u32 + 2;
/// Longer strings are not kept: Lua does not intern them.
const LONGEST: usize = 40;

#[derive(Clone, Copy)]
struct Entry {
    /// The Rust string.
    address: *const u8,
    len: u32,
    /// Whether there were different bytes at this address: a buffer, which is not worth a slot.
    varies: bool,
    /// The bytes of the Lua string in the slot; null if it is not kept (yet).
    text: *const u8,
}

const EMPTY: Entry = Entry {
    address: ptr::null(),
    len: 0,
    varies: false,
    text: ptr::null(),
};

/// The strings of an instance.
pub(crate) struct Keys {
    /// Apart, so that the block of a dead instance is small; `None` once the VM is gone.
    entries: UnsafeCell<Option<Box<[Entry; ENTRIES]>>>,
    first: Cell<Slot>,
    /// How often a string was replaced by another.
    replaced: Cell<u32>,
}

impl Keys {
    pub(crate) fn new() -> Keys {
        Keys {
            entries: UnsafeCell::new(Some(Box::new([EMPTY; ENTRIES]))),
            first: Cell::new(Slot::ZERO),
            replaced: Cell::new(0),
        }
    }

    /// Takes the slots.
    ///
    /// # Safety
    ///
    /// `state` is the running state of the instance, which is being made; no slot is in use yet.
    pub(crate) unsafe fn open(&self, slots: &Slots, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: passed on; `overwrite` pops what is pushed protected.
        unsafe {
            self.first.set(slots.take_block(state, COUNT)?);
            for (slot, name) in [
                (self.index(), c"__index"),
                (self.new_index(), c"__newindex"),
            ] {
                push_name(state, name)?;
                slots.overwrite(slot, state);
            }
        }
        Ok(())
    }

    /// Where the string `__index` lies.
    #[inline(always)]
    pub(crate) fn index(&self) -> Slot {
        self.first.get().plus(ENTRIES as u32)
    }

    /// Where the string `__newindex` lies.
    #[inline(always)]
    pub(crate) fn new_index(&self) -> Slot {
        self.first.get().plus(ENTRIES as u32 + 1)
    }

    /// A number that changes whenever a slot that [`Keys::find`] may have returned gets another string.
    #[inline(always)]
    pub(crate) fn replaced(&self) -> u32 {
        self.replaced.get()
    }

    #[inline(always)]
    fn place(bytes: &[u8]) -> usize {
        let address = bytes.as_ptr() as usize;
        (address ^ (address >> 7)) % ENTRIES
    }

    /// The slot where a Lua string with these bytes lies, if it is kept. It stays there until [`Keys::replaced`] changes.
    #[inline(always)]
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<Slot> {
        let place = Self::place(bytes);
        // SAFETY: a place is below `ENTRIES`; the copy needs no reference to last. K2: there are `len` bytes at `text`.
        unsafe {
            let entry = &(&*self.entries.get()).as_ref()?[place];
            if entry.address != bytes.as_ptr()
                || entry.len as usize != bytes.len()
                || entry.text.is_null()
                || std::slice::from_raw_parts(entry.text, bytes.len()) != bytes
            {
                return None;
            }
        }
        Some(self.first.get().plus(place as u32))
    }

    /// Takes note of a string that was not [found](Keys::find) and has been made: it is on top of `state`, and stays there.
    ///
    /// # Safety
    ///
    /// `state` is a running state of the instance with the string on top and a free place.
    #[inline(never)]
    pub(crate) unsafe fn keep(&self, slots: &Slots, state: *mut engine::lua_State, bytes: &[u8]) {
        if bytes.len() > LONGEST {
            return;
        }
        let place = Self::place(bytes);
        // SAFETY: nothing else has a reference to the entries, and none of the calls below runs other code: neither allocates.
        let Some(entries) = (unsafe { &mut *self.entries.get() }) else {
            return;
        };
        let entry = &mut entries[place];
        if entry.address != bytes.as_ptr() || entry.len as usize != bytes.len() {
            *entry = Entry {
                address: bytes.as_ptr(),
                len: bytes.len() as u32,
                ..EMPTY
            };
        } else if !entry.text.is_null() {
            entry.varies = true;
            entry.text = ptr::null();
        } else if !entry.varies {
            // SAFETY: K1; a Lua string is on top.
            unsafe {
                entry.text = engine::lua_tolstring(state, -1, ptr::null_mut()) as *const u8;
                engine::lua_pushvalue(state, -1);
                slots.overwrite(self.first.get().plus(place as u32), state);
            }
            self.replaced.set(self.replaced.get().wrapping_add(1));
        }
    }

    /// Forgets all strings: the VM is gone.
    pub(crate) fn clear(&self) {
        // SAFETY: nothing has a reference to the entries.
        unsafe { *self.entries.get() = None }
        self.replaced.set(self.replaced.get().wrapping_add(1));
    }
}

/// # Safety
///
/// As for `protect`.
unsafe fn push_name(state: *mut engine::lua_State, name: &'static CStr) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        protect(state, 0, 1, |state| {
            engine::lua_pushstring(state, name.as_ptr());
        })
    }
}
