//! What the collector leaves of Rust values, where it must not drop them itself.
//!
//! Luau's sweep calls a function for each userdata that goes, and nothing in there may touch the VM. A destructor of the user
//! may: it may call a function through a handle, or give up a handle's slot. So the sweep only moves the value out, and it is
//! dropped at the next point where the VM can be entered: when Rust makes a userdata, calls Lua or comes back from it, and when
//! it runs the collector. While the VM is closed, destructors find the instance gone; then values are dropped at once.

use std::cell::{Cell, RefCell};

use super::{LuaInner, STACK_RESERVE};
use crate::call::failure::contain;
use crate::engine;

/// The values that wait to be dropped.
#[derive(Default)]
pub(crate) struct Remains {
    values: RefCell<Vec<Box<dyn Remain>>>,
    waiting: Cell<bool>,
    dropping: Cell<bool>,
}

/// Any value.
trait Remain {}

impl<T> Remain for T {}

impl Remains {
    /// Takes over a value that the sweep has come to; drops it if the instance is gone.
    ///
    /// # Safety
    ///
    /// What `value` borrows is there until the VM is closed.
    pub(crate) unsafe fn leave<T>(inner: &LuaInner, value: T) {
        if inner.state_or_null().is_null() {
            return contain(|| drop(value));
        }
        let value: Box<dyn Remain + '_> = Box::new(value);
        // SAFETY: it is dropped before the VM is gone, or while that is closed (`clear`).
        let value = unsafe { std::mem::transmute::<Box<dyn Remain + '_>, Box<dyn Remain>>(value) };
        inner.remains.values.borrow_mut().push(value);
        inner.remains.waiting.set(true);
    }

    /// Drops the values that wait.
    ///
    /// # Safety
    ///
    /// The VM can be entered on the running state.
    #[inline(always)]
    pub(crate) unsafe fn bury(inner: &LuaInner) {
        if inner.remains.waiting.get() {
            // SAFETY: passed on.
            unsafe { Self::bury_waiting(inner) }
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn bury_waiting(inner: &LuaInner) {
        let this = &inner.remains;
        // SAFETY: passed on; `lua_checkstack` of Luau reports failure by its result.
        let has_stack = unsafe { engine::lua_checkstack(inner.state(), STACK_RESERVE) } != 0;
        if !has_stack || this.dropping.replace(true) {
            return;
        }
        this.drop_all();
        this.dropping.set(false);
    }

    /// Drops everything: the VM is gone.
    pub(super) fn clear(&self) {
        self.drop_all();
    }

    fn drop_all(&self) {
        while self.waiting.replace(false) {
            for value in self.values.take() {
                contain(|| drop(value));
            }
        }
    }
}
