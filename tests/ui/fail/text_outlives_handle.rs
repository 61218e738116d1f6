//! The text of a string borrows from the handle.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let text;
    let bytes;
    {
        let handle = lua.create_string("text")?.into_owned();
        text = handle.to_str()?;
        bytes = handle.as_bytes();
    }
    assert_eq!(text.as_bytes(), &*bytes);
    Ok(())
}
