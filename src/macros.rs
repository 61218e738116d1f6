//! The macros, which come from `mlua_derive`.

/// Lua code inside Rust code, for [`Lua::load`](crate::Lua::load).
///
/// `$name` in it is the Rust variable of that name, which the chunk takes by value. Each run of the chunk sees the globals
/// of the instance and, in front of them, these variables.
///
/// The code has to be made of tokens that Rust has too. So strings are written with double quotes, a comment is Rust's, and
/// `//` (the division) cannot be written.
///
/// # Examples
///
/// ```
/// use mlua::{chunk, Lua, Result};
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let name = "Rustacean";
/// let greeting: String = lua
///     .load(chunk! {
///         local greeting = "hello, " .. $name
///         return greeting
///     })
///     .eval()?;
/// assert_eq!(greeting, "hello, Rustacean");
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "macros")]
pub use mlua_derive::chunk;

/// Makes a `Clone + 'static` type a [trait@FromLua](crate::FromLua): a clone of what a userdata of this type holds.
///
/// # Examples
///
/// ```
/// use mlua::{FromLua, Lua, Result, UserData};
///
/// #[derive(Clone, FromLua)]
/// struct Point {
///     x: i64,
/// }
///
/// impl UserData for Point {}
///
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let x = lua.create_function(|_, point: Point| Ok(point.x))?;
/// assert_eq!(x.call::<_, i64>(Point { x: 5 })?, 5);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "macros")]
pub use mlua_derive::FromLua;

/// Makes a function the body of a Lua module: `require` calls it, and gets what it returns.
///
/// The function takes a `&Lua` and returns a [`Result`](crate::Result) of anything that is [`IntoLua`](crate::IntoLua),
/// most often a table. The library is built as a `cdylib`. The name of the function is the name of the module, unless
/// `#[lua_module(name = "…")]` gives another one. With `#[lua_module(skip_memory_check)]`, small allocations inside Lua are
/// taken not to fail, which is faster: only for hosts that end the process when they have no memory.
///
/// # Examples
///
/// ```
/// use mlua::{Lua, Result, Table};
///
/// #[mlua::lua_module]
/// fn geometry(lua: &Lua) -> Result<Table<'_>> {
///     let exports = lua.create_table()?;
///     let area = lua.create_function(|_, (width, height): (f64, f64)| Ok(width * height))?;
///     exports.set("area", area)?;
///     Ok(exports)
/// }
/// ```
#[cfg(feature = "module")]
pub use mlua_derive::lua_module;

/// What [`macro@lua_module`] expands to first.
#[cfg(feature = "module")]
#[doc(hidden)]
#[macro_export]
macro_rules! require_module_feature {
    () => {};
}

#[cfg(not(feature = "module"))]
#[doc(hidden)]
#[macro_export]
macro_rules! require_module_feature {
    () => {
        compile_error!("a Lua module needs the feature `module` of `mlua`");
    };
}
