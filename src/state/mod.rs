//! The VM: [`Lua`], its options and libraries, its memory, and what hangs on it.

use std::fmt;
#[cfg(feature = "weak-owned")]
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

pub(crate) mod app_data;
pub(crate) mod close;
mod count;
mod create;
mod debug;
mod exit;
#[cfg(finalizers)]
pub(crate) mod finalize;
mod gc;
mod globals;
#[cfg(not(feature = "luau"))]
pub(crate) mod hook;
pub(crate) mod host_close;
mod hosted;
pub(crate) mod inner;
pub(crate) mod memory;
mod modules;
mod options;
mod pcall;
mod registry;
#[cfg(not(finalizers))]
pub(crate) mod remains;
mod stdlib;
#[cfg(lua_ge_54)]
mod warning;

pub use app_data::{AppDataRef, AppDataRefMut};
pub use debug::{Debug, DebugEvent, DebugNames, DebugSource, DebugStack};
pub use gc::GCMode;
#[cfg(not(feature = "luau"))]
pub use hook::HookTriggers;
pub use options::LuaOptions;
pub use stdlib::StdLib;

pub(crate) use inner::{LuaInner, STACK_RESERVE};

use crate::engine;
use crate::error::{Error, Result};
use crate::stack::ensure;

/// An instance of Lua.
///
/// Dropping it closes the instance, once no proxy made through a handle is left.
//
// A `Lua` that gets dropped is an owner: it holds a count in `LuaInner::open`. A view, as it lies in a handle or in the
// block, is the same value in a `ManuallyDrop`. Nothing else tells the two apart, and nothing else needs to.
#[repr(transparent)]
pub struct Lua(pub(crate) NonNull<LuaInner>);

// SAFETY: with the feature `send` everything an instance holds (callbacks, userdata, app data) is `Send` by the bounds of
// the API, and proxies borrow the `Lua`, so none is left behind when it moves to another thread.
#[cfg(feature = "send")]
unsafe impl Send for Lua {}

impl Lua {
    /// The block of this instance. It is there even if the VM is gone.
    #[inline(always)]
    pub(crate) const fn inner(&self) -> &LuaInner {
        // SAFETY: an owner holds a count in `open`; a view lies in something that holds a count in `refs`, or in the block.
        unsafe { self.0.as_ref() }
    }

    /// The state of the running coroutine. Panics if the VM is gone.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn state(&self) -> *mut engine::lua_State {
        self.inner().state()
    }

    /// Enters the instance for one operation: finds out that it is there, and keeps it open until the guard is dropped.
    ///
    /// Every method of `Lua` that calls into Lua begins with this, since `self` may be a view (invariant I3).
    #[inline(always)]
    #[track_caller]
    pub(crate) fn enter(&self) -> Entered<'_> {
        let state = self.state();
        self.inner().keep_open();
        Entered { lua: self, state }
    }

    /// Like [`Lua::enter`], with an error in place of the panic.
    #[inline(always)]
    pub(crate) fn try_enter(&self) -> Result<Entered<'_>> {
        let state = self.inner().try_state()?;
        self.inner().keep_open();
        Ok(Entered { lua: self, state })
    }

    /// A view of the same instance, which counts nothing.
    #[cfg(feature = "weak-owned")]
    #[inline(always)]
    pub(crate) fn view(&self) -> ManuallyDrop<Lua> {
        ManuallyDrop::new(Lua(self.0))
    }

    /// Whether `other` is, or is a view of, the same instance.
    #[inline(always)]
    pub(crate) fn is_same(&self, other: &Lua) -> bool {
        self.0 == other.0
    }

    /// Makes room for [`STACK_RESERVE`] values before code of the user is entered.
    #[inline]
    pub(crate) fn reserve_stack(&self) -> Result<()> {
        self.reserve_stack_for(0)
    }

    /// Makes room for `n` values and the reserve on top of them.
    pub(crate) fn reserve_stack_for(&self, n: usize) -> Result<()> {
        let wanted = i32::try_from(n)
            .ok()
            .and_then(|n| n.checked_add(STACK_RESERVE));
        let n = wanted.ok_or(Error::StackError)?;
        // SAFETY: the running state.
        unsafe { ensure(self.inner(), self.state(), n) }
    }

    /// Turns this instance into a `'static` reference. It stays open until the program ends, or until
    /// [`Lua::from_static`] takes it back.
    #[doc(hidden)]
    pub fn into_static(self) -> &'static Self {
        Box::leak(Box::new(self))
    }

    /// Takes back what [`Lua::into_static`] gave away.
    ///
    /// # Safety
    ///
    /// `lua` comes from [`Lua::into_static`] and nothing that borrows from it is used any more.
    #[doc(hidden)]
    pub unsafe fn from_static(lua: &'static Lua) -> Self {
        // SAFETY: `into_static` made it with `Box::leak`; the caller gives up all borrows.
        *unsafe { Box::from_raw(lua as *const Lua as *mut Lua) }
    }
}

impl Drop for Lua {
    #[inline]
    fn drop(&mut self) {
        #[cfg(feature = "async")]
        self.inner().futures.owner_gone(self.inner());
        // SAFETY: a `Lua` that is dropped is an owner and holds one count.
        unsafe { LuaInner::let_close(self.0) }
    }
}

impl fmt::Debug for Lua {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lua({:p})", self.inner().main_state())
    }
}

/// An operation in progress: keeps the instance open. See [`Lua::enter`].
pub(crate) struct Entered<'a> {
    lua: &'a Lua,
    pub(crate) state: *mut engine::lua_State,
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `enter` counted once.
        unsafe { LuaInner::let_close(self.lua.0) }
    }
}
