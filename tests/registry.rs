//! Values kept by key and by name.

use std::collections::HashSet;
use std::thread;

use mlua::{Error, Lua, RegistryKey, Result, Table, Value};

fn weak_table(lua: &Lua) -> Table<'_> {
    lua.load("return setmetatable({}, { __mode = 'k' })")
        .eval()
        .unwrap()
}

fn count(lua: &Lua, weak: &Table) -> i64 {
    lua.load("local n = 0; for _ in pairs(...) do n = n + 1 end; return n")
        .call(weak.clone())
        .unwrap()
}

fn keep_new_table(lua: &Lua, weak: &Table) -> RegistryKey {
    let table: Table = lua
        .load("local t = {}; (...)[t] = true; return t")
        .call(weak.clone())
        .unwrap();
    lua.create_registry_value(table).unwrap()
}

#[test]
fn a_key_names_its_value() -> Result<()> {
    let lua = Lua::new();
    let key = lua.create_registry_value("text")?;
    let number = lua.create_registry_value(5)?;
    lua.gc_collect()?;
    assert_eq!(lua.registry_value::<String>(&key)?, "text");
    assert_eq!(lua.registry_value::<i32>(&number)?, 5);
    assert!(lua.registry_value::<i32>(&key).is_err());
    lua.replace_registry_value(&key, 7)?;
    assert_eq!(lua.registry_value::<i32>(&key)?, 7);
    lua.remove_registry_value(key)
}

#[test]
fn nil_is_a_value() -> Result<()> {
    let lua = Lua::new();
    let key = lua.create_registry_value(None::<i32>)?;
    assert_eq!(lua.registry_value::<Option<i32>>(&key)?, None);
    lua.replace_registry_value(&key, 7)?;
    assert_eq!(lua.registry_value::<Option<i32>>(&key)?, Some(7));
    lua.replace_registry_value(&key, None::<i32>)?;
    assert_eq!(lua.registry_value::<Option<i32>>(&key)?, None);
    lua.remove_registry_value(key)
}

#[test]
fn keys_are_of_one_instance() {
    let (a, b) = (Lua::new(), Lua::new());
    let key = a.create_registry_value(5).unwrap();
    assert!(a.owns_registry_value(&key) && !b.owns_registry_value(&key));
    assert!(matches!(
        b.registry_value::<i32>(&key),
        Err(Error::MismatchedRegistryKey)
    ));
    assert!(matches!(
        b.replace_registry_value(&key, 1),
        Err(Error::MismatchedRegistryKey)
    ));
    assert!(matches!(
        b.remove_registry_value(key),
        Err(Error::MismatchedRegistryKey)
    ));
}

#[test]
fn keys_outlive_their_instance() {
    let lua = Lua::new();
    let key = lua.create_registry_value("text").unwrap();
    drop(lua);
    assert!(matches!(
        Lua::new().registry_value::<Value>(&key),
        Err(Error::MismatchedRegistryKey)
    ));
    drop(key);
}

#[test]
fn keys_compare_hash_and_print() {
    let lua = Lua::new();
    let (a, b) = (
        lua.create_registry_value(1).unwrap(),
        lua.create_registry_value(1).unwrap(),
    );
    assert!(a == a && a != b && a.id() != b.id());
    assert_eq!(format!("{a:?}"), format!("RegistryKey({})", a.id()));
    assert_eq!(HashSet::from([a, b]).len(), 2);
}

#[test]
fn a_dropped_key_frees_its_value_at_the_next_safe_point() -> Result<()> {
    let lua = Lua::new();
    let weak = weak_table(&lua);
    let key = keep_new_table(&lua, &weak);
    lua.gc_collect()?;
    assert_eq!(count(&lua, &weak), 1);
    drop(key);
    lua.gc_collect()?;
    assert_eq!(count(&lua, &weak), 0);

    let key = keep_new_table(&lua, &weak);
    thread::spawn(move || drop(key)).join().unwrap();
    lua.expire_registry_values();
    lua.load("collectgarbage()").exec()?;
    assert_eq!(count(&lua, &weak), 0);

    let key = keep_new_table(&lua, &weak);
    lua.remove_registry_value(key)?;
    lua.load("collectgarbage()").exec()?;
    assert_eq!(count(&lua, &weak), 0);
    Ok(())
}

#[test]
fn named_values_come_and_go() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.named_registry_value::<Option<i32>>("a")?, None);
    lua.set_named_registry_value("a", 5)?;
    lua.set_named_registry_value("a\0b", 6)?;
    lua.gc_collect()?;
    assert_eq!(lua.named_registry_value::<i32>("a")?, 5);
    assert_eq!(lua.named_registry_value::<i32>("a\0b")?, 6);
    assert!(lua.named_registry_value::<Table>("a").is_err());
    lua.unset_named_registry_value("a")?;
    lua.unset_named_registry_value("never set")?;
    assert_eq!(lua.named_registry_value::<Option<i32>>("a")?, None);
    Ok(())
}

#[test]
fn named_values_cannot_touch_what_the_libraries_keep() -> Result<()> {
    let lua = Lua::new();
    for name in ["FILE*", "_CLIBS", "_LOADED", "_PRELOAD"] {
        assert!(
            matches!(lua.named_registry_value(name)?, Value::Nil),
            "{name}"
        );
        lua.set_named_registry_value(name, 1)?;
    }
    #[cfg(not(feature = "luau"))]
    lua.load("io.stdout:write('')").exec()?;
    lua.load("assert(require('string') == string)").exec()
}
