//! Balance of the Lua stack.
//!
//! The library keeps this discipline on the stack of a running state:
//!
//! * Every operation leaves the stack as it found it, or with its results on top, also on an error and on unwinding. It
//!   counts what it has pushed in a [`Held`], which pops that much when dropped. Debug builds check the height.
//! * Code of the user is entered (conversions, callbacks, iterators) only with at least
//!   [`STACK_RESERVE`](crate::state::STACK_RESERVE) free places. Lua itself gives a C function 20; what pushes more asks
//!   first. So an operation that pushes a fixed, small number of values need not ask.

use std::os::raw::c_int;
#[cfg(raising_checkstack)]
use std::os::raw::c_void;

#[cfg(raising_checkstack)]
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::state::LuaInner;

/// Values on top of a Lua stack that an operation has pushed; popped on drop.
pub(crate) struct Held {
    state: *mut engine::lua_State,
    n: c_int,
    #[cfg(debug_assertions)]
    base: c_int,
}

impl Held {
    /// Nothing held yet.
    ///
    /// # Safety
    ///
    /// `state` is a running state of an open VM, and stays so until the drop.
    #[inline(always)]
    pub(crate) unsafe fn new(state: *mut engine::lua_State) -> Held {
        // SAFETY: passed on.
        unsafe { Held::adopt(state, 0) }
    }

    /// Holds the `n` values on top of `state`.
    ///
    /// # Safety
    ///
    /// As [`Held::new`]; there are `n` values.
    #[inline(always)]
    pub(crate) unsafe fn adopt(state: *mut engine::lua_State, n: c_int) -> Held {
        Held {
            state,
            n,
            #[cfg(debug_assertions)]
            base: height(state) - n,
        }
    }

    /// `n` more values have been pushed.
    #[inline(always)]
    pub(crate) fn add(&mut self, n: c_int) {
        self.n += n;
        self.check();
    }

    /// `n` values have been popped, or are left to the caller.
    #[inline(always)]
    pub(crate) fn release(&mut self, n: c_int) {
        self.n -= n;
        debug_assert!(self.n >= 0);
    }

    /// Debug builds: the stack is as high as has been counted.
    #[inline(always)]
    pub(crate) fn check(&self) {
        #[cfg(debug_assertions)]
        assert_eq!(
            height(self.state),
            self.base + self.n,
            "Lua stack out of balance"
        );
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        if !std::thread::panicking() && self.n > 0 {
            self.check();
        }
        if self.n > 0 {
            // SAFETY: these values are ours (`add`), and lowering the top of a stack without to-be-closed variables of
            // this C frame neither raises nor runs code.
            unsafe { engine::lua_settop(self.state, -self.n - 1) }
        }
    }
}

/// Makes room for `n` more values on the stack of `state`.
///
/// # Errors
///
/// [`Error::StackError`] if the stack would become too high. Where `lua_checkstack` raises errors, [`Error::MemoryError`] if there is
/// no memory for it, and whatever comes out of a finalizer.
///
/// # Safety
///
/// `state` is a thread of the instance, which is open; if it is the running one it has 3 free places.
#[inline]
pub(crate) unsafe fn ensure(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    n: c_int,
) -> Result<()> {
    // SAFETY: passed on. Here `lua_checkstack` reports failure by its result.
    #[cfg(not(raising_checkstack))]
    let done = unsafe { inner.memory.limited(|| engine::lua_checkstack(state, n)) };
    // SAFETY: passed on.
    #[cfg(raising_checkstack)]
    let done = unsafe { check_protected(inner, state, n)? };
    match done {
        0 => Err(Error::StackError),
        _ => Ok(()),
    }
}

/// `lua_checkstack`, where it raises if there is no memory, and on LuaJIT also if the stack is too high.
///
/// Without a limit on our own memory a lack of it ends the process. Otherwise the stack grows within a protected call first; the
/// collector may have made it smaller again when that returns, but then there was memory for it a moment ago, which no limit
/// keeps back.
#[cfg(raising_checkstack)]
unsafe fn check_protected(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    n: c_int,
) -> Result<c_int> {
    let memory = &inner.memory;
    // SAFETY: passed on. A thread's errors go to the innermost protected call on that very thread, so it is made there.
    unsafe {
        if cfg!(feature = "lua51") && inner.owns_memory() && !memory.is_limited() {
            return Ok(memory.unfailing(|| engine::lua_checkstack(state, n)));
        }
        let done = if state == inner.state_or_null() {
            protect(state, 0, 0, |state| engine::lua_checkstack(state, n))?
        } else {
            check_other(inner, state, n)?
        };
        if done == 0 {
            return Ok(0);
        }
        Ok(memory.without_limit(|| memory.unfailing(|| engine::lua_checkstack(state, n))))
    }
}

/// Calls `lua_checkstack` protected on a thread that is not running.
#[cfg(raising_checkstack)]
unsafe fn check_other(inner: &LuaInner, state: *mut engine::lua_State, n: c_int) -> Result<c_int> {
    struct Check {
        n: c_int,
        done: Option<c_int>,
    }
    unsafe extern "C-unwind" fn check(state: *mut engine::lua_State) -> c_int {
        // SAFETY: called with the address of a `Check` that is there meanwhile. Nothing here needs a drop.
        unsafe {
            let check = engine::lua_touserdata(state, 1) as *mut Check;
            (*check).done = Some(engine::lua_checkstack(state, (*check).n));
        }
        0
    }
    let mut job = Check { n, done: None };
    let address = &mut job as *mut Check as *mut c_void;
    // SAFETY: `call_bare` needs no place on the stack here.
    inner
        .memory
        .limited(|| unsafe { engine::call_bare(state, check, address) });
    job.done
        .ok_or_else(|| Error::MemoryError("not enough memory".into()))
}

#[cfg(debug_assertions)]
fn height(state: *mut engine::lua_State) -> c_int {
    // SAFETY: a `Held` is of a running state (`Held::new`).
    unsafe { engine::lua_gettop(state) }
}
