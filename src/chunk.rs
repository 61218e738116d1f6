//! [`Chunk`]: code on its way into Lua.

use std::borrow::Cow;
#[cfg(not(feature = "luau"))]
use std::ffi::CStr;
use std::ffi::CString;
use std::io;
#[cfg(not(feature = "luau"))]
use std::os::raw::c_char;
use std::panic::Location;
use std::path::{Path, PathBuf};

#[cfg(not(feature = "luau"))]
use crate::call::{failure::pop_error, protect::protect};
#[cfg(not(feature = "luau"))]
use crate::engine;
use crate::error::{Error, ErrorContext, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
#[cfg(feature = "luau")]
use crate::luau::Compiler;
#[cfg(not(feature = "luau"))]
use crate::stack::Held;
use crate::state::Entered;
use crate::table::Table;
use crate::value::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti};
use crate::Lua;

/// A type that holds code for Lua: text, a binary chunk, the path of a file.
///
/// [`Lua::load`] takes anything of this kind. Besides the code itself a type may know a name for it, an environment to run
/// it in, and whether it is text or binary.
pub trait AsChunk<'lua, 'a> {
    /// The code.
    ///
    /// # Errors
    ///
    /// An error is kept in the chunk, and returned when the chunk is run.
    fn source(self) -> io::Result<Cow<'a, [u8]>>;

    /// The name of the chunk in messages of errors, in Lua's notation: a file name follows `@`, any other name `=`, and
    /// the code itself stands for itself.
    fn name(&self) -> Option<String> {
        None
    }

    /// The table where the chunk looks for global variables.
    ///
    /// # Errors
    ///
    /// An error is kept in the chunk, and returned when the chunk is run.
    fn environment(&self, lua: &'lua Lua) -> Result<Option<Table<'lua>>> {
        let _ = lua;
        Ok(None)
    }

    /// Whether the code is text or binary. `None` leaves it to the code.
    fn mode(&self) -> Option<ChunkMode> {
        None
    }
}

impl<'a> AsChunk<'_, 'a> for &'a str {
    fn source(self) -> io::Result<Cow<'a, [u8]>> {
        Ok(Cow::Borrowed(self.as_bytes()))
    }
}

impl AsChunk<'_, 'static> for String {
    fn source(self) -> io::Result<Cow<'static, [u8]>> {
        Ok(Cow::Owned(self.into_bytes()))
    }
}

impl<'a> AsChunk<'_, 'a> for &'a String {
    fn source(self) -> io::Result<Cow<'a, [u8]>> {
        Ok(Cow::Borrowed(self.as_bytes()))
    }
}

impl<'a> AsChunk<'_, 'a> for &'a [u8] {
    fn source(self) -> io::Result<Cow<'a, [u8]>> {
        Ok(Cow::Borrowed(self))
    }
}

impl AsChunk<'_, 'static> for Vec<u8> {
    fn source(self) -> io::Result<Cow<'static, [u8]>> {
        Ok(Cow::Owned(self))
    }
}

impl<'a> AsChunk<'_, 'a> for &'a Vec<u8> {
    fn source(self) -> io::Result<Cow<'a, [u8]>> {
        Ok(Cow::Borrowed(self))
    }
}

impl AsChunk<'_, 'static> for &Path {
    fn name(&self) -> Option<String> {
        Some(format!("@{}", self.display()))
    }

    fn source(self) -> io::Result<Cow<'static, [u8]>> {
        std::fs::read(self).map(Cow::Owned)
    }
}

impl AsChunk<'_, 'static> for PathBuf {
    fn name(&self) -> Option<String> {
        Some(format!("@{}", self.display()))
    }

    fn source(self) -> io::Result<Cow<'static, [u8]>> {
        std::fs::read(self).map(Cow::Owned)
    }
}

/// Whether a chunk is text or binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkMode {
    /// Lua source code.
    Text,
    #[cfg_attr(not(feature = "luau"), doc = "What [`Function::dump`] returns.")]
    #[cfg_attr(
        feature = "luau",
        doc = "What [`Compiler::compile`](crate::Compiler::compile) returns."
    )]
    Binary,
}

/// Code that [`Lua::load`] has taken and that waits to be run.
///
/// Whatever is wrong with the code, its name or its environment is reported when it is run.
#[must_use = "a chunk does nothing until it is run: see `exec`, `eval`, `call` and `into_function`"]
pub struct Chunk<'lua, 'a> {
    lua: &'lua Lua,
    /// Keeps the instance open.
    _entered: Entered<'lua>,
    name: String,
    env: Result<Option<Table<'lua>>>,
    mode: Option<ChunkMode>,
    #[cfg(feature = "luau")]
    compiler: Option<Compiler>,
    source: io::Result<Cow<'a, [u8]>>,
}

impl Lua {
    /// Takes code to be run: text, a binary chunk, or the [`Path`] of a file.
    ///
    /// The name of the chunk is the place of this call in the Rust source, unless the code comes with a name or
    /// [`Chunk::set_name`] gives one.
    ///
    /// # Panics
    ///
    /// Panics if the instance is destroyed. What is wrong with the code is reported when it is run.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.load("answer = 6 * 7").exec()?;
    /// assert_eq!(lua.load("answer").eval::<i64>()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn load<'lua, 'a>(&'lua self, chunk: impl AsChunk<'lua, 'a>) -> Chunk<'lua, 'a> {
        let entered = self.enter();
        let caller = Location::caller();
        Chunk {
            lua: self,
            _entered: entered,
            name: chunk.name().unwrap_or_else(|| caller.to_string()),
            env: chunk.environment(self),
            mode: chunk.mode(),
            #[cfg(feature = "luau")]
            compiler: None,
            source: chunk.source(),
        }
    }
}

impl<'lua, 'a> Chunk<'lua, 'a> {
    /// Names the chunk, for messages of errors, in Lua's notation: a file name follows `@`, any other name `=`, and the
    /// code itself stands for itself.
    ///
    /// A name with a nul byte in it is an error when the chunk is run.
    pub fn set_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the table where the chunk looks for global variables, the standard library among them.
    ///
    /// Anything but a table (or nil, for the environment that there is without this call) is an error when the chunk is
    /// run.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let env = lua.create_table()?;
    /// env.set("x", 7)?;
    /// assert_eq!(lua.load("x").set_environment(env).eval::<i64>()?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_environment<V: IntoLua<'lua>>(mut self, env: V) -> Self {
        let env = env
            .into_lua(self.lua)
            .and_then(|env| FromLua::from_lua(env, self.lua));
        self.env = env.context("bad environment value");
        self
    }

    /// Sets whether the chunk is text or binary. Otherwise both are taken for what they are.
    ///
    /// Lua does not check binary chunks: a crafted one can break memory safety. So take code that is not trusted as
    /// [`ChunkMode::Text`].
    pub fn set_mode(mut self, mode: ChunkMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets what the chunk is compiled with, in place of the compiler of the instance ([`Lua::set_compiler`]).
    #[cfg(feature = "luau")]
    pub fn set_compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Runs the chunk without arguments and ignores its results.
    ///
    /// # Errors
    ///
    /// As [`Chunk::call`].
    pub fn exec(self) -> Result<()> {
        self.call(())
    }

    /// Evaluates the chunk as an expression if it is one, or runs it as a block, and returns its results.
    ///
    /// # Errors
    ///
    /// As [`Chunk::call`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// assert_eq!(lua.load("1 + 2").eval::<i64>()?, 3);
    /// assert_eq!(lua.load("local x = 1; return x + 2").eval::<i64>()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn eval<R: FromLuaMulti<'lua>>(self) -> Result<R> {
        match self.expression()? {
            Some(expression) => expression.call(()),
            None => self.call(()),
        }
    }

    /// Runs the chunk with `args`, which it finds in `...`, and returns its results.
    ///
    /// # Errors
    ///
    /// Fails with [`Error::SyntaxError`] if the code does not parse, with [`Error::ExternalError`] around an
    /// [`io::Error`] if it could not be read, and as [`Function::call`] does when the code runs.
    pub fn call<A: IntoLuaMulti<'lua>, R: FromLuaMulti<'lua>>(self, args: A) -> Result<R> {
        self.into_function()?.call(args)
    }

    /// As [`Chunk::exec`], in a coroutine: see [`Function::call_async`].
    ///
    /// # Errors
    ///
    /// As [`Chunk::call`].
    #[cfg(feature = "async")]
    pub async fn exec_async(self) -> Result<()> {
        self.call_async(()).await
    }

    /// As [`Chunk::eval`], in a coroutine: see [`Function::call_async`].
    ///
    /// # Errors
    ///
    /// As [`Chunk::call`].
    #[cfg(feature = "async")]
    pub async fn eval_async<R>(self) -> Result<R>
    where
        R: FromLuaMulti<'lua> + 'lua,
    {
        match self.expression()? {
            Some(expression) => expression.call_async(()).await,
            None => self.call_async(()).await,
        }
    }

    /// As [`Chunk::call`], in a coroutine: see [`Function::call_async`].
    ///
    /// # Errors
    ///
    /// As [`Chunk::call`].
    #[cfg(feature = "async")]
    pub async fn call_async<A, R>(self, args: A) -> Result<R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        self.into_function()?.call_async(args).await
    }

    /// Loads the chunk as a function, which runs it when called.
    ///
    /// # Errors
    ///
    /// As [`Chunk::call`], without running anything.
    pub fn into_function(self) -> Result<Function<'lua>> {
        let env = self.env.as_ref().map_err(Error::clone)?.as_ref();
        let error = match &self.source {
            Ok(source) => return self.load(source, env),
            Err(_) => self.source.err(),
        };
        Err(Error::external(
            error.expect("the source could not be read"),
        ))
    }

    /// The chunk as a function that returns its value, if it is an expression.
    fn expression(&self) -> Result<Option<Function<'lua>>> {
        let (Ok(env), Ok(source)) = (&self.env, &self.source) else {
            return Ok(None);
        };
        if self.mode == Some(ChunkMode::Binary) || is_binary(source) {
            return Ok(None);
        }
        let source = [b"return ", source.as_ref()].concat();
        match self.load(&source, env.as_ref()) {
            Ok(function) => Ok(Some(function)),
            Err(Error::SyntaxError { .. }) => Ok(None),
            // It may be an expression all the same, and to run it as a block is something else.
            Err(error) => Err(error),
        }
    }

    /// Loads `source` in place of the chunk's own.
    fn load(&self, source: &[u8], env: Option<&Table>) -> Result<Function<'lua>> {
        let name = CString::new(self.name.as_str())
            .map_err(|error| Error::runtime(format_args!("invalid name: {error}")))?;
        #[cfg(feature = "luau")]
        // SAFETY: few values are pushed. `pop` takes the function.
        unsafe {
            let compiler = self.compiler.as_ref();
            crate::luau::load::push_chunk(self.lua, source, &name, self.mode, env, compiler)?;
            Ref::pop(self.lua).map(Function)
        }
        #[cfg(not(feature = "luau"))]
        load(self.lua, source, &name, self.mode, env)
    }
}

#[cfg(not(feature = "luau"))]
fn is_binary(source: &[u8]) -> bool {
    source.starts_with(engine::LUA_SIGNATURE)
}
#[cfg(feature = "luau")]
use crate::luau::load::is_bytecode as is_binary;

#[cfg(not(feature = "luau"))]
fn load<'lua>(
    lua: &'lua Lua,
    source: &[u8],
    name: &CStr,
    mode: Option<ChunkMode>,
    env: Option<&Table>,
) -> Result<Function<'lua>> {
    let state = lua.state();
    // SAFETY: few values are pushed, and all are held. `pop` takes the function.
    unsafe {
        let status = if engine::LOADING_RAISES {
            let source = source as *const [u8];
            let name = name as *const CStr;
            protect(state, 0, 1, |state| {
                load_buffer(state, &*source, &*name, mode)
            })?
        } else {
            load_buffer(state, source, name, mode)
        };
        if status != engine::LUA_OK {
            return Err(pop_error(state, status));
        }
        let mut held = Held::adopt(state, 1);
        if let Some(env) = env {
            env.0.push_to(lua)?;
            engine::set_chunk_environment(state);
        }
        held.release(1);
        Ref::pop(lua).map(Function)
    }
}

#[cfg(not(feature = "luau"))]
/// Pushes the function that `source` is, or an error object: see the status that it returns.
///
/// # Safety
///
/// `state` is a running state with room for a value.
unsafe fn load_buffer(
    state: *mut engine::lua_State,
    source: &[u8],
    name: &CStr,
    mode: Option<ChunkMode>,
) -> std::os::raw::c_int {
    let mode = match mode {
        Some(ChunkMode::Text) => c"t",
        Some(ChunkMode::Binary) => c"b",
        None => c"bt",
    };
    // SAFETY: `lua_load` parses in a protected call of its own, and all else in here is plain reads and writes; so it
    // reports errors by its status alone. Where it is not so, the caller runs protected.
    unsafe {
        engine::luaL_loadbufferx(
            state,
            source.as_ptr() as *const c_char,
            source.len(),
            name.as_ptr(),
            mode.as_ptr(),
        )
    }
}
