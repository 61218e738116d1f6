//! [`String`].

use std::borrow::{Borrow, Cow};
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::os::raw::c_void;

use crate::call::push_bytes;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::value::convert::utf8;
use crate::Lua;

/// A Lua string: bytes that never change, of which nobody says that they are UTF-8.
///
/// Two strings are equal, and hash alike, if their bytes are. Both work with byte slices too.
#[derive(Clone)]
pub struct String<'lua>(pub(crate) Ref<'lua>);

impl String<'_> {
    /// The text.
    ///
    /// # Errors
    ///
    /// The bytes are not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// assert_eq!(lua.create_string("text")?.to_str()?, "text");
    /// assert!(lua.create_string(b"\xff")?.to_str().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_str(&self) -> Result<&str> {
        utf8(self.as_bytes(), "&str")
    }

    /// The text, with `U+FFFD` for what is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// assert_eq!(lua.create_string(b"a\xff")?.to_string_lossy(), "a\u{fffd}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        std::string::String::from_utf8_lossy(self.as_bytes())
    }

    /// The bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// assert_eq!(lua.create_string(b"a\0\xff")?.as_bytes(), b"a\0\xff");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let bytes = self.as_bytes_with_nul();
        &bytes[..bytes.len() - 1]
    }

    /// The bytes and the zero that Lua keeps after them.
    pub fn as_bytes_with_nul(&self) -> &[u8] {
        // SAFETY: on a string, `lua_tolstring` is a plain read. Lua neither moves nor changes the bytes, and ends them with a
        // zero; `self` keeps the string for as long as it is borrowed.
        unsafe {
            let (thread, index) = self.0.peek();
            let mut len = 0;
            let data = engine::lua_tolstring(thread, index, &mut len);
            std::slice::from_raw_parts(data as *const u8, len + 1)
        }
    }

    /// The address that identifies the string, for hashing and for logs. Equal strings may have different ones.
    #[inline]
    pub fn to_pointer(&self) -> *const c_void {
        self.0.to_pointer()
    }
}

impl Lua {
    /// Makes a Lua string of these bytes.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// assert_eq!(lua.create_string("text")?, "text");
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_string(&self, s: impl AsRef<[u8]>) -> Result<String<'_>> {
        let entered = self.try_enter()?;
        // SAFETY: a fixed number of places is taken.
        unsafe {
            push_bytes(self.inner(), entered.state, s.as_ref())?;
            Ok(String(Ref::pop(self)?))
        }
    }
}

impl fmt::Debug for String<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(text) = self.to_str() {
            return fmt::Debug::fmt(text, f);
        }
        f.write_str("b\"")?;
        for &byte in self.as_bytes() {
            match byte {
                b'\0' => f.write_str("\\0")?,
                b'\'' => f.write_char('\'')?,
                _ => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        f.write_str("\"")
    }
}

impl AsRef<[u8]> for String<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for String<'_> {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for String<'_> {
    fn eq(&self, other: &T) -> bool {
        self.as_bytes() == other.as_ref()
    }
}

impl Eq for String<'_> {}

impl Hash for String<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state)
    }
}
