//! Serialising and deserialising (feature `serialize`).
#![cfg(feature = "serialize")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::Arc;

use mlua::{
    DeserializeOptions, Error, Function, Lua, LuaSerdeExt, Result, SerializeOptions, Table,
    UserData, Value,
};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Record {
    id: u32,
    name: Option<String>,
    scores: Vec<f64>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum Shape {
    Empty,
    Circle(f64),
    Rect(i32, i32),
    Named { name: String },
}

fn lua() -> Lua {
    let lua = Lua::new();
    lua.globals().set("null", lua.null()).unwrap();
    lua.globals().set("array", lua.array_metatable()).unwrap();
    lua
}

fn read<T: DeserializeOwned>(lua: &Lua, source: &str) -> Result<T> {
    lua.from_value(lua.load(source).eval()?)
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.unwrap_err() {
        Error::DeserializeError(message) | Error::SerializeError(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn structs_make_the_round_trip() -> Result<()> {
    let lua = lua();
    let record = Record {
        id: 7,
        name: Some("x".into()),
        scores: vec![1.0, 2.5],
    };
    let value = lua.to_value(&record)?;
    assert_eq!(lua.from_value::<Record>(value)?, record);

    let none = Record {
        name: None,
        ..record
    };
    let value = lua.to_value(&none)?;
    assert!(value.as_table().unwrap().get::<_, Value>("name")?.is_null());
    assert_eq!(lua.from_value::<Record>(value)?, none);
    Ok(())
}

#[test]
fn variants_of_enums_make_the_round_trip() -> Result<()> {
    let lua = lua();
    let shapes = [
        Shape::Empty,
        Shape::Circle(1.5),
        Shape::Rect(2, 3),
        Shape::Named { name: "n".into() },
    ];
    for shape in shapes {
        let value = lua.to_value(&shape)?;
        assert_eq!(lua.from_value::<Shape>(value)?, shape);
    }
    assert_eq!(
        message(read::<Shape>(&lua, "return { Circle = 1, Rect = 2 }")),
        "invalid value: map, expected map with a single key"
    );
    assert_eq!(message(read::<Shape>(&lua, "return 1")), "bad enum value");
    Ok(())
}

#[test]
fn tables_of_all_sizes_are_read_whole() -> Result<()> {
    let lua = lua();
    for n in [0, 1, 15, 16, 17, 31, 32, 33, 100, 1000] {
        let map: BTreeMap<String, u32> = (0..n).map(|i| (format!("key {i}"), i)).collect();
        let value = lua.to_value(&map)?;
        assert_eq!(lua.from_value::<BTreeMap<String, u32>>(value.clone())?, map);
        let sorted = value.to_serializable().sort_keys(true);
        assert_eq!(
            serde_json::to_string(&sorted).unwrap(),
            serde_json::to_string(&map).unwrap()
        );
        let list: Vec<u32> = (0..n).collect();
        assert_eq!(lua.from_value::<Vec<u32>>(lua.to_value(&list)?)?, list);
    }
    Ok(())
}

#[test]
fn numbers_are_integers_where_they_fit() -> Result<()> {
    let lua = lua();
    assert_eq!(lua.to_value(&u64::MAX)?.as_number(), Some(u64::MAX as f64));
    assert_eq!(
        lua.to_value(&mlua::Integer::MIN)?.as_integer(),
        Some(mlua::Integer::MIN)
    );
    assert_eq!(lua.to_value(&5i128)?.as_integer(), Some(5));
    assert_eq!(
        lua.to_value(&u128::MAX)?.as_number(),
        Some(u128::MAX as f64)
    );
    assert_eq!(read::<i128>(&lua, "return -5")?, -5);
    assert!(read::<u8>(&lua, "return 256").is_err());
    Ok(())
}

#[test]
fn numbers_of_arbitrary_precision_are_detected_if_asked_for() -> Result<()> {
    let lua = lua();
    let document: serde_json::Value = serde_json::from_str(r#"[1, 2.5, 1e400]"#).unwrap();
    let options = SerializeOptions::new().detect_serde_json_arbitrary_precision(true);
    let value = lua.to_value_with(&document, options)?;
    let list = value.as_table().unwrap();
    assert_eq!(list.get::<_, i64>(1)?, 1);
    assert_eq!(list.get::<_, f64>(2)?, 2.5);
    assert_eq!(list.get::<_, f64>(3)?, f64::INFINITY);
    assert_eq!(list.get::<_, Value>(1)?.type_name(), "integer");

    let value = document.serialize(mlua::serde::Serializer::new_with_options(&lua, options))?;
    assert_eq!(value.as_table().unwrap().get::<_, i64>(1)?, 1);
    Ok(())
}

#[test]
fn options_of_the_serializer() -> Result<()> {
    let lua = lua();
    let options = SerializeOptions::new()
        .set_array_metatable(false)
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false);
    let list = lua.to_value_with(&[Some(1), None, Some(3)], options)?;
    let list = list.as_table().unwrap();
    assert!(list.get_metatable().is_none());
    assert!(list.get::<_, Value>(2)?.is_nil());
    assert!(lua.to_value_with(&(), options)?.is_nil());

    let list = lua.to_value(&[None::<u8>])?;
    let list = list.as_table().unwrap();
    assert_eq!(list.get_metatable(), Some(lua.array_metatable()));
    assert!(list.get::<_, Value>(1)?.is_null());
    Ok(())
}

#[test]
fn what_cannot_be_a_key_is_an_error() {
    struct NanKey;
    impl Serialize for NanKey {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry(&f64::NAN, &1)?;
            map.end()
        }
    }
    let lua = lua();
    assert_eq!(
        message(lua.to_value(&NanKey)),
        "NaN cannot be a key of a Lua table"
    );
    let options = SerializeOptions::new().serialize_none_to_null(false);
    let map = BTreeMap::from([(None::<u8>, 1)]);
    let result = lua.to_value_with(&map, options);
    assert_eq!(message(result), "nil cannot be a key of a Lua table");
}

#[test]
fn an_empty_table_is_a_map_unless_it_is_marked_as_a_list() -> Result<()> {
    let lua = lua();
    assert_eq!(read::<serde_json::Value>(&lua, "return {}")?, json!({}));
    let marked = "return setmetatable({ a = 1 }, array)";
    assert_eq!(read::<serde_json::Value>(&lua, marked)?, json!([]));
    assert!(read::<Vec<u8>>(&lua, "return {}")?.is_empty());
    assert_eq!(
        read::<serde_json::Value>(&lua, "return { 1, 2, a = 3 }")?,
        json!([1, 2])
    );
    assert_eq!(
        message(read::<(u8, u8)>(&lua, "return { 1, 2, 3 }")),
        "invalid length 3, expected fewer elements in the table"
    );
    Ok(())
}

#[test]
fn unsupported_types_are_denied_or_left_out() -> Result<()> {
    let lua = lua();
    let source = "return { a = print, b = { 1, print, coroutine.create(function() end), 2 } }";
    assert_eq!(
        message(read::<serde_json::Value>(&lua, source)),
        "unsupported value type `function`"
    );
    let options = DeserializeOptions::new().deny_unsupported_types(false);
    let value: Value = lua.load(source).eval()?;
    let document: serde_json::Value = lua.from_value_with(value.clone(), options)?;
    assert_eq!(document, json!({ "b": [1, 2] }));

    let error = serde_json::to_string(&value).unwrap_err();
    assert_eq!(error.to_string(), "cannot serialize <function>");
    Ok(())
}

#[test]
fn recursive_tables_are_denied_or_left_out() -> Result<()> {
    let lua = lua();
    let value: Value = lua.load("t = { a = 1 } t.t = t return { t, t }").eval()?;
    let denied = lua.from_value::<serde_json::Value>(value.clone());
    assert_eq!(message(denied), "recursive table detected");
    let error = serde_json::to_string(&value).unwrap_err();
    assert_eq!(error.to_string(), "recursive table detected");

    let options = DeserializeOptions::new().deny_recursive_tables(false);
    let document: serde_json::Value = lua.from_value_with(value.clone(), options)?;
    assert_eq!(document, json!([{ "a": 1 }, { "a": 1 }]));
    let lenient = value.to_serializable().deny_recursive_tables(false);
    let text = serde_json::to_string(&lenient).unwrap();
    assert_eq!(text, r#"[{"a":1},{"a":1}]"#);
    Ok(())
}

#[test]
fn tables_nested_without_end_are_an_error() -> Result<()> {
    #[derive(Deserialize, Debug)]
    struct Nest(#[allow(dead_code)] Vec<Nest>);

    let lua = lua();
    let build = "local n = ... local t = {} for i = 1, n do t = { t } end return t";
    let build: Function = lua.load(build).into_function()?;
    assert!(lua.from_value::<Nest>(build.call(128)?).is_ok());
    let deep: Value = build.call(100_000)?;
    let denied = lua.from_value::<Nest>(deep.clone());
    assert_eq!(message(denied), "tables are nested too deeply");
    let denied = lua.from_value::<serde_json::Value>(deep.clone());
    assert_eq!(message(denied), "tables are nested too deeply");
    let denied = lua.to_value(&deep);
    assert_eq!(message(denied), "tables are nested too deeply");
    let denied = serde_json::to_string(&deep).unwrap_err();
    assert_eq!(denied.to_string(), "tables are nested too deeply");
    Ok(())
}

#[test]
fn userdata_of_a_scope_can_be_serialised() -> Result<()> {
    #[derive(Serialize)]
    struct Point(i32, i32);
    impl UserData for Point {}
    let lua = lua();
    lua.scope(|scope| {
        let point = scope.create_ser_userdata(Point(1, 2))?;
        assert_eq!(serde_json::to_string(&point).unwrap(), "[1,2]");
        Ok(())
    })
}

#[test]
fn a_serializer_in_another_call_is_an_error() -> Result<()> {
    /// Adds an element from inside of a function that Lua calls.
    struct Carried<'lua>(&'lua Lua);
    impl Serialize for Carried<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(None)?;
            list.serialize_element("before")?;
            let done = self.0.scope(|scope| {
                let add = scope.create_function_mut(|_, ()| {
                    assert!(list.serialize_element("inside").is_err());
                    Ok(())
                })?;
                let call: Function = self.0.load("local add = ... add() add()").into_function()?;
                call.call::<_, ()>(add)
            });
            done.unwrap();
            list.serialize_element("after")?;
            list.end()
        }
    }
    let lua = lua();
    let value = lua.to_value(&Carried(&lua))?;
    assert_eq!(lua.from_value::<Vec<String>>(value)?, ["before", "after"]);
    Ok(())
}

#[test]
fn userdata_count_as_what_they_serialise_to() -> Result<()> {
    #[derive(Serialize)]
    struct Point {
        x: i32,
        y: Vec<i32>,
    }
    impl UserData for Point {}
    let lua = lua();
    let point = lua.create_ser_userdata(Point { x: 1, y: vec![2] })?;
    assert_eq!(serde_json::to_string(&point).unwrap(), r#"{"x":1,"y":[2]}"#);
    let list = lua.create_sequence_from([point.clone()])?;
    let read: Vec<HashMap<String, serde_json::Value>> = lua.from_value(Value::Table(list))?;
    assert_eq!(read[0]["y"], json!([2]));
    let copy = lua.to_value(&point)?;
    assert_eq!(copy.as_table().unwrap().get::<_, i32>("x")?, 1);

    let borrowed = point.borrow_mut::<Point>()?;
    let error = serde_json::to_string(&point).unwrap_err();
    assert_eq!(error.to_string(), "error borrowing userdata");
    drop(borrowed);
    point.take::<Point>()?;
    let error = serde_json::to_string(&point).unwrap_err();
    assert_eq!(error.to_string(), "userdata has been destructed");

    // Of the same type, but not made for it.
    let (with, without) = (
        lua.create_ser_any_userdata(5u8)?,
        lua.create_any_userdata(5u8)?,
    );
    assert_eq!(serde_json::to_string(&with).unwrap(), "5");
    let error = serde_json::to_string(&without).unwrap_err();
    assert_eq!(error.to_string(), "cannot serialize <userdata>");
    Ok(())
}

#[test]
fn lua_values_can_be_part_of_what_is_serialised() -> Result<()> {
    #[derive(Serialize)]
    struct Outer<'lua> {
        before: u8,
        table: Table<'lua>,
        values: Vec<Value<'lua>>,
    }
    let lua = lua();
    let outer = Outer {
        before: 1,
        table: lua.load("{ a = { 1, 2, { b = 'x' } } }").eval()?,
        values: vec![Value::Nil, lua.load("{ 3 }").eval()?, Value::NULL],
    };
    let copy: serde_json::Value = lua.from_value(lua.to_value(&outer)?)?;
    let expected = json!({
        "before": 1,
        "table": { "a": [1, 2, { "b": "x" }] },
        "values": [null, [3], null],
    });
    assert_eq!(copy, expected);
    Ok(())
}

#[test]
fn bytes_that_are_no_text_stay_bytes() -> Result<()> {
    let lua = lua();
    let value = Value::String(lua.create_string(b"\xff\0")?);
    assert_eq!(serde_json::to_string(&value).unwrap(), "[255,0]");
    let copy = lua.to_value(&value)?;
    assert_eq!(copy.as_string().unwrap().as_bytes(), b"\xff\0");
    Ok(())
}

#[test]
fn the_serializer_and_the_deserializer_work_by_themselves() -> Result<()> {
    let lua = lua();
    let record = Record {
        id: 1,
        name: None,
        scores: vec![0.5],
    };
    let value = record.serialize(mlua::serde::Serializer::new(&lua))?;
    let copy = Record::deserialize(mlua::serde::Deserializer::new(value))?;
    assert_eq!(copy, record);
    for shape in [Shape::Rect(1, 2), Shape::Named { name: "n".into() }] {
        let value = shape.serialize(mlua::serde::ser::Serializer::new(&lua))?;
        let copy = Shape::deserialize(mlua::serde::de::Deserializer::new(value))?;
        assert_eq!(copy, shape);
    }
    Ok(())
}

/// Reads or writes a deep document, collects garbage, so that stacks become smaller, and goes on with the rest.
struct Rest<'a>(&'a Lua, Vec<serde_json::Value>);

impl<'de> Visitor<'de> for Rest<'_> {
    type Value = Vec<serde_json::Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(
        mut self,
        mut list: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        while let Some(document) = list.next_element()? {
            self.1.push(document);
            self.0.gc_collect().unwrap();
        }
        Ok(self.1)
    }
}

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for document in &self.1 {
            list.serialize_element(document)?;
            self.0.gc_collect().unwrap();
        }
        list.end()
    }
}

#[test]
fn stacks_have_room_for_what_is_as_deep_as_before() -> Result<()> {
    let lua = lua();
    let mut deep = json!({ "leaf": true });
    for level in 0..100 {
        deep = match level % 3 {
            0 => json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, deep]),
            _ => json!({ "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9,
                "j": 10, "k": 11, "l": 12, "m": 13, "n": 14, "o": 15, "p": 16, "q": 17, "in": deep }),
        };
    }
    let documents = vec![
        deep.clone(),
        json!([1]),
        deep.clone(),
        json!({ "deep": deep }),
    ];
    let value = lua.to_value(&Rest(&lua, documents.clone()))?;
    let rest = Rest(&lua, Vec::new());
    let read = mlua::serde::Deserializer::new(value).deserialize_seq(rest)?;
    assert_eq!(read, documents);
    Ok(())
}

#[test]
fn a_value_of_a_list_stays_for_as_long_as_it_is_read() -> Result<()> {
    let lua = lua();
    let source = "local t = {} for i = 1, 100 do t[i] = { i, { i + 1 }, 'text' .. i } end return t";
    let read: Vec<(u8, Vec<u8>, String)> = read(&lua, source)?;
    let expected = (1..=100).map(|i| (i, vec![i + 1], format!("text{i}")));
    assert_eq!(read, expected.collect::<Vec<_>>());
    let some = DeserializeOptions::new().deny_unsupported_types(false);
    let source = "local t = {} for i = 1, 100 do t[2 * i - 1], t[2 * i] = print, i end return t";
    let read: Vec<u8> = lua.from_value_with(lua.load(source).eval()?, some)?;
    assert_eq!(read, (1..=100).collect::<Vec<u8>>());
    Ok(())
}

#[test]
fn keys_that_come_alone_are_kept_until_their_values() -> Result<()> {
    struct Apart<'a, K>(&'a Lua, Vec<K>);
    impl<K: Serialize> Serialize for Apart<'_, K> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for (key, i) in self.1.iter().zip(0..) {
                map.serialize_key(key)?;
                self.0.gc_collect().unwrap();
                map.serialize_value(&i)?;
            }
            map.end()
        }
    }
    let lua = lua();
    let check = lua.load(
        "local t, keys = ... for i, key in ipairs(keys) do assert(t[key] == i - 1) end return true",
    );
    let check = check.into_function()?;
    let text = vec!["a".repeat(100), "b".into()];
    for (map, keys) in [
        (
            lua.to_value(&Apart(&lua, text.clone()))?,
            lua.to_value(&text)?,
        ),
        (
            lua.to_value(&Apart(&lua, vec![1.5, 2.0]))?,
            lua.to_value(&[1.5, 2.0])?,
        ),
        (
            lua.to_value(&Apart(&lua, vec![true, false]))?,
            lua.to_value(&[true, false])?,
        ),
        (
            lua.to_value(&Apart(&lua, vec![(); 1]))?,
            lua.to_value(&[()])?,
        ),
    ] {
        assert!(check.call::<_, bool>((map, keys))?);
    }
    Ok(())
}

/// A visitor that changes the table it reads: removes all that it has read and adds as much.
struct Churn<'a>(&'a Function<'a>);

impl<'de> Visitor<'de> for Churn<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<usize, A::Error> {
        let mut n = 0;
        while let Some((key, _)) = map.next_entry::<String, u32>()? {
            self.0.call::<_, ()>((key, n)).unwrap();
            n += 1;
            if n > 10_000 {
                break;
            }
        }
        Ok(n)
    }
}

#[test]
fn a_table_that_changes_while_it_is_read_is_no_harm() -> Result<()> {
    let lua = lua();
    let table: Table = lua
        .load("t = {} for i = 1, 50 do t['key' .. i] = i end return t")
        .eval()?;
    let change = lua.load("local k, n = ... t[k] = nil for i = 1, 5 do t['new' .. n .. i] = i end collectgarbage('step')");
    let change = change.into_function()?;
    let deserializer = mlua::serde::Deserializer::new(Value::Table(table));
    // Either it ends or it is an error.
    let _ = deserializer.deserialize_map(Churn(&change));
    assert_eq!(lua.load("1 + 1").eval::<u8>()?, 2);
    Ok(())
}

/// As `Churn`, and deaf to errors; its flag is set while the table is read.
struct Deaf<'a>(&'a Function<'a>, &'a AtomicBool);

impl<'de> Visitor<'de> for Deaf<'_> {
    /// How many fields came before the error, and what came after it.
    type Value = (u32, Vec<Option<String>>);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let (mut before, mut after) = (0, Vec::new());
        for n in 0..100 {
            self.1.store(true, Relaxed);
            let entry = map.next_entry::<String, u32>();
            self.1.store(false, Relaxed);
            match entry {
                Ok(Some((key, _))) if before == 0 => self.0.call::<_, ()>((key, n)).unwrap(),
                Err(_) if before == 0 => before = n,
                entry => after.push(entry?.map(|(key, _)| key)),
            }
        }
        Ok((before, after))
    }
}

#[test]
fn a_visitor_that_goes_on_after_an_error_is_no_harm() -> Result<()> {
    let lua = lua();
    let reading = Arc::new(AtomicBool::new(false));
    let walks = Arc::new(AtomicU32::new(0));
    let (meanwhile, count) = (reading.clone(), walks.clone());
    // Finalizers read tables as well, and run while the outer table is read.
    let finalizer = lua.create_function(move |lua, ()| {
        let lists: Value = lua.globals().get("lists")?;
        assert_eq!(
            lua.from_value::<Vec<Vec<u8>>>(lists)?,
            [vec![1, 2], vec![3]]
        );
        count.fetch_add(meanwhile.load(Relaxed).into(), Relaxed);
        Ok(())
    })?;
    lua.globals().set("finalizer", finalizer)?;
    let setup = "lists = {{1, 2}, {3}}
        pcall(collectgarbage, 'generational')
        local t = {} for i = 1, 50 do t['key' .. i] = i end return t";
    let table: Value = lua.load(setup).eval()?;
    // The last key of a chunk goes, and the table is made anew.
    let change = "local t, k, n = ...
        t[k] = nil
        if n == 15 then
            collectgarbage('stop')
            for i = 1, 1000 do t['new' .. i] = i end
            for i = 1, 5 do setmetatable({}, { __gc = finalizer }) end
            collectgarbage('restart')
        end";
    let change = lua.load(change).into_function()?.bind(table.clone())?;
    let visitor = Deaf(&change, &reading);
    // What comes after the error is left.
    let (before, after) = mlua::serde::Deserializer::new(table).deserialize_map(visitor)?;
    assert_eq!((before, after), (16, vec![None; 83]));
    assert!(!cfg!(feature = "lua54") || walks.load(Relaxed) > 0);
    assert!(lua
        .load("return ({}).nothing == nil and ({})[1] == nil")
        .eval::<bool>()?);
    assert_eq!(read::<Vec<u8>>(&lua, "{ 1, 2, 3 }")?, [1, 2, 3]);
    Ok(())
}

#[test]
fn a_list_can_be_filled_while_another_table_is_gone_through() -> Result<()> {
    struct Values<'lua>(Table<'lua>);
    impl Serialize for Values<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            let mut failed = None;
            let done = self.0.for_each(|key: Value, value: Value| {
                failed = map.serialize_entry(&key, &value).err();
                failed = failed.take().or(map.serialize_key(&"last").err());
                failed = failed.take().or(map.serialize_value(&value).err());
                Ok(())
            });
            done.unwrap();
            assert!(failed.is_none());
            map.end()
        }
    }
    let lua = lua();
    let table = lua.create_table_from([("a", 1), ("b", 2)])?;
    let copy: BTreeMap<String, u32> = lua.from_value(lua.to_value(&Values(table))?)?;
    assert_eq!((copy["a"], copy["b"], copy.len()), (1, 2, 3));
    Ok(())
}

#[test]
fn a_value_that_comes_while_the_stack_is_held_is_an_error() -> Result<()> {
    struct Late<'lua>(Table<'lua>);
    impl Serialize for Late<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let (mut serializer, mut result) = (Some(serializer), None);
            let done = self.0.for_each(|_: Value, _: Value| {
                if let Some(serializer) = serializer.take() {
                    result = Some(serializer.serialize_seq(None).and_then(|list| list.end()));
                }
                Ok(())
            });
            done.unwrap();
            result.unwrap()
        }
    }
    let lua = lua();
    let table = lua.create_table_from([("a", 1), ("b", 2)])?;
    assert!(lua.to_value(&[Late(table)]).is_err());
    assert_eq!(lua.load("1 + 1").eval::<u8>()?, 2);
    Ok(())
}

#[test]
fn a_failed_element_leaves_nothing_behind() -> Result<()> {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(None)?;
            list.serialize_element("lost")?;
            std::mem::forget(list);
            Err(serde::ser::Error::custom("broken"))
        }
    }
    struct Tolerant;
    impl Serialize for Tolerant {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(None)?;
            for _ in 0..100 {
                assert!(list.serialize_element(&Broken).is_err());
            }
            list.serialize_element("kept")?;
            list.end()
        }
    }
    let lua = lua();
    let value = lua.to_value(&Tolerant)?;
    assert_eq!(lua.from_value::<Vec<String>>(value)?, ["kept"]);
    assert_eq!(message(lua.to_value(&vec![Broken])), "broken");
    Ok(())
}

#[test]
fn a_cursor_used_in_the_middle_of_a_later_walk_is_an_error() -> Result<()> {
    thread_local!(static STEP: RefCell<Option<Box<dyn FnMut() -> bool>>> = const { RefCell::new(None) });

    /// Reads an element of another walk.
    struct Inner;
    impl<'de> Deserialize<'de> for Inner {
        fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
            struct V;
            impl<'de> Visitor<'de> for V {
                type Value = Inner;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a list")
                }
                fn visit_seq<A: SeqAccess<'de>>(
                    self,
                    mut list: A,
                ) -> std::result::Result<Inner, A::Error> {
                    let failed = STEP.with(|step| step.borrow_mut().as_mut().unwrap()());
                    assert!(failed);
                    while list.next_element::<u8>()?.is_some() {}
                    Ok(Inner)
                }
            }
            d.deserialize_seq(V)
        }
    }

    struct Outer<'a>(&'a Lua);
    impl<'de> Visitor<'de> for Outer<'_> {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(
            self,
            mut list: A,
        ) -> std::result::Result<Vec<u8>, A::Error> {
            let mut read = vec![list.next_element()?.unwrap()];
            let mut step = || list.next_element::<u8>().is_err();
            let step: &mut dyn FnMut() -> bool = &mut step;
            // SAFETY: it is taken out before `step` ends.
            let step: &'static mut dyn FnMut() -> bool = unsafe { std::mem::transmute(step) };
            STEP.with(|place| *place.borrow_mut() = Some(Box::new(step)));
            let value = self.0.load("{ 7, 8, 9 }").eval().unwrap();
            self.0.from_value::<Inner>(value).unwrap();
            STEP.with(|place| place.borrow_mut().take());
            while let Some(element) = list.next_element()? {
                read.push(element);
            }
            Ok(read)
        }
    }

    let lua = lua();
    let value: Value = lua.load("{ 1, 2, 3 }").eval()?;
    let read = mlua::serde::Deserializer::new(value).deserialize_seq(Outer(&lua))?;
    assert_eq!(read, [1, 2, 3]);
    Ok(())
}

#[test]
fn a_memory_limit_is_an_error() -> Result<()> {
    let lua = lua();
    let records: Vec<Record> = (0..200)
        .map(|id| Record {
            id,
            name: Some(format!("record {id}")),
            scores: vec![id.into()],
        })
        .collect();
    let used = lua.used_memory();
    let mut failed = 0;
    for more in (0..100_000).step_by(1_000) {
        lua.set_memory_limit(used + more)?;
        match lua.to_value(&records) {
            Ok(value) => {
                lua.set_memory_limit(0)?;
                assert_eq!(lua.from_value::<Vec<Record>>(value)?, records);
            }
            Err(Error::MemoryError(_)) => failed += 1,
            Err(other) => return Err(other),
        }
        lua.set_memory_limit(0)?;
        lua.gc_collect()?;
    }
    assert!(failed > 0);
    Ok(())
}
