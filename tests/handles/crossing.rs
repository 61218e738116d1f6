//! Handles that get where they do not belong: another instance, another coroutine, the other side of a panic.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;

use mlua::{
    AnyUserData, AnyUserDataExt, Error, FromLua, Function, IntoLua, Lua, LuaOptions, MultiValue,
    OwnedFunction, OwnedTable, OwnedThread, OwnedValue, Result, StdLib, String as LuaString, Table,
    TableExt, Thread, ThreadStatus, UserData, UserDataFields, UserDataMethods, Value, Variadic,
};

use crate::kit::{
    assert_destroyed, assert_mismatched, panic_message, root, stored_view, Log, OnDrop, Owner,
    Tally,
};

/// One handle of each kind.
fn each_kind(lua: &Lua) -> Vec<OwnedValue> {
    let values = [
        Value::String(lua.create_string("text").unwrap()),
        Value::Table(lua.create_table().unwrap()),
        Value::Function(lua.create_function(|_, ()| Ok(())).unwrap()),
        Value::Thread(
            lua.create_thread(lua.load("coroutine.yield()").into_function().unwrap())
                .unwrap(),
        ),
        Value::UserData(lua.create_any_userdata(5_u8).unwrap()),
    ];
    values.into_iter().map(Value::into_owned).collect()
}

struct Userdata;

impl UserData for Userdata {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_set("x", |_, _, _: Value| Ok(()));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("take", |_, _, _: Value| Ok(()));
    }
}

type Place = (&'static str, fn(&Lua, &OwnedValue) -> Result<()>);

/// Everywhere that a value can go in.
const PLACES: &[Place] = &[
    ("upgrade_in", |lua, handle| {
        handle.upgrade_in(lua).map(|_| ())
    }),
    ("pack", |lua, handle| lua.pack(handle).map(|_| ())),
    ("pack_multi", |lua, handle| {
        lua.pack_multi((1, handle)).map(|_| ())
    }),
    ("table value", |lua, handle| lua.globals().set("x", handle)),
    ("table key", |lua, handle| lua.globals().set(handle, 1)),
    ("key that is read", |lua, handle| {
        lua.globals().get::<_, Value>(handle).map(|_| ())
    }),
    ("raw table value", |lua, handle| {
        lua.globals().raw_set("x", handle)
    }),
    ("raw table key", |lua, handle| {
        lua.globals().raw_set(handle, 1)
    }),
    ("raw key that is read", |lua, handle| {
        lua.globals().raw_get::<_, Value>(handle).map(|_| ())
    }),
    ("contains_key", |lua, handle| {
        lua.globals().contains_key(handle).map(|_| ())
    }),
    ("push", |lua, handle| lua.globals().push(handle)),
    ("raw_push", |lua, handle| lua.globals().raw_push(handle)),
    ("raw_insert", |lua, handle| {
        lua.globals().raw_insert(1, handle)
    }),
    ("raw_remove", |lua, handle| lua.globals().raw_remove(handle)),
    ("value of an owned table", |lua, handle| {
        lua.globals().into_owned().set("x", handle)
    }),
    ("create_table_from", |lua, handle| {
        lua.create_table_from([("x", handle)]).map(|_| ())
    }),
    ("create_sequence_from", |lua, handle| {
        lua.create_sequence_from([handle.clone()]).map(|_| ())
    }),
    ("argument", |lua, handle| {
        lua.globals()
            .get::<_, Function>("type")?
            .call::<_, ()>(handle)
    }),
    ("one of many arguments", |lua, handle| {
        let table = lua.create_table()?;
        lua.globals()
            .get::<_, Function>("type")?
            .call::<_, ()>((1, "two", table, handle, 5))
    }),
    ("variadic argument", |lua, handle| {
        let args: Variadic<OwnedValue> = [OwnedValue::Nil, handle.clone()].into_iter().collect();
        lua.globals()
            .get::<_, Function>("type")?
            .call::<_, ()>(args)
    }),
    ("argument in a list", |lua, handle| {
        lua.globals()
            .get::<_, Function>("type")?
            .call::<_, ()>(vec![handle.clone()])
    }),
    ("argument in a map", |lua, handle| {
        lua.globals()
            .get::<_, Function>("type")?
            .call::<_, ()>(HashMap::from([("x", handle.clone())]))
    }),
    ("argument in an option", |lua, handle| {
        lua.globals()
            .get::<_, Function>("type")?
            .call::<_, ()>(Some(handle.clone()))
    }),
    ("argument of a chunk", |lua, handle| {
        lua.load("return ...").call::<_, ()>(handle)
    }),
    ("environment", |lua, handle| {
        lua.load("return 1").set_environment(handle).exec()
    }),
    ("argument of a method", |lua, handle| {
        let userdata = lua.create_userdata(Userdata)?;
        userdata.call_method::<_, ()>("take", handle)
    }),
    ("argument of a table's function", |lua, handle| {
        lua.globals()
            .get::<_, Table>("string")?
            .call_function::<_, ()>("len", handle)
    }),
    ("bound argument", |lua, handle| {
        lua.globals()
            .get::<_, Function>("type")?
            .bind(handle)
            .map(|_| ())
    }),
    ("argument of resume", |lua, handle| {
        lua.create_thread(lua.load("return ...").into_function()?)?
            .resume::<_, ()>(handle)
    }),
    ("value returned by a callback", |lua, handle| {
        let handle = handle.clone();
        lua.create_function(move |_, ()| Ok(handle.clone()))?
            .call::<_, ()>(())
    }),
    ("value among those returned", |lua, handle| {
        let handle = handle.clone();
        lua.create_function(move |_, ()| Ok((1, handle.clone(), 3)))?
            .call::<_, ()>(())
    }),
    ("value returned in a result", |lua, handle| {
        let handle = handle.clone();
        lua.create_function(move |_, ()| Ok(Ok::<_, String>(handle.clone())))?
            .call::<_, ()>(())
    }),
    (
        "value returned by a callback that Lua calls",
        |lua, handle| {
            let handle = handle.clone();
            let get = lua.create_function(move |_, ()| Ok(handle.clone()))?;
            lua.load("local get = ...; local a = get()")
                .call::<_, ()>(get)
        },
    ),
    ("value returned in a coroutine", |lua, handle| {
        let handle = handle.clone();
        lua.create_thread(lua.create_function(move |_, ()| Ok(handle.clone()))?)?
            .resume::<_, ()>(())
    }),
    ("value returned in a scope", |lua, handle| {
        lua.scope(|scope| {
            scope
                .create_function(|_, ()| Ok(handle.clone()))?
                .call::<_, ()>(())
        })
    }),
    ("registry value", |lua, handle| {
        lua.create_registry_value(handle).map(|_| ())
    }),
    ("replaced registry value", |lua, handle| {
        lua.replace_registry_value(&lua.create_registry_value(1)?, handle)
    }),
    ("named registry value", |lua, handle| {
        lua.set_named_registry_value("x", handle)
    }),
    ("user value", |lua, handle| {
        lua.create_any_userdata(1)?.set_user_value(handle)
    }),
    ("numbered user value", |lua, handle| {
        lua.create_any_userdata(1)?.set_nth_user_value(3, handle)
    }),
    ("named user value", |lua, handle| {
        lua.create_any_userdata(1)?
            .set_named_user_value("x", handle)
    }),
    ("field of a userdata", |lua, handle| {
        lua.create_userdata(Userdata)?.set("x", handle)
    }),
];

#[test]
fn a_handle_is_refused_everywhere_in_another_instance() {
    let (lua, other) = (Lua::new(), Lua::new());
    for handle in each_kind(&lua) {
        for (place, put) in PLACES {
            assert_mismatched(place, put(&other, &handle));
            assert_eq!(
                other.load("return 6 * 7").eval::<i64>().unwrap(),
                42,
                "{place}"
            );
        }
    }
}

#[test]
fn a_dead_handle_is_refused_everywhere() {
    let handles = each_kind(&Lua::new());
    let lua = Lua::new();
    for handle in handles {
        for (place, put) in PLACES {
            assert_destroyed(place, put(&lua, &handle));
        }
    }
    assert_eq!(lua.load("return 6 * 7").eval::<i64>().unwrap(), 42);
}

#[test]
fn what_is_refused_holds_nothing_and_leaves_no_trace() {
    let (lua, other) = (Lua::new(), Lua::new());
    let tally = Tally::default();
    let handle = OwnedValue::from(lua.create_userdata(tally.token()).unwrap().into_owned());
    for (place, put) in PLACES {
        assert_mismatched(place, put(&other, &handle));
    }
    for (place, put) in PLACES {
        let measure = |rounds| {
            for _ in 0..rounds {
                assert!(put(&other, &handle).is_err());
            }
            other.expire_registry_values();
            // The first finds the garbage and runs finalizers, the second frees what they were of.
            other.gc_collect().unwrap();
            other.gc_collect().unwrap();
            other.used_memory()
        };
        let before = measure(10);
        let after = measure(50);
        assert!(after <= before, "{place}: {before} {after}");
    }
    drop(handle);
    lua.gc_collect().unwrap();
    tally.assert_all_dropped();
}

#[test]
fn a_proxy_is_refused_everywhere_in_another_instance() {
    let lua = Lua::new();
    let other = Lua::new();
    // Two instances whose references have one lifetime: that is what makes the mistake possible.
    fn try_all<'lua>(lua: &'lua Lua, other: &'lua Lua) {
        let table = lua.create_table().unwrap();
        let function = lua.create_function(|_, ()| Ok(())).unwrap();
        let thread = lua.create_thread(function.clone()).unwrap();
        let string = lua.create_string("12").unwrap();
        let userdata = lua.create_any_userdata(1).unwrap();
        let theirs = other.create_table().unwrap();
        let their_function = other
            .create_function(|_, _: Variadic<Value>| Ok(()))
            .unwrap();

        assert_mismatched("set", theirs.set("x", &table));
        assert_mismatched("raw_set", theirs.raw_set(&string, 1));
        assert_mismatched("call", their_function.call::<_, ()>(&function));
        assert_mismatched("call", their_function.call::<_, ()>((1, &thread)));
        assert_mismatched("bind", their_function.bind(&userdata).map(|_| ()));
        assert_mismatched("create_thread", other.create_thread(function.clone()));
        let their_thread = other.create_thread(their_function.clone()).unwrap();
        assert_mismatched("resume", their_thread.resume::<_, ()>(&table));
        #[cfg(any(lua_ge_54, feature = "luau"))]
        assert_mismatched("reset", their_thread.reset(function.clone()));
        assert_mismatched(
            "load_from_function",
            other.load_from_function::<Value>("x", function.clone()),
        );
        assert_mismatched(
            "set_environment",
            their_function.set_environment(table.clone()),
        );
        assert_mismatched("registry", other.create_registry_value(&table));
        assert_mismatched(
            "named registry",
            other.set_named_registry_value("x", &string),
        );
        assert_mismatched(
            "many",
            other.create_sequence_from([table.clone(), table.clone()]),
        );
        let values = MultiValue::from_vec(vec![Value::Nil, Value::Table(table.clone())]);
        assert_mismatched("MultiValue", their_function.call::<_, ()>(values));

        assert_ne!(table, theirs);
        assert!(!table.equals(&theirs).unwrap_or(false));
        assert_ne!(Value::Table(table.clone()), Value::Table(theirs.clone()));
        assert!(!Value::Table(table.clone())
            .equals(Value::Table(theirs.clone()))
            .unwrap_or(false));
        assert_ne!(function, their_function);
        // Not a value of the instance, so an error, or the plain result; no crash.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            other
                .coerce_string(Value::String(string.clone()))
                .map(|_| ())
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            other.coerce_string(Value::Table(table.clone())).map(|_| ())
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            other.coerce_integer(Value::String(string.clone()))
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            other.coerce_number(Value::String(string.clone()))
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            other
                .unpack::<Table>(Value::Table(table.clone()))
                .map(|_| ())
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            other.unpack::<i64>(Value::String(string.clone()))
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            String::from_lua(Value::String(string.clone()), other)
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            f64::from_lua(Value::String(string.clone()), other)
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            Vec::<i64>::from_lua(Value::Table(table.clone()), other)
        }));
        let _ = catch_unwind(AssertUnwindSafe(|| {
            OwnedTable::from_lua(Value::Table(table.clone()), other)
        }));
        // `set_metatable` cannot return an error.
        let refused = catch_unwind(AssertUnwindSafe(|| {
            theirs.set_metatable(Some(table.clone()))
        }));
        assert!(refused.is_err() || theirs.get_metatable().is_none());
        // SAFETY: there is room on the stack; as the test finds, nothing is left there.
        let refused = unsafe {
            (
                other.push(&table),
                other.push_value(Value::Table(table.clone())),
            )
        };
        assert_mismatched("push", refused.0);
        assert_mismatched("push_value", refused.1);
        assert_eq!(other.load("return 6 * 7").eval::<i64>().unwrap(), 42);
        assert_eq!(lua.load("return 6 * 7").eval::<i64>().unwrap(), 42);
    }
    try_all(&lua, &other);
}

#[test]
fn a_conversion_of_another_instance_takes_the_handle_of_its_own() {
    let (lua, other) = (Lua::new(), Lua::new());
    let table = lua.create_table().unwrap();
    // Whichever instance a conversion is told, the handle is that of the value.
    if let Ok(handle) = OwnedTable::from_lua(Value::Table(table), &other) {
        assert!(handle.upgrade_in(&lua).is_ok());
        assert_mismatched("upgrade_in", handle.upgrade_in(&other));
        drop(other);
        assert!(handle.is_alive());
    }
}

#[test]
fn handles_of_one_instance_are_kept_by_another() {
    struct Userdata(#[allow(dead_code)] OwnedTable);
    impl UserData for Userdata {}

    for first_to_go in 0..2 {
        let (lua, other) = (Lua::new(), Lua::new());
        let tally = Tally::default();
        lua.globals().set("token", tally.token()).unwrap();
        let handle = lua.globals().into_owned();
        other.set_app_data(handle.clone());
        other
            .globals()
            .set("keeper", Userdata(handle.clone()))
            .unwrap();
        let kept = handle.clone();
        let get = other.create_function(move |_, name: String| match kept.try_upgrade() {
            Ok(globals) => Ok(Some(globals.contains_key(name)?)),
            Err(_) => Ok(None),
        });
        other.globals().set("get", get.unwrap()).unwrap();
        assert!(other
            .load("get('token') and not get('nothing')")
            .eval::<bool>()
            .unwrap());
        if first_to_go == 0 {
            drop(lua);
            tally.assert_all_dropped();
            assert!(!other.app_data_ref::<OwnedTable>().unwrap().is_alive());
            assert!(other.load("get('token') == nil").eval::<bool>().unwrap());
            drop(other);
        } else {
            drop(other);
            assert_eq!(tally.dropped(), 0);
            assert!(lua.load("token ~= nil").eval::<bool>().unwrap());
            drop(lua);
            tally.assert_all_dropped();
        }
        assert!(!handle.is_alive());
    }
}

// Coroutines.

#[test]
fn a_handle_made_in_a_coroutine_outlives_it() {
    let lua = Lua::new();
    let kept: Rc<RefCell<Option<OwnedFunction>>> = Rc::default();
    let keeps = kept.clone();
    let keep = lua.create_function(move |_, callback: OwnedFunction| {
        assert_eq!(callback.call::<_, i64>(1)?, 2);
        *keeps.borrow_mut() = Some(callback);
        Ok(())
    });
    lua.globals().set("keep", keep.unwrap()).unwrap();
    lua.load("local co = coroutine.create(function() local one = 1; keep(function(n) return n + one end) coroutine.yield() end) coroutine.resume(co)").exec().unwrap();
    lua.gc_collect().unwrap();
    lua.gc_collect().unwrap();
    let callback = kept.borrow_mut().take().unwrap();
    assert_eq!(callback.call::<_, i64>(41).unwrap(), 42);

    let call = lua
        .create_function(move |_, n: i64| callback.call::<_, i64>(n))
        .unwrap();
    let result: i64 = lua
        .load("local call = ...; return coroutine.wrap(function() return call(1) + call(2) end)()")
        .call(call)
        .unwrap();
    assert_eq!(result, 5);
}

#[test]
fn a_view_from_a_dead_coroutine_works() {
    let lua = Lua::new();
    let view = stored_view(&lua);
    let taken: Rc<Cell<Option<&'static Lua>>> = Rc::default();
    let takes = taken.clone();
    let take = view.create_function(move |lua, ()| {
        takes.set(Some(lua));
        Ok(())
    });
    let thread = view.create_thread(take.unwrap()).unwrap();
    thread.resume::<_, ()>(()).unwrap();
    drop(thread);
    view.gc_collect().unwrap();
    view.gc_collect().unwrap();
    let taken = taken.take().unwrap();
    let table = taken.create_table().unwrap();
    table.set("x", taken.create_string("y").unwrap()).unwrap();
    assert_eq!(taken.load("return 1").eval::<i64>().unwrap(), 1);
}

#[test]
fn proxies_stay_across_yields() {
    let lua = Lua::new();
    let handle = lua.create_table().unwrap().into_owned();
    let proxies: Rc<RefCell<Vec<OwnedTable>>> = Rc::default();
    let sees = proxies.clone();
    let see = lua.create_function(move |_, table: Table| {
        table.push(1)?;
        sees.borrow_mut().push(table.into_owned());
        Ok(())
    });
    lua.globals().set("see", see.unwrap()).unwrap();
    let body: Function = lua
        .load("function(t) while true do see(t) t = coroutine.yield(t) end end")
        .eval()
        .unwrap();
    let threads: Vec<OwnedThread> = (0..10)
        .map(|_| lua.create_thread(body.clone()).unwrap().into_owned())
        .collect();
    let proxy = handle.upgrade();
    for _ in 0..3 {
        for thread in &threads {
            let back: Table = thread.resume(&handle).unwrap();
            assert_eq!(back, proxy);
        }
        lua.gc_collect().unwrap();
    }
    drop(threads);
    lua.gc_collect().unwrap();
    assert_eq!(proxy.raw_len(), 30);
    assert!(proxies.borrow().iter().all(|seen| *seen == handle));
}

#[test]
fn a_coroutine_is_resumed_from_others_and_from_itself() {
    let lua = Lua::new();
    let thread: Rc<RefCell<Option<OwnedThread>>> = Rc::default();
    let inside = thread.clone();
    let resume = lua.create_function(move |_, ()| {
        let thread = inside.borrow().clone().unwrap();
        assert_eq!(thread.status(), ThreadStatus::Unresumable);
        Ok(thread.resume::<_, ()>(()).is_err())
    });
    let body: Function = lua.load("local resume = ...; return function() local refused = resume() coroutine.yield(refused) return resume() end").call(resume.unwrap()).unwrap();
    *thread.borrow_mut() = Some(lua.create_thread(body).unwrap().into_owned());
    let handle = thread.borrow().clone().unwrap();
    assert!(handle.resume::<_, bool>(()).unwrap());
    lua.globals().set("handle", &handle).unwrap();
    assert!(lua.load("coroutine.wrap(function() local ok, refused = coroutine.resume(handle) return ok and refused end)()").eval::<bool>().unwrap());
    assert_eq!(handle.status(), ThreadStatus::Unresumable);
}

#[test]
fn yielding_out_of_an_upgraded_function_is_an_error() {
    let lua = Lua::new();
    let yields: OwnedFunction = lua
        .load("function() coroutine.yield(1) end")
        .eval()
        .unwrap();
    let call = lua
        .create_function(move |_, ()| yields.call::<_, ()>(()))
        .unwrap();
    let error = lua
        .create_thread(call)
        .unwrap()
        .resume::<_, ()>(())
        .unwrap_err();
    assert!(error.to_string().contains("attempt to yield"), "{error}");
}

#[test]
fn the_current_thread_can_be_owned() {
    let lua = Lua::new();
    let current = lua
        .create_function(|lua, ()| Ok(lua.current_thread().into_owned()))
        .unwrap();
    let same: bool = lua
        .load("local current = ...; return coroutine.wrap(function() return current() == coroutine.running() end)()")
        .call(&current)
        .unwrap();
    assert!(same);
    let main: OwnedThread = current.call(()).unwrap();
    drop(current);
    drop(lua);
    assert!(!main.is_alive());
    assert_eq!(main.status(), ThreadStatus::Error);
}

#[test]
fn a_dead_coroutine_behind_a_handle() {
    let lua = Lua::new();
    let fails: OwnedThread = lua
        .create_thread(lua.load("error('in a coroutine')").into_function().unwrap())
        .unwrap()
        .into_owned();
    let error = fails.resume::<_, ()>(()).unwrap_err();
    assert!(error.to_string().contains("in a coroutine"));
    assert_eq!(fails.status(), ThreadStatus::Error);
    lua.gc_collect().unwrap();
    assert!(matches!(
        fails.resume::<_, ()>(()),
        Err(Error::CoroutineInactive)
    ));
    #[cfg(any(lua_ge_54, feature = "luau"))]
    let again: Function = lua.load("function() return 5 end").eval().unwrap();
    #[cfg(any(lua_ge_54, feature = "luau"))]
    if fails.upgrade().reset(again).is_ok() {
        assert_eq!(fails.resume::<_, i64>(()).unwrap(), 5);
    }
}

// Panics and errors.

#[test]
fn a_panic_crosses_an_upgraded_function() {
    let log = Log::default();
    let lua = Lua::new();
    let noting = log.clone();
    lua.globals()
        .set("observer", OnDrop::new(move || noting.note("closed")))
        .unwrap();
    let panics = lua
        .create_function(|_, depth: i64| -> Result<()> { panic!("at depth {depth}") })
        .unwrap();
    let wrapper: OwnedFunction = lua
        .load("local panics = ...; local function f(n) if n == 0 then panics(0) else f(n - 1) end return 1 end return f")
        .call(panics)
        .unwrap();
    for depth in [0, 1, 50] {
        assert_eq!(
            panic_message(|| wrapper.upgrade().call::<_, ()>(depth)),
            "at depth 0"
        );
        assert_eq!(panic_message(|| wrapper.call::<_, ()>(depth)), "at depth 0");
    }
    assert!(lua.load("1 + 1").eval::<i64>().is_ok());
    // No count was left behind on the way.
    drop(lua);
    assert_eq!(log.events(), ["closed"]);
    assert!(!wrapper.is_alive());
}

#[test]
fn a_panic_crosses_everything_in_lua() {
    let options = LuaOptions::new().catch_rust_panics(false);
    let lua = Lua::new_with(StdLib::ALL_SAFE, options).unwrap();
    let weak = lua.weak();
    let panics = lua
        .create_function(|_, ()| -> Result<()> { panic!("through everything") })
        .unwrap();
    lua.globals().set("panics", panics).unwrap();
    for code in [
        "pcall(panics)",
        "xpcall(panics, function(e) return e end)",
        "coroutine.wrap(function() panics() end)()",
        "local ok, e = coroutine.resume(coroutine.create(function() panics() end)) error(e)",
        #[cfg(not(feature = "lua51"))]
        "coroutine.wrap(panics)()",
        #[cfg(not(feature = "lua51"))]
        "local ok, e = coroutine.resume(coroutine.create(panics)) error(e)",
        "local _ = setmetatable({}, {__index = panics})[1]",
        #[cfg(lua_ge_54)]
        "local c <close> = setmetatable({}, {__close = panics})",
        "table.sort({3, 2, 1}, panics)",
        "string.gsub('abc', '.', panics)",
    ] {
        let handle: OwnedFunction = lua.load(code).into_function().unwrap().into_owned();
        assert_eq!(
            panic_message(|| handle.call::<_, ()>(())),
            "through everything",
            "{code}"
        );
        assert_eq!(
            lua.load("return 6 * 7").eval::<i64>().unwrap(),
            42,
            "{code}"
        );
    }
    drop(lua);
    assert!(!weak.is_alive());
}

#[test]
fn a_panic_that_pcall_caught_is_gone() {
    let lua = Lua::new();
    let weak = lua.weak();
    let panics = lua
        .create_function(|_, ()| -> Result<()> { panic!("caught") })
        .unwrap();
    lua.globals().set("panics", panics).unwrap();
    let catch: OwnedFunction = lua
        .load("return not pcall(panics), not xpcall(panics, print)")
        .into_function()
        .unwrap()
        .into_owned();
    assert_eq!(catch.call::<_, (bool, bool)>(()).unwrap(), (true, true));
    // What was caught can be thrown again.
    let again: OwnedFunction = lua
        .load("local _, e = pcall(panics) error(e)")
        .into_function()
        .unwrap()
        .into_owned();
    assert_eq!(panic_message(|| again.call::<_, ()>(())), "caught");
    drop(lua);
    assert!(!weak.is_alive());
}

#[test]
fn a_panic_crosses_several_instances() {
    let instances: Vec<Lua> = (0..5).map(|_| Lua::new()).collect();
    let innermost = instances[0]
        .create_function(|_, ()| -> Result<()> { panic!("in the innermost") })
        .unwrap();
    let mut call: OwnedFunction = innermost.into_owned();
    for lua in &instances[1..] {
        let inner = call;
        call = lua
            .create_function(move |_, ()| inner.call::<_, ()>(()))
            .unwrap()
            .into_owned();
    }
    assert_eq!(panic_message(|| call.call::<_, ()>(())), "in the innermost");
    let weak: Vec<_> = instances.iter().map(Lua::weak).collect();
    drop(instances);
    assert!(weak.iter().all(|weak| !weak.is_alive()));
}

#[test]
fn a_panic_while_proxies_and_handles_are_on_the_stack() {
    let lua = Lua::new();
    let weak = lua.weak();
    let tally = Tally::default();
    let token = tally.clone();
    let panics = lua.create_function(move |lua, ()| -> Result<()> {
        let _table = lua.create_table()?;
        let _userdata = lua.create_userdata(token.token())?.into_owned();
        let _guard = lua.create_any_userdata(token.token())?.into_owned();
        panic!("with things to drop");
    });
    let panics = panics.unwrap().into_owned();
    for _ in 0..100 {
        panic_message(|| panics.call::<_, ()>(()));
    }
    lua.gc_collect().unwrap();
    assert!(tally.dropped() >= 198, "{}", tally.dropped());
    drop(lua);
    assert!(!weak.is_alive());
    tally.assert_all_dropped();
}

#[test]
fn a_panic_in_a_conversion_crosses() {
    struct Panics;
    impl<'lua> FromLua<'lua> for Panics {
        fn from_lua(_: Value<'lua>, _: &'lua Lua) -> Result<Self> {
            panic!("in from_lua")
        }
    }
    impl<'lua> IntoLua<'lua> for Panics {
        fn into_lua(self, _: &'lua Lua) -> Result<Value<'lua>> {
            panic!("in into_lua")
        }
    }
    let lua = Lua::new();
    let weak = lua.weak();
    let globals = lua.globals().into_owned();
    let takes = lua
        .create_function(|_, _: Panics| Ok(()))
        .unwrap()
        .into_owned();
    let gives = lua
        .create_function(|_, ()| Ok(Panics))
        .unwrap()
        .into_owned();
    for _ in 0..100 {
        assert_eq!(
            panic_message(|| globals.get::<_, Panics>("_VERSION").map(|_| ())),
            "in from_lua"
        );
        assert_eq!(panic_message(|| globals.set("x", Panics)), "in into_lua");
        assert_eq!(panic_message(|| globals.set(Panics, 1)), "in into_lua");
        assert_eq!(panic_message(|| takes.call::<_, ()>(1)), "in from_lua");
        assert_eq!(
            panic_message(|| takes.call::<_, ()>((1, 2, Panics))),
            "in into_lua"
        );
        assert_eq!(panic_message(|| gives.call::<_, ()>(())), "in into_lua");
        assert_eq!(
            panic_message(|| gives.call::<_, Panics>(()).map(|_| ())),
            "in into_lua"
        );
    }
    drop(lua);
    assert!(!weak.is_alive());
}

#[test]
fn an_error_has_a_traceback_through_upgraded_functions() {
    let lua = Lua::new();
    let inner: OwnedFunction = lua
        .load("function() error('deep down') end")
        .set_name("=inner")
        .eval()
        .unwrap();
    let middle = lua
        .create_function(move |_, ()| inner.call::<_, ()>(()))
        .unwrap();
    let outer: OwnedFunction = lua
        .load("local middle = ...; return function() middle() return 1 end")
        .set_name("=outer")
        .call(middle)
        .unwrap();
    let error = outer.call::<_, i64>(()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("deep down"), "{text}");
    assert!(text.contains("stack traceback"), "{text}");
    assert!(text.contains("inner") && text.contains("outer"), "{text}");
    assert!(matches!(error, Error::CallbackError { .. }));
    assert!(matches!(root(&error), Error::RuntimeError(_)));
    drop(lua);
    // An error holds nothing of the instance.
    assert!(error.to_string().contains("deep down"));
}

#[test]
fn an_error_crosses_from_one_instance_to_another() {
    let (lua, other) = (Lua::new(), Lua::new());
    let fails: OwnedFunction = lua.load("function() error({code = 5}) end").eval().unwrap();
    let fails_plainly: OwnedFunction = lua.load("function() error('plain') end").eval().unwrap();
    for fails in [fails, fails_plainly] {
        let call = other
            .create_function(move |_, ()| fails.call::<_, ()>(()))
            .unwrap();
        let (ok, error): (bool, Value) = other
            .load("local call = ...; return pcall(call)")
            .call(&call)
            .unwrap();
        assert!(!ok);
        assert!(matches!(error, Value::Error(_)), "{error:?}");
        assert!(call.call::<_, ()>(()).is_err());
    }
    let kept = lua.pack(Error::LuaDestroyed).unwrap().into_owned();
    drop(lua);
    // An error is a value of Rust's.
    assert!(matches!(
        kept.upgrade_in(&other).unwrap(),
        Value::Error(Error::LuaDestroyed)
    ));
}

#[test]
fn an_error_in_lua_code_that_dropped_its_instance() {
    let lua = Lua::new();
    let globals = lua.globals().into_owned();
    let owner = Owner::new(lua);
    let view = owner.view();
    let kills = view.create_function(move |_, ()| {
        owner.drop_lua();
        Err::<(), _>(Error::external("after the end"))
    });
    globals.set("kills", kills.unwrap()).unwrap();
    let run = view.load("kills()").into_function().unwrap();
    let error = run.call::<_, ()>(()).unwrap_err();
    drop(run);
    assert!(!globals.is_alive());
    assert!(error.to_string().contains("after the end"), "{error}");
    assert!(matches!(root(&error), Error::ExternalError(_)));
}

#[cfg(lua_ge_54)]
#[test]
fn an_error_in_gc_reaches_nobody() {
    let lua = Lua::new();
    let warnings = Log::default();
    let noting = warnings.clone();
    lua.set_warning_function(move |_, _, _| {
        noting.note("warned");
        Ok(())
    });
    let rust_error = lua
        .create_function(|_, _: Value| Err::<(), _>(Error::runtime("in Rust")))
        .unwrap();
    lua.globals().set("rust_error", rust_error).unwrap();
    let handle = lua.create_table().unwrap().into_owned();
    for gc in [
        "function() error('in __gc') end",
        "function() error({}) end",
        "rust_error",
    ] {
        lua.load(format!(
            "for i = 1, 10 do setmetatable({{}}, {{__gc = {gc}}}) end"
        ))
        .exec()
        .unwrap();
        // Each of these may collect.
        lua.gc_collect().unwrap();
        let clone = handle.clone();
        clone.set("x", lua.create_table().unwrap()).unwrap();
        for n in 0..200 {
            handle
                .upgrade()
                .set(n, lua.create_string(vec![b'x'; 1000]).unwrap())
                .unwrap();
            drop(lua.create_table().unwrap().into_owned());
        }
    }
    lua.gc_collect().unwrap();
    assert!(warnings.events().len() >= 20, "{}", warnings.events().len());
}

#[test]
fn a_panic_in_a_finalizer_reaches_nobody() {
    let lua = Lua::new();
    let tally = Tally::default();
    for _ in 0..10 {
        drop(
            lua.create_userdata(OnDrop::new(|| panic!("in a destructor")))
                .unwrap(),
        );
        drop(lua.create_userdata(tally.token()).unwrap());
    }
    lua.gc_collect().unwrap();
    tally.assert_all_dropped();
    assert_eq!(lua.load("return 6 * 7").eval::<i64>().unwrap(), 42);
}

#[test]
fn a_borrowed_userdata_survives_what_its_method_does() {
    struct Calls(Option<OwnedFunction>, Tally);
    impl UserData for Calls {
        fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
            methods.add_method_mut("run", |_, this, ()| {
                let callback = this.0.clone().unwrap();
                callback.call::<_, ()>(())?;
                Ok(this.1.made())
            });
        }
    }
    let lua = Lua::new();
    let userdata: AnyUserData = lua.create_userdata(Calls(None, Tally::default())).unwrap();
    lua.globals().set("userdata", &userdata).unwrap();
    let again: OwnedFunction = lua.load("function() userdata:run() end").eval().unwrap();
    userdata.borrow_mut::<Calls>().unwrap().0 = Some(again);
    let error = lua.load("userdata:run()").exec().unwrap_err();
    assert!(
        matches!(root(&error), Error::RecursiveMutCallback),
        "{error:?}"
    );
    let forget: OwnedFunction = lua
        .load("function() userdata = nil collectgarbage() collectgarbage() end")
        .eval()
        .unwrap();
    userdata.borrow_mut::<Calls>().unwrap().0 = Some(forget);
    drop(userdata);
    assert_eq!(lua.load("userdata:run()").eval::<usize>().unwrap(), 0);
}

#[test]
fn what_is_kept_for_later_is_of_no_coroutine() {
    let lua = Lua::new();
    let owned: Rc<RefCell<Vec<OwnedValue>>> = Rc::default();
    let keeps = owned.clone();
    let keep = lua.create_function(move |lua, (thread, text): (Thread, LuaString)| {
        keeps.borrow_mut().push(Value::Thread(thread).into_owned());
        keeps.borrow_mut().push(Value::String(text).into_owned());
        keeps
            .borrow_mut()
            .push(Value::Thread(lua.current_thread()).into_owned());
        Ok(())
    });
    lua.globals().set("keep", keep.unwrap()).unwrap();
    lua.load("for i = 1, 50 do coroutine.wrap(function() keep(coroutine.running(), 'text ' .. i) coroutine.yield() end)() collectgarbage() end").exec().unwrap();
    for kept in owned.borrow().chunks(3) {
        assert_eq!(kept[0].to_pointer(), kept[2].to_pointer());
        assert!(kept[1].upgrade().as_str().unwrap().starts_with("text "));
    }
    owned.borrow_mut().clear();
    lua.gc_collect().unwrap();
}
