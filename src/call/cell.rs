//! Rust values that Lua owns but never looks into: closures, errors.
//!
//! A cell is a userdata `{ instance, drop function, value }`. One metatable serves all types whose values need no
//! metamethod but `__gc`: it calls the drop function. A value that needs no drop needs no metatable.
//! What a closure captures may have its cell [in the closure](super::inline).

use std::mem;
use std::os::raw::{c_int, c_void};
use std::ptr::NonNull;

use super::failure::contain;
use crate::engine;
use crate::error::Result;
use crate::handle::slots::Slot;
#[cfg(finalizers)]
use crate::state::finalize::ensure_finalizer;
#[cfg(not(finalizers))]
use crate::state::remains::Remains;
use crate::state::{host_close, LuaInner};

/// The alignment that Lua gives to userdata. A value that wants more lies that much further in.
const ALIGN: usize = 8;

#[repr(C)]
struct Header {
    inner: NonNull<LuaInner>,
    /// Drops the value of the cell at the given userdata, once.
    drop: Option<unsafe fn(*mut c_void)>,
}

/// How far into a cell its value lies, if it wants no more than the usual alignment.
pub(super) const HEADER: usize = mem::size_of::<Header>();

/// Pushes a userdata that owns `value`, with the metatable in `metatable`. If there is no memory, `value` is dropped.
///
/// # Safety
///
/// `state` is a running state of the instance with 4 free places. `metatable` has [`collect`] as `__gc`, or `T` needs no
/// drop.
pub(crate) unsafe fn push<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    value: T,
    metatable: Slot,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        new(inner, state, value, 0)?;
        adorn(inner, state, metatable)
    }
}

/// As [`push`], with a user value.
///
/// # Safety
///
/// As [`push`].
#[cfg(feature = "async")]
pub(crate) unsafe fn push_with_user_value<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    value: T,
    metatable: Slot,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        new(inner, state, value, 1)?;
        adorn(inner, state, metatable)
    }
}

/// Gives the cell on top its metatable. On an error it is popped.
unsafe fn adorn(inner: &LuaInner, state: *mut engine::lua_State, metatable: Slot) -> Result<()> {
    // SAFETY: passed on. Setting a metatable does not raise.
    unsafe {
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

/// Pushes a userdata that owns `value`, with no more metatable than it takes to drop it.
///
/// # Safety
///
/// As [`push`].
#[inline]
pub(crate) unsafe fn push_plain<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    value: T,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        if mem::needs_drop::<T>() {
            push(inner, state, value, inner.internals.cell())
        } else {
            new(inner, state, value, 0)
        }
    }
}

#[cfg_attr(not(finalizers), allow(unused_variables))]
unsafe fn new<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    new_value: T,
    uservalues: c_int,
) -> Result<()> {
    let size = size::<T>();
    // SAFETY: the memory is large enough.
    unsafe {
        #[cfg(finalizers)]
        let made = super::new_userdata(inner, state, size, uservalues);
        #[cfg(not(finalizers))]
        let made = super::new_swept_userdata(inner, state, size, sweep::<T>);
        let userdata = match made {
            Ok(userdata) => userdata,
            Err(error) => {
                // Before the error is on its way: the compiler would leak it if this panics.
                super::drop_unused(inner, state, new_value);
                return Err(error);
            }
        };
        fill(inner, userdata, new_value);
    }
    Ok(())
}

/// As [`push`]. If it fails for anything else than a lack of memory, it gives `value` back.
///
/// # Safety
///
/// As [`push`].
#[cfg(raising_finalizers)]
pub(super) unsafe fn try_push<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    value: T,
    metatable: Slot,
) -> std::result::Result<(), Option<T>> {
    // SAFETY: passed on.
    unsafe {
        match super::new_userdata(inner, state, size::<T>(), 0) {
            Ok(userdata) => {
                fill(inner, userdata, value);
                adorn(inner, state, metatable).map_err(|_| None)
            }
            Err(crate::Error::MemoryError(_)) => {
                super::drop_unused(inner, state, value);
                Err(None)
            }
            Err(_) => Err(Some(value)),
        }
    }
}

/// As [`push`] without protection, of a value that is taken from `value` when there is a place for it.
///
/// # Safety
///
/// As [`push`]; may raise.
#[cfg(raising_finalizers)]
pub(super) unsafe fn push_raising<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    value: &std::cell::Cell<Option<T>>,
    metatable: Slot,
) {
    // SAFETY: passed on. Setting a metatable does not raise.
    unsafe {
        let userdata = engine::lua_newuserdatauv(state, size::<T>(), 0);
        if let Some(value) = value.take() {
            fill(inner, userdata, value);
            inner.slots.push(metatable, state);
            engine::lua_setmetatable(state, -2);
        }
    }
}

/// How large the cell of a `T` is.
const fn size<T>() -> usize {
    HEADER + mem::size_of::<T>() + mem::align_of::<T>().saturating_sub(ALIGN)
}

/// Makes a cell out of the memory at `userdata`.
unsafe fn fill<T>(inner: &LuaInner, userdata: *mut c_void, new_value: T) {
    // SAFETY: the memory is large enough for both, whatever `value` skips for alignment.
    unsafe {
        (userdata as *mut Header).write(Header {
            inner: NonNull::from(inner),
            drop: mem::needs_drop::<T>().then_some(drop_value::<T> as unsafe fn(*mut c_void)),
        });
        value::<T>(userdata).write(new_value);
    }
}

unsafe fn drop_value<T>(userdata: *mut c_void) {
    // SAFETY: called once, by `collect`, for a cell of this type.
    unsafe { std::ptr::drop_in_place(value::<T>(userdata)) }
}

/// The value in the cell at `userdata`, unless it [is gone](is_gone).
///
/// # Safety
///
/// `userdata` is a cell of `T`.
#[inline(always)]
pub(crate) unsafe fn value<T>(userdata: *mut c_void) -> *mut T {
    // SAFETY: `new` has made room for this.
    unsafe {
        let after = (userdata as *mut u8).add(HEADER);
        if mem::align_of::<T>() <= ALIGN {
            after as *mut T
        } else {
            after.add(after.align_offset(mem::align_of::<T>())) as *mut T
        }
    }
}

/// Whether the value in the cell at `userdata` has been dropped.
///
/// The collector may finalize a cell that is still in reach: of a finalizer that runs after its own, as all of them do when
/// the VM is closed, and of whatever that puts the cell into.
///
/// # Safety
///
/// `userdata` is a cell of `T`.
#[inline(always)]
pub(crate) unsafe fn is_gone<T>(userdata: *mut c_void) -> bool {
    // SAFETY: every cell begins with its header.
    mem::needs_drop::<T>() && unsafe { (*(userdata as *mut Header)).drop.is_none() }
}

/// The instance that the cell at `userdata` belongs to.
///
/// # Safety
///
/// `userdata` is a cell.
#[inline(always)]
pub(crate) unsafe fn instance(userdata: *mut c_void) -> NonNull<LuaInner> {
    // SAFETY: every cell begins with its header.
    unsafe { (*(userdata as *mut Header)).inner }
}

/// Pushes a metatable for cells of one kind.
///
/// # Safety
///
/// As [`push`].
#[cfg(feature = "async")]
pub(crate) unsafe fn make_metatable(state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: runs protected; the closure needs no drop.
    unsafe {
        super::protect::protect(state, 0, 1, |state| {
            engine::lua_createtable(state, 0, 2);
            #[cfg(finalizers)]
            super::set_function(state, c"__gc", collect);
            engine::lua_pushboolean(state, 0);
            engine::lua_setfield(state, -2, c"__metatable".as_ptr());
        })
    }
}

/// What the sweep calls when a cell of `T` goes: moves the value out.
#[cfg(not(finalizers))]
unsafe extern "C" fn sweep<T>(_: *mut engine::lua_State, userdata: *mut c_void) {
    // SAFETY: a cell of this type, or all zeros, which reads as one without a value. Values in cells live as long as their
    // closures may be called, which is until the VM is gone.
    unsafe {
        let header = userdata as *mut Header;
        if (*header).drop.take().is_some() {
            Remains::leave((*header).inner.as_ref(), value::<T>(userdata).read());
        }
    }
}

/// `__gc` of cells.
#[cfg(finalizers)]
pub(crate) unsafe extern "C-unwind" fn collect(state: *mut engine::lua_State) -> c_int {
    // SAFETY: only cells have a metatable with this `__gc`, which the library does not hand out.
    unsafe {
        let userdata = engine::lua_touserdata(state, 1);
        let header = userdata as *mut Header;
        if let Some(drop) = (*header).drop.take() {
            run_finalizer((*header).inner, state, || drop(userdata));
        }
    }
    0
}

/// Runs a destructor of the user on behalf of the collector.
///
/// # Safety
///
/// As [`run_drop`].
#[cfg(finalizers)]
pub(crate) unsafe fn run_finalizer(
    inner: NonNull<LuaInner>,
    state: *mut engine::lua_State,
    drop: impl FnOnce(),
) {
    // SAFETY: passed on. The block is there while its VM is.
    unsafe {
        #[cfg(raising_finalizers)]
        let drop = || inner.as_ref().while_finalizing(|| contain(drop));
        run_drop(inner, state, drop)
    }
}

/// Runs a destructor of the user on behalf of somebody who cannot take its panic. It ends here: no frame of Lua's could take it.
///
/// # Safety
///
/// `state` is the running state of the instance, or that of a finalizer.
#[cfg_attr(not(any(finalizers, feature = "async")), allow(dead_code))]
pub(crate) unsafe fn run_drop(
    inner: NonNull<LuaInner>,
    state: *mut engine::lua_State,
    drop: impl FnOnce(),
) {
    // SAFETY: the block is there while its VM is.
    let inner = unsafe { inner.as_ref() };
    let outer = inner.state_or_null();
    // While a host closes its VM the instance may be gone already, and stays so.
    if !outer.is_null() {
        inner.switch_state(state);
        // SAFETY: passed on.
        unsafe { host_close::notice(inner, state) };
    }
    let frame = inner.enter_frame();
    let drop = || inner.memory.unlimited(|| contain(drop));
    #[cfg(raising_finalizers)]
    inner.inside(drop);
    #[cfg(not(raising_finalizers))]
    drop();
    mem::drop(frame);
    inner.switch_state(outer);
}
