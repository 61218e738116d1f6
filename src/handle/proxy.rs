//! [`Ref`]: what every proxy (`Table<'lua>`, `Function<'lua>`, …) is made of.
//!
//! Invariant R1: the slot of a `Ref<'lua>` is counted for as long as the reference is there: the reference owns a count
//! (`counted`), or it is lent the slot by a handle that owns one and is borrowed for `'lua`. The instance is kept open by
//! the reference in both cases.

use std::fmt;
use std::mem;
use std::os::raw::{c_int, c_void};

use super::slots::Slot;
use crate::engine;
use crate::error::{Error, Result};
use crate::state::LuaInner;
use crate::Lua;

/// A counted reference to a Lua value that keeps its instance open.
pub(crate) struct Ref<'lua> {
    lua: &'lua Lua,
    slot: Slot,
    counted: bool,
}

impl<'lua> Ref<'lua> {
    /// Pops the value on top of `lua`'s running state into a reference.
    ///
    /// # Safety
    ///
    /// There is a value on top; it is popped in any case.
    #[inline]
    pub(crate) unsafe fn pop(lua: &'lua Lua) -> Result<Ref<'lua>> {
        let inner = lua.inner();
        // SAFETY: passed on.
        let slot = unsafe { inner.slots.take(inner.state())? };
        inner.keep_open();
        Ok(Ref::owning(lua, slot))
    }

    /// A reference to the value at `index` of the running state, which stays where it is.
    ///
    /// # Safety
    ///
    /// There is a value at `index`, and room for one more.
    #[inline]
    pub(crate) unsafe fn at(lua: &'lua Lua, index: c_int) -> Result<Ref<'lua>> {
        // SAFETY: passed on.
        unsafe {
            engine::lua_pushvalue(lua.state(), index);
            Ref::pop(lua)
        }
    }

    /// Like [`Ref::pop`] for the few operations that cannot report an error: a memory limit is lifted for the slot.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory all the same.
    ///
    /// # Safety
    ///
    /// As [`Ref::pop`].
    pub(crate) unsafe fn pop_or_panic(lua: &'lua Lua) -> Ref<'lua> {
        // SAFETY: passed on. Taking a slot runs no code of the user but finalizers, which the limit does not concern.
        let taken = lua
            .inner()
            .memory
            .without_limit(|| unsafe { Ref::pop(lua) });
        taken.expect("not enough memory for a reference")
    }

    /// A reference that counts `slot` once more.
    ///
    /// # Safety
    ///
    /// `slot` is counted by somebody else and of the open instance of `lua`.
    #[inline(always)]
    pub(crate) const unsafe fn share(lua: &'lua Lua, slot: Slot) -> Ref<'lua> {
        let inner = lua.inner();
        inner.slots.retain(slot);
        inner.keep_open();
        Ref::owning(lua, slot)
    }

    /// A reference that counts nothing but its instance.
    ///
    /// # Safety
    ///
    /// `slot` is of the open instance of `lua`, and counted by somebody who keeps the count for `'lua`.
    #[cfg(all(
        any(feature = "unstable", feature = "weak-owned"),
        not(feature = "send")
    ))]
    #[inline(always)]
    pub(super) const unsafe fn lend(lua: &'lua Lua, slot: Slot) -> Ref<'lua> {
        lua.inner().keep_open();
        Ref {
            lua,
            slot,
            counted: false,
        }
    }

    /// A reference that owns the counts of the slot and in `open` that the caller has.
    #[inline(always)]
    const fn owning(lua: &'lua Lua, slot: Slot) -> Ref<'lua> {
        Ref {
            lua,
            slot,
            counted: true,
        }
    }

    /// A reference that takes over a count of `slot`.
    ///
    /// # Safety
    ///
    /// The caller owns a count of `slot`, which is of the open instance of `lua`.
    #[cfg(feature = "async")]
    pub(crate) unsafe fn adopt(lua: &'lua Lua, slot: Slot) -> Ref<'lua> {
        lua.inner().keep_open();
        Ref::owning(lua, slot)
    }

    /// The slot, which is counted.
    #[cfg(feature = "async")]
    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// The same reference, marked as one to a value that is a userdata to Rust only.
    #[cfg(any(feature = "luau", feature = "luajit"))]
    pub(crate) fn foreign(self) -> Ref<'lua> {
        let this = mem::ManuallyDrop::new(self);
        Ref {
            slot: this.slot.foreign(),
            ..*this
        }
    }

    /// Whether this is a copy of a [marked](Ref::foreign) reference.
    #[cfg(any(feature = "luau", feature = "luajit"))]
    pub(crate) const fn is_foreign(&self) -> bool {
        self.slot.is_foreign()
    }

    /// The instance, as it was borrowed.
    #[inline(always)]
    pub(crate) fn lua(&self) -> &'lua Lua {
        self.lua
    }

    /// The running state of the instance.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn state(&self) -> *mut engine::lua_State {
        self.lua.state()
    }

    /// Pushes the value onto the running state of its instance.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[inline(always)]
    pub(crate) unsafe fn push(&self) {
        let inner = self.lua.inner();
        // SAFETY: R1, and the VM is there (`state` panics if not).
        unsafe { inner.slots.push(self.slot, inner.state()) }
    }

    /// Pushes the value onto any state of its instance, a reference thread included.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[inline(always)]
    pub(crate) unsafe fn push_onto(&self, state: *mut engine::lua_State) {
        // SAFETY: R1, and there is a VM since there is `state`.
        unsafe { self.lua.inner().slots.push(self.slot, state) }
    }

    /// As [`Ref::push_onto`] for the reference thread `to`.
    ///
    /// # Safety
    ///
    /// As [`Ref::push_onto`] and [`Ref::peek`].
    #[inline(always)]
    pub(crate) unsafe fn push_beside(&self, to: *mut engine::lua_State) {
        // SAFETY: R1, and there is a VM since there is `to`.
        unsafe { self.lua.inner().slots.push_beside(self.slot, to) }
    }

    /// Pushes the value onto the running state of `lua`; an error if that is another instance.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[inline(always)]
    pub(crate) unsafe fn push_to(&self, lua: &Lua) -> Result<()> {
        if !self.lua.is_same(lua) {
            return Err(Error::MismatchedLua);
        }
        // SAFETY: passed on.
        unsafe { self.push() };
        Ok(())
    }

    /// The slot, if it is one of the instance of `lua`.
    #[inline(always)]
    pub(crate) fn slot_in(&self, lua: &Lua) -> Option<Slot> {
        self.lua.is_same(lua).then_some(self.slot)
    }

    /// Pops the value on top of the running state into the place of this reference's value.
    ///
    /// # Safety
    ///
    /// There is a value on top. Nothing else shares the slot: the reference comes from [`Ref::pop`] or [`Ref::at`] and was
    /// neither cloned nor made a handle of.
    #[inline]
    pub(crate) unsafe fn overwrite(&mut self) {
        let inner = self.lua.inner();
        // SAFETY: we own the only count of the slot.
        unsafe { inner.slots.overwrite(self.slot, inner.state()) }
    }

    /// As [`Ref::overwrite`] with the value at `index` of the reference thread `thread`, which stays there.
    ///
    /// # Safety
    ///
    /// As [`Ref::overwrite`] and [`Ref::peek`].
    #[inline(always)]
    pub(crate) unsafe fn overwrite_from(&mut self, thread: *mut engine::lua_State, index: c_int) {
        // SAFETY: we own the only count of the slot.
        unsafe {
            self.lua
                .inner()
                .slots
                .overwrite_from(self.slot, thread, index)
        }
    }

    /// Where the value lies, for reads that neither allocate nor raise: see invariant S4 of the slots.
    ///
    /// # Safety
    ///
    /// The caller keeps to S4 and leaves that thread's stack as it was.
    #[inline(always)]
    pub(crate) unsafe fn peek(&self) -> (*mut engine::lua_State, c_int) {
        let inner = self.lua.inner();
        // Find out that the VM is there.
        inner.state();
        // SAFETY: R1.
        unsafe { inner.slots.peek(self.slot) }
    }

    /// The address that identifies the value, null if the VM is gone.
    pub(crate) fn to_pointer(&self) -> *const c_void {
        let inner = self.lua.inner();
        if inner.state_or_null().is_null() {
            return std::ptr::null();
        }
        // SAFETY: R1, and there is a VM.
        unsafe { inner.slots.pointer(self.slot) }
    }

    /// Whether both are the same value, without metamethods. Without a VM nobody can tell, and they are not.
    pub(crate) fn is_same(&self, other: &Ref) -> bool {
        if !self.lua.is_same(other.lua) {
            return false;
        }
        if self.slot == other.slot {
            return true;
        }
        let state = self.lua.inner().state_or_null();
        if state.is_null() {
            return false;
        }
        // SAFETY: two places are free; a raw comparison does not raise.
        unsafe {
            self.push();
            other.push();
            let same = engine::lua_rawequal(state, -1, -2) != 0;
            engine::lua_pop(state, 2);
            same
        }
    }

    /// Takes the reference apart: the instance stays counted as open, and so does the slot.
    #[cfg(any(
        feature = "weak-owned",
        all(feature = "unstable", not(feature = "send"))
    ))]
    pub(super) fn into_parts(self) -> (&'lua Lua, Slot) {
        let this = mem::ManuallyDrop::new(self);
        let inner = this.lua.inner();
        // Without a VM there are no slots: see `clone`.
        if !this.counted && !inner.state_or_null().is_null() {
            inner.slots.retain(this.slot);
        }
        (this.lua, this.slot)
    }
}

impl Clone for Ref<'_> {
    #[inline(always)]
    fn clone(&self) -> Self {
        let inner = self.lua.inner();
        // The slot may be that of an instance that was closed around us (I1); then its count is that of no VM, and `drop`
        // leaves it alone likewise.
        if self.counted && !inner.state_or_null().is_null() {
            inner.slots.retain(self.slot);
        }
        inner.keep_open();
        Ref { ..*self }
    }
}

impl Drop for Ref<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let inner = self.lua.inner();
        // SAFETY: the reference owns one count in `open`, and one of the slot if it is `counted`. Without a VM there are no
        // slots.
        unsafe {
            if self.counted
                && !inner.state_or_null().is_null()
                && !inner.slots.release_shared(self.slot)
            {
                return self.drop_last();
            }
            LuaInner::let_close(self.lua.0);
        }
    }
}

impl Ref<'_> {
    /// The drop of a reference that is the last user of its slot.
    #[inline(never)]
    unsafe fn drop_last(&mut self) {
        // SAFETY: as in `drop`.
        unsafe {
            self.lua.inner().slots.release_last(self.slot);
            LuaInner::let_close(self.lua.0);
        }
    }
}

impl fmt::Debug for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A VM that was closed around us has no values: see `clone`.
        let open = !self.lua.inner().state_or_null().is_null();
        let address = if open {
            self.to_pointer()
        } else {
            std::ptr::null()
        };
        write!(f, "Ref({address:p})")
    }
}

const _: () = assert!(mem::size_of::<Ref>() == 16);
