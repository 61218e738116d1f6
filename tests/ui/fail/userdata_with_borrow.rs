//! A userdata outside of any scope is `'static`: no proxy, no borrow in it.
use mlua::{Lua, Result, Table, UserData};

struct Keeps<'lua>(Table<'lua>);
impl UserData for Keeps<'_> {}

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.create_userdata(Keeps(lua.globals()))?;
    Ok(())
}
