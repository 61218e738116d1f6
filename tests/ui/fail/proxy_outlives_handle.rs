//! A proxy borrows from its handle.
use mlua::{Lua, Result, Table};

fn main() -> Result<()> {
    let lua = Lua::new();
    let table: Table;
    {
        let handle = lua.create_table()?.into_owned();
        table = handle.upgrade();
    }
    table.set("x", 1)
}
