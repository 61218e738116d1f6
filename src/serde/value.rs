//! Lua values as something to serialise.

use ::serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::de::{walk_value, Options};
use super::walk::{self, borrow_for, Node, Place, Refused};
use crate::userdata::cell;
use crate::value::convert::text::text;
use crate::{AnyUserData, String, Table, Value};

/// A [`Value`] with the options for serialising it: see [`Value::to_serializable`].
#[doc(hidden)]
pub struct SerializableValue<'a> {
    value: &'a Value<'a>,
    options: Options,
}

impl Value<'_> {
    /// Lends the value with options for serialising it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, Value};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let value: Value = lua.load("{ b = 1, a = 2, f = print }").eval()?;
    /// let sorted = value.to_serializable().sort_keys(true).deny_unsupported_types(false);
    /// assert_eq!(serde_json::to_string(&sorted).unwrap(), r#"{"a":2,"b":1}"#);
    /// # Ok(())
    /// # }
    /// ```
    #[doc(hidden)]
    pub fn to_serializable(&self) -> SerializableValue<'_> {
        SerializableValue {
            value: self,
            options: Options::new(),
        }
    }
}

impl SerializableValue<'_> {
    /// As [`Options::deny_unsupported_types`].
    #[must_use]
    pub const fn deny_unsupported_types(mut self, enabled: bool) -> Self {
        self.options.deny_unsupported_types = enabled;
        self
    }

    /// As [`Options::deny_recursive_tables`].
    #[must_use]
    pub const fn deny_recursive_tables(mut self, enabled: bool) -> Self {
        self.options.deny_recursive_tables = enabled;
        self
    }

    /// As [`Options::sort_keys`].
    #[must_use]
    pub const fn sort_keys(mut self, enabled: bool) -> Self {
        self.options.sort_keys = enabled;
        self
    }
}

impl Serialize for SerializableValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        walk_value(self.value, self.options, |node| node.serialize(serializer))
            .map_err(S::Error::custom)?
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_serializable().serialize(serializer)
    }
}

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        walk::walk(&self.0, Options::new(), |node| node.serialize(serializer))
            .map_err(S::Error::custom)?
    }
}

impl Serialize for String<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(self.as_bytes(), serializer)
    }
}

impl Serialize for AnyUserData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let found = self.find().map_err(S::Error::custom)?;
        // SAFETY: `find` has found a cell, and `self` keeps it.
        unsafe {
            let Some(lend) = cell::lend(found.userdata) else {
                return unsupported("userdata");
            };
            borrow_for(lend, found.userdata, |value| {
                erased_serde::serialize(value, serializer)
            })
            .map_err(S::Error::custom)?
        }
    }
}

fn serialize_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match text(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.serialize_bytes(bytes),
    }
}

#[cold]
fn unsupported<T, E: ::serde::ser::Error>(type_name: &str) -> Result<T, E> {
    Err(E::custom(format_args!("cannot serialize <{type_name}>")))
}

fn refused<E: ::serde::ser::Error>(refused: Refused) -> E {
    E::custom(refused.0)
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Node::Nil => serializer.serialize_unit(),
            Node::Null => serializer.serialize_none(),
            Node::Boolean(b) => serializer.serialize_bool(b),
            #[allow(clippy::useless_conversion)] // Luau has smaller ones
            Node::Integer(i) => serializer.serialize_i64(i.into()),
            Node::Number(n) => serializer.serialize_f64(n),
            #[cfg(feature = "luau")]
            Node::Vector(vector) => vector.serialize(serializer),
            Node::String(bytes) => serialize_bytes(bytes, serializer),
            Node::Table(place) if place.is_list() => serialize_list(place, serializer),
            Node::Table(place) => serialize_map(place, serializer),
            Node::UserData(place) if place.is_serializable() => {
                let done = place.with_value(|value| erased_serde::serialize(value, serializer));
                let done = done.expect("the userdata can be serialised");
                done.map_err(S::Error::custom)?
            }
            Node::UserData(place) if place.options().deny_unsupported_types => {
                unsupported("userdata")
            }
            Node::Other(name, true) => unsupported(name),
            Node::UserData(_) | Node::Other(..) => serializer.serialize_unit(),
        }
    }
}

fn serialize_list<S: Serializer>(place: Place, serializer: S) -> Result<S::Ok, S::Error> {
    let open = place.open().map_err(refused)?;
    let mut items = open.items_by_len();
    let mut list = serializer.serialize_seq(items.size_hint())?;
    while let Some(node) = items.next().map_err(refused)? {
        list.serialize_element(&node)?;
    }
    list.end()
}

fn serialize_map<S: Serializer>(place: Place, serializer: S) -> Result<S::Ok, S::Error> {
    let open = place.open().map_err(refused)?;
    let mut map = serializer.serialize_map(None)?;
    let mut entries = open.entries();
    entries.sort_if_asked().map_err(refused)?;
    while entries.next().map_err(refused)? {
        map.serialize_entry(&entries.key(), &entries.value())?;
    }
    map.end()
}
