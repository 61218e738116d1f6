//! A closure that Lua keeps must be `'static`; it takes a handle, not a proxy.
use mlua::{Lua, OwnedTable, Result, Table};

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle: OwnedTable = lua.create_table()?.into_owned();
    let table: Table = handle.upgrade();
    lua.create_function(move |_, ()| table.get::<_, i64>("x"))?;
    Ok(())
}
