//! The interrupt: a function that Luau calls at short intervals while it runs a program.

use std::cell::{Cell, RefCell};
use std::os::raw::{c_int, c_void};
use std::ptr;
use std::rc::Rc;

use crate::call::callback::enter_above;
use crate::call::failure::contain;
use crate::call::find_inner;
use crate::engine;
use crate::error::Result;
use crate::state::LuaInner;
use crate::types::MaybeSend;
use crate::Lua;

/// How the program goes on after an interrupt: see [`Lua::set_interrupt`].
pub enum VmState {
    /// It goes on.
    Continue,
    /// The coroutine yields.
    Yield,
}

type Function = Rc<dyn Fn(&Lua) -> Result<VmState>>;

/// The function that is called. It is counted, so that one that takes itself out while it runs is dropped after it has run.
#[derive(Default)]
pub(super) struct Interrupt {
    function: RefCell<Option<Function>>,
    running: Cell<bool>,
}

impl Interrupt {
    /// Drops the function: the VM is gone.
    pub(super) fn clear(&self) {
        contain(|| drop(self.function.take()));
    }
}

impl Lua {
    /// Lets Luau call `callback` while it runs code, in any coroutine: at the latest in the next turn of a loop and in the
    /// next call.
    ///
    /// It decides how the program goes on. A coroutine that yields goes on where it was when it is resumed; code that cannot
    /// yield, such as that of the main thread, just goes on. An error that the callback returns is raised in the code that was
    /// running, and a panic goes on in the Rust code that called into Luau.
    ///
    /// There is one interrupt in an instance, and it is not called while it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use mlua::{Error, Lua, VmState};
    /// use std::time::{Duration, Instant};
    ///
    /// let lua = Lua::new();
    /// let end = Instant::now() + Duration::from_millis(10);
    /// lua.set_interrupt(move |_| {
    ///     if Instant::now() > end {
    ///         return Err(Error::runtime("out of time"));
    ///     }
    ///     Ok(VmState::Continue)
    /// });
    /// let error = lua.load("while true do end").exec().unwrap_err();
    /// assert!(error.to_string().contains("out of time"));
    /// ```
    pub fn set_interrupt<F>(&self, callback: F)
    where
        F: Fn(&Lua) -> Result<VmState> + MaybeSend + 'static,
    {
        let entered = self.enter();
        let function = &self.inner().luau.interrupt.function;
        let before = function.replace(Some(Rc::new(callback)));
        // SAFETY: the VM is open, and its callbacks are plain memory.
        unsafe { (*engine::lua_callbacks(entered.state)).interrupt = Some(interrupt) };
        drop(before);
    }

    /// Removes the interrupt of this instance, if there is one.
    pub fn remove_interrupt(&self) {
        let entered = self.enter();
        // SAFETY: as above.
        unsafe { (*engine::lua_callbacks(entered.state)).interrupt = None };
        let before = self.inner().luau.interrupt.function.take();
        drop(before);
    }
}

/// The interrupt that Luau knows. The collector calls it as well, with its phase.
unsafe extern "C-unwind" fn interrupt(state: *mut engine::lua_State, phase: c_int) {
    if phase >= 0 {
        return;
    }
    // SAFETY: called by Luau in the middle of a function, where an error may be raised; nothing here needs a drop. As a hook
    // the callback has a stack of its own, and that of the function is afterwards as it was.
    unsafe { engine::lua_callhook(state, call, ptr::null_mut()) }
}

unsafe extern "C-unwind" fn call(state: *mut engine::lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: called by Luau, which has made room for `LUA_MINSTACK` values. The frame has nothing to drop.
    unsafe {
        let Some(instance) = find_inner(state).as_ref() else {
            return;
        };
        let resumed = take_mark(state);
        let mut yields = false;
        let asked = &mut yields;
        let base = engine::lua_gettop(state);
        enter_above(instance.into(), state, base, move |lua, _| {
            *asked = matches!(run(lua)?, VmState::Yield);
            Ok(0)
        });
        if yields && !resumed && engine::lua_isyieldable(state) != 0 {
            mark(instance, state);
            engine::lua_yield(state, 0);
        }
    }
}

/// What marks a coroutine that has yielded in an interrupt.
///
/// When it is resumed, Luau interrupts it at the very instruction again. It must not yield there once more, or it would never get
/// on.
static MARK: u8 = 0;

/// # Safety
///
/// `state` is a thread of the instance.
unsafe fn mark(inner: &LuaInner, state: *mut engine::lua_State) {
    // SAFETY: the data of a thread is the embedder's: ours, unless the VM is somebody else's.
    unsafe {
        if !inner.hosted.get() {
            engine::lua_setthreaddata(state, &raw const MARK as *mut c_void);
        }
    }
}

/// Takes the mark off `state`, and returns whether there was one.
///
/// # Safety
///
/// As [`mark`].
unsafe fn take_mark(state: *mut engine::lua_State) -> bool {
    // SAFETY: as above.
    unsafe {
        let marked = engine::lua_getthreaddata(state) as *const u8 == &raw const MARK;
        if marked {
            engine::lua_setthreaddata(state, ptr::null_mut());
        }
        marked
    }
}

fn run(lua: &Lua) -> Result<VmState> {
    struct Running<'a>(&'a Cell<bool>);

    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.0.set(false);
        }
    }

    let interrupt = &lua.inner().luau.interrupt;
    if interrupt.running.get() {
        return Ok(VmState::Continue);
    }
    let function = interrupt.function.borrow().clone();
    let Some(function) = function else {
        return Ok(VmState::Continue);
    };
    interrupt.running.set(true);
    let _running = Running(&interrupt.running);
    function(lua)
}
