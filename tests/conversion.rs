//! Conversions between Lua and Rust. Each way in is tried twice: from a `Value`, and from the stack as a result of a call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::fmt::Debug;
use std::panic::{catch_unwind, AssertUnwindSafe};

use bstr::{BStr, BString};
use mlua::{
    AnyUserData, Error, FromLua, Function, IntoLua, LightUserData, Lua, Nil, RegistryKey, Result,
    String as LuaString, Table, Thread, Value,
};

/// Converts what `source` evaluates to, from a value and from the stack, and checks that both agree.
fn read<T: for<'lua> FromLua<'lua> + Debug>(lua: &Lua, source: &str) -> Result<T> {
    let value: Value = lua.load(source).eval()?;
    let from_value = T::from_lua(value, lua);
    let from_stack: Result<T> = lua.load(source).eval();
    let text = |result: &Result<T>| format!("{result:?}").replace("to: \"&str\"", "to: \"String\"");
    assert_eq!(text(&from_value), text(&from_stack), "{source}");
    from_stack
}

#[track_caller]
fn fails<T: for<'lua> FromLua<'lua> + Debug>(lua: &Lua, source: &str, message: &str) {
    let error = read::<T>(lua, source).expect_err(source);
    assert!(matches!(error, Error::FromLuaConversionError { .. }));
    assert_eq!(error.to_string(), message, "{source}");
}

/// What Lua makes of `value`, handed over as a value and as an argument.
fn seen<'lua>(lua: &'lua Lua, value: impl IntoLua<'lua> + Clone) -> Result<std::string::String> {
    let describe: Function = lua
        .load(concat!(
            "local v = ... local kind = type(v) ",
            "if math.type then kind = math.type(v) or kind ",
            "elseif kind == 'number' then kind = v % 1 == 0 and 'integer' or 'float' end ",
            "return kind .. ' ' .. tostring(v)"
        ))
        .into_function()?;
    let by_value: std::string::String = describe.call(value.clone().into_lua(lua)?)?;
    let direct: std::string::String = describe.call(value)?;
    assert_eq!(by_value, direct);
    Ok(direct)
}

const NOT_A_NUMBER: &str = "expected number or string coercible to number";

#[test]
fn integers_are_read_if_they_fit() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<i8>(&lua, "-128")?, -128);
    fails::<i8>(
        &lua,
        "-129",
        "error converting Lua integer to i8 (out of range)",
    );
    assert_eq!(read::<u8>(&lua, "255")?, 255);
    fails::<u8>(
        &lua,
        "256",
        "error converting Lua integer to u8 (out of range)",
    );
    fails::<u64>(
        &lua,
        "-1",
        "error converting Lua integer to u64 (out of range)",
    );
    assert_eq!(read::<i16>(&lua, "0x7fff")?, i16::MAX);
    assert_eq!(read::<u16>(&lua, "0xffff")?, u16::MAX);
    assert_eq!(read::<i32>(&lua, "-0x80000000")?, i32::MIN);
    assert_eq!(read::<u32>(&lua, "0xffffffff")?, u32::MAX);
    assert_eq!(read::<i64>(&lua, "math.mininteger or -2^63")?, i64::MIN);
    assert_eq!(read::<isize>(&lua, "-1")?, -1);
    assert_eq!(read::<usize>(&lua, "1")?, 1);
    assert_eq!(
        read::<i128>(&lua, "math.mininteger or -2^63")?,
        i128::from(i64::MIN)
    );
    Ok(())
}

#[test]
fn floats_are_read_as_integers_without_their_fraction() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<i32>(&lua, "2.0")?, 2);
    assert_eq!(read::<i32>(&lua, "-1.5")?, -1);
    assert_eq!(read::<u64>(&lua, "2^63")?, 1 << 63);
    assert_eq!(read::<u128>(&lua, "2^64")?, 1 << 64);
    fails::<i64>(
        &lua,
        "2^63",
        "error converting Lua number to i64 (out of range)",
    );
    fails::<i32>(
        &lua,
        "0/0",
        "error converting Lua number to i32 (out of range)",
    );
    fails::<u8>(
        &lua,
        "1/0",
        "error converting Lua number to u8 (out of range)",
    );
    Ok(())
}

#[test]
fn strings_are_read_as_numbers_as_lua_does() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<u8>(&lua, "' 0x10 '")?, 16);
    assert_eq!(read::<u8>(&lua, "'1.5'")?, 1);
    assert_eq!(read::<f64>(&lua, "'1e2'")?, 100.0);
    assert_eq!(read::<u64>(&lua, "'9223372036854775808'")?, 1 << 63);
    fails::<u8>(
        &lua,
        "'256'",
        "error converting Lua string to u8 (out of range)",
    );
    // Lua 5.1 leaves it to C what a number is, and LuaJIT does as that.
    let infinite: &[&str] = if cfg!(any(feature = "lua51", feature = "luajit", feature = "luau")) {
        &[]
    } else {
        &["'inf'", "'nan'"]
    };
    // And where it ends.
    let cut: &[&str] = if cfg!(any(feature = "lua51", feature = "luau")) {
        &[]
    } else {
        &["'1\\0'"]
    };
    for source in ["''", "'a'"].iter().chain(infinite).chain(cut) {
        fails::<i32>(
            &lua,
            source,
            &format!("error converting Lua string to i32 ({NOT_A_NUMBER})"),
        );
        fails::<f64>(
            &lua,
            source,
            &format!("error converting Lua string to f64 ({NOT_A_NUMBER})"),
        );
    }
    Ok(())
}

#[test]
fn other_values_are_no_numbers() {
    let lua = Lua::new();
    for (source, kind) in [
        ("nil", "nil"),
        ("true", "boolean"),
        ("{}", "table"),
        ("print", "function"),
    ] {
        fails::<u16>(
            &lua,
            source,
            &format!("error converting Lua {kind} to u16 ({NOT_A_NUMBER})"),
        );
        fails::<f32>(
            &lua,
            source,
            &format!("error converting Lua {kind} to f32 ({NOT_A_NUMBER})"),
        );
    }
}

#[test]
fn floats_are_read_from_all_numbers() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<f64>(&lua, "3")?, 3.0);
    assert_eq!(read::<f32>(&lua, "0.5")?, 0.5);
    assert_eq!(read::<f32>(&lua, "1e308")?, f32::INFINITY);
    assert!(read::<f64>(&lua, "0/0")?.is_nan());
    assert!(read::<f64>(&lua, "-0.0")?.is_sign_negative());
    Ok(())
}

#[test]
fn integers_that_do_not_fit_into_lua_become_floats() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(seen(&lua, i8::MIN)?, "integer -128");
    assert_eq!(seen(&lua, 5u128)?, "integer 5");
    if cfg!(lua_ge_53) {
        assert_eq!(seen(&lua, i64::MAX as u64)?, "integer 9223372036854775807");
        // Lua 5.5 writes all digits.
        assert!(seen(&lua, 1u64 << 63)?.starts_with("float 9.22337203685"));
        assert!(seen(&lua, i128::MIN)?.starts_with("float -1.701411834604"));
        assert_eq!(seen(&lua, 1.0f32)?, "float 1.0");
    } else {
        // There all numbers are floats; `seen` tells those apart that have a fraction.
        // Luau writes all digits.
        assert!(seen(&lua, i64::MAX as u64)?.starts_with("integer 9"));
        assert!(seen(&lua, i128::MIN)?.starts_with("integer -1"));
        assert_eq!(seen(&lua, 1.0f32)?, "integer 1");
    }
    assert_eq!(seen(&lua, 0.5f64)?, "float 0.5");
    Ok(())
}

#[test]
fn booleans_are_read_as_conditions() -> Result<()> {
    let lua = Lua::new();
    for source in ["true", "0", "''", "{}", "print"] {
        assert!(read::<bool>(&lua, source)?, "{source}");
    }
    for source in ["false", "nil"] {
        assert!(!read::<bool>(&lua, source)?, "{source}");
    }
    assert_eq!(seen(&lua, true)?, "boolean true");
    Ok(())
}

#[test]
fn text_is_read_from_strings_and_numbers() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<std::string::String>(&lua, "'a\\0é'")?, "a\0é");
    assert_eq!(read::<std::string::String>(&lua, "12")?, "12");
    let one = if cfg!(lua_ge_53) { "1.0" } else { "1" };
    assert_eq!(read::<std::string::String>(&lua, "1.0")?, one);
    let large = match () {
        _ if cfg!(feature = "lua55") => "9007199254740992.0",
        _ if cfg!(feature = "luau") => "9007199254740992",
        _ => "9.007199254741e+15",
    };
    assert_eq!(&*read::<Box<str>>(&lua, "2^53")?, large);
    assert_eq!(read::<BString>(&lua, "'\\255\\0'")?, b"\xff\0");
    assert_eq!(read::<CString>(&lua, "'abc'")?.as_bytes(), b"abc");
    Ok(())
}

#[test]
fn text_that_cannot_be_read_is_an_error() {
    let lua = Lua::new();
    for (name, error) in [
        ("String", read::<std::string::String>(&lua, "{}").err()),
        ("Box<str>", read::<Box<str>>(&lua, "{}").err()),
        ("BString", read::<BString>(&lua, "{}").err()),
        ("CString", read::<CString>(&lua, "{}").err()),
    ] {
        let expected = format!("error converting Lua table to {name} (expected string or number)");
        assert_eq!(error.map(|error| error.to_string()), Some(expected));
    }
    fails::<std::string::String>(
        &lua,
        "'a\\255'",
        "error converting Lua string to String (invalid utf-8 sequence of 1 bytes from index 1)",
    );
    fails::<CString>(
        &lua,
        "'a\\0b'",
        "error converting Lua string to CString (invalid C-style string)",
    );
}

#[test]
fn a_number_that_is_read_as_text_stays_a_number() -> Result<()> {
    let lua = Lua::new();
    let keys: BTreeSet<std::string::String> = lua.load("{ [2] = true, [3.5] = true }").eval()?;
    assert_eq!(Vec::from_iter(keys), ["2", "3.5"]);
    let twice = lua.create_function(|_, (text, n): (std::string::String, Value)| {
        assert_eq!(text, "7");
        Ok(n)
    })?;
    lua.globals().set("twice", twice)?;
    lua.load(
        "local type = math.type or function(n) return type(n) == 'number' and 'integer' end
        local n = 7; assert(type(twice(n, n)) == 'integer' and type(n) == 'integer')",
    )
    .exec()
}

#[test]
fn text_becomes_strings() -> Result<()> {
    let lua = Lua::new();
    let cstr: &CStr = c"c";
    assert_eq!(seen(&lua, "a")?, "string a");
    assert_eq!(seen(&lua, "a".to_owned())?, "string a");
    assert_eq!(seen(&lua, Box::<str>::from("a"))?, "string a");
    assert_eq!(seen(&lua, Cow::Borrowed("a"))?, "string a");
    assert_eq!(seen(&lua, cstr)?, "string c");
    assert_eq!(seen(&lua, cstr.to_owned())?, "string c");
    assert_eq!(seen(&lua, Cow::Borrowed(cstr))?, "string c");
    assert_eq!(seen(&lua, BString::from("b"))?, "string b");
    assert_eq!(seen(&lua, BStr::new("b"))?, "string b");
    assert_eq!(lua.pack("a\0b")?.as_str(), Some("a\0b"));
    Ok(())
}

#[test]
fn nil_is_none() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<Option<i32>>(&lua, "nil")?, None);
    assert_eq!(read::<Option<i32>>(&lua, "5")?, Some(5));
    assert_eq!(
        read::<Option<Option<bool>>>(&lua, "false")?,
        Some(Some(false))
    );
    fails::<Option<i32>>(
        &lua,
        "{}",
        &format!("error converting Lua table to i32 ({NOT_A_NUMBER})"),
    );
    assert_eq!(seen(&lua, None::<i32>)?, "nil nil");
    assert_eq!(seen(&lua, Some("x"))?, "string x");
    Ok(())
}

#[test]
fn proxies_take_their_own_type_only() -> Result<()> {
    let lua = Lua::new();
    assert!(lua.load("{}").eval::<Table>().is_ok());
    assert!(lua.load("print").eval::<Function>().is_ok());
    assert!(lua
        .load("coroutine.create(function() end)")
        .eval::<Thread>()
        .is_ok());
    #[cfg(not(feature = "luau"))]
    assert!(lua.load("io.stdout").eval::<AnyUserData>().is_ok());
    assert_eq!(lua.load("7").eval::<LuaString>()?, "7");
    let error = |result: Result<()>| result.unwrap_err().to_string();
    assert_eq!(
        error(lua.load("1").eval::<Table>().map(drop)),
        "error converting Lua integer to table"
    );
    assert_eq!(
        error(lua.load("nil").eval::<Function>().map(drop)),
        "error converting Lua nil to function"
    );
    assert_eq!(
        error(lua.load("'x'").eval::<Thread>().map(drop)),
        "error converting Lua string to thread"
    );
    assert_eq!(
        error(lua.load("{}").eval::<AnyUserData>().map(drop)),
        "error converting Lua table to userdata"
    );
    assert_eq!(
        error(lua.load("{}").eval::<LuaString>().map(drop)),
        "error converting Lua table to string (expected string or number)"
    );
    assert_eq!(
        error(lua.load("{}").eval::<LightUserData>().map(drop)),
        "error converting Lua table to light userdata"
    );
    Ok(())
}

#[test]
fn an_error_is_no_userdata() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("failure", Error::runtime("boom"))?;
    let error = lua
        .load("failure")
        .eval::<AnyUserData>()
        .map(drop)
        .unwrap_err();
    assert_eq!(error.to_string(), "error converting Lua error to userdata");
    Ok(())
}

#[test]
fn proxies_are_handed_over_by_value_and_by_reference() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("local a, b = ... return a == b").into_function()?;
    let table = lua.create_table()?;
    assert!(same.call::<_, bool>((&table, table.clone()))?);
    assert!(same.call::<_, bool>((&same, same.clone()))?);
    let value = Value::Table(table);
    assert!(same.call::<_, bool>((&value, value.clone()))?);
    let string = lua.create_string("s")?;
    assert!(same.call::<_, bool>((&string, "s"))?);
    Ok(())
}

#[test]
fn values_of_another_instance_are_refused() -> Result<()> {
    let (lua, other) = (Lua::new(), Lua::new());
    let length: Function = lua.load("return #...").into_function()?;
    let table = other.create_table()?;
    for result in [
        length.call::<_, Value>(&table).map(drop),
        length
            .call::<_, Value>(Value::Table(table.clone()))
            .map(drop),
        length.call::<_, Value>(vec![table.clone()]).map(drop),
        Vec::<i32>::from_lua(Value::Table(table.clone()), &lua).map(drop),
        RegistryKey::from_lua(Value::Table(table.clone()), &lua).map(drop),
    ] {
        assert!(matches!(result, Err(Error::MismatchedLua)), "{result:?}");
    }
    Ok(())
}

#[test]
fn errors_go_through_lua_as_they_are() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let error: Error = same.call(Error::CoroutineInactive)?;
    assert!(matches!(error, Error::CoroutineInactive));
    for (source, message) in [
        ("'text'", "text"),
        ("1.5", "1.5"),
        ("nil", "<unprintable error>"),
        ("{}", "<unprintable error>"),
        ("'\\255'", "<unprintable error>"),
    ] {
        match read::<Error>(&lua, source)? {
            Error::RuntimeError(text) => assert_eq!(text, message),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[test]
fn registry_keys_stand_for_their_values() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let key: RegistryKey = same.call("kept")?;
    assert_eq!(same.call::<_, std::string::String>(&key)?, "kept");
    assert_eq!((&key).into_lua(&lua)?.as_str(), Some("kept"));
    assert_eq!(same.call::<_, std::string::String>(key)?, "kept");
    let key = RegistryKey::from_lua(Nil, &lua)?;
    assert!((&key).into_lua(&lua)?.is_nil());
    let refused = key.into_lua(&Lua::new()).map(drop);
    assert!(matches!(refused, Err(Error::MismatchedRegistryKey)));
    Ok(())
}

#[test]
fn light_userdata_keep_their_address() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let address = LightUserData(0x40 as *mut _);
    assert_eq!(same.call::<_, LightUserData>(address)?, address);
    Ok(())
}

#[test]
fn sequences_are_read_up_to_the_first_nil() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(read::<Vec<i32>>(&lua, "{ 1, 2, 3, x = 4 }")?, [1, 2, 3]);
    assert_eq!(read::<Vec<i32>>(&lua, "{ 1, nil, 3 }")?, [1]);
    assert_eq!(read::<Vec<Option<i32>>>(&lua, "{ 1, nil, 3 }")?, [Some(1)]);
    assert_eq!(*read::<Box<[u8]>>(&lua, "{ 1, 2 }")?, [1, 2]);
    assert_eq!(read::<[i32; 2]>(&lua, "{ 1, 2 }")?, [1, 2]);
    assert_eq!(
        read::<Vec<Vec<i32>>>(&lua, "{ { 1 }, {}, { 2, 3 } }")?,
        [vec![1], vec![], vec![2, 3]]
    );
    fails::<Vec<i32>>(
        &lua,
        "5",
        "error converting Lua integer to Vec (expected table)",
    );
    fails::<Box<[i32]>>(
        &lua,
        "nil",
        "error converting Lua nil to Vec (expected table)",
    );
    fails::<[i32; 3]>(
        &lua,
        "{ 1, 2 }",
        "error converting Lua table to Array (expected table of length 3, got 2)",
    );
    fails::<[i32; 3]>(
        &lua,
        "'x'",
        "error converting Lua string to Array (expected table)",
    );
    fails::<Vec<i32>>(
        &lua,
        "{ 1, {} }",
        &format!("error converting Lua table to i32 ({NOT_A_NUMBER})"),
    );
    Ok(())
}

#[test]
fn a_table_with_huge_length_reserves_little() -> Result<()> {
    let lua = Lua::new();
    let sparse = "local t, n = {}, 1; for i = 0, 61 do t[n] = i; n = n * 2 end; return t";
    assert_eq!(read::<Vec<i32>>(&lua, sparse)?, [0, 1]);
    Ok(())
}

#[test]
fn maps_are_read_raw() -> Result<()> {
    let lua = Lua::new();
    let map: BTreeMap<std::string::String, i32> = read(&lua, "{ a = 1, b = 2, 3 }")?;
    assert_eq!(
        map,
        BTreeMap::from([("1".into(), 3), ("a".into(), 1), ("b".into(), 2)])
    );
    let map: HashMap<i32, bool> = lua.load("{ [5] = true }").eval()?;
    assert_eq!(map, HashMap::from([(5, true)]));
    let guarded = "setmetatable({ a = 1 }, { __pairs = error, __index = error, __len = error })";
    let map: BTreeMap<std::string::String, i32> = read(&lua, guarded)?;
    assert_eq!(map.len(), 1);
    fails::<BTreeMap<i32, i32>>(
        &lua,
        "1.5",
        "error converting Lua number to BTreeMap (expected table)",
    );
    fails::<HashMap<i32, i32>>(
        &lua,
        "{ a = 1 }",
        &format!("error converting Lua string to i32 ({NOT_A_NUMBER})"),
    );
    Ok(())
}

#[test]
fn sets_are_read_from_sequences_or_keys() -> Result<()> {
    let lua = Lua::new();
    let set = |source| read::<BTreeSet<std::string::String>>(&lua, source).map(Vec::from_iter);
    assert_eq!(set("{ 'x', 'y', 'x' }")?, ["x", "y"]);
    assert_eq!(set("{ x = true, y = false }")?, ["x", "y"]);
    assert_eq!(set("{ 'x', y = true }")?, ["x"]);
    assert_eq!(set("{ [2] = 'x' }")?, ["2"]);
    let hashed: HashSet<i32> = lua.load("{ 1, 2 }").eval()?;
    assert_eq!(hashed, HashSet::from([1, 2]));
    fails::<HashSet<i32>>(
        &lua,
        "print",
        "error converting Lua function to HashSet (expected table)",
    );
    Ok(())
}

#[test]
fn collections_become_tables() -> Result<()> {
    let lua = Lua::new();
    let list: Function = lua
        .load(
            r"local keys, out = {}, {}
            for k in pairs(...) do keys[#keys + 1] = k end
            table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
            for _, k in ipairs(keys) do out[#out + 1] = k .. '=' .. tostring((...)[k]) end
            return table.concat(out, ' ')",
        )
        .into_function()?;
    fn check<'lua>(
        lua: &'lua Lua,
        list: &Function<'lua>,
        value: impl IntoLua<'lua> + Clone,
        expected: &str,
    ) -> Result<()> {
        assert_eq!(
            list.call::<_, std::string::String>(value.clone())?,
            expected
        );
        let value = value.into_lua(lua)?;
        assert_eq!(list.call::<_, std::string::String>(value)?, expected);
        Ok(())
    }
    check(&lua, &list, vec!["a", "b"], "1=a 2=b")?;
    check(&lua, &list, vec![Some(1), None, Some(3)], "1=1 3=3")?;
    check(
        &lua,
        &list,
        [1.5, 2.0],
        if cfg!(lua_ge_53) {
            "1=1.5 2=2.0"
        } else {
            "1=1.5 2=2"
        },
    )?;
    check(&lua, &list, [0u8; 0], "")?;
    check(&lua, &list, &[1, 2][..], "1=1 2=2")?;
    check(&lua, &list, vec![1].into_boxed_slice(), "1=1")?;
    check(&lua, &list, HashMap::from([("a", 1), ("b", 2)]), "a=1 b=2")?;
    check(&lua, &list, BTreeMap::from([(1, "x"), (7, "y")]), "1=x 7=y")?;
    check(&lua, &list, HashSet::from([3]), "3=true")?;
    check(&lua, &list, BTreeSet::from(["a", "b"]), "a=true b=true")?;
    Ok(())
}

#[test]
fn a_large_sequence_is_handed_over_and_back() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let numbers = Vec::from_iter(0..100_000);
    assert_eq!(same.call::<_, Vec<i32>>(&numbers[..])?, numbers);
    Ok(())
}

#[test]
fn a_map_with_a_key_that_no_table_has_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let error = lua.pack(BTreeMap::from([(None::<i32>, 1)])).unwrap_err();
    assert!(error.to_string().contains("index is nil"), "{error}");

    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct NaN;
    impl IntoLua<'_> for NaN {
        fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
            Ok(Value::Number(f64::NAN))
        }
    }
    let error = lua.pack(BTreeSet::from([NaN])).unwrap_err();
    assert!(error.to_string().contains("index is NaN"), "{error}");
    Ok(())
}

/// Adds entries to the global table `t` whenever one is converted.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Meddler(i64);

impl<'lua> FromLua<'lua> for Meddler {
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        let t: Table = lua.globals().get("t")?;
        let n = i64::from_lua(value, lua)?;
        t.set(n, Nil)?;
        for i in 1..40 {
            t.set(n * 1000 + i, 1)?;
        }
        lua.gc_collect()?;
        Ok(Meddler(n))
    }
}

#[test]
fn a_table_that_changes_while_it_is_read_does_no_harm() -> Result<()> {
    let lua = Lua::new();
    lua.load("t = { [10] = 1, [20] = 2, [30] = 3, a = 1 }")
        .exec()?;
    let outcome = lua
        .globals()
        .get::<_, BTreeMap<AnyKey, Meddler>>("t")
        .map(drop);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("next") || error.contains("i64"), "{error}");

    lua.load("t = { 1, 2, 3, 4 }").exec()?;
    let read: Vec<Meddler> = lua.globals().get("t")?;
    assert_eq!(read.first(), Some(&Meddler(1)));
    assert_eq!(lua.load("1 + 1").eval::<i32>()?, 2);
    Ok(())
}

/// A key that converts from anything.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct AnyKey(std::string::String);

impl<'lua> FromLua<'lua> for AnyKey {
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        let t: Table = lua.globals().get("t")?;
        for i in 1..100 {
            t.set(format!("{i}{value:?}"), value.clone())?;
        }
        t.set(value.clone(), Nil)?;
        lua.gc_collect()?;
        Ok(AnyKey(format!("{value:?}")))
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Panics;

impl PartialOrd for Panics {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Panics {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        panic!("no order")
    }
}

impl FromLua<'_> for Panics {
    fn from_lua(_: Value<'_>, _: &Lua) -> Result<Self> {
        Ok(Panics)
    }
}

#[test]
fn a_panic_while_a_table_is_read_leaves_the_instance_usable() -> Result<()> {
    let lua = Lua::new();
    let read = || lua.load("{ 1, 2, 3 }").eval::<BTreeSet<Panics>>().map(drop);
    for _ in 0..100 {
        catch_unwind(AssertUnwindSafe(read)).unwrap_err();
        let table: Value = lua.load("{ 1, 2 }").eval()?;
        let from_value = || BTreeSet::<Panics>::from_lua(table.clone(), &lua).map(drop);
        catch_unwind(AssertUnwindSafe(from_value)).unwrap_err();
    }
    assert_eq!(lua.load("1 + 1").eval::<i32>()?, 2);
    Ok(())
}

/// Lists in lists.
#[derive(Clone, Debug, PartialEq)]
struct Nest(Vec<Nest>);

impl Nest {
    fn of_depth(depth: usize) -> Nest {
        (0..depth).fold(Nest(Vec::new()), |nest, _| Nest(vec![nest]))
    }
}

impl<'lua> IntoLua<'lua> for Nest {
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        self.0.into_lua(lua)
    }
}

impl<'lua> FromLua<'lua> for Nest {
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        Vec::from_lua(value, lua).map(Nest)
    }
}

#[test]
fn nested_collections_take_the_stack_they_need() -> Result<()> {
    let lua = Lua::new();
    let same: Function = lua.load("return ...").into_function()?;
    let nest = Nest::of_depth(100);
    assert_eq!(same.call::<_, Nest>(nest.clone())?, nest);
    type Deep<T> = Vec<Vec<Vec<Vec<Vec<Vec<T>>>>>>;
    let deep: Deep<Deep<Deep<Deep<i32>>>> = lua
        .load(format!("{}5{}", "{".repeat(24), "}".repeat(24)))
        .eval()?;
    assert_eq!(
        same.call::<_, Deep<Deep<Deep<Deep<i32>>>>>(deep.clone())?,
        deep
    );
    Ok(())
}

/// Fails to become a Lua value.
#[derive(Clone)]
struct Unwilling;

impl IntoLua<'_> for Unwilling {
    fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
        Err(Error::runtime("unwilling"))
    }
}

#[test]
fn a_conversion_that_fails_half_way_leaves_nothing_behind() -> Result<()> {
    let lua = Lua::new();
    let check = lua.create_function(|lua, ()| {
        for _ in 0..100 {
            assert!(lua.pack(vec![Some(Unwilling)]).is_err());
            assert!(lua.pack(HashMap::from([(1, Unwilling)])).is_err());
            assert!(lua.pack_multi((1, 2, Unwilling)).is_err());
            assert!(lua.pack_multi(Err::<(), _>(Unwilling)).is_err());
            assert!(lua.load("{ 1, 'x' }").eval::<Vec<i32>>().is_err());
            assert!(lua
                .load("{ x = 'y' }")
                .eval::<HashMap<AnyKey, i32>>()
                .is_err());
        }
        Ok((1, 2))
    })?;
    lua.load("t = {}").exec()?;
    assert_eq!(check.call::<_, (i32, i32)>(())?, (1, 2));
    Ok(())
}

#[test]
fn a_bad_argument_is_named_by_its_number() -> Result<()> {
    let lua = Lua::new();
    let f = lua.create_function(|_, _: (i32, Option<i8>, Vec<i32>)| Ok(()))?;
    for (args, pos, cause) in [
        ("'x'", 1, "error converting Lua string to i32"),
        (
            "1, 300",
            2,
            "error converting Lua integer to i8 (out of range)",
        ),
        (
            "1, nil",
            3,
            "error converting Lua nil to Vec (expected table)",
        ),
        ("1, 2, { {} }", 3, "error converting Lua table to i32"),
    ] {
        lua.globals().set("f", &f)?;
        let error = lua.load(format!("f({args})")).exec().unwrap_err();
        let text = error.to_string();
        let expected = format!("bad argument #{pos}: {cause}");
        assert!(text.starts_with(&expected), "{text}");
    }
    Ok(())
}

#[test]
fn a_conversion_without_memory_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let table: Value = lua
        .load("{ 1.5, 2.5, 'text', a = 1, [1e100] = 2 }")
        .eval()?;
    let named: Value = lua
        .load("setmetatable({}, { __tostring = function() return ('x'):rep(200) end })")
        .eval()?;
    let session = || -> Result<()> {
        lua.create_string("some text that is longer than forty characters, so not interned")?;
        lua.coerce_string(Value::Number(1.0 / 3.0))?;
        lua.pack(Vec::from_iter(0..300))?;
        lua.pack(HashMap::<i32, &str>::from_iter(
            (0..50).map(|n| (n * 7, "value")),
        ))?;
        lua.pack_multi((Error::StackError, "a", [1, 2]))?;
        Vec::<std::string::String>::from_lua(table.clone(), &lua)?;
        let keys = BTreeMap::<std::string::String, Value>::from_lua(table.clone(), &lua)?;
        let proxies: Vec<Table> = (0..100)
            .map(|_| lua.create_table())
            .collect::<Result<_>>()?;
        lua.pack(&proxies[..])?;
        drop((keys, proxies));
        named.to_string()?;
        RegistryKey::from_lua(named.clone(), &lua)?;
        Ok(())
    };
    session()?;
    let mut failures = 0;
    for room in (0..40_000).step_by(97) {
        lua.gc_collect()?;
        lua.set_memory_limit(lua.used_memory() + room)?;
        match session() {
            Ok(()) => {}
            Err(Error::MemoryError(_)) => failures += 1,
            Err(error) => panic!("{error}"),
        }
        // Pretty printing makes do with what there is.
        assert!(format!("{table:#?}").len() > 10);
        lua.set_memory_limit(0)?;
    }
    assert!(failures > 50, "{failures}");
    session()
}
