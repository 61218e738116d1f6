//! Chunks: from source code to running code.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use mlua::{AsChunk, ChunkMode, Error, Function, Lua, MultiValue, Nil, Result, Table, Value};

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_chunk_is_executed_called_or_turned_into_a_function() -> Result<()> {
    let lua = Lua::new();
    lua.load("x = 1").exec()?;
    assert_eq!(lua.load("return x, ...").call::<_, (i64, i64)>(2)?, (1, 2));
    let f: Function = lua.load("x = x + 1; return x").into_function()?;
    assert_eq!(f.call::<_, i64>(())?, 2);
    assert_eq!(f.call::<_, i64>(())?, 3);
    Ok(())
}

#[test]
fn eval_takes_expressions_and_blocks() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    assert_eq!(lua.load("1, 2").eval::<(i64, i64)>()?, (1, 2));
    assert_eq!(lua.load("5 -- five").eval::<i64>()?, 5);
    assert_eq!(lua.load("return 5").eval::<i64>()?, 5);
    assert_eq!(lua.load("local x = 5; return x").eval::<i64>()?, 5);
    assert!(matches!(lua.load("x = 5").eval::<Value>()?, Nil));
    assert!(matches!(lua.load("").eval::<Value>()?, Nil));
    Ok(())
}

#[test]
fn all_kinds_of_sources_are_taken() -> Result<()> {
    let lua = Lua::new();
    let owned = std::string::String::from("1");
    let bytes = owned.clone().into_bytes();
    assert_eq!(lua.load("1").eval::<i64>()?, 1);
    assert_eq!(lua.load(&owned).eval::<i64>()?, 1);
    assert_eq!(lua.load(owned).eval::<i64>()?, 1);
    assert_eq!(lua.load(&bytes[..]).eval::<i64>()?, 1);
    assert_eq!(lua.load(&bytes).eval::<i64>()?, 1);
    assert_eq!(lua.load(bytes).eval::<i64>()?, 1);
    Ok(())
}

#[test]
fn source_code_need_not_be_utf8() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.load(&b"#'\xff\xfe'"[..]).eval::<i64>()?, 2);
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn the_default_name_is_the_place_of_the_call() {
    let lua = Lua::new();
    let line = line!() + 1;
    let error = message(lua.load("x = = 1").exec());
    let expected = format!(
        "syntax error: [string \"{}:{line}:29\"]:1: unexpected symbol near '='",
        file!()
    );
    assert_eq!(error, expected);
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_name_shows_in_messages() {
    let lua = Lua::new();
    for (name, shown) in [
        ("=foo", "foo"),
        ("@foo.lua", "foo.lua"),
        ("foo", "[string \"foo\"]"),
    ] {
        let error = message(lua.load("x = = 1").set_name(name).exec());
        assert_eq!(
            error,
            format!("syntax error: {shown}:1: unexpected symbol near '='")
        );
    }
}

#[test]
fn a_name_with_a_nul_byte_is_an_error() {
    let lua = Lua::new();
    let expected = "runtime error: invalid name: nul byte found in provided data at position: 2";
    assert_eq!(message(lua.load("1").set_name("fo\0o").exec()), expected);
    assert_eq!(
        message(lua.load("1").set_name("fo\0o").eval::<Value>()),
        expected
    );
}

#[cfg(not(feature = "luau"))]
#[test]
fn incomplete_input_is_told_from_wrong_input() {
    let lua = Lua::new();
    for (code, incomplete) in [
        ("function f(", true),
        ("x = [[abc", true),
        ("x = = 1", false),
        ("x = 'abc\n'", false),
        ("x = 1 end", false),
    ] {
        let Err(Error::SyntaxError {
            incomplete_input, ..
        }) = lua.load(code).eval::<Value>()
        else {
            panic!("{code} parses")
        };
        assert_eq!(incomplete_input, incomplete, "{code}");
    }
}

#[test]
fn a_file_is_read_and_named_after_its_path() -> Result<()> {
    let lua = Lua::new();
    let dir = std::env::temp_dir();
    let file = dir.join(format!("mlua-chunk-{}.lua", std::process::id()));
    std::fs::write(&file, "local x = ... ; error('in file ' .. tostring(x))").unwrap();
    let expected = format!("runtime error: {}:1: in file 1\n", file.display());
    let by_path = message(lua.load(file.as_path()).call::<_, ()>(1));
    let by_path_buf = message(lua.load(file.clone()).call::<_, ()>(1));
    std::fs::remove_file(&file).unwrap();
    assert!(by_path.starts_with(&expected), "{by_path}");
    assert!(by_path_buf.starts_with(&expected), "{by_path_buf}");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_when_run() {
    let lua = Lua::new();
    let chunk = lua.load(Path::new("no such file.lua"));
    let error = chunk.exec().unwrap_err();
    let cause = error.downcast_ref::<io::Error>().expect("an io error");
    assert_eq!(cause.kind(), io::ErrorKind::NotFound);
    let error = lua
        .load(PathBuf::from("no such file.lua"))
        .eval::<Value>()
        .unwrap_err();
    assert!(error.downcast_ref::<io::Error>().is_some());
}

#[test]
fn an_environment_replaces_the_globals() -> Result<()> {
    let lua = Lua::new();
    let env = lua.create_table()?;
    env.set("x", 7)?;
    assert_eq!(lua.load("x").set_environment(env.clone()).eval::<i64>()?, 7);
    lua.load("y = x + 1").set_environment(&env).exec()?;
    assert_eq!(env.get::<_, i64>("y")?, 8);
    assert!(matches!(lua.load("y").eval::<Value>()?, Nil));
    // Nil is no environment of its own.
    lua.load("y = 1").set_environment(Nil).exec()?;
    assert_eq!(lua.load("y").eval::<i64>()?, 1);
    Ok(())
}

#[test]
fn an_environment_that_is_no_table_is_an_error() {
    let lua = Lua::new();
    assert_eq!(
        message(lua.load("x").set_environment(5).eval::<Value>()),
        "bad environment value\nerror converting Lua integer to table"
    );
    assert_eq!(
        message(lua.load("x").set_environment(Error::runtime("hi")).exec()),
        "bad environment value\nerror converting Lua error to table"
    );
}

#[test]
fn an_environment_of_another_instance_is_an_error() {
    let (lua, other) = (Lua::new(), Lua::new());
    let result = lua.load("return x").set_environment(other.globals()).exec();
    assert!(matches!(result, Err(Error::MismatchedLua)), "{result:?}");
}

#[cfg(not(feature = "luau"))]
#[test]
fn the_mode_bars_text_or_binary_chunks() -> Result<()> {
    let lua = Lua::new();
    let binary = lua.load("return 1 + ...").into_function()?.dump(true);
    assert_eq!(lua.load(&binary).call::<_, i64>(1)?, 2);
    let as_binary = lua.load(&binary).set_mode(ChunkMode::Binary);
    assert_eq!(as_binary.call::<_, i64>(1)?, 2);

    let barred = "syntax error: attempt to load a binary chunk (mode is 't')";
    assert_eq!(
        message(lua.load(&binary).set_mode(ChunkMode::Text).exec()),
        barred
    );
    assert_eq!(
        message(lua.load(&binary).set_mode(ChunkMode::Text).eval::<Value>()),
        barred
    );
    let barred = "syntax error: attempt to load a text chunk (mode is 'b')";
    assert_eq!(
        message(lua.load("1").set_mode(ChunkMode::Binary).exec()),
        barred
    );
    assert_eq!(
        message(lua.load("1").set_mode(ChunkMode::Binary).eval::<Value>()),
        barred
    );
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_binary_chunk_is_evaluated_in_an_environment() -> Result<()> {
    let lua = Lua::new();
    let binary = lua.load("return x").into_function()?.dump(true);
    let env = lua.create_table()?;
    env.set("x", 7)?;
    assert_eq!(
        lua.load(&binary)
            .set_environment(env.clone())
            .eval::<i64>()?,
        7
    );

    let pure: Function = lua.load("function() return 1 end").eval()?;
    let pure = pure.dump(true);
    assert_eq!(lua.load(&pure).set_environment(env).eval::<i64>()?, 1);
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_truncated_binary_chunk_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let binary = lua.load("return 1").into_function()?.dump(true);
    // LuaJIT does not look where the chunk ends.
    let lens = match cfg!(feature = "luajit") {
        true => vec![],
        false => vec![4, 20, binary.len() - 1],
    };
    for len in lens {
        let error = message(lua.load(&binary[..len]).set_name("=cut").exec());
        let text = if cfg!(feature = "luajit") {
            "cannot load malformed bytecode"
        } else if cfg!(feature = "lua51") {
            "unexpected end in precompiled chunk"
        } else if cfg!(lua_ge_54) {
            "bad binary format (truncated chunk)"
        } else {
            "truncated precompiled chunk"
        };
        assert_eq!(error, format!("syntax error: cut: {text}"));
    }
    Ok(())
}

struct Described {
    env: Result<i64>,
    source: io::Result<&'static str>,
    mode: Option<ChunkMode>,
}

impl<'lua> AsChunk<'lua, 'static> for Described {
    fn source(self) -> io::Result<Cow<'static, [u8]>> {
        self.source.map(|source| Cow::Borrowed(source.as_bytes()))
    }

    fn name(&self) -> Option<String> {
        Some("=described".to_owned())
    }

    fn environment(&self, lua: &'lua Lua) -> Result<Option<Table<'lua>>> {
        let env = lua.create_table()?;
        env.set("x", self.env.clone()?)?;
        Ok(Some(env))
    }

    fn mode(&self) -> Option<ChunkMode> {
        self.mode
    }
}

#[test]
fn a_type_may_bring_name_environment_and_mode() {
    let lua = Lua::new();
    let described = |env, source, mode| lua.load(Described { env, source, mode });

    assert_eq!(described(Ok(7), Ok("x"), None).eval::<i64>().unwrap(), 7);
    let text = message(described(Ok(7), Ok("= x"), None).exec());
    assert!(text.starts_with("syntax error: described:1: "), "{text}");
    assert_eq!(
        message(described(Ok(7), Ok("x"), Some(ChunkMode::Binary)).eval::<Value>()),
        "syntax error: attempt to load a text chunk (mode is 'b')"
    );
    assert_eq!(
        message(
            described(
                Err(Error::runtime("no env")),
                Err(io::Error::other("no source")),
                None
            )
            .exec()
        ),
        "runtime error: no env"
    );
    assert_eq!(
        message(described(Ok(7), Err(io::Error::other("no source")), None).exec()),
        "no source"
    );
}

#[test]
fn what_a_chunk_returns_is_not_bound_to_the_chunk() -> Result<()> {
    let lua = Lua::new();
    let values: MultiValue = {
        let code = String::from("return 1, 'two', {}");
        lua.load(&code).eval()?
    };
    assert_eq!(values.len(), 3);
    Ok(())
}
