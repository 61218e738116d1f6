//! How an instance begins and ends.

use mlua::{Error, Lua, LuaOptions, StdLib};

#[test]
fn an_instance_is_made_used_and_dropped() {
    let lua = Lua::new();
    let globals = lua.globals();
    assert!(lua.used_memory() > 10_000);
    lua.gc_collect().unwrap();
    drop(globals);
}

#[test]
fn a_safe_instance_refuses_the_debug_library() {
    match Lua::new_with(StdLib::ALL, LuaOptions::default()) {
        Err(Error::SafetyError(text)) => {
            assert_eq!(
                text,
                "The unsafe `debug` module can't be loaded using safe `new_with`"
            )
        }
        other => panic!("{other:?}"),
    }
}
