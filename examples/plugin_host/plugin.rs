//! Plugins on disk: every Lua file in a folder and its subfolders.

use std::fs;
use std::io;
use std::path::Path;

use mlua::{ChunkMode, Lua, Result};

pub struct Plugin {
    /// The path below the plugin folder, as error messages show it.
    name: String,
    source: Vec<u8>,
}

impl Plugin {
    pub fn load(&self, lua: &Lua) -> Result<()> {
        lua.load(&self.source)
            .set_name(format!("@{}", self.name))
            .set_mode(ChunkMode::Text)
            .exec()
    }
}

/// Reads all plugins of a folder, in the order of their names.
///
/// # Errors
///
/// Fails, naming the path, if something can't be read or there is no plugin at all.
pub fn read_folder(folder: &Path) -> io::Result<Vec<Plugin>> {
    let mut plugins = Vec::new();
    read_into(&mut plugins, folder, "")?;
    if plugins.is_empty() {
        return Err(io::Error::other(format!(
            "no Lua file in {}",
            folder.display()
        )));
    }
    plugins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plugins)
}

fn read_into(plugins: &mut Vec<Plugin>, folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| naming(folder, error))? {
        let path = entry?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{prefix}{file_name}");
        if path.is_dir() {
            read_into(plugins, &path, &format!("{name}/"))?;
        } else if path.extension().is_some_and(|extension| extension == "lua") {
            let source = fs::read(&path).map_err(|error| naming(&path, error))?;
            plugins.push(Plugin { name, source });
        }
    }
    Ok(())
}

fn naming(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
