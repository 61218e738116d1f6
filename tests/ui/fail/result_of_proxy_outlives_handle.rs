//! What a proxy returns borrows from the handle as well, if not from the proxy.
use mlua::{Function, Lua, Result};

fn main() -> Result<()> {
    let lua = Lua::new();
    let print: Function;
    {
        let globals = lua.globals().into_owned();
        print = globals.upgrade().get("print")?;
    }
    print.call(())
}
