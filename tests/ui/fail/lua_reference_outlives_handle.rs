//! The `&Lua` that a conversion gets is a borrow of the handle.
use mlua::{FromLua, Lua, Result, Value};

struct Stored<'lua>(&'lua Lua);

impl<'lua> FromLua<'lua> for Stored<'lua> {
    fn from_lua(_: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        Ok(Stored(lua))
    }
}

fn main() -> Result<()> {
    let lua = Lua::new();
    let stored: Stored;
    {
        let globals = lua.globals().into_owned();
        stored = globals.upgrade().get("x")?;
    }
    stored.0.gc_collect()
}
