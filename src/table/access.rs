//! Reads and writes of a table that lies on the running state's stack.

use std::os::raw::c_int;

use crate::call::failure::pop_error;
use crate::call::protect::{self, protect};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::slots::Slot;
use crate::stack::Held;
use crate::state::LuaInner;
use crate::Integer;

/// Whether the table at `index` has a metatable.
///
/// # Safety
///
/// `state` is a running state with a table at `index` and one free place.
#[inline(always)]
pub(super) unsafe fn has_metatable(state: *mut engine::lua_State, index: c_int) -> bool {
    // SAFETY: neither call raises.
    unsafe {
        let found = engine::lua_getmetatable(state, index) != 0;
        if found {
            engine::lua_pop(state, 1);
        }
        found
    }
}

/// Whether the table at `index` can be written to.
///
/// # Safety
///
/// `state` is a state of an open VM with a table at `index`.
#[inline(always)]
pub(super) unsafe fn is_writable(state: *mut engine::lua_State, index: c_int) -> bool {
    #[cfg(feature = "luau")]
    // SAFETY: a plain read.
    return unsafe { engine::lua_getreadonly(state, index) == 0 };
    #[cfg(not(feature = "luau"))]
    {
        let _ = (state, index);
        true
    }
}

/// An error if the table at `index` cannot be written to.
///
/// # Safety
///
/// As [`is_writable`].
#[inline(always)]
pub(super) unsafe fn check_writable(state: *mut engine::lua_State, index: c_int) -> Result<()> {
    // SAFETY: passed on.
    match unsafe { is_writable(state, index) } {
        true => Ok(()),
        false => Err(read_only()),
    }
}

#[cold]
pub(super) fn read_only() -> Error {
    Error::RuntimeError("attempt to modify a readonly table".to_owned())
}

/// Whether the table at `index` has a metatable with a field whose name lies in the slot `name`.
///
/// # Safety
///
/// `state` is a running state of the instance with a table at `index` and two free places.
#[inline]
unsafe fn has_metamethod(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    index: c_int,
    name: Slot,
) -> bool {
    // SAFETY: raw reads.
    unsafe {
        if engine::lua_getmetatable(state, index) == 0 {
            return false;
        }
        inner.slots.push(name, state);
        let found = engine::lua_rawget(state, -2) != engine::LUA_TNIL;
        engine::lua_pop(state, 2);
        found
    }
}

/// Pushes the value that the table below the key on top has for it, with metamethods.
///
/// # Safety
///
/// `state` is a running state of the instance with a table and a key on top, which `held` counts, and 6 free places.
#[inline(always)]
pub(super) unsafe fn get(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    held: &mut Held,
) -> Result<()> {
    // SAFETY: raw reads do not raise.
    unsafe {
        engine::lua_pushvalue(state, -1);
        if engine::lua_rawget(state, -3) == engine::LUA_TNIL
            && engine::lua_getmetatable(state, -3) != 0
        {
            return get_by_metatable(inner, state, held);
        }
        held.add(1);
    }
    Ok(())
}

/// The rest of [`get`] for a table that has no such field: pushes what its metatable says.
///
/// A table in the field `__index` is looked at here, since that needs no protection.
///
/// # Safety
///
/// As [`get`], with nil and the metatable on top of the key, not counted by `held`, and 6 free places above.
#[inline(never)]
unsafe fn get_by_metatable(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    held: &mut Held,
) -> Result<()> {
    // SAFETY: raw reads.
    unsafe {
        inner.slots.push(inner.keys.index(), state);
        match engine::lua_rawget(state, -2) {
            engine::LUA_TNIL => {
                held.add(3);
                return Ok(());
            }
            engine::LUA_TTABLE => {
                engine::lua_pushvalue(state, -4);
                let found = engine::lua_rawget(state, -2) != engine::LUA_TNIL;
                if found || !has_metatable(state, -2) {
                    held.add(4);
                    return Ok(());
                }
                engine::lua_pop(state, 4);
            }
            _ => engine::lua_pop(state, 3),
        }
        call_on_copies(state, held, index, 2, 1)
    }
}

/// Sets the field of the table below the key and the value on top, with metamethods unless `raw`.
///
/// # Safety
///
/// `state` is a running state of the instance with a table, a key and a value on top, which `held` counts, and 6 free
/// places.
#[inline(always)]
pub(super) unsafe fn set(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    held: &mut Held,
    raw: bool,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        if !raw && has_metatable(state, -3) && sets_by_metamethod(inner, state) {
            return call_on_copies(state, held, new_index, 3, 0);
        }
        raw_set(inner, state, held)
    }
}

/// Whether it takes a metamethod to set the field of the table below the key and the value on top: there is one, and the
/// field is new.
///
/// # Safety
///
/// As [`set`].
#[inline(never)]
unsafe fn sets_by_metamethod(inner: &LuaInner, state: *mut engine::lua_State) -> bool {
    // SAFETY: raw reads.
    unsafe {
        if !has_metamethod(inner, state, -3, inner.keys.new_index()) {
            return false;
        }
        engine::lua_pushvalue(state, -2);
        let is_new = engine::lua_rawget(state, -4) == engine::LUA_TNIL;
        engine::lua_pop(state, 1);
        is_new
    }
}

/// As [`set`] without metamethods; pops the key and the value.
///
/// # Safety
///
/// As [`set`].
#[inline(always)]
pub(super) unsafe fn raw_set(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    held: &mut Held,
) -> Result<()> {
    // SAFETY: with memory to be had and a valid key, a raw write does not raise.
    unsafe {
        check_writable(state, -3)?;
        if inner.infallible_writes() && is_valid_key(state, -2) {
            inner.memory.unfailing(|| engine::lua_rawset(state, -3));
            held.release(2);
            return Ok(());
        }
        call_on_copies(state, held, raw_new_index, 3, 0)?;
        engine::lua_pop(state, 3);
        held.release(3);
    }
    Ok(())
}

/// Sets position `i` of the table below the value on top, without metamethods; pops the value.
///
/// # Safety
///
/// As [`set`], with a table and a value on top.
#[inline(always)]
pub(super) unsafe fn raw_set_index(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    held: &mut Held,
    i: Integer,
) -> Result<()> {
    // SAFETY: with memory to be had, a raw write does not raise.
    unsafe {
        check_writable(state, -2)?;
        if inner.infallible_writes() {
            inner.memory.unfailing(|| engine::lua_rawseti(state, -2, i));
            held.release(1);
            return Ok(());
        }
        raw_set_index_protected(state, i)?;
        engine::lua_pop(state, 1);
        held.release(1);
    }
    Ok(())
}

#[cold]
#[inline(never)]
unsafe fn raw_set_index_protected(state: *mut engine::lua_State, i: Integer) -> Result<()> {
    // SAFETY: the table and the value are copied for the call.
    unsafe {
        engine::lua_pushvalue(state, -2);
        engine::lua_pushvalue(state, -2);
        protect(state, 2, 0, |state| engine::lua_rawseti(state, -2, i))
    }
}

/// Whether the value at `index` can be the key of a field for sure: neither nil nor NaN.
#[inline(always)]
unsafe fn is_valid_key(state: *mut engine::lua_State, index: c_int) -> bool {
    // SAFETY: plain reads of a value that is there.
    unsafe {
        match engine::lua_type(state, index) {
            engine::LUA_TNIL => false,
            engine::LUA_TNUMBER => {
                engine::lua_isinteger(state, index) != 0
                    || !engine::lua_tonumber(state, index).is_nan()
            }
            // One with NaN in it is no key either; Luau will tell.
            #[cfg(feature = "luau")]
            engine::LUA_TVECTOR => false,
            _ => true,
        }
    }
}

/// Calls `function` protected with copies of the `n` values on top, and leaves its results on top of all.
///
/// # Safety
///
/// `state` is a running state with `n` values on top and `n + 3` free places; `held` counts all that is on top of it.
#[cold]
#[inline(never)]
pub(super) unsafe fn call_on_copies(
    state: *mut engine::lua_State,
    held: &mut Held,
    function: engine::lua_CFunction,
    n: c_int,
    nresults: c_int,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe {
        let status = protect::call_on_copies(state, function, n, nresults);
        if status != engine::LUA_OK {
            held.add(2);
            held.release(1);
            return Err(pop_error(state, status));
        }
        held.add(1 + nresults);
    }
    Ok(())
}

/// Runs `body`, which raises on a lack of memory only, protected if that can happen.
///
/// `body` finds `nargs` values on top, which it replaces by `nresults`; below them may be anything.
///
/// # Safety
///
/// As [`protect`].
#[inline]
pub(super) unsafe fn with_memory<F, R>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    nargs: c_int,
    nresults: c_int,
    body: F,
) -> Result<R>
where
    F: FnOnce(*mut engine::lua_State) -> R + Copy,
    R: Copy,
{
    if inner.infallible_writes() {
        return Ok(inner.memory.unfailing(|| body(state)));
    }
    // SAFETY: passed on.
    unsafe { protect(state, nargs, nresults, body) }
}

unsafe extern "C-unwind" fn index(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called with a table and a key.
    unsafe { engine::lua_gettable(state, 1) };
    1
}

unsafe extern "C-unwind" fn new_index(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called with a table, a key and a value.
    unsafe { engine::lua_settable(state, 1) };
    0
}

unsafe extern "C-unwind" fn raw_new_index(state: *mut engine::lua_State) -> c_int {
    // SAFETY: called with a table, a key and a value.
    unsafe { engine::lua_rawset(state, 1) };
    0
}
