//! Serialising and deserialising Lua values with [`serde`](https://docs.rs/serde) (feature `serialize`).
//!
//! [`LuaSerdeExt`] is all that most programs need: it turns whatever is `Serialize` into Lua values, and Lua values into
//! whatever is `Deserialize`. Besides, [`Value`], [`Table`], [`String`](crate::String) and
//! [`AnyUserData`](crate::AnyUserData) are `Serialize` themselves.
//!
//! | Rust | Lua |
//! |---|---|
//! | `None`, `()`, unit structs | [`null`](LuaSerdeExt::null), or nil by the [options](ser::Options) |
//! | numbers | integers where they fit, else floats |
//! | text, `char`, bytes | strings |
//! | sequences, tuples | tables with the [array metatable](LuaSerdeExt::array_metatable) |
//! | maps, structs | tables |
//! | variants of enums | the name for a unit variant, else a table with the name as its only key |
//!
//! In the other direction a table is a sequence if its list part is not empty or if it has the array metatable, and a map
//! otherwise, unless the Rust type asks for one of them.

// | file | what |
// |---|---|
// | `walk` | reading tables on the Lua stack |
// | `de` | from Lua to Rust |
// | `push` | from Rust onto the Lua stack |
// | `ser` | from Rust to Lua, through `push` |
// | `value` | Lua values as something to serialise |
// | `userdata` | userdata that can be serialised |

use std::cell::Cell;
use std::os::raw::{c_int, c_void};
use std::ptr;

use ::serde::de::DeserializeOwned;
use ::serde::ser::Serialize;

use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::{Lua, Table, Value};

pub mod de;
mod push;
pub mod ser;
mod userdata;
mod value;
mod walk;

pub use de::Deserializer;
pub use ser::Serializer;

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Lua {}
}

/// Converts between Lua values and the types of Rust by way of serde.
///
/// # Examples
///
/// ```
/// use mlua::{Lua, LuaSerdeExt, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// struct Window {
///     title: String,
///     size: (u32, u32),
///     icon: Option<String>,
/// }
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let window: Window = lua.from_value(lua.load("{ title = 'Map', size = { 640, 480 } }").eval()?)?;
/// assert_eq!(window.size, (640, 480));
///
/// lua.globals().set("window", lua.to_value(&window)?)?;
/// assert_eq!(lua.load("window.title .. #window.size").eval::<String>()?, "Map2");
/// # Ok(())
/// # }
/// ```
pub trait LuaSerdeExt: sealed::Sealed {
    /// The value that stands for null: [`Value::NULL`]. A table can hold it, unlike nil.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, LuaSerdeExt, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.globals().set("null", lua.null())?;
    /// let list: Vec<Option<u8>> = lua.from_value(lua.load("{ 1, null, 3 }").eval()?)?;
    /// assert_eq!(list, [Some(1), None, Some(3)]);
    /// # Ok(())
    /// # }
    /// ```
    fn null(&self) -> Value<'_>;

    /// The metatable that marks a table as a sequence, even if it is empty or has other fields. Lua code sees `false` in its
    /// place.
    ///
    /// # Panics
    ///
    /// Panics if the instance is closed or, at the first call, if there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, LuaSerdeExt, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let table = lua.create_table()?;
    /// assert_eq!(serde_json::to_string(&table).unwrap(), "{}");
    /// table.set_metatable(Some(lua.array_metatable()));
    /// assert_eq!(serde_json::to_string(&table).unwrap(), "[]");
    /// # Ok(())
    /// # }
    /// ```
    fn array_metatable(&self) -> Table<'_>;

    /// Turns `t` into a Lua value.
    ///
    /// # Errors
    ///
    /// Those of `t`'s `Serialize`, as [`Error::SerializeError`](crate::Error::SerializeError); a map with a key that is nil or
    /// NaN in Lua; a lack of memory or of Lua stack.
    fn to_value<'lua, T: Serialize + ?Sized>(&'lua self, t: &T) -> Result<Value<'lua>>;

    /// As [`LuaSerdeExt::to_value`], with options.
    ///
    /// # Errors
    ///
    /// Those of [`LuaSerdeExt::to_value`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, LuaSerdeExt, Result, SerializeOptions};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let options = SerializeOptions::new().serialize_none_to_null(false);
    /// assert!(lua.to_value_with(&None::<u8>, options)?.is_nil());
    /// # Ok(())
    /// # }
    /// ```
    fn to_value_with<'lua, T>(&'lua self, t: &T, options: ser::Options) -> Result<Value<'lua>>
    where
        T: Serialize + ?Sized;

    /// Turns a Lua value into a `T`.
    ///
    /// # Errors
    ///
    /// [`Error::DeserializeError`](crate::Error::DeserializeError) if the value does not fit, if it holds what cannot be
    /// deserialised (see [`DeserializeOptions`](crate::DeserializeOptions)), or if its tables are nested more than 128 deep
    /// and that takes more than a megabyte of the native stack.
    #[allow(clippy::wrong_self_convention)]
    fn from_value<T: DeserializeOwned>(&self, value: Value<'_>) -> Result<T>;

    /// As [`LuaSerdeExt::from_value`], with options.
    ///
    /// # Errors
    ///
    /// Those of [`LuaSerdeExt::from_value`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{DeserializeOptions, Lua, LuaSerdeExt, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let options = DeserializeOptions::new().deny_unsupported_types(false);
    /// let list: Vec<u8> = lua.from_value_with(lua.load("{ 1, print, 2 }").eval()?, options)?;
    /// assert_eq!(list, [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::wrong_self_convention)]
    fn from_value_with<T>(&self, value: Value<'_>, options: de::Options) -> Result<T>
    where
        T: DeserializeOwned;
}

impl LuaSerdeExt for Lua {
    fn null(&self) -> Value<'_> {
        Value::NULL
    }

    fn array_metatable(&self) -> Table<'_> {
        let _entered = self.enter();
        // SAFETY: entered; the slot is never freed.
        unsafe {
            let memory = &self.inner().memory;
            let slot = memory.without_limit(|| array_metatable_slot(self));
            let slot = slot.expect("not enough memory for the array metatable");
            Table(Ref::share(self, slot))
        }
    }

    fn to_value<'lua, T: Serialize + ?Sized>(&'lua self, t: &T) -> Result<Value<'lua>> {
        self.to_value_with(t, ser::Options::new())
    }

    fn to_value_with<'lua, T>(&'lua self, t: &T, options: ser::Options) -> Result<Value<'lua>>
    where
        T: Serialize + ?Sized,
    {
        push::to_value(self, options, |push| t.serialize(push))
    }

    fn from_value<T: DeserializeOwned>(&self, value: Value<'_>) -> Result<T> {
        T::deserialize(Deserializer::new(value))
    }

    fn from_value_with<T>(&self, value: Value<'_>, options: de::Options) -> Result<T>
    where
        T: DeserializeOwned,
    {
        T::deserialize(Deserializer::new_with_options(value, options))
    }
}

/// What an instance keeps for this room.
pub(crate) struct SerdeState {
    /// The metatable that marks sequences, with its address, once it was asked for. Its slot is never freed.
    array_metatable: Cell<Option<(Slot, *const c_void)>>,
    /// The thread on whose stack tables are read, null if there is none yet. It lies in a slot that is never freed.
    thread: Cell<*mut engine::lua_State>,
    /// The height of that stack.
    height: Cell<c_int>,
}

impl Default for SerdeState {
    fn default() -> Self {
        SerdeState {
            array_metatable: Cell::new(None),
            thread: Cell::new(ptr::null_mut()),
            height: Cell::new(0),
        }
    }
}

impl SerdeState {
    /// The address of the metatable that marks sequences, null if there is none yet.
    fn array_metatable(&self) -> *const c_void {
        self.array_metatable.get().map_or(ptr::null(), |(_, a)| a)
    }
}

/// The slot of the metatable that marks sequences.
///
/// # Safety
///
/// The instance is open, with 5 free places.
#[inline]
unsafe fn array_metatable_slot(lua: &Lua) -> Result<Slot> {
    match lua.inner().serde.array_metatable.get() {
        Some((slot, _)) => Ok(slot),
        // SAFETY: passed on.
        None => unsafe { make_array_metatable(lua) },
    }
}

#[cold]
unsafe fn make_array_metatable(lua: &Lua) -> Result<Slot> {
    let inner = lua.inner();
    let state = inner.state();
    // SAFETY: the body holds nothing; `take` pops the table.
    unsafe {
        // Whoever asks for it may not be able to report the error of a finalizer.
        engine::without_finalizer_errors(state, || {
            protect(state, 0, 1, |state| {
                engine::lua_createtable(state, 0, 1);
                engine::lua_pushboolean(state, 0);
                engine::lua_setfield(state, -2, c"__metatable".as_ptr());
            })
        })?;
        let address = engine::lua_topointer(state, -1);
        let slot = inner.slots.take(state)?;
        inner.serde.array_metatable.set(Some((slot, address)));
        Ok(slot)
    }
}
