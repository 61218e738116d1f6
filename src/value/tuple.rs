//! Multi-values of a number known to the compiler: single values, nothing, tuples.

use std::os::raw::c_int;

use super::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, MultiValue, Nil, Value};
use crate::engine;
use crate::error::Result;
use crate::stack::Held;
use crate::state::STACK_RESERVE;
use crate::Lua;

impl<'lua, T: IntoLua<'lua>> IntoLuaMulti<'lua> for T {
    #[inline]
    fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
        let mut values = MultiValue::new();
        values.push_front(self.into_lua(lua)?);
        Ok(values)
    }

    #[inline]
    unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
        // SAFETY: passed on.
        unsafe { self.push_into_stack(lua)? };
        Ok(1)
    }
}

impl<'lua, T: FromLua<'lua>> FromLuaMulti<'lua> for T {
    const COUNT: c_int = 1;

    #[inline]
    fn from_lua_multi(mut values: MultiValue<'lua>, lua: &'lua Lua) -> Result<Self> {
        T::from_lua(values.pop_front().unwrap_or(Nil), lua)
    }

    #[inline]
    fn from_lua_args(
        mut args: MultiValue<'lua>,
        i: usize,
        to: Option<&str>,
        lua: &'lua Lua,
    ) -> Result<Self> {
        T::from_lua_arg(args.pop_front().unwrap_or(Nil), i, to, lua)
    }

    #[inline]
    unsafe fn from_stack_multi(nvals: c_int, lua: &'lua Lua) -> Result<Self> {
        if nvals == 0 {
            lua.reserve_stack()?;
            return T::from_lua(Nil, lua);
        }
        // SAFETY: the first of the values on top.
        unsafe { T::from_stack(-nvals, lua) }
    }

    #[inline(always)]
    unsafe fn from_stack_args(
        nargs: c_int,
        i: usize,
        to: Option<&str>,
        lua: &'lua Lua,
    ) -> Result<Self> {
        // SAFETY: the first of the values on top.
        unsafe {
            match read_plain(nargs, lua) {
                Some(value) => Ok(value),
                None => from_stack_args(nargs, i, to, lua),
            }
        }
    }
}

/// The first of the `n` values on top, if there is one and a plain read is enough.
///
/// # Safety
///
/// As for `from_stack_multi`.
#[inline(always)]
unsafe fn read_plain<'lua, T: FromLua<'lua>>(n: c_int, lua: &'lua Lua) -> Option<T> {
    if !T::READS_PLAIN || n == 0 {
        return None;
    }
    // SAFETY: passed on.
    unsafe { T::read_plain(lua.state(), -n) }
}

/// As [`FromLuaMulti::from_stack_args`] for one value of any kind.
///
/// # Safety
///
/// As there.
#[inline(never)]
unsafe fn from_stack_args<'lua, T: FromLua<'lua>>(
    nargs: c_int,
    i: usize,
    to: Option<&str>,
    lua: &'lua Lua,
) -> Result<T> {
    if nargs == 0 {
        lua.reserve_stack()?;
        return T::from_lua_arg(Nil, i, to, lua);
    }
    // SAFETY: the first of the values on top.
    unsafe { T::from_stack_arg(-nargs, i, to, lua) }
}

impl<'lua> IntoLuaMulti<'lua> for () {
    const PLACES: usize = 0;

    #[inline]
    fn into_lua_multi(self, _: &'lua Lua) -> Result<MultiValue<'lua>> {
        Ok(MultiValue::new())
    }

    #[inline]
    unsafe fn push_into_stack_multi(self, _: &'lua Lua) -> Result<c_int> {
        Ok(0)
    }
}

impl<'lua> FromLuaMulti<'lua> for () {
    const COUNT: c_int = 0;

    #[inline]
    fn from_lua_multi(_: MultiValue<'lua>, _: &'lua Lua) -> Result<Self> {
        Ok(())
    }

    #[inline]
    unsafe fn from_stack_multi(_: c_int, _: &'lua Lua) -> Result<Self> {
        Ok(())
    }
}

/// The number of values that a tuple looks at, given that of its last element.
const fn count(before: c_int, last: c_int) -> c_int {
    if last < 0 {
        engine::LUA_MULTRET
    } else {
        before + last
    }
}

/// Tuples up to this size, with those in their last element, fit into what an operation may push without asking.
const FEW: usize = STACK_RESERVE as usize / 4;

macro_rules! tuple {
    ($n:literal; $($name:ident)*; $last:ident) => {
        #[allow(non_snake_case, unused_mut, clippy::absurd_extreme_comparisons)]
        impl<'lua, $($name,)* $last> IntoLuaMulti<'lua> for ($($name,)* $last,)
        where
            $($name: IntoLua<'lua>,)*
            $last: IntoLuaMulti<'lua>,
        {
            const PLACES: usize = $n - 1 + $last::PLACES;

            fn into_lua_multi(self, lua: &'lua Lua) -> Result<MultiValue<'lua>> {
                let ($($name,)* $last,) = self;
                let first: [Value<'lua>; $n - 1] = [$($name.into_lua(lua)?),*];
                let mut values = $last.into_lua_multi(lua)?;
                for value in first.into_iter().rev() {
                    values.push_front(value);
                }
                Ok(values)
            }

            #[inline]
            unsafe fn push_into_stack_multi(self, lua: &'lua Lua) -> Result<c_int> {
                let ($($name,)* $last,) = self;
                // SAFETY: there is room for each value (the last element asks for itself if it needs more than one place);
                // what is pushed is held until all are.
                unsafe {
                    if Self::PLACES > FEW {
                        lua.reserve_stack_for(Self::PLACES)?;
                    }
                    let mut held = Held::new(lua.state());
                    $($name.push_into_stack(lua)?; held.add(1);)*
                    let n = $last.push_into_stack_multi(lua)?;
                    held.release($n - 1);
                    Ok($n - 1 + n)
                }
            }
        }

        #[allow(non_snake_case, unused_mut)]
        impl<'lua, $($name,)* $last> FromLuaMulti<'lua> for ($($name,)* $last,)
        where
            $($name: FromLua<'lua>,)*
            $last: FromLuaMulti<'lua>,
        {
            const COUNT: c_int = count($n - 1, $last::COUNT);

            fn from_lua_multi(mut values: MultiValue<'lua>, lua: &'lua Lua) -> Result<Self> {
                $(let $name = $name::from_lua(values.pop_front().unwrap_or(Nil), lua)?;)*
                let $last = $last::from_lua_multi(values, lua)?;
                Ok(($($name,)* $last,))
            }

            fn from_lua_args(
                mut args: MultiValue<'lua>,
                mut i: usize,
                to: Option<&str>,
                lua: &'lua Lua,
            ) -> Result<Self> {
                $(
                    let $name = $name::from_lua_arg(args.pop_front().unwrap_or(Nil), i, to, lua)?;
                    i += 1;
                )*
                let $last = $last::from_lua_args(args, i, to, lua)?;
                Ok(($($name,)* $last,))
            }

            #[inline]
            unsafe fn from_stack_multi(mut nvals: c_int, lua: &'lua Lua) -> Result<Self> {
                // SAFETY: each element reads below the top as far as there are values.
                unsafe {
                    $(
                        let $name = <$name as FromLuaMulti>::from_stack_multi(nvals, lua)?;
                        nvals = (nvals - 1).max(0);
                    )*
                    let $last = $last::from_stack_multi(nvals, lua)?;
                    Ok(($($name,)* $last,))
                }
            }

            #[inline]
            unsafe fn from_stack_args(
                mut nargs: c_int,
                mut i: usize,
                to: Option<&str>,
                lua: &'lua Lua,
            ) -> Result<Self> {
                // SAFETY: as above.
                unsafe {
                    $(
                        let $name = <$name as FromLuaMulti>::from_stack_args(nargs, i, to, lua)?;
                        nargs = (nargs - 1).max(0);
                        i += 1;
                    )*
                    let $last = $last::from_stack_args(nargs, i, to, lua)?;
                    Ok(($($name,)* $last,))
                }
            }
        }
    };
}

tuple!(1; ; A);
tuple!(2; A; B);
tuple!(3; A B; C);
tuple!(4; A B C; D);
tuple!(5; A B C D; E);
tuple!(6; A B C D E; F);
tuple!(7; A B C D E F; G);
tuple!(8; A B C D E F G; H);
tuple!(9; A B C D E F G H; I);
tuple!(10; A B C D E F G H I; J);
tuple!(11; A B C D E F G H I J; K);
tuple!(12; A B C D E F G H I J K; L);
tuple!(13; A B C D E F G H I J K L; M);
tuple!(14; A B C D E F G H I J K L M; N);
tuple!(15; A B C D E F G H I J K L M N; O);
tuple!(16; A B C D E F G H I J K L M N O; P);
