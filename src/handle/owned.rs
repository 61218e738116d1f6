//! Owned handles: references without a lifetime.
//!
//! With `weak-owned` a handle is weak to its instance and strong to its value: it holds a count of the block (so that it
//! can always find out whether the instance is open) and a count of its slot (so that the value stays), but none in
//! `open`. With `unstable` alone it is an owner of the instance, as in 0.9.
//!
//! Invariants of the weak kind:
//!
//! * H1. `lua` is a view, and the handle holds one count in `refs` for it. So `&self.lua` is a valid `&Lua` for as long as
//!   the handle is borrowed, whether or not the instance is open: that is what lets [`upgrade`](OwnedTable::upgrade) lend
//!   it for the whole borrow.
//! * H2. While the instance is open, the handle holds one count of `slot`. Once it is not, `slot` means nothing.
//! * H3. `pointer` identifies the value among all that were alive in the instance together with the handle. It is set once,
//!   so that comparing, hashing and printing touch neither VM nor slot.

use std::fmt;
#[cfg(feature = "weak-owned")]
use std::hash::{Hash, Hasher};
#[cfg(feature = "weak-owned")]
use std::mem::ManuallyDrop;
#[cfg(feature = "weak-owned")]
use std::os::raw::c_void;
#[cfg(feature = "weak-owned")]
use std::ptr;

use super::proxy::Ref;
use super::slots::Slot;
use crate::error::Result;
use crate::function::Function;
use crate::state::LuaInner;
use crate::string::String;
use crate::table::Table;
use crate::thread::Thread;
use crate::userdata::AnyUserData;
use crate::value::{FromLua, IntoLua, Value};
use crate::Lua;

/// What every owned handle is made of.
#[cfg(feature = "weak-owned")]
pub(crate) struct OwnedRef {
    lua: ManuallyDrop<Lua>,
    pointer: *const c_void,
    slot: Slot,
}

#[cfg(feature = "weak-owned")]
impl OwnedRef {
    /// Moves the slot of `proxy` into a handle.
    #[inline]
    pub(crate) fn new(proxy: Ref) -> OwnedRef {
        let pointer = match proxy.lua().inner().state_or_null().is_null() {
            true => ptr::null(),
            false => proxy.to_pointer(),
        };
        let (lua, slot) = proxy.into_parts();
        lua.inner().retain();
        let this = OwnedRef {
            lua: lua.view(),
            pointer,
            slot,
        };
        // SAFETY: the count in `open` that the proxy had; we keep the block (H1).
        unsafe { LuaInner::let_close(this.lua.0) };
        this
    }

    #[inline(always)]
    pub(crate) fn is_alive(&self) -> bool {
        self.lua.inner().is_alive()
    }

    /// A proxy that shares the slot and borrows the view in this handle.
    #[inline(always)]
    pub(crate) fn try_upgrade(&self) -> Result<Ref<'_>> {
        if !self.is_alive() {
            return Err(crate::Error::LuaDestroyed);
        }
        // SAFETY: H2.
        Ok(unsafe { Ref::share(&self.lua, self.slot) })
    }

    /// A proxy that shares the slot and borrows `lua`.
    #[inline(always)]
    pub(crate) fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<Ref<'lua>> {
        self.check(lua)?;
        // SAFETY: H2.
        Ok(unsafe { Ref::share(lua, self.slot) })
    }

    /// Pushes the value onto the running state of `lua`.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[inline(always)]
    unsafe fn push_to(&self, lua: &Lua) -> Result<()> {
        self.check(lua)?;
        let inner = lua.inner();
        // SAFETY: H2.
        unsafe { inner.slots.push(self.slot, inner.state()) };
        Ok(())
    }

    /// That the instance is open and that of `lua`.
    #[inline(always)]
    fn check(&self, lua: &Lua) -> Result<()> {
        if !self.is_alive() {
            return Err(crate::Error::LuaDestroyed);
        }
        if !self.lua.is_same(lua) {
            return Err(crate::Error::MismatchedLua);
        }
        Ok(())
    }

    pub(crate) fn pointer(&self) -> *const c_void {
        self.pointer
    }
}

#[cfg(feature = "weak-owned")]
impl Clone for OwnedRef {
    #[inline]
    fn clone(&self) -> Self {
        let inner = self.lua.inner();
        if inner.is_alive() {
            inner.slots.retain(self.slot);
        }
        inner.retain();
        OwnedRef {
            lua: self.lua.view(),
            ..*self
        }
    }
}

#[cfg(feature = "weak-owned")]
impl Drop for OwnedRef {
    #[inline]
    fn drop(&mut self) {
        let inner = self.lua.inner();
        // SAFETY: H2: the slot is ours while the instance is open; handles do not leave the VM's thread. H1: so is the count.
        unsafe {
            if inner.is_alive() {
                inner.slots.release(self.slot);
            }
            LuaInner::release(self.lua.0);
        }
    }
}

#[cfg(feature = "weak-owned")]
impl PartialEq for OwnedRef {
    fn eq(&self, other: &Self) -> bool {
        self.lua.is_same(&other.lua) && self.pointer == other.pointer
    }
}

#[cfg(feature = "weak-owned")]
impl Hash for OwnedRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lua.0.hash(state);
        self.pointer.hash(state);
    }
}

#[cfg(feature = "weak-owned")]
impl fmt::Debug for OwnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:p}{}",
            self.pointer,
            if self.is_alive() { "" } else { ", closed" }
        )
    }
}

/// What every owned handle is made of.
#[cfg(not(feature = "weak-owned"))]
#[cfg_attr(feature = "send", allow(dead_code))]
pub(crate) struct OwnedRef {
    /// An owner.
    lua: Lua,
    slot: Slot,
}

#[cfg(not(any(feature = "weak-owned", feature = "send")))]
impl OwnedRef {
    /// Moves the slot of `proxy` into a handle.
    pub(crate) fn new(proxy: Ref) -> OwnedRef {
        let (lua, slot) = proxy.into_parts();
        // The count in `open` that the proxy had is now that of an owner.
        OwnedRef {
            lua: Lua(lua.0),
            slot,
        }
    }

    /// A proxy that shares the slot.
    pub(crate) const fn to_ref(&self) -> Ref<'_> {
        // SAFETY: we own a count of the slot, and an owner keeps the instance open.
        unsafe { Ref::share(&self.lua, self.slot) }
    }

    unsafe fn push_to(&self, lua: &Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.to_ref().push_to(lua) }
    }

    fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<Ref<'lua>> {
        if !self.lua.is_same(lua) {
            return Err(crate::Error::MismatchedLua);
        }
        // SAFETY: as in `to_ref`.
        Ok(unsafe { Ref::share(lua, self.slot) })
    }
}

#[cfg(not(any(feature = "weak-owned", feature = "send")))]
impl Clone for OwnedRef {
    fn clone(&self) -> Self {
        OwnedRef::new(self.to_ref())
    }
}

#[cfg(not(feature = "weak-owned"))]
impl Drop for OwnedRef {
    fn drop(&mut self) {
        // SAFETY: we own a count of the slot, and `lua`, which goes last, keeps the VM open.
        unsafe { self.lua.inner().slots.release(self.slot) }
    }
}

#[cfg(not(any(feature = "weak-owned", feature = "send")))]
impl fmt::Debug for OwnedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.to_ref().to_pointer())
    }
}

/// The handle for one kind of proxy.
macro_rules! handle {
    ($Owned:ident, $Proxy:ident, $Variant:ident, $a:literal, $what:literal) => {
        #[doc = concat!("An owned handle to ", $a, " ", $what, ".")]
        ///
        /// It has no lifetime, so it can be kept anywhere: in a struct, a closure, a `static`.
        #[cfg_attr(feature = "weak-owned", doc = concat!(
            "It does **not** keep its instance open: once the last owner of the instance is gone, the handle is dead and \
             its methods say so. While the instance is open the ", $what, " is not collected.\n\n",
            "Comparing, hashing, cloning, printing and dropping a handle work at any time and never touch Lua; comparing \
             two handles compares which ", $what, " they refer to."))]
        #[cfg_attr(not(feature = "weak-owned"), doc = "It keeps its instance open.")]
        pub struct $Owned(pub(crate) OwnedRef);

        #[cfg(any(feature = "weak-owned", not(feature = "send")))]
        impl $Proxy<'_> {
            #[doc = concat!("Turns this into an owned handle. The ", $what, " is not copied.")]
            #[inline]
            pub fn into_owned(self) -> $Owned {
                $Owned(OwnedRef::new(self.0))
            }
        }

        #[cfg(feature = "weak-owned")]
        impl $Owned {
            #[doc = concat!("The ", $what, ", borrowed from this handle. Makes no call into Lua.")]
            ///
            /// # Panics
            ///
            /// Panics if the instance is closed: `Lua instance is destroyed`.
            #[cfg(not(feature = "send"))]
            #[inline]
            #[track_caller]
            pub fn upgrade(&self) -> $Proxy<'_> {
                match self.0.try_upgrade() {
                    Ok(proxy) => $Proxy(proxy),
                    Err(_) => super::owned::closed(),
                }
            }

            #[doc = concat!("The ", $what, ", borrowed from this handle. Makes no call into Lua.")]
            ///
            /// # Errors
            ///
            /// [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
            #[cfg(not(feature = "send"))]
            #[inline]
            pub fn try_upgrade(&self) -> Result<$Proxy<'_>> {
                self.0.try_upgrade().map($Proxy)
            }

            #[doc = concat!("The ", $what, ", borrowed from `lua`. Makes no call into Lua.")]
            ///
            /// # Errors
            ///
            /// [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the handle's instance is closed,
            /// [`Error::MismatchedLua`](crate::Error::MismatchedLua) if it is not that of `lua`.
            #[inline]
            pub fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<$Proxy<'lua>> {
                self.0.upgrade_in(lua).map($Proxy)
            }

            #[doc = concat!("The name that [`", stringify!($Owned), "::upgrade`] has in 0.9.")]
            ///
            /// # Panics
            ///
            /// Panics if the instance is closed.
            #[cfg(not(feature = "send"))]
            #[inline]
            #[track_caller]
            pub fn to_ref(&self) -> $Proxy<'_> {
                self.upgrade()
            }

            /// Whether the instance is open.
            #[inline]
            pub fn is_alive(&self) -> bool {
                self.0.is_alive()
            }

            #[doc = concat!("The address that identifies the ", $what, ". It is there also after the instance is closed.")]
            #[inline]
            pub fn to_pointer(&self) -> *const c_void {
                self.0.pointer()
            }
        }

        #[cfg(not(any(feature = "weak-owned", feature = "send")))]
        impl $Owned {
            #[doc = concat!("The ", $what, ", borrowed from this handle.")]
            pub const fn to_ref(&self) -> $Proxy<'_> {
                $Proxy(self.0.to_ref())
            }
        }

        #[cfg(any(feature = "weak-owned", not(feature = "send")))]
        impl Clone for $Owned {
            #[inline]
            fn clone(&self) -> Self {
                $Owned(self.0.clone())
            }
        }

        #[cfg(any(feature = "weak-owned", not(feature = "send")))]
        impl fmt::Debug for $Owned {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($Owned), "({:?})"), self.0)
            }
        }

        #[cfg(any(feature = "weak-owned", not(feature = "send")))]
        impl FromLua<'_> for $Owned {
            #[inline]
            fn from_lua(value: Value<'_>, lua: &'_ Lua) -> Result<Self> {
                $Proxy::from_lua(value, lua).map($Proxy::into_owned)
            }

            #[inline]
            unsafe fn from_stack(idx: std::os::raw::c_int, lua: &'_ Lua) -> Result<Self> {
                // SAFETY: passed on.
                unsafe { $Proxy::from_stack(idx, lua) }.map($Proxy::into_owned)
            }
        }

        #[cfg(any(feature = "weak-owned", not(feature = "send")))]
        impl IntoLua<'_> for $Owned {
            #[inline]
            fn into_lua(self, lua: &'_ Lua) -> Result<Value<'_>> {
                (&self).into_lua(lua)
            }

            #[inline]
            unsafe fn push_into_stack(self, lua: &'_ Lua) -> Result<()> {
                // SAFETY: passed on.
                unsafe { self.0.push_to(lua) }
            }
        }

        #[cfg(any(feature = "weak-owned", not(feature = "send")))]
        impl IntoLua<'_> for &$Owned {
            #[inline]
            fn into_lua(self, lua: &'_ Lua) -> Result<Value<'_>> {
                self.0.upgrade_in(lua).map(|proxy| Value::$Variant($Proxy(proxy)))
            }

            #[inline]
            unsafe fn push_into_stack(self, lua: &'_ Lua) -> Result<()> {
                // SAFETY: passed on.
                unsafe { self.0.push_to(lua) }
            }
        }
    };
}

handle!(OwnedTable, Table, Table, "a", "table");
handle!(OwnedFunction, Function, Function, "a", "function");
handle!(OwnedString, String, String, "a", "string");
handle!(OwnedThread, Thread, Thread, "a", "coroutine");
handle!(OwnedAnyUserData, AnyUserData, UserData, "a", "userdata");

/// Short for [`OwnedAnyUserData`].
pub type OwnedUserData = OwnedAnyUserData;

#[cfg(feature = "weak-owned")]
macro_rules! identity {
    ($($Owned:ident)*) => {$(
        impl PartialEq for $Owned {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl Eq for $Owned {}

        impl Hash for $Owned {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state)
            }
        }
    )*};
}

#[cfg(feature = "weak-owned")]
identity!(OwnedTable OwnedFunction OwnedThread OwnedAnyUserData);

#[cfg(feature = "weak-owned")]
const _: () = assert!(std::mem::size_of::<OwnedRef>() == 24);

#[cfg(all(feature = "weak-owned", not(feature = "send")))]
#[cold]
#[inline(never)]
#[track_caller]
fn closed() -> ! {
    panic!("Lua instance is destroyed")
}
