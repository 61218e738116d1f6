//! The `cfg`s by which the tests know what an engine can do: a short form of the repository's own build script.

use std::env;

fn main() {
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let set = |name: &str, on: bool| {
        if on {
            println!("cargo::rustc-cfg={name}");
        }
    };
    let luau = has("LUAU");
    set("lua_ge_54", has("LUA54"));
    set("lua_ge_52", has("LUA54") || has("LUA53") || has("LUA52"));
    set("finalizers", !luau);
    set("raising_finalizers", !luau && !has("LUA54"));
}
