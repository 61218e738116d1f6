//! From Lua to Rust.

use ::serde::de::value::StrDeserializer;
use ::serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_value::DeserializerError;

use super::walk::{self, Entries, Items, Node, Place, Refused};
use crate::error::{Error, Result};
use crate::value::convert::text::text;
use crate::value::convert::utf8;
use crate::Value;

/// What [`Deserializer`] does with values that have no counterpart in serde.
///
/// # Examples
///
/// ```
/// use mlua::DeserializeOptions;
///
/// const LENIENT: DeserializeOptions = DeserializeOptions::new()
///     .deny_unsupported_types(false)
///     .deny_recursive_tables(false);
/// assert!(!LENIENT.sort_keys);
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Options {
    /// Whether functions, coroutines, light userdata, errors, and userdata that cannot be serialised are an error. If not, they
    /// are left out of tables, and are a unit elsewhere.
    ///
    /// Default: **true**
    pub deny_unsupported_types: bool,

    /// Whether a table that contains itself is an error. If not, it is left out where it does.
    ///
    /// Default: **true**
    pub deny_recursive_tables: bool,

    /// Whether the fields of tables come in the order of their keys: booleans, numbers, strings, then all others.
    ///
    /// Default: **false**
    pub sort_keys: bool,
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
            deny_unsupported_types: true,
            deny_recursive_tables: true,
            sort_keys: false,
        }
    }

    /// Sets [`deny_unsupported_types`](Options::deny_unsupported_types).
    #[must_use]
    pub const fn deny_unsupported_types(mut self, enabled: bool) -> Self {
        self.deny_unsupported_types = enabled;
        self
    }

    /// Sets [`deny_recursive_tables`](Options::deny_recursive_tables).
    #[must_use]
    pub const fn deny_recursive_tables(mut self, enabled: bool) -> Self {
        self.deny_recursive_tables = enabled;
        self
    }

    /// Sets [`sort_keys`](Options::sort_keys).
    #[must_use]
    pub const fn sort_keys(mut self, enabled: bool) -> Self {
        self.sort_keys = enabled;
        self
    }
}

/// Deserialises a Lua value.
///
/// [`LuaSerdeExt::from_value`](super::LuaSerdeExt::from_value) is the short way to use it.
///
/// # Examples
///
/// ```
/// # use mlua::{Lua, Result};
/// use mlua::serde::Deserializer;
/// use serde::Deserialize;
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let table = lua.load("{ 1, 2, 3 }").eval()?;
/// assert_eq!(Vec::<u8>::deserialize(Deserializer::new(table))?, [1, 2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Deserializer<'lua> {
    value: Value<'lua>,
    options: Options,
}

impl<'lua> Deserializer<'lua> {
    /// Deserialises `value` with the default options.
    pub fn new(value: Value<'lua>) -> Self {
        Self::new_with_options(value, Options::new())
    }

    /// Deserialises `value` with these options.
    pub fn new_with_options(value: Value<'lua>, options: Options) -> Self {
        Deserializer { value, options }
    }

    #[inline]
    fn run<R>(self, f: impl FnOnce(Node<'_>) -> Result<R>) -> Result<R> {
        walk_value(&self.value, self.options, f)?
    }
}

/// Calls `f` with the node of `value`.
#[inline]
pub(super) fn walk_value<R>(
    value: &Value<'_>,
    options: Options,
    f: impl FnOnce(Node<'_>) -> R,
) -> Result<R> {
    let denied = options.deny_unsupported_types;
    let node = match value {
        Value::Nil => Node::Nil,
        value if value.is_null() => Node::Null,
        Value::Boolean(b) => Node::Boolean(*b),
        Value::Integer(i) => Node::Integer(*i),
        Value::Number(n) => Node::Number(*n),
        #[cfg(feature = "luau")]
        Value::Vector(v) => Node::Vector(*v),
        Value::String(s) => Node::String(s.as_bytes()),
        Value::Table(table) => return walk::walk(&table.0, options, f),
        Value::UserData(userdata) => return walk::walk(&userdata.0, options, f),
        Value::Function(_) => Node::Other(&"function", denied),
        Value::Thread(_) => Node::Other(&"thread", denied),
        Value::LightUserData(_) => Node::Other(&"lightuserdata", denied),
        Value::Error(_) => Node::Other(&"error", denied),
    };
    Ok(f(node))
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $name<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value> {
            self.run(|node| node.$name($($arg,)* visitor))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'_> {
    type Error = Error;

    forward! {
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16(); deserialize_i32();
        deserialize_i64(); deserialize_i128(); deserialize_u8(); deserialize_u16(); deserialize_u32();
        deserialize_u64(); deserialize_u128(); deserialize_f32(); deserialize_f64(); deserialize_char();
        deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_option(); deserialize_unit(); deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str); deserialize_seq(); deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize); deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier(); deserialize_ignored_any();
    }
}

impl From<Refused> for Error {
    #[cold]
    fn from(refused: Refused) -> Self {
        Error::DeserializeError(refused.0.to_owned())
    }
}

impl Node<'_> {
    #[cold]
    fn not_a_table(&self) -> Error {
        de::Error::invalid_type(Unexpected::Other(self.type_name()), &"table")
    }

    fn unsupported<'de, V: Visitor<'de>>(&self, denied: bool, visitor: V) -> Result<V::Value> {
        if !denied {
            return visitor.visit_unit();
        }
        let name = self.type_name();
        Err(de::Error::custom(format_args!(
            "unsupported value type `{name}`"
        )))
    }
}

/// What the userdata serialises to; `None` if it cannot be serialised.
#[inline(never)]
fn contents(place: Place) -> Option<Result<serde_value::Value>> {
    let contents = place.with_value(|value| {
        serde_value::to_value(value).map_err(|error| Error::SerializeError(error.to_string()))
    })?;
    Some(contents.and_then(|value| value))
}

fn error_in_contents(error: DeserializerError) -> Error {
    Error::DeserializeError(error.to_string())
}

/// Does the same with what a userdata serialises to as is asked for the node.
macro_rules! from_userdata {
    ($place:expr, $otherwise:expr, |$contents:ident| $deserialize:expr) => {
        match contents($place) {
            Some($contents) => {
                let $contents = $contents?;
                $deserialize.map_err(error_in_contents)
            }
            None => $otherwise,
        }
    };
}

impl<'de> de::Deserializer<'de> for Node<'_> {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Node::Nil => visitor.visit_unit(),
            Node::Null => visitor.visit_none(),
            Node::Boolean(b) => visitor.visit_bool(b),
            #[allow(clippy::useless_conversion)] // Luau has smaller ones
            Node::Integer(i) => visitor.visit_i64(i.into()),
            Node::Number(n) => visitor.visit_f64(n),
            #[cfg(feature = "luau")]
            Node::Vector(vector) => visit_vector(vector, visitor),
            Node::String(bytes) => match text(bytes) {
                Ok(text) => visitor.visit_str(text),
                Err(_) => visitor.visit_bytes(bytes),
            },
            Node::Table(place) if place.is_list() => visit_list(place, visitor),
            Node::Table(place) => visit_map(place, visitor),
            Node::UserData(place) => from_userdata!(
                place,
                self.unsupported(place.options().deny_unsupported_types, visitor),
                |contents| contents.deserialize_any(visitor)
            ),
            Node::Other(_, denied) => self.unsupported(denied, visitor),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Node::Nil | Node::Null => visitor.visit_none(),
            node => visitor.visit_some(node),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Node::Null => visitor.visit_unit(),
            node => node.deserialize_any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Node::Table(place) => visit_list(place, visitor),
            #[cfg(feature = "luau")]
            Node::Vector(vector) => visit_vector(vector, visitor),
            Node::UserData(place) => {
                from_userdata!(place, Err(self.not_a_table()), |contents| contents
                    .deserialize_seq(visitor))
            }
            _ => Err(self.not_a_table()),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Node::Table(place) => visit_map(place, visitor),
            Node::UserData(place) => {
                from_userdata!(place, Err(self.not_a_table()), |contents| contents
                    .deserialize_map(visitor))
            }
            _ => Err(self.not_a_table()),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self {
            Node::String(bytes) => visitor.visit_enum(Enum {
                variant: utf8(bytes, "&str")?,
                value: None,
            }),
            Node::Table(place) => visit_enum(place, visitor),
            Node::UserData(place) => {
                from_userdata!(place, Err(bad_enum()), |contents| contents
                    .deserialize_enum(name, variants, visitor))
            }
            _ => Err(bad_enum()),
        }
    }

    ::serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf identifier ignored_any
    }
}

fn visit_list<'de, V: Visitor<'de>>(place: Place, visitor: V) -> Result<V::Value> {
    let open = place.open()?;
    let mut list = List(open.items());
    let value = visitor.visit_seq(&mut list)?;
    match list.0.len_if_unread()? {
        None => Ok(value),
        Some(len) => Err(unread(len)),
    }
}

/// A visitor has left some of the `len` elements.
#[cold]
fn unread(len: usize) -> Error {
    de::Error::invalid_length(len, &"fewer elements in the table")
}

struct List<'w>(Items<'w>);

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.0.next()? {
            Some(node) => seed.deserialize(node).map(Some),
            None => Ok(None),
        }
    }
}

fn visit_map<'de, V: Visitor<'de>>(place: Place, visitor: V) -> Result<V::Value> {
    let open = place.open()?;
    let mut map = Map {
        entries: open.entries(),
        has_value: false,
        read: 0,
    };
    map.entries.sort_if_asked()?;
    let value = visitor.visit_map(&mut map)?;
    match map.entries.len_if_unread(map.read)? {
        None => Ok(value),
        Some(len) => Err(unread(len)),
    }
}

struct Map<'w> {
    entries: Entries<'w>,
    /// The value of the key that was read last is still to be read.
    has_value: bool,
    read: usize,
}

impl<'de> MapAccess<'de> for Map<'_> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.has_value = self.entries.next()?;
        if !self.has_value {
            return Ok(None);
        }
        self.read += 1;
        seed.deserialize(self.entries.key()).map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        if !std::mem::take(&mut self.has_value) {
            return Err(de::Error::custom("value is missing"));
        }
        seed.deserialize(self.entries.value())
    }

    fn size_hint(&self) -> Option<usize> {
        self.entries.size_hint()
    }
}

#[cold]
fn bad_enum() -> Error {
    de::Error::custom("bad enum value")
}

/// A vector is a list of its components.
#[cfg(feature = "luau")]
fn visit_vector<'de, V: Visitor<'de>>(vector: crate::Vector, visitor: V) -> Result<V::Value> {
    let components = vector.components().iter().copied();
    visitor.visit_seq(de::value::SeqDeserializer::new(components))
}

/// A table with one field, the name of a variant with its contents.
fn visit_enum<'de, V: Visitor<'de>>(place: Place, visitor: V) -> Result<V::Value> {
    let open = place.open()?;
    let Some((key, value)) = open.single_entry() else {
        let expected = &"map with a single key";
        return Err(de::Error::invalid_value(Unexpected::Map, expected));
    };
    if place.skips(value) {
        return Err(bad_enum());
    }
    let number;
    let variant = match key {
        Node::String(bytes) => utf8(bytes, "&str")?,
        Node::Integer(i) => {
            number = i.to_string();
            &number
        }
        other => {
            return Err(Error::from_lua_conversion(
                other.type_name(),
                "String",
                "expected string or number".to_owned(),
            ))
        }
    };
    visitor.visit_enum(Enum {
        variant,
        value: Some(value),
    })
}

/// The variant of an enum, with a value if there is one.
struct Enum<'w> {
    variant: &'w str,
    value: Option<Node<'w>>,
}

impl<'de, 'w> EnumAccess<'de> for Enum<'w> {
    type Error = Error;
    type Variant = Variant<'w>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Variant<'w>)> {
        let variant: StrDeserializer<'_, Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, Variant(self.value)))
    }
}

struct Variant<'w>(Option<Node<'w>>);

impl<'w> Variant<'w> {
    fn value(self, expected: &str) -> Result<Node<'w>> {
        self.0
            .ok_or_else(|| de::Error::invalid_type(Unexpected::UnitVariant, &expected))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(_) => {
                let unexpected = Unexpected::NewtypeVariant;
                Err(de::Error::invalid_type(unexpected, &"unit variant"))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.value("newtype variant")?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        de::Deserializer::deserialize_seq(self.value("tuple variant")?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        de::Deserializer::deserialize_map(self.value("struct variant")?, visitor)
    }
}
