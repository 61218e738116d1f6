//! Loading of chunks: source code is compiled first.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int};

use super::Compiler;
use crate::call::failure::pop_error;
use crate::call::protect::protect;
use crate::chunk::ChunkMode;
use crate::engine;
use crate::error::{Error, Result};
use crate::table::Table;
use crate::Lua;

/// Whether `chunk` is bytecode.
pub(crate) fn is_bytecode(chunk: &[u8]) -> bool {
    // SAFETY: reads that many bytes at most.
    unsafe { engine::luaL_isbytecode(chunk.as_ptr() as *const c_char, chunk.len()) }
}

/// Pushes the function that `source` is. It is compiled with `compiler`, or with that of the instance.
///
/// # Safety
///
/// The running state has 6 free places.
pub(crate) unsafe fn push_chunk(
    lua: &Lua,
    source: &[u8],
    name: &CStr,
    mode: Option<ChunkMode>,
    env: Option<&Table>,
    compiler: Option<&Compiler>,
) -> Result<()> {
    let state = lua.state();
    let compiled;
    let bytecode = match (is_bytecode(source), mode) {
        (true, Some(ChunkMode::Text)) => return Err(wrong_kind("binary", 't')),
        (false, Some(ChunkMode::Binary)) => return Err(wrong_kind("text", 'b')),
        (true, _) => source,
        (false, _) => {
            compiled = compile(lua, source, compiler);
            compiled.as_slice()
        }
    };
    #[cfg(feature = "luau-jit")]
    let native = super::jit::is_enabled(lua);
    let (data, len) = (bytecode.as_ptr() as *const c_char, bytecode.len());
    // SAFETY: the environment is the argument of `protect`. The bytecode outlives the call, in which nothing needs a drop.
    unsafe {
        let nargs: c_int = match env {
            Some(env) => {
                env.0.push_to(lua)?;
                1
            }
            None => 0,
        };
        let status = protect(state, nargs, 1, |state| {
            // The environment lies at 1; 0 stands for the globals.
            let status = engine::luau_load(state, name.as_ptr(), data, len, nargs);
            #[cfg(feature = "luau-jit")]
            if native && status == 0 {
                engine::luau_codegen_compile(state, -1);
            }
            status
        })?;
        match status {
            0 => Ok(()),
            _ => Err(pop_error(state, kind_of_error(state))),
        }
    }
}

fn compile(lua: &Lua, source: &[u8], compiler: Option<&Compiler>) -> Vec<u8> {
    if let Some(compiler) = compiler {
        return compiler.compile(source);
    }
    match lua.inner().luau.compiler.borrow().as_ref() {
        Some(compiler) => compiler.compile(source),
        None => Compiler::new().compile(source),
    }
}

#[cold]
fn wrong_kind(kind: &str, mode: char) -> Error {
    Error::SyntaxError {
        message: format!("attempt to load a {kind} chunk (mode is '{mode}')"),
        incomplete_input: false,
    }
}

/// The status for the message that `luau_load` has left on top.
unsafe fn kind_of_error(state: *mut engine::lua_State) -> c_int {
    // SAFETY: there is a string on top.
    let message = unsafe { CStr::from_ptr(engine::lua_tostring(state, -1)) };
    if message == c"not enough memory" {
        engine::LUA_ERRMEM
    } else {
        engine::LUA_ERRSYNTAX
    }
}
