//! Calls into Lua that may raise.
//!
//! An error in Lua is a `longjmp` to the innermost protected call. [`protect`] makes one around a small piece of Rust, so
//! that the jump ends here and crosses only frames without destructors.

use std::marker::PhantomData;
use std::os::raw::{c_int, c_void};

use super::failure::pop_error;
use super::traceback::message_handler;
use crate::engine;
use crate::error::Result;
use crate::stack::Held;

struct Job<F, R> {
    body: F,
    result: Option<R>,
    nresults: c_int,
    _marker: PhantomData<R>,
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
    let mut job = Job {
        body,
        result: None,
        nresults,
        _marker: PhantomData,
    };
    // SAFETY: there is room for three values; the handler lies below the function. `job` outlives the call.
    unsafe {
        let handler = engine::lua_gettop(state) - nargs + 1;
        engine::lua_pushcfunction(state, message_handler);
        engine::lua_insert(state, handler);
        engine::lua_pushcfunction(state, run::<F, R>);
        engine::lua_insert(state, handler + 1);
        engine::lua_pushlightuserdata(state, &mut job as *mut Job<F, R> as *mut c_void);
        let status = engine::lua_pcall(state, nargs + 1, nresults, handler);
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

unsafe extern "C-unwind" fn run<F, R>(state: *mut engine::lua_State) -> c_int
where
    F: FnOnce(*mut engine::lua_State) -> R + Copy,
    R: Copy,
{
    // SAFETY: `protect` pushed the job last; it lives in the frame below us. Nothing here needs a drop.
    unsafe {
        let job = engine::lua_touserdata(state, -1) as *mut Job<F, R>;
        engine::lua_pop(state, 1);
        let result = ((*job).body)(state);
        (*job).result = Some(result);
        if (*job).nresults == engine::LUA_MULTRET {
            engine::lua_gettop(state)
        } else {
            (*job).nresults
        }
    }
}
