//! [`AnyUserDataExt`].

use super::{AnyUserData, MetaMethod};
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::function::Function;
#[cfg(feature = "async")]
use crate::future::{call_boxed, LocalBoxFuture};
use crate::stack::Held;
use crate::value::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, Value};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::AnyUserData<'_> {}
}

/// Fields, calls and method calls of a userdata, as Lua code sees them.
///
/// # Examples
///
/// ```
/// use mlua::{AnyUserDataExt, Lua, Result, UserData, UserDataFields, UserDataMethods};
///
/// struct Lamp {
///     on: bool,
/// }
///
/// impl UserData for Lamp {
///     fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
///         fields.add_field_method_get("on", |_, lamp| Ok(lamp.on));
///     }
///     fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
///         methods.add_method_mut("switch", |_, lamp, on| {
///             lamp.on = on;
///             Ok(())
///         });
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let lamp = lua.create_userdata(Lamp { on: false })?;
/// lamp.call_method::<_, ()>("switch", true)?;
/// assert!(lamp.get::<_, bool>("on")?);
/// # Ok(())
/// # }
/// ```
pub trait AnyUserDataExt<'lua>: sealed::Sealed {
    /// Reads the field `key`, by the metamethod `__index`.
    ///
    /// # Errors
    ///
    /// A userdata without that metamethod or without a value, what the metamethod raises, a conversion that fails.
    fn get<K: IntoLua<'lua>, V: FromLua<'lua>>(&self, key: K) -> Result<V>;

    /// Writes the field `key`, by the metamethod `__newindex`.
    ///
    /// # Errors
    ///
    /// As [`AnyUserDataExt::get`].
    fn set<K: IntoLua<'lua>, V: IntoLua<'lua>>(&self, key: K, value: V) -> Result<()>;

    /// Calls the userdata like a function, by the metamethod `__call`.
    ///
    /// # Errors
    ///
    /// As [`AnyUserDataExt::get`].
    fn call<A, R>(&self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>;

    /// Calls the method `name` with the userdata and `args`, as `userdata:name(args)` does.
    ///
    /// # Errors
    ///
    /// As [`AnyUserDataExt::get`]; a field that is not a function.
    fn call_method<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>;

    /// Calls the function `name` with `args` alone, as `userdata.name(args)` does.
    ///
    /// # Errors
    ///
    /// As [`AnyUserDataExt::call_method`].
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

impl<'lua> AnyUserDataExt<'lua> for AnyUserData<'lua> {
    fn get<K: IntoLua<'lua>, V: FromLua<'lua>>(&self, key: K) -> Result<V> {
        let lua = self.0.lua();
        let state = self.0.state();
        self.check(MetaMethod::Index, "index")?;
        // SAFETY: what is pushed is held, and the metamethod runs protected.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            key.push_into_stack(lua)?;
            held.add(1);
            held.release(2);
            protect(state, 2, 1, |state| {
                engine::lua_gettable(state, 1);
            })?;
            held.add(1);
            V::from_stack(-1, lua)
        }
    }

    fn set<K: IntoLua<'lua>, V: IntoLua<'lua>>(&self, key: K, value: V) -> Result<()> {
        let lua = self.0.lua();
        let state = self.0.state();
        self.check(MetaMethod::NewIndex, "index")?;
        // SAFETY: what is pushed is held, and the metamethod runs protected.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            key.push_into_stack(lua)?;
            held.add(1);
            value.push_into_stack(lua)?;
            held.add(1);
            held.release(3);
            protect(state, 3, 0, |state| engine::lua_settable(state, 1))
        }
    }

    fn call<A, R>(&self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        self.check(MetaMethod::Call, "call")?;
        // Calling a value is the same whatever it is.
        Function(self.0.clone()).call(args)
    }

    fn call_method<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        function(self.get(name)?)?.call((self, args))
    }

    fn call_function<A, R>(&self, name: &str, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        function(self.get(name)?)?.call(args)
    }

    #[cfg(feature = "async")]
    fn call_async<A, R>(&self, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        let function = self.check(MetaMethod::Call, "call");
        call_boxed(function.map(|()| Function(self.0.clone())), args)
    }

    #[cfg(feature = "async")]
    fn call_async_method<A, R>(&self, name: &str, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        call_boxed(self.get(name).and_then(function), (self, args))
    }

    #[cfg(feature = "async")]
    fn call_async_function<A, R>(&self, name: &str, args: A) -> LocalBoxFuture<'lua, Result<R>>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        call_boxed(self.get(name).and_then(function), args)
    }
}

/// The function in the field of a userdata.
fn function(value: Value<'_>) -> Result<Function<'_>> {
    match value {
        Value::Function(function) => Ok(function),
        other => {
            let message = format!("attempt to call a {} value", other.type_name());
            Err(Error::RuntimeError(message))
        }
    }
}

impl AnyUserData<'_> {
    /// Finds out that the userdata has a value and its type the metamethod `method`, which it takes to `action` it.
    fn check(&self, method: MetaMethod, action: &str) -> Result<()> {
        match self.get_metatable()?.get(method)? {
            Value::Table(_) | Value::Function(_) => Ok(()),
            _ => {
                let message = format!("attempt to {action} a userdata value");
                Err(Error::RuntimeError(message))
            }
        }
    }
}
