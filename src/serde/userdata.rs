//! Userdata that can be serialised.

use ::serde::ser::Serialize;

use crate::error::Result;
use crate::types::MaybeSend;
use crate::userdata::cell::make_serializable;
use crate::{AnyUserData, Lua, Scope, UserData};

/// Lets `userdata`, which holds a `T`, be serialised.
fn serializable<T: Serialize + 'static>(userdata: AnyUserData) -> Result<AnyUserData> {
    let found = userdata.find()?;
    // SAFETY: the userdata was made with a `T`; `find` has found the cell.
    unsafe { make_serializable::<T>(found.userdata) };
    Ok(userdata)
}

impl Lua {
    /// As [`Lua::create_userdata`], for a userdata that can be serialised.
    ///
    /// It then counts as what it serialises to, in [`LuaSerdeExt::from_value`](crate::LuaSerdeExt::from_value) and wherever Lua
    /// values are serialised.
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_userdata`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, UserData};
    /// use serde::Serialize;
    ///
    /// #[derive(Serialize)]
    /// struct Point { x: i32, y: i32 }
    /// impl UserData for Point {}
    ///
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let point = lua.create_ser_userdata(Point { x: 1, y: 2 })?;
    /// assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"x":1,"y":2}"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_ser_userdata<T>(&self, data: T) -> Result<AnyUserData<'_>>
    where
        T: UserData + Serialize + MaybeSend + 'static,
    {
        serializable::<T>(self.create_userdata(data)?)
    }

    /// As [`Lua::create_any_userdata`], for a userdata that can be serialised: see [`Lua::create_ser_userdata`].
    ///
    /// # Errors
    ///
    /// Those of [`Lua::create_any_userdata`].
    pub fn create_ser_any_userdata<T>(&self, data: T) -> Result<AnyUserData<'_>>
    where
        T: Serialize + MaybeSend + 'static,
    {
        serializable::<T>(self.create_any_userdata(data)?)
    }
}

impl<'lua> Scope<'lua, '_> {
    /// As [`Scope::create_userdata`], for a userdata that can be serialised: see [`Lua::create_ser_userdata`].
    ///
    /// # Errors
    ///
    /// Those of [`Scope::create_userdata`].
    pub fn create_ser_userdata<T>(&self, data: T) -> Result<AnyUserData<'lua>>
    where
        T: UserData + Serialize + 'static,
    {
        serializable::<T>(self.create_userdata(data)?)
    }
}
