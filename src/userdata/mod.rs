//! Userdata: Rust values that Lua holds.
//!
//! | file | what |
//! |---|---|
//! | `types` | which metatable stands for which Rust type |
//! | `cell` | what lies in the memory of a userdata |
//! | `registry`, `method` | the fields and methods of a type, and the C functions behind them |
//! | `metatable`, `index` | metatables, with `__index` and `__newindex` |
//! | `wrappers` | how a method finds its `self`, also in an `Rc` or a `Mutex` |
//! | `create` | how userdata are made |
//! | `user_value` | Lua values that a userdata carries |

use std::cell::{Ref as CellRef, RefMut as CellRefMut};
use std::fmt;
use std::os::raw::c_void;

pub(crate) mod cell;
pub(crate) mod create;
mod ext;
mod index;
mod meta;
pub(crate) mod metatable;
mod method;
#[cfg(feature = "async")]
mod method_async;
mod refs;
pub(crate) mod registry;
mod traits;
pub(crate) mod types;
mod user_value;
mod wrappers;

pub use ext::AnyUserDataExt;
pub use meta::MetaMethod;
pub use metatable::UserDataMetatable;
pub use refs::{UserDataRef, UserDataRefMut};
pub use registry::UserDataRegistry;
pub use traits::{UserData, UserDataFields, UserDataMethods};

use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use types::{Found, TypeKey};

/// A userdata: a Rust value that Lua holds, or a value of a C library.
///
/// Two of them are equal if they are the same userdata; [`Value::equals`](crate::Value::equals) asks the metamethod `__eq`.
///
/// # Examples
///
/// ```
/// # use mlua::{AnyUserData, Lua, Result, UserData};
/// struct Counter(u32);
/// impl UserData for Counter {}
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let counter: AnyUserData = lua.create_userdata(Counter(1))?;
/// counter.borrow_mut::<Counter>()?.0 += 1;
/// assert_eq!(counter.borrow::<Counter>()?.0, 2);
/// assert!(!counter.is::<String>());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AnyUserData<'lua>(pub(crate) Ref<'lua>);

impl<'lua> AnyUserData<'lua> {
    /// Whether the userdata holds a `T`. One whose value is gone holds nothing.
    pub fn is<T: 'static>(&self) -> bool {
        let key = TypeKey::Static(std::any::TypeId::of::<T>());
        self.find().is_ok_and(|found| found.key == key)
    }

    /// Borrows the value.
    ///
    /// # Errors
    ///
    /// [`Error::UserDataTypeMismatch`](crate::Error::UserDataTypeMismatch) if the userdata does not hold a `T`, [`Error::UserDataDestructed`](crate::Error::UserDataDestructed) if its value is
    /// gone, [`Error::UserDataBorrowError`](crate::Error::UserDataBorrowError) if it is borrowed mutably.
    #[inline]
    pub fn borrow<T: 'static>(&self) -> Result<CellRef<'_, T>> {
        // SAFETY: the result borrows `self`, which keeps the userdata.
        unsafe { borrow_unbound(self) }
    }

    /// Borrows the value mutably.
    ///
    /// # Errors
    ///
    /// As [`AnyUserData::borrow`], with [`Error::UserDataBorrowMutError`](crate::Error::UserDataBorrowMutError) if it is borrowed already, or if a scope has lent
    /// it for reading only.
    #[inline]
    pub fn borrow_mut<T: 'static>(&self) -> Result<CellRefMut<'_, T>> {
        // SAFETY: the result borrows `self`, which keeps the userdata.
        unsafe { borrow_mut_unbound(self) }
    }

    /// Takes the value out. From here on every use of the userdata fails; its user values are no longer reachable.
    ///
    /// # Errors
    ///
    /// As [`AnyUserData::borrow_mut`]. A value that a scope has only lent cannot be taken.
    pub fn take<T: 'static>(&self) -> Result<T> {
        let found = self.find()?;
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: the userdata is pushed and held; there is room for two more.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            cell::take(lua.inner(), state, -1, found)
        }
    }

    /// The metatable, of which all userdata of a `'static` type have the same.
    ///
    /// # Errors
    ///
    /// [`Error::UserDataTypeMismatch`](crate::Error::UserDataTypeMismatch) if the userdata is not one of this library, [`Error::UserDataDestructed`](crate::Error::UserDataDestructed) if its
    /// value is gone.
    pub fn get_metatable(&self) -> Result<UserDataMetatable<'lua>> {
        self.find()?;
        let state = self.0.state();
        // SAFETY: a userdata of ours has a metatable; `pop` takes it.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            engine::lua_getmetatable(state, -1);
            let metatable = Ref::pop(self.0.lua())?;
            Ok(UserDataMetatable(metatable))
        }
    }

    /// The address that identifies the userdata. It cannot be turned back into one.
    pub fn to_pointer(&self) -> *const c_void {
        self.0.to_pointer()
    }

    /// The userdata and its type, if it is one of ours with a value.
    #[inline]
    pub(crate) fn find(&self) -> Result<Found> {
        // SAFETY: `find` only reads, so it may do so where the value lies.
        unsafe {
            let (thread, index) = self.0.peek();
            self.0.lua().inner().types.find(thread, index)
        }
    }

    /// The userdata, if it is one of type `T` with a value.
    #[inline]
    fn find_typed<T: 'static>(&self) -> Result<*mut c_void> {
        // SAFETY: as in `find`; a proxy of this type is made of full userdata only.
        unsafe {
            let (thread, index) = self.0.peek();
            let types = &self.0.lua().inner().types;
            types.find_typed::<T>(thread, index)
        }
    }
}

/// Borrows the value in `userdata`.
///
/// # Safety
///
/// Something keeps the userdata for longer than the borrow lives.
#[inline]
pub(crate) unsafe fn borrow_unbound<'a, T: 'static>(
    userdata: &AnyUserData<'_>,
) -> Result<CellRef<'a, T>> {
    // SAFETY: `find_typed` has found a cell of type `T`.
    unsafe { cell::borrow(userdata.find_typed::<T>()?) }
}

/// Borrows the value in `userdata` mutably.
///
/// # Safety
///
/// As [`borrow_unbound`].
#[inline]
pub(crate) unsafe fn borrow_mut_unbound<'a, T: 'static>(
    userdata: &AnyUserData<'_>,
) -> Result<CellRefMut<'a, T>> {
    // SAFETY: as in `borrow_unbound`.
    unsafe { cell::borrow_mut(userdata.find_typed::<T>()?) }
}

impl PartialEq for AnyUserData<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl<'lua> AsRef<AnyUserData<'lua>> for AnyUserData<'lua> {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for AnyUserData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyUserData").field(&self.0).finish()
    }
}
