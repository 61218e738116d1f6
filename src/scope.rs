//! [`Scope`]: functions and userdata that borrow from outside of Lua, for a while.
//!
//! What a scope makes may hold references that live only as long as `'scope`, while Lua may keep the function or userdata for
//! ever. So all of it is *ended* when the scope is dropped: a function loses its closure, a userdata its value. Why that is
//! sound:
//!
//! * E1. `'scope` is a parameter of [`Lua::scope`], so it outlives that call, and [`Scope`] is invariant in it, so nothing
//!   shorter can be passed for it. The [`Scope`] is a local of that call and lent by reference: it is dropped before the call
//!   returns, also on an error or a panic.
//! * E2. A closure or value gets into Lua as the last step of making it, when all that can fail is done and the scope knows
//!   of it. So none is left behind in garbage, to be dropped by the collector after `'scope`.
//! * E3. A slot of the scope keeps each function and userdata until it is ended, so the address of its memory is good.
//! * E4. No call of a function or method of the scope is in progress when the scope is dropped: such a call would have a
//!   frame above that of [`Lua::scope`], also if it runs in a coroutine. Before a closure or value is dropped it is out of
//!   reach, so its destructor may call into Lua.
//! * E5. A borrow of a value by [`AnyUserData::borrow`] can outlive the scope, since the userdata can. If the value is the
//!   userdata's own and `'static`, it is then leaked instead of dropped: the borrow keeps the memory. If it is a reference,
//!   nothing can be done: what it refers to ends with `'scope`. The process is aborted. It takes a borrow that is smuggled
//!   out of the scope to get there.

use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::marker::PhantomData;
use std::mem;
use std::os::raw::{c_int, c_void};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr;

use crate::call::callback::{enter, upvalue};
use crate::call::{cell as plain_cell, new_cell_closure};
use crate::engine;
use crate::error::{Error, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::userdata::cell::{self, Kind};
use crate::userdata::create::{metatable_for, metatable_for_any};
use crate::userdata::metatable;
use crate::userdata::registry::{short_type_name, ScopedRegistry};
use crate::userdata::types::TypeKey;
use crate::userdata::{AnyUserData, UserData};
use crate::value::{FromLuaMulti, IntoLuaMulti};
use crate::Lua;

/// Makes functions and userdata that may borrow, since they end with the scope: see [`Lua::scope`].
pub struct Scope<'lua, 'scope>
where
    'lua: 'scope,
{
    lua: &'lua Lua,
    items: RefCell<Items<'lua>>,
    /// E1: neither longer nor shorter.
    _scope: PhantomData<Cell<&'scope ()>>,
}

/// All that is to be ended, in the order in which it was made. Many scopes make one thing only, so that needs no allocation.
#[derive(Default)]
struct Items<'lua> {
    first: Option<Item<'lua>>,
    others: Vec<Item<'lua>>,
}

/// A function or userdata that is to be ended.
struct Item<'lua> {
    value: Ref<'lua>,
    /// The userdata, or the cell of the function.
    memory: *mut c_void,
    /// Puts what is in `memory` out of reach and drops it.
    end: unsafe fn(&Item<'_>),
}

impl Lua {
    /// Runs `f` with a [`Scope`], which makes functions and userdata that need not be `'static`.
    ///
    /// When `f` returns, all of them end: their closures and values are dropped. Lua may still have them, but a call of such
    /// a function fails with [`Error::CallbackDestructed`], and so does every use of such a userdata.
    ///
    /// # Errors
    ///
    /// What `f` returns.
    ///
    /// # Panics
    ///
    /// Goes on with a panic of `f`, or of a destructor at the end of the scope. The process is aborted if a borrow of a value
    /// that was lent by reference (by [`Scope::create_userdata_ref`] and the like) has been kept beyond the scope.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let mut seen = Vec::new();
    /// lua.scope(|scope| {
    ///     let see = scope.create_function_mut(|_, n: i64| {
    ///         seen.push(n);
    ///         Ok(())
    ///     })?;
    ///     lua.globals().set("see", see)?;
    ///     lua.load("for i = 1, 3 do see(i) end").exec()
    /// })?;
    /// assert_eq!(seen, [1, 2, 3]);
    /// // The function is still there, but it has ended.
    /// assert!(lua.load("see(4)").exec().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<'lua, 'scope, R>(
        &'lua self,
        f: impl FnOnce(&Scope<'lua, 'scope>) -> Result<R>,
    ) -> Result<R>
    where
        'lua: 'scope,
    {
        let _entered = self.try_enter()?;
        let scope = Scope {
            lua: self,
            items: RefCell::default(),
            _scope: PhantomData,
        };
        f(&scope)
    }
}

impl<'lua, 'scope> Scope<'lua, 'scope> {
    /// Makes a Lua function out of a Rust function or closure, as [`Lua::create_function`], until the end of the scope.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left.
    pub fn create_function<'callback, A, R, F>(&'callback self, func: F) -> Result<Function<'lua>>
    where
        A: FromLuaMulti<'callback>,
        R: IntoLuaMulti<'callback>,
        F: Fn(&'callback Lua, A) -> Result<R> + 'scope,
    {
        let inner = self.lua.inner();
        let state = inner.state();
        // SAFETY: a running state has room for 4 values. `function` is for a cell of this type. The cell is the upvalue of the
        // function, which the item keeps (E3); only then the closure goes into it (E2).
        unsafe {
            let empty = ScopedFn::<F>(UnsafeCell::new(None));
            let memory = new_cell_closure(inner, state, function::<F, A, R>, empty)?;
            let value = Ref::pop(self.lua)?;
            self.add(value.clone(), memory, end_function::<F>);
            *(*plain_cell::value::<ScopedFn<F>>(memory)).0.get() = Some(func);
            Ok(Function(value))
        }
    }

    /// Makes a Lua function out of a Rust closure that changes what it has captured, as [`Lua::create_function_mut`], until
    /// the end of the scope.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left.
    pub fn create_function_mut<'callback, A, R, F>(
        &'callback self,
        func: F,
    ) -> Result<Function<'lua>>
    where
        A: FromLuaMulti<'callback>,
        R: IntoLuaMulti<'callback>,
        F: FnMut(&'callback Lua, A) -> Result<R> + 'scope,
    {
        let func = RefCell::new(func);
        self.create_function(move |lua, args| {
            let mut func = func
                .try_borrow_mut()
                .map_err(|_| Error::RecursiveMutCallback)?;
            (*func)(lua, args)
        })
    }

    /// Makes a userdata, as [`Lua::create_userdata`], until the end of the scope. With the feature `send`, `T` need not be
    /// `Send`.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_userdata`].
    pub fn create_userdata<T>(&self, data: T) -> Result<AnyUserData<'lua>>
    where
        T: UserData + 'static,
    {
        // SAFETY: the metatable is that of `T`, and `data` a `T`.
        unsafe {
            let metatable = metatable_for::<T>(self.lua)?;
            self.lua.inner().slots.push(metatable, self.lua.state());
            self.adopt(data, Kind::Value, end_value::<T>)
        }
    }

    /// Makes a userdata of a value of any type, as [`Lua::create_any_userdata`], until the end of the scope. With the feature
    /// `send`, `T` need not be `Send`.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_any_userdata`].
    pub fn create_any_userdata<T>(&self, data: T) -> Result<AnyUserData<'lua>>
    where
        T: 'static,
    {
        // SAFETY: as in `create_userdata`.
        unsafe {
            let metatable = metatable_for_any::<T>(self.lua)?;
            self.lua.inner().slots.push(metatable, self.lua.state());
            self.adopt(data, Kind::Value, end_value::<T>)
        }
    }

    /// Makes a userdata that stands for a value elsewhere, until the end of the scope. Lua can read it but not change it.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_userdata`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, UserData, UserDataFields};
    /// struct Config {
    ///     verbose: bool,
    /// }
    ///
    /// impl UserData for Config {
    ///     fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
    ///         fields.add_field_method_get("verbose", |_, config| Ok(config.verbose));
    ///     }
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let config = Config { verbose: true };
    /// let verbose: bool = lua.scope(|scope| {
    ///     lua.globals().set("config", scope.create_userdata_ref(&config)?)?;
    ///     lua.load("config.verbose").eval()
    /// })?;
    /// assert!(verbose);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_userdata_ref<T>(&self, data: &'scope T) -> Result<AnyUserData<'lua>>
    where
        T: UserData + 'static,
    {
        // SAFETY: the metatable is that of `T`, and `data` a reference to one.
        unsafe {
            let metatable = metatable_for::<T>(self.lua)?;
            self.lua.inner().slots.push(metatable, self.lua.state());
            self.adopt(data, Kind::Ref, end_lent::<&T>)
        }
    }

    /// Makes a userdata that stands for a value elsewhere, until the end of the scope. Lua can read and change it.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_userdata`].
    pub fn create_userdata_ref_mut<T>(&self, data: &'scope mut T) -> Result<AnyUserData<'lua>>
    where
        T: UserData + 'static,
    {
        // SAFETY: as in `create_userdata_ref`.
        unsafe {
            let metatable = metatable_for::<T>(self.lua)?;
            self.lua.inner().slots.push(metatable, self.lua.state());
            self.adopt(data, Kind::RefMut, end_lent::<&mut T>)
        }
    }

    /// As [`Scope::create_userdata_ref`] for any type: see [`Lua::create_any_userdata`].
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_any_userdata`].
    pub fn create_any_userdata_ref<T>(&self, data: &'scope T) -> Result<AnyUserData<'lua>>
    where
        T: 'static,
    {
        // SAFETY: as in `create_userdata_ref`.
        unsafe {
            let metatable = metatable_for_any::<T>(self.lua)?;
            self.lua.inner().slots.push(metatable, self.lua.state());
            self.adopt(data, Kind::Ref, end_lent::<&T>)
        }
    }

    /// As [`Scope::create_userdata_ref_mut`] for any type: see [`Lua::create_any_userdata`].
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_any_userdata`].
    pub fn create_any_userdata_ref_mut<T>(&self, data: &'scope mut T) -> Result<AnyUserData<'lua>>
    where
        T: 'static,
    {
        // SAFETY: as in `create_userdata_ref`.
        unsafe {
            let metatable = metatable_for_any::<T>(self.lua)?;
            self.lua.inner().slots.push(metatable, self.lua.state());
            self.adopt(data, Kind::RefMut, end_lent::<&mut T>)
        }
    }

    /// Makes a userdata of a type that is not `'static`, until the end of the scope.
    ///
    /// Such a type has no identity at run time. So the value cannot be borrowed from the [`AnyUserData`], only its own methods
    /// can use it, and they work on this one userdata alone. The metatable is made anew for each: where it will do,
    /// [`Scope::create_userdata_ref`] is cheaper.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_userdata`].
    pub fn create_nonstatic_userdata<T>(&self, data: T) -> Result<AnyUserData<'lua>>
    where
        T: UserData + 'scope,
    {
        let inner = self.lua.inner();
        let mut registry = ScopedRegistry::<T>::new();
        T::add_fields(&mut registry);
        T::add_methods(&mut registry);
        let serial = inner.types.next_serial();
        let type_name = short_type_name::<T>();
        // SAFETY: the scope keeps the instance open. The metatable is for this one userdata, of type `T`, and in the map until it
        // is taken from it again (`detach`); no code runs between the two last steps.
        unsafe {
            let address = metatable::build(self.lua, registry.entries, &type_name, serial, None)?;
            let userdata = self.adopt(data, Kind::Value, end_scoped::<T>)?;
            inner.types.insert_scoped(address, serial);
            Ok(userdata)
        }
    }

    /// Makes a userdata that holds `value`, with the metatable on top of the stack, which is popped in any case.
    ///
    /// # Safety
    ///
    /// There is a metatable on top, and it is one for what `value` is or refers to, as `kind` says. `end` is for a cell that
    /// holds a `P`.
    unsafe fn adopt<P>(
        &self,
        value: P,
        kind: Kind,
        end: unsafe fn(&Item<'_>),
    ) -> Result<AnyUserData<'lua>> {
        let inner = self.lua.inner();
        let state = inner.state();
        // SAFETY: what is pushed is held. The item keeps the userdata (E3); only then the value goes into it (E2). Setting a
        // metatable does not raise.
        unsafe {
            let mut held = Held::adopt(state, 1);
            let memory = cell::new_memory::<P>(inner, state)?;
            held.add(1);
            let userdata = Ref::at(self.lua, -1)?;
            self.add(userdata.clone(), memory, end);
            cell::write(inner, memory, value, kind);
            engine::lua_insert(state, -2);
            engine::lua_setmetatable(state, -2);
            held.release(1);
            Ok(AnyUserData(userdata))
        }
    }

    fn add(&self, value: Ref<'lua>, memory: *mut c_void, end: unsafe fn(&Item<'_>)) {
        let item = Item { value, memory, end };
        let mut items = self.items.borrow_mut();
        if items.first.is_none() {
            items.first = Some(item);
        } else {
            items.others.push(item);
        }
    }
}

impl Drop for Scope<'_, '_> {
    fn drop(&mut self) {
        let mut panic = None;
        let mut end = |item: Item<'_>| {
            // SAFETY: `end` is made for this item, and called once.
            let ended = catch_unwind(AssertUnwindSafe(|| unsafe { (item.end)(&item) }));
            if let (Err(payload), None) = (ended, &panic) {
                panic = Some(payload);
            }
        };
        let items = self.items.get_mut();
        if let Some(first) = items.first.take() {
            end(first);
        }
        if !items.others.is_empty() {
            mem::take(&mut items.others).into_iter().for_each(end);
        }
        go_on_with(panic);
    }
}

/// Goes on with a panic of a destructor, unless another one is on its way already.
fn go_on_with(panic: Option<Box<dyn Any + Send>>) {
    match panic {
        Some(payload) if !std::thread::panicking() => resume_unwind(payload),
        // The payload may itself have a destructor that panics.
        payload => mem::forget(payload),
    }
}

/// The closure of a function, until that ends.
struct ScopedFn<F>(UnsafeCell<Option<F>>);

unsafe extern "C-unwind" fn function<'lua, F, A, R>(state: *mut engine::lua_State) -> c_int
where
    F: Fn(&'lua Lua, A) -> Result<R>,
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
{
    // SAFETY: entered by Lua; the closure, and with it the cell, is on the stack as the running function. It does not end while
    // it runs (E4).
    unsafe {
        let (inner, func) = upvalue::<ScopedFn<F>>(state);
        enter(inner, state, |lua, nargs| {
            let Some(func) = &*(*func).0.get() else {
                return Err(Error::CallbackDestructed);
            };
            let args = A::from_stack_args(nargs, 1, None, lua)?;
            func(lua, args)?.push_into_stack_multi(lua)
        })
    }
}

unsafe fn end_function<F>(item: &Item<'_>) {
    // SAFETY: E3, E4; the closure is out of reach when it is dropped.
    unsafe {
        let func = (*plain_cell::value::<ScopedFn<F>>(item.memory)).0.get();
        drop((*func).take());
    }
}

/// Takes the metatable from the userdata of `item`; the type it had, if it had a value still.
unsafe fn detach(item: &Item<'_>) -> Option<TypeKey> {
    let inner = item.value.lua().inner();
    let state = inner.state();
    // SAFETY: the userdata is pushed and held; an operation may push a few values.
    unsafe {
        let mut held = Held::new(state);
        item.value.push();
        held.add(1);
        let found = inner.types.find(state, -1).ok()?;
        cell::destruct(inner, state, -1);
        if let TypeKey::Scoped(_) = found.key {
            inner.types.remove_scoped(found.metatable);
        }
        Some(found.key)
    }
}

/// Ends a userdata with a `'static` value of its own.
unsafe fn end_value<T>(item: &Item<'_>) {
    // SAFETY: without a metatable the value is ours; E3, E5.
    unsafe {
        if detach(item).is_some() && !cell::is_borrowed::<T>(item.memory) {
            ptr::drop_in_place(cell::cell::<T>(item.memory));
        }
    }
}

/// Ends a userdata with the reference `P`.
unsafe fn end_lent<P>(item: &Item<'_>) {
    // SAFETY: as in `end_value`.
    unsafe {
        if detach(item).is_some() && cell::is_borrowed::<P>(item.memory) {
            kept_too_long();
        }
    }
}

/// Ends a userdata with a value that may not be `'static`.
unsafe fn end_scoped<T>(item: &Item<'_>) {
    // SAFETY: as in `end_value`.
    unsafe {
        if detach(item).is_some() {
            if cell::is_borrowed::<T>(item.memory) {
                kept_too_long();
            }
            ptr::drop_in_place(cell::cell::<T>(item.memory));
        }
    }
}

/// The end of a process that keeps a borrow of what is about to end: E5.
#[cold]
fn kept_too_long() -> ! {
    eprintln!("a value that was lent to a Lua scope is still borrowed at the end of the scope");
    std::process::abort()
}
