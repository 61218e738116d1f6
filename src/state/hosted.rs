//! Instances in a VM that somebody else made, and will close: modules, and programs that embed Lua from C.
//!
//! Such an instance stays open until the host closes its VM, whatever owners come and go. Its end has two steps. The first
//! finalizer of `lua_close` that enters the library [notices](super::host_close) that the VM is being closed: from there on
//! handles are dead, while functions still work. The VM itself holds a count in `open`, by a [userdata](post_guard) in its
//! registry: when that is finalized, the instance is gone. Finalizers that run later than that may still call functions of
//! the instance; they get a Lua error, and the block that they look at is never freed.

use std::mem;
use std::os::raw::{c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use super::close::forget_vm;
#[cfg(finalizers)]
use super::finalize::finalize_latecomers;
#[cfg(lua_ge_54)]
use super::host_close;
use super::{create, LuaInner, STACK_RESERVE};
use crate::call::callback::enter;
use crate::call::failure::discard;
use crate::call::find_inner;
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::types::MaybeSend;
use crate::value::{FromLuaMulti, IntoLua};
use crate::Lua;

impl Lua {
    /// Makes an instance of a VM that somebody else has made, or finds the one that was made before.
    ///
    /// All instances of one VM are the same one: they share registry keys, app data and hooks. Dropping them does not close
    /// the VM. When the host closes it, handles, keys and instances that are left are dead. (A few kilobytes for each
    /// such VM stay allocated, for finalizers that run late.)
    ///
    /// The instance works in the main thread of the VM, except where a function of its own was called from a coroutine.
    /// It is not a safe one in the sense of [`Lua::new`], and it cannot limit memory.
    ///
    /// On Lua 5.5 the library `coroutine` of the VM gets another `close`, which does not end the running coroutine over frames
    /// of Rust. The program must not have kept Lua's own and do that with it.
    ///
    /// # Safety
    ///
    /// `state` is a state of an open VM of the Lua that this library is built with, which is not in use on another thread.
    /// The host closes the VM while no code of this library is running in it, and no reference into it is left.
    ///
    /// Before Lua 5.4 nobody can tell whether a VM is being closed: there its first instance is not made by a finalizer that runs
    /// in that, since nothing would tell the instance when the VM is gone.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory, or if the VM is just being closed. With the feature `module`, where a panic would end
    /// the host, such an instance is a destroyed one instead, and what a module does with it raises an error.
    pub unsafe fn init_from_ptr(state: *mut engine::lua_State) -> Lua {
        // SAFETY: passed on.
        match unsafe { open_hosted(state) } {
            Ok(lua) => lua,
            Err(_) if cfg!(feature = "module") => dead_instance(),
            Err(error) => panic!("cannot make a Lua instance: {error}"),
        }
    }

    /// The body of a module's C function: calls `func` with the arguments that lie on `state` and returns its result to
    /// Lua, or raises its error.
    ///
    /// # Safety
    ///
    /// The last act of a C function that Lua has called on `state`, a state of this instance; its frame has nothing left to
    /// drop.
    #[doc(hidden)]
    pub unsafe fn entrypoint<'lua, A, R, F>(self, state: *mut engine::lua_State, func: F) -> c_int
    where
        A: FromLuaMulti<'lua>,
        R: IntoLua<'lua>,
        F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
    {
        let inner = self.0;
        // The VM keeps the instance open.
        drop(self);
        // SAFETY: passed on; `func` is dropped in the body.
        unsafe {
            enter(inner, state, move |lua, nargs| {
                let args = A::from_stack_args(nargs, 1, None, lua)?;
                func(lua, args)?.push_into_stack(lua)?;
                Ok(1)
            })
        }
    }

    /// As [`Lua::entrypoint`] for a function without arguments.
    ///
    /// # Safety
    ///
    /// As [`Lua::entrypoint`].
    #[doc(hidden)]
    pub unsafe fn entrypoint1<'lua, R, F>(self, state: *mut engine::lua_State, func: F) -> c_int
    where
        R: IntoLua<'lua>,
        F: Fn(&'lua Lua) -> Result<R> + MaybeSend + 'static,
    {
        // SAFETY: passed on.
        unsafe { self.entrypoint(state, move |lua, _: ()| func(lua)) }
    }

    /// With `skip`, small allocations inside Lua are taken not to fail, which is faster.
    ///
    /// # Safety
    ///
    /// They do not: the host's allocator always has memory, or ends the process when it has none. Otherwise Lua's error leaps
    /// over frames of Rust that have something to drop.
    #[cfg(feature = "module")]
    #[doc(hidden)]
    pub unsafe fn skip_memory_check(&self, skip: bool) {
        let entered = self.try_enter();
        if entered.is_ok() && !self.inner().owns_memory() {
            self.inner().set_infallible_memory(skip);
        }
    }
}

unsafe fn open_hosted(state: *mut engine::lua_State) -> Result<Lua> {
    // SAFETY: the caller promises an open VM. Neither call raises.
    let existing = unsafe {
        if !engine::check_running_stack(state, STACK_RESERVE) {
            return Err(Error::StackError);
        }
        find_inner(state)
    };
    if let Some(block) = NonNull::new(existing) {
        // SAFETY: the block is there as long as its VM.
        let inner = unsafe { block.as_ref() };
        inner.keep_open();
        inner.add_owner();
        return Ok(Lua(block));
    }
    let block = LuaInner::alloc();
    // SAFETY: just made.
    let inner = unsafe { block.as_ref() };
    inner.hosted.set(true);
    inner.safe.set(false);
    // SAFETY: the caller promises an open VM.
    unsafe {
        let main = engine::main_thread(state);
        if main.is_null() {
            keep_for_good(block);
            return Err(Error::MemoryError("not enough memory".into()));
        }
        inner.attach(main, main, false);
        if let Err(error) = set_up(block, main) {
            // What was made may still look at the block.
            inner.detach();
            forget_inner(main);
            keep_for_good(block);
            return Err(error);
        }
    }
    // The host.
    inner.add_owner();
    Ok(Lua(block))
}

/// An instance without a VM.
fn dead_instance() -> Lua {
    let block = LuaInner::alloc();
    // `entrypoint` looks at it after the last owner is gone.
    keep_for_good(block);
    Lua(block)
}

unsafe fn set_up(block: NonNull<LuaInner>, main: *mut engine::lua_State) -> Result<()> {
    // SAFETY: `main` is the main thread of the VM that `block` is attached to. Until `create::write_inner` is through there is no
    // instance to find, so it is protected without a message handler.
    unsafe {
        if !engine::check_running_stack(main, STACK_RESERVE) {
            return Err(Error::StackError);
        }
        if !engine::call_bare(main, create::write_inner, block.as_ptr() as *mut c_void) {
            return Err(Error::MemoryError("not enough memory".into()));
        }
        create::set_up(block, main)?;
        #[cfg(waits_in_lua)]
        block.as_ref().lua_side.open(block.as_ref(), main)?;
        #[cfg(feature = "lua55")]
        protect(main, 0, 0, |state| engine::guard_coroutines(state))?;
        #[cfg(lua_ge_54)]
        host_close::prepare(block.as_ref(), main)?;
        post_guard(block, main)
    }
}

/// Lets nobody find the instance that could not be made.
unsafe fn forget_inner(main: *mut engine::lua_State) {
    // SAFETY: `find_inner` takes null for none; to overwrite a field that is there does not raise, and if the field is not
    // there the error is dropped.
    unsafe {
        engine::call_bare(main, create::write_inner, std::ptr::null_mut());
    }
}

/// Makes the object that holds the VM's count in `open`.
unsafe fn post_guard(block: NonNull<LuaInner>, main: *mut engine::lua_State) -> Result<()> {
    // SAFETY: runs protected; nothing in there has a destructor. The guard lies in the registry under its own address,
    // where nobody else looks. It is written before anything else can fail.
    unsafe {
        protect(main, 0, 0, |state| {
            const SIZE: usize = mem::size_of::<*mut LuaInner>();
            #[cfg(finalizers)]
            let guard = engine::lua_newuserdatauv(state, SIZE, 0);
            #[cfg(not(finalizers))]
            let guard = engine::lua_newuserdatadtor(state, SIZE, end);
            let guard = guard as *mut *mut LuaInner;
            guard.write(std::ptr::null_mut());
            #[cfg(finalizers)]
            push_guard_metatable(state);
            engine::lua_pushvalue(state, 1);
            engine::lua_rawsetp(state, engine::LUA_REGISTRYINDEX, guard as *const c_void);
            // From here on nothing can fail.
            #[cfg(finalizers)]
            engine::lua_setmetatable(state, 1);
            guard.write(block.as_ptr());
            block.as_ref().keep_open();
        })
    }
}

/// # Safety
///
/// May raise.
#[cfg(finalizers)]
unsafe fn push_guard_metatable(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_createtable(state, 0, 2);
        engine::lua_pushcfunction(state, end);
        engine::lua_setfield(state, -2, c"__gc".as_ptr());
        engine::lua_pushboolean(state, 0);
        engine::lua_setfield(state, -2, c"__metatable".as_ptr());
    }
}

/// `__gc` of the guard: the host closes the VM.
#[cfg(finalizers)]
unsafe extern "C-unwind" fn end(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua; only the guard has this metatable.
    unsafe {
        let guard = engine::lua_touserdata(state, 1) as *mut *mut LuaInner;
        if let Some(block) = NonNull::new(guard.replace(std::ptr::null_mut())) {
            end_instance(block, state);
        }
    }
    0
}

/// What the sweep calls for the guard: the host closes the VM, and nothing in it can be entered any more.
#[cfg(not(finalizers))]
unsafe extern "C" fn end(_: *mut engine::lua_State, guard: *mut c_void) {
    // SAFETY: the memory of the guard.
    unsafe {
        let guard = guard as *mut *mut LuaInner;
        if let Some(block) = NonNull::new(guard.replace(std::ptr::null_mut())) {
            end_instance(block, std::ptr::null_mut());
        }
    }
}

/// The blocks of instances that have ended, or could not be made: kept for finalizers that run later, and here where a leak
/// detector finds them.
///
/// They cannot be freed with the VM's last memory: by then the library may be unloaded, if it is a module.
static ENDED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn keep_for_good(block: NonNull<LuaInner>) {
    // SAFETY: the caller has a count, of either kind.
    unsafe { block.as_ref() }.retain();
    let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    ended.push(block.as_ptr() as usize);
}

/// # Safety
///
/// The caller owns a count in `open`. A finalizer of the VM runs on `state`; null if the VM cannot be entered any more.
unsafe fn end_instance(block: NonNull<LuaInner>, state: *mut engine::lua_State) {
    // SAFETY: the VM's count is given back once. Finalizers that run later look at the block, so it is kept for good.
    unsafe {
        let inner = block.as_ref();
        // First, while it can tell by the counts whether there are handles.
        inner.end();
        keep_for_good(block);
        inner.switch_state(state);
        // Destructors of the user may panic in there.
        for result in [
            #[cfg(finalizers)]
            catch_unwind(AssertUnwindSafe(|| finalize_latecomers(inner))),
            catch_unwind(AssertUnwindSafe(|| forget_vm(inner))),
            catch_unwind(AssertUnwindSafe(|| LuaInner::let_close(block))),
        ] {
            if let Err(payload) = result {
                discard(payload);
            }
        }
    }
}
