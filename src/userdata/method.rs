//! The C functions behind methods, getters and setters.
//!
//! Each is generic over the closure that it calls, so arguments are read from and results written to the stack without an
//! intermediate form. Getters and setters are no Lua functions: `__index` and `__newindex` ([`super::index`]) call them
//! directly, on their own stack.

use std::any::Any;
use std::cell::RefCell;
use std::os::raw::c_int;
use std::ptr::NonNull;

use super::wrappers::{Access, Call};
use super::AnyUserData;
use crate::call::callback::{enter, raise_gone, upvalue};
use crate::call::{cell, new_closure};
use crate::engine;
use crate::error::{Error, Result};
use crate::state::LuaInner;
use crate::value::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti};
use crate::Lua;

/// What an entry of a registry is made for.
pub(crate) struct Target {
    /// The name as errors show it: `Type.method`.
    pub(crate) name: Box<str>,
    /// The serial number of the scope's value that the metatable is for, if it is for one.
    pub(crate) serial: u64,
}

/// Pushes what an entry of a registry stands for. The `Any` is what the function was stored with.
pub(crate) type Push<'lua> = unsafe fn(&'lua Lua, Box<dyn Any>, Target) -> Result<()>;

/// A closure of the user with what it takes to call it.
pub(super) struct Named<S, F> {
    pub(super) access: S,
    pub(super) name: Box<str>,
    pub(super) func: F,
}

impl<S, F> Named<S, F> {
    pub(super) fn new<T>(func: Box<dyn Any>, target: Target) -> Named<S, F>
    where
        S: Access<T>,
        F: 'static,
    {
        Named {
            access: S::new(target.serial),
            name: target.name,
            func: unbox(func),
        }
    }

    pub(super) fn call<'c>(
        &'c self,
        lua: &'c Lua,
        state: *mut engine::lua_State,
        nargs: c_int,
    ) -> Call<'c> {
        Call {
            inner: lua.inner(),
            state,
            nargs,
            name: &self.name,
        }
    }
}

pub(super) fn unbox<F: 'static>(func: Box<dyn Any>) -> F {
    let func = func.downcast::<F>();
    *func.unwrap_or_else(|_| unreachable!("stored together with the function that unboxes it"))
}

pub(crate) unsafe fn push_value<'lua, V>(
    lua: &'lua Lua,
    value: Box<dyn Any>,
    _: Target,
) -> Result<()>
where
    V: IntoLua<'lua> + 'static,
{
    // SAFETY: passed on.
    unsafe { unbox::<V>(value).push_into_stack(lua) }
}

pub(crate) unsafe fn push_result<'lua, F, R>(
    lua: &'lua Lua,
    func: Box<dyn Any>,
    _: Target,
) -> Result<()>
where
    F: Fn(&'lua Lua) -> Result<R> + 'static,
    R: IntoLua<'lua>,
{
    // SAFETY: passed on.
    unsafe { unbox::<F>(func)(lua)?.push_into_stack(lua) }
}

pub(crate) unsafe fn push_method<'lua, S, T, M, A, R>(
    lua: &'lua Lua,
    method_fn: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    S: Access<T>,
    M: Fn(&'lua Lua, &T, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    let named = Named::<S, M>::new(method_fn, target);
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe { new_closure(lua.inner(), lua.state(), method::<S, T, M, A, R>, named) }
}

unsafe extern "C-unwind" fn method<'lua, S, T, M, A, R>(state: *mut engine::lua_State) -> c_int
where
    S: Access<T>,
    M: Fn(&'lua Lua, &T, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: entered by Lua; the closure, and with it the cell, is on the stack as the running function, and so is the
    // userdata for as long as it is borrowed.
    unsafe {
        let (inner, named) = upvalue::<Named<S, M>>(state);
        let named = &*named;
        enter(inner, state, |lua, nargs| {
            let result = named.access.shared(named.call(lua, state, nargs), |this| {
                let args = A::from_stack_args(nargs - 1, 2, Some(&named.name), lua)?;
                (named.func)(lua, this, args)
            });
            result?.push_into_stack_multi(lua)
        })
    }
}

pub(crate) unsafe fn push_method_mut<'lua, S, T, M, A, R>(
    lua: &'lua Lua,
    method: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    S: Access<T>,
    M: FnMut(&'lua Lua, &mut T, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    let named = Named::<S, RefCell<M>>::new(method, target);
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe { new_closure(lua.inner(), lua.state(), method_mut::<S, T, M, A, R>, named) }
}

unsafe extern "C-unwind" fn method_mut<'lua, S, T, M, A, R>(state: *mut engine::lua_State) -> c_int
where
    S: Access<T>,
    M: FnMut(&'lua Lua, &mut T, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: as in `method`.
    unsafe {
        let (inner, named) = upvalue::<Named<S, RefCell<M>>>(state);
        let named = &*named;
        enter(inner, state, |lua, nargs| {
            let mut func = not_recursive(&named.func)?;
            let call = named.call(lua, state, nargs);
            let result = named.access.exclusive(call, |this| {
                let args = A::from_stack_args(nargs - 1, 2, Some(&named.name), lua)?;
                (*func)(lua, this, args)
            });
            drop(func);
            result?.push_into_stack_multi(lua)
        })
    }
}

fn not_recursive<F>(func: &RefCell<F>) -> Result<std::cell::RefMut<'_, F>> {
    func.try_borrow_mut()
        .map_err(|_| Error::RecursiveMutCallback)
}

/// Access for what takes no `self`.
pub(super) struct NoSelf;

pub(crate) unsafe fn push_function<'lua, F, A, R>(
    lua: &'lua Lua,
    func: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    F: Fn(&'lua Lua, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    let named = Named {
        access: NoSelf,
        name: target.name,
        func: unbox::<F>(func),
    };
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe { new_closure(lua.inner(), lua.state(), function::<F, A, R>, named) }
}

unsafe extern "C-unwind" fn function<'lua, F, A, R>(state: *mut engine::lua_State) -> c_int
where
    F: Fn(&'lua Lua, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: as in `method`.
    unsafe {
        let (inner, named) = upvalue::<Named<NoSelf, F>>(state);
        let named = &*named;
        enter(inner, state, |lua, nargs| {
            let args = A::from_stack_args(nargs, 1, Some(&named.name), lua)?;
            (named.func)(lua, args)?.push_into_stack_multi(lua)
        })
    }
}

pub(crate) unsafe fn push_function_mut<'lua, F, A, R>(
    lua: &'lua Lua,
    func: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    F: FnMut(&'lua Lua, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    let named = Named {
        access: NoSelf,
        name: target.name,
        func: unbox::<RefCell<F>>(func),
    };
    // SAFETY: passed on; the C function is for a cell of this type.
    unsafe { new_closure(lua.inner(), lua.state(), function_mut::<F, A, R>, named) }
}

unsafe extern "C-unwind" fn function_mut<'lua, F, A, R>(state: *mut engine::lua_State) -> c_int
where
    F: FnMut(&'lua Lua, A) -> Result<R> + 'static,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: as in `method`.
    unsafe {
        let (inner, named) = upvalue::<Named<NoSelf, RefCell<F>>>(state);
        let named = &*named;
        enter(inner, state, |lua, nargs| {
            let mut func = not_recursive(&named.func)?;
            let args = A::from_stack_args(nargs, 1, Some(&named.name), lua)?;
            let result = (*func)(lua, args)?;
            drop(func);
            result.push_into_stack_multi(lua)
        })
    }
}

/// A getter or setter, in the tables that `__index` and `__newindex` look into.
pub(super) struct Field {
    call: unsafe fn(*mut engine::lua_State, NonNull<LuaInner>, *const ()) -> c_int,
    /// The `Named` that `call` is made for.
    named: Box<dyn Any>,
}

/// Calls the getter or setter in the cell on top of `state`, with the userdata at index 1 and for a setter the value at 3.
///
/// # Safety
///
/// A cell with a [`Field`] is on top. Called as the last act of a C function with nothing left to drop.
#[inline(always)]
pub(super) unsafe fn call_field(state: *mut engine::lua_State) -> c_int {
    // SAFETY: the tables of getters and setters hold nothing else; the cell stays on the stack while it runs.
    unsafe {
        let userdata = engine::lua_touserdata(state, -1);
        if cell::is_gone::<Field>(userdata) {
            raise_gone(cell::instance(userdata), state);
        }
        let field = &*cell::value::<Field>(userdata);
        let named: *const dyn Any = &*field.named;
        (field.call)(state, cell::instance(userdata), named as *const ())
    }
}

unsafe fn push_field(
    lua: &Lua,
    call: unsafe fn(*mut engine::lua_State, NonNull<LuaInner>, *const ()) -> c_int,
    named: Box<dyn Any>,
) -> Result<()> {
    // SAFETY: passed on.
    unsafe { cell::push_plain(lua.inner(), lua.state(), Field { call, named }) }
}

pub(crate) unsafe fn push_getter<'lua, S, T, M, R>(
    lua: &'lua Lua,
    method: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    S: Access<T>,
    M: Fn(&'lua Lua, &T) -> Result<R> + 'static,
    R: IntoLua<'lua>,
{
    let named = Box::new(Named::<S, M>::new(method, target));
    // SAFETY: passed on; `getter` is for what is given with it.
    unsafe { push_field(lua, getter::<S, T, M, R>, named) }
}

unsafe fn getter<'lua, S, T, M, R>(
    state: *mut engine::lua_State,
    inner: NonNull<LuaInner>,
    named: *const (),
) -> c_int
where
    S: Access<T>,
    M: Fn(&'lua Lua, &T) -> Result<R> + 'static,
    R: IntoLua<'lua>,
{
    // SAFETY: as `call_field` calls it; as in `method`.
    unsafe {
        let named = &*(named as *const Named<S, M>);
        enter(inner, state, |lua, _| {
            let call = named.call(lua, state, 1);
            let result = named.access.shared(call, |this| (named.func)(lua, this));
            result?.push_into_stack(lua)?;
            Ok(1)
        })
    }
}

pub(crate) unsafe fn push_setter<'lua, S, T, M, A>(
    lua: &'lua Lua,
    method: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    S: Access<T>,
    M: FnMut(&'lua Lua, &mut T, A) -> Result<()> + 'static,
    A: FromLua<'lua>,
{
    let named = Box::new(Named::<S, RefCell<M>>::new(method, target));
    // SAFETY: passed on; `setter` is for what is given with it.
    unsafe { push_field(lua, setter::<S, T, M, A>, named) }
}

unsafe fn setter<'lua, S, T, M, A>(
    state: *mut engine::lua_State,
    inner: NonNull<LuaInner>,
    named: *const (),
) -> c_int
where
    S: Access<T>,
    M: FnMut(&'lua Lua, &mut T, A) -> Result<()> + 'static,
    A: FromLua<'lua>,
{
    // SAFETY: as `call_field` calls it; as in `method`.
    unsafe {
        let named = &*(named as *const Named<S, RefCell<M>>);
        enter(inner, state, |lua, _| {
            let mut func = not_recursive(&named.func)?;
            named.access.exclusive(named.call(lua, state, 1), |this| {
                let value = A::from_stack_arg(3, 2, Some(&named.name), lua)?;
                (*func)(lua, this, value)
            })?;
            Ok(0)
        })
    }
}

pub(crate) unsafe fn push_function_getter<'lua, F, R>(
    lua: &'lua Lua,
    func: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    F: Fn(&'lua Lua, AnyUserData<'lua>) -> Result<R> + 'static,
    R: IntoLua<'lua>,
{
    let named = Box::new(Named {
        access: NoSelf,
        name: target.name,
        func: unbox::<F>(func),
    });
    // SAFETY: passed on; `function_getter` is for what is given with it.
    unsafe { push_field(lua, function_getter::<F, R>, named) }
}

unsafe fn function_getter<'lua, F, R>(
    state: *mut engine::lua_State,
    inner: NonNull<LuaInner>,
    named: *const (),
) -> c_int
where
    F: Fn(&'lua Lua, AnyUserData<'lua>) -> Result<R> + 'static,
    R: IntoLua<'lua>,
{
    // SAFETY: as `call_field` calls it; as in `method`.
    unsafe {
        let named = &*(named as *const Named<NoSelf, F>);
        enter(inner, state, |lua, _| {
            let userdata = AnyUserData::from_stack_arg(1, 1, Some(&named.name), lua)?;
            (named.func)(lua, userdata)?.push_into_stack(lua)?;
            Ok(1)
        })
    }
}

pub(crate) unsafe fn push_function_setter<'lua, F, A>(
    lua: &'lua Lua,
    func: Box<dyn Any>,
    target: Target,
) -> Result<()>
where
    F: FnMut(&'lua Lua, AnyUserData<'lua>, A) -> Result<()> + 'static,
    A: FromLua<'lua>,
{
    let named = Box::new(Named {
        access: NoSelf,
        name: target.name,
        func: unbox::<RefCell<F>>(func),
    });
    // SAFETY: passed on; `function_setter` is for what is given with it.
    unsafe { push_field(lua, function_setter::<F, A>, named) }
}

unsafe fn function_setter<'lua, F, A>(
    state: *mut engine::lua_State,
    inner: NonNull<LuaInner>,
    named: *const (),
) -> c_int
where
    F: FnMut(&'lua Lua, AnyUserData<'lua>, A) -> Result<()> + 'static,
    A: FromLua<'lua>,
{
    // SAFETY: as `call_field` calls it; as in `method`.
    unsafe {
        let named = &*(named as *const Named<NoSelf, RefCell<F>>);
        enter(inner, state, |lua, _| {
            let mut func = not_recursive(&named.func)?;
            let userdata = AnyUserData::from_stack_arg(1, 1, Some(&named.name), lua)?;
            let value = A::from_stack_arg(3, 2, Some(&named.name), lua)?;
            (*func)(lua, userdata, value)?;
            Ok(0)
        })
    }
}
