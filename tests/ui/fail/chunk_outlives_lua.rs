//! A chunk borrows from its instance.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let chunk;
    {
        let lua = Lua::new();
        chunk = lua.load("return 1");
    }
    chunk.exec()
}
