//! What owned handles do without an `upgrade` written out.

use super::owned::{OwnedAnyUserData, OwnedFunction, OwnedString, OwnedThread};
#[cfg(feature = "weak-owned")]
use super::{
    borrowed::{BorrowedBytes, BorrowedStr},
    owned::OwnedTable,
};
use crate::error::Result;
use crate::thread::ThreadStatus;
#[cfg(feature = "weak-owned")]
use crate::userdata::{UserDataRef, UserDataRefMut};
#[cfg(feature = "weak-owned")]
use crate::value::{FromLua, IntoLua};
use crate::value::{FromLuaMulti, IntoLuaMulti};

#[cfg(feature = "weak-owned")]
impl OwnedTable {
    /// As [`Table::get`](crate::Table::get).
    ///
    /// # Errors
    ///
    /// Those of `Table::get`, and [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn get<'a, K: IntoLua<'a>, V: FromLua<'a>>(&'a self, key: K) -> Result<V> {
        self.try_upgrade()?.get(key)
    }

    /// As [`Table::set`](crate::Table::set).
    ///
    /// # Errors
    ///
    /// Those of `Table::set`, and [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn set<'a, K: IntoLua<'a>, V: IntoLua<'a>>(&'a self, key: K, value: V) -> Result<()> {
        self.try_upgrade()?.set(key, value)
    }

    /// As [`Table::raw_get`](crate::Table::raw_get).
    ///
    /// # Errors
    ///
    /// Those of `Table::raw_get`, and [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn raw_get<'a, K: IntoLua<'a>, V: FromLua<'a>>(&'a self, key: K) -> Result<V> {
        self.try_upgrade()?.raw_get(key)
    }

    /// As [`Table::raw_set`](crate::Table::raw_set).
    ///
    /// # Errors
    ///
    /// Those of `Table::raw_set`, and [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn raw_set<'a, K: IntoLua<'a>, V: IntoLua<'a>>(&'a self, key: K, value: V) -> Result<()> {
        self.try_upgrade()?.raw_set(key, value)
    }
}

/// The proxy of a handle, or an error if there is none.
macro_rules! proxy {
    ($handle:expr) => {{
        #[cfg(feature = "weak-owned")]
        let proxy = $handle.try_upgrade()?;
        #[cfg(not(feature = "weak-owned"))]
        let proxy = $handle.to_ref();
        proxy
    }};
}

impl OwnedFunction {
    /// As [`Function::call`](crate::Function::call).
    ///
    /// # Errors
    ///
    /// Those of `Function::call`, and with `weak-owned` [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance
    /// is closed.
    #[inline]
    pub fn call<'a, A: IntoLuaMulti<'a>, R: FromLuaMulti<'a>>(&'a self, args: A) -> Result<R> {
        proxy!(self).call(args)
    }

    /// As [`Function::call_async`](crate::Function::call_async), but all of it happens when the future is polled.
    ///
    /// With `weak-owned` the future keeps the instance open from its first poll until it is dropped, and not before.
    ///
    /// # Errors
    ///
    /// Those of `Function::call_async`, and with `weak-owned` [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the
    /// instance is closed.
    #[cfg(feature = "async")]
    pub async fn call_async<'a, A, R>(&'a self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'a>,
        R: FromLuaMulti<'a> + 'a,
    {
        proxy!(self).call_async(args).await
    }
}

impl OwnedThread {
    /// As [`Thread::resume`](crate::Thread::resume).
    ///
    /// # Errors
    ///
    /// Those of `Thread::resume`, and with `weak-owned` [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance
    /// is closed.
    pub fn resume<'a, A: IntoLuaMulti<'a>, R: FromLuaMulti<'a>>(&'a self, args: A) -> Result<R> {
        proxy!(self).resume(args)
    }

    /// As [`Thread::status`](crate::Thread::status). With `weak-owned`, [`ThreadStatus::Error`] if the instance is closed.
    pub fn status(&self) -> ThreadStatus {
        #[cfg(feature = "weak-owned")]
        return self
            .try_upgrade()
            .map_or(ThreadStatus::Error, |thread| thread.status());
        #[cfg(not(feature = "weak-owned"))]
        self.to_ref().status()
    }
}

impl OwnedAnyUserData {
    /// Takes the value out of the userdata, as [`AnyUserData::take`](crate::AnyUserData::take).
    ///
    /// # Errors
    ///
    /// Those of `AnyUserData::take`, and with `weak-owned` [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the
    /// instance is closed.
    pub fn take<T: 'static>(&self) -> Result<T> {
        proxy!(self).take()
    }
}

#[cfg(feature = "weak-owned")]
impl OwnedAnyUserData {
    /// Borrows the value in the userdata, as [`AnyUserData::borrow`](crate::AnyUserData::borrow). The guard keeps the
    /// instance open.
    ///
    /// # Errors
    ///
    /// Those of `AnyUserData::borrow`, and [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn borrow<T: 'static>(&self) -> Result<UserDataRef<'_, T>> {
        UserDataRef::new(self.try_upgrade()?)
    }

    /// Borrows the value in the userdata mutably, as [`AnyUserData::borrow_mut`](crate::AnyUserData::borrow_mut). The guard
    /// keeps the instance open.
    ///
    /// # Errors
    ///
    /// Those of `AnyUserData::borrow_mut`, and [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn borrow_mut<T: 'static>(&self) -> Result<UserDataRefMut<'_, T>> {
        UserDataRefMut::new(self.try_upgrade()?)
    }
}

#[cfg(not(feature = "weak-owned"))]
impl OwnedAnyUserData {
    /// Borrows the value in the userdata, as [`AnyUserData::borrow`](crate::AnyUserData::borrow).
    ///
    /// # Errors
    ///
    /// Those of `AnyUserData::borrow`.
    pub fn borrow<T: 'static>(&self) -> Result<std::cell::Ref<'_, T>> {
        // SAFETY: the handle keeps both the instance and the value for as long as it is borrowed, as the proxy would.
        unsafe { crate::userdata::borrow_unbound(&self.to_ref()) }
    }

    /// Borrows the value in the userdata mutably, as [`AnyUserData::borrow_mut`](crate::AnyUserData::borrow_mut).
    ///
    /// # Errors
    ///
    /// Those of `AnyUserData::borrow_mut`.
    pub fn borrow_mut<T: 'static>(&self) -> Result<std::cell::RefMut<'_, T>> {
        // SAFETY: as in `borrow`.
        unsafe { crate::userdata::borrow_mut_unbound(&self.to_ref()) }
    }
}

#[cfg(feature = "weak-owned")]
impl OwnedString {
    /// The string as UTF-8. The guard keeps the instance open.
    ///
    /// # Errors
    ///
    /// [`Error::FromLuaConversionError`](crate::Error::FromLuaConversionError) if it is not UTF-8,
    /// [`Error::LuaDestroyed`](crate::Error::LuaDestroyed) if the instance is closed.
    pub fn to_str(&self) -> Result<BorrowedStr<'_>> {
        BorrowedStr::new(self.try_upgrade()?)
    }

    /// The bytes of the string. The guard keeps the instance open.
    ///
    /// # Panics
    ///
    /// Panics if the instance is closed, since a slice cannot say so. [`OwnedString::try_upgrade`] can.
    #[track_caller]
    pub fn as_bytes(&self) -> BorrowedBytes<'_> {
        BorrowedBytes::new(self.upgrade())
    }
}

#[cfg(not(feature = "weak-owned"))]
impl OwnedString {
    /// The string as UTF-8.
    ///
    /// # Errors
    ///
    /// [`Error::FromLuaConversionError`](crate::Error::FromLuaConversionError) if it is not UTF-8.
    pub fn to_str(&self) -> Result<&str> {
        let string = self.to_ref();
        let text: *const str = string.to_str()?;
        // SAFETY: a Lua string does not move or change, and the handle keeps it for as long as it is borrowed.
        Ok(unsafe { &*text })
    }

    /// The bytes of the string.
    pub fn as_bytes(&self) -> &[u8] {
        let bytes: *const [u8] = self.to_ref().as_bytes();
        // SAFETY: as in `to_str`.
        unsafe { &*bytes }
    }
}
