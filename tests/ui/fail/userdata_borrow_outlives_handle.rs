//! A guard of a userdata borrows from the handle.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let number;
    {
        let handle = lua.create_any_userdata(5)?.into_owned();
        number = handle.borrow::<i32>()?;
    }
    assert_eq!(*number, 5);
    Ok(())
}
