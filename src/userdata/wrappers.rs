//! How a method finds its `self`; userdata that hold an `Rc<T>`, an `Arc<Mutex<T>>` and the like.
//!
//! A method of `T` can be called on every userdata that leads to a `T`: on one of type `T`, and on one of a wrapper around
//! `T`. The wrappers are [`UserData`] themselves, with the fields and methods of `T`.

use std::any::TypeId;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::ops::{Deref, DerefMut};
use std::os::raw::c_void;
use std::ptr;
#[cfg(not(feature = "send"))]
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::cell::{self, Kind};
use super::types::{metatable_of, TypeKey};
use super::{UserData, UserDataFields, UserDataMethods, UserDataRegistry};
use crate::engine;
use crate::error::{Error, Result};
use crate::state::LuaInner;

/// The `&T` of a method, with what keeps it.
//
// The guards are those of the value behind the pointer next to them, which keeps that value; they are dropped first.
pub(crate) enum Shared<'a, T> {
    Plain(Ref<'a, T>),
    #[cfg(not(feature = "send"))]
    RefCell(Ref<'a, T>, #[allow(dead_code)] Rc<RefCell<T>>),
    Mutex(MutexGuard<'a, T>, #[allow(dead_code)] Arc<Mutex<T>>),
    RwLock(RwLockReadGuard<'a, T>, #[allow(dead_code)] Arc<RwLock<T>>),
    #[cfg(feature = "parking_lot")]
    FastMutex(
        parking_lot::MutexGuard<'a, T>,
        #[allow(dead_code)] Arc<parking_lot::Mutex<T>>,
    ),
    #[cfg(feature = "parking_lot")]
    FastRwLock(
        parking_lot::RwLockReadGuard<'a, T>,
        #[allow(dead_code)] Arc<parking_lot::RwLock<T>>,
    ),
}

/// The `&mut T` of a method, with what keeps it. See [`Shared`].
pub(crate) enum Exclusive<'a, T> {
    Plain(RefMut<'a, T>),
    #[cfg(not(feature = "send"))]
    RefCell(RefMut<'a, T>, #[allow(dead_code)] Rc<RefCell<T>>),
    Mutex(MutexGuard<'a, T>, #[allow(dead_code)] Arc<Mutex<T>>),
    RwLock(RwLockWriteGuard<'a, T>, #[allow(dead_code)] Arc<RwLock<T>>),
    #[cfg(feature = "parking_lot")]
    FastMutex(
        parking_lot::MutexGuard<'a, T>,
        #[allow(dead_code)] Arc<parking_lot::Mutex<T>>,
    ),
    #[cfg(feature = "parking_lot")]
    FastRwLock(
        parking_lot::RwLockWriteGuard<'a, T>,
        #[allow(dead_code)] Arc<parking_lot::RwLock<T>>,
    ),
}

impl<T> Deref for Shared<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        match self {
            Shared::Plain(guard) => guard,
            #[cfg(not(feature = "send"))]
            Shared::RefCell(guard, _) => guard,
            Shared::Mutex(guard, _) => guard,
            Shared::RwLock(guard, _) => guard,
            #[cfg(feature = "parking_lot")]
            Shared::FastMutex(guard, _) => guard,
            #[cfg(feature = "parking_lot")]
            Shared::FastRwLock(guard, _) => guard,
        }
    }
}

impl<T> Deref for Exclusive<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        match self {
            Exclusive::Plain(guard) => guard,
            #[cfg(not(feature = "send"))]
            Exclusive::RefCell(guard, _) => guard,
            Exclusive::Mutex(guard, _) => guard,
            Exclusive::RwLock(guard, _) => guard,
            #[cfg(feature = "parking_lot")]
            Exclusive::FastMutex(guard, _) => guard,
            #[cfg(feature = "parking_lot")]
            Exclusive::FastRwLock(guard, _) => guard,
        }
    }
}

impl<T> DerefMut for Exclusive<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Exclusive::Plain(guard) => guard,
            #[cfg(not(feature = "send"))]
            Exclusive::RefCell(guard, _) => guard,
            Exclusive::Mutex(guard, _) => guard,
            Exclusive::RwLock(guard, _) => guard,
            #[cfg(feature = "parking_lot")]
            Exclusive::FastMutex(guard, _) => guard,
            #[cfg(feature = "parking_lot")]
            Exclusive::FastRwLock(guard, _) => guard,
        }
    }
}

/// A way to find the `self` of a method of `T` at index 1 of the stack.
pub(crate) trait Access<T>: 'static {
    /// `serial` is that of the scope's value whose methods are made, if it is one.
    fn new(serial: u64) -> Self;

    /// Runs `f` with the `self` of the call.
    ///
    /// # Safety
    ///
    /// The call is one of this instance, with room for one value. The userdata stays at index 1 while `f` runs.
    unsafe fn shared<R>(&self, call: Call<'_>, f: impl FnOnce(&T) -> Result<R>) -> Result<R>;

    /// Runs `f` with the `self` of the call, borrowed mutably.
    ///
    /// # Safety
    ///
    /// As [`Access::shared`].
    unsafe fn exclusive<R>(&self, call: Call<'_>, f: impl FnOnce(&mut T) -> Result<R>)
        -> Result<R>;
}

/// The call whose `self` is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Call<'c> {
    pub(crate) inner: &'c LuaInner,
    pub(crate) state: *mut engine::lua_State,
    pub(crate) nargs: i32,
    pub(crate) name: &'c str,
}

impl Call<'_> {
    #[cold]
    #[inline(never)]
    fn bad_self(self, cause: Error) -> Error {
        Error::bad_self_argument(self.name, cause)
    }

    /// The userdata at index 1 and its type.
    unsafe fn find(self) -> Result<super::types::Found> {
        if self.nargs == 0 {
            let cause = Error::from_lua_conversion("missing argument", "userdata", None);
            return Err(self.bad_self(cause));
        }
        // SAFETY: passed on.
        unsafe { self.inner.types.find(self.state, 1) }.map_err(|cause| self.bad_self(cause))
    }
}

/// Access to values of `'static` types, by their type.
pub(crate) struct ByType {
    /// The metatable of the last userdata of type `T` itself; see T1 of the types.
    seen: Cell<*const c_void>,
}

impl ByType {
    /// The cell in the userdata at index 1 if it has the metatable seen last, and so is of type `T`, and holds a value.
    #[inline(always)]
    unsafe fn seen<'a, T: 'static>(&self, call: Call<'_>) -> Option<&'a RefCell<T>> {
        let state = call.state;
        // SAFETY: the address of a metatable that has been seen means `T` for ever (T1), and only userdata of the library have
        // it, so that one is a cell of `T`.
        unsafe {
            let metatable = metatable_of(state, 1);
            if metatable.is_null() || metatable != self.seen.get() {
                return None;
            }
            let userdata = engine::lua_touserdata(state, 1);
            if userdata.is_null() || cell::kind(userdata) != Kind::Value {
                return None;
            }
            Some(&*cell::cell::<T>(userdata))
        }
    }
}

/// The `P` in the userdata `$found` if that is its type, cloned.
macro_rules! pointer {
    ($found:expr, $id:expr, $P:ty, $call:expr) => {
        if $id == TypeId::of::<$P>() {
            // SAFETY: the type says so.
            let pointer = unsafe { cell::borrow::<$P>($found.userdata) };
            let pointer = pointer.map_err(|cause| $call.bad_self(cause))?;
            Some(<$P>::clone(&pointer))
        } else {
            None
        }
    };
}

/// A guard of what `$pointer` points to, for as long as is wanted: the pointer is kept next to it.
macro_rules! guard {
    ($pointer:ident . $lock:ident, $error:expr, $call:expr) => {{
        let place: *const _ = &*$pointer;
        // SAFETY: `$pointer` keeps the value, and is moved next to the guard (see `Shared`).
        unsafe { (*place).$lock() }
            .or_none()
            .ok_or_else(|| $call.bad_self($error))?
    }};
}

trait OrNone<G> {
    fn or_none(self) -> Option<G>;
}

impl<G, E> OrNone<G> for std::result::Result<G, E> {
    #[inline(always)]
    fn or_none(self) -> Option<G> {
        self.ok()
    }
}

#[cfg(feature = "parking_lot")]
impl<G> OrNone<G> for Option<G> {
    #[inline(always)]
    fn or_none(self) -> Option<G> {
        self
    }
}

impl<T: 'static> Access<T> for ByType {
    fn new(_: u64) -> Self {
        ByType {
            seen: Cell::new(ptr::null()),
        }
    }

    #[inline(always)]
    unsafe fn shared<R>(&self, call: Call<'_>, f: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        // SAFETY: passed on.
        unsafe {
            if let Some(Ok(this)) = self.seen::<T>(call).map(RefCell::try_borrow) {
                return f(&this);
            }
            let (mut f, mut result) = (Some(f), None);
            run_shared(self, call, &mut |this| result = f.take().map(|f| f(this)))?;
            result.expect("called once")
        }
    }

    #[inline(always)]
    unsafe fn exclusive<R>(
        &self,
        call: Call<'_>,
        f: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: passed on.
        unsafe {
            if let Some(Ok(mut this)) = self.seen::<T>(call).map(RefCell::try_borrow_mut) {
                return f(&mut this);
            }
            let (mut f, mut result) = (Some(f), None);
            run_exclusive(self, call, &mut |this| {
                result = f.take().map(|f| f(this));
            })?;
            result.expect("called once")
        }
    }
}

/// Finds the `self` of a call wherever it is, and runs `f` with it, once.
#[inline(never)]
unsafe fn run_shared<T: 'static>(
    access: &ByType,
    call: Call<'_>,
    f: &mut dyn FnMut(&T),
) -> Result<()> {
    // SAFETY: passed on.
    f(unsafe { &*find_shared(access, call)? });
    Ok(())
}

/// As [`run_shared`], mutably.
#[inline(never)]
unsafe fn run_exclusive<T: 'static>(
    access: &ByType,
    call: Call<'_>,
    f: &mut dyn FnMut(&mut T),
) -> Result<()> {
    // SAFETY: passed on.
    f(unsafe { &mut *find_exclusive(access, call)? });
    Ok(())
}

unsafe fn find_shared<'a, T: 'static>(access: &ByType, call: Call<'_>) -> Result<Shared<'a, T>> {
    // SAFETY: passed on.
    let found = unsafe { call.find()? };
    let TypeKey::Static(id) = found.key else {
        return Err(call.bad_self(Error::UserDataTypeMismatch));
    };
    if id == TypeId::of::<T>() {
        access.seen.set(found.metatable);
        // SAFETY: the type says so; the caller keeps the userdata where it is.
        let guard = unsafe { cell::borrow(found.userdata) };
        return guard
            .map(Shared::Plain)
            .map_err(|cause| call.bad_self(cause));
    }
    #[cfg(not(feature = "send"))]
    if id == TypeId::of::<Rc<T>>() {
        // SAFETY: as above.
        let guard = unsafe { cell::borrow::<Rc<T>>(found.userdata) };
        let guard = guard.map_err(|cause| call.bad_self(cause))?;
        return Ok(Shared::Plain(Ref::map(guard, |rc| &**rc)));
    }
    #[cfg(not(feature = "send"))]
    if let Some(rc) = pointer!(found, id, Rc<RefCell<T>>, call) {
        return Ok(Shared::RefCell(
            guard!(rc.try_borrow, Error::UserDataBorrowError, call),
            rc,
        ));
    }
    if id == TypeId::of::<Arc<T>>() {
        // SAFETY: as above.
        let guard = unsafe { cell::borrow::<Arc<T>>(found.userdata) };
        let guard = guard.map_err(|cause| call.bad_self(cause))?;
        return Ok(Shared::Plain(Ref::map(guard, |arc| &**arc)));
    }
    if let Some(arc) = pointer!(found, id, Arc<Mutex<T>>, call) {
        return Ok(Shared::Mutex(
            guard!(arc.try_lock, Error::UserDataBorrowError, call),
            arc,
        ));
    }
    if let Some(arc) = pointer!(found, id, Arc<RwLock<T>>, call) {
        return Ok(Shared::RwLock(
            guard!(arc.try_read, Error::UserDataBorrowError, call),
            arc,
        ));
    }
    #[cfg(feature = "parking_lot")]
    if let Some(arc) = pointer!(found, id, Arc<parking_lot::Mutex<T>>, call) {
        return Ok(Shared::FastMutex(
            guard!(arc.try_lock, Error::UserDataBorrowError, call),
            arc,
        ));
    }
    #[cfg(feature = "parking_lot")]
    if let Some(arc) = pointer!(found, id, Arc<parking_lot::RwLock<T>>, call) {
        return Ok(Shared::FastRwLock(
            guard!(arc.try_read, Error::UserDataBorrowError, call),
            arc,
        ));
    }
    Err(call.bad_self(Error::UserDataTypeMismatch))
}

unsafe fn find_exclusive<'a, T: 'static>(
    access: &ByType,
    call: Call<'_>,
) -> Result<Exclusive<'a, T>> {
    // SAFETY: passed on.
    let found = unsafe { call.find()? };
    let TypeKey::Static(id) = found.key else {
        return Err(call.bad_self(Error::UserDataTypeMismatch));
    };
    if id == TypeId::of::<T>() {
        access.seen.set(found.metatable);
        // SAFETY: the type says so; the caller keeps the userdata where it is.
        let guard = unsafe { cell::borrow_mut(found.userdata) };
        return guard
            .map(Exclusive::Plain)
            .map_err(|cause| call.bad_self(cause));
    }
    #[cfg(not(feature = "send"))]
    if id == TypeId::of::<Rc<T>>() {
        return Err(Error::UserDataBorrowMutError);
    }
    #[cfg(not(feature = "send"))]
    if let Some(rc) = pointer!(found, id, Rc<RefCell<T>>, call) {
        let guard = guard!(rc.try_borrow_mut, Error::UserDataBorrowMutError, call);
        return Ok(Exclusive::RefCell(guard, rc));
    }
    if id == TypeId::of::<Arc<T>>() {
        return Err(Error::UserDataBorrowMutError);
    }
    if let Some(arc) = pointer!(found, id, Arc<Mutex<T>>, call) {
        let guard = guard!(arc.try_lock, Error::UserDataBorrowMutError, call);
        return Ok(Exclusive::Mutex(guard, arc));
    }
    if let Some(arc) = pointer!(found, id, Arc<RwLock<T>>, call) {
        let guard = guard!(arc.try_write, Error::UserDataBorrowMutError, call);
        return Ok(Exclusive::RwLock(guard, arc));
    }
    #[cfg(feature = "parking_lot")]
    if let Some(arc) = pointer!(found, id, Arc<parking_lot::Mutex<T>>, call) {
        let guard = guard!(arc.try_lock, Error::UserDataBorrowMutError, call);
        return Ok(Exclusive::FastMutex(guard, arc));
    }
    #[cfg(feature = "parking_lot")]
    if let Some(arc) = pointer!(found, id, Arc<parking_lot::RwLock<T>>, call) {
        let guard = guard!(arc.try_write, Error::UserDataBorrowMutError, call);
        return Ok(Exclusive::FastRwLock(guard, arc));
    }
    Err(call.bad_self(Error::UserDataTypeMismatch))
}

/// The `self` of an async method, borrowed for as long as the guard lives.
///
/// # Safety
///
/// As [`Access::shared`]; somebody keeps the userdata for longer than the guard.
#[cfg(feature = "async")]
pub(super) unsafe fn keep_shared<'a, T: 'static>(
    access: &ByType,
    call: Call<'_>,
) -> Result<Shared<'a, T>> {
    // SAFETY: passed on.
    unsafe {
        if let Some(Ok(this)) = access.seen::<T>(call).map(RefCell::try_borrow) {
            return Ok(Shared::Plain(this));
        }
        refuse_lent(call)?;
        find_shared(access, call)
    }
}

/// As [`keep_shared`], mutably.
///
/// # Safety
///
/// As [`keep_shared`].
#[cfg(feature = "async")]
pub(super) unsafe fn keep_exclusive<'a, T: 'static>(
    access: &ByType,
    call: Call<'_>,
) -> Result<Exclusive<'a, T>> {
    // SAFETY: passed on.
    unsafe {
        if let Some(Ok(this)) = access.seen::<T>(call).map(RefCell::try_borrow_mut) {
            return Ok(Exclusive::Plain(this));
        }
        refuse_lent(call)?;
        find_exclusive(access, call)
    }
}

/// A future may outlast a scope, and so must not borrow what the scope has lent.
#[cfg(feature = "async")]
unsafe fn refuse_lent(call: Call<'_>) -> Result<()> {
    // SAFETY: passed on; what `find` returns is a cell.
    unsafe {
        let found = call.find()?;
        let is_static = matches!(found.key, TypeKey::Static(_));
        if is_static && cell::kind(found.userdata) == Kind::Value {
            return Ok(());
        }
        Err(Error::runtime(
            "asynchronous methods are not supported for userdata that a scope lends",
        ))
    }
}

#[cfg(feature = "async")]
impl<T> crate::future::task::Guard for Shared<'_, T> {
    const IS_BORROW: bool = true;
}

#[cfg(feature = "async")]
impl<T> crate::future::task::Guard for Exclusive<'_, T> {
    const IS_BORROW: bool = true;
}

/// Access to the one value of a scope that a metatable is made for, which may be of a type that is not `'static`.
pub(crate) struct BySerial(u64);

impl BySerial {
    unsafe fn find(&self, call: Call<'_>) -> Result<*mut c_void> {
        // SAFETY: passed on.
        let found = unsafe { call.inner.types.find(call.state, 1) };
        let found = found.map_err(|cause| call.bad_self(cause))?;
        if found.key != TypeKey::Scoped(self.0) {
            return Err(call.bad_self(Error::UserDataTypeMismatch));
        }
        Ok(found.userdata)
    }
}

impl<T> Access<T> for BySerial {
    fn new(serial: u64) -> Self {
        BySerial(serial)
    }

    unsafe fn shared<R>(&self, call: Call<'_>, f: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        // SAFETY: the metatable with this serial number is that of one userdata, whose type this access is for.
        let this = unsafe { cell::borrow(self.find(call)?)? };
        f(&this)
    }

    unsafe fn exclusive<R>(
        &self,
        call: Call<'_>,
        f: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: as in `shared`.
        let mut this = unsafe { cell::borrow_mut(self.find(call)?)? };
        f(&mut this)
    }
}

macro_rules! wrapper {
    ($(#[$cfg:meta])? $T:ident => $Wrapper:ty) => {
        $(#[$cfg])?
        impl<$T: UserData + 'static> UserData for $Wrapper {
            fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
                let mut registry = UserDataRegistry::<$T>::new();
                $T::add_fields(&mut registry);
                fields.append_fields_from(registry);
            }

            fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
                let mut registry = UserDataRegistry::<$T>::new();
                $T::add_methods(&mut registry);
                methods.append_methods_from(registry);
            }
        }
    };
}

wrapper!(#[cfg(not(feature = "send"))] T => Rc<T>);
wrapper!(#[cfg(not(feature = "send"))] T => Rc<RefCell<T>>);
wrapper!(T => Arc<T>);
wrapper!(T => Arc<Mutex<T>>);
wrapper!(T => Arc<RwLock<T>>);
wrapper!(#[cfg(feature = "parking_lot")] T => Arc<parking_lot::Mutex<T>>);
wrapper!(#[cfg(feature = "parking_lot")] T => Arc<parking_lot::RwLock<T>>);
