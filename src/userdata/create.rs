//! How userdata are made.

use std::marker::PhantomData;

use super::cell::{self, Kind};
use super::{metatable, AnyUserData, UserData, UserDataFields, UserDataMethods, UserDataRegistry};
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::types::MaybeSend;
use crate::value::{IntoLua, Value};
use crate::Lua;

impl Lua {
    /// Makes a userdata of `data`, with the fields and methods of its type.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left; then `data` is dropped. The first of a type also fails if a field or method cannot be
    /// registered: see [`UserDataFields::add_meta_field`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, UserData, UserDataMethods};
    /// struct Dog(String);
    ///
    /// impl UserData for Dog {
    ///     fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
    ///         methods.add_method("bark", |_, dog, ()| Ok(format!("{}: woof", dog.0)));
    ///     }
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let dog = lua.create_userdata(Dog("Rex".into()))?;
    /// lua.globals().set("dog", dog)?;
    /// assert_eq!(lua.load("dog:bark()").eval::<String>()?, "Rex: woof");
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_userdata<T>(&self, data: T) -> Result<AnyUserData<'_>>
    where
        T: UserData + MaybeSend + 'static,
    {
        // SAFETY: `push_userdata` leaves the userdata for `pop`.
        unsafe {
            let _entered = self.try_enter()?;
            push_userdata(self, data)?;
            Ref::pop(self).map(AnyUserData)
        }
    }

    /// Makes a userdata of a value of any type.
    ///
    /// It has the fields and methods that [`Lua::register_userdata_type`] has registered for the type, or none.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left; then `data` is dropped.
    pub fn create_any_userdata<T>(&self, data: T) -> Result<AnyUserData<'_>>
    where
        T: MaybeSend + 'static,
    {
        // SAFETY: `push_any_userdata` leaves the userdata for `pop`.
        unsafe {
            let _entered = self.try_enter()?;
            push_any_userdata(self, data)?;
            Ref::pop(self).map(AnyUserData)
        }
    }

    /// Registers the fields and methods of any type. Userdata made from here on have them.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left, or if a field or method cannot be registered: see
    /// [`UserDataFields::add_meta_field`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, UserDataMethods};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.register_userdata_type::<std::time::Duration>(|registry| {
    ///     registry.add_method("seconds", |_, duration, ()| Ok(duration.as_secs()));
    /// })?;
    /// let minute = std::time::Duration::from_secs(60);
    /// lua.globals().set("minute", lua.create_any_userdata(minute)?)?;
    /// assert_eq!(lua.load("minute:seconds()").eval::<u64>()?, 60);
    /// # Ok(())
    /// # }
    /// ```
    pub fn register_userdata_type<T: 'static>(
        &self,
        f: impl FnOnce(&mut UserDataRegistry<'_, T>),
    ) -> Result<()> {
        let _entered = self.try_enter()?;
        let mut registry = UserDataRegistry::new();
        f(&mut registry);
        // SAFETY: entered; `register` reserves the stack for code of the user itself.
        unsafe { metatable::register(self, registry)? };
        Ok(())
    }

    /// Makes a userdata that stands for the type `T` itself: it has the static fields and the functions of `T`, but no value.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_userdata`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, UserData, UserDataMethods};
    /// struct Point(i64, i64);
    ///
    /// impl UserData for Point {
    ///     fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
    ///         methods.add_function("new", |_, (x, y): (i64, i64)| Ok(Point(x, y)));
    ///         methods.add_method("sum", |_, point, ()| Ok(point.0 + point.1));
    ///     }
    /// }
    ///
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.globals().set("Point", lua.create_proxy::<Point>()?)?;
    /// assert_eq!(lua.load("Point.new(3, 4):sum()").eval::<i64>()?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_proxy<T>(&self) -> Result<AnyUserData<'_>>
    where
        T: UserData + 'static,
    {
        self.create_userdata(UserDataProxy::<T>(PhantomData))
    }
}

/// Pushes a userdata that holds `data` onto the running state.
///
/// # Safety
///
/// There is room for one value, and the instance is open.
#[inline]
pub(crate) unsafe fn push_userdata<T: UserData + 'static>(lua: &Lua, data: T) -> Result<()> {
    // SAFETY: passed on; the metatable is that of `T`.
    unsafe {
        let metatable = metatable_for::<T>(lua)?;
        let inner = lua.inner();
        cell::push(inner, inner.state(), data, Kind::Value, metatable)
    }
}

/// Pushes a userdata that holds `data`, which may be of any type.
///
/// # Safety
///
/// As [`push_userdata`].
#[inline]
pub(crate) unsafe fn push_any_userdata<T: 'static>(lua: &Lua, data: T) -> Result<()> {
    // SAFETY: as in `push_userdata`.
    unsafe {
        let metatable = metatable_for_any::<T>(lua)?;
        let inner = lua.inner();
        cell::push(inner, inner.state(), data, Kind::Value, metatable)
    }
}

/// The metatable of `T`, made if there is none yet.
///
/// # Safety
///
/// The instance is open.
#[inline]
pub(crate) unsafe fn metatable_for<T: UserData + 'static>(lua: &Lua) -> Result<Slot> {
    if let Some(metatable) = lua.inner().types.metatable_of::<T>() {
        return Ok(metatable);
    }
    // SAFETY: passed on.
    unsafe { register_type::<T>(lua) }
}

#[cold]
#[inline(never)]
unsafe fn register_type<T: UserData + 'static>(lua: &Lua) -> Result<Slot> {
    lua.reserve_stack()?;
    let mut registry = UserDataRegistry::<T>::new();
    T::add_fields(&mut registry);
    T::add_methods(&mut registry);
    // SAFETY: passed on.
    unsafe { metatable::register(lua, registry) }
}

/// The metatable of `T`, made without fields and methods if there is none yet.
///
/// # Safety
///
/// The instance is open.
#[inline]
pub(crate) unsafe fn metatable_for_any<T: 'static>(lua: &Lua) -> Result<Slot> {
    match lua.inner().types.metatable_of::<T>() {
        Some(metatable) => Ok(metatable),
        // SAFETY: passed on.
        None => unsafe { metatable::register(lua, UserDataRegistry::<T>::new()) },
    }
}

impl<'lua, T: UserData + MaybeSend + 'static> IntoLua<'lua> for T {
    #[inline]
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        lua.create_userdata(self).map(Value::UserData)
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { push_userdata(lua, self) }
    }
}

impl<'lua> AnyUserData<'lua> {
    /// Wraps a value of any type, so that it can be given to Lua where a conversion is asked for.
    ///
    /// It becomes a userdata as by [`Lua::create_any_userdata`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{AnyUserData, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.globals().set("data", AnyUserData::wrap(vec![1, 2, 3]))?;
    /// let data: AnyUserData = lua.globals().get("data")?;
    /// assert_eq!(*data.borrow::<Vec<i32>>()?, [1, 2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap<T: MaybeSend + 'static>(data: T) -> impl IntoLua<'lua> {
        Wrapped(data)
    }
}

struct Wrapped<T>(T);

impl<'lua, T: MaybeSend + 'static> IntoLua<'lua> for Wrapped<T> {
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        lua.create_any_userdata(self.0).map(Value::UserData)
    }

    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { push_any_userdata(lua, self.0) }
    }
}

/// What a proxy of the type `T` holds.
//
// Only the name is left of `T`; the name of this type shows in Lua.
struct UserDataProxy<T>(PhantomData<fn() -> T>);

impl<T: UserData + 'static> UserData for UserDataProxy<T> {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        let mut registry = UserDataRegistry::<T>::new();
        T::add_fields(&mut registry);
        fields.append_fields_from(registry);
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        let mut registry = UserDataRegistry::<T>::new();
        T::add_methods(&mut registry);
        methods.append_methods_from(registry);
    }
}
