//! Owned handles: references without a lifetime.
//!
//! What a handle is made of depends on the features: [`weak`] with `weak-owned`, [`shared`] with `send` beside it, so that
//! any thread may clone and drop it, and [`strong`] with `unstable` alone, as in 0.9.

use std::fmt;
#[cfg(feature = "weak-owned")]
use std::hash::{Hash, Hasher};
#[cfg(feature = "weak-owned")]
use std::os::raw::c_void;

use crate::error::Result;
use crate::function::Function;
use crate::string::String;
use crate::table::Table;
use crate::thread::Thread;
use crate::userdata::AnyUserData;
use crate::value::{FromLua, IntoLua, Value};
use crate::Lua;

#[cfg(all(feature = "weak-owned", feature = "send"))]
mod shared;
#[cfg(not(feature = "weak-owned"))]
mod strong;
#[cfg(all(feature = "weak-owned", not(feature = "send")))]
mod weak;

#[cfg(all(feature = "weak-owned", feature = "send"))]
pub(crate) use shared::OwnedRef;
#[cfg(not(feature = "weak-owned"))]
pub(crate) use strong::OwnedRef;
#[cfg(all(feature = "weak-owned", not(feature = "send")))]
pub(crate) use weak::OwnedRef;

/// The handle for one kind of proxy.
macro_rules! handle {
    ($Owned:ident, $Proxy:ident, $Variant:ident, $a:literal, $what:literal) => {
        #[doc = concat!("An owned handle to ", $a, " ", $what, ".")]
        ///
        /// It has no lifetime, so it can be kept anywhere: in a struct, a closure, a `static`.
        #[cfg_attr(feature = "weak-owned", doc = concat!(
            "It does **not** keep its instance open: once the last owner of the instance is gone, the handle is dead and \
             its methods say so. While the instance is open the ", $what, " is not collected.\n\n",
            "Comparing, hashing, cloning, printing and dropping a handle work at any time and run no Lua code; comparing \
             two handles compares which ", $what, " they refer to.\n\n",
            "# Cost\n\n\
             Upgrading, cloning and dropping count up and down: no call into Lua, no allocation. The last handle to go \
             empties the place that it shares with its proxies.\n\n",
            "# Threads\n\n"))]
        #[cfg_attr(all(feature = "weak-owned", not(feature = "send")), doc =
            "A handle stays on the thread of its instance. With the feature `send` it is `Send` and `Sync`.")]
        #[cfg_attr(all(feature = "weak-owned", feature = "send"), doc =
            "Any thread may hold, clone, compare, print and drop a handle. To use it takes the `&Lua`, which only the \
             thread in the VM has: `upgrade_in`. Clones share one allocation. Dropped on any thread, the last of them \
             puts its place on a queue, which the VM's thread empties when it next makes a handle or a registry key, \
             or collects garbage ([`Lua::gc_collect`], [`Lua::expire_registry_values`]).")]
        #[cfg_attr(not(feature = "weak-owned"), doc = "It keeps its instance open.")]
        pub struct $Owned(pub(crate) OwnedRef);

        impl $Proxy<'_> {
            #[doc = concat!("Turns this into an owned handle. The ", $what, " is not copied.")]
            ///
            /// The handle takes over what the proxy holds of the instance, so this cannot fail and makes nothing in Lua.
            #[cfg_attr(all(feature = "weak-owned", feature = "send"), doc =
                "It allocates what the clones of the handle share.")]
            #[inline]
            pub fn into_owned(self) -> $Owned {
                $Owned(OwnedRef::new(self.0))
            }
        }

        #[cfg(feature = "weak-owned")]
        impl $Owned {
            #[doc = concat!("The ", $what, ", borrowed from this handle. Makes no call into Lua.")]
            ///
            /// The proxy keeps the instance open as long as it exists.
            ///
            /// # Panics
            ///
            /// Panics if the instance is closed: `Lua instance is destroyed`.
            #[cfg(not(feature = "send"))]
            #[inline]
            #[track_caller]
            pub fn upgrade(&self) -> $Proxy<'_> {
                match self.0.upgrade() {
                    Some(proxy) => $Proxy(proxy),
                    None => closed(),
                }
            }

            #[doc = concat!("The ", $what, ", borrowed from this handle. Makes no call into Lua.")]
            ///
            /// The proxy keeps the instance open as long as it exists.
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
            /// The proxy may outlive this handle, but not `lua`.
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
            ///
            /// A load and no more. It is false from the moment that the instance begins to close, in the finalizers that run
            /// then as well.
            #[cfg_attr(feature = "send", doc =
                "On another thread than the VM's the answer may be old by the time it is read.")]
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

        #[cfg(not(feature = "weak-owned"))]
        impl $Owned {
            #[doc = concat!("The ", $what, ", borrowed from this handle.")]
            pub const fn to_ref(&self) -> $Proxy<'_> {
                $Proxy(self.0.to_ref())
            }
        }

        impl Clone for $Owned {
            #[inline]
            fn clone(&self) -> Self {
                $Owned(self.0.clone())
            }
        }

        impl fmt::Debug for $Owned {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($Owned), "({:?})"), self.0)
            }
        }

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

            #[inline]
            unsafe fn pop_from_stack(lua: &'_ Lua) -> Result<Self> {
                // SAFETY: passed on.
                unsafe { $Proxy::pop_from_stack(lua) }.map($Proxy::into_owned)
            }
        }

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

#[cfg(all(feature = "weak-owned", not(feature = "send")))]
#[cold]
#[inline(never)]
#[track_caller]
fn closed() -> ! {
    panic!("Lua instance is destroyed")
}
