//! [`UserData`], and what its methods register with.

#[cfg(feature = "async")]
use std::future::Future;

use super::{AnyUserData, UserDataRegistry};
use crate::error::Result;
use crate::types::MaybeSend;
use crate::value::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti};
use crate::Lua;

/// A Rust type whose values Lua can hold, with fields, methods and operators.
///
/// A type that implements this can be given to Lua as it is: it is [`IntoLua`]. The other way round, a function takes
/// [`UserDataRef<T>`](crate::UserDataRef), [`UserDataRefMut<T>`](crate::UserDataRefMut) or [`AnyUserData`].
///
/// Lua shares userdata freely, so a value lies in a [`RefCell`](std::cell::RefCell): a method that takes `&mut T` fails while
/// another method of the same userdata runs.
///
/// # Examples
///
/// ```
/// use mlua::{Lua, MetaMethod, Result, UserData, UserDataFields, UserDataMethods};
///
/// struct Account {
///     balance: i64,
/// }
///
/// impl UserData for Account {
///     fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
///         fields.add_field_method_get("balance", |_, account| Ok(account.balance));
///     }
///
///     fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
///         methods.add_method_mut("deposit", |_, account, amount: i64| {
///             account.balance += amount;
///             Ok(())
///         });
///         methods.add_meta_method(MetaMethod::ToString, |_, account, ()| {
///             Ok(format!("account with {}", account.balance))
///         });
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// lua.globals().set("account", Account { balance: 10 })?;
/// lua.load("account:deposit(5)").exec()?;
/// assert_eq!(lua.load("account.balance").eval::<i64>()?, 15);
/// assert_eq!(lua.load("tostring(account)").eval::<String>()?, "account with 15");
/// # Ok(())
/// # }
/// ```
pub trait UserData: Sized {
    /// Registers the fields of the type. This is called once for an instance of Lua, when it meets the type first.
    #[allow(unused_variables)]
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {}

    /// Registers the methods and operators of the type. This is called once for an instance of Lua, after
    /// [`UserData::add_fields`].
    #[allow(unused_variables)]
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {}
}

/// Where a type registers its methods and operators.
///
/// What is read from a userdata is looked for among the getters, then among methods and static fields, and then by the
/// metamethod `__index` of the type, if it has one.
///
/// A method fails with [`Error::BadArgument`](crate::Error::BadArgument) for `self` if it is called on a value that is not
/// of its type, or on one that is borrowed.
pub trait UserDataMethods<'lua, T> {
    /// Adds a method that reads the value: `userdata:name(...)`.
    fn add_method<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        M: Fn(&'lua Lua, &T, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a method that changes the value.
    ///
    /// A call of it while it runs fails with [`Error::RecursiveMutCallback`](crate::Error::RecursiveMutCallback).
    fn add_method_mut<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        M: FnMut(&'lua Lua, &mut T, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a function, which is called with what Lua passes: for `userdata:name(...)` the userdata comes first.
    fn add_function<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a function that changes what it has captured.
    ///
    /// A call of it while it runs fails with [`Error::RecursiveMutCallback`](crate::Error::RecursiveMutCallback).
    fn add_function_mut<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: FnMut(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod that reads the value.
    ///
    /// Lua calls the metamethod of an operator with two operands also if only the second is the userdata; then this one
    /// fails. [`UserDataMethods::add_meta_function`] gets both operands as they are.
    fn add_meta_method<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        M: Fn(&'lua Lua, &T, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod that changes the value. See [`UserDataMethods::add_meta_method`].
    fn add_meta_method_mut<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        M: FnMut(&'lua Lua, &mut T, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod as a function of what Lua passes. Of two operands, either may be the userdata.
    fn add_meta_function<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod as a function that changes what it has captured.
    fn add_meta_function_mut<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: FnMut(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>;

    /// Adds a method that reads the value and returns a future: `userdata:name(...)` waits for it, as the functions of
    /// [`Lua::create_async_function`] do.
    ///
    /// The value stays borrowed until the future is dropped. It cannot be one that a scope lends.
    #[cfg(feature = "async")]
    fn add_async_method<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        'lua: 's,
        T: 'static,
        M: Fn(&'lua Lua, &'s T, A) -> MR + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        MR: Future<Output = Result<R>> + 's,
        R: IntoLuaMulti<'lua>;

    /// Adds a method that changes the value and returns a future. See [`UserDataMethods::add_async_method`].
    #[cfg(feature = "async")]
    fn add_async_method_mut<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        'lua: 's,
        T: 'static,
        M: Fn(&'lua Lua, &'s mut T, A) -> MR + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        MR: Future<Output = Result<R>> + 's,
        R: IntoLuaMulti<'lua>;

    /// Adds a function that returns a future: see [`UserDataMethods::add_function`] and [`Lua::create_async_function`].
    #[cfg(feature = "async")]
    fn add_async_function<F, A, FR, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        FR: Future<Output = Result<R>> + 'lua,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod that reads the value and returns a future. See [`UserDataMethods::add_async_method`].
    #[cfg(all(feature = "async", not(any(feature = "lua51", feature = "luau"))))]
    fn add_async_meta_method<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        'lua: 's,
        T: 'static,
        M: Fn(&'lua Lua, &'s T, A) -> MR + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        MR: Future<Output = Result<R>> + 's,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod that changes the value and returns a future. See [`UserDataMethods::add_async_method`].
    #[cfg(all(feature = "async", not(any(feature = "lua51", feature = "luau"))))]
    fn add_async_meta_method_mut<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        'lua: 's,
        T: 'static,
        M: Fn(&'lua Lua, &'s mut T, A) -> MR + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        MR: Future<Output = Result<R>> + 's,
        R: IntoLuaMulti<'lua>;

    /// Adds a metamethod as a function that returns a future. See [`UserDataMethods::add_meta_function`].
    #[cfg(all(feature = "async", not(any(feature = "lua51", feature = "luau"))))]
    fn add_async_meta_function<F, A, FR, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
        A: FromLuaMulti<'lua>,
        FR: Future<Output = Result<R>> + 'lua,
        R: IntoLuaMulti<'lua>;

    /// Adds the methods of another type, which must find their values in userdata of this one.
    #[doc(hidden)]
    fn append_methods_from<S>(&mut self, other: UserDataRegistry<'lua, S>) {
        let _ = other;
    }
}

/// Where a type registers its fields.
///
/// See [`UserDataMethods`] for the order in which fields and methods are looked for.
pub trait UserDataFields<'lua, T> {
    /// Adds a static field: the same value for all userdata of the type. Lua cannot assign to it.
    fn add_field<V>(&mut self, name: impl AsRef<str>, value: V)
    where
        V: IntoLua<'lua> + Clone + 'static;

    /// Adds a getter: what `userdata.name` is.
    fn add_field_method_get<M, R>(&mut self, name: impl AsRef<str>, method: M)
    where
        M: Fn(&'lua Lua, &T) -> Result<R> + MaybeSend + 'static,
        R: IntoLua<'lua>;

    /// Adds a setter: what `userdata.name = value` does.
    ///
    /// Once a type has a setter, an assignment to an unknown field is an error, unless the type has a metamethod `__newindex`.
    fn add_field_method_set<M, A>(&mut self, name: impl AsRef<str>, method: M)
    where
        M: FnMut(&'lua Lua, &mut T, A) -> Result<()> + MaybeSend + 'static,
        A: FromLua<'lua>;

    /// Adds a getter that gets the userdata instead of the value.
    fn add_field_function_get<F, R>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: Fn(&'lua Lua, AnyUserData<'lua>) -> Result<R> + MaybeSend + 'static,
        R: IntoLua<'lua>;

    /// Adds a setter that gets the userdata instead of the value.
    fn add_field_function_set<F, A>(&mut self, name: impl AsRef<str>, function: F)
    where
        F: FnMut(&'lua Lua, AnyUserData<'lua>, A) -> Result<()> + MaybeSend + 'static,
        A: FromLua<'lua>;

    /// Adds a field to the metatable.
    ///
    /// With `__gc` or `__metatable`, making the metatable fails with
    /// [`Error::MetaMethodRestricted`](crate::Error::MetaMethodRestricted); with an `__index` or `__newindex` that is neither
    /// a table nor a function, with [`Error::MetaMethodTypeError`](crate::Error::MetaMethodTypeError).
    fn add_meta_field<V>(&mut self, name: impl AsRef<str>, value: V)
    where
        V: IntoLua<'lua> + Clone + 'static;

    /// Adds a field to the metatable that `f` makes when the metatable is made. See [`UserDataFields::add_meta_field`].
    fn add_meta_field_with<F, R>(&mut self, name: impl AsRef<str>, f: F)
    where
        F: Fn(&'lua Lua) -> Result<R> + MaybeSend + 'static,
        R: IntoLua<'lua>;

    /// Adds the fields of another type, which must find their values in userdata of this one.
    #[doc(hidden)]
    fn append_fields_from<S>(&mut self, other: UserDataRegistry<'lua, S>) {
        let _ = other;
    }
}
