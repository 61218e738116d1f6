//! What a handle's own `call` returns borrows from the handle.
use mlua::{Lua, OwnedFunction, Result, Table};

fn main() -> Result<()> {
    let lua = Lua::new();
    let table: Table;
    {
        let make: OwnedFunction = lua.load("function() return {} end").eval()?;
        table = make.call(())?;
    }
    table.set("x", 1)
}
