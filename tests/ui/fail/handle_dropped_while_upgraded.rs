//! A handle cannot go while a proxy borrows it.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.create_table()?.into_owned();
    let table = handle.upgrade();
    drop(handle);
    table.set("x", 1)
}
