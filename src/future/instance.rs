//! What an instance knows of its futures.

use std::cell::{Cell, RefCell};
#[cfg(not(yields_hide))]
use std::os::raw::c_void;
use std::ptr::{self, NonNull};
use std::task::{Context, Waker};

use super::task::{self, Park};
use crate::call::cell::make_metatable;
use crate::engine;
use crate::error::Result;
use crate::handle::slots::Slot;
use crate::state::LuaInner;

/// Coroutines, and cells of futures, that are kept for the next call if the options ask for no more.
const KEPT: usize = 256;

/// See the module's documentation, and that of the module above.
pub(crate) struct Futures {
    owners: Cell<usize>,
    /// Each `AsyncThread` that was made outside of an async function.
    drivers: Cell<usize>,
    /// Whether an async function is being called or its future polled.
    inside: Cell<bool>,
    waker: Cell<Option<NonNull<Waker>>>,
    /// Whether a future has been polled with that waker. If an interrupt has yielded before a function could wait, it has not:
    /// then it has to be polled once more.
    #[cfg(feature = "luau")]
    pub(super) polled: Cell<bool>,
    metatable: Cell<Option<Slot>>,
    #[cfg(not(yields_hide))]
    metatable_address: Cell<*const c_void>,
    /// The first of all cells, whether there is a future in them or not.
    pub(super) first: Cell<*const Park>,
    /// The cells of coroutines that wait: see [`Park`].
    #[cfg(yields_hide)]
    pub(super) parked: RefCell<rustc_hash::FxHashMap<*mut engine::lua_State, *const Park>>,
    pub(super) cells: Pool<Park>,
    pub(super) coroutines: Pool<engine::lua_State>,
}

impl Default for Futures {
    fn default() -> Self {
        Futures {
            owners: Cell::new(1),
            drivers: Cell::new(0),
            inside: Cell::new(false),
            waker: Cell::new(None),
            #[cfg(feature = "luau")]
            polled: Cell::new(false),
            metatable: Cell::new(None),
            #[cfg(not(yields_hide))]
            metatable_address: Cell::new(ptr::null()),
            first: Cell::new(ptr::null()),
            #[cfg(yields_hide)]
            parked: RefCell::default(),
            cells: Pool::default(),
            coroutines: Pool::default(),
        }
    }
}

impl Futures {
    /// Makes the metatable of cells.
    ///
    /// # Safety
    ///
    /// `state` is the running state of the instance, which is being made.
    pub(crate) unsafe fn open(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
    ) -> Result<()> {
        // SAFETY: `take` pops the table.
        unsafe {
            make_metatable(state)?;
            #[cfg(not(yields_hide))]
            self.metatable_address.set(engine::lua_topointer(state, -1));
            self.metatable.set(Some(inner.slots.take(state)?));
        }
        Ok(())
    }

    pub(super) fn metatable(&self) -> Slot {
        self.metatable.get().expect("the instance has been opened")
    }

    #[cfg(not(yields_hide))]
    pub(super) fn metatable_address(&self) -> *const c_void {
        self.metatable_address.get()
    }

    /// How many finished coroutines are kept: `size`, if that is more than are kept anyway.
    pub(crate) fn set_pool_size(&self, size: usize) {
        self.coroutines.size.set(size.max(KEPT));
    }

    /// Forgets all slots: the VM is gone.
    pub(crate) fn clear(&self) {
        self.coroutines.values.take();
        self.cells.values.take();
    }

    pub(crate) fn add_owner(&self) {
        self.owners.set(self.owners.get() + 1);
    }

    /// An owner goes, whose count in `open` is still there.
    pub(crate) fn owner_gone(&self, inner: &LuaInner) {
        self.owners.set(self.owners.get() - 1);
        self.drop_what_nobody_waits_for(inner);
    }

    /// An `AsyncThread` has been made. Returns whether that was outside of any async function.
    pub(super) fn add_driver(&self) -> bool {
        let outside = !self.inside.get();
        if outside {
            self.drivers.set(self.drivers.get() + 1);
        }
        outside
    }

    /// A driver goes that `add_driver` has counted; its count in `open` is still there.
    pub(super) fn driver_gone(&self, inner: &LuaInner) {
        self.drivers.set(self.drivers.get() - 1);
        self.drop_what_nobody_waits_for(inner);
    }

    /// Whether a future that is pending would wait for ever (A4).
    pub(super) fn nobody_waits(&self) -> bool {
        self.owners.get() == 0 && self.drivers.get() == 0
    }

    #[inline]
    fn drop_what_nobody_waits_for(&self, inner: &LuaInner) {
        if self.nobody_waits() && !self.first.get().is_null() {
            task::drop_all(inner);
        }
    }

    /// Runs `f` with the waker that an `AsyncThread` has lent, or with one that does nothing.
    pub(super) fn with_context<R>(&self, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
        #[cfg(feature = "luau")]
        self.polled.set(true);
        let waker = match self.waker.get() {
            // SAFETY: it is lent until the poll of the `AsyncThread` returns, which is in a frame below.
            Some(waker) => unsafe { waker.as_ref() },
            None => Waker::noop(),
        };
        f(&mut Context::from_waker(waker))
    }

    /// Lends `waker` to what is polled until the result is dropped.
    pub(super) fn lend<'a>(&'a self, waker: &'a Waker) -> Lent<'a> {
        Lent {
            futures: self,
            before: self.waker.replace(Some(NonNull::from(waker))),
            was_inside: self.inside.replace(false),
            #[cfg(feature = "luau")]
            was_polled: self.polled.replace(false),
        }
    }

    /// From here on, until the result is dropped, what is made belongs to an async function.
    pub(crate) fn enter(&self) -> Inside<'_> {
        Inside {
            futures: self,
            before: self.inside.replace(true),
        }
    }
}

/// See [`Futures::lend`].
pub(super) struct Lent<'a> {
    futures: &'a Futures,
    before: Option<NonNull<Waker>>,
    was_inside: bool,
    #[cfg(feature = "luau")]
    was_polled: bool,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.futures.waker.set(self.before);
        self.futures.inside.set(self.was_inside);
        #[cfg(feature = "luau")]
        self.futures.polled.set(self.was_polled);
    }
}

/// See [`Futures::enter`].
pub(crate) struct Inside<'a> {
    futures: &'a Futures,
    before: bool,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.futures.inside.set(self.before);
    }
}

/// Values to be used again: the slot of each, of which the pool owns a count, and where the value is.
pub(super) struct Pool<T> {
    values: RefCell<Vec<(Slot, *mut T)>>,
    size: Cell<usize>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool {
            values: RefCell::default(),
            size: Cell::new(KEPT),
        }
    }
}

impl<T> Pool<T> {
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.values.borrow().len() >= self.size.get()
    }

    #[inline]
    pub(super) fn put(&self, slot: Slot, value: *mut T) {
        self.values.borrow_mut().push((slot, value));
    }

    #[inline]
    pub(super) fn take(&self) -> Option<(Slot, *mut T)> {
        self.values.borrow_mut().pop()
    }
}
