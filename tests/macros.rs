//! `chunk!` and `#[derive(FromLua)]`.

use mlua::prelude::LuaResult;
use mlua::{chunk, AnyUserData, Error, FromLua, Function, Lua, Result, Table, UserData};

#[test]
fn a_chunk_is_code_between_braces() -> Result<()> {
    let lua = Lua::new();
    lua.load(chunk! {
        local t = { a = 1, ["b c"] = "text", 3; 4 }
        function sum(...)
            local s = 0
            for _, v in ipairs({...}) do s = s + v end
            return s
        end
        assert(#t == 2 and t["b c"] .. "!" == "text!" and t.a ~= 2)
        result = sum(t[1], t[2]) ^ 2 % 10
    })
    .exec()?;
    assert_eq!(lua.globals().get::<_, f64>("result")?, 9.0);
    Ok(())
}

#[cfg(lua_ge_52)]
#[test]
fn a_chunk_has_labels() -> Result<()> {
    let lua = Lua::new();
    lua.load(chunk! {
        goto done
        error("not reached")
        ::done::
    })
    .exec()
}

#[test]
fn variables_of_rust_are_captured_by_value() -> Result<()> {
    let lua = Lua::new();
    let (number, text, list) = (5, "text", vec![1, 2, 3]);
    let table = lua.create_table()?;
    let func = lua.create_function(|_, x: i64| Ok(x * 2))?;
    let captured = table.clone();
    let found: String = lua
        .load(chunk! {
            $captured.x = $func($number)
            return $text .. #$list .. $number
        })
        .eval()?;
    assert_eq!(found, "text35");
    assert_eq!(table.get::<_, i64>("x")?, 10);
    assert_eq!(number, 5);
    Ok(())
}

#[test]
fn captures_lie_in_front_of_the_globals() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("name", "global")?;
    let name = "captured";
    let function: Function = lua
        .load(chunk! {
            fresh = "new"
            return $name, _G.name, type(print)
        })
        .into_function()?;
    for _ in 0..2 {
        let values: (String, String, String) = function.call(())?;
        assert_eq!(values.0, "captured");
        assert_eq!(values.1, "global");
        assert_eq!(values.2, "function");
    }
    assert_eq!(lua.globals().get::<_, String>("fresh")?, "new");
    assert_eq!(lua.globals().get::<_, String>("name")?, "global");
    Ok(())
}

#[test]
fn a_chunk_without_captures_runs_in_the_globals() -> Result<()> {
    let lua = Lua::new();
    #[cfg(lua_ge_52)]
    assert!(lua.load(chunk! { return _ENV == _G }).eval::<bool>()?);
    #[cfg(not(lua_ge_52))]
    assert!(lua.load(chunk! { return getfenv() == _G }).eval::<bool>()?);
    let env = lua.create_table()?;
    env.set("x", 3)?;
    assert_eq!(
        lua.load(chunk! { x + 1 })
            .set_environment(env)
            .eval::<i64>()?,
        4
    );
    Ok(())
}

#[test]
fn a_capture_that_does_not_convert_is_an_error_of_the_chunk() -> Result<()> {
    let lua = Lua::new();
    struct Fails;
    impl mlua::IntoLua<'_> for Fails {
        fn into_lua(self, _: &Lua) -> Result<mlua::Value<'_>> {
            Err(Error::runtime("cannot be converted"))
        }
    }
    let fails = Fails;
    let error = lua.load(chunk! { return $fails }).exec().unwrap_err();
    assert!(error.to_string().contains("cannot be converted"));
    let error = lua.load(chunk! { error("from the chunk") }).exec();
    assert!(error.unwrap_err().to_string().contains("from the chunk"));
    Ok(())
}

#[derive(Clone, Debug, PartialEq, FromLua)]
struct Point {
    x: i64,
}

impl UserData for Point {}

#[derive(Clone, FromLua)]
struct Pair<T>(T, T)
where
    T: Copy;

impl<T: Copy> UserData for Pair<T> {}

#[test]
fn a_derived_type_is_a_clone_of_the_userdata() -> LuaResult<()> {
    let lua = Lua::new();
    lua.globals().set("point", Point { x: 1 })?;
    let mut point: Point = lua.globals().get("point")?;
    point.x += 1;
    assert_eq!(point.x, 2);
    let userdata: AnyUserData = lua.globals().get("point")?;
    assert_eq!(*userdata.borrow::<Point>()?, Point { x: 1 });

    let x = lua.create_function(|_, (point, pair): (Point, Pair<i64>)| Ok(point.x + pair.1))?;
    lua.globals().set("x", x)?;
    lua.globals().set("pair", Pair(10_i64, 20))?;
    assert_eq!(lua.load("x(point, pair)").eval::<i64>()?, 21);

    let Pair(a, b): Pair<i64> = lua.globals().get("pair")?;
    assert_eq!((a, b), (10, 20));
    Ok(())
}

#[test]
fn anything_else_does_not_convert_to_a_derived_type() -> LuaResult<()> {
    let lua = Lua::new();
    lua.globals().set("pair", Pair(10, 20))?;
    let error = lua.load("{}").eval::<Point>().unwrap_err();
    let Error::FromLuaConversionError { from, to, message } = error else {
        panic!("{error:?}")
    };
    assert_eq!((from, to, message), ("table", "Point", None));
    let pair = lua.globals().get::<_, Point>("pair");
    assert!(matches!(pair, Err(Error::UserDataTypeMismatch)));
    let userdata: AnyUserData = lua.globals().get("pair")?;
    let borrowed = userdata.borrow_mut::<Pair<i32>>()?;
    let pair = lua.globals().get::<_, Pair<i32>>("pair");
    assert!(matches!(pair, Err(Error::UserDataBorrowError)));
    drop(borrowed);
    Ok(())
}

#[test]
fn the_prelude_has_the_derive() {
    mod user {
        use mlua::prelude::*;

        #[derive(Clone, FromLua)]
        pub struct Plain;
    }
    fn is_from_lua<T: for<'lua> FromLua<'lua>>() {}
    is_from_lua::<user::Plain>();
    let _: fn(&Lua) -> Table<'_> = Lua::globals;
}
