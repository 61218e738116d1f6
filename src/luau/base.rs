//! Basic functions that Luau does without: `collectgarbage` and `loadstring`.

use std::os::raw::{c_char, c_int};

use crate::call::callback::enter;
use crate::call::inner_of;
use crate::chunk::ChunkMode;
use crate::engine;
use crate::error::{Error, Result};
use crate::string::String as LuaString;
use crate::value::{FromLuaMulti, IntoLua, IntoLuaMulti, Value};
use crate::Lua;

/// Sets both as globals, and the version of Luau.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn open(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        engine::lua_pushcfunctiond(state, collectgarbage, c"collectgarbage".as_ptr());
        engine::lua_setglobal(state, c"collectgarbage".as_ptr());
        engine::lua_pushcfunctiond(state, loadstring, c"loadstring".as_ptr());
        engine::lua_setglobal(state, c"loadstring".as_ptr());
        if let Some(version) = engine::luau_version() {
            let (name, len) = (version.as_ptr() as *const c_char, version.len());
            engine::lua_pushstring(state, c"Luau ".as_ptr());
            engine::lua_pushlstring(state, name, len);
            engine::lua_concat(state, 2);
            engine::lua_setglobal(state, c"_VERSION".as_ptr());
        }
    }
}

/// `collectgarbage([option [, argument]])`.
unsafe extern "C-unwind" fn collectgarbage(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua. What the collector leaves is dropped on the way out.
    unsafe {
        enter(inner_of(state), state, |lua, nargs| {
            let to = Some("collectgarbage");
            let (option, argument) =
                <(Option<String>, Option<c_int>)>::from_stack_args(nargs, 1, to, lua)?;
            let option = option.as_deref().unwrap_or("collect");
            control(lua, option, argument.unwrap_or(0))?.push_into_stack_multi(lua)
        })
    }
}

fn control<'lua>(lua: &'lua Lua, option: &str, argument: c_int) -> Result<Value<'lua>> {
    match option {
        "collect" => lua.gc_collect()?,
        "stop" => lua.gc_stop(),
        "restart" => lua.gc_restart(),
        "count" => return kilobytes(lua).into_lua(lua),
        "step" => return lua.gc_step_kbytes(argument.max(0))?.into_lua(lua),
        "isrunning" => return lua.gc_is_running().into_lua(lua),
        "setpause" => return lua.gc_set_pause(argument).into_lua(lua),
        "setstepmul" => return lua.gc_set_step_multiplier(argument).into_lua(lua),
        other => {
            let message = format!("bad argument #1 to 'collectgarbage' (invalid option '{other}')");
            return Err(Error::RuntimeError(message));
        }
    }
    0.into_lua(lua)
}

/// How much memory the VM has in use.
fn kilobytes(lua: &Lua) -> f64 {
    let state = lua.state();
    // SAFETY: plain reads.
    unsafe {
        let whole = engine::lua_gc(state, engine::LUA_GCCOUNT, 0);
        let rest = engine::lua_gc(state, engine::LUA_GCCOUNTB, 0);
        f64::from(whole) + f64::from(rest) / 1024.0
    }
}

/// `loadstring(code [, name])`: the code as a function.
unsafe extern "C-unwind" fn loadstring(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua.
    unsafe {
        enter(inner_of(state), state, |lua, nargs| {
            let to = Some("loadstring");
            let (code, name) = <(LuaString, Option<String>)>::from_stack_args(nargs, 1, to, lua)?;
            let name = name.unwrap_or_else(|| "=(loadstring)".to_owned());
            // Bytecode is not checked, so a program must not make it up.
            let chunk = lua.load(code.as_bytes()).set_mode(ChunkMode::Text);
            let function = chunk.set_name(name).into_function()?;
            function.push_into_stack_multi(lua)
        })
    }
}
