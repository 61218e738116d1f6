//! A program written for mlua 0.9.9: it must build and run unchanged with this crate in its place.

use mlua::prelude::*;

struct Counter(i64);

impl LuaUserData for Counter {
    fn add_methods<'lua, M: LuaUserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("add", |_, this, n: i64| {
            this.0 += n;
            Ok(this.0)
        });
    }
}

fn main() -> LuaResult<()> {
    let lua = Lua::new();
    let globals = lua.globals();
    globals.set("counter", Counter(40))?;
    globals.set("twice", lua.create_function(|_, n: i64| Ok(2 * n))?)?;

    let table: LuaTable = lua
        .load("return { sum = counter:add(twice(1)), text = 'from Lua' }")
        .eval()?;
    assert_eq!(table.get::<_, i64>("sum")?, 42);
    assert_eq!(table.get::<_, String>("text")?, "from Lua");

    let error = lua.load("error('on purpose')").exec().unwrap_err();
    assert!(error.to_string().contains("on purpose"));
    println!("patch-in: ok");
    Ok(())
}
