//! A borrow of a userdata ends before the proxy.
use mlua::{Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.create_any_userdata(5)?.into_owned();
    let number;
    {
        let proxy = handle.upgrade();
        number = proxy.borrow::<i32>()?;
    }
    assert_eq!(*number, 5);
    Ok(())
}
