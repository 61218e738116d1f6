//! The two C functions that are pushed without protection: the message handler, and the one that runs what is protected.
//!
//! Where a C function is an object of the collector, to push one takes memory, may collect and may raise. So an instance makes
//! both when it is made, and keeps them in its registry; from there they are pushed without any of that. The address of what
//! is to run goes to Lua as a number where a light userdata takes memory (LuaJIT).

use std::os::raw::{c_int, c_void};

use super::protect::run_job;
use super::traceback::message_handler;
use crate::engine;

#[cfg(not(light_functions))]
static HANDLER: u8 = 0;
#[cfg(not(light_functions))]
static RUNNER: u8 = 1;

/// Makes the functions.
///
/// # Safety
///
/// May raise.
#[cfg(not(light_functions))]
pub(crate) unsafe fn install(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_pushcfunction(state, message_handler);
        engine::lua_rawsetp(state, engine::LUA_REGISTRYINDEX, key(&HANDLER));
        engine::lua_pushcfunction(state, run_job);
        engine::lua_rawsetp(state, engine::LUA_REGISTRYINDEX, key(&RUNNER));
    }
}

#[cfg(not(light_functions))]
fn key(of: &'static u8) -> *const c_void {
    of as *const u8 as *const c_void
}

/// Pushes the message handler.
///
/// # Safety
///
/// `state` is a state of an instance, with one free place.
#[inline(always)]
pub(crate) unsafe fn push_handler(state: *mut engine::lua_State) {
    // SAFETY: a plain value, or a raw read of what `install` has made.
    unsafe {
        #[cfg(light_functions)]
        engine::lua_pushcfunction(state, message_handler);
        #[cfg(not(light_functions))]
        engine::lua_rawgetp(state, engine::LUA_REGISTRYINDEX, key(&HANDLER));
    }
}

/// Pushes [`run_job`].
///
/// # Safety
///
/// As [`push_handler`].
#[inline(always)]
pub(super) unsafe fn push_runner(state: *mut engine::lua_State) {
    // SAFETY: as in `push_handler`.
    unsafe {
        #[cfg(light_functions)]
        engine::lua_pushcfunction(state, run_job);
        #[cfg(not(light_functions))]
        engine::lua_rawgetp(state, engine::LUA_REGISTRYINDEX, key(&RUNNER));
    }
}

/// Pushes an address, without taking memory.
///
/// # Safety
///
/// `state` has one free place.
#[inline(always)]
pub(super) unsafe fn push_address(state: *mut engine::lua_State, address: *mut c_void) {
    // SAFETY: neither kind of value takes memory. The addresses of a process have less than 53 bits.
    unsafe {
        if cfg!(feature = "luajit") {
            engine::lua_pushnumber(state, address.expose_provenance() as engine::lua_Number);
        } else {
            engine::lua_pushlightuserdata(state, address);
        }
    }
}

/// The address at `index`, which [`push_address`] has pushed.
///
/// # Safety
///
/// There is one.
#[inline(always)]
pub(super) unsafe fn to_address(state: *mut engine::lua_State, index: c_int) -> *mut c_void {
    // SAFETY: plain reads.
    unsafe {
        if cfg!(feature = "luajit") {
            std::ptr::with_exposed_provenance_mut(engine::lua_tonumber(state, index) as usize)
        } else {
            engine::lua_touserdata(state, index)
        }
    }
}
