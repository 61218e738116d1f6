//! A proxy belongs to the thread of its instance.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.create_table()?.into_owned();
    let table = handle.upgrade();
    std::thread::scope(|threads| {
        threads.spawn(move || table.set("x", 1));
    });
    Ok(())
}
