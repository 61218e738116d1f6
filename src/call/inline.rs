//! Cells that lie in a C closure: a Rust closure that captures no more than a pointer or a number needs no userdata.
//!
//! The closure has three upvalues, all light userdata, so the collector looks into none: the address of the second, the
//! instance, and the value. Upvalues of a C closure lie in it one after the other, each as `{ content, tag }` of two words,
//! and do not move. So the last two are `{ instance, tag, value }`, which is how a [cell](super::cell) looks to whoever knows that
//! nothing is to be dropped: where that has its drop function there is the tag, which is never read or written.
//!
//! `lua_upvalueid` tells where an upvalue is. That it is laid out like this is looked at in each instance: see [`is_possible`].

use std::mem;
use std::os::raw::{c_int, c_void};

use super::cell;
use super::protect::{create, protect};
use crate::engine;
use crate::error::Result;
use crate::state::LuaInner;

/// The content and the tag of an upvalue.
type Upvalue = [*mut c_void; 2];

/// Whether a `T` may lie in an upvalue.
pub(super) const fn fits<T>() -> bool {
    mem::size_of::<T>() <= mem::size_of::<*mut c_void>()
        && mem::align_of::<T>() <= mem::align_of::<*mut c_void>()
        && !mem::needs_drop::<T>()
}

/// As [`super::new_cell_closure`], for a value that [fits].
///
/// # Safety
///
/// As [`super::new_cell_closure`]. `T` fits, and cells may lie in closures ([`is_possible`]).
#[inline]
pub(super) unsafe fn new_closure<T>(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    function: engine::lua_CFunction,
    value: T,
) -> Result<*mut c_void> {
    let block = inner as *const LuaInner as *mut c_void;
    // SAFETY: as in `super::new_userdata`; there is room for three values. The closure has three upvalues, laid out as
    // `is_possible` has seen: the second is one further than the first, and the content of the third is where a cell at the
    // second has its value. If the collector runs before all is written, no finalizer can reach the closure.
    unsafe {
        let push = |state| {
            engine::lua_pushlightuserdata(state, block);
            engine::lua_pushlightuserdata(state, block);
            engine::lua_pushlightuserdata(state, block);
            engine::lua_pushcclosure(state, function, 3);
        };
        if inner.infallible_creation() {
            inner.memory.unfailing(|| push(state));
        } else {
            create(inner, state, push)?;
        }
        let first = engine::lua_upvalueid(state, -1, 1) as *mut Upvalue;
        let cell = first.add(1) as *mut c_void;
        (*first)[0] = cell;
        cell::value::<T>(cell).write(value);
        Ok(cell)
    }
}

/// Whether upvalues lie in a closure as this module needs it.
///
/// # Safety
///
/// `state` is a running state with 4 free places.
pub(super) unsafe fn is_possible(state: *mut engine::lua_State) -> Result<bool> {
    // SAFETY: runs protected. Each address is that of an upvalue, which holds at least what has been pushed.
    unsafe {
        protect(state, 0, 0, |state| {
            let contents = [1, 2, 3].map(|n| &MARKS[n] as *const u8 as *mut c_void);
            for content in contents {
                engine::lua_pushlightuserdata(state, content);
            }
            engine::lua_pushcclosure(state, nothing, 3);
            let at = |n| engine::lua_upvalueid(state, -1, n) as *const Upvalue;
            let first = at(1);
            cell::HEADER == mem::size_of::<Upvalue>()
                && [1, 2, 3].map(at) == [first, first.wrapping_add(1), first.wrapping_add(2)]
                && [1, 2, 3].map(|n| *(at(n) as *const *mut c_void)) == contents
        })
    }
}

/// Three addresses that nothing else has.
static MARKS: [u8; 4] = [0; 4];

unsafe extern "C-unwind" fn nothing(_: *mut engine::lua_State) -> c_int {
    0
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::{Lua, Result};

    #[test]
    fn a_small_value_is_found_in_the_closure_and_without_that_layout_in_a_userdata() -> Result<()> {
        let lua = Lua::new();
        let inline = &lua.inner().internals.inline;
        assert!(
            inline.get() || cfg!(not(feature = "vendored")),
            "another layout"
        );
        for is_possible in [inline.get(), false] {
            inline.set(is_possible);
            let n = Cell::new(41_u64);
            let count = lua.create_function(move |_, ()| {
                n.set(n.get() + 1);
                Ok(n.get())
            })?;
            lua.gc_collect()?;
            assert_eq!(count.call::<_, u64>(())?, 42);
            assert_eq!(count.call::<_, u64>(())?, 43);
            let sum = lua.scope(|scope| {
                let add = scope.create_function(|_, m: u64| Ok(m + 1))?;
                add.call::<_, u64>(41)
            })?;
            assert_eq!(sum, 42);
        }
        Ok(())
    }
}
