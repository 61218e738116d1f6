//! Calls, functions, coroutines and chunks under a memory limit that is just reached: an error, and all goes on.

use std::sync::Arc;

use mlua::{Error, Function, Lua, Result, Variadic};

/// Runs `operation` with limits from nothing left to plenty left, and then without one.
fn under_each_limit(lua: &Lua, operation: impl Fn() -> Result<()>) -> Result<()> {
    operation()?;
    let mut failures = 0;
    for spare in (0..20_000).step_by(40) {
        // What the first finalizes is freed by the second.
        lua.gc_collect()?;
        lua.gc_collect()?;
        lua.set_memory_limit(lua.used_memory() + spare)?;
        let result = operation();
        lua.set_memory_limit(0)?;
        if let Err(error) = result {
            assert!(error.to_string().contains("not enough memory"), "{error}");
            failures += 1;
        }
    }
    // Luau takes memory by the page, and may have enough left.
    assert!(
        failures > 0 || cfg!(feature = "luau"),
        "no limit was reached"
    );
    operation()
}

#[test]
fn making_a_function_fails_and_drops_the_closure() -> Result<()> {
    let lua = Lua::new();
    let alive = Arc::new(());
    under_each_limit(&lua, || {
        let captured = alive.clone();
        let f = lua.create_function(move |_, ()| Ok(Arc::strong_count(&captured)))?;
        f.call::<_, usize>(()).map(drop)
    })?;
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(Arc::strong_count(&alive), 1);
    Ok(())
}

#[test]
fn calling_with_many_arguments_fails() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function(...) return {...}, ... end").eval()?;
    under_each_limit(&lua, || {
        match f.call::<_, ()>((0..500).collect::<Variadic<i64>>()) {
            // There is no room on the stack if there is no memory for a larger one.
            Err(Error::StackError) => Err(Error::MemoryError("not enough memory".into())),
            result => result,
        }
    })
}

#[test]
fn binding_fails() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function(a, b) return a .. b end").eval()?;
    under_each_limit(&lua, || {
        assert_eq!(f.bind("a")?.call::<_, String>("b")?, "ab");
        Ok(())
    })
}

#[cfg(lua_ge_52)] // before that it takes no memory
#[test]
fn setting_an_environment_fails() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function() return x end").eval()?;
    let env = lua.create_table()?;
    under_each_limit(&lua, || f.set_environment(env.clone()).map(drop))?;
    assert_eq!(f.environment(), Some(env));
    Ok(())
}

#[test]
fn a_coroutine_fails() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua
        .load("function(a) local t = {} coroutine.yield(a) t[1] = {} return a .. 'b' end")
        .eval()?;
    under_each_limit(&lua, || {
        let thread = lua.create_thread(f.clone())?;
        thread.resume::<_, ()>("a")?;
        thread.resume::<_, ()>(())
    })
}

#[test]
fn loading_fails() -> Result<()> {
    let lua = Lua::new();
    under_each_limit(&lua, || {
        lua.load("local t = { 1, 2, 'three' }; return #t")
            .eval::<i64>()
            .map(drop)
    })
}

#[test]
fn raising_an_error_fails_with_an_error() -> Result<()> {
    let lua = Lua::new();
    let fail = lua.create_function(|_, ()| -> Result<()> {
        Err(Error::runtime("not enough memory to tell"))
    })?;
    let f: Function = lua
        .load("function(fail) local ok, e = pcall(fail) error(e) end")
        .eval()?;
    under_each_limit(&lua, || match f.call::<_, ()>(&fail) {
        Err(Error::CallbackError { .. }) => Ok(()),
        result => result,
    })
}
