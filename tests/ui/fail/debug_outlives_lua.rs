//! What `inspect_stack` returns borrows from the instance.
use mlua::Lua;

fn main() {
    let debug;
    {
        let lua = Lua::new();
        debug = lua.inspect_stack(0);
    }
    assert!(debug.is_none());
}
