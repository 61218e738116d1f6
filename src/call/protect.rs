//! Calls into Lua that may raise.
//!
//! An error in Lua is a `longjmp` to the innermost protected call. [`protect`] makes one around a small piece of Rust, so
//! that the jump ends here and crosses only frames without destructors.

use std::os::raw::{c_int, c_void};

use super::failure::pop_error;
use super::pinned::{push_address, push_handler, push_runner, to_address};
use crate::engine;
use crate::error::Result;
use crate::stack::Held;
use crate::state::LuaInner;

/// `lua_pcall`, in which a memory limit is in force.
///
/// # Safety
///
/// As `lua_pcall`.
#[inline(always)]
unsafe fn pcall(
    state: *mut engine::lua_State,
    nargs: c_int,
    nresults: c_int,
    handler: c_int,
) -> c_int {
    // SAFETY: passed on.
    unsafe { limited(state, || engine::lua_pcall(state, nargs, nresults, handler)) }
}

/// `lua_resume`, in which a memory limit is in force.
///
/// # Safety
///
/// As `lua_resume`.
#[inline(always)]
pub(crate) unsafe fn resume(
    thread: *mut engine::lua_State,
    from: *mut engine::lua_State,
    nargs: c_int,
    nresults: &mut c_int,
) -> c_int {
    // SAFETY: passed on.
    unsafe { limited(thread, || engine::lua_resume(thread, from, nargs, nresults)) }
}

/// See [`Memory::limited`](crate::state::memory::Memory::limited).
///
/// # Safety
///
/// `state` is a state of an open VM.
#[inline(always)]
unsafe fn limited<R>(state: *mut engine::lua_State, call: impl FnOnce() -> R) -> R {
    #[cfg(feature = "luajit")]
    // SAFETY: the VM is open until `call` returns, and longer.
    if let Some(memory) = unsafe { crate::state::memory::Memory::of(state) } {
        return memory.limited(call);
    }
    let _ = state;
    call()
}

/// What [`run_job`] runs: the first thing in the memory of every job.
#[repr(C)]
pub(super) struct Header {
    run: unsafe fn(*mut Header, *mut engine::lua_State) -> c_int,
}

#[repr(C)]
struct Job<F, R> {
    header: Header,
    body: F,
    result: Option<R>,
    nresults: c_int,
}

impl<F, R> Job<F, R>
where
    F: FnOnce(*mut engine::lua_State) -> R + Copy,
    R: Copy,
{
    fn new(body: F, nresults: c_int) -> Job<F, R> {
        Job {
            header: Header { run: run::<F, R> },
            body,
            result: None,
            nresults,
        }
    }
}

/// Runs `body` protected, with the `nargs` values on top of `state` as the whole of its stack.
///
/// It leaves `nresults` values on `state` in place of the arguments, with `LUA_MULTRET` all that `body` leaves; on an error
/// none. `body` finds `LUA_MINSTACK` free places.
///
/// # Safety
///
/// `state` is a running state of an open VM with `nargs` values on top and 3 free places. Raising inside `body` skips
/// nothing that must run (that `F` and `R` need no drop is checked at compile time; the frames that `body` makes are up to
/// the caller).
pub(crate) unsafe fn protect<F, R>(
    state: *mut engine::lua_State,
    nargs: c_int,
    nresults: c_int,
    body: F,
) -> Result<R>
where
    F: FnOnce(*mut engine::lua_State) -> R + Copy,
    R: Copy,
{
    let mut job = Job::new(body, nresults);
    // SAFETY: there is room for three values; the handler lies below the function. `job` outlives the call.
    unsafe {
        let handler = engine::lua_gettop(state) - nargs + 1;
        push_handler(state);
        engine::lua_insert(state, handler);
        push_runner(state);
        engine::lua_insert(state, handler + 1);
        push_address(state, &mut job as *mut Job<F, R> as *mut c_void);
        let status = pcall(state, nargs + 1, nresults, handler);
        if status != engine::LUA_OK {
            let mut held = Held::adopt(state, 2);
            held.release(1);
            return Err(pop_error(state, status));
        }
        engine::lua_remove(state, handler);
    }
    // The body ran to its end, or the status would not be OK.
    Ok(job.result.expect("protected code did not finish"))
}

/// As [`protect`], of a `body` that makes one value out of nothing.
///
/// It takes half of what `protect` takes to have the functions on the stack, where they are objects.
///
/// # Safety
///
/// As [`protect`]; `state` is of the instance `inner`, which has been opened.
pub(super) unsafe fn create<F, R>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    body: F,
) -> Result<R>
where
    F: FnOnce(*mut engine::lua_State) -> R + Copy,
    R: Copy,
{
    let mut job = Job::new(body, 1);
    // SAFETY: as in `protect`; the value takes the place of the handler.
    unsafe {
        inner.internals.push_handler(&inner.slots, state);
        inner.internals.push_runner(&inner.slots, state);
        push_address(state, &mut job as *mut Job<F, R> as *mut c_void);
        let status = pcall(state, 1, 1, -3);
        if status != engine::LUA_OK {
            let mut held = Held::adopt(state, 2);
            held.release(1);
            return Err(pop_error(state, status));
        }
        engine::lua_replace(state, -2);
    }
    Ok(job.result.expect("protected code did not finish"))
}

/// The C function that runs the job whose address is its last argument.
///
/// # Safety
///
/// Called by Lua, with the address of a job that is there while this runs.
pub(super) unsafe extern "C-unwind" fn run_job(state: *mut engine::lua_State) -> c_int {
    // SAFETY: the job begins with its header. Nothing here needs a drop.
    unsafe {
        let job = to_address(state, -1) as *mut Header;
        engine::lua_pop(state, 1);
        #[cfg(all(waits_in_lua, finalizers))]
        make_room_for_finalizers(state);
        ((*job).run)(job, state)
    }
}

/// Sees to it that a memory limit stands in the way of no finalizer that runs in a job: where there is no memory for its stack,
/// Lua passes it over, and what it would drop stays for good.
#[cfg(all(waits_in_lua, finalizers))]
#[inline(always)]
unsafe fn make_room_for_finalizers(state: *mut engine::lua_State) {
    use crate::state::memory::Memory;
    // SAFETY: a running state, protected.
    unsafe {
        if let Some(memory) = Memory::of(state).filter(|memory| memory.is_limited()) {
            memory.without_limit(|| engine::lua_checkstack(state, 3 * engine::LUA_MINSTACK));
        }
    }
}

unsafe fn run<F, R>(job: *mut Header, state: *mut engine::lua_State) -> c_int
where
    F: FnOnce(*mut engine::lua_State) -> R + Copy,
    R: Copy,
{
    // SAFETY: `protect` has made the job, of this type; it lives in the frame below us. Nothing here needs a drop.
    unsafe {
        let job = job as *mut Job<F, R>;
        let result = ((*job).body)(state);
        (*job).result = Some(result);
        if (*job).nresults == engine::LUA_MULTRET {
            engine::lua_gettop(state)
        } else {
            (*job).nresults
        }
    }
}

/// Calls the C function `function` protected with copies of the `n` values on top of `state`; leaves `nresults` values, or
/// the error object, above the message handler on top of all, and returns the status.
///
/// Copies, so that nothing has to be moved to make room for the function below its arguments.
///
/// # Safety
///
/// `state` is a running state with `n` values on top and `n + 3` free places.
pub(crate) unsafe fn call_on_copies(
    state: *mut engine::lua_State,
    function: engine::lua_CFunction,
    n: c_int,
    nresults: c_int,
) -> c_int {
    let mut job = FunctionJob {
        header: Header { run: run_function },
        function,
    };
    // SAFETY: there is room; the copies are those of the `n` values since each push moves them one further down.
    unsafe {
        push_handler(state);
        push_runner(state);
        for _ in 0..n {
            engine::lua_pushvalue(state, -n - 2);
        }
        push_address(state, &mut job as *mut FunctionJob as *mut c_void);
        pcall(state, n + 1, nresults, -n - 3)
    }
}

#[repr(C)]
struct FunctionJob {
    header: Header,
    function: engine::lua_CFunction,
}

unsafe fn run_function(job: *mut Header, state: *mut engine::lua_State) -> c_int {
    // SAFETY: `call_on_copies` has made the job.
    unsafe { ((*(job as *mut FunctionJob)).function)(state) }
}
