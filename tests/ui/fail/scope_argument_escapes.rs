//! What a function of a scope is passed does not leave it.
use mlua::{Lua, Result, Table};

fn main() -> Result<()> {
    let lua = Lua::new();
    let mut kept: Option<Table> = None;
    lua.scope(|scope| {
        let function = scope.create_function_mut(|_, table: Table| {
            kept = Some(table);
            Ok(())
        })?;
        function.call::<_, ()>(lua.globals())
    })?;
    drop(kept);
    Ok(())
}
