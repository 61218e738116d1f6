//! [`LuaOptions`].

/// How an instance behaves.
///
/// # Examples
///
/// ```
/// use mlua::{Lua, LuaOptions, StdLib};
///
/// # fn main() -> mlua::Result<()> {
/// let options = LuaOptions::new().catch_rust_panics(false);
/// let lua = Lua::new_with(StdLib::ALL_SAFE, options)?;
/// # drop(lua);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LuaOptions {
    /// Whether `pcall` and `xpcall` catch Rust panics like errors. If not, a panic passes them and goes on in the Rust code
    /// that called into Lua. Default: true.
    ///
    /// A panic that is caught and then handed to Rust, as an error or as a value, goes on there in any case.
    pub catch_rust_panics: bool,
    /// How many finished coroutines are kept for async calls to use again, if that is more than the 256 that are kept
    /// anyway. Default: 0.
    pub thread_pool_size: usize,
}

impl LuaOptions {
    /// The default options.
    pub const fn new() -> Self {
        LuaOptions {
            catch_rust_panics: true,
            thread_pool_size: 0,
        }
    }

    /// Sets [`LuaOptions::catch_rust_panics`].
    #[must_use]
    pub const fn catch_rust_panics(mut self, enabled: bool) -> Self {
        self.catch_rust_panics = enabled;
        self
    }

    /// Sets [`LuaOptions::thread_pool_size`].
    #[must_use]
    pub const fn thread_pool_size(mut self, size: usize) -> Self {
        self.thread_pool_size = size;
        self
    }
}

impl Default for LuaOptions {
    fn default() -> Self {
        LuaOptions::new()
    }
}
