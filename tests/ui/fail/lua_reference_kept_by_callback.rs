//! The `&Lua` that a callback gets does not go where only `'static` goes.
use mlua::{Lua, Result};
use std::cell::Cell;

thread_local!(static KEPT: Cell<Option<&'static Lua>> = const { Cell::new(None) });

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.create_function(|lua, ()| {
        KEPT.set(Some(lua));
        Ok(())
    })?;
    Ok(())
}
