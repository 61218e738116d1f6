//! A scope does not leave its closure.
use mlua::{Lua, Result, Scope};

fn main() -> Result<()> {
    let lua = Lua::new();
    let mut kept: Option<&Scope> = None;
    lua.scope(|scope| {
        kept = Some(scope);
        Ok(())
    })?;
    drop(kept);
    Ok(())
}
