//! What a guard derefs to ends with the guard.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.create_string("text")?.into_owned();
    let text: &str;
    {
        let guard = handle.to_str()?;
        text = &guard;
    }
    assert_eq!(text, "text");
    Ok(())
}
