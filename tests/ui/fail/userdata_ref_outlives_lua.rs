//! A `UserDataRef` borrows from the instance.
use mlua::{Lua, Result, UserDataRef};

fn main() -> Result<()> {
    let number: UserDataRef<i32>;
    {
        let lua = Lua::new();
        lua.globals().set("number", lua.create_any_userdata(5)?)?;
        number = lua.globals().get("number")?;
    }
    assert_eq!(*number, 5);
    Ok(())
}
