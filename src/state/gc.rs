//! The garbage collector and the memory limit.

use std::os::raw::c_int;

#[cfg(raising_finalizers)]
use crate::call::find_inner;
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::state::Entered;
use crate::Lua;

/// The mode of the garbage collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GCMode {
    /// A collection proceeds in small steps, which take turns with the program.
    Incremental,
    /// Young objects are looked at often, old ones rarely.
    #[cfg(lua_ge_54)]
    Generational,
}

#[cfg(lua_ge_54)]
impl GCMode {
    fn from_raw(mode: c_int) -> GCMode {
        if mode == engine::LUA_GCGEN {
            GCMode::Generational
        } else {
            GCMode::Incremental
        }
    }
}

impl Lua {
    /// How many bytes Lua holds in this instance.
    pub fn used_memory(&self) -> usize {
        let entered = self.enter();
        if self.inner().owns_memory() {
            return self.inner().memory.used();
        }
        // SAFETY: reading the counters does not raise.
        unsafe {
            let kbytes = engine::lua_gc(entered.state, engine::LUA_GCCOUNT, 0) as usize;
            kbytes * 1024 + engine::lua_gc(entered.state, engine::LUA_GCCOUNTB, 0) as usize
        }
    }

    /// Limits the memory that Lua may hold to `limit` bytes (0: no limit) and returns the limit before.
    ///
    /// What would go over the limit fails with [`Error::MemoryError`].
    ///
    /// Before Lua 5.4, so may the call of a finalizer, and then it is not called again: the value of a userdata is leaked.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryLimitNotAvailable`] if the VM was made by somebody else ([`Lua::init_from_ptr`]).
    pub fn set_memory_limit(&self, limit: usize) -> Result<usize> {
        let _entered = self.enter();
        let inner = self.inner();
        if !inner.owns_memory() {
            return Err(Error::MemoryLimitNotAvailable);
        }
        inner.set_infallible_memory(limit == 0);
        Ok(inner.memory.set_limit(limit))
    }

    /// Whether the collector runs by itself.
    #[cfg(any(lua_ge_52, feature = "luau"))]
    pub fn gc_is_running(&self) -> bool {
        self.gc(engine::LUA_GCISRUNNING) != 0
    }

    /// Stops the collector, until [`Lua::gc_restart`].
    pub fn gc_stop(&self) {
        self.gc(engine::LUA_GCSTOP);
    }

    /// Lets the collector run by itself again.
    pub fn gc_restart(&self) {
        self.gc(engine::LUA_GCRESTART);
    }

    /// Performs a full collection.
    ///
    /// What finalizers let go of is collected by the next one. Values of dropped registry keys and handles that were still
    /// waiting for their end are freed first.
    ///
    /// In a destructor that the collector runs, and while the instance is closed, nothing is collected.
    ///
    /// # Errors
    ///
    /// An error in a finalizer is the error of this call before Lua 5.4, and of whatever else makes the collector run: on Lua
    /// 5.2 and 5.3 an `Error::GarbageCollectorError`. The collector then stops there; the finalizers that are left run when it
    /// goes on. Since Lua 5.4 such errors become warnings.
    pub fn gc_collect(&self) -> Result<()> {
        let entered = self.enter();
        self.expire_registry_values();
        collect(&entered, |state| {
            // SAFETY: runs protected.
            unsafe { engine::lua_gc(state, engine::LUA_GCCOLLECT, 0) }
        })?;
        Ok(())
    }

    /// Performs one step of the collector; returns whether it finished a cycle.
    ///
    /// # Errors
    ///
    /// As [`Lua::gc_collect`].
    pub fn gc_step(&self) -> Result<bool> {
        self.gc_step_kbytes(0)
    }

    /// Performs as many steps of the collector as if `kbytes` had been allocated (0: one step); returns whether that
    /// finished a cycle.
    ///
    /// # Errors
    ///
    /// As [`Lua::gc_collect`].
    pub fn gc_step_kbytes(&self, kbytes: c_int) -> Result<bool> {
        let entered = self.enter();
        #[cfg(feature = "lua53")]
        let was_running = self.gc_is_running();
        let finished = collect(&entered, |state| {
            // SAFETY: runs protected.
            unsafe { engine::lua_gc(state, engine::LUA_GCSTEP, kbytes) }
        });
        // Lua 5.3 lets the collector run for a step, and on if that ends with an error.
        #[cfg(feature = "lua53")]
        if !was_running && finished.is_err() {
            self.gc_stop();
        }
        Ok(finished? != 0)
    }

    /// Sets how long the collector waits after a cycle, in per cent of the memory in use then; returns the value before.
    pub fn gc_set_pause(&self, pause: c_int) -> c_int {
        self.gc_with(engine::LUA_GCSETPAUSE, pause)
    }

    /// Sets how fast the collector works, in per cent of what is allocated; returns the value before.
    pub fn gc_set_step_multiplier(&self, step_multiplier: c_int) -> c_int {
        self.gc_with(engine::LUA_GCSETSTEPMUL, step_multiplier)
    }

    /// Makes the collector incremental; returns the mode before. A parameter of 0 stays as it is.
    ///
    /// This Lua has no other mode, and no size of a step.
    #[cfg(not(lua_ge_54))]
    pub fn gc_inc(&self, pause: c_int, step_multiplier: c_int, _step_size: c_int) -> GCMode {
        let _entered = self.enter();
        if pause > 0 {
            self.gc_set_pause(pause);
        }
        if step_multiplier > 0 {
            self.gc_set_step_multiplier(step_multiplier);
        }
        GCMode::Incremental
    }

    /// Makes the collector incremental; returns the mode before. A parameter of 0 stays as it is.
    #[cfg(lua_ge_54)]
    pub fn gc_inc(&self, pause: c_int, step_multiplier: c_int, step_size: c_int) -> GCMode {
        let entered = self.enter();
        // SAFETY: a change of the mode may collect; see `gc`.
        GCMode::from_raw(unsafe {
            engine::gc_inc(entered.state, pause, step_multiplier, step_size)
        })
    }

    /// Makes the collector generational; returns the mode before. A parameter of 0 stays as it is.
    #[cfg(lua_ge_54)]
    pub fn gc_gen(&self, minor_multiplier: c_int, major_multiplier: c_int) -> GCMode {
        let entered = self.enter();
        // SAFETY: a change of the mode may collect; see `gc`.
        GCMode::from_raw(unsafe {
            engine::gc_gen(entered.state, minor_multiplier, major_multiplier)
        })
    }

    fn gc(&self, what: c_int) -> c_int {
        self.gc_with(what, 0)
    }

    fn gc_with(&self, what: c_int, argument: c_int) -> c_int {
        let entered = self.enter();
        // SAFETY: none of these requests collects, so none raises.
        unsafe { engine::lua_gc(entered.state, what, argument) }
    }
}

/// What Lua 5.4 answers to a request in a finalizer.
#[cfg(raising_finalizers)]
const REFUSED: c_int = -1;

/// Runs the collector. Finalizers run in there, so it has the error handling of any call.
fn collect<F>(entered: &Entered, body: F) -> Result<c_int>
where
    F: FnOnce(*mut engine::lua_State) -> c_int + Copy,
{
    #[cfg(raising_finalizers)]
    if entered.lua.inner().refuses_to_collect() {
        return Ok(REFUSED);
    }
    // SAFETY: `state` is running (`entered`), and there are three free places.
    unsafe {
        let done = protect(entered.state, 0, 0, body);
        entered.lua.inner().bury();
        done
    }
}

/// Puts a `collectgarbage` in the place of the one of the basic library that collects nothing where
/// [the collector must not be asked to](crate::state::LuaInner::refuses_to_collect).
///
/// # Safety
///
/// May raise.
#[cfg(raising_finalizers)]
pub(super) unsafe fn install(state: *mut engine::lua_State) {
    const NAME: &std::ffi::CStr = c"collectgarbage";
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_getglobal(state, NAME.as_ptr());
        engine::lua_pushcclosure(state, collectgarbage, 1);
        engine::lua_setglobal(state, NAME.as_ptr());
    }
}

/// The library function `collectgarbage`, around that of Lua's.
#[cfg(raising_finalizers)]
unsafe extern "C-unwind" fn collectgarbage(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua; there is nothing to drop. The upvalue is Lua's own function, which takes its arguments from the
    // same stack.
    unsafe {
        let request = engine::luaL_optstring(state, 1, c"collect".as_ptr());
        let collects = matches!(
            std::ffi::CStr::from_ptr(request).to_bytes(),
            b"collect" | b"step"
        );
        let refuses = find_inner(state)
            .as_ref()
            .is_some_and(|inner| inner.refuses_to_collect());
        if collects && refuses {
            engine::lua_pushboolean(state, 0);
            return 1;
        }
        match engine::lua_tocfunction(state, engine::lua_upvalueindex(1)) {
            Some(collectgarbage) => collectgarbage(state),
            None => 0,
        }
    }
}
