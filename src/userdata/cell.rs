//! The cell: what lies in the memory of a userdata of ours.
//!
//! A cell is `{ Header, RefCell<P> }`. The metatable says which type `T` it is about ([`TypeMap`](super::types::TypeMap)),
//! the header what `P` is: `T` itself, or a reference to a `T` that lives outside of Lua for as long as a scope.
//!
//! * C1. `P` is as the header says for as long as the userdata has the metatable that it was made with. What moves the value
//!   out, or drops it, first gives the userdata the metatable of destructed userdata ([`destruct`]).
//! * C2. A value is moved out or dropped only if its `RefCell` is not borrowed.

use std::cell::{Ref, RefCell, RefMut};
use std::mem;
use std::os::raw::{c_int, c_void};
use std::ptr;
#[cfg(not(finalizers))]
use std::ptr::NonNull;

#[cfg(finalizers)]
use super::types::metatable_of;
use super::types::{Found, TypeKey};
use crate::call::drop_unused;
#[cfg(not(finalizers))]
use crate::call::new_swept_userdata;
#[cfg(finalizers)]
use crate::call::{callback::upvalue, cell::run_finalizer, new_userdata};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::slots::Slot;
#[cfg(finalizers)]
use crate::state::finalize::ensure_finalizer;
#[cfg(not(finalizers))]
use crate::state::remains::Remains;
use crate::state::LuaInner;

/// What a cell of type `T` holds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Kind {
    /// A `T`.
    Value,
    /// A `&T`.
    Ref,
    /// A `&mut T`.
    RefMut,
}

#[repr(C)]
struct Header {
    kind: Kind,
    #[cfg(not(finalizers))]
    swept: Swept,
    /// How to serialise the value, if it was made for that.
    #[cfg(feature = "serialize")]
    lend: Option<Lend>,
}

/// What the sweep has to know of a cell. All zeros: nothing is to be done.
#[cfg(not(finalizers))]
struct Swept {
    inner: Option<NonNull<LuaInner>>,
    /// Whether there is a value in the cell that belongs to it.
    owns: bool,
    /// The table of user values, once there is one.
    user_values: Option<Slot>,
}

/// Lends the value of the cell at a userdata for serialising.
#[cfg(feature = "serialize")]
pub(crate) type Lend = unsafe fn(*mut c_void, &mut Borrower<'_>) -> Result<()>;

/// What a [`Lend`] lends to.
#[cfg(feature = "serialize")]
pub(crate) type Borrower<'a> = dyn FnMut(&dyn erased_serde::Serialize) + 'a;

/// The alignment that Lua gives to userdata. A value that wants more lies that much further in.
const ALIGN: usize = 8;

/// User values of each userdata: the first, and a table for the others. Where there is but one, it is the table.
pub(crate) const USER_VALUES: c_int = engine::USER_VALUES;

/// Pushes a userdata that holds `value`. If there is no memory, `value` is dropped.
///
/// # Safety
///
/// `state` is a running state of the instance with 4 free places. `metatable` is in the map for the type that `value` is of
/// or refers to, as `kind` says. If it refers to one, the userdata is destructed before that reference ends.
#[inline]
pub(crate) unsafe fn push<P>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    value: P,
    kind: Kind,
    metatable: Slot,
) -> Result<()> {
    // SAFETY: the memory is large enough. Setting a metatable does not raise.
    unsafe {
        let userdata = match new_memory::<P>(inner, state) {
            Ok(userdata) => userdata,
            Err(error) => {
                drop_unused(inner, state, value);
                return Err(error);
            }
        };
        write(inner, userdata, value, kind);
        inner.slots.push(metatable, state);
        engine::lua_setmetatable(state, -2);
        #[cfg(finalizers)]
        if let Err(error) = ensure_finalizer(inner, state) {
            engine::lua_pop(state, 1);
            return Err(error);
        }
    }
    Ok(())
}

/// Pushes a userdata that [`write`] can make a cell that holds a `P`.
///
/// # Safety
///
/// As [`push`].
#[inline]
pub(crate) unsafe fn new_memory<P>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
) -> Result<*mut c_void> {
    // SAFETY: passed on.
    unsafe {
        #[cfg(finalizers)]
        return new_userdata(inner, state, size::<P>(), USER_VALUES);
        #[cfg(not(finalizers))]
        new_swept_userdata(inner, state, size::<P>(), sweep::<P>)
    }
}

/// The size of the memory of a cell that holds a `P`, whatever [`cell`] skips for alignment.
const fn size<P>() -> usize {
    mem::size_of::<Header>()
        + mem::size_of::<RefCell<P>>()
        + mem::align_of::<RefCell<P>>().saturating_sub(ALIGN)
}

/// Makes the memory at `userdata` a cell.
///
/// # Safety
///
/// `userdata` was made by [`new_memory::<P>`](new_memory) and is not a cell yet.
#[inline(always)]
#[cfg_attr(finalizers, allow(unused_variables))]
pub(crate) unsafe fn write<P>(inner: &LuaInner, userdata: *mut c_void, value: P, kind: Kind) {
    // SAFETY: the caller's promise.
    unsafe {
        (userdata as *mut Header).write(Header {
            kind,
            #[cfg(not(finalizers))]
            swept: Swept {
                inner: Some(NonNull::from(inner)),
                owns: kind == Kind::Value,
                user_values: None,
            },
            #[cfg(feature = "serialize")]
            lend: None,
        });
        cell::<P>(userdata).write(RefCell::new(value));
    }
}

/// The `RefCell` in the cell at `userdata`.
///
/// # Safety
///
/// `userdata` is a cell that holds a `P`.
#[inline(always)]
pub(crate) unsafe fn cell<P>(userdata: *mut c_void) -> *mut RefCell<P> {
    // SAFETY: `size` has room for this.
    unsafe {
        let after = (userdata as *mut u8).add(mem::size_of::<Header>());
        if mem::align_of::<RefCell<P>>() <= ALIGN {
            after as *mut RefCell<P>
        } else {
            after.add(after.align_offset(mem::align_of::<RefCell<P>>())) as *mut RefCell<P>
        }
    }
}

/// What the cell at `userdata` holds.
///
/// # Safety
///
/// `userdata` is a cell.
#[inline(always)]
pub(crate) unsafe fn kind(userdata: *mut c_void) -> Kind {
    // SAFETY: every cell begins with its header.
    unsafe { (*(userdata as *const Header)).kind }
}

/// Lets the value in the cell at `userdata` be serialised.
///
/// # Safety
///
/// `userdata` is a cell of type `T`.
#[cfg(feature = "serialize")]
pub(crate) unsafe fn make_serializable<T: ::serde::Serialize + 'static>(userdata: *mut c_void) {
    unsafe fn lend<T: ::serde::Serialize + 'static>(
        userdata: *mut c_void,
        borrower: &mut Borrower<'_>,
    ) -> Result<()> {
        // SAFETY: passed on; this function lies in headers of cells of type `T` only.
        let value = unsafe { borrow::<T>(userdata)? };
        borrower(&*value);
        Ok(())
    }
    // SAFETY: every cell begins with its header.
    unsafe { (*(userdata as *mut Header)).lend = Some(lend::<T>) }
}

/// How to serialise the value in the cell at `userdata`, if it was made for that. What is returned may be called with
/// `userdata` as long as that is a cell and something keeps it.
///
/// # Safety
///
/// `userdata` is a cell.
#[cfg(feature = "serialize")]
#[inline]
pub(crate) unsafe fn lend(userdata: *mut c_void) -> Option<Lend> {
    // SAFETY: every cell begins with its header.
    unsafe { (*(userdata as *const Header)).lend }
}

/// Borrows the value of type `T` that the cell at `userdata` holds or refers to.
///
/// # Safety
///
/// `userdata` is a cell of type `T`. The result must not outlive the userdata; that the value itself lives as long is seen to
/// by C2 and by the scope.
#[inline]
pub(crate) unsafe fn borrow<'a, T: 'a>(userdata: *mut c_void) -> Result<Ref<'a, T>> {
    // SAFETY: C1.
    unsafe {
        match kind(userdata) {
            Kind::Value => try_borrow::<T>(userdata),
            Kind::Ref => try_borrow::<&'a T>(userdata).map(|r| Ref::map(r, |r| *r)),
            Kind::RefMut => try_borrow::<&'a mut T>(userdata).map(|r| Ref::map(r, |r| &**r)),
        }
    }
    .ok_or_else(|| Error::UserDataBorrowError)
}

/// Borrows the value of type `T` that the cell at `userdata` holds or refers to, mutably.
///
/// # Safety
///
/// As [`borrow`].
#[inline]
pub(crate) unsafe fn borrow_mut<'a, T: 'a>(userdata: *mut c_void) -> Result<RefMut<'a, T>> {
    // SAFETY: C1.
    unsafe {
        match kind(userdata) {
            Kind::Value => (*cell::<T>(userdata)).try_borrow_mut().ok(),
            Kind::Ref => None,
            Kind::RefMut => (*cell::<&'a mut T>(userdata))
                .try_borrow_mut()
                .ok()
                .map(|r| RefMut::map(r, |r| &mut **r)),
        }
    }
    .ok_or_else(|| Error::UserDataBorrowMutError)
}

unsafe fn try_borrow<'a, P: 'a>(userdata: *mut c_void) -> Option<Ref<'a, P>> {
    // SAFETY: passed on.
    unsafe { (*cell::<P>(userdata)).try_borrow().ok() }
}

/// Whether the value in the cell at `userdata` is borrowed.
///
/// # Safety
///
/// `userdata` is a cell that holds a `P`.
pub(crate) unsafe fn is_borrowed<P>(userdata: *mut c_void) -> bool {
    // SAFETY: passed on.
    unsafe { (*cell::<P>(userdata)).try_borrow_mut().is_err() }
}

/// Moves the value of type `T` out of the userdata at `index`, which is destructed by that.
///
/// # Safety
///
/// `found` is the userdata at `index` of `state`, a running state of the instance with 2 free places.
pub(crate) unsafe fn take<T: 'static>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    index: c_int,
    found: Found,
) -> Result<T> {
    if found.key != TypeKey::Static(std::any::TypeId::of::<T>()) {
        return Err(Error::UserDataTypeMismatch);
    }
    // SAFETY: a cell of type `T`, and a `T` in it where that is read; C1, C2.
    unsafe {
        match kind(found.userdata) {
            Kind::Value if is_borrowed::<T>(found.userdata) => Err(Error::UserDataBorrowMutError),
            Kind::Value => {
                destruct(inner, state, index);
                Ok(ptr::read(cell::<T>(found.userdata)).into_inner())
            }
            Kind::Ref => Err(Error::UserDataBorrowMutError),
            Kind::RefMut => Err(Error::UserDataTypeMismatch),
        }
    }
}

/// Gives the userdata at `index` the metatable of destructed userdata. Its value is the caller's from here on.
///
/// # Safety
///
/// A userdata of ours is at `index` of `state`, a running state of the instance with 2 free places.
pub(crate) unsafe fn destruct(inner: &LuaInner, state: *mut engine::lua_State, index: c_int) {
    let metatable = inner.types.destructed();
    let metatable = metatable.expect("made before the first metatable of userdata");
    // SAFETY: setting a metatable does not raise; this one has no `__gc`.
    unsafe {
        #[cfg(not(finalizers))]
        {
            let header = engine::lua_touserdata(state, index) as *mut Header;
            (*header).swept.owns = false;
        }
        engine::lua_pushvalue(state, index);
        inner.slots.push(metatable, state);
        engine::lua_setmetatable(state, -2);
        engine::lua_pop(state, 1);
    }
}

/// What the sweep calls when a cell that holds a `P` goes: moves the value out. One that is borrowed is leaked, as by `__gc`.
#[cfg(not(finalizers))]
unsafe extern "C" fn sweep<P>(_: *mut engine::lua_State, userdata: *mut c_void) {
    // SAFETY: a cell that holds a `P`, or all zeros. C1, C2.
    unsafe {
        let swept = &mut (*(userdata as *mut Header)).swept;
        let Some(inner) = swept.inner else { return };
        let inner = inner.as_ref();
        if let Some(slot) = swept.user_values.take() {
            inner.unref.put(slot);
        }
        if std::mem::replace(&mut swept.owns, false)
            && mem::needs_drop::<P>()
            && !is_borrowed::<P>(userdata)
        {
            Remains::leave(inner, ptr::read(cell::<P>(userdata)));
        }
    }
}

/// The place for the slot of the table of user values of the cell at `userdata`.
///
/// # Safety
///
/// `userdata` is a cell. The reference ends before anything else happens.
#[cfg(not(finalizers))]
pub(super) unsafe fn user_values<'a>(userdata: *mut c_void) -> &'a mut Option<Slot> {
    // SAFETY: every cell begins with its header.
    unsafe { &mut (*(userdata as *mut Header)).swept.user_values }
}

/// What the `__gc` of a type has to know: the address of its metatable.
#[cfg(finalizers)]
pub(super) struct Collector(pub(super) *const c_void);

/// `__gc` of userdata of type `T`. Its upvalues are a plain cell with a [`Collector`], and the metatable of destructed
/// userdata.
///
/// Libraries for debugging can call it with anything at any time, so it looks at what it gets. A value that is borrowed is
/// leaked: that takes a borrow that has escaped from a finalizer while the VM is closed.
///
/// # Safety
///
/// Called by Lua, as a closure with these upvalues.
#[cfg(finalizers)]
pub(super) unsafe extern "C-unwind" fn collect<T>(state: *mut engine::lua_State) -> c_int {
    // SAFETY: only userdata with the metatable of the type are read, and those are cells of type `T`. C1, C2. Nothing here
    // raises.
    unsafe {
        let (inner, collector) = upvalue::<Collector>(state);
        if !ptr::eq(metatable_of(state, 1), (*collector).0) {
            return 0;
        }
        let userdata = engine::lua_touserdata(state, 1);
        if kind(userdata) != Kind::Value {
            return 0;
        }
        engine::lua_pushvalue(state, engine::lua_upvalueindex(2));
        engine::lua_setmetatable(state, 1);
        if !is_borrowed::<T>(userdata) {
            run_finalizer(inner, state, || ptr::drop_in_place(cell::<T>(userdata)));
        }
    }
    0
}
