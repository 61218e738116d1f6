//! Calls between Rust and Lua: callbacks, protected calls, errors and panics across the border.

use std::cell::Cell;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::{self, NonNull};

pub(crate) mod callback;
pub(crate) mod cell;
mod chain;
pub(crate) mod failure;
#[cfg(lua_ge_52)]
mod inline;
#[cfg(waits_in_lua)]
pub(crate) mod lua_side;
mod names;
pub(crate) mod pinned;
pub(crate) mod protect;
pub(crate) mod traceback;

use crate::engine;
#[cfg(raising_finalizers)]
use crate::error::Error;
use crate::error::Result;
use crate::handle::slots::{Slot, Slots};
use crate::stack::ensure;
use crate::state::{LuaInner, STACK_RESERVE};
use protect::{create, protect};

/// The metatables of the library's own userdata, and the functions of protected calls where they are objects. Their slots are never freed.
pub(crate) struct Internals {
    #[cfg(not(light_functions))]
    handler: Cell<Option<Slot>>,
    #[cfg(not(light_functions))]
    runner: Cell<Option<Slot>>,
    cell: Cell<Option<Slot>>,
    /// Whether cells may lie [in closures](inline).
    #[cfg(lua_ge_52)]
    inline: Cell<bool>,
    failure: Cell<Option<Slot>>,
    failure_metatable: Cell<*const c_void>,
    /// A failure on its way: see [`failure::raise`].
    #[cfg(raising_finalizers)]
    raising: Cell<Option<failure::Failure>>,
    names: names::Names,
    buffer: traceback::Buffer,
}

impl Internals {
    pub(crate) fn new() -> Internals {
        Internals {
            #[cfg(not(light_functions))]
            handler: Cell::new(None),
            #[cfg(not(light_functions))]
            runner: Cell::new(None),
            cell: Cell::new(None),
            #[cfg(lua_ge_52)]
            inline: Cell::new(false),
            failure: Cell::new(None),
            failure_metatable: Cell::new(ptr::null()),
            #[cfg(raising_finalizers)]
            raising: Cell::new(None),
            names: Default::default(),
            buffer: Default::default(),
        }
    }

    /// Makes the metatables.
    ///
    /// # Safety
    ///
    /// `state` is the running state of the instance, which is being made.
    pub(crate) unsafe fn open(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
    ) -> Result<()> {
        // SAFETY: runs protected; the closures need no drop. `take` pops the table.
        unsafe {
            protect(state, 0, 2, |state| {
                engine::lua_createtable(state, 0, 2);
                #[cfg(finalizers)]
                set_function(state, c"__gc", cell::collect);
                engine::lua_pushboolean(state, 0);
                engine::lua_setfield(state, -2, c"__metatable".as_ptr());
                engine::lua_createtable(state, 0, 3);
                #[cfg(finalizers)]
                set_function(state, c"__gc", cell::collect);
                set_function(state, c"__tostring", failure::failure_tostring);
                #[cfg(feature = "luau")]
                {
                    engine::lua_pushstring(state, c"error".as_ptr());
                    engine::lua_setfield(state, -2, c"__type".as_ptr());
                }
                engine::lua_pushboolean(state, 0);
                engine::lua_setfield(state, -2, c"__metatable".as_ptr());
            })?;
            self.failure_metatable.set(engine::lua_topointer(state, -1));
            self.failure.set(Some(inner.slots.take(state)?));
            self.cell.set(Some(inner.slots.take(state)?));
            #[cfg(lua_ge_52)]
            self.inline.set(inline::is_possible(state)?);
            #[cfg(not(light_functions))]
            {
                pinned::push_handler(state);
                self.handler.set(Some(inner.slots.take(state)?));
                pinned::push_runner(state);
                self.runner.set(Some(inner.slots.take(state)?));
            }
        }
        Ok(())
    }

    /// Drops what is left: the VM is gone.
    #[cfg(raising_finalizers)]
    pub(crate) fn clear(&self) {
        failure::contain(|| drop(self.raising.take()));
    }

    /// Pushes the message handler. Where it is an object, this takes a third of what
    /// [`push_handler`](pinned::push_handler) takes, which does without the instance.
    ///
    /// # Safety
    ///
    /// `state` is a running state of the instance, whose slots are `slots`, with one free place.
    #[inline(always)]
    pub(crate) unsafe fn push_handler(&self, slots: &Slots, state: *mut engine::lua_State) {
        // SAFETY: passed on.
        unsafe {
            #[cfg(light_functions)]
            pinned::push_handler(state);
            #[cfg(not(light_functions))]
            slots.push(
                self.handler.get().expect("the instance has been opened"),
                state,
            );
            #[cfg(light_functions)]
            let _ = slots;
        }
    }

    /// Pushes the function that runs what is protected, as [`push_handler`](Internals::push_handler) does.
    ///
    /// # Safety
    ///
    /// As there.
    #[inline(always)]
    unsafe fn push_runner(&self, slots: &Slots, state: *mut engine::lua_State) {
        // SAFETY: passed on.
        unsafe {
            #[cfg(light_functions)]
            pinned::push_runner(state);
            #[cfg(not(light_functions))]
            slots.push(
                self.runner.get().expect("the instance has been opened"),
                state,
            );
            #[cfg(light_functions)]
            let _ = slots;
        }
    }

    #[inline(always)]
    fn cell(&self) -> Slot {
        self.cell.get().expect("the instance has been opened")
    }

    #[inline(always)]
    fn failure(&self) -> Slot {
        self.failure.get().expect("the instance has been opened")
    }

    #[inline(always)]
    fn failure_metatable(&self) -> *const c_void {
        self.failure_metatable.get()
    }
}

/// Sets the field `name` of the table on top.
///
/// # Safety
///
/// May raise.
unsafe fn set_function(
    state: *mut engine::lua_State,
    name: &'static std::ffi::CStr,
    function: engine::lua_CFunction,
) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_pushcfunction(state, function);
        engine::lua_setfield(state, -2, name.as_ptr());
    }
}

/// The instance that `state` belongs to.
///
/// # Safety
///
/// `state` is a state of a VM that an instance is attached to.
#[inline]
pub(crate) unsafe fn inner_of(state: *mut engine::lua_State) -> NonNull<LuaInner> {
    // SAFETY: see `find_inner`.
    unsafe { NonNull::new_unchecked(find_inner(state)) }
}

/// The instance that `state` belongs to, null if there is none.
///
/// # Safety
///
/// `state` is a state with two free places.
pub(crate) unsafe fn find_inner(state: *mut engine::lua_State) -> *mut LuaInner {
    // SAFETY: the key's only value is a light userdata that `set_inner` wrote. A raw read does not raise.
    unsafe {
        engine::lua_rawgetp(
            state,
            engine::LUA_REGISTRYINDEX,
            &INNER_KEY as *const u8 as *const c_void,
        );
        let inner = engine::lua_touserdata(state, -1) as *mut LuaInner;
        engine::lua_pop(state, 1);
        inner
    }
}

static INNER_KEY: u8 = 0;

/// Makes what calls into Lua stand on: lets [`find_inner`] find `inner`, and pins the functions of protected calls.
///
/// # Safety
///
/// As [`set_inner`].
pub(crate) unsafe fn begin(state: *mut engine::lua_State, inner: *mut LuaInner) {
    // SAFETY: passed on.
    unsafe {
        set_inner(state, inner);
        #[cfg(not(light_functions))]
        pinned::install(state);
    }
}

/// Lets [`find_inner`] find `inner`.
///
/// # Safety
///
/// May raise. `state` has two free places.
unsafe fn set_inner(state: *mut engine::lua_State, inner: *mut LuaInner) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_pushlightuserdata(state, inner as *mut c_void);
        engine::lua_rawsetp(
            state,
            engine::LUA_REGISTRYINDEX,
            &INNER_KEY as *const u8 as *const c_void,
        );
    }
}

/// Pushes a userdata of `size` bytes without a metatable, with `uservalues` user values.
///
/// # Safety
///
/// `state` is a running state of the instance with 4 free places.
#[cfg(finalizers)]
#[inline]
pub(crate) unsafe fn new_userdata(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    size: usize,
    uservalues: c_int,
) -> Result<*mut c_void> {
    // SAFETY: only a lack of memory raises; an error in a finalizer does not surface in 5.4.
    unsafe {
        if inner.infallible_creation() && size <= SMALL {
            let memory = &inner.memory;
            return Ok(memory.unfailing(|| engine::lua_newuserdatauv(state, size, uservalues)));
        }
        create(inner, state, |state| {
            engine::lua_newuserdatauv(state, size, uservalues)
        })
    }
}

/// As [`new_userdata`], with a function that the sweep calls when the userdata goes.
///
/// # Safety
///
/// As [`new_userdata`]. `sweep` can do with memory that holds only zeros.
#[cfg(not(finalizers))]
#[inline]
pub(crate) unsafe fn new_swept_userdata(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    size: usize,
    sweep: engine::lua_Destructor,
) -> Result<*mut c_void> {
    // SAFETY: as in `new_userdata`. Nothing collects between the two steps.
    unsafe {
        inner.bury();
        let userdata = if inner.infallible_creation() && size <= SMALL {
            let make = || engine::lua_newuserdatadtor(state, size, sweep);
            inner.memory.unfailing(make)
        } else {
            create(inner, state, |state| {
                engine::lua_newuserdatadtor(state, size, sweep)
            })?
        };
        (userdata as *mut u8).write_bytes(0, size);
        Ok(userdata)
    }
}

/// Drops a value of the user that there was no memory for, with stack for its destructor, which a memory limit does not
/// concern; leaks it if there is none.
///
/// # Safety
///
/// `state` is a running state of the instance.
#[cold]
pub(crate) unsafe fn drop_unused<T>(inner: &LuaInner, state: *mut engine::lua_State, value: T) {
    // SAFETY: passed on.
    let check = || unsafe { ensure(inner, state, STACK_RESERVE) };
    if std::mem::needs_drop::<T>() && inner.memory.without_limit(check).is_err() {
        std::mem::forget(value);
        return;
    }
    drop(value)
}

/// Up to this size an allocation of our own allocator is taken not to fail ([`LuaInner::infallible_writes`]).
pub(crate) const SMALL: usize = 64 * 1024;

/// Pushes a Lua string.
///
/// # Safety
///
/// As [`new_userdata`].
#[inline]
pub(crate) unsafe fn push_bytes(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    bytes: &[u8],
) -> Result<()> {
    let (data, len) = (bytes.as_ptr() as *const c_char, bytes.len());
    // SAFETY: as in `new_userdata`; `bytes` outlives the call.
    unsafe {
        if inner.infallible_creation() && len <= SMALL {
            inner
                .memory
                .unfailing(|| engine::lua_pushlstring(state, data, len));
            return Ok(());
        }
        create(inner, state, |state| {
            engine::lua_pushlstring(state, data, len);
        })
    }
}

/// As [`push_bytes`], where the error of some finalizer must not stand in the place of another one.
///
/// # Safety
///
/// As [`new_userdata`].
unsafe fn push_lasting(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    bytes: &[u8],
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        let pushed = push_bytes(inner, state, bytes);
        #[cfg(raising_finalizers)]
        if !matches!(pushed, Ok(()) | Err(Error::MemoryError(_))) {
            return engine::without_collector(state, || push_bytes(inner, state, bytes));
        }
        pushed
    }
}

/// Pushes a Lua string that may come again from the same address.
///
/// # Safety
///
/// As [`new_userdata`].
#[inline]
pub(crate) unsafe fn push_key(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    bytes: &[u8],
) -> Result<()> {
    // SAFETY: passed on. The slot that was found belongs to the instance.
    unsafe {
        if let Some(slot) = inner.keys.find(bytes) {
            inner.slots.push(slot, state);
            return Ok(());
        }
        push_bytes(inner, state, bytes)?;
        inner.keys.keep(&inner.slots, state, bytes);
    }
    Ok(())
}

/// Pushes an empty table with room for `narr` and `nrec` fields.
///
/// # Safety
///
/// As [`new_userdata`].
#[inline(always)]
pub(crate) unsafe fn push_table(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    narr: c_int,
    nrec: c_int,
) -> Result<()> {
    const FEW: c_int = 1024;
    // SAFETY: as in `new_userdata`.
    unsafe {
        if inner.infallible_creation() && narr <= FEW && nrec <= FEW {
            let memory = &inner.memory;
            memory.unfailing(|| engine::lua_createtable(state, narr, nrec));
            return Ok(());
        }
        push_table_protected(inner, state, narr, nrec)
    }
}

#[cold]
#[inline(never)]
unsafe fn push_table_protected(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    narr: c_int,
    nrec: c_int,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        create(inner, state, |state| {
            engine::lua_createtable(state, narr, nrec)
        })
    }
}

/// Pushes a fresh thread and returns its state.
///
/// # Safety
///
/// As [`new_userdata`].
#[inline]
pub(crate) unsafe fn new_thread(
    inner: &LuaInner,
    state: *mut engine::lua_State,
) -> Result<*mut engine::lua_State> {
    // SAFETY: as in `new_userdata`. Alone of these, `lua_newthread` collects garbage before it allocates, and a finalizer may
    // set a limit then.
    unsafe {
        if inner.infallible_creation() {
            let memory = &inner.memory;
            let make = || memory.unfailing(|| engine::lua_newthread(state));
            return Ok(memory.without_limit(make));
        }
        create(inner, state, |state| engine::lua_newthread(state))
    }
}

/// Pushes a C closure over a cell that owns `value`. If there is no memory, `value` is dropped.
///
/// A value that [is nothing](is_nothing) needs no cell: the upvalue then is the address of the instance. The cell of a value
/// that [fits in](inline::fits) lies in the closure itself.
///
/// # Safety
///
/// As [`new_userdata`]. `function` is made for a cell of `T`, or for none if `T` is nothing.
pub(crate) unsafe fn new_closure<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    function: engine::lua_CFunction,
    value: T,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        if is_nothing::<T>() {
            std::mem::forget(value);
            engine::lua_pushlightuserdata(state, inner as *const LuaInner as *mut c_void);
            return close_over(inner, state, function);
        }
        new_cell_closure(inner, state, function, value)?;
    }
    Ok(())
}

/// As [`new_closure`], for a value that is not nothing. Returns the cell.
///
/// # Safety
///
/// As [`new_closure`].
#[inline]
pub(crate) unsafe fn new_cell_closure<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    function: engine::lua_CFunction,
    value: T,
) -> Result<*mut c_void> {
    // SAFETY: passed on; an error leaves the cell to the collector.
    unsafe {
        #[cfg(lua_ge_52)]
        if inline::fits::<T>() && inner.internals.inline.get() {
            return inline::new_closure(inner, state, function, value);
        }
        cell::push_plain(inner, state, value)?;
        let cell = engine::lua_touserdata(state, -1);
        close_over(inner, state, function)?;
        Ok(cell)
    }
}

/// Makes a C closure of the value on top, which is popped in any case.
///
/// # Safety
///
/// As [`new_userdata`].
#[inline(always)]
unsafe fn close_over(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    function: engine::lua_CFunction,
) -> Result<()> {
    // SAFETY: as in `new_userdata`.
    unsafe {
        if inner.infallible_creation() {
            let memory = &inner.memory;
            memory.unfailing(|| engine::lua_pushcclosure(state, function, 1));
            return Ok(());
        }
        protect(state, 1, 1, |state| {
            engine::lua_pushcclosure(state, function, 1)
        })
    }
}

/// Whether a `T` takes no memory and needs no drop, as a function or a closure that captures nothing. One such value that
/// was forgotten is as good as one kept anywhere.
pub(crate) const fn is_nothing<T>() -> bool {
    std::mem::size_of::<T>() == 0 && !std::mem::needs_drop::<T>()
}
