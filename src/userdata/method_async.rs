//! The C functions behind async methods. See [`super::method`], and [`crate::future`] for how futures wait.

use std::any::Any;
use std::future::Future;
use std::os::raw::c_int;

use super::method::{unbox, Named, NoSelf, Target};
use super::wrappers::{keep_exclusive, keep_shared, ByType};
use crate::call::callback::{enter, upvalue};
use crate::engine;
use crate::error::Result;
use crate::future::task;
use crate::value::{FromLuaMulti, IntoLuaMulti};
use crate::Lua;

pub(crate) unsafe fn push_method<'lua, 's, T, M, A, MR, R>(
    lua: &'lua Lua,
    method_fn: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    'lua: 's,
    T: 'static,
    M: Fn(&'lua Lua, &'s T, A) -> MR + 'static,
    A: FromLuaMulti<'lua>,
    MR: Future<Output = Result<R>> + 's,
    R: IntoLuaMulti<'lua>,
{
    let named = Named::<ByType, M>::new::<T>(method_fn, target);
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe { task::new_function(lua.inner(), lua.state(), method::<T, M, A, MR, R>, named) }
}

unsafe extern "C-unwind" fn method<'lua, 's, T, M, A, MR, R>(state: *mut engine::lua_State) -> c_int
where
    'lua: 's,
    T: 'static,
    M: Fn(&'lua Lua, &'s T, A) -> MR + 'static,
    A: FromLuaMulti<'lua>,
    MR: Future<Output = Result<R>> + 's,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: entered by Lua; the closure, and with it the cell, is on the stack as the running function. The value is
    // borrowed by the guard for as long as there is a future, and so is its memory: A3 of `crate::future`.
    unsafe {
        let (inner, named) = upvalue::<Named<ByType, M>>(state);
        let named = &*named;
        let outcome = enter(inner, state, |lua, nargs| {
            let _inside = lua.inner().futures.enter();
            let guard = keep_shared::<T>(&named.access, named.call(lua, state, nargs))?;
            let this: *const T = &*guard;
            let args = A::from_stack_args(nargs - 1, 2, Some(&named.name), lua)?;
            task::start(lua, (named.func)(lua, &*this, args), guard)
        });
        task::leave(state, outcome)
    }
}

pub(crate) unsafe fn push_method_mut<'lua, 's, T, M, A, MR, R>(
    lua: &'lua Lua,
    method: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    'lua: 's,
    T: 'static,
    M: Fn(&'lua Lua, &'s mut T, A) -> MR + 'static,
    A: FromLuaMulti<'lua>,
    MR: Future<Output = Result<R>> + 's,
    R: IntoLuaMulti<'lua>,
{
    let named = Named::<ByType, M>::new::<T>(method, target);
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe {
        task::new_function(
            lua.inner(),
            lua.state(),
            method_mut::<T, M, A, MR, R>,
            named,
        )
    }
}

unsafe extern "C-unwind" fn method_mut<'lua, 's, T, M, A, MR, R>(
    state: *mut engine::lua_State,
) -> c_int
where
    'lua: 's,
    T: 'static,
    M: Fn(&'lua Lua, &'s mut T, A) -> MR + 'static,
    A: FromLuaMulti<'lua>,
    MR: Future<Output = Result<R>> + 's,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: as in `method`.
    unsafe {
        let (inner, named) = upvalue::<Named<ByType, M>>(state);
        let named = &*named;
        let outcome = enter(inner, state, |lua, nargs| {
            let _inside = lua.inner().futures.enter();
            let mut guard = keep_exclusive::<T>(&named.access, named.call(lua, state, nargs))?;
            let this: *mut T = &mut *guard;
            let args = A::from_stack_args(nargs - 1, 2, Some(&named.name), lua)?;
            task::start(lua, (named.func)(lua, &mut *this, args), guard)
        });
        task::leave(state, outcome)
    }
}

pub(crate) unsafe fn push_function<'lua, F, A, FR, R>(
    lua: &'lua Lua,
    func: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    F: Fn(&'lua Lua, A) -> FR + 'static,
    A: FromLuaMulti<'lua>,
    FR: Future<Output = Result<R>> + 'lua,
    R: IntoLuaMulti<'lua>,
{
    let named = Named {
        access: NoSelf,
        name: target.name,
        func: unbox::<F>(func),
    };
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe { task::new_function(lua.inner(), lua.state(), function::<F, A, FR, R>, named) }
}

unsafe extern "C-unwind" fn function<'lua, F, A, FR, R>(state: *mut engine::lua_State) -> c_int
where
    F: Fn(&'lua Lua, A) -> FR + 'static,
    A: FromLuaMulti<'lua>,
    FR: Future<Output = Result<R>> + 'lua,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: as in `method`.
    unsafe {
        let (inner, named) = upvalue::<Named<NoSelf, F>>(state);
        let named = &*named;
        let outcome = enter(inner, state, |lua, nargs| {
            let _inside = lua.inner().futures.enter();
            let args = A::from_stack_args(nargs, 1, Some(&named.name), lua)?;
            task::start(lua, (named.func)(lua, args), task::NoSelf)
        });
        task::leave(state, outcome)
    }
}
