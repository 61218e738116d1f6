//! `Value`: what it is, how it compares, how it prints.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::ptr;

use mlua::{Error, LightUserData, Lua, MultiValue, Nil, Result, Table, Value};

fn eval<'lua>(lua: &'lua Lua, source: &str) -> Value<'lua> {
    lua.load(source).eval().unwrap()
}

#[test]
fn each_kind_has_its_name() -> Result<()> {
    let lua = Lua::new();
    for (source, name) in [
        ("nil", "nil"),
        ("true", "boolean"),
        ("1", "integer"),
        ("1.5", "number"),
        #[cfg(lua_ge_53)]
        ("1.0", "number"),
        ("'1'", "string"),
        ("{}", "table"),
        ("print", "function"),
        ("coroutine.create(function() end)", "thread"),
        ("(io and io.stdout or newproxy())", "userdata"),
    ] {
        assert_eq!(eval(&lua, source).type_name(), name);
    }
    assert_eq!(Value::NULL.type_name(), "lightuserdata");
    assert_eq!(Value::Error(Error::StackError).type_name(), "error");
    Ok(())
}

#[test]
fn is_and_as_tell_the_kinds_apart() {
    let lua = Lua::new();
    assert!(Nil.is_nil() && !Nil.is_null() && !Nil.is_boolean());
    assert!(Value::NULL.is_null() && Value::NULL.is_light_userdata());
    assert!(!Value::NULL.is_userdata());
    let address = LightUserData(8 as *mut c_void);
    assert_eq!(
        Value::LightUserData(address).as_light_userdata(),
        Some(address)
    );
    assert!(!Value::LightUserData(address).is_null());
    assert_eq!(Value::Boolean(true).as_boolean(), Some(true));
    assert_eq!(Value::Integer(1).as_boolean(), None);

    let (table, function) = (eval(&lua, "{}"), eval(&lua, "print"));
    assert!(table.is_table() && table.as_table().is_some() && table.as_function().is_none());
    assert!(function.is_function() && function.as_function().is_some());
    let thread = eval(&lua, "coroutine.create(function() end)");
    assert!(thread.is_thread() && thread.as_thread().is_some());
    let userdata = eval(&lua, "(io and io.stdout or newproxy())");
    assert!(userdata.is_userdata() && userdata.as_userdata().is_some());
    let string = eval(&lua, "'a\\255'");
    assert!(string.is_string() && string.as_string().is_some());
    assert_eq!(string.as_str(), None);
    assert_eq!(string.as_string_lossy().as_deref(), Some("a\u{fffd}"));
    assert_eq!(eval(&lua, "'a'").as_str(), Some("a"));
    assert_eq!(eval(&lua, "1").as_str(), None);
}

#[test]
fn integers_and_floats_are_not_mixed_up() {
    let (integer, number) = (Value::Integer(300), Value::Number(300.0));
    assert!(integer.is_integer() && !integer.is_number());
    assert!(number.is_number() && !number.is_integer());
    assert_eq!(integer.as_integer(), Some(300));
    assert_eq!(integer.as_number(), None);
    assert_eq!(number.as_integer(), None);
    assert_eq!(number.as_number(), Some(300.0));
    assert_eq!(number.as_i32(), None);
    assert_eq!((integer.as_i32(), integer.as_u32()), (Some(300), Some(300)));
    assert_eq!((integer.as_i64(), integer.as_u64()), (Some(300), Some(300)));
    assert_eq!(
        (integer.as_isize(), integer.as_usize()),
        (Some(300), Some(300))
    );
    assert_eq!(Value::Integer(-1).as_u64(), None);
    #[cfg(not(feature = "luau"))]
    assert_eq!(Value::Integer(1 << 40).as_i32(), None);
    assert_eq!(
        (number.as_f32(), number.as_f64()),
        (Some(300.0), Some(300.0))
    );
    assert_eq!(integer.as_f64(), None);
}

#[test]
fn references_have_an_address_of_their_own() {
    let lua = Lua::new();
    let sources = [
        "{}",
        "{}",
        "print",
        "coroutine.create(function() end)",
        "'text'",
    ];
    let values = sources.map(|source| eval(&lua, source));
    let addresses = BTreeSet::from_iter(values.iter().map(Value::to_pointer));
    assert_eq!(addresses.len(), sources.len());
    assert!(!addresses.contains(&ptr::null()));
    let address = 8 as *mut c_void;
    assert_eq!(
        Value::LightUserData(LightUserData(address)).to_pointer(),
        address as *const c_void
    );
    for plain in [
        Nil,
        Value::Integer(1),
        Value::Boolean(true),
        Value::Number(1.0),
    ] {
        assert!(plain.to_pointer().is_null());
    }
}

#[test]
fn equality_is_that_of_raw_values() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(Value::Integer(1), Value::Number(1.0));
    assert_ne!(Value::Integer(1), Value::Number(1.5));
    assert_ne!(Value::Number(f64::NAN), Value::Number(f64::NAN));
    assert_ne!(Value::Integer(1), Value::Boolean(true));
    assert_ne!(
        Value::Error(Error::StackError),
        Value::Error(Error::StackError)
    );
    assert_eq!(eval(&lua, "'a'"), eval(&lua, "'a'"));
    assert_ne!(eval(&lua, "'1'"), Value::Integer(1));
    assert_ne!(eval(&lua, "{}"), eval(&lua, "{}"));
    assert_eq!(eval(&lua, "print"), eval(&lua, "print"));
    lua.load("x = io and io.stdout or newproxy()")
        .exec()
        .unwrap();
    assert_eq!(eval(&lua, "x"), eval(&lua, "x"));
    assert_eq!(Value::NULL, Value::NULL);
    let table = lua.create_table()?;
    assert_eq!(Value::Table(table.clone()), Value::Table(table));
    Ok(())
}

#[test]
fn equals_asks_the_metamethod() -> Result<()> {
    let lua = Lua::new();
    lua.load(
        r"yes = setmetatable({}, { __eq = function() return 1 end })
        no = setmetatable({}, { __eq = function() return nil end })
        bad = setmetatable({}, { __eq = function() error('not comparable') end })",
    )
    .exec()?;
    let value = |source| eval(&lua, source);
    let yes = value("yes");
    // Before Lua 5.3 both have to have the same metamethod.
    #[cfg(lua_ge_53)]
    {
        assert!(value("yes").equals(value("{}"))?);
        assert!(value("{}").equals(&yes)?);
        assert!(!value("no").equals(value("yes"))?);
        assert!(value("yes").equals(value("no"))?);
    }
    assert!(yes.equals(&yes)?);
    assert!(value("setmetatable({}, getmetatable(yes))").equals(&yes)?);
    assert!(!value("setmetatable({}, getmetatable(no))").equals(value("no"))?);
    assert!(value("bad").equals(value("bad"))?);
    assert!(!value("{}").equals(value("{}"))?);
    assert!(!value("yes").equals(Value::Integer(1))?);
    assert!(Value::Integer(1).equals(Value::Number(1.0))?);
    let other = match cfg!(lua_ge_53) {
        true => "{}",
        false => "setmetatable({}, getmetatable(bad))",
    };
    let error = value("bad").equals(value(other)).unwrap_err();
    assert!(error.to_string().contains("not comparable"));
    let other = Lua::new();
    let result = value("yes").equals(eval(&other, "{}"));
    assert!(matches!(result, Err(Error::MismatchedLua)));
    Ok(())
}

#[test]
fn to_string_is_that_of_lua() -> Result<()> {
    let lua = Lua::new();
    for (source, text) in [
        ("nil", "nil"),
        ("true", "true"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("2.0", "2"),
        ("'a\\0b'", "a\0b"),
        (
            "setmetatable({}, { __tostring = function() return 'mine' end })",
            "mine",
        ),
        (
            "setmetatable({}, { __tostring = function() return 7 end })",
            "7",
        ),
    ] {
        assert_eq!(eval(&lua, source).to_string()?, text);
    }
    let table = eval(&lua, "{}");
    assert_eq!(
        table.to_string()?,
        format!("table: {:p}", table.to_pointer())
    );
    let named = eval(
        &lua,
        "setmetatable({}, { __name = 'Name', __type = 'Name' })",
    );
    assert!(named.to_string()?.starts_with("Name: 0x"));
    assert_eq!(Value::NULL.to_string()?, "null");
    let address = Value::LightUserData(LightUserData(8 as *mut c_void));
    assert_eq!(address.to_string()?, "lightuserdata: 0x8");
    let error = Value::Error(Error::runtime("boom"));
    assert_eq!(error.to_string()?, "runtime error: boom");
    Ok(())
}

#[test]
fn to_string_reports_what_goes_wrong() {
    let lua = Lua::new();
    let error = |source| eval(&lua, source).to_string().unwrap_err().to_string();
    let raises = error("setmetatable({}, { __tostring = function() error('no text') end })");
    assert!(raises.contains("no text"), "{raises}");
    let no_string = error("setmetatable({}, { __tostring = function() return {} end })");
    assert!(no_string.contains("'__tostring' must return a string"));
    let message =
        "error converting Lua string to &str (invalid utf-8 sequence of 1 bytes from index 0)";
    assert_eq!(error("'\\255'"), message);
    assert_eq!(
        error("setmetatable({}, { __tostring = function() return '\\255' end })"),
        message
    );
}

#[test]
fn debug_names_the_variant() -> Result<()> {
    let lua = Lua::new();
    for (source, text) in [
        ("nil", "Nil"),
        ("true", "Boolean(true)"),
        ("1", "Integer(1)"),
        ("1.5", "Number(1.5)"),
        #[cfg(lua_ge_53)]
        ("1.0", "Number(1)"),
        ("'a'", "String(\"a\")"),
        ("'\\255'", "String(b\"\\xff\")"),
    ] {
        assert_eq!(format!("{:?}", eval(&lua, source)), text);
    }
    let address = LightUserData(8 as *mut c_void);
    assert_eq!(
        format!("{:?}", Value::LightUserData(address)),
        "LightUserData(0x8)"
    );
    let table = eval(&lua, "{}");
    let expected = format!("Table(Ref({:p}))", table.to_pointer());
    assert_eq!(format!("{table:?}"), expected);
    let error = Value::Error(Error::runtime("x"));
    assert_eq!(format!("{error:?}"), "Error(RuntimeError(\"x\"))");
    Ok(())
}

#[test]
fn pretty_debug_shows_tables_sorted_and_indented() -> Result<()> {
    let lua = Lua::new();
    let value = eval(
        &lua,
        "{ b = { c = {} }, a = 'x\\n', [10] = 1, [-3] = 2, [2.5] = true, [true] = false, [false] = 1.0 }",
    );
    let expected = r#"{
  [false] = 1,
  [true] = false,
  [-3] = 2,
  [2.5] = true,
  [10] = 1,
  ["a"] = "x\n",
  ["b"] = {
    ["c"] = {},
  },
}"#;
    assert_eq!(format!("{value:#?}"), expected);
    assert_eq!(format!("{:#?}", eval(&lua, "'a'")), "\"a\"");
    assert_eq!(format!("{:#?}", Value::Number(1.0)), "1");
    assert_eq!(format!("{Nil:#?}"), "nil");
    Ok(())
}

#[test]
fn pretty_debug_shows_each_table_once() -> Result<()> {
    let lua = Lua::new();
    let table: Table = lua.load("local t = {}; t.self = t; return t").eval()?;
    let value = Value::Table(table.clone());
    let expected = format!("{{\n  [\"self\"] = table: {:p},\n}}", table.to_pointer());
    assert_eq!(format!("{value:#?}"), expected);
    Ok(())
}

#[test]
fn pretty_debug_never_fails() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("failure", Error::runtime("boom"))?;
    let odd = "{ setmetatable({}, { __tostring = error, __pairs = error }), failure, \
        [print] = '\\255', [failure] = 1, [{}] = coroutine.create(function() end), [2^53] = 1, [math.huge] = 1 }";
    let text = format!("{:#?}", eval(&lua, odd));
    assert!(text.contains("[2] = RuntimeError(\"boom\")"), "{text}");
    let deep = "local t = {}; for i = 1, 100000 do t = { t } end; return t";
    assert!(format!("{:#?}", eval(&lua, deep)).contains("table: 0x"));
    Ok(())
}

#[test]
fn numbers_and_strings_are_coerced_as_lua_does() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.coerce_integer(Value::Number(3.0))?, Some(3));
    assert_eq!(lua.coerce_integer(Value::Number(3.5))?, None);
    assert_eq!(lua.coerce_integer(Value::Number(2f64.powi(63)))?, None);
    assert_eq!(
        lua.coerce_integer(Value::Number(mlua::Integer::MIN as f64))?,
        Some(mlua::Integer::MIN)
    );
    assert_eq!(lua.coerce_integer(Value::Number(f64::NAN))?, None);
    assert_eq!(lua.coerce_integer(eval(&lua, "' 0x10 '"))?, Some(16));
    assert_eq!(lua.coerce_integer(eval(&lua, "'1.5'"))?, None);
    assert_eq!(lua.coerce_integer(Value::Boolean(true))?, None);
    assert_eq!(lua.coerce_number(Value::Integer(3))?, Some(3.0));
    assert_eq!(lua.coerce_number(eval(&lua, "'1e2'"))?, Some(100.0));
    assert_eq!(lua.coerce_number(eval(&lua, "'x'"))?, None);
    assert_eq!(lua.coerce_number(Nil)?, None);
    assert_eq!(lua.coerce_string(Value::Integer(3))?.unwrap(), "3");
    let three = if cfg!(lua_ge_53) { "3.0" } else { "3" };
    assert_eq!(lua.coerce_string(Value::Number(3.0))?.unwrap(), three);
    assert_eq!(lua.coerce_string(eval(&lua, "'s'"))?.unwrap(), "s");
    assert!(lua.coerce_string(Nil)?.is_none());
    assert!(lua.coerce_string(eval(&lua, "{}"))?.is_none());
    Ok(())
}

#[test]
fn values_are_packed_and_unpacked_by_hand() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.pack(5)?, Value::Integer(5));
    assert_eq!(lua.unpack::<i32>(Value::Integer(5))?, 5);
    let values: MultiValue = lua.pack_multi((1, "x"))?;
    assert_eq!(
        lua.unpack_multi::<(i32, String, Option<i32>)>(values)?,
        (1, "x".to_owned(), None)
    );
    Ok(())
}

#[test]
fn values_are_pushed_and_popped_by_hand() -> Result<()> {
    let lua = Lua::new();
    // SAFETY: what is pushed is popped.
    unsafe {
        lua.push("text")?;
        lua.push_value(Value::Integer(7))?;
        assert_eq!(lua.pop_value(), Value::Integer(7));
        assert_eq!(lua.pop_value().as_str(), Some("text"));
    }
    Ok(())
}

#[test]
fn debug_of_a_table_that_holds_a_caught_panic_does_not_go_on_with_it() -> Result<()> {
    let lua = Lua::new();
    let fail = lua.create_function(|_, ()| -> Result<()> { panic!("kept in a table") })?;
    lua.globals().set("fail", fail)?;
    let table: Table = lua.load("return { (select(2, pcall(fail))) }").eval()?;
    assert!(format!("{table:#?}").contains("kept in a table"));
    let value = Value::Table(table);
    assert!(format!("{value:#?}").contains("kept in a table"));
    Ok(())
}
