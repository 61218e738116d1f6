//! Warnings.
#![cfg(lua_ge_54)]

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

use mlua::{Error, Lua, Result};

type Log<T> = Arc<Mutex<Vec<T>>>;

fn log<T>() -> Log<T> {
    Arc::new(Mutex::new(Vec::new()))
}

fn take<T>(log: &Log<T>) -> Vec<T> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn warnings_come_in_pieces() -> Result<()> {
    let (lua, pieces) = (Lua::new(), log());
    let sink = pieces.clone();
    lua.set_warning_function(move |_, text, more| {
        sink.lock().unwrap().push((text.to_owned(), more));
        Ok(())
    });
    lua.load("warn('a', 'b', 3) warn('@on')").exec()?;
    lua.load("coroutine.wrap(function() warn('in a coroutine') end)()")
        .exec()?;
    lua.warning("x\0y", true);
    lua.warning("", false);
    let expected = [
        ("a", true),
        ("b", true),
        ("3", false),
        ("@on", false),
        ("in a coroutine", false),
        ("x", true),
        ("", false),
    ];
    assert_eq!(
        take(&pieces),
        expected.map(|(text, more)| (text.to_owned(), more))
    );
    lua.remove_warning_function();
    lua.load("warn('nobody')").exec()?;
    lua.warning("nobody", false);
    assert_eq!(take(&pieces), []);
    let error = lua.load("warn({})").exec().unwrap_err().to_string();
    assert!(error.contains("bad argument #1 to 'warn'"), "{error}");
    Ok(())
}

#[test]
fn an_error_of_the_warning_function_is_raised_by_warn() {
    let lua = Lua::new();
    lua.set_warning_function(|_, text, _| Err(Error::runtime(format!("W {text}"))));
    for code in [
        "warn('a', 'b')",
        "coroutine.wrap(function() warn('a') end)()",
    ] {
        let error = lua.load(code).exec().unwrap_err().to_string();
        assert!(error.contains("W a"), "{error}");
    }
    lua.load("local ok = pcall(warn, 'a'); assert(not ok)")
        .exec()
        .unwrap();
    // There is nobody to tell.
    lua.warning("direct", false);
    lua.load("setmetatable({}, { __gc = function() error('x') end })")
        .exec()
        .unwrap();
    lua.gc_collect().unwrap();
}

#[test]
fn a_panic_of_the_warning_function_passes_warn_alone() {
    let lua = Lua::new();
    lua.set_warning_function(|_, _, _| panic!("in a warning"));
    let outcome = catch_unwind(AssertUnwindSafe(|| lua.load("warn('a')").exec()));
    assert_eq!(
        outcome.unwrap_err().downcast_ref::<&str>(),
        Some(&"in a warning")
    );
    lua.warning("direct", false);
    lua.load("setmetatable({}, { __gc = function() error('x') end })")
        .exec()
        .unwrap();
    lua.gc_collect().unwrap();
}

#[test]
fn errors_in_finalizers_become_warnings() -> Result<()> {
    let (lua, text) = (Lua::new(), log());
    let sink = text.clone();
    lua.set_warning_function(move |lua, piece, _| {
        // The instance works in there.
        lua.load("local t = { 1 }; collectgarbage('step')").exec()?;
        sink.lock().unwrap().push(piece.to_owned());
        Ok(())
    });
    lua.load("setmetatable({}, { __gc = function() error('boo', 0) end })")
        .exec()?;
    lua.gc_collect()?;
    assert_eq!(take(&text).concat(), "error in __gc (boo)");
    Ok(())
}

#[test]
fn a_warning_function_may_remove_itself() -> Result<()> {
    let lua = Lua::new();
    lua.set_warning_function(|lua, _, _| {
        lua.remove_warning_function();
        lua.warning("nobody", false);
        Ok(())
    });
    lua.load("warn('a', 'b')").exec()
}
