//! A Rust struct that keeps a callback of Lua's and is given back to Lua: with strong handles a cycle that never ends.

use mlua::{Lua, OwnedFunction, Result, UserData, UserDataMethods};

#[derive(Default)]
struct Button(Option<OwnedFunction>);

impl UserData for Button {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("on_click", |_, this, callback: OwnedFunction| {
            this.0 = Some(callback);
            Ok(())
        });
    }
}

impl Drop for Button {
    fn drop(&mut self) {
        println!("the button is dropped");
    }
}

fn main() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("button", Button::default())?;
    lua.load("button:on_click(function() return button end)")
        .exec()?;
    let button = lua.globals().into_owned();
    drop(lua);
    println!("the instance is alive: {}", button.is_alive());
    Ok(())
}
