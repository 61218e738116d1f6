//! Two ways to keep a Lua function in a Rust struct.

use std::rc::Rc;

use mlua::{Function, IntoLuaMulti, Lua, OwnedFunction, RegistryKey, Result};

/// A Lua function that Rust keeps and calls later.
pub trait Callback: Sized + 'static {
    /// What the keeper of callbacks needs besides the callbacks.
    type Instance: 'static;

    fn instance(lua: &Rc<Lua>) -> Self::Instance;

    fn keep(instance: &Self::Instance, function: Function) -> Result<Self>;

    fn answer<A>(&self, payload: A) -> Result<Option<String>>
    where
        A: for<'lua> IntoLuaMulti<'lua>;
}

/// The weak way: the handle is all there is to keep.
impl Callback for OwnedFunction {
    type Instance = ();

    fn instance(_: &Rc<Lua>) {}

    fn keep(_: &(), function: Function) -> Result<Self> {
        Ok(function.into_owned())
    }

    fn answer<A>(&self, payload: A) -> Result<Option<String>>
    where
        A: for<'lua> IntoLuaMulti<'lua>,
    {
        self.call(payload)
    }
}

/// The strong way: a registry key, and the instance to look it up in.
pub struct StrongFunction {
    lua: Rc<Lua>,
    key: RegistryKey,
}

impl Callback for StrongFunction {
    type Instance = Rc<Lua>;

    fn instance(lua: &Rc<Lua>) -> Rc<Lua> {
        Rc::clone(lua)
    }

    fn keep(lua: &Rc<Lua>, function: Function) -> Result<Self> {
        Ok(StrongFunction {
            lua: Rc::clone(lua),
            key: lua.create_registry_value(function)?,
        })
    }

    fn answer<A>(&self, payload: A) -> Result<Option<String>>
    where
        A: for<'lua> IntoLuaMulti<'lua>,
    {
        let function: Function = self.lua.registry_value(&self.key)?;
        function.call(payload)
    }
}
