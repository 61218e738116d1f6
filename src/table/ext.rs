//! [`TableExt`].

use super::Table;
use crate::error::Result;
use crate::function::Function;
#[cfg(feature = "async")]
use crate::future::{call_boxed, LocalBoxFuture};
use crate::value::{FromLuaMulti, IntoLuaMulti};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Table<'_> {}
}

/// Calls of tables and of the functions in them.
pub trait TableExt<'lua>: sealed::Sealed {
    /// Calls the table like a function, by the metamethod `__call`.
    ///
    /// # Errors
    ///
    /// A table that cannot be called, an error in the function, an error in a conversion.
    fn call<A, R>(&self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>;

    /// Calls the function in the field `name` with the table and `args` as arguments, as `table:name(args)` does.
    ///
    /// # Errors
    ///
    /// A field that holds no function, an error in the function, an error in a conversion.
    fn call_method<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>;

    /// Calls the function in the field `name` with `args` as arguments, as `table.name(args)` does.
    ///
    /// # Errors
    ///
    /// A field that holds no function, an error in the function, an error in a conversion.
    fn call_function<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>;

    /// As `call`, in a coroutine: see [`Function::call_async`].
    ///
    /// # Errors
    ///
    /// Those of `call`.
    #[cfg(feature = "async")]
    fn call_async<A, R>(&self, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua;

    /// As `call_method`, in a coroutine: see [`Function::call_async`].
    ///
    /// # Errors
    ///
    /// Those of `call_method`.
    #[cfg(feature = "async")]
    fn call_async_method<A, R>(&self, name: &str, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua;

    /// As `call_function`, in a coroutine: see [`Function::call_async`].
    ///
    /// # Errors
    ///
    /// Those of `call_function`.
    #[cfg(feature = "async")]
    fn call_async_function<A, R>(&self, name: &str, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua;
}

impl<'lua> TableExt<'lua> for Table<'lua> {
    fn call<A, R>(&self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        // Calling a value is the same whatever it is.
        Function(self.0.clone()).call(args)
    }

    fn call_method<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        self.get::<_, Function>(name)?.call((self, args))
    }

    fn call_function<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        self.get::<_, Function>(name)?.call(args)
    }

    #[cfg(feature = "async")]
    fn call_async<A, R>(&self, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        // Calling a value is the same whatever it is.
        call_boxed(Ok(Function(self.0.clone())), args)
    }

    #[cfg(feature = "async")]
    fn call_async_method<A, R>(&self, name: &str, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        call_boxed(self.get(name), (self, args))
    }

    #[cfg(feature = "async")]
    fn call_async_function<A, R>(&self, name: &str, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        call_boxed(self.get(name), args)
    }
}
