//! Without the feature `send` a handle stays on its thread.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.create_table()?.into_owned();
    std::thread::spawn(move || drop(handle));
    Ok(())
}
