//! The C API of Lua, as the library uses it on every engine.
//!
//! The rest of the library is written against the API of Lua 5.4. Where an engine has another one, the file of that engine
//! puts a function or constant of the same name and meaning in its place. What some engines do not have at all, or do in
//! another way, is told by constants that every file defines:
//!
//! - [`USER_VALUES`]: how many user values a userdata has.
//! - [`FINALIZERS_RAISE`]: whether an error in a finalizer comes out of whatever call has run the collector. Then no call
//!   that can run the collector is made without protection, however much memory there is.
//! - [`LOADING_RAISES`]: whether to load a chunk may raise an error.
//! - [`DUMPING_RAISES`]: whether to dump a function may; Luau dumps none.
//! - [`REF_BITS`]: how many values a reference thread holds, as a power of two.
//!
//! - [`HANDLES_NO_MEMORY`]: whether a message handler is called for a lack of memory, too, after which only the text tells
//!   what went wrong.
//!
//! The `cfg`s that `build.rs` sets tell the rest; they are described there.

use std::os::raw::c_int;

#[cfg_attr(feature = "lua55", path = "lua55.rs")]
#[cfg_attr(feature = "lua54", path = "lua54.rs")]
#[cfg_attr(feature = "lua53", path = "lua53.rs")]
#[cfg_attr(feature = "lua52", path = "lua52.rs")]
#[cfg_attr(any(feature = "lua51", feature = "luajit"), path = "lua51.rs")]
#[cfg_attr(feature = "luau", path = "luau.rs")]
mod current;

// What several engines share; the file of each takes what it needs.
#[cfg(not(lua_ge_54))]
mod before54;
#[cfg(not(lua_ge_52))]
mod family51;
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
mod growing;
#[cfg(lua_ge_52)]
mod since52;

pub(crate) use current::*;

/// The text of Lua's error for a lack of memory.
pub(crate) const NO_MEMORY: &std::ffi::CStr = c"not enough memory";
pub(crate) const HANDLES_NO_MEMORY: bool = cfg!(feature = "luau");

/// Pushes the value at `index` of `from` onto `to`.
///
/// # Safety
///
/// Both are states of one VM; `to` has room for one value, and `from`, too.
#[inline(always)]
pub(crate) unsafe fn push_from(from: *mut lua_State, index: c_int, to: *mut lua_State) {
    // SAFETY: passed on.
    unsafe {
        #[cfg(feature = "luau")]
        lua_xpush(from, to, index);
        #[cfg(not(feature = "luau"))]
        {
            lua_pushvalue(from, index);
            lua_xmove(from, to, 1);
        }
    }
}

/// Runs `body`; no error of a finalizer comes out of it, where that can be helped.
///
/// # Safety
///
/// `state` is a state of an open VM. `body` raises nothing.
#[inline]
pub(crate) unsafe fn without_finalizer_errors<R>(
    state: *mut lua_State,
    body: impl FnOnce() -> R,
) -> R {
    #[cfg(raising_finalizers)]
    // SAFETY: passed on.
    return unsafe { without_collector(state, body) };
    #[cfg(not(raising_finalizers))]
    {
        let _ = state;
        body()
    }
}

/// Defines the continuation of a C function: what Lua calls when a function that was called with `lua_callk` or `lua_pcallk`
/// has yielded, and is through.
///
/// It is a function of the state, the status and the context, as Lua 5.3 and later have it. Lua 5.2 has them asked for; where
/// C functions cannot be yielded over, it is never called.
macro_rules! continuation {
    (
        $(#[$meta:meta])*
        unsafe fn $name:ident($state:ident, $status:ident, $context:ident) $body:block
    ) => {
        $(#[$meta])*
        #[cfg(not(feature = "lua52"))]
        #[cfg_attr(waits_in_lua, allow(dead_code))]
        unsafe extern "C-unwind" fn $name(
            $state: *mut $crate::engine::lua_State,
            $status: std::os::raw::c_int,
            $context: $crate::engine::lua_KContext,
        ) -> std::os::raw::c_int
        $body

        $(#[$meta])*
        #[cfg(feature = "lua52")]
        unsafe extern "C-unwind" fn $name(
            $state: *mut $crate::engine::lua_State,
        ) -> std::os::raw::c_int {
            let mut $context = 0;
            // SAFETY: called by Lua as a continuation; reading its context does not raise.
            let $status = unsafe { $crate::engine::lua_getctx($state, &mut $context) };
            $body
        }
    };
}

pub(crate) use continuation;
