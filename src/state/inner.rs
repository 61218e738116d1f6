//! The block that everything of one instance points to.
//!
//! A [`LuaInner`] is allocated once and never moves. Two counts govern it:
//!
//! * `open` counts what keeps the *VM* open: owners ([`Lua`] values), proxies, guards, calls in progress. When it falls
//!   to zero the VM is closed ([`super::close`]).
//! * `refs` counts what keeps the *block* allocated: all that is counted by `open` together counts as one, and each
//!   weak handle, [`WeakLua`](crate::WeakLua) counts as one more. When it falls to zero the block is freed.
//!
//! Invariants:
//!
//! * I1. `state` is null exactly when the VM is gone. Whoever wants to call into Lua gets the state from
//!   [`LuaInner::state`], which panics on null.
//! * I2. A `&'a Lua` handed to user code lies in an owner, in a handle or in the block itself (`lent`). The first two
//!   live for `'a` by borrow. A `'a` that a callback gets is the one its function was made with, so it ends no later
//!   than what made the function reachable, or it is `'static` and then comes from something leaked that holds a count
//!   in `refs`. In each case the block outlives `'a`; I1 does the rest.
//! * I3. Whoever runs Lua code, or code of the user between two steps of an operation, holds a count in `open` (or a
//!   borrow of an owner), so the VM is never closed under a running operation.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::call::Internals;
use crate::engine;
use crate::error::{Error, Result};
#[cfg(all(feature = "weak-owned", not(feature = "send")))]
use crate::handle::graves::Graves;
use crate::handle::keys::Keys;
use crate::handle::slots::{Slot, Slots};
use crate::handle::unref::UnrefQueue;
use crate::state::app_data::AppData;
use crate::state::count::Count;
#[cfg(finalizers)]
use crate::state::finalize::Late;
#[cfg(not(feature = "luau"))]
use crate::state::hook::Hooks;
use crate::state::memory::Memory;
#[cfg(not(finalizers))]
use crate::state::remains::Remains;
use crate::userdata::types::TypeMap;
use crate::Lua;

/// Free stack slots that any code of the user finds when it is entered from the library.
pub(crate) const STACK_RESERVE: i32 = 16;

/// Bytes in use from which on a table might be too large to grow, which is an error whatever memory there is.
const VAST: usize = 1 << 30;

/// Added to `open` while the VM is closed, so that counts made by finalizers never trigger a second close.
const CLOSING: usize = 1 << (usize::BITS - 2);

/// See the module's documentation.
pub(crate) struct LuaInner {
    state: Cell<*mut engine::lua_State>,
    open: Cell<usize>,
    refs: Count,
    alive: AtomicBool,
    /// The `Lua` that callbacks are lent. It is never dropped and counts nothing.
    lent: ManuallyDrop<Lua>,
    main_state: Cell<*mut engine::lua_State>,
    /// How many calls from Lua into Rust are in progress.
    #[cfg(feature = "serialize")]
    frame: Cell<u32>,
    /// How many calls from Lua into Rust are in progress.
    #[cfg(any(waits_in_lua, raising_finalizers))]
    depth: Cell<u32>,
    /// As long as Lua holds fewer bytes than this, a small allocation in there can be taken not to fail, so that it needs no
    /// protected call: [`VAST`] or 0.
    infallible_below: Cell<usize>,
    /// Whether LuaJIT insists on its own allocator, as it does on 64 bits without its mode GC64.
    #[cfg(feature = "luajit")]
    pub(crate) foreign_memory: Cell<bool>,
    /// Whether the VM was made, and is closed, by somebody else.
    pub(crate) hosted: Cell<bool>,
    /// What a hosted instance finds out by whether its host closes the VM.
    #[cfg(lua_ge_54)]
    pub(crate) probe: Cell<Option<Slot>>,
    /// Whether the library `debug` and C modules are barred.
    pub(crate) safe: Cell<bool>,
    /// The table of globals; the instance counts its slot as long as it is open.
    pub(crate) globals: Cell<Option<Slot>>,
    /// The table of named registry values, once there are any; counted likewise.
    pub(crate) names: Cell<Option<Slot>>,
    pub(crate) slots: Slots,
    #[cfg(all(feature = "weak-owned", not(feature = "send")))]
    pub(crate) graves: Graves,
    pub(crate) keys: Keys,
    pub(crate) unref: UnrefQueue,
    #[cfg(finalizers)]
    pub(crate) late: Late,
    /// How many destructors of userdata run on behalf of the collector.
    #[cfg(raising_finalizers)]
    finalizing: Cell<u32>,
    #[cfg(not(finalizers))]
    pub(crate) remains: Remains,
    pub(crate) internals: Internals,
    #[cfg(waits_in_lua)]
    pub(crate) lua_side: crate::call::lua_side::LuaSide,
    pub(crate) types: TypeMap,
    pub(crate) memory: Memory,
    pub(crate) app_data: AppData,
    #[cfg(not(feature = "luau"))]
    pub(crate) hooks: Hooks,
    #[cfg(feature = "luau")]
    pub(crate) luau: crate::luau::LuauState,
    #[cfg(feature = "serialize")]
    pub(crate) serde: crate::serde::SerdeState,
    #[cfg(feature = "async")]
    pub(crate) futures: crate::future::instance::Futures,
}

impl LuaInner {
    /// A block without a VM yet, with one count in `open`. [`super::create`] fills in the rest.
    pub(crate) fn alloc() -> NonNull<LuaInner> {
        let block = Box::new(LuaInner {
            state: Cell::new(ptr::null_mut()),
            open: Cell::new(1),
            refs: Count::one(),
            alive: AtomicBool::new(false),
            lent: ManuallyDrop::new(Lua(NonNull::dangling())),
            main_state: Cell::new(ptr::null_mut()),
            #[cfg(feature = "serialize")]
            frame: Cell::new(0),
            #[cfg(any(waits_in_lua, raising_finalizers))]
            depth: Cell::new(0),
            infallible_below: Cell::new(0),
            #[cfg(feature = "luajit")]
            foreign_memory: Cell::new(false),
            hosted: Cell::new(false),
            #[cfg(lua_ge_54)]
            probe: Cell::new(None),
            safe: Cell::new(true),
            globals: Cell::new(None),
            names: Cell::new(None),
            slots: Slots::new(),
            #[cfg(all(feature = "weak-owned", not(feature = "send")))]
            graves: Graves::default(),
            keys: Keys::new(),
            unref: UnrefQueue::new(),
            #[cfg(finalizers)]
            late: Late::default(),
            #[cfg(raising_finalizers)]
            finalizing: Cell::new(0),
            #[cfg(not(finalizers))]
            remains: Remains::default(),
            internals: Internals::new(),
            #[cfg(waits_in_lua)]
            lua_side: Default::default(),
            types: TypeMap::default(),
            memory: Memory::new(),
            app_data: AppData::default(),
            #[cfg(not(feature = "luau"))]
            hooks: Hooks::default(),
            #[cfg(feature = "luau")]
            luau: Default::default(),
            #[cfg(feature = "serialize")]
            serde: Default::default(),
            #[cfg(feature = "async")]
            futures: Default::default(),
        });
        let this = NonNull::from(Box::leak(block));
        // SAFETY: the block was just made and nothing else points to it yet.
        unsafe { (*this.as_ptr()).lent = ManuallyDrop::new(Lua(this)) };
        this
    }

    /// Binds the block to a VM: from here on the instance is open.
    pub(crate) fn attach(
        &self,
        state: *mut engine::lua_State,
        main: *mut engine::lua_State,
        infallible: bool,
    ) {
        self.state.set(state);
        self.main_state.set(main);
        self.set_infallible_memory(infallible);
        self.alive.store(true, Ordering::Relaxed);
    }

    /// From here on handles are dead: the VM is being closed.
    pub(crate) fn end(&self) {
        let was_alive = self.alive.swap(false, Ordering::Relaxed);
        #[cfg(all(feature = "weak-owned", not(feature = "send")))]
        if was_alive && self.refs.is_shared() && !self.ends_unseen() {
            // SAFETY: the VM is only about to be closed.
            unsafe { self.graves.dig(&self.slots) };
        }
        #[cfg(not(all(feature = "weak-owned", not(feature = "send"))))]
        let _ = was_alive;
    }

    /// Whether the instance learns of its end only when the VM is half gone: a host closes Luau, which tells by the sweep.
    #[cfg(all(feature = "weak-owned", not(feature = "send")))]
    pub(crate) fn ends_unseen(&self) -> bool {
        cfg!(not(finalizers)) && self.hosted.get()
    }

    /// Drops the values that the collector has left: see [`super::remains`].
    ///
    /// # Safety
    ///
    /// The VM can be entered on the running state.
    #[inline(always)]
    pub(crate) unsafe fn bury(&self) {
        #[cfg(not(finalizers))]
        // SAFETY: passed on.
        unsafe {
            Remains::bury(self)
        }
    }

    /// Whether the instance is open: owners or proxies are left and closing has not begun.
    #[inline(always)]
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// The state of the coroutine that is running.
    ///
    /// # Panics
    ///
    /// Panics if the VM is gone (I1).
    #[inline(always)]
    #[track_caller]
    pub(crate) fn state(&self) -> *mut engine::lua_State {
        let state = self.state.get();
        if state.is_null() {
            destroyed();
        }
        state
    }

    /// Like [`LuaInner::state`], but with an error in place of the panic.
    #[inline(always)]
    pub(crate) fn try_state(&self) -> Result<*mut engine::lua_State> {
        let state = self.state.get();
        if state.is_null() {
            return Err(Error::LuaDestroyed);
        }
        Ok(state)
    }

    /// The state of the coroutine that is running, null if the VM is gone.
    #[inline(always)]
    pub(crate) fn state_or_null(&self) -> *mut engine::lua_State {
        self.state.get()
    }

    /// Whether the allocator of the VM is ours, so that memory is counted and can be limited.
    pub(crate) fn owns_memory(&self) -> bool {
        #[cfg(feature = "luajit")]
        if self.foreign_memory.get() {
            return false;
        }
        !self.hosted.get()
    }

    /// Makes `state` the running one and returns the one before. Callback trampolines alone call this.
    #[inline(always)]
    pub(crate) fn switch_state(&self, state: *mut engine::lua_State) -> *mut engine::lua_State {
        self.state.replace(state)
    }

    /// The number of the call from Lua into Rust that is in progress, zero outside of any. Indices of the stack mean the same
    /// as long as it is the same.
    #[cfg(feature = "serialize")]
    #[inline(always)]
    pub(crate) fn frame(&self) -> u32 {
        self.frame.get()
    }

    /// Counts a call from Lua into Rust until the result is dropped.
    #[inline(always)]
    pub(crate) fn enter_frame(&self) -> Frame<'_> {
        #[cfg(feature = "serialize")]
        self.frame.set(self.frame.get() + 1);
        Frame(self)
    }

    /// Runs the body of a function that Lua has called, unless too many such calls are in progress. Lua 5.1 counts them for each
    /// coroutine anew, and LuaJIT does not: the native stack would overflow.
    #[inline(always)]
    pub(crate) fn nested<R>(&self, body: impl FnOnce() -> Result<R>) -> Result<R> {
        #[cfg(waits_in_lua)]
        if self.depth.get() >= 200 {
            return Err(Error::runtime("C stack overflow"));
        }
        self.inside(body)
    }

    /// How many calls from Lua into Rust are in progress.
    #[cfg(raising_finalizers)]
    pub(super) fn depth(&self) -> u32 {
        self.depth.get()
    }

    /// Runs what Lua has called.
    #[inline(always)]
    pub(crate) fn inside<R>(&self, body: impl FnOnce() -> R) -> R {
        #[cfg(any(waits_in_lua, raising_finalizers))]
        self.depth.set(self.depth.get() + 1);
        let result = body();
        #[cfg(any(waits_in_lua, raising_finalizers))]
        self.depth.set(self.depth.get() - 1);
        #[cfg(raising_finalizers)]
        {
            if !self.is_alive() && self.depth.get() == 0 && !self.state.get().is_null() {
                super::finalize::after_sentinel(self);
            }
        }
        result
    }

    /// The state of the main thread, null if the VM is gone.
    #[inline(always)]
    pub(crate) fn main_state(&self) -> *mut engine::lua_State {
        self.main_state.get()
    }

    /// Whether the collector must not be asked to run: in a destructor that it runs itself, and while the VM is closed.
    ///
    /// Lua 5.4 refuses this by itself, and for good reason: each finalizer in the finalizer of another takes C stack, and those
    /// that there is none left for are lost, with the values that they would drop. While a VM is closed, a collection would run
    /// all that is left within one finalizer, also what has to be the [last](super::finalize), and Lua 5.3 may never end it.
    #[cfg(raising_finalizers)]
    pub(crate) fn refuses_to_collect(&self) -> bool {
        self.finalizing.get() > 0 || !self.is_alive()
    }

    /// Runs `drop`, a destructor that the collector runs and that does not panic.
    #[cfg(raising_finalizers)]
    pub(crate) fn while_finalizing(&self, drop: impl FnOnce()) {
        self.finalizing.set(self.finalizing.get() + 1);
        drop();
        self.finalizing.set(self.finalizing.get() - 1);
    }

    /// Whether what needs a little memory inside Lua and does not run the collector, such as a raw write with a valid key, can
    /// be taken not to fail. For what makes an object there is [`infallible_creation`](LuaInner::infallible_creation).
    ///
    /// True while the allocator is our own, no memory limit is set, and no table can be so large that Lua would not let it
    /// grow: that takes 64 million fields, of 16 bytes at the least ([`VAST`]). What is not protected for that reason is called by
    /// [`Memory::unfailing`].
    #[inline(always)]
    pub(crate) fn infallible_writes(&self) -> bool {
        self.memory.used() < self.infallible_below.get()
    }

    /// As [`infallible_writes`](LuaInner::infallible_writes), for what may run the collector: never where an error in a finalizer
    /// comes out of that.
    #[inline(always)]
    pub(crate) fn infallible_creation(&self) -> bool {
        !engine::FINALIZERS_RAISE && self.infallible_writes()
    }

    pub(crate) fn set_infallible_memory(&self, on: bool) {
        self.infallible_below.set(if on { VAST } else { 0 })
    }

    /// The `Lua` lent to callbacks. See I2 for what `'lua` may be.
    #[inline(always)]
    pub(crate) fn lend<'lua>(&self) -> &'lua Lua {
        let lent: *const Lua = &*self.lent;
        // SAFETY: I2, the block outlives every `'lua` for which callbacks are entered.
        unsafe { &*lent }
    }

    /// Counts one more reason to keep the VM open.
    #[inline(always)]
    pub(crate) const fn keep_open(&self) {
        // SAFETY: a `Cell` of this thread. (`Cell::set` is not `const`.)
        unsafe { *self.open.as_ptr() += 1 }
    }

    /// Takes back one [`LuaInner::keep_open`]; closes the VM with the last.
    ///
    /// # Safety
    ///
    /// The caller owns a count. `this` may be freed on return unless the caller also keeps the block.
    #[inline(always)]
    pub(crate) unsafe fn let_close(this: NonNull<LuaInner>) {
        // SAFETY: the caller's count keeps the block allocated up to here.
        let inner = unsafe { this.as_ref() };
        let open = inner.open.get() - 1;
        inner.open.set(open);
        if open == 0 {
            // SAFETY: the last count in `open` is gone.
            unsafe { Self::close(this) };
        }
    }

    /// Closes the VM and gives back the count in `refs` that `open` stood for.
    #[cold]
    #[inline(never)]
    unsafe fn close(this: NonNull<LuaInner>) {
        // SAFETY: `refs` still has the count that `open` stands for.
        let inner = unsafe { this.as_ref() };
        inner.open.set(CLOSING);
        inner.end();
        let release = ReleaseRef(this);
        super::close::close_vm(inner);
        drop(release);
    }

    /// From here on the VM is being closed in the middle of its own code, which will not go on: the process ends. Whoever
    /// keeps it open no longer does.
    pub(super) fn begin_last_close(&self) {
        self.open.set(self.open.get() + CLOSING);
        self.end();
    }

    /// Marks the VM as gone: I1.
    pub(crate) fn detach(&self) {
        self.state.set(ptr::null_mut());
        self.main_state.set(ptr::null_mut());
        self.set_infallible_memory(false);
    }

    /// While closing: whether proxies or guards made by finalizers are still around.
    #[cfg(finalizers)]
    pub(crate) fn escaped_while_closing(&self) -> bool {
        self.open.get() > CLOSING
    }

    /// There is one more owner than the one that the block was made for.
    pub(crate) fn add_owner(&self) {
        #[cfg(feature = "async")]
        self.futures.add_owner();
    }

    /// Counts one more reason to keep the block.
    #[inline(always)]
    pub(crate) fn retain(&self) {
        self.refs.add();
    }

    /// Takes back one [`LuaInner::retain`]; frees the block with the last.
    ///
    /// # Safety
    ///
    /// The caller owns a count.
    #[inline(always)]
    pub(crate) unsafe fn release(this: NonNull<LuaInner>) {
        // SAFETY: the caller's count keeps the block allocated up to here.
        let inner = unsafe { this.as_ref() };
        if inner.refs.sub() {
            // SAFETY: no count is left.
            unsafe { Self::free(this) };
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn free(this: NonNull<LuaInner>) {
        // SAFETY: made by `Box::leak` in `alloc`; no count is left, so nothing points here any more.
        drop(unsafe { Box::from_raw(this.as_ptr()) });
    }
}

/// A call from Lua into Rust in progress: see [`LuaInner::enter_frame`].
pub(crate) struct Frame<'a>(#[cfg_attr(not(feature = "serialize"), allow(dead_code))] &'a LuaInner);

impl Drop for Frame<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(feature = "serialize")]
        self.0.frame.set(self.0.frame.get() - 1);
    }
}

/// Gives back a count in `refs`, also when a destructor of the user panics while the VM is closed.
struct ReleaseRef(NonNull<LuaInner>);

impl Drop for ReleaseRef {
    fn drop(&mut self) {
        // SAFETY: stands for the one count that `open` as a whole holds.
        unsafe { LuaInner::release(self.0) }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn destroyed() -> ! {
    panic!("Lua instance is destroyed")
}
