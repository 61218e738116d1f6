//! Hooks: functions that Lua calls while it runs a program.

use std::cell::{Cell, RefCell};
use std::ops::{BitOr, BitOrAssign};
use std::os::raw::c_int;
use std::ptr;
use std::rc::Rc;

use super::debug::Debug;
#[cfg(lua_ge_54)]
use super::warning::WarningFunction;
use crate::call::callback::enter_above;
use crate::call::failure::contain;
use crate::call::find_inner;
use crate::engine;
use crate::error::Result;
use crate::state::LuaInner;
use crate::thread::Thread;
use crate::types::MaybeSend;
use crate::Lua;

/// When a hook is called.
///
/// # Examples
///
/// ```
/// use mlua::HookTriggers;
///
/// let triggers = HookTriggers::ON_CALLS | HookTriggers::new().every_nth_instruction(1000);
/// assert!(triggers.on_calls && !triggers.on_returns);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HookTriggers {
    /// Before a function is called.
    pub on_calls: bool,
    /// Before a function returns.
    pub on_returns: bool,
    /// Before a new line is run, or one is run again.
    pub every_line: bool,
    /// After so many instructions of the VM. A low number costs much time.
    pub every_nth_instruction: Option<u32>,
}

impl HookTriggers {
    /// [`HookTriggers::on_calls`] alone.
    pub const ON_CALLS: Self = HookTriggers::new().on_calls();
    /// [`HookTriggers::on_returns`] alone.
    pub const ON_RETURNS: Self = HookTriggers::new().on_returns();
    /// [`HookTriggers::every_line`] alone.
    pub const EVERY_LINE: Self = HookTriggers::new().every_line();

    /// No trigger: the hook is never called.
    pub const fn new() -> Self {
        HookTriggers {
            on_calls: false,
            on_returns: false,
            every_line: false,
            every_nth_instruction: None,
        }
    }

    /// Sets [`HookTriggers::on_calls`].
    #[must_use]
    pub const fn on_calls(mut self) -> Self {
        self.on_calls = true;
        self
    }

    /// Sets [`HookTriggers::on_returns`].
    #[must_use]
    pub const fn on_returns(mut self) -> Self {
        self.on_returns = true;
        self
    }

    /// Sets [`HookTriggers::every_line`].
    #[must_use]
    pub const fn every_line(mut self) -> Self {
        self.every_line = true;
        self
    }

    /// Sets [`HookTriggers::every_nth_instruction`].
    #[must_use]
    pub const fn every_nth_instruction(mut self, n: u32) -> Self {
        self.every_nth_instruction = Some(n);
        self
    }

    fn mask(self) -> c_int {
        let bit = |on, mask| if on { mask } else { 0 };
        bit(self.on_calls, engine::LUA_MASKCALL)
            | bit(self.on_returns, engine::LUA_MASKRET)
            | bit(self.every_line, engine::LUA_MASKLINE)
            | bit(self.every_nth_instruction.is_some(), engine::LUA_MASKCOUNT)
    }

    fn count(self) -> c_int {
        let n = self.every_nth_instruction.unwrap_or(0);
        c_int::try_from(n).unwrap_or(c_int::MAX)
    }
}

impl BitOr for HookTriggers {
    type Output = HookTriggers;

    fn bitor(self, other: HookTriggers) -> HookTriggers {
        HookTriggers {
            on_calls: self.on_calls || other.on_calls,
            on_returns: self.on_returns || other.on_returns,
            every_line: self.every_line || other.every_line,
            every_nth_instruction: self.every_nth_instruction.or(other.every_nth_instruction),
        }
    }
}

impl BitOrAssign for HookTriggers {
    fn bitor_assign(&mut self, other: HookTriggers) {
        *self = *self | other;
    }
}

type HookFunction = Rc<dyn Fn(&Lua, Debug<'_>) -> Result<()>>;

/// The functions that Lua calls by itself.
///
/// They are counted, so that one that takes itself out while it runs is dropped after it has run.
pub(crate) struct Hooks {
    hook: RefCell<Option<HookFunction>>,
    /// The thread that `hook` is for. Only compared: the thread may be gone.
    thread: Cell<*mut engine::lua_State>,
    #[cfg(lua_ge_54)]
    pub(super) warning: RefCell<Option<WarningFunction>>,
    /// How many warnings are being given to the function, each in the middle of the one before.
    #[cfg(lua_ge_54)]
    pub(super) warnings: Cell<u32>,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks {
            hook: RefCell::new(None),
            thread: Cell::new(ptr::null_mut()),
            #[cfg(lua_ge_54)]
            warning: RefCell::new(None),
            #[cfg(lua_ge_54)]
            warnings: Cell::new(0),
        }
    }
}

impl Hooks {
    /// Drops everything: the VM is gone.
    pub(crate) fn clear(&self) {
        contain(|| drop(self.hook.take()));
        #[cfg(lua_ge_54)]
        contain(|| drop(self.warning.take()));
    }

    /// Makes `function` the hook, for `thread` alone.
    ///
    /// # Safety
    ///
    /// `thread` is a thread of the instance, which is open.
    unsafe fn set(
        &self,
        thread: *mut engine::lua_State,
        triggers: HookTriggers,
        function: HookFunction,
    ) {
        self.thread.set(thread);
        // SAFETY: setting a hook neither allocates nor raises.
        unsafe { engine::lua_sethook(thread, Some(call_hook), triggers.mask(), triggers.count()) };
        let before = self.hook.replace(Some(function));
        drop(before);
    }

    fn function_for(&self, thread: *mut engine::lua_State) -> Option<HookFunction> {
        if self.thread.get() != thread {
            return None;
        }
        self.hook.borrow().clone()
    }

    /// Whether Lua goes on asking for the hook in other threads than that it is for: in LuaJIT they all have the same.
    fn is_shared(&self) -> bool {
        cfg!(feature = "luajit") && self.hook.borrow().is_some()
    }
}

impl Lua {
    /// Lets Lua call `callback` while it runs code in the current thread.
    ///
    /// An instance has one hook: this one takes the place of any other, also of one that was set for a coroutine with
    /// [`Thread::set_hook`]. No hook is called while a hook runs.
    ///
    /// LuaJIT calls hooks from code that it interprets, not from code that it has compiled: the library function `jit.off` turns
    /// that off.
    ///
    /// An error that the callback returns is raised in the code that was running, and a panic goes on in the Rust code that
    /// called into Lua; so a hook can put an end to a program.
    ///
    /// # Examples
    ///
    /// ```
    /// use mlua::{Error, HookTriggers, Lua};
    ///
    /// let lua = Lua::new();
    /// lua.set_hook(HookTriggers::new().every_nth_instruction(10_000), |_, _| {
    ///     Err(Error::runtime("out of time"))
    /// });
    /// let error = lua.load("while true do end").exec().unwrap_err();
    /// assert!(error.to_string().contains("out of time"));
    /// ```
    pub fn set_hook<F>(&self, triggers: HookTriggers, callback: F)
    where
        F: Fn(&Lua, Debug<'_>) -> Result<()> + MaybeSend + 'static,
    {
        let entered = self.enter();
        // SAFETY: the running thread.
        unsafe {
            self.inner()
                .hooks
                .set(entered.state, triggers, Rc::new(callback))
        }
    }

    /// Removes the hook of this instance, if there is one.
    pub fn remove_hook(&self) {
        let _entered = self.enter();
        // Lua's side goes when it next asks for the function: see `call_hook`.
        let hook = self.inner().hooks.hook.take();
        drop(hook);
    }
}

impl Thread<'_> {
    /// Lets Lua call `callback` while it runs code in this coroutine.
    ///
    /// See [`Lua::set_hook`]: there is one hook in an instance.
    pub fn set_hook<F>(&self, triggers: HookTriggers, callback: F)
    where
        F: Fn(&Lua, Debug<'_>) -> Result<()> + MaybeSend + 'static,
    {
        let hooks = &self.0.lua().inner().hooks;
        // SAFETY: the reference is to a thread, which it keeps; reading its address is a plain read.
        unsafe {
            let (state, index) = self.0.peek();
            hooks.set(
                engine::lua_tothread(state, index),
                triggers,
                Rc::new(callback),
            );
        }
    }
}

/// The hook that Lua knows.
unsafe extern "C-unwind" fn call_hook(
    state: *mut engine::lua_State,
    record: *mut engine::lua_Debug,
) {
    // SAFETY: called by Lua, which has made room for `LUA_MINSTACK` values above those of the running function. The frame
    // has nothing to drop: the function is moved into the body.
    unsafe {
        let inner = find_inner(state);
        let Some(instance) = inner.as_ref() else {
            return;
        };
        let base = engine::lua_gettop(state);
        enter_above(instance.into(), state, base, |lua, _| {
            run_hook(lua.inner(), lua, state, record)
        });
    }
}

unsafe fn run_hook(
    inner: &LuaInner,
    lua: &Lua,
    state: *mut engine::lua_State,
    record: *mut engine::lua_Debug,
) -> Result<c_int> {
    let Some(function) = inner.hooks.function_for(state) else {
        if inner.hooks.is_shared() {
            return Ok(0);
        }
        // Removed, or inherited from the thread that made this one.
        // SAFETY: as in `Hooks::set`.
        unsafe { engine::lua_sethook(state, None, 0, 0) };
        return Ok(0);
    };
    // SAFETY: the record is valid while the hook runs, and the callback cannot keep its `Debug` longer.
    let debug = unsafe { Debug::in_hook(state, record) };
    function(lua, debug)?;
    Ok(0)
}
