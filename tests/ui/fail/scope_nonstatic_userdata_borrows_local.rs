//! A userdata of a scope with a lifetime borrows only what outlives the scope.
use mlua::{Lua, Result, UserData};

struct Borrows<'a>(&'a mut i64);
impl UserData for Borrows<'_> {}

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.scope(|scope| {
        let mut local = 5;
        scope.create_nonstatic_userdata(Borrows(&mut local))?;
        Ok(())
    })
}
