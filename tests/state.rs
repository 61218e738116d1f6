//! How an instance begins, and what safe mode takes out of it.

use std::panic::{catch_unwind, AssertUnwindSafe};

use mlua::{Error, Lua, LuaOptions, Result, StdLib, Value};

fn without_catching() -> Lua {
    let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::new().catch_rust_panics(false)).unwrap();
    add_panic(&lua);
    lua
}

fn add_panic(lua: &Lua) {
    let fails = lua
        .create_function(|_, ()| -> Result<()> { panic!("in Rust") })
        .unwrap();
    // Through a module, so that this needs no conversion.
    lua.load("local f = ... fails = f")
        .call::<_, ()>(fails)
        .unwrap();
}

fn panics(f: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    let text = payload.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
}

#[test]
fn an_instance_is_made_used_and_dropped() {
    let lua = Lua::new();
    let globals = lua.globals();
    assert!(lua.used_memory() > 10_000);
    lua.gc_collect().unwrap();
    drop(globals);
}

#[test]
fn default_is_new() {
    Lua::default()
        .load("assert(string and table and not debug)")
        .exec()
        .unwrap();
}

#[test]
fn globals_outlive_a_collection_and_are_shared() -> Result<()> {
    let lua = Lua::new();
    let (a, b) = (lua.globals(), lua.globals());
    drop(a);
    lua.gc_collect()?;
    lua.load("x = 1").exec()?;
    drop(b);
    drop(lua.globals());
    lua.load("assert(x == 1 and _G.x == 1)").exec()
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_safe_instance_loads_no_c_modules() -> Result<()> {
    let lua = Lua::new();
    lua.load("assert(#(package.searchers or package.loaders) == 3)")
        .exec()?;
    match lua.load("package.loadlib('x', 'y')").exec() {
        Err(Error::CallbackError { cause, .. }) => {
            let text = "package.loadlib is disabled in safe mode";
            assert!(matches!(&*cause, Error::SafetyError(t) if t == text));
        }
        other => panic!("{other:?}"),
    }
    let error = lua.load("require 'there_is_no_such'").exec().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("can't load C modules in safe mode"),
        "{error}"
    );
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn opening_the_library_package_again_keeps_c_modules_out() -> Result<()> {
    let lua = Lua::new();
    lua.load_from_std_lib(StdLib::PACKAGE)?;
    assert!(lua.load("package.loadlib('x', 'y')").exec().is_err());
    lua.load("package.loaded.package = nil; package = nil")
        .exec()?;
    lua.load_from_std_lib(StdLib::PACKAGE)?;
    assert!(lua.load("package.loadlib('x', 'y')").exec().is_err());
    lua.load("assert(#(package.searchers or package.loaders) == 3)")
        .exec()
}

#[cfg(not(feature = "luau"))]
#[test]
fn an_unsafe_instance_has_everything() -> Result<()> {
    // SAFETY: the scripts do no harm.
    let lua = unsafe { Lua::unsafe_new() };
    lua.load("assert(debug and #(package.searchers or package.loaders) == 4)")
        .exec()?;
    lua.load("local f, text = package.loadlib('x', 'y'); assert(f == nil and text)")
        .exec()?;
    // SAFETY: as above.
    let lua = unsafe { Lua::unsafe_new_with(StdLib::NONE, LuaOptions::default()) };
    lua.load("assert(not debug)").exec()?;
    lua.load_from_std_lib(StdLib::DEBUG)?;
    lua.load("assert(debug.traceback)").exec()
}

#[test]
fn panics_are_caught_by_default_and_go_on_in_rust() {
    let lua = Lua::new();
    add_panic(&lua);
    lua.load("assert(pcall(fails) == false)").exec().unwrap();
    let text = panics(|| {
        lua.load("local _, e = pcall(fails) error(e)")
            .exec()
            .unwrap()
    });
    assert_eq!(text.as_deref(), Some("in Rust"));
}

#[test]
fn panics_pass_pcall_and_xpcall_if_asked_to() {
    let lua = without_catching();
    for code in [
        "pcall(fails)",
        "pcall(pcall, fails)",
        "xpcall(fails, function() handled = true end)",
        "pcall(function() local ok = pcall(fails) end)",
        #[cfg(lua_ge_52)] // nothing yields over a C function before
        "local co = coroutine.wrap(function() pcall(function() coroutine.yield() fails() end) end) co() co()",
    ] {
        let text = panics(|| lua.load(code).exec().unwrap());
        assert_eq!(text.as_deref(), Some("in Rust"), "{code}");
    }
    lua.load("assert(handled == nil)").exec().unwrap();
}

#[cfg(not(feature = "luau"))]
#[test]
fn pcall_that_lets_panics_pass_is_else_as_lua_has_it() -> Result<()> {
    let lua = without_catching();
    lua.globals().set("yields", cfg!(lua_ge_52))?;
    lua.load(
        r#"
        local pack = table.pack or function(...) return { n = select('#', ...), ... } end
        local function same(expected, ...)
            local got = pack(...)
            assert(expected.n == got.n, expected.n .. " ~= " .. got.n)
            for i = 1, expected.n do assert(expected[i] == got[i], tostring(got[i])) end
        end
        same(pack(true, 1, nil), pcall(function() return 1, nil end))
        same(pack(true), pcall(function() end))
        same(pack(false, "x"), pcall(error, "x"))
        if _VERSION ~= "Lua 5.5" then same(pack(false, nil), pcall(error)) end
        same(pack(false, "attempt to call a number value"), pcall(1))
        same(pack(true, 3), pcall(math.max, 1, 2, 3))
        same(pack(true, 3), xpcall(math.max, print, 1, 2, 3))
        same(pack(false, "x!"), xpcall(error, function(m) return m .. "!" end, "x"))
        assert(select('#', xpcall(error, function() error("again") end, "x")) == 2)

        local _, text = pcall(pcall)
        assert(text:find("value expected"), text)
        _, text = pcall(xpcall, print)
        assert(text:find("function expected"), text)

        if not yields then return end
        local co = coroutine.wrap(function(...) return pcall(coroutine.yield, ...) end)
        same(pack(1, 2), co(1, 2))
        same(pack(true, 5, 6), co(5, 6))
        co = coroutine.wrap(function()
            return xpcall(function() coroutine.yield() error("q", 0) end, function(m) return "H" .. m end)
        end)
        co()
        same(pack(false, "Hq"), co())
        "#,
    )
    .exec()
}

#[test]
fn a_loader_is_called_once_with_the_name() -> Result<()> {
    let lua = Lua::new();
    let loader = lua
        .load("calls = (calls or 0) + 1; name = ...; return nil")
        .into_function()?;
    let first: Value = lua.load_from_function("m", loader.clone())?;
    assert!(matches!(first, Value::Boolean(true)));
    let _: Value = lua.load_from_function("m", loader.clone())?;
    lua.load("assert(calls == 1 and name == 'm' and require('m') == true)")
        .exec()?;
    lua.unload("m")?;
    lua.unload("never loaded")?;
    let _: Value = lua.load_from_function("m", loader)?;
    lua.load("assert(calls == 2)").exec()
}

#[test]
fn false_is_a_module_too_and_errors_pass() -> Result<()> {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default())?;
    let loader = lua
        .load("calls = (calls or 0) + 1; return false")
        .into_function()?;
    for _ in 0..2 {
        let module: Value = lua.load_from_function("m", loader.clone())?;
        assert!(matches!(module, Value::Boolean(false)));
    }
    lua.load("assert(calls == 1)").exec()?;
    let bad = lua.load("error('no', 0)").into_function()?;
    match lua.load_from_function::<Value>("bad", bad) {
        Err(Error::RuntimeError(text)) => assert!(text.starts_with("no\n"), "{text}"),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn a_loader_of_another_instance_is_refused() {
    let (a, b) = (Lua::new(), Lua::new());
    let loader = b.load("return 1").into_function().unwrap();
    assert!(matches!(
        a.load_from_function::<Value>("m", loader),
        Err(Error::MismatchedLua)
    ));
}

#[test]
fn static_and_back() {
    let lua: &'static Lua = Lua::new().into_static();
    lua.load("x = 1").exec().unwrap();
    // SAFETY: nothing borrows from it.
    let lua = unsafe { Lua::from_static(lua) };
    lua.load("assert(x == 1)").exec().unwrap();
}

#[cfg(feature = "weak-owned")]
#[test]
fn a_weak_instance_sees_the_end() {
    let lua = Lua::new();
    let (weak, other) = (lua.weak(), Lua::new().weak());
    assert!(weak.is_alive() && !other.is_alive());
    assert!(weak.ptr_eq(&lua.weak()) && !weak.ptr_eq(&other));
    drop(lua);
    assert!(!weak.is_alive());
}
