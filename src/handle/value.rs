//! [`OwnedValue`]: any Lua value without a lifetime.

use std::os::raw::c_void;
use std::ptr;

use super::owned::{OwnedAnyUserData, OwnedFunction, OwnedString, OwnedTable, OwnedThread};
use crate::error::{Error, Result};
use crate::value::{FromLua, IntoLua, LightUserData, Value};
use crate::{Integer, Lua, Number};

/// Any Lua value without a lifetime: plain kinds as they are, the others as owned handles.
///
/// What holds for handles holds for those in here: none keeps its instance open, to clone or upgrade one is a count, and with
/// the feature `send` any thread may hold one. There is no `==`, since strings compare by content; plain kinds and handles can be
/// matched out and compared.
///
/// # Examples
///
/// ```
/// # use mlua::{Lua, OwnedValue, Result};
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let kept: Vec<OwnedValue> = vec![lua.globals().into_owned().into(), 7.into(), true.into()];
/// assert!(kept[0].upgrade_in(&lua)?.is_table());
/// assert!(kept[1].is_alive());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub enum OwnedValue {
    /// The Lua value `nil`.
    #[default]
    Nil,
    /// A boolean.
    Boolean(bool),
    /// A light userdata.
    LightUserData(LightUserData),
    /// A number with an integer as value.
    Integer(Integer),
    /// A floating-point number.
    Number(Number),
    /// A vector.
    #[cfg(feature = "luau")]
    Vector(crate::Vector),
    /// A string.
    String(OwnedString),
    /// A table.
    Table(OwnedTable),
    /// A function, of Lua or of Rust.
    Function(OwnedFunction),
    /// A coroutine.
    Thread(OwnedThread),
    /// A userdata.
    UserData(OwnedAnyUserData),
    /// An error of Rust's that went through Lua.
    Error(Error),
}

#[cfg(feature = "send")]
// SAFETY: handles and errors are `Send`; the address in a light userdata is only a number here.
unsafe impl Send for OwnedValue {}
#[cfg(feature = "send")]
// SAFETY: as above.
unsafe impl Sync for OwnedValue {}

impl Value<'_> {
    /// Turns this into a value without a lifetime. Nothing is copied.
    pub fn into_owned(self) -> OwnedValue {
        match self {
            Value::Nil => OwnedValue::Nil,
            Value::Boolean(b) => OwnedValue::Boolean(b),
            Value::LightUserData(p) => OwnedValue::LightUserData(p),
            Value::Integer(i) => OwnedValue::Integer(i),
            Value::Number(n) => OwnedValue::Number(n),
            #[cfg(feature = "luau")]
            Value::Vector(v) => OwnedValue::Vector(v),
            Value::String(s) => OwnedValue::String(s.into_owned()),
            Value::Table(t) => OwnedValue::Table(t.into_owned()),
            Value::Function(f) => OwnedValue::Function(f.into_owned()),
            Value::Thread(t) => OwnedValue::Thread(t.into_owned()),
            Value::UserData(u) => OwnedValue::UserData(u.into_owned()),
            Value::Error(e) => OwnedValue::Error(e),
        }
    }
}

/// The value of `$value`, with each handle turned into a proxy by `$upgrade`.
macro_rules! upgraded {
    ($value:expr, $handle:ident => $upgrade:expr) => {
        match $value {
            OwnedValue::Nil => Value::Nil,
            OwnedValue::Boolean(b) => Value::Boolean(*b),
            OwnedValue::LightUserData(p) => Value::LightUserData(*p),
            OwnedValue::Integer(i) => Value::Integer(*i),
            OwnedValue::Number(n) => Value::Number(*n),
            #[cfg(feature = "luau")]
            OwnedValue::Vector(v) => Value::Vector(*v),
            OwnedValue::String($handle) => Value::String($upgrade),
            OwnedValue::Table($handle) => Value::Table($upgrade),
            OwnedValue::Function($handle) => Value::Function($upgrade),
            OwnedValue::Thread($handle) => Value::Thread($upgrade),
            OwnedValue::UserData($handle) => Value::UserData($upgrade),
            OwnedValue::Error(e) => Value::Error(e.clone()),
        }
    };
}

impl OwnedValue {
    /// The value, borrowed from this one. Makes no call into Lua.
    ///
    /// # Panics
    ///
    /// Panics if this is a handle and its instance is closed: `Lua instance is destroyed`.
    #[cfg(not(feature = "send"))]
    #[track_caller]
    pub fn upgrade(&self) -> Value<'_> {
        upgraded!(self, handle => handle.upgrade())
    }

    /// The value, borrowed from this one. Makes no call into Lua.
    ///
    /// # Errors
    ///
    /// [`Error::LuaDestroyed`] if this is a handle and its instance is closed.
    #[cfg(not(feature = "send"))]
    pub fn try_upgrade(&self) -> Result<Value<'_>> {
        Ok(upgraded!(self, handle => handle.try_upgrade()?))
    }

    /// The value, borrowed from `lua`. Makes no call into Lua.
    ///
    /// # Errors
    ///
    /// [`Error::LuaDestroyed`] if this is a handle and its instance is closed, [`Error::MismatchedLua`] if that is not the
    /// instance of `lua`.
    pub fn upgrade_in<'lua>(&self, lua: &'lua Lua) -> Result<Value<'lua>> {
        Ok(upgraded!(self, handle => handle.upgrade_in(lua)?))
    }

    /// The name that [`OwnedValue::upgrade`] would have in 0.9.
    ///
    /// # Panics
    ///
    /// As [`OwnedValue::upgrade`].
    #[cfg(not(feature = "send"))]
    #[track_caller]
    pub fn to_ref(&self) -> Value<'_> {
        self.upgrade()
    }

    /// Whether the value can be used: it is a plain one, or its instance is open.
    pub fn is_alive(&self) -> bool {
        match self {
            OwnedValue::String(handle) => handle.is_alive(),
            OwnedValue::Table(handle) => handle.is_alive(),
            OwnedValue::Function(handle) => handle.is_alive(),
            OwnedValue::Thread(handle) => handle.is_alive(),
            OwnedValue::UserData(handle) => handle.is_alive(),
            _ => true,
        }
    }

    /// The address that identifies what a handle refers to, or that a light userdata holds; null for other kinds.
    pub fn to_pointer(&self) -> *const c_void {
        match self {
            OwnedValue::LightUserData(p) => p.0,
            OwnedValue::String(handle) => handle.to_pointer(),
            OwnedValue::Table(handle) => handle.to_pointer(),
            OwnedValue::Function(handle) => handle.to_pointer(),
            OwnedValue::Thread(handle) => handle.to_pointer(),
            OwnedValue::UserData(handle) => handle.to_pointer(),
            _ => ptr::null(),
        }
    }
}

impl FromLua<'_> for OwnedValue {
    fn from_lua(value: Value<'_>, _: &'_ Lua) -> Result<Self> {
        Ok(value.into_owned())
    }
}

impl IntoLua<'_> for OwnedValue {
    fn into_lua(self, lua: &'_ Lua) -> Result<Value<'_>> {
        self.upgrade_in(lua)
    }
}

impl IntoLua<'_> for &OwnedValue {
    fn into_lua(self, lua: &'_ Lua) -> Result<Value<'_>> {
        self.upgrade_in(lua)
    }
}

macro_rules! from {
    ($($(#[$meta:meta])* $From:ty => $Variant:ident,)*) => {$(
        $(#[$meta])*
        impl From<$From> for OwnedValue {
            fn from(value: $From) -> Self {
                OwnedValue::$Variant(value.into())
            }
        }
    )*};
}

from! {
    bool => Boolean,
    LightUserData => LightUserData,
    i8 => Integer,
    i16 => Integer,
    i32 => Integer,
    u8 => Integer,
    u16 => Integer,
    f32 => Number,
    f64 => Number,
    #[cfg(feature = "luau")]
    crate::Vector => Vector,
    OwnedString => String,
    OwnedTable => Table,
    OwnedFunction => Function,
    OwnedThread => Thread,
    OwnedAnyUserData => UserData,
    Error => Error,
}

macro_rules! from_large {
    ($($Int:ty)*) => {$(
        /// A number that is no [`Integer`](crate::Integer) of this Lua becomes a [`Number`](crate::Number).
        impl From<$Int> for OwnedValue {
            fn from(value: $Int) -> Self {
                match num_traits::cast(value) {
                    Some(integer) => OwnedValue::Integer(integer),
                    None => OwnedValue::Number(value as crate::Number),
                }
            }
        }
    )*};
}

from_large!(u32 i64);

impl From<()> for OwnedValue {
    fn from(_: ()) -> Self {
        OwnedValue::Nil
    }
}
