use mlua::{Function, Lua, Result};

#[test]
fn a_function_is_called_with_arguments_and_returns_results() -> Result<()> {
    let lua = Lua::new();
    lua.load("x = 1").exec()?;
    let f: Function = lua.load("return x, ...").into_function()?;
    f.call::<_, ()>(())?;
    Ok(())
}
