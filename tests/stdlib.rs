//! Which standard libraries an instance has.

use mlua::{Error, Lua, LuaOptions, Result, StdLib};

const NAMES: &[(&str, StdLib)] = &[
    #[cfg(any(lua_ge_52, feature = "luau"))]
    ("coroutine", StdLib::COROUTINE),
    ("table", StdLib::TABLE),
    #[cfg(not(feature = "luau"))]
    ("io", StdLib::IO),
    ("os", StdLib::OS),
    ("string", StdLib::STRING),
    #[cfg(any(lua_ge_53, feature = "luau"))]
    ("utf8", StdLib::UTF8),
    #[cfg(any(feature = "lua52", feature = "luau"))]
    ("bit32", StdLib::BIT),
    #[cfg(feature = "luajit")]
    ("bit", StdLib::BIT),
    #[cfg(feature = "luajit")]
    ("jit", StdLib::JIT),
    #[cfg(feature = "luau")]
    ("buffer", StdLib::BUFFER),
    ("math", StdLib::MATH),
    ("package", StdLib::PACKAGE),
];

fn has(lua: &Lua, name: &str) -> bool {
    let code = format!("assert({name} ~= nil)");
    lua.load(code.as_str()).exec().is_ok()
}

#[test]
fn each_library_comes_alone() {
    for &(name, lib) in NAMES {
        let lua = Lua::new_with(lib, LuaOptions::default()).unwrap();
        for &(other, _) in NAMES {
            assert_eq!(
                has(&lua, other),
                other == name,
                "{other} in an instance with {name}"
            );
        }
        assert!(has(&lua, "print"));
    }
}

#[test]
fn libraries_are_loaded_later() -> Result<()> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default())?;
    assert!(!has(&lua, "table") && !has(&lua, "require"));
    lua.load_from_std_lib(StdLib::TABLE | StdLib::PACKAGE)?;
    assert!(has(&lua, "table") && has(&lua, "require") && !has(&lua, "string"));
    lua.load("assert(require('table') == table)").exec()
}

#[test]
fn a_safe_instance_refuses_the_debug_library() {
    for libs in [StdLib::DEBUG, StdLib::ALL] {
        match Lua::new_with(libs, LuaOptions::default()) {
            Err(Error::SafetyError(text)) => {
                assert_eq!(
                    text,
                    "The unsafe `debug` module can't be loaded using safe `new_with`"
                )
            }
            other => panic!("{other:?}"),
        }
        let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).unwrap();
        match lua.load_from_std_lib(libs) {
            Err(Error::SafetyError(text)) => {
                assert_eq!(
                    text,
                    "the unsafe `debug` module can't be loaded in safe mode"
                )
            }
            other => panic!("{other:?}"),
        }
        assert!(!has(&lua, "table"));
    }
}

#[test]
fn sets_of_libraries_are_sets() {
    let mut libs = StdLib::TABLE | StdLib::MATH;
    assert!(libs.contains(StdLib::MATH) && !libs.contains(StdLib::MATH | StdLib::OS));
    assert!(libs.contains(StdLib::NONE) && StdLib::ALL.contains(libs));
    libs |= StdLib::OS;
    libs &= StdLib::OS | StdLib::MATH;
    libs ^= StdLib::MATH;
    assert_eq!(libs, StdLib::OS);
    assert_eq!(StdLib::ALL ^ StdLib::ALL, StdLib::NONE);
    assert!(!StdLib::ALL_SAFE.contains(StdLib::DEBUG));
    assert!(StdLib::NONE < StdLib::ALL);
    assert_eq!(format!("{:?}", StdLib::TABLE), "StdLib(2)");
}

#[test]
fn options_are_what_was_asked_for() {
    let options = LuaOptions::new()
        .catch_rust_panics(false)
        .thread_pool_size(8);
    assert!(!options.catch_rust_panics && options.thread_pool_size == 8);
    assert_eq!(
        format!("{:?}", LuaOptions::default()),
        "LuaOptions { catch_rust_panics: true, thread_pool_size: 0 }"
    );
}
