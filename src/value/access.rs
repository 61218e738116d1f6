//! What a [`Value`] is.

use std::borrow::Cow;
use std::os::raw::c_void;
use std::ptr;

use num_traits::cast;

use super::{LightUserData, Value};
#[cfg(feature = "luajit")]
use crate::engine;
use crate::handle::proxy::Ref;
use crate::{AnyUserData, Function, Integer, Number, String, Table, Thread};

macro_rules! as_variant {
    ($($(#[$doc:meta])* $name:ident, $Variant:ident, $Proxy:ident;)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&self) -> Option<&$Proxy<'_>> {
            match self {
                Value::$Variant(value) => Some(value),
                _ => None,
            }
        }
    )*};
}

macro_rules! is_variant {
    ($($(#[$doc:meta])* $name:ident => $pattern:pat,)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(&self) -> bool {
            matches!(self, $pattern)
        }
    )*};
}

macro_rules! as_number {
    ($($name:ident, $Variant:ident, $kind:literal, $type:ty;)*) => {$(
        #[doc = concat!("The ", $kind, " as `", stringify!($type), "`; `None` for other values")]
        #[doc = "and for one that does not fit."]
        #[inline]
        pub fn $name(&self) -> Option<$type> {
            match self {
                Value::$Variant(number) => cast(*number),
                _ => None,
            }
        }
    )*};
}

impl<'lua> Value<'lua> {
    /// A light userdata with the null address, which stands for "null" where nil would be no value at all, such as in a
    /// table.
    pub const NULL: Value<'static> = Value::LightUserData(LightUserData(ptr::null_mut()));

    /// The name of the value's type: that of Lua, but `"integer"`, `"number"`, `"lightuserdata"` and `"error"` are told
    /// apart. Luau has `"vector"` and `"buffer"` as well, LuaJIT `"cdata"`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Boolean(_) => "boolean",
            Value::LightUserData(_) => "lightuserdata",
            Value::Integer(_) => "integer",
            Value::Number(_) => "number",
            #[cfg(feature = "luau")]
            Value::Vector(_) => "vector",
            Value::String(_) => "string",
            Value::Table(_) => "table",
            Value::Function(_) => "function",
            Value::Thread(_) => "thread",
            #[cfg(feature = "luau")]
            Value::UserData(userdata) if userdata.0.is_foreign() => "buffer",
            #[cfg(feature = "luajit")]
            Value::UserData(userdata) if userdata.0.is_foreign() => "cdata",
            Value::UserData(_) => "userdata",
            Value::Error(_) => "error",
        }
    }

    /// The address that identifies the value, for strings, tables, functions, coroutines and userdata of both kinds; null
    /// for all others. Good for hashing and for logs; there is no way back to the value.
    pub fn to_pointer(&self) -> *const c_void {
        match self {
            Value::LightUserData(address) => address.0,
            other => other.reference().map_or(ptr::null(), Ref::to_pointer),
        }
    }

    /// The reference inside, if there is one.
    pub(super) fn reference(&self) -> Option<&Ref<'lua>> {
        match self {
            Value::String(String(reference))
            | Value::Table(Table(reference))
            | Value::Function(Function(reference))
            | Value::Thread(Thread(reference))
            | Value::UserData(AnyUserData(reference)) => Some(reference),
            _ => None,
        }
    }

    is_variant! {
        /// Whether this is `nil`.
        is_nil => Value::Nil,
        /// Whether this is a boolean.
        is_boolean => Value::Boolean(_),
        /// Whether this is a light userdata, [`Value::NULL`] included.
        is_light_userdata => Value::LightUserData(_),
        /// Whether this is a number with an integer as value.
        is_integer => Value::Integer(_),
        /// Whether this is a floating-point number.
        is_number => Value::Number(_),
        /// Whether this is a string.
        is_string => Value::String(_),
        /// Whether this is a table.
        is_table => Value::Table(_),
        /// Whether this is a function.
        is_function => Value::Function(_),
        /// Whether this is a coroutine.
        is_thread => Value::Thread(_),
        /// Whether this is a userdata; a light one is none.
        is_userdata => Value::UserData(_),
    }

    /// Whether this is [`Value::NULL`].
    #[inline]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::LightUserData(address) if address.0.is_null())
    }

    /// Whether this is an object of LuaJIT's library `ffi`. Such a value is a [`Value::UserData`] that has no Rust value.
    #[cfg(feature = "luajit")]
    #[doc(hidden)]
    pub fn is_cdata(&self) -> bool {
        let Value::UserData(AnyUserData(reference)) = self else {
            return false;
        };
        if reference.lua().inner().state_or_null().is_null() {
            return false;
        }
        // SAFETY: a plain read.
        unsafe {
            let (thread, index) = reference.peek();
            engine::lua_type(thread, index) == engine::LUA_TCDATA
        }
    }

    /// The boolean, if this is one.
    #[inline]
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(b) => Some(*b),
            _ => None,
        }
    }

    /// The address, if this is a light userdata.
    #[inline]
    pub fn as_light_userdata(&self) -> Option<LightUserData> {
        match self {
            Value::LightUserData(address) => Some(*address),
            _ => None,
        }
    }

    /// The integer, if this is a number with an integer as value.
    #[inline]
    pub fn as_integer(&self) -> Option<Integer> {
        match self {
            Value::Integer(i) => Some(*i),
            _ => None,
        }
    }

    /// The number, if this is a floating-point one.
    #[inline]
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }

    as_number! {
        as_i32, Integer, "integer", i32;
        as_u32, Integer, "integer", u32;
        as_i64, Integer, "integer", i64;
        as_u64, Integer, "integer", u64;
        as_isize, Integer, "integer", isize;
        as_usize, Integer, "integer", usize;
        as_f32, Number, "floating-point number", f32;
        as_f64, Number, "floating-point number", f64;
    }

    as_variant! {
        /// The string, if this is one.
        as_string, String, String;
        /// The table, if this is one.
        as_table, Table, Table;
        /// The function, if this is one.
        as_function, Function, Function;
        /// The coroutine, if this is one.
        as_thread, Thread, Thread;
        /// The userdata, if this is one.
        as_userdata, UserData, AnyUserData;
    }

    /// The text, if this is a string and valid UTF-8.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        self.as_string()?.to_str().ok()
    }

    /// The text, if this is a string; what is not UTF-8 is replaced by `U+FFFD`.
    #[inline]
    pub fn as_string_lossy(&self) -> Option<Cow<'_, str>> {
        Some(self.as_string()?.to_string_lossy())
    }
}
