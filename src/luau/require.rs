//! The library `package`: modules that are files.
//!
//! Luau has no such library. This one has `path`, `cpath` (in an instance that may load native modules), `loaded` and `preload`,
//! with the meaning that they have in Lua, and the global function `require`.

use std::os::raw::c_int;
use std::path::{Path, PathBuf, MAIN_SEPARATOR_STR};

use crate::call::callback::enter;
use crate::call::inner_of;
use crate::call::protect::protect;
use crate::chunk::ChunkMode;
use crate::engine;
use crate::error::{Error, ErrorContext, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::table::Table;
use crate::value::{IntoLua, Value};
use crate::Lua;

const DEFAULT_PATH: &str = "./?.luau;./?.lua;./?/init.luau;./?/init.lua";
#[cfg(all(unix, not(target_vendor = "apple")))]
const DEFAULT_CPATH: &str = "./?.so";
#[cfg(target_vendor = "apple")]
const DEFAULT_CPATH: &str = "./?.dylib;./?.so";

/// Opens the library.
///
/// # Safety
///
/// Called by Lua.
pub(crate) unsafe extern "C-unwind" fn open_package(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua.
    unsafe {
        enter(inner_of(state), state, |lua, _| {
            library(lua)?.push_into_stack(lua)?;
            Ok(1)
        })
    }
}

fn library(lua: &Lua) -> Result<Table<'_>> {
    let package = lua.create_table()?;
    let path = path_from(["LUAU_PATH", "LUA_PATH"], DEFAULT_PATH);
    package.raw_set("path", path)?;
    #[cfg(unix)]
    if !lua.inner().safe.get() {
        let cpath = path_from(["LUAU_CPATH", "LUA_CPATH"], DEFAULT_CPATH);
        package.raw_set("cpath", cpath)?;
    }
    package.raw_set("loaded", loaded(lua)?)?;
    package.raw_set("preload", lua.create_table()?)?;

    let key = lua.create_registry_value(&package)?;
    let require = lua.create_function(move |lua, name: String| {
        let package = lua.registry_value(&key)?;
        require(lua, &package, &name)
    })?;
    lua.globals().raw_set("require", require)?;
    Ok(package)
}

/// The path that the first of these environment variables that is set gives; `;;` in it stands for the default.
fn path_from(variables: [&str; 2], default: &str) -> String {
    let path = variables.into_iter().find_map(std::env::var_os);
    match path {
        Some(path) => path
            .to_string_lossy()
            .replace(";;", &format!(";{default};"))
            .trim_matches(';')
            .to_owned(),
        None => default.to_owned(),
    }
}

/// The table of the modules that are loaded.
fn loaded(lua: &Lua) -> Result<Table<'_>> {
    let entered = lua.try_enter()?;
    // SAFETY: runs protected. `pop` takes the table.
    unsafe {
        protect(entered.state, 0, 1, |state| {
            engine::luaL_getsubtable(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);
        })?;
        Ref::pop(lua).map(Table)
    }
}

/// The module `name`, which is loaded if it is not yet.
fn require<'lua>(lua: &'lua Lua, package: &Table<'lua>, name: &str) -> Result<Value<'lua>> {
    let loaded = loaded(lua)?;
    match loaded.raw_get(name)? {
        Value::Nil | Value::Boolean(false) => {}
        module => return Ok(module),
    }
    let (loader, file) = find(lua, package, name)?;
    match loader.call((name, file))? {
        Value::Nil => {}
        module => loaded.raw_set(name, module)?,
    }
    // The loader may have written there itself.
    match loaded.raw_get(name)? {
        Value::Nil => {
            loaded.raw_set(name, true)?;
            Ok(Value::Boolean(true))
        }
        module => Ok(module),
    }
}

/// The function that loads the module `name`, and the file that it is from.
fn find<'lua>(
    lua: &'lua Lua,
    package: &Table<'lua>,
    name: &str,
) -> Result<(Function<'lua>, Option<String>)> {
    if let Ok(preload) = package.get::<_, Table>("preload") {
        if let Some(loader) = preload.get(name)? {
            return Ok((loader, None));
        }
    }
    let mut tried = format!("\n\tno field package.preload['{name}']");
    if let Some(file) = search(package, "path", name, &mut tried)? {
        let loader = load_file(lua, &file);
        return loader
            .map(|loader| (loader, Some(file.display().to_string())))
            .with_context(|_| cannot_load(name, &file));
    }
    #[cfg(unix)]
    if !lua.inner().safe.get() {
        if let Some(file) = search(package, "cpath", name, &mut tried)? {
            // SAFETY: who has made an instance that is not a safe one answers for native modules.
            let loader = unsafe { load_native(lua, &file, name) };
            return loader
                .map(|loader| (loader, Some(file.display().to_string())))
                .with_context(|_| cannot_load(name, &file));
        }
    }
    Err(Error::RuntimeError(format!(
        "module '{name}' not found:{tried}"
    )))
}

fn cannot_load(name: &str, file: &Path) -> String {
    format!(
        "error loading module '{name}' from file '{}'",
        file.display()
    )
}

/// The first file that there is of those that the templates in the field `path` stand for. Those that are not there are noted
/// in `tried`.
fn search(package: &Table, path: &str, name: &str, tried: &mut String) -> Result<Option<PathBuf>> {
    let templates: Option<String> = package.get(path).unwrap_or(None);
    let Some(templates) = templates else {
        let message = format!("'package.{path}' must be a string");
        return Err(Error::RuntimeError(message));
    };
    let name = name.replace('.', MAIN_SEPARATOR_STR);
    for template in templates.split(';').filter(|template| !template.is_empty()) {
        let file = template.replace('?', &name);
        if Path::new(&file).is_file() {
            return Ok(Some(file.into()));
        }
        tried.push_str(&format!("\n\tno file '{file}'"));
    }
    Ok(None)
}

fn load_file<'lua>(lua: &'lua Lua, file: &Path) -> Result<Function<'lua>> {
    let chunk = lua.load(file);
    if lua.inner().safe.get() {
        // Bytecode is not checked.
        return chunk.set_mode(ChunkMode::Text).into_function();
    }
    chunk.into_function()
}

/// The function `luaopen_NAME` of the library in `file`, which stays loaded.
///
/// # Safety
///
/// The library may do what it likes.
#[cfg(unix)]
unsafe fn load_native<'lua>(lua: &'lua Lua, file: &Path, name: &str) -> Result<Function<'lua>> {
    // What is up to a hyphen is there to tell versions apart.
    let name = name.split_once('-').map_or(name, |(_, name)| name);
    let symbol = format!("luaopen_{}", name.replace('.', "_"));
    // SAFETY: passed on. The library is not unloaded, so the function is there for good.
    unsafe {
        let library = libloading::Library::new(file).map_err(Error::external)?;
        let library = std::mem::ManuallyDrop::new(library);
        let open = library
            .get::<engine::lua_CFunction>(symbol.as_bytes())
            .map_err(Error::external)?;
        lua.create_c_function(*open)
    }
}
