//! A userdata of a scope borrows only what outlives the scope.
use mlua::{Lua, Result, UserData};

struct Number(i64);
impl UserData for Number {}

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.scope(|scope| {
        let mut local = Number(5);
        let mut other = 5_i64;
        scope.create_userdata_ref(&local)?;
        scope.create_userdata_ref_mut(&mut local)?;
        scope.create_any_userdata_ref(&other)?;
        scope.create_any_userdata_ref_mut(&mut other)?;
        Ok(())
    })
}
