//! Memory counted and limited.

use mlua::{Error, Lua, Result, Table};

#[test]
fn used_memory_follows_the_program() -> Result<()> {
    let lua = Lua::new();
    let before = lua.used_memory();
    lua.load("data = ('x'):rep(1000000)").exec()?;
    assert!(lua.used_memory() >= before + 1_000_000);
    lua.load("data = nil").exec()?;
    // Before Lua 5.2 the buffer for it gets smaller by half with each collection.
    for _ in 0..if cfg!(lua_ge_52) { 1 } else { 6 } {
        lua.gc_collect()?;
    }
    assert!(lua.used_memory() < before + 100_000);
    Ok(())
}

#[test]
fn a_limit_returns_the_one_before() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(lua.set_memory_limit(100_000_000)?, 0);
    assert_eq!(lua.set_memory_limit(1_000_000)?, 100_000_000);
    assert_eq!(lua.set_memory_limit(0)?, 1_000_000);
    Ok(())
}

#[test]
fn over_the_limit_is_an_error_and_the_instance_lives_on() -> Result<()> {
    let lua = Lua::new();
    lua.set_memory_limit(lua.used_memory() + 500_000)?;
    match lua
        .load("local t = {}; for i = 1, 1e6 do t[i] = {} end")
        .exec()
    {
        Err(Error::MemoryError(text)) => assert!(text.contains("not enough memory"), "{text}"),
        other => panic!("{other:?}"),
    }
    #[cfg(not(lua_ge_52))]
    lua.gc_collect()?; // nothing else does it
    lua.load("local ok, e = pcall(string.rep, 'x', 1e7); assert(not ok)")
        .exec()?;
    lua.set_memory_limit(0)?;
    lua.load("local t = {}; for i = 1, 1e5 do t[i] = {} end")
        .exec()
}

#[cfg(not(feature = "luau"))]
#[test]
fn with_no_memory_at_all_everything_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let key = lua.create_registry_value(1)?;
    lua.set_memory_limit(1)?;
    assert!(lua.load("x = {}").exec().is_err());
    assert!(lua
        .set_named_registry_value("a name that is new", 1)
        .is_err());
    assert!(lua.create_registry_value("a string that is new").is_err());
    assert!(lua.create_function(|_, ()| Ok(())).is_err());
    // These need none.
    drop(lua.globals());
    lua.replace_registry_value(&key, 2)?;
    assert_eq!(lua.registry_value::<i32>(&key)?, 2);
    let collected = lua.gc_collect();
    // Before Lua 5.4 there may be a finalizer that there is no memory to call.
    assert!(collected.is_ok() || cfg!(raising_finalizers));
    lua.set_memory_limit(0)?;
    lua.set_named_registry_value("a name that is new", 1)
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_limit_does_not_count_for_dumping_a_function() -> Result<()> {
    let lua = Lua::new();
    let f = lua
        .load("local a = 'some' return function() return a, 'other', x end")
        .into_function()?;
    let dumped = f.dump(false);
    assert!(!dumped.is_empty());
    for limit in [1, lua.used_memory(), lua.used_memory() + 50] {
        lua.set_memory_limit(limit)?;
        assert_eq!(f.dump(false), dumped);
    }
    lua.set_memory_limit(0)?;
    lua.load(&dumped).exec()
}

#[test]
fn what_is_there_is_overwritten_without_memory() -> Result<()> {
    let lua = Lua::new();
    let plain = lua.create_table()?;
    let code = "setmetatable({}, { __newindex = function() error('called') end })";
    let watched: Table = lua.load(code).eval()?;
    let set = |table: &Table, n: i32| {
        table.raw_set("x", n)?;
        table.raw_set(1, n)
    };
    for table in [&plain, &watched] {
        set(table, 0)?;
    }
    lua.set_memory_limit(1)?;
    for table in [&plain, &watched] {
        for n in 1..100 {
            table.set("x", n)?;
            table.set(1, -n)?;
            assert_eq!(table.get::<_, i32>("x")?, n);
            assert_eq!(table.get::<_, i32>(1)?, -n);
            set(table, n)?;
        }
    }
    lua.set_memory_limit(0)?;
    assert!(watched.set("y", 1).is_err());
    Ok(())
}
