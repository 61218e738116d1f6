//! Inside a function of a scope no function of the scope can be made that keeps what the outer one is passed.
use mlua::{Lua, Result, Table};

fn main() -> Result<()> {
    let lua = Lua::new();
    let outer = lua.globals();
    let mut kept: Vec<Table> = Vec::new();
    lua.scope(|scope| {
        scope.create_function_mut(|lua, ()| {
            kept.push(lua.globals());
            Ok(())
        })?;
        Ok(())
    })?;
    drop((outer, kept));
    Ok(())
}
