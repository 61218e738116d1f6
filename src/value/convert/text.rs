//! Strings of the standard library and of `bstr`.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::os::raw::c_int;
use std::str;

use bstr::{BStr, BString};

use super::{mismatch, through_stack, through_value};
use crate::call::{push_bytes, push_key};
use crate::engine;
use crate::error::Result;
use crate::handle::slots::Slot;
use crate::value::{FromLua, IntoLua, Value};
use crate::{Lua, String};

/// The bytes of the value at `idx` if it is a string; a number is none.
///
/// # Safety
///
/// `state` is a running state with a value at `idx`, where it stays for as long as the bytes are looked at.
#[inline]
pub(crate) unsafe fn bytes_at<'a>(state: *mut engine::lua_State, idx: c_int) -> Option<&'a [u8]> {
    // SAFETY: on a string, `lua_tolstring` is a plain read.
    unsafe {
        if engine::lua_type(state, idx) != engine::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let data = engine::lua_tolstring(state, idx, &mut len);
        Some(std::slice::from_raw_parts(data as *const u8, len))
    }
}

/// As `str::from_utf8`, and faster for short texts in ASCII, which is what most Lua strings are.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> std::result::Result<&str, str::Utf8Error> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(bytes) });
    }
    str::from_utf8(bytes)
}

/// `bytes` as text, with the error of a conversion to the type `to`.
pub(crate) fn utf8<'a>(bytes: &'a [u8], to: &'static str) -> Result<&'a str> {
    text(bytes).map_err(|error| mismatch("string", to, error.to_string()))
}

/// The string that `value` is or that Lua makes of a number.
fn coerced<'lua>(value: Value<'lua>, lua: &'lua Lua, to: &'static str) -> Result<String<'lua>> {
    let from = value.type_name();
    let string = lua.coerce_string(value)?;
    string.ok_or_else(|| mismatch(from, to, "expected string or number"))
}

impl<'lua> FromLua<'lua> for String<'lua> {
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        match value {
            Value::String(string) => Ok(string),
            other => coerced(other, lua, "string"),
        }
    }

    #[inline]
    unsafe fn from_stack(idx: c_int, lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on.
        unsafe {
            if engine::lua_type(lua.state(), idx) == engine::LUA_TSTRING {
                return crate::handle::proxy::Ref::at(lua, idx).map(String);
            }
            through_value(idx, lua)
        }
    }

    #[inline]
    unsafe fn pop_from_stack(lua: &'lua Lua) -> Result<Self> {
        // SAFETY: passed on; a value of another type is popped all the same.
        unsafe {
            if engine::lua_type(lua.state(), -1) == engine::LUA_TSTRING {
                return crate::handle::proxy::Ref::pop(lua).map(String);
            }
            let _held = crate::stack::Held::adopt(lua.state(), 1);
            through_value(-1, lua)
        }
    }
}

macro_rules! from_lua {
    ($($Type:ty, $name:literal, |$bytes:ident, $to:ident| $convert:expr;)*) => {$(
        impl FromLua<'_> for $Type {
            fn from_lua(value: Value<'_>, lua: &Lua) -> Result<Self> {
                let string = coerced(value, lua, $name)?;
                let ($bytes, $to) = (string.as_bytes(), "&str");
                $convert
            }

            const READS_PLAIN: bool = true;

            #[inline]
            unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
                // SAFETY: as below.
                let $bytes = unsafe { bytes_at(state, idx)? };
                let $to = $name;
                let converted: Result<Self> = $convert;
                converted.ok()
            }

            #[inline]
            unsafe fn from_stack(idx: c_int, lua: &Lua) -> Result<Self> {
                // SAFETY: the bytes are copied while the string is on the stack.
                unsafe {
                    match bytes_at(lua.state(), idx) {
                        Some($bytes) => {
                            let $to = $name;
                            $convert
                        }
                        None => through_value(idx, lua),
                    }
                }
            }
        }
    )*};
}

from_lua! {
    std::string::String, "String", |bytes, to| utf8(bytes, to).map(str::to_owned);
    Box<str>, "Box<str>", |bytes, _to| utf8(bytes, "&str").map(Into::into);
    BString, "BString", |bytes, _to| Ok(BString::from(bytes));
    CString, "CString", |bytes, _to| {
        CString::new(bytes).map_err(|_| mismatch("string", "CString", "invalid C-style string"))
    };
}

macro_rules! into_lua {
    ($($Type:ty, |$this:ident| $bytes:expr;)*) => {$(
        impl IntoLua<'_> for $Type {
            fn into_lua(self, lua: &Lua) -> Result<Value<'_>> {
                through_stack(self, lua)
            }

            #[inline]
            unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
                let ($this, inner) = (&self, lua.inner());
                // SAFETY: passed on.
                unsafe { push_bytes(inner, inner.state(), $bytes) }
            }
        }
    )*};
}

/// What is borrowed may be a literal, and come again: see `Keys`.
impl IntoLua<'_> for &str {
    fn into_lua(self, lua: &Lua) -> Result<Value<'_>> {
        through_stack(self, lua)
    }

    #[inline(always)]
    fn to_lua_slot(&self, lua: &Lua) -> Option<Slot> {
        lua.inner().keys.find(self.as_bytes())
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
        let inner = lua.inner();
        // SAFETY: passed on.
        unsafe { push_key(inner, inner.state(), self.as_bytes()) }
    }
}

into_lua! {
    std::string::String, |this| this.as_bytes();
    Box<str>, |this| this.as_bytes();
    Cow<'_, str>, |this| this.as_bytes();
    &CStr, |this| this.to_bytes();
    CString, |this| this.to_bytes();
    Cow<'_, CStr>, |this| this.to_bytes();
    &BStr, |this| this;
    BString, |this| this;
}
