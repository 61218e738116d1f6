//! Two functions of a scope do not borrow the same thing mutably.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let mut number = 0;
    lua.scope(|scope| {
        let first = scope.create_function_mut(|_, ()| {
            number += 1;
            Ok(())
        })?;
        let second = scope.create_function_mut(|_, ()| {
            number += 1;
            Ok(())
        })?;
        first.call::<_, ()>(())?;
        second.call::<_, ()>(())
    })
}
