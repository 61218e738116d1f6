//! The collector.

#[cfg(lua_ge_54)]
use mlua::GCMode;
use mlua::{Lua, Result};

#[macro_use]
mod common;

#[cfg(any(lua_ge_52, feature = "luau"))]
#[test]
fn it_is_stopped_and_started() {
    let lua = Lua::new();
    assert!(lua.gc_is_running());
    lua.gc_stop();
    assert!(!lua.gc_is_running());
    lua.gc_restart();
    assert!(lua.gc_is_running());
}

#[cfg(finalizers)]
#[test]
fn a_full_collection_runs_finalizers() -> Result<()> {
    let lua = Lua::new();
    lua.load(with_finalized!(
        "n = 0; for _ = 1, 10 do finalized(function() n = n + 1 end) end"
    ))
    .exec()?;
    lua.gc_collect()?;
    lua.load("assert(n == 10)").exec()
}

#[test]
fn steps_come_to_an_end() -> Result<()> {
    let lua = Lua::new();
    lua.gc_stop();
    lua.load("for i = 1, 1000 do local t = { i } end").exec()?;
    let mut steps = 0;
    while !lua.gc_step()? {
        steps += 1;
        assert!(steps < 10_000);
    }
    assert!(lua.gc_step_kbytes(1_000_000)?);
    Ok(())
}

#[test]
fn parameters_return_what_was_before() {
    let lua = Lua::new();
    let pause = lua.gc_set_pause(400);
    assert_eq!(pause, if cfg!(feature = "lua55") { 250 } else { 200 });
    assert_eq!(lua.gc_set_pause(200), 400);
    let multiplier = if cfg!(feature = "lua54") { 100 } else { 200 };
    assert_eq!(lua.gc_set_step_multiplier(400), multiplier);
    assert_eq!(lua.gc_set_step_multiplier(multiplier), 400);
}

#[cfg(lua_ge_54)]
#[test]
fn modes_return_the_one_before() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.gc_inc(0, 0, 0), GCMode::Incremental);
    assert_eq!(lua.gc_gen(0, 0), GCMode::Incremental);
    assert_eq!(lua.gc_gen(20, 100), GCMode::Generational);
    lua.gc_step_kbytes(std::os::raw::c_int::MAX)?;
    lua.load("for i = 1, 1e5 do local t = { i } end").exec()?;
    lua.gc_collect()?;
    assert_eq!(lua.gc_inc(200, 100, 13), GCMode::Generational);
    Ok(())
}

#[cfg(finalizers)]
#[test]
fn a_finalizer_may_ask_for_a_collection() -> Result<()> {
    let lua = Lua::new();
    let collect = lua.create_function(|lua, ()| {
        lua.gc_collect()?;
        lua.gc_step()?;
        lua.gc_step_kbytes(std::os::raw::c_int::MAX)?;
        Ok(())
    })?;
    lua.load(with_finalized!(
        "local collect = ...; finalized(function() collect(); done = true end)"
    ))
    .call::<_, ()>(collect)?;
    lua.gc_collect()?;
    lua.load("assert(done)").exec()
}

#[cfg(lua_ge_54)]
#[test]
fn errors_and_panics_in_finalizers_do_not_surface() -> Result<()> {
    let lua = Lua::new();
    let fails = lua.create_function(|_, ()| -> Result<()> { panic!("in a finalizer") })?;
    lua.load(
        "setmetatable({}, { __gc = function() error('x') end }); setmetatable({}, { __gc = ... })",
    )
    .call::<_, ()>(fails)?;
    lua.gc_collect()
}

/// Before Lua 5.4, an error in a finalizer comes out of what makes an object.
#[cfg(any(feature = "lua53", feature = "lua52", feature = "lua51"))]
#[test]
fn raw_writes_run_no_finalizer() -> Result<()> {
    let lua = Lua::new();
    lua.gc_set_pause(1);
    lua.gc_set_step_multiplier(10_000);
    let plant: mlua::Function = lua
        .load(with_finalized!(
            "return function() return pcall(finalized, function() error('of a finalizer') end) end"
        ))
        .eval()?;
    let mut failed = 0;
    for round in 0..100 {
        let table = loop {
            match lua.create_table() {
                Ok(table) => break table,
                Err(_) => failed += 1,
            }
        };
        lua.gc_stop();
        plant.call::<_, bool>(())?;
        lua.gc_restart();
        for i in 0..100 {
            table.raw_set(i, true)?;
            table.set(f64::from(i) + 0.5, round)?;
            table.raw_push(i)?;
        }
    }
    assert!(failed > 50, "{failed}");
    Ok(())
}
