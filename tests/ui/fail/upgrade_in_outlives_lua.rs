//! A proxy from `upgrade_in` borrows from the instance.
use mlua::{Lua, Result, Table};

fn main() -> Result<()> {
    let table: Table;
    {
        let lua = Lua::new();
        let handle = lua.create_table()?.into_owned();
        table = handle.upgrade_in(&lua)?;
    }
    table.set("x", 1)
}
