//! From Rust to Lua.

use ::serde::ser::{self, Serialize};

use super::push::{
    self, invalid_key, not_a_number, parse_number, value_without_key, JsonNumber, Push, Pushed,
    JSON_NUMBER,
};
use super::LuaSerdeExt;
use crate::error::{Error, Result};
use crate::{Integer, Lua, Table, Value};

/// How [`Serializer`] represents what Lua has no exact counterpart of.
///
/// # Examples
///
/// ```
/// use mlua::SerializeOptions;
///
/// const PLAIN: SerializeOptions = SerializeOptions::new()
///     .set_array_metatable(false)
///     .serialize_none_to_null(false)
///     .serialize_unit_to_null(false);
/// assert!(!PLAIN.set_array_metatable);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Options {
    /// Whether sequences get the [array metatable](LuaSerdeExt::array_metatable).
    ///
    /// Default: **true**
    pub set_array_metatable: bool,

    /// Whether `None` becomes [`null`](LuaSerdeExt::null). If not, it becomes nil.
    ///
    /// Default: **true**
    pub serialize_none_to_null: bool,

    /// Whether `()` and unit structs become [`null`](LuaSerdeExt::null). If not, they become nil.
    ///
    /// Default: **true**
    pub serialize_unit_to_null: bool,

    /// Whether a `serde_json::Number`, with serde_json's feature `arbitrary_precision`, becomes a Lua number. If not, it becomes
    /// a table, as which serde sees it.
    ///
    /// Default: **false**
    pub detect_serde_json_arbitrary_precision: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl Options {
    /// The default options.
    #[must_use]
    pub const fn new() -> Self {
        Options {
            set_array_metatable: true,
            serialize_none_to_null: true,
            serialize_unit_to_null: true,
            detect_serde_json_arbitrary_precision: false,
        }
    }

    /// Sets [`set_array_metatable`](Options::set_array_metatable).
    #[must_use]
    pub const fn set_array_metatable(mut self, enabled: bool) -> Self {
        self.set_array_metatable = enabled;
        self
    }

    /// Sets [`serialize_none_to_null`](Options::serialize_none_to_null).
    #[must_use]
    pub const fn serialize_none_to_null(mut self, enabled: bool) -> Self {
        self.serialize_none_to_null = enabled;
        self
    }

    /// Sets [`serialize_unit_to_null`](Options::serialize_unit_to_null).
    #[must_use]
    pub const fn serialize_unit_to_null(mut self, enabled: bool) -> Self {
        self.serialize_unit_to_null = enabled;
        self
    }

    /// Sets [`detect_serde_json_arbitrary_precision`](Options::detect_serde_json_arbitrary_precision).
    #[must_use]
    pub const fn detect_serde_json_arbitrary_precision(mut self, enabled: bool) -> Self {
        self.detect_serde_json_arbitrary_precision = enabled;
        self
    }
}

/// Serialises into a Lua value.
///
/// [`LuaSerdeExt::to_value`] is the short way to use it, and the fast one for tables.
///
/// # Examples
///
/// ```
/// # use mlua::{Lua, Result, Table};
/// use mlua::serde::Serializer;
/// use serde::Serialize;
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let value = [1, 2, 3].serialize(Serializer::new(&lua))?;
/// assert_eq!(value.as_table().unwrap().raw_len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Serializer<'lua> {
    lua: &'lua Lua,
    options: Options,
}

impl<'lua> Serializer<'lua> {
    /// Serialises into values of `lua` with the default options.
    pub fn new(lua: &'lua Lua) -> Self {
        Self::new_with_options(lua, Options::new())
    }

    /// Serialises into values of `lua` with these options.
    pub fn new_with_options(lua: &'lua Lua, options: Options) -> Self {
        Serializer { lua, options }
    }

    fn run(self, f: impl FnOnce(Push<'_>) -> Result<Pushed>) -> Result<Value<'lua>> {
        push::to_value(self.lua, self.options, f)
    }

    /// A table without elements yet.
    fn list(self, len: usize, plain: bool) -> Result<SerializeSeq<'lua>> {
        let Serializer { lua, options } = self;
        let table = lua.create_table_with_capacity(len.min(push::MAX_ROOM), 0)?;
        if options.set_array_metatable && !plain {
            table.set_metatable(Some(lua.array_metatable()));
        }
        Ok(SerializeSeq {
            lua,
            options,
            table,
            len: 0,
            #[cfg(feature = "luau")]
            is_vector: false,
        })
    }

    /// A table without fields yet.
    fn fields(self, len: usize) -> Result<SerializeMap<'lua>> {
        let Serializer { lua, options } = self;
        Ok(SerializeMap {
            lua,
            options,
            table: lua.create_table_with_capacity(0, len.min(push::MAX_ROOM))?,
            key: None,
        })
    }
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        fn $name(self, $($arg: $type),*) -> Result<Value<'lua>> {
            self.run(|push| push.$name($($arg),*))
        }
    )*};
}

impl<'lua> ser::Serializer for Serializer<'lua> {
    type Ok = Value<'lua>;
    type Error = Error;
    type SerializeSeq = SerializeSeq<'lua>;
    type SerializeTuple = SerializeSeq<'lua>;
    type SerializeTupleStruct = SerializeSeq<'lua>;
    type SerializeTupleVariant = SerializeTupleVariant<'lua>;
    type SerializeMap = SerializeMap<'lua>;
    type SerializeStruct = SerializeStruct<'lua>;
    type SerializeStructVariant = SerializeStructVariant<'lua>;

    forward! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_i128(v: i128);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_u128(v: u128);
        serialize_f32(v: f32);
        serialize_f64(v: f64);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_bytes(v: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value<'lua>> {
        self.run(|push| push.serialize_some(value))
    }

    fn serialize_newtype_struct<T>(self, name: &'static str, value: &T) -> Result<Value<'lua>>
    where
        T: Serialize + ?Sized,
    {
        self.run(|push| push.serialize_newtype_struct(name, value))
    }

    fn serialize_newtype_variant<T>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value<'lua>>
    where
        T: Serialize + ?Sized,
    {
        self.run(|push| push.serialize_newtype_variant(name, index, variant, value))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<SerializeSeq<'lua>> {
        self.list(len.unwrap_or(0), false)
    }

    fn serialize_tuple(self, len: usize) -> Result<SerializeSeq<'lua>> {
        self.list(len, false)
    }

    #[cfg(not(feature = "luau"))]
    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<SerializeSeq<'lua>> {
        self.list(len, false)
    }

    #[cfg(feature = "luau")]
    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<SerializeSeq<'lua>> {
        let mut list = self.list(len, false)?;
        list.is_vector = crate::Vector::is_serialized_as(name, len);
        Ok(list)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<SerializeTupleVariant<'lua>> {
        let list = self.list(len, true)?;
        Ok(SerializeTupleVariant { variant, list })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<SerializeMap<'lua>> {
        self.fields(len.unwrap_or(0))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<SerializeStruct<'lua>> {
        let detect = self.options.detect_serde_json_arbitrary_precision && name == JSON_NUMBER;
        Ok(SerializeStruct {
            fields: self.fields(len)?,
            number: detect.then_some(Value::Nil),
        })
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<SerializeStructVariant<'lua>> {
        let fields = self.fields(len)?;
        Ok(SerializeStructVariant { variant, fields })
    }
}

/// The table `{ [variant] = value }`.
fn tagged<'lua>(lua: &'lua Lua, variant: &str, value: Table<'lua>) -> Result<Value<'lua>> {
    lua.create_table_from([(variant, value)]).map(Value::Table)
}

/// A sequence, a tuple or a tuple struct that [`Serializer`] is making.
#[doc(hidden)]
pub struct SerializeSeq<'lua> {
    lua: &'lua Lua,
    options: Options,
    table: Table<'lua>,
    len: Integer,
    #[cfg(feature = "luau")]
    is_vector: bool,
}

impl<'lua> SerializeSeq<'lua> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let value = self.lua.to_value_with(value, self.options)?;
        self.table.raw_set(self.len + 1, value)?;
        self.len += 1;
        Ok(())
    }

    fn finish(self) -> Result<Value<'lua>> {
        #[cfg(feature = "luau")]
        if self.is_vector {
            // SAFETY: there is a table, of which only raw reads are made where it lies.
            let vector = unsafe {
                let (thread, index) = self.table.0.peek();
                crate::Vector::from_list(thread, index)
            };
            if let Some(vector) = vector {
                return Ok(Value::Vector(vector));
            }
        }
        Ok(Value::Table(self.table))
    }
}

/// A tuple variant of an enum that [`Serializer`] is making.
#[doc(hidden)]
pub struct SerializeTupleVariant<'lua> {
    variant: &'static str,
    list: SerializeSeq<'lua>,
}

impl<'lua> SerializeTupleVariant<'lua> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.list.push(value)
    }

    fn finish(self) -> Result<Value<'lua>> {
        tagged(self.list.lua, self.variant, self.list.table)
    }
}

macro_rules! elements {
    ($($Trait:ident: $method:ident for $Type:ident;)*) => {$(
        impl<'lua> ser::$Trait for $Type<'lua> {
            type Ok = Value<'lua>;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.push(value)
            }

            fn end(self) -> Result<Value<'lua>> {
                self.finish()
            }
        }
    )*};
}

elements! {
    SerializeSeq: serialize_element for SerializeSeq;
    SerializeTuple: serialize_element for SerializeSeq;
    SerializeTupleStruct: serialize_field for SerializeSeq;
    SerializeTupleVariant: serialize_field for SerializeTupleVariant;
}

/// A map that [`Serializer`] is making.
#[doc(hidden)]
pub struct SerializeMap<'lua> {
    lua: &'lua Lua,
    options: Options,
    table: Table<'lua>,
    key: Option<Value<'lua>>,
}

impl SerializeMap<'_> {
    fn set<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        let value = self.lua.to_value_with(value, self.options)?;
        self.table.raw_set(name, value)
    }
}

impl<'lua> ser::SerializeMap for SerializeMap<'lua> {
    type Ok = Value<'lua>;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        match self.lua.to_value_with(key, self.options)? {
            Value::Nil => return Err(invalid_key("nil")),
            Value::Number(n) if n.is_nan() => return Err(invalid_key("NaN")),
            key => self.key = Some(key),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let value = self.lua.to_value_with(value, self.options)?;
        match self.key.take() {
            Some(key) => self.table.raw_set(key, value),
            None => Err(value_without_key()),
        }
    }

    fn end(self) -> Result<Value<'lua>> {
        Ok(Value::Table(self.table))
    }
}

/// A struct that [`Serializer`] is making.
#[doc(hidden)]
pub struct SerializeStruct<'lua> {
    fields: SerializeMap<'lua>,
    /// The number, nil up to its only field, if that is what the struct stands for.
    number: Option<Value<'lua>>,
}

impl<'lua> ser::SerializeStruct for SerializeStruct<'lua> {
    type Ok = Value<'lua>;
    type Error = Error;

    fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<()>
    where
        T: Serialize + ?Sized,
    {
        let Some(number) = &mut self.number else {
            return self.fields.set(name, value);
        };
        let text = self.fields.lua.to_value(value)?;
        let text = text.as_string().map(|text| text.as_bytes());
        *number = match text.and_then(parse_number).ok_or_else(not_a_number)? {
            JsonNumber::Integer(n) => Value::Integer(n),
            JsonNumber::Float(n) => Value::Number(n),
        };
        Ok(())
    }

    fn end(self) -> Result<Value<'lua>> {
        match self.number {
            Some(Value::Nil) => Err(not_a_number()),
            Some(number) => Ok(number),
            None => Ok(Value::Table(self.fields.table)),
        }
    }
}

/// A struct variant of an enum that [`Serializer`] is making.
#[doc(hidden)]
pub struct SerializeStructVariant<'lua> {
    variant: &'static str,
    fields: SerializeMap<'lua>,
}

impl<'lua> ser::SerializeStructVariant for SerializeStructVariant<'lua> {
    type Ok = Value<'lua>;
    type Error = Error;

    fn serialize_field<T>(&mut self, name: &'static str, value: &T) -> Result<()>
    where
        T: Serialize + ?Sized,
    {
        self.fields.set(name, value)
    }

    fn end(self) -> Result<Value<'lua>> {
        tagged(self.fields.lua, self.variant, self.fields.table)
    }
}
