//! How an instance begins.

use std::ffi::CStr;
use std::os::raw::{c_int, c_void};
use std::ptr::NonNull;

#[cfg(raising_finalizers)]
use super::gc;
use super::stdlib::{self, StdLib};
#[cfg(lua_ge_54)]
use super::warning;
use super::{pcall, LuaInner, LuaOptions};
use crate::call::begin;
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::state::memory::Memory;
use crate::Lua;

impl Lua {
    /// Makes an instance with the safe standard libraries ([`StdLib::ALL_SAFE`]).
    ///
    /// A safe instance never loads the library `debug` nor C modules.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use mlua::Lua;
    ///
    /// let lua = Lua::new();
    /// let globals = lua.globals();
    /// # drop(globals);
    /// ```
    #[allow(clippy::new_without_default)]
    pub fn new() -> Lua {
        Lua::new_with(StdLib::ALL_SAFE, LuaOptions::default()).expect("cannot make a Lua instance")
    }

    /// Makes an instance with all standard libraries, which may load C modules.
    ///
    /// # Safety
    ///
    /// What runs in the instance can break the memory safety of the program: by the library `debug` and by C modules.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory.
    pub unsafe fn unsafe_new() -> Lua {
        // SAFETY: passed on.
        unsafe { Lua::unsafe_new_with(StdLib::ALL, LuaOptions::default()) }
    }

    /// Makes a safe instance with the standard libraries `libs`.
    ///
    /// # Errors
    ///
    /// [`Error::SafetyError`] if `libs` contains the library `debug`; [`Error::MemoryError`].
    pub fn new_with(libs: StdLib, options: LuaOptions) -> Result<Lua> {
        if let Some(name) = libs.refused() {
            return Err(Error::SafetyError(format!(
                "The unsafe `{name}` module can't be loaded using safe `new_with`"
            )));
        }
        Lua::open_vm(libs, options, true)
    }

    /// Makes an instance with the standard libraries `libs`, which may load C modules.
    ///
    /// # Safety
    ///
    /// As [`Lua::unsafe_new`].
    ///
    /// # Panics
    ///
    /// Panics if there is no memory.
    pub unsafe fn unsafe_new_with(libs: StdLib, options: LuaOptions) -> Lua {
        Lua::open_vm(libs, options, false).expect("cannot make a Lua instance")
    }

    fn open_vm(libs: StdLib, options: LuaOptions, safe: bool) -> Result<Lua> {
        let block = LuaInner::alloc();
        // From here on `lua` owns the count that `alloc` made, and closes the VM on an error below.
        let lua = Lua(block);
        let inner = lua.inner();
        inner.safe.set(safe);
        #[cfg(feature = "async")]
        inner.futures.set_pool_size(options.thread_pool_size);
        let carry_panics = !options.catch_rust_panics;
        // SAFETY: the allocator and what it counts in live as long as the VM: the block is freed after closing it.
        unsafe {
            let memory = &inner.memory as *const Memory as *mut c_void;
            let state = engine::lua_newstate(Memory::allocate, memory);
            #[cfg(feature = "luajit")]
            let state = if state.is_null() {
                inner.foreign_memory.set(true);
                engine::luaL_newstate()
            } else {
                state
            };
            if state.is_null() {
                return Err(Error::MemoryError("not enough memory".into()));
            }
            inner.attach(state, state, inner.owns_memory());
            engine::lua_atpanic(state, unprotected);
            // Nothing of what is made here is garbage.
            engine::lua_gc(state, engine::LUA_GCSTOP, 0);
            if !engine::call_bare(state, write_inner, block.as_ptr() as *mut c_void) {
                return Err(Error::MemoryError("not enough memory".into()));
            }
            set_up(block, state)?;
            protect(state, 0, 0, |state| stdlib::open_base(state))?;
            #[cfg(waits_in_lua)]
            inner.lua_side.open(inner, state)?;
            protect(state, 0, 0, |state| {
                #[cfg(raising_finalizers)]
                gc::install(state);
                #[cfg(lua_ge_54)]
                warning::install(state);
                stdlib::open(state, libs, safe);
                if carry_panics {
                    pcall::install(state);
                }
            })?;
            engine::lua_gc(state, engine::LUA_GCRESTART, 0);
        }
        Ok(lua)
    }
}

impl Default for Lua {
    /// As [`Lua::new`].
    fn default() -> Self {
        Lua::new()
    }
}

/// Makes what every instance has, in a VM that has none of it yet.
///
/// # Safety
///
/// `block` is attached to `state`, and found from there.
pub(super) unsafe fn set_up(block: NonNull<LuaInner>, state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: the block lives as long as the VM. The table of globals is a plain entry of the registry.
    unsafe {
        let inner = block.as_ref();
        inner.keys.open(&inner.slots, state)?;
        inner.internals.open(inner, state)?;
        #[cfg(feature = "async")]
        inner.futures.open(inner, state)?;
        engine::push_globals(state);
        inner.globals.set(Some(inner.slots.take(state)?));
        #[cfg(finalizers)]
        super::finalize::post_sentinel(inner, state)?;
        protect(state, 0, 0, |state| keep_messages(state))
    }
}

/// Keeps the messages that `lua_resume` pushes before it protects itself, and those that are pushed after a protected call.
///
/// To make one of them may take memory, and if there is none Lua jumps to the main thread's protected call, wherever that is,
/// over all frames in between. To find one that is there takes none.
///
/// # Safety
///
/// May raise.
unsafe fn keep_messages(state: *mut engine::lua_State) {
    static KEY: u8 = 0;
    const MESSAGES: &[&CStr] = &[
        c"C stack overflow",
        // What Lua makes of an error in a message handler, after the protected call has ended.
        c"error in error handling",
        c"cannot resume dead coroutine",
        // LuaJIT breaks if it cannot make this one.
        #[cfg(feature = "luajit")]
        c"cannot resume running coroutine",
        c"cannot resume non-suspended coroutine",
    ];
    // SAFETY: the caller runs protected. The messages are short enough to be kept once each.
    unsafe {
        engine::lua_createtable(state, MESSAGES.len() as c_int, 0);
        for (i, message) in (1..).zip(MESSAGES.iter().copied()) {
            engine::lua_pushstring(state, message.as_ptr());
            engine::lua_rawseti(state, -2, i);
        }
        let key = &KEY as *const u8 as *const c_void;
        engine::lua_rawsetp(state, engine::LUA_REGISTRYINDEX, key);
    }
}

/// Binds the VM to the block whose address is the argument: the first thing to be done in a VM.
///
/// # Safety
///
/// Called by Lua, protected, with the address of a block or null.
pub(super) unsafe extern "C-unwind" fn write_inner(state: *mut engine::lua_State) -> c_int {
    // SAFETY: passed on.
    unsafe { begin(state, engine::lua_touserdata(state, 1) as *mut LuaInner) };
    0
}

/// Lua's panic function: an error outside of any protected call, which the library never lets happen.
unsafe extern "C-unwind" fn unprotected(_: *mut engine::lua_State) -> std::os::raw::c_int {
    eprintln!("unprotected error in a call into Lua");
    std::process::abort()
}
