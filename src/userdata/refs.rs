//! [`UserDataRef`] and [`UserDataRefMut`]: a borrow of the value in a userdata, as an argument.

use std::any::type_name;
use std::cell::{Ref, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};

use super::{borrow_mut_unbound, borrow_unbound, AnyUserData};
use crate::error::{Error, Result};
use crate::value::{FromLua, Value};
use crate::Lua;

/// A shared borrow of the `T` in a userdata. It keeps the userdata and the instance.
///
/// As the argument of a function it takes a userdata of type `T`:
///
/// ```
/// # use mlua::{Lua, Result, UserData, UserDataRef};
/// struct Point(f64, f64);
/// impl UserData for Point {}
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let length = lua.create_function(|_, p: UserDataRef<Point>| Ok(p.0.hypot(p.1)))?;
/// assert_eq!(length.call::<_, f64>(Point(3.0, 4.0))?, 5.0);
/// # Ok(())
/// # }
/// ```
//
// The borrow is dropped first; the userdata keeps the memory that it borrows from.
pub struct UserDataRef<'lua, T: 'static> {
    value: Ref<'lua, T>,
    _userdata: AnyUserData<'lua>,
}

/// An exclusive borrow of the `T` in a userdata. It keeps the userdata and the instance.
//
// As `UserDataRef`.
pub struct UserDataRefMut<'lua, T: 'static> {
    value: RefMut<'lua, T>,
    _userdata: AnyUserData<'lua>,
}

impl<'lua, T: 'static> UserDataRef<'lua, T> {
    pub(crate) fn new(userdata: AnyUserData<'lua>) -> Result<Self> {
        // SAFETY: `userdata` is kept for longer than the borrow.
        let value = unsafe { borrow_unbound(&userdata)? };
        Ok(UserDataRef {
            value,
            _userdata: userdata,
        })
    }
}

impl<'lua, T: 'static> UserDataRefMut<'lua, T> {
    pub(crate) fn new(userdata: AnyUserData<'lua>) -> Result<Self> {
        // SAFETY: `userdata` is kept for longer than the borrow.
        let value = unsafe { borrow_mut_unbound(&userdata)? };
        Ok(UserDataRefMut {
            value,
            _userdata: userdata,
        })
    }
}

impl<T: 'static> Deref for UserDataRef<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: 'static> Deref for UserDataRefMut<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: 'static> DerefMut for UserDataRefMut<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<'lua, T: 'static> FromLua<'lua> for UserDataRef<'lua, T> {
    fn from_lua(value: Value<'lua>, _: &'lua Lua) -> Result<Self> {
        UserDataRef::new(userdata::<T>(value)?)
    }
}

impl<'lua, T: 'static> FromLua<'lua> for UserDataRefMut<'lua, T> {
    fn from_lua(value: Value<'lua>, _: &'lua Lua) -> Result<Self> {
        UserDataRefMut::new(userdata::<T>(value)?)
    }
}

fn userdata<T>(value: Value<'_>) -> Result<AnyUserData<'_>> {
    match value {
        Value::UserData(userdata) => Ok(userdata),
        other => {
            let message = format!("expected userdata of type {}", type_name::<T>());
            Err(Error::from_lua_conversion(
                other.type_name(),
                "userdata",
                message,
            ))
        }
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for UserDataRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for UserDataRefMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
