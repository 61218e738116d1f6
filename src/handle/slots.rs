//! The slots: where the values lie that Rust refers to.
//!
//! A slot is a place on the stack of a *reference thread*, a Lua thread that runs no code and only serves as an array of
//! values that Lua's collector sees. Rust names a slot by a number and counts its users; the value leaves its place when
//! the count falls to zero. A thread has [`PER_THREAD`] slots, since Lua bounds the height of a stack; there are as many
//! threads as it takes.
//!
//! Invariants:
//!
//! * S1. Slots below `len` exist: slot `s` lies in thread `s / PER_THREAD` at index `s % PER_THREAD + FIRST`. A thread's
//!   stack reaches exactly to its highest slot below `len`, but never ends below its first [`engine::FLOOR`] ones, which hold
//!   nil from `len` on.
//! * S2. A slot below `len` is either counted (one to `u32::MAX`) or on the free list, and then holds nil.
//! * S3. Slots below `room` have their stack and their count allocated, and above each thread's slots [`SPARE`] places
//!   are free.
//! * S4. No Lua function ever runs on a reference thread: only `lua_xmove`, `lua_pushvalue`, `lua_copy`, `lua_settop`,
//!   plain reads (`lua_type`, raw gets, `lua_next` with a key that is there, …), which do not allocate, and raw sets, which
//!   may allocate but make no step of the collector: what Lua collects when an allocation fails runs no finalizer. So no
//!   finalizer finds a reference thread as its own stack, where indices would mean something else. A raw set is done there
//!   only if it cannot fail, as it would need no protection elsewhere.
//! * S5. The bookkeeping is complete before each call into Lua that can run other code (only [`Slots::grow`] makes
//!   such a call), and no reference into the vectors is held over one.
//! * S6. A count of `u32::MAX` sticks: the slot is then never freed. Forgetting four thousand million clones leaks a
//!   value, it does not free one that is in use.

use std::cell::{Cell, UnsafeCell};
use std::os::raw::{c_int, c_void};

use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::stack::Held;

/// The number of a slot.
//
// Below `NONE`, so the highest bit is free for the mark of `Slot::foreign`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(u32);

impl Slot {
    pub(super) const ZERO: Slot = Slot(0);

    /// The slot `n` numbers on.
    #[inline(always)]
    pub(super) fn plus(self, n: u32) -> Slot {
        Slot(self.0 + n)
    }

    #[inline(always)]
    const fn number(self) -> u32 {
        if cfg!(any(feature = "luau", feature = "luajit")) {
            self.0 & !FOREIGN
        } else {
            self.0
        }
    }

    /// No slot.
    #[cfg(all(feature = "weak-owned", not(feature = "send")))]
    pub(super) const NONE: Slot = Slot(NONE);

    /// Where the slot stands among all.
    #[cfg(all(feature = "weak-owned", not(feature = "send")))]
    pub(super) const fn index(self) -> usize {
        self.number() as usize
    }

    /// The number as `RegistryKey::id` shows it.
    pub(crate) fn id(self) -> i32 {
        self.number() as i32
    }

    /// The same slot, marked as one that holds a value which is a userdata to Rust only: a buffer of Luau's, an object of
    /// LuaJIT's library `ffi`. Copies of what is returned have the mark, so that the type is known without a look.
    #[cfg(any(feature = "luau", feature = "luajit"))]
    pub(super) const fn foreign(self) -> Slot {
        Slot(self.0 | FOREIGN)
    }

    /// Whether there is the mark of [`foreign`](Slot::foreign).
    #[cfg(any(feature = "luau", feature = "luajit"))]
    pub(super) const fn is_foreign(self) -> bool {
        self.0 & FOREIGN != 0
    }
}

/// The mark of [`Slot::foreign`].
const FOREIGN: u32 = 1 << 31;
const BITS: u32 = engine::REF_BITS;
/// Slots of one reference thread.
const PER_THREAD: u32 = 1 << BITS;
/// Index of the permanent nil at the bottom of each reference thread; freed slots are overwritten with it.
const NIL: c_int = 1;
/// Index of the first slot of a thread.
const FIRST: c_int = 2;
/// Where the stack of a thread without slots in use ends.
const LOWEST_TOP: c_int = FIRST - 1 + engine::FLOOR as c_int;
/// Places above the slots for values on their way in or out.
const SPARE: c_int = 6;
/// Slots that the first thread has room for at the beginning.
const START: u32 = 256;
/// Holes that are left alone, beside one for two slots: a slot on top of the stack is the cheaper one to take and to free,
/// and what is short-lived comes and goes there.
const TOLERATED: u32 = 64;
/// End of the free list. Also one more than the highest slot number.
const NONE: u32 = u32::MAX >> 1;

/// All slots of an instance.
pub(crate) struct Slots {
    threads: UnsafeCell<Vec<*mut engine::lua_State>>,
    /// The count of a slot in use; the next free slot of one on the free list.
    counts: UnsafeCell<Vec<u32>>,
    free: Cell<u32>,
    /// How many slots are on the free list.
    holes: Cell<u32>,
    len: Cell<u32>,
    room: Cell<u32>,
}

impl Slots {
    pub(crate) fn new() -> Slots {
        Slots {
            threads: UnsafeCell::new(Vec::new()),
            counts: UnsafeCell::new(Vec::new()),
            free: Cell::new(NONE),
            holes: Cell::new(0),
            len: Cell::new(0),
            room: Cell::new(0),
        }
    }

    #[inline(always)]
    fn place(&self, slot: u32) -> (*mut engine::lua_State, c_int) {
        // SAFETY: S1, S3: the thread of a slot below `room` exists.
        let thread = unsafe { *(&*self.threads.get()).get_unchecked((slot >> BITS) as usize) };
        (thread, (slot & (PER_THREAD - 1)) as c_int + FIRST)
    }

    #[inline(always)]
    fn count(&self, slot: u32) -> u32 {
        // SAFETY: S3; the reference ends here (S5).
        unsafe { *(&*self.counts.get()).get_unchecked(slot as usize) }
    }

    #[inline(always)]
    fn set_count(&self, slot: u32, count: u32) {
        // SAFETY: S3; the reference ends here (S5).
        unsafe { *(&mut *self.counts.get()).get_unchecked_mut(slot as usize) = count }
    }

    /// Moves the value on top of `state` into a slot, with a count of one. The value is popped in any case.
    ///
    /// # Safety
    ///
    /// `state` is a running state of this instance with a value on top.
    #[inline(always)]
    pub(crate) unsafe fn take(&self, state: *mut engine::lua_State) -> Result<Slot> {
        let slot = self.len.get();
        if slot < self.room.get() && self.holes.get() <= TOLERATED + slot / 2 {
            self.len.set(slot + 1);
            self.set_count(slot, 1);
            let (thread, index) = self.place(slot);
            // SAFETY: S1, the stack of the thread reaches to just below this slot, or to its floor; S3, there is room.
            unsafe {
                engine::lua_xmove(state, thread, 1);
                if index <= LOWEST_TOP {
                    engine::lua_replace(thread, index);
                }
            }
            return Ok(Slot(slot));
        }
        // SAFETY: passed on.
        unsafe { self.take_hole(state) }
    }

    /// Takes `n` slots one after the other, with a count of one each and nil in them, and returns the first.
    ///
    /// # Safety
    ///
    /// `state` is a running state of this instance. No slot is in use yet, and `n` is less than [`START`].
    pub(super) unsafe fn take_block(&self, state: *mut engine::lua_State, n: u32) -> Result<Slot> {
        // SAFETY: passed on; `grow` makes room for `START` slots at the least.
        unsafe { self.grow(state)? };
        let first = self.len.get();
        debug_assert!(first == 0 && n < START);
        // The first thread is used from its floor on.
        let n = n.clamp(engine::FLOOR, START - 1);
        self.len.set(first + n);
        for slot in first..first + n {
            self.set_count(slot, 1);
        }
        let (thread, last) = self.place(first + n - 1);
        // SAFETY: S1, S3.
        unsafe { engine::lua_settop(thread, last) };
        Ok(Slot(first))
    }

    /// As [`Slots::take`], from the free list if there is anything on it.
    #[inline(never)]
    unsafe fn take_hole(&self, state: *mut engine::lua_State) -> Result<Slot> {
        let slot = self.free.get();
        if slot == NONE {
            // SAFETY: passed on.
            return unsafe { self.take_growing(state) };
        }
        self.free.set(self.count(slot));
        self.holes.set(self.holes.get() - 1);
        self.set_count(slot, 1);
        let (thread, index) = self.place(slot);
        // SAFETY: S1 and S3 (one spare place on top).
        unsafe {
            engine::lua_xmove(state, thread, 1);
            engine::lua_replace(thread, index);
        }
        Ok(Slot(slot))
    }

    #[cold]
    #[inline(never)]
    unsafe fn take_growing(&self, state: *mut engine::lua_State) -> Result<Slot> {
        // SAFETY: the value on top is popped if `grow` fails.
        unsafe {
            let mut held = Held::adopt(state, 1);
            self.grow(state)?;
            held.release(1);
            self.take(state)
        }
    }

    /// Pushes the value of `slot` onto `state`.
    ///
    /// # Safety
    ///
    /// `slot` is counted; `state` is a state of this instance with room for one value.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, slot: Slot, state: *mut engine::lua_State) {
        let (thread, index) = self.place(slot.number());
        // SAFETY: S1, S3.
        unsafe { engine::push_from(thread, index, state) }
    }

    /// Pushes the value of `slot` onto `state` and takes back one count.
    ///
    /// # Safety
    ///
    /// As [`Slots::push`] and [`Slots::release`].
    #[cfg(feature = "async")]
    #[inline]
    pub(crate) unsafe fn give_back(&self, slot: Slot, state: *mut engine::lua_State) {
        let number = slot.number();
        // SAFETY: passed on. The last value of a thread may move instead, and its place goes with it (S1).
        unsafe {
            if !engine::WHOLE_THREADS && number + 1 == self.len.get() && self.count(number) == 1 {
                self.len.set(number);
                return engine::lua_xmove(self.place(number).0, state, 1);
            }
            self.push(slot, state);
            self.release(slot);
        }
    }

    /// Pushes the value of `slot` onto the reference thread `to`, as [`Slots::push`] otherwise.
    ///
    /// # Safety
    ///
    /// As [`Slots::push`], and as [`Slots::peek`] for `to`.
    #[inline(always)]
    pub(crate) unsafe fn push_beside(&self, slot: Slot, to: *mut engine::lua_State) {
        let (thread, index) = self.place(slot.number());
        // SAFETY: S1, S3.
        unsafe {
            if thread == to {
                engine::lua_pushvalue(thread, index);
            } else {
                engine::push_from(thread, index, to);
            }
        }
    }

    /// Overwrites the value of `slot` with the one on top of `state`, which is popped.
    ///
    /// # Safety
    ///
    /// `slot` is counted; `state` is a state of this instance with a value on top.
    pub(crate) unsafe fn overwrite(&self, slot: Slot, state: *mut engine::lua_State) {
        let (thread, index) = self.place(slot.number());
        // SAFETY: S1, S3.
        unsafe {
            engine::lua_xmove(state, thread, 1);
            engine::lua_replace(thread, index);
        }
    }

    /// Overwrites the value of `slot` with the one at `index` of the reference thread `from`.
    ///
    /// # Safety
    ///
    /// `slot` is counted, and there is a value. The caller keeps to S4.
    #[inline(always)]
    pub(super) unsafe fn overwrite_from(
        &self,
        slot: Slot,
        from: *mut engine::lua_State,
        index: c_int,
    ) {
        let (thread, place) = self.place(slot.number());
        // SAFETY: S1, S3.
        unsafe {
            if from == thread {
                engine::lua_copy(thread, index, place);
            } else {
                engine::lua_pushvalue(from, index);
                self.overwrite(slot, from);
            }
        }
    }

    /// The place of a slot, for reads that neither allocate nor raise (S4).
    ///
    /// # Safety
    ///
    /// `slot` is counted. The caller keeps to S4 and leaves the thread's stack as it was.
    #[inline(always)]
    pub(crate) unsafe fn peek(&self, slot: Slot) -> (*mut engine::lua_State, c_int) {
        self.place(slot.number())
    }

    /// The address that identifies the value of `slot`.
    ///
    /// # Safety
    ///
    /// `slot` is counted, and there is a VM.
    pub(super) unsafe fn pointer(&self, slot: Slot) -> *const c_void {
        let (thread, index) = self.place(slot.number());
        // SAFETY: S4, both only read: the value is a string if one is asked for its text.
        unsafe {
            // To Lua 5.3 and before, strings are no objects with an address.
            #[cfg(not(any(lua_ge_54, feature = "luau")))]
            if engine::lua_type(thread, index) == engine::LUA_TSTRING {
                return engine::lua_tolstring(thread, index, std::ptr::null_mut()).cast();
            }
            engine::lua_topointer(thread, index)
        }
    }

    /// The address of each value from slot `first` on; those of slots that are not in use mean nothing.
    ///
    /// # Safety
    ///
    /// There is a VM.
    #[cfg(all(feature = "weak-owned", not(feature = "send")))]
    pub(super) unsafe fn pointers(&self, first: u32) -> Vec<*const c_void> {
        // SAFETY: S1: a slot that is not in use has its place, too, and nil in it.
        (first..self.len.get())
            .map(|slot| unsafe { self.pointer(Slot(slot)) })
            .collect()
    }

    /// Counts one more user of `slot`, which must be counted already.
    #[inline(always)]
    pub(crate) const fn retain(&self, slot: Slot) {
        // SAFETY: S3; the reference ends here (S5).
        unsafe {
            let count = (&mut *self.counts.get())
                .as_mut_ptr()
                .add(slot.number() as usize);
            *count = (*count).saturating_add(1);
        }
    }

    /// Takes back one count; the last frees the slot.
    ///
    /// # Safety
    ///
    /// The caller owns a count of `slot`, and the VM is there and not in the middle of a sweep.
    #[inline(always)]
    pub(crate) unsafe fn release(&self, slot: Slot) {
        // SAFETY: passed on.
        unsafe {
            if !self.release_shared(slot) {
                self.release_last(slot)
            }
        }
    }

    /// Takes back one count if it is neither the last nor one that sticks (S6), and returns whether it did. If not, the
    /// caller goes on with [`Slots::release_last`].
    ///
    /// # Safety
    ///
    /// As [`Slots::release`].
    #[inline(always)]
    pub(super) unsafe fn release_shared(&self, slot: Slot) -> bool {
        let count = self.count(slot.number());
        let shared = (2..u32::MAX).contains(&count);
        if shared {
            self.set_count(slot.number(), count - 1);
        }
        shared
    }

    /// As [`Slots::release`] where [`Slots::release_shared`] has returned false.
    ///
    /// # Safety
    ///
    /// As [`Slots::release`].
    #[inline(always)]
    pub(super) unsafe fn release_last(&self, slot: Slot) {
        if self.count(slot.number()) != u32::MAX {
            // SAFETY: passed on.
            unsafe { self.free(slot.number()) }
        }
    }

    #[inline(always)]
    unsafe fn free(&self, slot: u32) {
        let (thread, index) = self.place(slot);
        // SAFETY: S1. Neither call allocates or runs other code.
        unsafe {
            if slot + 1 == self.len.get() {
                self.len.set(slot);
                if index > LOWEST_TOP {
                    return engine::lua_settop(thread, index - 1);
                }
            } else {
                self.set_count(slot, self.free.replace(slot));
                self.holes.set(self.holes.get() + 1);
            }
            engine::lua_copy(thread, NIL, index);
        }
    }

    /// Makes room for at least one more slot.
    #[cold]
    unsafe fn grow(&self, state: *mut engine::lua_State) -> Result<()> {
        let room = self.room.get();
        let (next, thread_index) = if room.is_multiple_of(PER_THREAD) {
            if room >= NONE - PER_THREAD {
                return Err(Error::MemoryError("too many references".into()));
            }
            let small = room == 0 && !engine::WHOLE_THREADS;
            let within = if small { START } else { PER_THREAD };
            (room + within, room >> BITS)
        } else {
            let thread_index = room >> BITS;
            ((room * 2).min((thread_index + 1) << BITS), thread_index)
        };
        // SAFETY: the references end with the statements (S5).
        unsafe {
            let counts = &mut *self.counts.get();
            let more = (next as usize).saturating_sub(counts.len());
            counts.try_reserve(more).map_err(|_| out_of_memory())?;
            counts.resize(counts.len() + more, 0);
        }
        // SAFETY: `state` is a running state. Both calls below may run finalizers, which may take slots and grow; so all is
        // looked at anew afterwards.
        unsafe {
            if thread_index as usize == (*self.threads.get()).len() {
                self.add_thread(state)?;
            }
            if engine::WHOLE_THREADS {
                self.room.set(self.room.get().max(next));
                return Ok(());
            }
            let thread = (&(*self.threads.get()))[thread_index as usize];
            let height = (next - (thread_index << BITS)) as c_int + FIRST - 1 + SPARE;
            let missing = height - engine::lua_gettop(thread);
            if missing > 0 && engine::lua_checkstack(thread, missing) == 0 {
                return Err(out_of_memory());
            }
        }
        if self.room.get() < next {
            self.room.set(next);
        }
        Ok(())
    }

    /// Makes one more reference thread, anchored in the registry.
    unsafe fn add_thread(&self, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: runs protected; the closure holds nothing that needs a destructor.
        let make = || unsafe {
            protect(state, 0, 0, |state| {
                let thread = engine::lua_newthread(state);
                engine::prepare_whole_thread(state, thread);
                engine::lua_rawsetp(state, engine::LUA_REGISTRYINDEX, thread as *const _);
                thread
            })
        };
        // SAFETY: `state` is a running state, and `make` raises nothing. There are operations that take a slot and cannot report
        // the error of a finalizer.
        let thread = unsafe { engine::without_finalizer_errors(state, make)? };
        // SAFETY: a fresh thread has room for LUA_MINSTACK values. A finalizer that ran meanwhile may have added a thread of
        // its own; then this one is simply the next.
        unsafe {
            const ROOM: c_int = FIRST - 1 + PER_THREAD as c_int + SPARE;
            let threads = &mut *self.threads.get();
            if threads.try_reserve(1).is_err() || !engine::make_whole(thread, state, ROOM) {
                // The key is there, so this takes no memory.
                engine::lua_pushnil(state);
                engine::lua_rawsetp(state, engine::LUA_REGISTRYINDEX, thread as *const _);
                return Err(out_of_memory());
            }
            engine::lua_settop(thread, LOWEST_TOP);
            (*self.threads.get()).push(thread);
        }
        Ok(())
    }

    /// Forgets all slots: the VM is gone.
    pub(crate) fn clear(&self) {
        self.len.set(0);
        self.room.set(0);
        self.free.set(NONE);
        self.holes.set(0);
        // SAFETY: S5, nobody is in the middle of anything; without a VM no slot is looked at any more.
        unsafe {
            *self.threads.get() = Vec::new();
            *self.counts.get() = Vec::new();
        }
    }

    /// How many slots are in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        let mut free = 0;
        let mut slot = self.free.get();
        while slot != NONE {
            free += 1;
            slot = self.count(slot);
        }
        self.len.get() as usize - free
    }
}

fn out_of_memory() -> Error {
    Error::MemoryError("not enough memory".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Integer, Lua};

    /// Takes a slot for `value`.
    fn take(lua: &Lua, value: Integer) -> Result<Slot> {
        // SAFETY: the instance is open, and its stack has room.
        unsafe {
            engine::lua_pushinteger(lua.state(), value);
            lua.inner().slots.take(lua.state())
        }
    }

    fn read(lua: &Lua, slot: Slot) -> Integer {
        // SAFETY: the tests read counted slots only; the stack has room.
        unsafe {
            lua.inner().slots.push(slot, lua.state());
            let value = engine::lua_tointeger(lua.state(), -1);
            engine::lua_pop(lua.state(), 1);
            value
        }
    }

    fn release(lua: &Lua, slot: Slot) {
        // SAFETY: the tests own the counts they give back.
        unsafe { lua.inner().slots.release(slot) }
    }

    fn height(lua: &Lua) -> c_int {
        // SAFETY: the instance is open.
        unsafe { engine::lua_gettop(lua.state()) }
    }

    #[test]
    fn a_count_that_has_reached_its_end_sticks() {
        let lua = Lua::new();
        let slots = &lua.inner().slots;
        let slot = take(&lua, 7).unwrap();
        slots.set_count(slot.number(), u32::MAX - 1);
        slots.retain(slot);
        slots.retain(slot);
        assert_eq!(slots.count(slot.number()), u32::MAX);
        for _ in 0..3 {
            release(&lua, slot);
        }
        assert_eq!(slots.count(slot.number()), u32::MAX);
        assert_eq!(read(&lua, slot), 7);
        assert_ne!(take(&lua, 8).unwrap(), slot);
    }

    #[test]
    fn when_the_numbers_run_out_taking_is_an_error_and_the_value_is_popped() {
        let lua = Lua::new();
        let slots = &lua.inner().slots;
        let (len, room, top) = (slots.len.get(), slots.room.get(), height(&lua));
        let in_use = slots.in_use();
        let free = slots.free.replace(NONE);
        let end = NONE - NONE % PER_THREAD;
        slots.len.set(end);
        slots.room.set(end);
        let outcome = take(&lua, 1);
        slots.len.set(len);
        slots.room.set(room);
        slots.free.set(free);
        assert!(matches!(outcome, Err(Error::MemoryError(_))));
        assert_eq!(height(&lua), top);
        assert_eq!(slots.in_use(), in_use);
        let slot = take(&lua, 2).unwrap();
        assert_eq!(read(&lua, slot), 2);
    }

    #[test]
    #[cfg(feature = "async")]
    fn what_is_given_back_leaves_its_slot_with_the_last_count() {
        let lua = Lua::new();
        let slots = &lua.inner().slots;
        let (before, in_use) = (slots.len.get(), slots.in_use());
        let [a, b, c] = [1, 2, 3].map(|n| take(&lua, n).unwrap());
        slots.retain(c);
        for (slot, value) in [(c, 3), (a, 1), (c, 3), (b, 2)] {
            // SAFETY: there is a count for each, and room.
            let given = unsafe {
                slots.give_back(slot, lua.state());
                let given = engine::lua_tointeger(lua.state(), -1);
                engine::lua_pop(lua.state(), 1);
                given
            };
            assert_eq!(given, value);
        }
        assert_eq!(slots.in_use(), in_use);
        // The last two slots, `c` first, have been cut off.
        if !engine::WHOLE_THREADS {
            assert_eq!(slots.len.get(), before + 1);
        }
    }

    #[test]
    fn the_stack_of_a_reference_thread_ends_at_its_highest_slot() {
        let lua = Lua::new();
        let slots = &lua.inner().slots;
        let before = slots.len.get();
        let taken: Vec<Slot> = (0..2 * PER_THREAD as Integer + 10)
            .map(|n| take(&lua, n).unwrap())
            .collect();
        let heights = || -> Vec<c_int> {
            // SAFETY: the references end with the statement; the threads are those of the open instance.
            unsafe {
                (*slots.threads.get())
                    .iter()
                    .map(|&thread| engine::lua_gettop(thread))
                    .collect()
            }
        };
        let expected = |len: u32| -> Vec<c_int> {
            (0..3)
                .map(|t| {
                    len.saturating_sub(t << BITS)
                        .clamp(engine::FLOOR, PER_THREAD) as c_int
                        + NIL
                })
                .collect()
        };
        assert_eq!(heights(), expected(slots.len.get()));
        for (n, &slot) in taken.iter().enumerate().rev() {
            assert_eq!(read(&lua, slot), n as Integer);
            release(&lua, slot);
        }
        assert_eq!(slots.len.get(), before);
        assert_eq!(heights(), expected(before));
    }

    #[test]
    fn the_collector_leaves_a_whole_thread_its_room() {
        if !engine::WHOLE_THREADS {
            return;
        }
        let lua = Lua::new();
        let slots = &lua.inner().slots;
        let taken: Vec<Slot> = (0..2 * PER_THREAD as Integer)
            .map(|n| take(&lua, n).unwrap())
            .collect();
        taken.iter().rev().for_each(|&slot| release(&lua, slot));
        for _ in 0..10 {
            lua.gc_collect().unwrap();
        }
        let before = lua.used_memory();
        // SAFETY: the reference ends with the loop; the threads are those of the open instance.
        unsafe {
            for &thread in &*slots.threads.get() {
                let room = FIRST - 1 + PER_THREAD as c_int + SPARE;
                let missing = room - engine::lua_gettop(thread);
                assert_ne!(engine::lua_checkstack(thread, missing), 0);
            }
        }
        assert_eq!(lua.used_memory(), before, "a stack had to grow again");
    }

    #[test]
    fn slots_behave_like_a_map_from_number_to_value_and_count() {
        let lua = Lua::new();
        let slots = &lua.inner().slots;
        let own = slots.in_use();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random >> 16
        };
        let mut model: Vec<(Slot, Integer, u32)> = Vec::new();
        for step in 0..1_000_000 {
            // Grow beyond one thread, then shrink, and so on.
            let growing = step / 300_000 % 2 == 0;
            match next() % 8 {
                0..=4 if growing || model.is_empty() => {
                    model.push((take(&lua, step).unwrap(), step, 1))
                }
                5 if !model.is_empty() => {
                    let at = next() as usize % model.len();
                    slots.retain(model[at].0);
                    model[at].2 += 1;
                }
                6 if !model.is_empty() => {
                    let (slot, value, _) = model[next() as usize % model.len()];
                    assert_eq!(read(&lua, slot), value);
                }
                _ if !model.is_empty() => {
                    let at = next() as usize % model.len();
                    release(&lua, model[at].0);
                    model[at].2 -= 1;
                    if model[at].2 == 0 {
                        model.swap_remove(at);
                    }
                }
                _ => {}
            }
        }
        assert_eq!(slots.in_use(), own + model.len());
        for &(slot, value, count) in &model {
            assert_eq!(
                (read(&lua, slot), slots.count(slot.number())),
                (value, count)
            );
        }
    }
}
