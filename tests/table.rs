//! Tables: reading and writing, metamethods, lists, iteration.

use std::collections::HashMap;

use mlua::{Error, Lua, Nil, Result, Table, TableExt, Value};

/// A table that Lua code makes.
fn table<'lua>(lua: &'lua Lua, code: &str) -> Table<'lua> {
    lua.load(code).eval().unwrap()
}

fn runtime_error<T>(result: Result<T>) -> String {
    match result {
        Err(Error::RuntimeError(message)) => message,
        Err(other) => panic!("unexpected error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn a_field_is_read_as_it_was_set() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    table.set("name", "value")?;
    table.set(1, 10)?;
    table.set(true, "yes")?;
    assert_eq!(table.get::<_, String>("name")?, "value");
    assert_eq!(table.get::<_, i64>(1)?, 10);
    assert_eq!(table.raw_get::<_, String>(true)?, "yes");
    assert_eq!(table.get::<_, Option<i64>>("missing")?, None);
    table.set("name", Nil)?;
    assert!(!table.contains_key("name")?);
    Ok(())
}

#[test]
fn clones_are_the_same_table() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    let clone = table.clone();
    clone.set("x", 1)?;
    assert_eq!(table.get::<_, i64>("x")?, 1);
    assert!(table == clone);
    assert!(table != lua.create_table()?);
    assert_eq!(table.to_pointer(), clone.to_pointer());
    Ok(())
}

#[test]
fn nil_and_nan_as_keys_are_errors_for_writing_only() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    for limited in [false, true] {
        if limited {
            lua.set_memory_limit(1 << 24)?;
        }
        assert!(runtime_error(table.set(Nil, 1)).starts_with("table index is nil"));
        assert!(runtime_error(table.set(f64::NAN, 1)).starts_with("table index is NaN"));
        assert!(runtime_error(table.raw_set(Nil, 1)).starts_with("table index is nil"));
        assert!(runtime_error(table.raw_set(f64::NAN, 1)).starts_with("table index is NaN"));
        assert!(runtime_error(table.raw_remove(Nil)).starts_with("table index is nil"));
        let made = lua.create_table_from([(Some(1), 1), (None, 2)]);
        assert!(runtime_error(made).starts_with("table index is nil"));
        assert!(matches!(table.get(Nil)?, Nil));
        assert!(matches!(table.raw_get(f64::NAN)?, Nil));
        assert!(!table.contains_key(Nil)?);
        assert!(table.is_empty());
    }
    Ok(())
}

#[test]
fn metamethods_serve_get_and_set_but_not_their_raw_forms() -> Result<()> {
    let lua = Lua::new();
    let table = table(
        &lua,
        "return setmetatable({}, {
            __index = function(t, k) if k == 'bad' then error('cannot read') end return k .. '!' end,
            __newindex = function(t, k, v) if k == 'bad' then error('cannot write') end rawset(t, k, v + 1) end,
        })",
    );
    assert_eq!(table.get::<_, String>("x")?, "x!");
    assert!(table.contains_key("x")?);
    assert!(matches!(table.raw_get("x")?, Nil));
    table.set("x", 1)?;
    assert_eq!(table.get::<_, i64>("x")?, 2);
    table.raw_set("y", 1)?;
    assert_eq!(table.get::<_, i64>("y")?, 1);
    assert!(runtime_error(table.get::<_, Value>("bad")).contains("cannot read"));
    assert!(runtime_error(table.set("bad", 1)).contains("cannot write"));
    Ok(())
}

#[test]
fn errors_and_panics_of_rust_metamethods_pass() -> Result<()> {
    let lua = Lua::new();
    let metatable = lua.create_table()?;
    let index = lua.create_function(|_, (_, key): (Table, String)| -> Result<i64> {
        if key == "panic" {
            panic!("from __index");
        }
        Err(Error::runtime("from __index"))
    })?;
    metatable.set("__index", index)?;
    let table = lua.create_table()?;
    table.set_metatable(Some(metatable));
    match table.get::<_, i64>("x") {
        Err(Error::CallbackError { cause, .. }) => {
            assert!(cause.to_string().contains("from __index"))
        }
        other => panic!("unexpected {other:?}"),
    }
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        table.get::<_, i64>("panic")
    }));
    assert_eq!(
        *panic.unwrap_err().downcast::<&str>().unwrap(),
        "from __index"
    );
    table.raw_set("x", 1)?;
    assert_eq!(table.get::<_, i64>("x")?, 1);
    Ok(())
}

#[test]
fn the_length_respects_len_and_the_raw_length_does_not() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.create_sequence_from([1, 2, 3])?.len()?, 3);
    let counting = table(
        &lua,
        "return setmetatable({1}, {__len = function() return '17' end})",
    );
    assert_eq!(counting.len()?, 17);
    assert_eq!(counting.raw_len(), 1);
    // Lua 5.2 takes any number.
    let (length, refused) = match cfg!(feature = "lua52") {
        true => ("{}", "object length is not a number"),
        false => ("1.5", "object length is not an integer"),
    };
    let code = format!("return setmetatable({{}}, {{__len = function() return {length} end}})");
    let bad = table(&lua, &code);
    assert!(runtime_error(bad.len()).starts_with(refused));
    assert!(runtime_error(bad.push(1)).starts_with(refused));
    assert!(runtime_error(bad.pop::<Value>()).starts_with(refused));
    Ok(())
}

#[test]
fn a_table_is_empty_if_it_has_no_field_of_any_kind() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    assert!(table.is_empty());
    table.set("x", 1)?;
    assert!(!table.is_empty());
    table.set("x", Nil)?;
    assert!(table.is_empty());
    table.push(1)?;
    assert!(!table.is_empty());
    Ok(())
}

#[test]
fn clear_removes_all_fields() -> Result<()> {
    let lua = Lua::new();
    let table = table(
        &lua,
        "local t = setmetatable({}, {__newindex = error, __pairs = error})
         for i = 1, 100 do rawset(t, i, i) rawset(t, 'k' .. i, i) rawset(t, i + 0.5, {}) end
         return t",
    );
    table.clear()?;
    assert!(table.is_empty());
    assert_eq!(table.raw_len(), 0);
    assert!(table.has_metatable());
    Ok(())
}

#[test]
fn push_and_pop_work_at_the_end_of_the_list() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_table()?;
    list.push("a")?;
    list.raw_push("b")?;
    list.push(Nil)?;
    assert_eq!(list, ["a", "b"]);
    assert_eq!(list.pop::<String>()?, "b");
    assert_eq!(list.raw_pop::<String>()?, "a");
    assert!(matches!(list.pop()?, Nil));
    assert!(matches!(list.raw_pop()?, Nil));
    assert!(list.is_empty());
    Ok(())
}

#[test]
fn pop_takes_the_value_even_if_it_cannot_be_converted() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_sequence_from(["a", "b"])?;
    assert!(list.pop::<Table>().is_err());
    assert_eq!(list.raw_len(), 1);
    assert!(list.raw_pop::<Table>().is_err());
    assert_eq!(list.raw_len(), 0);
    Ok(())
}

#[test]
fn push_and_pop_respect_metamethods() -> Result<()> {
    let lua = Lua::new();
    let list = table(
        &lua,
        "local data = {10}
         return setmetatable({}, {
            __len = function() return #data end,
            __index = data,
            __newindex = function(_, k, v) data[k] = v end,
         })",
    );
    list.push(20)?;
    assert_eq!(list.len()?, 2);
    assert!(list.is_empty());
    assert_eq!(list.pop::<i64>()?, 20);
    assert_eq!(list.pop::<i64>()?, 10);
    assert_eq!(list.len()?, 0);
    list.raw_push(1)?;
    assert_eq!(list.raw_len(), 1);
    assert_eq!(list.raw_pop::<i64>()?, 1);
    Ok(())
}

#[test]
fn raw_insert_moves_values_up() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_sequence_from([2, 4])?;
    list.raw_insert(1, 1)?;
    list.raw_insert(3, 3)?;
    list.raw_insert(5, 5)?;
    assert_eq!(list, [1, 2, 3, 4, 5]);
    for position in [0, -1, 7, mlua::Integer::MIN, mlua::Integer::MAX] {
        assert_eq!(
            runtime_error(list.raw_insert(position, 0)),
            "index out of bounds"
        );
    }
    Ok(())
}

#[test]
fn raw_remove_moves_values_down_for_integers_only() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_sequence_from([1, 2, 3, 4])?;
    list.raw_remove(1)?;
    assert_eq!(list, [2, 3, 4]);
    list.raw_remove(3)?;
    assert_eq!(list, [2, 3]);
    // Where all numbers are floats, these two are no positions.
    let extremes: &[i64] = if cfg!(lua_ge_53) {
        &[i64::MIN, i64::MAX]
    } else {
        &[]
    };
    for &position in [0, -1, 3].iter().chain(extremes) {
        assert_eq!(
            runtime_error(list.raw_remove(position)),
            "index out of bounds"
        );
    }
    list.raw_remove(1.0)?;
    if cfg!(lua_ge_53) {
        assert!(matches!(list.get(1)?, Nil));
        assert_eq!(list.get::<_, i64>(2)?, 3);
    } else {
        assert_eq!(list, [3]);
    }
    list.set("key", 1)?;
    list.raw_remove("key")?;
    list.raw_remove("missing")?;
    assert!(!list.contains_key("key")?);
    Ok(())
}

#[test]
fn raw_seti_sets_a_position() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_table()?;
    list.raw_seti(1, "a")?;
    list.raw_seti(0, "zero")?;
    assert_eq!(list, ["a"]);
    assert_eq!(list.get::<_, String>(0)?, "zero");
    assert!(list.raw_seti(usize::MAX, 1).is_err());
    Ok(())
}

#[test]
fn a_table_compares_with_a_slice_as_a_list() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_sequence_from([1, 2, 3])?;
    assert_eq!(list, [1, 2, 3]);
    assert_eq!(list, [1, 2, 3][..]);
    assert_eq!(list, &[1.0, 2.0, 3.0][..]);
    assert_eq!(list, [Some(1), Some(2), Some(3), None]);
    assert_ne!(list, [1, 2]);
    assert_ne!(list, [1, 2, 3, 4]);
    assert_ne!(list, ["1", "2", "3"]);
    Ok(())
}

#[test]
fn lists_keep_the_places_of_nils() -> Result<()> {
    let lua = Lua::new();
    let list = lua.create_sequence_from([Some(1), None, Some(3)])?;
    assert_eq!(list.get::<_, i64>(3)?, 3);
    Ok(())
}

#[test]
fn equals_asks_eq_of_either_side() -> Result<()> {
    let lua = Lua::new();
    let plain = lua.create_table()?;
    let eager = table(
        &lua,
        "return setmetatable({}, {__eq = function() return 1 end})",
    );
    let failing = table(
        &lua,
        "return setmetatable({}, {__eq = function() error('no') end})",
    );
    let broken = table(&lua, "return setmetatable({}, {__eq = 5})");
    assert!(plain.equals(&plain)?);
    assert!(!plain.equals(lua.create_table()?)?);
    assert!(eager.equals(&plain)?);
    assert!(plain.equals(&eager)?);
    assert!(eager.equals(&failing)?);
    assert!(failing.equals(failing.clone())?);
    assert!(runtime_error(failing.equals(&plain)).contains("no"));
    assert!(broken.equals(&plain).is_err());
    assert!(eager != plain);
    Ok(())
}

#[test]
fn metatables_are_set_read_and_removed() -> Result<()> {
    let lua = Lua::new();
    let (table, metatable) = (lua.create_table()?, lua.create_table()?);
    metatable.set("__metatable", "locked")?;
    assert!(table.get_metatable().is_none());
    table.set_metatable(Some(metatable.clone()));
    assert!(table.get_metatable() == Some(metatable));
    assert!(table.has_metatable());
    table.set_metatable(None);
    assert!(!table.has_metatable());
    Ok(())
}

#[test]
fn pairs_visits_every_field_once() -> Result<()> {
    let lua = Lua::new();
    let table = table(
        &lua,
        "local t = {true, false, 'c', [true] = 1, [false] = 2, [1.5] = 3, [(io and io.stdout or newproxy())] = 4, [print] = 5, [{}] = 6}
         for i = 1, 50 do t['k' .. i] = i end
         return setmetatable(t, {__pairs = error, __index = error})",
    );
    let mut n = 0;
    for pair in table.clone().pairs::<Value, Value>() {
        let (key, value) = pair?;
        n += 1;
        let stored: Value = table.raw_get(key)?;
        assert_eq!(format!("{stored:?}"), format!("{value:?}"));
    }
    assert_eq!(n, 59);
    let mut visited = 0;
    table.for_each(|_: Value, _: Value| {
        visited += 1;
        Ok(())
    })?;
    assert_eq!(visited, 59);
    Ok(())
}

/// Each step reads its key in one of several ways, and all of them have to leave the same place behind.
#[test]
fn plain_pairs_go_from_keys_of_one_kind_to_those_of_another() -> Result<()> {
    let lua = Lua::new();
    let mixed = table(
        &lua,
        "local t = {} for i = 1, 40 do t[i] = i t['k' .. i] = i t[i + 0.5] = i t[-i] = i t[tostring(100 + i)] = i end
         return t",
    );
    let by_name = mixed.clone().pairs::<String, i64>();
    let names: HashMap<_, _> = by_name.collect::<Result<_>>()?;
    assert_eq!(names.len(), 200);
    assert_eq!((names["k7"], names["7"], names["107"]), (7, 7, 7));
    assert_eq!((names["7.5"], names["-7"]), (7, 7));
    let numbers = table(
        &lua,
        "local t = {} for i = 1, 40 do t[i] = i t[tostring(100 + i)] = i t[-i] = i t[tostring(200 + i)] = i end return t",
    );
    let by_number = numbers.pairs::<i16, i64>();
    let numbers: HashMap<_, _> = by_number.collect::<Result<_>>()?;
    assert_eq!(numbers.len(), 160);
    assert_eq!((numbers[&7], numbers[&-7], numbers[&107]), (7, 7, 7));
    let far = table(&lua, "return {[70000] = 1}").pairs::<i16, i64>();
    assert!(far.collect::<Result<Vec<_>>>().is_err());
    Ok(())
}

#[test]
fn pairs_ends_and_stays_at_its_end() -> Result<()> {
    let lua = Lua::new();
    let mut none = lua.create_table()?.pairs::<Value, Value>();
    assert!(none.next().is_none());
    assert!(none.next().is_none());
    let mut one = lua.create_table_from([("a", 1)])?.pairs::<String, i64>();
    assert_eq!(one.next().unwrap()?, ("a".to_owned(), 1));
    assert!(one.next().is_none());
    assert!(one.next().is_none());
    Ok(())
}

#[test]
fn pairs_ends_with_the_first_failed_conversion() -> Result<()> {
    let lua = Lua::new();
    let list = table(&lua, "return {1, {}, 3}");
    let values: Vec<_> = list.clone().pairs::<i64, i64>().collect();
    assert_eq!(values.len(), 2);
    assert!(values[1].is_err());
    let mut calls = 0;
    let result = list.for_each(|_: i64, _: i64| {
        calls += 1;
        Ok(())
    });
    assert!(result.is_err());
    assert_eq!(calls, 1);
    let stopped = list.for_each(|_: i64, _: Value| Err(Error::runtime("enough")));
    assert_eq!(runtime_error(stopped), "enough");
    Ok(())
}

#[test]
fn fields_can_be_removed_while_iterating() -> Result<()> {
    let lua = Lua::new();
    let fields = || (0..200).map(|i| (format!("key{i}"), i));
    let table = lua.create_table_from(fields())?;
    let mut n = 0;
    for pair in table.clone().pairs::<String, i64>() {
        let (key, _) = pair?;
        table.set(key, Nil)?;
        n += 1;
    }
    assert_eq!(n, 200);
    assert!(table.is_empty());
    let table = lua.create_table_from(fields())?;
    let mut n = 0;
    table.for_each(|key: Value, _: i64| {
        n += 1;
        table.set(key, Nil)?;
        lua.gc_collect()
    })?;
    assert_eq!(n, 200);
    let table = lua.create_table_from(fields())?;
    let mut n = 0;
    table.for_each(|_: String, _: i64| {
        n += 1;
        table.clear()
    })?;
    assert_eq!(n, 1);
    Ok(())
}

#[test]
fn a_key_that_got_lost_while_iterating_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let replace = |table: &Table, key: String| -> Result<()> {
        table.set(key, Nil)?;
        for i in 0..2000 {
            table.set(i, i)?;
            table.set(format!("new{i}"), i)?;
        }
        lua.gc_collect()
    };
    let fields = || (0..100).map(|i| (format!("key{i}"), i));
    let table = lua.create_table_from(fields())?;
    let mut pairs = table.clone().pairs::<String, i64>();
    let (key, _) = pairs.next().unwrap()?;
    replace(&table, key)?;
    assert!(runtime_error(pairs.next().unwrap()).starts_with("invalid key to 'next'"));
    assert!(pairs.next().is_none());
    let table = lua.create_table_from(fields())?;
    let result = table.for_each(|key: String, _: i64| replace(&table, key));
    assert!(runtime_error(result).starts_with("invalid key to 'next'"));
    Ok(())
}

#[test]
fn an_iteration_may_be_left_and_nested() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table_from((0..10).map(|i| (format!("key{i}"), i)))?;
    let mut n = 0;
    for outer in table.clone().pairs::<String, i64>() {
        for inner in table.clone().pairs::<String, i64>().take(5) {
            assert!(outer.is_ok() && inner.is_ok());
            n += 1;
        }
    }
    assert_eq!(n, 50);
    let mut sum = 0;
    table.for_each(|_: String, a: i64| {
        table.for_each(|_: String, b: i64| {
            sum += a * b;
            Ok(())
        })
    })?;
    assert_eq!(sum, 45 * 45);
    Ok(())
}

#[test]
fn sequence_values_ends_at_the_first_nil_and_ignores_metamethods() -> Result<()> {
    let lua = Lua::new();
    let list = table(
        &lua,
        "return setmetatable({1, 2, nil, 4}, {__index = function(_, k) return k end})",
    );
    let values = |list: Table| -> Result<Vec<i64>> { list.sequence_values().collect() };
    assert_eq!(values(list.clone())?, [1, 2]);
    let raw: Result<Vec<i64>> = list.clone().raw_sequence_values().collect();
    assert_eq!(raw?, [1, 2]);
    assert!(values(lua.create_table()?)?.is_empty());
    let mixed: Vec<_> = table(&lua, "return {1, {}, 3}")
        .sequence_values::<i64>()
        .collect();
    assert_eq!(mixed.len(), 3);
    assert!(mixed[1].is_err());
    assert_eq!(*mixed[2].as_ref().unwrap(), 3);
    Ok(())
}

#[test]
fn tables_and_their_functions_are_called() -> Result<()> {
    let lua = Lua::new();
    let table = table(
        &lua,
        "return setmetatable(
            {base = 10, add = function(self, n) return self.base + n end, twice = function(n) return n * 2 end, x = 1},
            {__call = function(self, a, b) return a + b end}
        )",
    );
    assert_eq!(table.call::<_, i64>((1, 2))?, 3);
    assert_eq!(table.call_method::<_, i64>("add", 5)?, 15);
    assert_eq!(table.call_function::<_, i64>("twice", 5)?, 10);
    assert!(table.call_function::<_, i64>("missing", ()).is_err());
    assert!(table.call_method::<_, i64>("x", ()).is_err());
    let message = runtime_error(lua.create_table()?.call::<_, Value>(()));
    assert!(
        message.starts_with("attempt to call a table value"),
        "{message}"
    );
    Ok(())
}

#[test]
fn tables_of_another_instance_are_errors() -> Result<()> {
    let (lua, other) = (Lua::new(), Lua::new());
    let (table, foreign) = (lua.create_table()?, other.create_table()?);
    assert!(matches!(
        table.set("x", foreign.clone()),
        Err(Error::MismatchedLua)
    ));
    assert!(matches!(
        table.get::<_, Value>(foreign.clone()),
        Err(Error::MismatchedLua)
    ));
    assert!(matches!(table.equals(&foreign), Err(Error::MismatchedLua)));
    assert!(table != foreign);
    assert!(table.is_empty());
    Ok(())
}

#[test]
fn everything_works_under_a_memory_limit_and_fails_cleanly_at_it() -> Result<()> {
    let lua = Lua::new();
    lua.set_memory_limit(lua.used_memory() + (1 << 20))?;
    let list = lua.create_sequence_from([1, 2, 3])?;
    list.push(4)?;
    list.raw_insert(1, 0)?;
    list.raw_remove(2)?;
    list.raw_seti(5, 5)?;
    list.set("key", "value")?;
    assert_eq!(list.raw_pop::<i64>()?, 5);
    assert_eq!(list, [0, 2, 3, 4]);
    let fields = lua.create_table_from((0..100).map(|i| (format!("key{i}"), i)))?;
    assert_eq!(fields.pairs::<String, i64>().count(), 100);
    let mut n = 0;
    let failed = loop {
        n += 1;
        if let Err(error) = list.raw_push(n) {
            break error;
        }
    };
    assert!(matches!(failed, Error::MemoryError(_)), "{failed:?}");
    assert_eq!(list.raw_len(), n as usize + 3);
    let endless = lua.create_sequence_from(0..10_000_000);
    assert!(matches!(endless, Err(Error::MemoryError(_))));
    Ok(())
}

#[test]
fn conversions_may_use_the_table_meanwhile() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    struct Nested<'a>(&'a Table<'a>, i64);
    impl<'lua: 'a, 'a> mlua::IntoLua<'lua> for Nested<'a> {
        fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
            if self.1 > 0 {
                self.0.set(self.1, self.1)?;
                Nested(self.0, self.1 - 1).into_lua(lua)?;
            }
            lua.create_table_from([(self.1, self.1)]).map(Value::Table)
        }
    }
    table.set(Nested(&table, 100), Nested(&table, 50))?;
    assert_eq!(table.raw_len(), 100);
    let made = lua.create_sequence_from((0..10).map(|i| Nested(&table, i)))?;
    assert_eq!(made.raw_len(), 10);
    Ok(())
}

#[test]
fn many_tables_at_once() -> Result<()> {
    let lua = Lua::new();
    // More than one reference thread has room for.
    let fields = lua.create_table_from((0..100).map(|i| (format!("key{i}"), i)))?;
    let tables: Vec<Table> = (0..70_000)
        .map(|i| lua.create_table_from([("id", i)]))
        .collect::<Result<_>>()?;
    lua.gc_collect()?;
    for (i, table) in tables.iter().enumerate() {
        assert_eq!(table.get::<_, usize>("id")?, i);
    }
    assert_eq!(fields.pairs::<String, i64>().flatten().count(), 100);
    Ok(())
}

#[test]
fn chains_of_index_tables_are_followed_to_their_end() -> Result<()> {
    let lua = Lua::new();
    let chain = |levels: i64, last: &str| -> Table {
        lua.load(format!(
            "local t = {last}
             for i = 1, {levels} do t = setmetatable({{['own' .. i] = i}}, {{__index = t}}) end
             return t"
        ))
        .eval()
        .unwrap()
    };
    for levels in [1, 2, 7, 8, 9, 50] {
        let plain = chain(levels, "{deep = 'found'}");
        assert_eq!(plain.get::<_, String>("deep")?, "found");
        assert_eq!(plain.get::<_, i64>("own1")?, 1);
        assert!(!plain.contains_key("missing")?);
        let computed = chain(
            levels,
            "setmetatable({}, {__index = function(_, k) return k .. '!' end})",
        );
        assert_eq!(computed.get::<_, String>("x")?, "x!");
        let of_string = chain(levels, "setmetatable({}, {__index = 'text'})");
        assert!(of_string.contains_key("len")?);
    }
    let looping = table(&lua, "local t = {} return setmetatable(t, {__index = t})");
    let text = if cfg!(any(
        feature = "lua51",
        feature = "luajit",
        feature = "lua52"
    )) {
        "loop in gettable"
    } else {
        "__index"
    };
    assert!(runtime_error(looping.get::<_, Value>("x")).contains(text));
    Ok(())
}

#[test]
fn newindex_is_for_new_fields_and_may_be_a_table() -> Result<()> {
    let lua = Lua::new();
    let target = lua.create_table()?;
    let metatable = lua.create_table_from([("__newindex", target.clone())])?;
    let table = lua.create_table_from([("old", 1)])?;
    table.set_metatable(Some(metatable.clone()));
    table.set("old", 2)?;
    table.set("new", 3)?;
    assert_eq!(table.raw_get::<_, i64>("old")?, 2);
    assert!(matches!(table.raw_get("new")?, Nil));
    assert_eq!(target.get::<_, i64>("new")?, 3);
    metatable.set("__newindex", Nil)?;
    table.set("new", 4)?;
    assert_eq!(table.raw_get::<_, i64>("new")?, 4);
    assert!(runtime_error(table.set(Nil, 1)).starts_with("table index is nil"));
    Ok(())
}

#[test]
fn positions_are_set_by_metamethod_only_if_new() -> Result<()> {
    let lua = Lua::new();
    let target = lua.create_table()?;
    let table = lua.create_sequence_from(["one"])?;
    table.set_metatable(Some(
        lua.create_table_from([("__newindex", target.clone())])?,
    ));
    table.set(1, "uno")?;
    table.set(2, "due")?;
    assert_eq!(table, ["uno"]);
    assert_eq!(target.get::<_, String>(2)?, "due");
    table.raw_set(2, "two")?;
    assert_eq!(table, ["uno", "two"]);
    table.set(u64::MAX, "large")?;
    assert_eq!(target.get::<_, String>(u64::MAX as f64)?, "large");
    Ok(())
}

#[test]
fn lost_integer_keys_are_noticed_while_iterating() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table_from((0..50).map(|i| (i * 1000, i)))?;
    let mut pairs = table.clone().pairs::<i64, i64>();
    let (key, _) = pairs.next().unwrap()?;
    table.set(key, Nil)?;
    assert!(pairs.next().unwrap().is_ok());
    let (key, _) = pairs.next().unwrap()?;
    table.set(key, Nil)?;
    for i in 0..2000 {
        table.set(format!("new{i}"), i)?;
    }
    assert!(runtime_error(pairs.next().unwrap()).starts_with("invalid key to 'next'"));
    Ok(())
}

#[test]
fn debug_shows_the_address_or_the_contents() -> Result<()> {
    let lua = Lua::new();
    let table = table(
        &lua,
        "local t = {1, 'two', {x = {}}, [true] = 1.5} t.self = t return t",
    );
    let address = table.to_pointer();
    assert_eq!(format!("{table:?}"), format!("Table(Ref({address:?}))"));
    let shown = format!(
        r#"{{
  [true] = 1.5,
  [1] = 1,
  [2] = "two",
  [3] = {{
    ["x"] = {{}},
  }},
  ["self"] = table: {address:?},
}}"#
    );
    assert_eq!(format!("{table:#?}"), shown);
    Ok(())
}

#[test]
fn deep_tables_can_be_shown() -> Result<()> {
    let lua = Lua::new();
    let deep = table(
        &lua,
        "local t = {} for i = 1, 10000 do t = {t} end return t",
    );
    assert!(format!("{deep:#?}").contains("table: 0x"));
    Ok(())
}
