//! String keys that come again and again: whatever has been used before, and at whatever address, the right field is found.

use mlua::{IntoLua, Lua, Result, Table, Value};

/// Uses many different strings as keys, so that whatever Lua strings are kept for reuse are others afterwards.
fn use_other_keys(lua: &Lua) -> Result<()> {
    let table = lua.create_table()?;
    let text = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(40);
    for _ in 0..3 {
        for at in 0..text.len() - 5 {
            table.set(&text[at..at + 5], at)?;
        }
    }
    Ok(())
}

#[test]
fn a_buffer_whose_text_changes_names_the_field_it_says() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    let mut buffer = *b"key_0";
    for round in 0..50 {
        for digit in b'0'..=b'9' {
            buffer[4] = digit;
            for _ in 0..round % 4 {
                table.set(std::str::from_utf8(&buffer).unwrap(), digit)?;
                let found: u8 = table.get(std::str::from_utf8(&buffer).unwrap())?;
                assert_eq!(found, digit);
            }
        }
    }
    for digit in b'0'..=b'9' {
        let key = format!("key_{}", digit as char);
        assert_eq!(table.get::<_, u8>(key)?, digit);
    }
    Ok(())
}

#[test]
fn strings_at_one_address_with_different_lengths_are_different_keys() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    let text = "prefix_of_a_longer_key_than_those_that_lua_interns";
    for _ in 0..4 {
        for len in 0..=text.len() {
            table.set(&text[..len], len)?;
        }
        for len in 0..=text.len() {
            assert_eq!(table.get::<_, usize>(&text[..len])?, len);
            assert_eq!(table.raw_get::<_, usize>(&text[..len])?, len);
        }
    }
    Ok(())
}

#[test]
fn more_keys_than_are_kept_are_all_found() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    let keys: Vec<String> = (0..2000).map(|n| format!("field {n}")).collect();
    for round in 0..5 {
        for (n, key) in keys.iter().enumerate() {
            table.set(key.as_str(), n + round)?;
        }
        lua.gc_collect()?;
        for (n, key) in keys.iter().enumerate().rev() {
            assert_eq!(table.get::<_, usize>(key.as_str())?, n + round);
        }
    }
    Ok(())
}

#[test]
fn a_conversion_that_uses_other_keys_does_not_change_the_key_of_its_field() -> Result<()> {
    struct Busy(mlua::Integer);
    impl<'lua> IntoLua<'lua> for Busy {
        fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
            use_other_keys(lua)?;
            Ok(Value::Integer(self.0))
        }
    }
    let lua = Lua::new();
    let table = lua.create_table()?;
    for n in 0..5 {
        table.set("busy", n)?;
        table.set("busy", Busy(-n))?;
        table.raw_set("busier", n)?;
        table.raw_set("busier", Busy(-n))?;
        assert_eq!(table.get::<_, mlua::Integer>("busy")?, -n);
        assert_eq!(table.get::<_, mlua::Integer>("busier")?, -n);
    }
    let fields: Vec<(String, i64)> = table.pairs().collect::<Result<_>>()?;
    assert_eq!(fields.len(), 2);
    Ok(())
}

#[test]
fn every_instance_has_strings_of_its_own() -> Result<()> {
    let key = "shared literal";
    for n in 0..20 {
        let (one, other) = (Lua::new(), Lua::new());
        for _ in 0..4 {
            one.globals().set(key, n)?;
            other.globals().set(key, -n)?;
        }
        assert_eq!(one.globals().get::<_, i64>(key)?, n);
        assert_eq!(other.globals().get::<_, i64>(key)?, -n);
        drop(other);
        assert_eq!(one.globals().get::<_, i64>(key)?, n);
    }
    Ok(())
}

#[test]
fn inherited_fields_are_found_as_lua_finds_them() -> Result<()> {
    let lua = Lua::new();
    let table: Table = lua
        .load(
            r#"
            local base = setmetatable({ depth = "base" }, { __index = function(_, key) return key .. "!" end })
            local middle = setmetatable({ kind = "middle" }, { __index = base })
            return setmetatable({ own = "own" }, { __index = middle })
            "#,
        )
        .eval()?;
    for _ in 0..4 {
        assert_eq!(table.get::<_, String>("own")?, "own");
        assert_eq!(table.get::<_, String>("kind")?, "middle");
        assert_eq!(table.get::<_, String>("depth")?, "base");
        assert_eq!(table.get::<_, String>("anything")?, "anything!");
        assert_eq!(table.raw_get::<_, Option<String>>("kind")?, None);
    }
    let plain: Table = lua
        .load("return setmetatable({}, { __index = { x = 1 } })")
        .eval()?;
    for _ in 0..4 {
        assert_eq!(plain.get::<_, Option<i64>>("x")?, Some(1));
        assert_eq!(plain.get::<_, Option<i64>>("y")?, None);
    }
    Ok(())
}

#[test]
fn a_metatable_without_newindex_does_not_keep_fields_from_being_set() -> Result<()> {
    let lua = Lua::new();
    let table: Table = lua
        .load("log = {} return setmetatable({}, { __index = {} })")
        .eval()?;
    for n in 0..4 {
        table.set("x", n)?;
        table.set(1, n)?;
    }
    assert_eq!(table.raw_get::<_, i64>("x")?, 3);
    lua.load(
        "local t = ... getmetatable(t).__newindex = function(_, k, v) log[#log + 1] = k .. v end",
    )
    .call::<_, ()>(&table)?;
    for n in 0..3 {
        table.set("x", n)?;
        table.set("new", n)?;
        table.raw_set("raw", n)?;
    }
    let log: Vec<String> = lua.globals().get("log")?;
    assert_eq!(log, ["new0", "new1", "new2"]);
    assert_eq!(table.raw_get::<_, i64>("x")?, 2);
    assert_eq!(table.raw_get::<_, i64>("raw")?, 2);
    Ok(())
}

#[test]
fn proxies_are_keys_by_identity() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    let (a, b) = (lua.create_table()?, lua.create_string("b")?);
    table.set(&a, 1)?;
    table.set(&b, 2)?;
    assert_eq!(table.get::<_, i64>(&a)?, 1);
    assert_eq!(table.get::<_, i64>("b")?, 2);
    assert_eq!(table.get::<_, Option<i64>>(lua.create_table()?)?, None);
    let other = Lua::new();
    assert!(other
        .globals()
        .get::<_, Value>(other.create_table()?)
        .is_ok());
    Ok(())
}

#[test]
fn keys_are_found_in_tables_on_every_reference_thread() -> Result<()> {
    let lua = Lua::new();
    let mut tables = Vec::new();
    for n in 0..70_000 {
        let table = lua.create_table()?;
        table.set("number", n)?;
        tables.push(table);
    }
    for (n, table) in tables.iter().enumerate() {
        assert_eq!(table.get::<_, usize>("number")?, n);
    }
    Ok(())
}

#[test]
fn a_memory_limit_makes_setting_an_error_not_an_abort() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    table.set("key", 1)?;
    table.set("key", 2)?;
    lua.set_memory_limit(lua.used_memory() + 4096)?;
    let mut failed = false;
    for n in 0..100_000 {
        if table.set(n, n).is_err() {
            failed = true;
            break;
        }
    }
    assert!(failed);
    assert_eq!(table.get::<_, i64>("key")?, 2);
    lua.set_memory_limit(0)?;
    table.set("another", 3)?;
    assert_eq!(table.get::<_, i64>("another")?, 3);
    Ok(())
}
