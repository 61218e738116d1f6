//! Warnings: messages that Lua sends without an error.
//!
//! Lua's own way to a warning function has two gaps: it does not say which thread is running, and the collector uses it for
//! errors in finalizers, in the middle of any call that allocates. So an instance brings its own library function `warn`,
//! which calls the Rust function as any callback, and can raise its errors. From everywhere else what goes wrong in the Rust
//! function has no place to go and is dropped.

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::rc::Rc;

use crate::call::callback::enter;
use crate::call::failure::discard;
use crate::call::find_inner;
use crate::engine;
use crate::error::Result;
use crate::state::LuaInner;
use crate::types::MaybeSend;
use crate::Lua;

pub(super) type WarningFunction = Rc<dyn Fn(&Lua, &str, bool) -> Result<()>>;

impl Lua {
    /// Lets Lua give its warnings to `callback`: a piece of a message, and whether more pieces of the message follow.
    ///
    /// Warnings come from the library function `warn`, from [`Lua::warning`] and from the collector, for errors in
    /// finalizers. What `callback` returns as an error is raised by `warn`, and a panic passes through it as through any
    /// function; warnings that come from elsewhere have no caller to tell, and both are dropped. (That includes all
    /// warnings of a VM made by a host, [`Lua::init_from_ptr`], which has a `warn` of its own.) A warning in the middle of
    /// another one, of another, and so on, is dropped at some depth.
    ///
    /// # Examples
    ///
    /// ```
    /// use mlua::{Error, Lua};
    ///
    /// # fn main() -> mlua::Result<()> {
    /// let lua = Lua::new();
    /// lua.set_warning_function(|_, text, _more| Err(Error::runtime(text)));
    /// assert!(lua.load("warn('too hot')").exec().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_warning_function<F>(&self, callback: F)
    where
        F: Fn(&Lua, &str, bool) -> Result<()> + MaybeSend + 'static,
    {
        let entered = self.enter();
        let inner = self.0.as_ptr() as *mut c_void;
        // SAFETY: the block outlives its VM.
        unsafe { engine::lua_setwarnf(entered.state, Some(receive), inner) };
        let before = self.inner().hooks.warning.replace(Some(Rc::new(callback)));
        drop(before);
    }

    /// Removes the function of [`Lua::set_warning_function`], if there is one. Warnings are then dropped.
    pub fn remove_warning_function(&self) {
        let entered = self.enter();
        let before = self.inner().hooks.warning.take();
        if before.is_some() {
            // SAFETY: no warning function is a valid one.
            unsafe { engine::lua_setwarnf(entered.state, None, ptr::null_mut()) };
        }
    }

    /// Sends a warning. With `incomplete`, another call goes on with the message.
    ///
    /// `msg` ends at its first zero byte. An error or a panic of the warning function is dropped.
    pub fn warning(&self, msg: impl AsRef<str>, incomplete: bool) {
        let entered = self.enter();
        let msg = until_zero(msg.as_ref());
        // SAFETY: our warning function does not raise (`receive`).
        unsafe { engine::lua_warning(entered.state, msg.as_ptr(), incomplete as c_int) }
    }
}

fn until_zero(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}

/// The warning function that Lua knows.
unsafe extern "C-unwind" fn receive(inner: *mut c_void, msg: *const c_char, more: c_int) {
    // SAFETY: the block outlives its VM.
    let inner = unsafe { &*(inner as *const LuaInner) };
    let state = inner.state_or_null();
    // SAFETY: a failed check of the stack does not raise.
    if state.is_null() || unsafe { engine::lua_checkstack(state, engine::LUA_MINSTACK) } == 0 {
        return;
    }
    // SAFETY: a C string of Lua's.
    let msg = unsafe { CStr::from_ptr(msg) };
    let depth = &inner.hooks.warnings;
    if depth.get() == DEEPEST {
        return;
    }
    depth.set(depth.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(|| send(inner.lend(), msg, more != 0)));
    depth.set(depth.get() - 1);
    if let Err(payload) = outcome {
        discard(payload);
    }
}

/// What the Rust function does with a warning of the collector's may let the collector go on, to the next finalizer that
/// fails. Lua does not count these calls.
const DEEPEST: u32 = 8;

/// Gives a warning to the Rust function.
fn send(lua: &Lua, msg: &CStr, more: bool) -> Result<()> {
    let function = lua.inner().hooks.warning.borrow().clone();
    match function {
        Some(function) => function(lua, &msg.to_string_lossy(), more),
        None => Ok(()),
    }
}

/// Puts our `warn` in the place of the one of the basic library.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn install(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_pushcfunction(state, warn);
        engine::lua_setglobal(state, c"warn".as_ptr());
    }
}

/// The library function `warn`.
unsafe extern "C-unwind" fn warn(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua. There is nothing to drop while the arguments are checked.
    unsafe {
        engine::luaL_checkstring(state, 1);
        let nargs = engine::lua_gettop(state);
        for i in 2..=nargs {
            engine::luaL_checkstring(state, i);
        }
        let Some(inner) = find_inner(state).as_ref() else {
            return 0;
        };
        if inner.hooks.warning.borrow().is_some() {
            return enter(inner.into(), state, |lua, nargs| {
                send_all(lua, state, nargs)
            });
        }
        for i in 1..=nargs {
            let piece = engine::lua_tolstring(state, i, ptr::null_mut());
            engine::lua_warning(state, piece, (i < nargs) as c_int);
        }
    }
    0
}

/// Gives the arguments of `warn`, which are strings, to the Rust function.
unsafe fn send_all(lua: &Lua, state: *mut engine::lua_State, nargs: c_int) -> Result<c_int> {
    for i in 1..=nargs {
        // SAFETY: a string at that place, which stays there.
        let piece = unsafe { CStr::from_ptr(engine::lua_tolstring(state, i, ptr::null_mut())) };
        send(lua, piece, i < nargs)?;
    }
    Ok(0)
}
