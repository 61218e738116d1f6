//! The conversion traits.
//!
//! Each trait has a public form, through [`Value`] and [`MultiValue`], and a hidden one, straight from and to the Lua stack.
//! The hidden methods default to the public ones; conversions of the library's own override them, so that a number, a
//! string or a tuple passes without a `Value` between.
//!
//! The stack protocol, which all implementations keep:
//!
//! * All of it happens on the running state of `lua`, which is open.
//! * `push_into_stack` pushes exactly one value on `Ok`, `push_into_stack_multi` as many as it returns; on `Err` and on
//!   unwinding they leave the stack as it was. The caller guarantees one free place; who pushes more asks for it.
//! * `from_stack*` read and leave the stack as it was. An index may be relative to the top.
//! * An implementation that enters code of the user (the defaults do) first reserves stack for it.

use std::os::raw::c_int;

use super::{MultiValue, Value};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::slots::Slot;
use crate::stack::Held;
use crate::{Integer, Lua};

/// A type that can be turned into a Lua value.
pub trait IntoLua<'lua>: Sized {
    /// Turns `self` into a Lua value.
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>>;

    /// The integer that `self` turns into, if that is known without pushing it: tables are then indexed directly.
    #[doc(hidden)]
    #[inline(always)]
    fn to_lua_index(&self) -> Option<Integer> {
        None
    }

    /// The slot where the value that `self` turns into lies already, if there is one. It stays there for as long as `self`
    /// does and [`Keys::replaced`](crate::handle::keys::Keys::replaced) does not change.
    #[doc(hidden)]
    #[inline(always)]
    fn to_lua_slot(&self, lua: &'lua Lua) -> Option<Slot> {
        let _ = lua;
        None
    }

    /// Whether [`IntoLua::push_plain`] may be called.
    #[doc(hidden)]
    const PUSHES_PLAIN: bool = false;

    /// Pushes `self` onto `state`, any state of the instance: a value that is no reference, so that Lua allocates nothing.
    ///
    /// # Safety
    ///
    /// There is room for one value.
    #[doc(hidden)]
    #[inline(always)]
    unsafe fn push_plain(&self, state: *mut engine::lua_State) {
        let _ = state;
        unreachable!("not a plain value")
    }

    /// Pushes `self` onto the stack of the running state.
    ///
    /// # Safety
    ///
    /// There is room for one value. See the protocol in the module's documentation.
    #[doc(hidden)]
    #[inline]
    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        lua.reserve_stack()?;
        let value = self.into_lua(lua)?;
        // SAFETY: passed on.
        unsafe { value.push(lua) }
    }
}

/// A type that a Lua value can be turned into.
pub trait FromLua<'lua>: Sized {
    /// Turns `value` into `Self`.
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self>;

    /// As [`FromLua::from_lua`] for argument `i` of the function `to`, which an error then names.
    #[doc(hidden)]
    #[inline]
    fn from_lua_arg(arg: Value<'lua>, i: usize, to: Option<&str>, lua: &'lua Lua) -> Result<Self> {
        Self::from_lua(arg, lua).map_err(|cause| bad_argument(i, to, cause))
    }

    /// Whether [`FromLua::read_plain`] is worth a try.
    #[doc(hidden)]
    const READS_PLAIN: bool = false;

    /// Reads the value at `idx` of `state` if a plain read is all it takes: no call into Lua but for the type and what the
    /// value holds, no code of the user, no error.
    ///
    /// # Safety
    ///
    /// There is a value at `idx` of `state`, which is any state of an open instance: a reference thread too.
    #[doc(hidden)]
    #[inline(always)]
    unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
        let _ = (state, idx);
        None
    }

    /// What [`FromLua::read_plain`] returns for the integer `i`, or `None` if it takes that to tell.
    #[doc(hidden)]
    #[inline(always)]
    fn from_integer(i: Integer) -> Option<Self> {
        let _ = i;
        None
    }

    /// Reads the value at `idx` of the running state's stack.
    ///
    /// # Safety
    ///
    /// There is a value at `idx`. See the protocol in the module's documentation.
    #[doc(hidden)]
    #[inline]
    unsafe fn from_stack(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        lua.reserve_stack()?;
        // SAFETY: passed on; there is room by the line above.
        let value = unsafe { Value::at(lua, idx)? };
        Self::from_lua(value, lua)
    }

    /// As [`FromLua::from_stack`] for the value on top, which is popped in any case.
    ///
    /// # Safety
    ///
    /// As [`FromLua::from_stack`].
    #[doc(hidden)]
    #[inline]
    unsafe fn pop_from_stack(lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        unsafe {
            let _held = Held::adopt(lua.state(), 1);
            Self::from_stack(-1, lua)
        }
    }

    /// As [`FromLua::from_stack`] for argument `i` of the function `to`.
    ///
    /// # Safety
    ///
    /// As [`FromLua::from_stack`].
    #[doc(hidden)]
    #[inline]
    unsafe fn from_stack_arg(
        idx: c_int,
        i: usize,
        to: Option<&str>,
        lua: &'lua Lua,
    ) -> Result<Self> {
        // SAFETY: passed on.
        unsafe { Self::from_stack(idx, lua) }.map_err(|cause| bad_argument(i, to, cause))
    }
}

/// A type that can be turned into any number of Lua values: the arguments of a call, the results of a callback.
///
/// Everything that is [`IntoLua`] is turned into one value. Tuples are turned into the values of their elements.
pub trait IntoLuaMulti<'lua>: Sized {
    /// How many values are pushed without asking for room; what pushes more asks itself. (It asks once too often, or fails,
    /// if this is too high; and what is pushed through [`IntoLuaMulti::into_lua_multi`] always asks.)
    #[doc(hidden)]
    const PLACES: usize = 1;

    /// Turns `self` into Lua values.
    fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>>;

    /// Pushes `self` onto the stack of the running state and returns how many values that were.
    ///
    /// # Safety
    ///
    /// There is room for one value. See the protocol in the module's documentation.
    #[doc(hidden)]
    #[inline]
    unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
        lua.reserve_stack()?;
        let values = self.into_lua_multi(lua)?;
        // SAFETY: passed on.
        unsafe { values.push(lua) }
    }
}

/// A type that any number of Lua values can be turned into: the results of a call, the arguments of a callback.
///
/// Everything that is [`FromLua`] takes one value, nil if there is none. Tuples take one value for each element, and their
/// last element takes what is left.
pub trait FromLuaMulti<'lua>: Sized {
    /// How many values are looked at; `LUA_MULTRET` for all there are.
    #[doc(hidden)]
    const COUNT: c_int = engine::LUA_MULTRET;

    /// Turns `values` into `Self`. Values in excess are ignored, missing ones are nil.
    fn from_lua_multi(values: MultiValue<'lua>, lua: &'lua Lua) -> Result<Self>;

    /// As [`FromLuaMulti::from_lua_multi`] for the arguments from number `i` on of the function `to`.
    #[doc(hidden)]
    #[inline]
    fn from_lua_args(
        args: MultiValue<'lua>,
        i: usize,
        to: Option<&str>,
        lua: &'lua Lua,
    ) -> Result<Self> {
        let _ = (i, to);
        Self::from_lua_multi(args, lua)
    }

    /// Reads the `nvals` values on top of the running state's stack.
    ///
    /// # Safety
    ///
    /// There are `nvals` values. See the protocol in the module's documentation.
    #[doc(hidden)]
    #[inline]
    unsafe fn from_stack_multi(nvals: c_int, lua: &'lua Lua) -> Result<Self> {
        lua.reserve_stack()?;
        // SAFETY: passed on.
        let values = unsafe { MultiValue::top(lua, nvals)? };
        Self::from_lua_multi(values, lua)
    }

    /// As [`FromLuaMulti::from_stack_multi`] for the arguments from number `i` on of the function `to`.
    ///
    /// # Safety
    ///
    /// As [`FromLuaMulti::from_stack_multi`].
    #[doc(hidden)]
    #[inline]
    unsafe fn from_stack_args(
        nargs: c_int,
        i: usize,
        to: Option<&str>,
        lua: &'lua Lua,
    ) -> Result<Self> {
        let _ = (i, to);
        // SAFETY: passed on.
        unsafe { Self::from_stack_multi(nargs, lua) }
    }
}

/// How many values an `R` is made of, `LUA_MULTRET` for all there are. [`FromLuaMulti::COUNT`] can be any number, since
/// anybody may set it; Lua 5.5 takes no large one.
pub(crate) const fn wanted<'lua, R: FromLuaMulti<'lua>>() -> c_int {
    const MOST: c_int = 250;
    if R::COUNT < 0 || (cfg!(feature = "lua55") && R::COUNT > MOST) {
        engine::LUA_MULTRET
    } else {
        R::COUNT
    }
}

#[cold]
pub(crate) fn bad_argument(pos: usize, to: Option<&str>, cause: Error) -> Error {
    Error::BadArgument {
        to: to.map(str::to_owned),
        pos,
        name: None,
        cause: std::sync::Arc::new(cause),
    }
}
