//! What a proxy returns does not borrow from that proxy.
use mlua::{Function, Lua, OwnedTable, Result, Table};

fn look_up<'a>(globals: &'a OwnedTable, table: &str, name: &str) -> Result<Function<'a>> {
    let table: Table = globals.upgrade().get(table)?;
    table.get(name)
}

fn main() -> Result<()> {
    let lua = Lua::new();
    let globals = lua.globals().into_owned();
    let print: Function = globals.upgrade().get("print")?;
    print.call::<_, ()>("hello")?;
    assert_eq!(look_up(&globals, "math", "max")?.call::<_, i64>((1, 2))?, 2);
    Ok(())
}
