//! Errors and panics of callbacks on their way through Lua.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use mlua::{Error, Function, Lua, MultiValue, Result, Value};

/// What a traceback calls a function that is found as an `what`: Lua 5.2 makes no difference.
#[cfg(not(feature = "luau"))]
fn naming(what: &str) -> &str {
    if cfg!(feature = "lua52") {
        "function"
    } else {
        what
    }
}

/// An instance with the global functions `fail`, `again` and `panic`.
fn instance() -> Result<Lua> {
    let lua = Lua::new();
    let globals = lua.globals();
    globals.set(
        "fail",
        lua.create_function(|_, ()| -> Result<()> { Err(Error::runtime("rust error")) })?,
    )?;
    globals.set(
        "again",
        lua.create_function(|_, error: Error| -> Result<()> { Err(error) })?,
    )?;
    globals.set(
        "panic",
        lua.create_function(|_, ()| -> Result<()> { panic!("rust panic") })?,
    )?;
    drop(globals);
    Ok(lua)
}

#[cfg(not(feature = "luau"))]
fn text(lua: &Lua, code: &str) -> String {
    lua.load(code)
        .set_name("=c")
        .exec()
        .unwrap_err()
        .to_string()
}

fn panic_of(lua: &Lua, code: &str) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        lua.load(code).eval::<MultiValue>().map(drop)
    }));
    let payload = outcome.err()?;
    payload.downcast_ref::<&str>().map(|text| text.to_string())
}

/// How many `CallbackError`s lie around the cause.
fn depth(error: &Error) -> usize {
    match error {
        Error::CallbackError { cause, .. } => 1 + depth(cause),
        _ => 0,
    }
}

#[test]
fn an_error_comes_back_with_a_traceback() -> Result<()> {
    let lua = instance()?;
    let fail: Function = lua.globals().get("fail")?;
    let Err(Error::CallbackError { traceback, cause }) = fail.call::<_, ()>(()) else {
        panic!("no error")
    };
    assert_eq!(traceback, "stack traceback:\n\t[C]: in function 'fail'");
    assert!(matches!(&*cause, Error::RuntimeError(text) if text == "rust error"));
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn the_traceback_names_what_lua_can_name() -> Result<()> {
    let lua = instance()?;
    let code = "local t = { fail = fail }\n\
                local function inner() t.fail() end\n\
                function global() inner() end\n\
                coroutine.wrap(function() global() end)()";
    assert_eq!(
        text(&lua, code),
        "runtime error: rust error\n\
         stack traceback:\n\
         \t[C]: in function 'fail'\n\
         \tc:2: in upvalue 'inner'\n\
         \tc:3: in function 'global'\n\
         \tc:4: in function <c:4>\n"
            .replace("upvalue", naming("upvalue"))
    );
    let sort = match cfg!(feature = "lua52") {
        true => "sort",
        false => "table.sort",
    };
    assert_eq!(
        text(&lua, "table.sort({ 3, 2, 1 }, function() fail() end)"),
        "runtime error: rust error\n\
         stack traceback:\n\
         \t[C]: in function 'fail'\n\
         \tc:1: in function <c:1>\n\
         \t[C]: in function 'table.sort'\n\
         \tc:1: in main chunk\n"
            .replace("table.sort", sort)
    );
    Ok(())
}

#[test]
fn a_deep_stack_is_shown_in_part() -> Result<()> {
    let lua = instance()?;
    let code = "local f, n = ... \
                local function r(n) if n == 0 then f() else r(n - 1) end return 1 end r(n)";
    let fail: Function = lua.globals().get("fail")?;
    // Lua 5.2 shows one more.
    let one = cfg!(feature = "lua52") as usize;
    let cases = [(19, None), (20, Some(1)), (100, Some(81))];
    for (depth, skipped) in cases.map(|(depth, skipped)| (depth + one, skipped)) {
        let lines = 24 + one;
        let chunk = lua.load(code).set_name("=c");
        let shown = chunk.call::<_, ()>((&fail, depth)).unwrap_err().to_string();
        assert_eq!(shown.lines().count(), lines, "{shown}");
        let skips = skipped.map(|n| match cfg!(any(feature = "lua52", feature = "lua53")) {
            true => "\t...".to_owned(),
            false => format!("\t...\t(skipping {n} levels)"),
        });
        assert_eq!(
            shown.lines().find(|line| line.starts_with("\t...")),
            skips.as_deref()
        );
    }
    Ok(())
}

/// On Lua 5.5 it reads as on 5.4: a global name comes before the caller's.
#[test]
#[cfg(all(lua_ge_52, not(feature = "lua55")))]
fn a_traceback_reads_as_that_of_lua() -> Result<()> {
    // SAFETY: nothing is done with the library `debug` but this.
    let lua = unsafe { Lua::unsafe_new() };
    let own = lua.create_function(|lua, ()| {
        let traceback: Function = lua
            .globals()
            .get::<_, mlua::Table>("debug")?
            .get("traceback")?;
        let own: String = traceback.call((Value::Nil, 1))?;
        Err::<(), _>(Error::runtime(own))
    })?;
    lua.globals().set("own", &own)?;
    lua.load("function global(...) own(...) return 1 end t = { field = global }")
        .exec()?;
    let check = |code: &str| -> Result<()> {
        let error = lua.load(code).set_name("=c").exec().unwrap_err();
        let Error::CallbackError { traceback, cause } = &error else {
            return Err(error);
        };
        assert!(
            matches!(&**cause, Error::RuntimeError(own) if own == traceback),
            "{code}\n{traceback}\n{cause}"
        );
        Ok(())
    };
    for code in [
        "own()",
        "global()",
        "local t = { own = own, f = global } t.f()",
        "local function f() own() return 1 end f()",
        "local function f() own() return 1 end local function g() f() return 1 end g()",
        "t.field()",
        "t:field()",
        "return (function() return global() end)()",
        "local _ = setmetatable({}, { __index = function() own() end }).x",
        "for _ in own do end",
        "pcall(error) table.sort({ 3, 2, 1 }, function() own() end)",
        "string.gsub('x', '.', function() own() end)",
        "coroutine.wrap(function() global() end)()",
    ] {
        check(code)?;
    }
    // Lua 5.2 counts the levels that it leaves out from another one on.
    if !cfg!(feature = "lua52") {
        for depth in [18, 19, 20, 21, 200] {
            check(&format!(
                "local function r(n) if n == 0 then own() else r(n - 1) end return 1 end r({depth})"
            ))?;
        }
    }
    Ok(())
}

#[test]
fn a_bad_argument_is_named_by_its_position() -> Result<()> {
    let lua = Lua::new();
    let f = lua.create_function(|_, (_, _): (i64, String)| Ok(()))?;
    for (arg, pos) in [((Value::Nil, "x"), 1), ((Value::Integer(1), ""), 2)] {
        let error = match pos {
            1 => f.call::<_, ()>(arg).unwrap_err(),
            _ => f.call::<_, ()>((arg.0, lua.create_table()?)).unwrap_err(),
        };
        let Error::CallbackError { cause, .. } = error else {
            panic!("{error}")
        };
        assert!(
            matches!(&*cause, Error::BadArgument { pos: p, .. } if *p == pos),
            "{cause}"
        );
    }
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn pcall_gives_the_error_to_lua_as_a_value() -> Result<()> {
    let lua = instance()?;
    let (ok, error): (bool, Error) = lua.load("pcall(fail)").eval()?;
    assert!(!ok);
    assert!(matches!(error, Error::CallbackError { .. }));

    let (kind, metatable, shown): (String, Value, String) = lua
        .load("local _, e = pcall(fail) return type(e), getmetatable(e), tostring(e)")
        .set_name("=c")
        .eval()?;
    assert_eq!(kind, "userdata");
    assert!(matches!(metatable, Value::Boolean(false)));
    assert_eq!(
        shown,
        "runtime error: rust error\n\
         stack traceback:\n\
         \t[C]: in function 'fail'\n\
         \t[C]: in function 'pcall'\n\
         \tc:1: in main chunk\n"
    );
    Ok(())
}

#[test]
fn an_error_that_lua_raises_again_stays_the_same() -> Result<()> {
    let lua = instance()?;
    let error = lua
        .load("local _, e = pcall(fail) error(e)")
        .exec()
        .unwrap_err();
    assert_eq!(depth(&error), 1);
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn the_traceback_shown_is_the_one_from_where_the_error_began() -> Result<()> {
    let lua = instance()?;
    let shown = text(
        &lua,
        "local _, e = pcall(fail) for i = 1, 3 do _, e = pcall(again, e) end error(e)",
    );
    assert_eq!(
        shown,
        "runtime error: rust error\n\
         stack traceback:\n\
         \t[C]: in function 'fail'\n\
         \t[C]: in function 'pcall'\n\
         \tc:1: in main chunk\n"
    );
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn an_error_through_two_callbacks_shows_where_the_outer_one_is() -> Result<()> {
    let lua = instance()?;
    let nested = lua.create_function(|lua, ()| lua.load("fail()").set_name("=inner").exec())?;
    lua.globals().set("nested", nested)?;
    assert_eq!(
        text(&lua, "nested()"),
        "runtime error: rust error\n\
         stack traceback:\n\
         \t[C]: in function 'fail'\n\
         \tinner:1: in main chunk\n\
         \t>[C]: in function 'nested'\n\
         \tc:1: in main chunk\n"
    );
    Ok(())
}

#[test]
fn an_error_that_goes_round_and_round_does_not_grow() -> Result<()> {
    let lua = instance()?;
    let error = lua
        .load("local _, e = pcall(fail) for i = 1, 200000 do _, e = pcall(again, e) end error(e)")
        .exec()
        .unwrap_err();
    assert_eq!(depth(&error), 2);
    assert!(error.to_string().contains("in function 'fail'"), "{error}");
    drop(error);
    drop(lua);
    Ok(())
}

#[test]
fn a_long_chain_made_in_rust_is_cut_when_it_is_raised() -> Result<()> {
    let lua = instance()?;
    let mut error = Error::runtime("deep");
    for i in 0..100 {
        error = Error::CallbackError {
            traceback: format!("level {i}"),
            cause: Arc::new(error),
        };
    }
    let again: Function = lua.globals().get("again")?;
    let error = again.call::<_, ()>(error).unwrap_err();
    assert_eq!(depth(&error), 2);
    let Error::CallbackError { cause, .. } = &error else {
        unreachable!()
    };
    assert!(matches!(&**cause, Error::CallbackError { traceback, .. } if traceback == "level 0"));
    Ok(())
}

#[test]
fn context_around_an_error_survives() -> Result<()> {
    use mlua::ErrorContext;
    let lua = instance()?;
    let explain = lua.create_function(|lua, ()| {
        let fail: Function = lua.globals().get("fail")?;
        fail.call::<_, ()>(()).context("while explaining")
    })?;
    let error = explain.call::<_, ()>(()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("while explaining\nruntime error: rust error"),
        "{error}"
    );
    Ok(())
}

#[test]
fn an_error_passed_as_a_value_stays_an_error() -> Result<()> {
    let lua = instance()?;
    let echo: Function = lua.load("function(...) return ... end").eval()?;
    let value = echo.call::<_, Value>(Error::runtime("value"))?;
    assert!(matches!(value, Value::Error(Error::RuntimeError(text)) if text == "value"));
    let raise: Function = lua.load("error").eval()?;
    let error = raise.call::<_, ()>(Error::runtime("value")).unwrap_err();
    assert!(matches!(error, Error::RuntimeError(text) if text == "value"));
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn an_error_of_lua_through_a_callback_keeps_both_tracebacks() -> Result<()> {
    let lua = Lua::new();
    let nested =
        lua.create_function(|lua, ()| lua.load("error('lua error')").set_name("=inner").exec())?;
    lua.globals().set("nested", nested)?;
    let shown = text(&lua, "nested()");
    assert!(
        shown.starts_with("runtime error: inner:1: lua error\nstack traceback:\n"),
        "{shown}"
    );
    assert!(
        shown.ends_with(
            "\t[C]: in function 'error'\n\
             \tinner:1: in main chunk\n\
             \t[C]: in function 'nested'\n\
             \tc:1: in main chunk\n\
             stack traceback:\n\
             \t[C]: in function 'nested'\n\
             \tc:1: in main chunk\n"
        ),
        "{shown}"
    );
    Ok(())
}

#[test]
fn a_panic_goes_through_lua_to_the_caller() -> Result<()> {
    let lua = instance()?;
    for code in [
        "panic()",
        "local _, e = pcall(panic) error(e)",
        "local _, e = pcall(panic) again(e)",
        "local _, e = pcall(panic) return e",
        "coroutine.wrap(function() panic() end)()",
        #[cfg(not(feature = "lua51"))]
        "coroutine.wrap(panic)()",
        "xpcall(panic, error) local _, e = xpcall(panic, function(e) return e end) error(e)",
    ] {
        assert_eq!(
            panic_of(&lua, code).as_deref(),
            Some("rust panic"),
            "{code}"
        );
    }
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    Ok(())
}

#[test]
fn a_panic_that_lua_catches_ends_there() -> Result<()> {
    let lua = instance()?;
    let (ok, shown): (bool, String) = lua
        .load("local ok, e = pcall(panic) return ok, tostring(e)")
        .eval()?;
    assert_eq!((ok, shown.as_str()), (false, "rust panic"));
    Ok(())
}

#[test]
fn a_panic_goes_on_only_once() -> Result<()> {
    let lua = instance()?;
    lua.load("_, saved = pcall(panic)").exec()?;
    assert_eq!(
        panic_of(&lua, "error(saved)").as_deref(),
        Some("rust panic")
    );
    let result = lua.load("error(saved)").exec();
    assert!(
        matches!(result, Err(Error::PreviouslyResumedPanic)),
        "{result:?}"
    );
    Ok(())
}

#[test]
fn a_panic_in_a_conversion_leaves_the_instance_usable() -> Result<()> {
    struct Panics;
    impl<'lua> mlua::FromLua<'lua> for Panics {
        fn from_lua(_: Value<'lua>, _: &'lua Lua) -> Result<Self> {
            panic!("from_lua")
        }
    }
    impl<'lua> mlua::IntoLua<'lua> for Panics {
        fn into_lua(self, _: &'lua Lua) -> Result<Value<'lua>> {
            panic!("into_lua")
        }
    }
    let lua = Lua::new();
    let echo: Function = lua.load("function(...) return ... end").eval()?;
    for _ in 0..1000 {
        let outcome = catch_unwind(AssertUnwindSafe(|| echo.call::<_, ()>((1, Panics, 2))));
        assert!(outcome.is_err());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            echo.call::<_, (i64, Panics)>((1, 2)).map(drop)
        }));
        assert!(outcome.is_err());
        assert_eq!(echo.call::<_, (i64, i64)>((1, 2))?, (1, 2));
    }
    Ok(())
}

#[test]
fn a_nested_panic_reaches_the_outermost_caller() -> Result<()> {
    let lua = instance()?;
    let nested = lua.create_function(|lua, ()| lua.load("panic()").exec())?;
    lua.globals().set("nested", nested)?;
    assert_eq!(panic_of(&lua, "nested()").as_deref(), Some("rust panic"));
    Ok(())
}
