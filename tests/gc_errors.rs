//! Errors in finalizers of the program's own, which on Lua 5.2 and 5.3 come out of whatever has made the collector run.
#![cfg(any(feature = "lua52", feature = "lua53"))]

use std::collections::HashMap;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use mlua::{
    Error, Function, Lua, MetaMethod, Result, String as LuaString, Table, Thread, UserData,
    UserDataFields, UserDataMethods, Value, Variadic,
};

/// An instance whose collector runs a whole cycle wherever it may, and a function that leaves an object behind whose finalizer
/// fails.
fn eager() -> Result<(Lua, mlua::RegistryKey)> {
    let lua = Lua::new();
    let plant = lua.create_registry_value(
        lua.load(
            "local metatable = { __gc = function() finalized = (finalized or 0) + 1 error('of a finalizer', 0) end }
            local setmetatable = setmetatable
            local function plant() setmetatable({}, metatable) end
            local pcall = pcall
            return function() pcall(plant) end",
        )
        .eval::<Function>()?,
    )?;
    lua.gc_set_pause(1);
    lua.gc_set_step_multiplier(10_000);
    Ok((lua, plant))
}

fn root(error: &Error) -> &Error {
    match error {
        Error::CallbackError { cause, .. } | Error::BadArgument { cause, .. } => root(cause),
        error => error,
    }
}

/// The error of a finalizer, as it is or as Lua code has passed it on.
fn is_of_a_finalizer(error: &Error) -> bool {
    let message = "error in __gc metamethod (of a finalizer)";
    match root(error) {
        Error::GarbageCollectorError(text) => text.starts_with(message),
        _ => false,
    }
}

/// What is to be dropped once.
#[derive(Clone)]
struct Token(#[allow(dead_code)] Arc<()>);

impl UserData for Token {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("name", |_, _| Ok("a token"));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("join", |_, _, (a, b): (String, String)| Ok(a + &b));
        methods.add_method("table", |lua, _, n: i64| {
            let table = lua.create_table()?;
            table.set("n", n)?;
            Ok(table)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("token".to_owned()));
    }
}

struct Counted<const N: usize>(#[allow(dead_code)] Token);

impl<const N: usize> UserData for Counted<N> {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("number", |_, _, ()| Ok(N));
    }
}

type Operation = fn(&Lua, &Token) -> Result<()>;

const OPERATIONS: &[(&str, Operation)] = &[
    ("strings", |lua, _| {
        let text = lua.create_string("some text")?;
        assert_eq!(text.as_bytes(), b"some text");
        let long = "x".repeat(1000);
        assert_eq!(lua.create_string(&long)?.as_bytes().len(), 1000);
        Ok(())
    }),
    ("tables", |lua, _| {
        let table = lua.create_table()?;
        table.set("key", "value")?;
        table.set(1, vec!["a", "b"])?;
        table.raw_set("other", 2.5)?;
        table.push("pushed")?;
        table.raw_insert(1, "first")?;
        assert_eq!(table.get::<_, String>("key")?, "value");
        table.raw_remove(1)?;
        assert_eq!(table.pop::<String>()?, "pushed");
        assert!(table.contains_key("other")?);
        Ok(())
    }),
    ("tables of values", |lua, _| {
        let table = lua.create_table_from([("a", "1"), ("b", "2")])?;
        let mut pairs: Vec<(String, String)> = table.clone().pairs().collect::<Result<_>>()?;
        pairs.sort();
        assert_eq!(pairs[0], ("a".to_owned(), "1".to_owned()));
        let list = lua.create_sequence_from(["x", "y", "z"])?;
        assert_eq!(list.sequence_values::<String>().count(), 3);
        let metatable = lua.create_table()?;
        metatable.set(
            "__index",
            lua.create_function(|_, (_, key): (Table, String)| Ok(key + "!"))?,
        )?;
        table.set_metatable(Some(metatable));
        assert_eq!(table.get::<_, String>("c")?, "c!");
        Ok(())
    }),
    ("functions", |lua, token| {
        let token = token.clone();
        let add = lua.create_function(move |_, (a, b): (String, String)| {
            let _ = &token;
            Ok(a + &b)
        })?;
        assert_eq!(add.call::<_, String>(("a", "b"))?, "ab");
        assert_eq!(add.bind("a")?.call::<_, String>("c")?, "ac");
        let many: Variadic<String> = (0..40).map(|n| n.to_string()).collect();
        let count = lua.create_function(|_, all: Variadic<LuaString>| Ok(all.len()))?;
        assert_eq!(count.call::<_, usize>(many)?, 40);
        assert!(add.info().what == "C");
        Ok(())
    }),
    ("chunks", |lua, _| {
        let f: Function = lua
            .load("local a = ...; local t = { a .. 'x' }; return function(b) return t[1] .. b end")
            .set_name("chunk")
            .call("p")?;
        assert_eq!(f.call::<_, String>("q")?, "pxq");
        let dumped = lua.load("return 'some', {}").into_function()?.dump(false);
        let (text, _): (String, Table) = lua
            .load(&dumped[..])
            .set_mode(mlua::ChunkMode::Binary)
            .eval()?;
        assert_eq!(text, "some");
        let env = lua.create_table()?;
        lua.load("x = 'set'").set_environment(env.clone()).exec()?;
        assert_eq!(env.get::<_, String>("x")?, "set");
        let f = lua.load("return x").into_function()?;
        assert!(f.set_environment(env)?);
        assert_eq!(f.call::<_, String>(())?, "set");
        assert!(matches!(
            lua.load("return return").exec(),
            Err(Error::SyntaxError { .. } | Error::GarbageCollectorError(_))
        ));
        Ok(())
    }),
    ("coroutines", |lua, token| {
        let token = token.clone();
        let body = lua.create_function(move |_, text: String| {
            let _ = &token;
            Ok(text + "!")
        })?;
        let thread = lua.create_thread(body)?;
        assert_eq!(thread.resume::<_, String>("a")?, "a!");
        let thread: Thread = lua
            .load("coroutine.create(function(a) local b = coroutine.yield(a .. 'x') return a .. b end)")
            .eval()?;
        assert_eq!(thread.resume::<_, String>("1")?, "1x");
        assert_eq!(thread.resume::<_, String>("2")?, "12");
        Ok(())
    }),
    ("userdata", |lua, token| {
        let userdata = lua.create_userdata(token.clone())?;
        userdata.set_user_value(lua.create_table()?)?;
        userdata.set_named_user_value("name", lua.create_table()?)?;
        assert_eq!(userdata.user_value::<Table>()?.raw_len(), 0);
        let f: Function = lua
            .load("local u = ...; return u:join('a', 'b') .. u.name .. tostring(u) .. u:table(3).n")
            .into_function()?;
        let text: String = f.call(userdata.clone())?;
        assert!(text.starts_with("aba tokentoken3"), "{text}");
        lua.create_any_userdata(token.clone())?;
        lua.globals().set("token", token.clone())?;
        drop(userdata.take::<Token>()?);
        lua.globals().set("token", Value::Nil)
    }),
    ("new types", |lua, token| {
        lua.create_userdata(Counted::<1>(token.clone()))?;
        lua.create_userdata(Counted::<2>(token.clone()))?;
        lua.create_userdata(Counted::<3>(token.clone()))?;
        lua.register_userdata_type::<(u8, u8)>(|registry| {
            registry.add_method("first", |_, this, ()| Ok(this.0));
        })?;
        lua.create_any_userdata((1_u8, 2_u8)).map(drop)
    }),
    ("the registry", |lua, _| {
        let key = lua.create_registry_value("some value")?;
        assert_eq!(lua.registry_value::<String>(&key)?, "some value");
        lua.remove_registry_value(key)?;
        lua.set_named_registry_value("a name", "some")?;
        assert_eq!(lua.named_registry_value::<String>("a name")?, "some");
        lua.unset_named_registry_value("a name")
    }),
    ("scopes", |lua, token| {
        lua.scope(|scope| {
            let f = scope.create_function(|_, text: String| {
                let _ = token;
                Ok(text + "?")
            })?;
            assert_eq!(f.call::<_, String>("a")?, "a?");
            let userdata = scope.create_userdata(token.clone())?;
            let f: Function = lua
                .load("local u = ... return u:join('x', 'y')")
                .into_function()?;
            assert_eq!(f.call::<_, String>(userdata)?, "xy");
            Ok(())
        })
    }),
    ("conversions", |lua, _| {
        let text = lua
            .coerce_string(Value::Number(1.5))?
            .expect("a number has a text");
        assert_eq!(text.to_str()?, "1.5");
        let list: Vec<HashMap<String, Vec<String>>> =
            lua.load("return {{ a = {'b', 1.5}, c = {} }, {}}").eval()?;
        assert_eq!(list[0]["a"], ["b", "1.5"]);
        let table: Table = lua.pack(list).and_then(|value| lua.unpack(value))?;
        assert_eq!(table.raw_len(), 2);
        assert!(Value::Table(table).to_string()?.starts_with("table"));
        Ok(())
    }),
    ("modules", |lua, _| {
        let module: Table =
            lua.load_from_function("module", lua.create_function(|lua, ()| lua.create_table())?)?;
        module.set("x", 1)?;
        lua.unload("module")
    }),
    #[cfg(feature = "serialize")]
    ("serialization", |lua, _| {
        use mlua::LuaSerdeExt;
        let map = HashMap::from([("key", vec![(1, "one"), (2, "two")])]);
        let value = lua.to_value(&map)?;
        let back: HashMap<String, Vec<(i32, String)>> = lua.from_value(value)?;
        assert_eq!(back["key"][1], (2, "two".to_owned()));
        Ok(())
    }),
    #[cfg(feature = "async")]
    ("async functions", |lua, token| {
        let token = token.clone();
        let wait = lua.create_async_function(move |_, text: String| {
            let token = token.clone();
            async move {
                tokio::task::yield_now().await;
                drop(token);
                Ok(text + "!")
            }
        })?;
        let twice: Function = lua
            .load("local wait = ...; return function(a) return wait(wait(a)) end")
            .call(wait)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(Error::external)?;
        let text: String = runtime.block_on(twice.call_async("a"))?;
        assert_eq!(text, "a!!");
        Ok(())
    }),
    ("collections", |lua, _| {
        while !lua.gc_step()? {}
        lua.gc_step_kbytes(10)?;
        lua.gc_collect()
    }),
];

#[test]
fn every_operation_fails_with_it_and_all_goes_on() -> Result<()> {
    for &(name, operation) in OPERATIONS {
        let (lua, plant) = eager()?;
        let token = Token(Arc::new(()));
        let (mut failures, mut successes) = (0, 0);
        for n in 0..300 {
            // A different number each time, so that it comes out of different steps.
            for _ in 0..n % 7 {
                let plant: Function = lua.registry_value(&plant)?;
                let _ = plant.call::<_, ()>(());
            }
            match operation(&lua, &token) {
                Ok(()) => successes += 1,
                Err(error) if is_of_a_finalizer(&error) => failures += 1,
                Err(error) => panic!("{name}: {error:?}"),
            }
        }
        assert!(
            failures > 0,
            "{name}: {failures} failures, {successes} successes"
        );
        while lua.gc_collect().is_err() {}
        operation(&lua, &token)?;
        lua.globals().set("token", Value::Nil)?;
        drop(plant);
        lua.expire_registry_values();
        lua.gc_collect()?;
        lua.gc_collect()?;
        let left = Arc::strong_count(&token.0);
        assert_eq!(left, 1, "{name} has left something behind");
        lua.load("assert(finalized > 10)").exec()?;
    }
    Ok(())
}

#[test]
fn a_collection_returns_it_and_goes_on_where_it_was() -> Result<()> {
    let lua = Lua::new();
    lua.load(
        "n = 0
        for i = 1, 5 do
            setmetatable({}, { __gc = function() n = n + 1 error('number ' .. n, 0) end })
        end",
    )
    .exec()?;
    let mut messages = Vec::new();
    while let Err(error) = lua.gc_collect() {
        match error {
            Error::GarbageCollectorError(message) => messages.push(message),
            error => panic!("{error:?}"),
        }
    }
    let expected: Vec<String> = (1..=5)
        .map(|n| format!("error in __gc metamethod (number {n})"))
        .collect();
    assert_eq!(messages, expected);
    assert_eq!(lua.globals().get::<_, i64>("n")?, 5);
    Ok(())
}

#[test]
fn it_does_not_take_the_place_of_another_error() -> Result<()> {
    let (lua, plant) = eager()?;
    // Lua 5.2 may run the collector where it begins to call a C function.
    let begun = Arc::new(AtomicBool::new(false));
    let begins = begun.clone();
    let fail = lua.create_function(move |_, ()| -> Result<()> {
        begins.store(true, Ordering::Relaxed);
        Err(Error::external("mine"))
    })?;
    let begins = begun.clone();
    let panics = lua.create_function(move |_, ()| -> Result<()> {
        begins.store(true, Ordering::Relaxed);
        resume_unwind(Box::new(5_u8))
    })?;
    let plant: Function = lua.registry_value(&plant)?;
    let mut seen = 0;
    for n in 0..2000 {
        for _ in 0..n % 4 {
            let _ = plant.call::<_, ()>(());
        }
        let in_coroutine = n % 3 == 0;
        let call = |f: &Function| -> Result<()> {
            if in_coroutine {
                lua.create_thread(f.clone())?.resume(())
            } else {
                f.call(())
            }
        };
        begun.store(false, Ordering::Relaxed);
        let error = call(&fail).unwrap_err();
        if begun.swap(false, Ordering::Relaxed) {
            seen += 1;
            assert!(matches!(root(&error), Error::ExternalError(_)), "{error:?}");
        } else {
            assert!(is_of_a_finalizer(&error), "{error:?}");
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| call(&panics)));
        if begun.load(Ordering::Relaxed) {
            seen += 1;
            assert_eq!(outcome.unwrap_err().downcast_ref::<u8>(), Some(&5));
        } else {
            let error = outcome.unwrap().unwrap_err();
            assert!(is_of_a_finalizer(&error), "{error:?}");
        }
    }
    assert!(seen > 1000, "{seen}");
    Ok(())
}

#[test]
fn errors_that_are_no_text_have_no_message() -> Result<()> {
    let lua = Lua::new();
    lua.load("setmetatable({}, { __gc = function() error({}) end })")
        .exec()?;
    match lua.gc_collect() {
        Err(Error::GarbageCollectorError(message)) => {
            assert_eq!(message, "error in __gc metamethod (no message)")
        }
        outcome => panic!("{outcome:?}"),
    }
    Ok(())
}

#[test]
fn while_the_instance_is_closed_nobody_is_told() -> Result<()> {
    let token = Token(Arc::new(()));
    let lua = Lua::new();
    lua.load(
        "kept = {}
        for i = 1, 10 do kept[i] = setmetatable({}, { __gc = function() collectgarbage() error('late') end }) end",
    )
    .exec()?;
    lua.globals().set("token", token.clone())?;
    drop(lua);
    assert_eq!(Arc::strong_count(&token.0), 1);
    Ok(())
}

#[cfg(not(feature = "send"))]
#[test]
fn destructors_that_collect_do_not_nest() -> Result<()> {
    struct Collects(&'static Lua, Token);
    impl UserData for Collects {}
    impl Drop for Collects {
        fn drop(&mut self) {
            self.0.gc_collect().unwrap();
            assert!(self.0.gc_step().unwrap());
            self.0.load("collectgarbage()").exec().unwrap();
            drop(self.1.clone());
        }
    }
    let token = Token(Arc::new(()));
    // As many as calls cannot be nested.
    let lua = Lua::new().into_static();
    for _ in 0..1000 {
        lua.create_userdata(Collects(lua, token.clone()))?;
    }
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(Arc::strong_count(&token.0), 1);
    // SAFETY: nothing of the instance is left.
    drop(unsafe { Lua::from_static(lua) });
    Ok(())
}

#[test]
fn what_cannot_report_an_error_does_not_fail() -> Result<()> {
    let (lua, plant) = eager()?;
    let plant: Function = lua.registry_value(&plant)?;
    let globals = lua.globals();
    globals.set_metatable(Some(lua.create_table()?));
    let mut kept = Vec::new();
    // Enough for one more reference thread, whatever it takes at a time.
    for n in 0..70_000 {
        if n % 4 == 0 {
            while plant.call::<_, ()>(()).is_err() {}
        }
        kept.push(Value::Table(lua.globals()));
        kept.push(Value::Thread(lua.current_thread()));
        kept.push(Value::Table(globals.get_metatable().unwrap()));
    }
    #[cfg(feature = "serialize")]
    kept.push(Value::Table(mlua::LuaSerdeExt::array_metatable(&lua)));
    drop(kept);
    Ok(())
}

#[test]
fn a_collector_that_is_stopped_stays_so() -> Result<()> {
    let lua = Lua::new();
    lua.gc_stop();
    let mut failed = 0;
    for _ in 0..200 {
        lua.load("setmetatable({}, { __gc = function() error('x') end })")
            .exec()?;
        failed += usize::from(lua.gc_step_kbytes(100).is_err());
        failed += usize::from(lua.gc_step().is_err());
        assert!(!lua.gc_is_running());
    }
    assert!(failed > 10, "{failed}");
    Ok(())
}
