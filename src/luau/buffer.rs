//! Buffers: blocks of bytes, which the library `buffer` works on.

use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::userdata::AnyUserData;
use crate::value::Value;
use crate::Lua;

impl Lua {
    /// Makes a buffer of Luau's with these bytes in it.
    ///
    /// To Rust it is a userdata without a Rust value.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryError`](crate::Error::MemoryError); Luau has a limit for the size of a buffer, too.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let buffer = lua.create_buffer(b"hello")?;
    /// let text: String = lua.load("return buffer.tostring(...)").call(buffer)?;
    /// assert_eq!(text, "hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_buffer<'lua>(&'lua self, bytes: impl AsRef<[u8]>) -> Result<AnyUserData<'lua>> {
        let entered = self.try_enter()?;
        let bytes = bytes.as_ref();
        let len = bytes.len();
        // SAFETY: the buffer that is made has room for all bytes; `pop` takes it.
        unsafe {
            let data = protect(entered.state, 0, 1, |state| {
                engine::lua_newbuffer(state, len)
            })?;
            (data as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), len);
            Ref::pop(self).map(|buffer| AnyUserData(buffer.foreign()))
        }
    }
}

impl Value<'_> {
    /// Whether this is a buffer.
    #[doc(hidden)]
    pub fn is_buffer(&self) -> bool {
        matches!(self, Value::UserData(userdata) if userdata.0.is_foreign())
    }
}
