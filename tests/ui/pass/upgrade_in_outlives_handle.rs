//! `upgrade_in` borrows from the instance alone.
use mlua::{Lua, Result, Table};

fn main() -> Result<()> {
    let lua = Lua::new();
    let table: Table;
    {
        let handle = lua.create_table()?.into_owned();
        table = handle.upgrade_in(&lua)?;
    }
    table.set("x", 1)
}
