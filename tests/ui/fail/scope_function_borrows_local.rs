//! A function of a scope borrows only what outlives the scope.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.scope(|scope| {
        let local = 5;
        let function = scope.create_function(|_, ()| Ok(local + *&local))?;
        function.call::<_, i64>(())
    })?;
    Ok(())
}
