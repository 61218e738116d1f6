//! References to an instance, and what borrows from them, that outlive its owner.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::rc::Rc;

use mlua::{
    AppDataRef, AsChunk, Chunk, Error, FromLua, FromLuaMulti, Function, IntoLua, Lua, LuaOptions,
    MultiValue, OwnedFunction, OwnedTable, Result, StdLib, String as LuaString, Table, TableExt,
    Thread, UserData, UserDataFields, UserDataMethods, UserDataRef, UserDataRefMut, Value,
};

#[cfg(finalizers)]
use crate::kit::Log;
use crate::kit::{
    bytes_in_use, dead_view, keep_forever, panic_message, stored_view, OnDrop, Owner, Tally, Token,
    DESTROYED,
};

/// How a method of a dead instance may end: with the panic or with the error that says so.
#[track_caller]
fn assert_refused<R>(name: &str, call: impl FnOnce() -> Result<R>) {
    match catch_unwind(AssertUnwindSafe(|| call().map(|_| ()))) {
        Ok(Err(Error::LuaDestroyed)) => {}
        Ok(Err(error)) => panic!("{name}: {error:?}"),
        Ok(Ok(())) => panic!("{name}: no error"),
        Err(payload) => {
            let message = payload.downcast_ref::<String>().map(String::as_str);
            let message = message.or(payload.downcast_ref::<&str>().copied());
            assert_eq!(message, Some(DESTROYED), "{name}");
        }
    }
}

/// An error of the same kind, a panic with the message, or a plain result: whatever, but no crash.
fn assert_harmless<R>(name: &str, call: impl FnOnce() -> R) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(call()))) {
        let message = payload.downcast_ref::<String>().map(String::as_str);
        let message = message.or(payload.downcast_ref::<&str>().copied());
        assert_eq!(message, Some(DESTROYED), "{name}");
    }
}

unsafe extern "C-unwind" fn c_function(_: *mut mlua::lua_State) -> std::os::raw::c_int {
    0
}

/// Defines the test and the list of what it has gone through.
macro_rules! methods_of_a_dead_instance {
    ($lua:ident: refused { $($(#[$meta:meta])* $name:ident $call:expr;)* } harmless { $($free:ident $free_call:expr;)* }) => {
        #[test]
        #[allow(clippy::unit_arg)]
        fn each_method_of_lua_finds_out_that_the_instance_is_gone() {
            let $lua = dead_view();
            $(
                $(#[$meta])*
                assert_refused(stringify!($name), || $call);
            )*
            $(assert_harmless(stringify!($free), || $free_call);)*
        }

        const TRIED: &[&str] = &[$(stringify!($name),)* $(stringify!($free),)*];
    };
}

methods_of_a_dead_instance! { lua:
    refused {
        app_data_mut Ok(lua.app_data_mut::<i32>().is_some());
        app_data_ref Ok(lua.app_data_ref::<i32>().is_some());
        set_app_data Ok(lua.set_app_data(1));
        try_set_app_data Ok(lua.try_set_app_data(1).is_ok());
        remove_app_data Ok(lua.remove_app_data::<i32>());
        create_any_userdata lua.create_any_userdata(1);
        create_userdata lua.create_userdata(Tally::default().token());
        create_proxy lua.create_proxy::<Token>();
        register_userdata_type lua.register_userdata_type::<Token>(|_| ());
        create_function lua.create_function(|_, ()| Ok(()));
        create_function_mut lua.create_function_mut(|_, ()| Ok(()));
        // SAFETY: the function upholds all of Lua's rules: it does nothing.
        create_c_function unsafe { lua.create_c_function(c_function) };
        create_registry_value lua.create_registry_value("x");
        registry_value lua.registry_value::<Value>(&foreign_key());
        replace_registry_value lua.replace_registry_value(&foreign_key(), 1);
        remove_registry_value lua.remove_registry_value(foreign_key());
        named_registry_value lua.named_registry_value::<Value>("x");
        set_named_registry_value lua.set_named_registry_value("x", 1);
        unset_named_registry_value lua.unset_named_registry_value("x");
        create_sequence_from lua.create_sequence_from([1, 2]);
        create_table lua.create_table();
        create_table_from lua.create_table_from([(1, 2)]);
        create_table_with_capacity lua.create_table_with_capacity(1, 1);
        create_string lua.create_string("x");
        create_thread lua.create_thread(leaked_function());
        current_thread Ok(lua.current_thread());
        gc_collect lua.gc_collect();
        #[cfg(lua_ge_54)]
        gc_gen Ok(lua.gc_gen(0, 0));
        gc_inc Ok(lua.gc_inc(0, 0, 0));
        #[cfg(any(lua_ge_52, feature = "luau"))]
        gc_is_running Ok(lua.gc_is_running());
        gc_restart Ok(lua.gc_restart());
        gc_stop Ok(lua.gc_stop());
        gc_set_pause Ok(lua.gc_set_pause(100));
        gc_set_step_multiplier Ok(lua.gc_set_step_multiplier(100));
        gc_step lua.gc_step();
        gc_step_kbytes lua.gc_step_kbytes(1);
        globals Ok(lua.globals());
        inspect_stack Ok(lua.inspect_stack(0).is_some());
        load lua.load("return 1").eval::<i32>();
        load_from_function lua.load_from_function::<Value>("x", leaked_function());
        load_from_std_lib lua.load_from_std_lib(StdLib::MATH);
        unload lua.unload("x");
        pack lua.pack("text");
        pack_multi lua.pack_multi(("text", "text"));
        scope lua.scope(|_| Ok(()));
        #[cfg(not(feature = "luau"))]
        set_hook Ok(lua.set_hook(mlua::HookTriggers::EVERY_LINE, |_, _| Ok(())));
        #[cfg(not(feature = "luau"))]
        remove_hook Ok(lua.remove_hook());
        #[cfg(lua_ge_54)]
        set_warning_function Ok(lua.set_warning_function(|_, _, _| Ok(())));
        #[cfg(lua_ge_54)]
        remove_warning_function Ok(lua.remove_warning_function());
        #[cfg(lua_ge_54)]
        warning Ok(lua.warning("x", false));
        #[cfg(feature = "luau")]
        set_compiler Ok(lua.set_compiler(mlua::Compiler::new()));
        #[cfg(feature = "luau")]
        create_buffer lua.create_buffer("text");
        #[cfg(feature = "luau")]
        sandbox lua.sandbox(true);
        #[cfg(feature = "luau")]
        set_interrupt Ok(lua.set_interrupt(|_| Ok(mlua::VmState::Continue)));
        #[cfg(feature = "luau")]
        remove_interrupt Ok(lua.remove_interrupt());
        #[cfg(feature = "luau-jit")]
        enable_jit Ok(lua.enable_jit(true));
        #[cfg(all(feature = "luau", feature = "unstable"))]
        set_vector_metatable Ok(lua.set_vector_metatable(None));
        set_memory_limit lua.set_memory_limit(0);
        used_memory Ok(lua.used_memory());
        // SAFETY: nothing is there to be pushed to or popped from; that is what must be found out.
        push unsafe { lua.push("text") };
        // SAFETY: as above.
        push_value unsafe { lua.push_value(Value::Nil) };
        // SAFETY: as above.
        pop_value Ok(unsafe { lua.pop_value() });
    }
    harmless {
        coerce_integer lua.coerce_integer(Value::Integer(1));
        coerce_number lua.coerce_number(Value::Integer(1));
        coerce_string lua.coerce_string(Value::Integer(1));
        pack lua.pack(1);
        pack_multi lua.pack_multi((1, true));
        unpack lua.unpack::<i64>(Value::Integer(1));
        unpack lua.unpack::<String>(Value::Integer(1));
        unpack_multi lua.unpack_multi::<(i64, bool)>(MultiValue::new());
        load lua.load("return 1").set_name("x").set_environment(1);
        expire_registry_values lua.expire_registry_values();
        owns_registry_value lua.owns_registry_value(&foreign_key());
        weak assert!(!lua.weak().is_alive());
        fmt format!("{lua:?}");
        into_static ();
        from_static ();
        new drop(Lua::new());
        new_with drop(Lua::new_with(StdLib::NONE, LuaOptions::new()));
        // SAFETY: nothing runs there.
        unsafe_new drop(unsafe { Lua::unsafe_new() });
        // SAFETY: as above.
        unsafe_new_with drop(unsafe { Lua::unsafe_new_with(StdLib::NONE, LuaOptions::new()) });
        init_from_ptr ();
    }
}

fn foreign_key() -> mlua::RegistryKey {
    thread_local!(static LUA: Lua = Lua::new());
    LUA.with(|lua| lua.create_registry_value(1)).unwrap()
}

fn leaked_function() -> Function<'static> {
    let lua = Lua::new();
    let handle: &'static OwnedFunction =
        keep_forever(lua.create_function(|_, ()| Ok(())).unwrap().into_owned());
    handle.upgrade()
}

/// The names of the public methods of `Lua`, as the sources have them.
fn methods_in(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            methods_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for block in source.split("\nimpl Lua {\n").skip(1) {
                let block = block.split("\n}").next().unwrap();
                names.extend(block.lines().filter_map(|line| {
                    let line = line.strip_prefix("    pub ")?;
                    let words = line
                        .trim_start_matches("const ")
                        .trim_start_matches("unsafe ")
                        .strip_prefix("fn ")?;
                    words
                        .split(|c: char| !c.is_alphanumeric() && c != '_')
                        .next()
                        .map(str::to_owned)
                }));
            }
        }
    }
}

#[test]
fn no_method_of_lua_is_forgotten_above() {
    let mut names = BTreeSet::new();
    methods_in(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut names,
    );
    assert!(names.len() > 40, "{names:?}");
    // Those of the next two tests, those that need no instance, and those that only a module's host calls.
    let elsewhere = [
        "create_async_function",
        "create_ser_userdata",
        "create_ser_any_userdata",
        "poll_pending",
        "set_fflag",
        "entrypoint",
        "entrypoint1",
        "skip_memory_check",
    ];
    let forgotten: Vec<_> = names
        .iter()
        .filter(|name| !TRIED.contains(&name.as_str()) && !elsewhere.contains(&name.as_str()))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[cfg(feature = "async")]
#[test]
fn the_methods_of_async_find_out_that_the_instance_is_gone() {
    let lua = dead_view();
    assert_refused("create_async_function", || {
        lua.create_async_function(|_, ()| async { Ok(()) })
    });
    assert_refused("wrap_async", || {
        lua.pack(Function::wrap_async(|_, ()| async { Ok(()) }))
    });
    assert_refused("exec_async", || {
        futures::executor::block_on(lua.load("return 1").exec_async())
    });
}

#[cfg(feature = "serialize")]
#[test]
fn the_methods_of_serialize_find_out_that_the_instance_is_gone() {
    use mlua::LuaSerdeExt;
    let lua = dead_view();
    assert_refused("create_ser_any_userdata", || lua.create_ser_any_userdata(1));
    assert_refused("to_value", || lua.to_value(&vec![1, 2]));
    assert_refused("to_value of a text", || lua.to_value("text"));
    assert_refused("array_metatable", || Ok(lua.array_metatable()));
    let nothing = || lua.from_value::<Option<i32>>(Value::Nil);
    assert_harmless("from_value", nothing);
    assert_harmless("null", || lua.null());
}

// Every way by which code of the user gets a reference.

/// Takes the reference that it is handed.
struct TakesView(Rc<Cell<Option<&'static Lua>>>);

impl IntoLua<'static> for TakesView {
    fn into_lua(self, lua: &'static Lua) -> Result<Value<'static>> {
        self.0.set(Some(lua));
        Ok(Value::Nil)
    }
}

impl mlua::IntoLuaMulti<'static> for &TakesView {
    fn into_lua_multi(self, lua: &'static Lua) -> Result<MultiValue<'static>> {
        self.0.set(Some(lua));
        Ok(MultiValue::new())
    }
}

struct ViewOfMulti(&'static Lua);

impl FromLuaMulti<'static> for ViewOfMulti {
    fn from_lua_multi(_: MultiValue<'static>, lua: &'static Lua) -> Result<Self> {
        Ok(ViewOfMulti(lua))
    }
}

impl AsChunk<'static, 'static> for TakesView {
    fn source(self) -> std::io::Result<std::borrow::Cow<'static, [u8]>> {
        Ok(b"".into())
    }

    fn environment(&self, lua: &'static Lua) -> Result<Option<Table<'static>>> {
        self.0.set(Some(lua));
        Ok(None)
    }
}

thread_local!(static TAKEN: Cell<Option<&'static Lua>> = const { Cell::new(None) });

struct Methods;

impl UserData for Methods {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("field", |lua, _| lua.create_string("field"));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("method", |lua, _, ()| lua.create_string("method"));
    }
}

#[test]
fn a_reference_from_anywhere_finds_out_that_the_instance_is_gone() {
    let taken: Rc<Cell<Option<&'static Lua>>> = Rc::default();
    type Way = fn(&'static Lua, &'static OwnedTable, &Rc<Cell<Option<&'static Lua>>>);
    let ways: [(&str, Way); 9] = [
        ("FromLua", |_, globals, taken| {
            taken.set(Some(globals.get::<_, crate::kit::Handed>(1).unwrap().0))
        }),
        ("FromLuaMulti", |_, globals, taken| {
            let tostring: &'static OwnedFunction = keep_forever(globals.get("tostring").unwrap());
            taken.set(Some(tostring.call::<_, ViewOfMulti>(1).unwrap().0));
        }),
        ("IntoLua", |_, globals, taken| {
            globals.set("x", TakesView(taken.clone())).unwrap()
        }),
        ("IntoLuaMulti", |_, globals, taken| {
            let print: &'static OwnedFunction =
                keep_forever(globals.get("collectgarbage").unwrap());
            print.call::<_, ()>(&TakesView(taken.clone())).unwrap();
        }),
        ("AsChunk", |view, _, taken| {
            view.load(TakesView(taken.clone())).exec().unwrap()
        }),
        ("a callback", |view, _, taken| {
            let slot = taken.clone();
            let take = view.create_function(move |lua, ()| {
                slot.set(Some(lua));
                Ok(())
            });
            take.unwrap().call::<_, ()>(()).unwrap();
        }),
        ("a mutable callback", |view, _, taken| {
            let slot = taken.clone();
            let take = view.create_function_mut(move |lua, ()| {
                slot.set(Some(lua));
                Ok(())
            });
            take.unwrap().call::<_, ()>(()).unwrap();
        }),
        ("a callback in a coroutine", |view, _, taken| {
            let slot = taken.clone();
            let take = view.create_function(move |lua, ()| {
                slot.set(Some(lua));
                Ok(())
            });
            let thread = view.create_thread(take.unwrap()).unwrap();
            thread.resume::<_, ()>(()).unwrap();
        }),
        ("a method of userdata", |view, _, taken| {
            view.register_userdata_type::<Methods>(|registry| {
                registry.add_method("take", |lua, _, ()| {
                    let handle: OwnedTable = lua.globals().into_owned();
                    let handle: &'static OwnedTable = keep_forever(handle);
                    TAKEN.set(Some(handle.get::<_, crate::kit::Handed>(1).unwrap().0));
                    Ok(())
                });
            })
            .unwrap();
            view.globals()
                .set("methods", view.create_any_userdata(Methods).unwrap())
                .unwrap();
            view.load("methods:take()").exec().unwrap();
            taken.set(TAKEN.take());
        }),
    ];
    for (name, way) in ways {
        let lua = Lua::new();
        let globals: &'static OwnedTable = keep_forever(lua.globals().into_owned());
        way(stored_view(&lua), globals, &taken);
        let view = taken.take().expect(name);
        assert!(view.create_table().is_ok(), "{name}");
        let table = view.create_table().unwrap();
        drop(lua);
        table.set("still", "open").unwrap();
        assert!(globals.is_alive(), "{name}");
        drop(table);
        assert!(!globals.is_alive(), "{name}");
        assert_refused(name, || view.create_table());
        assert_eq!(panic_message(|| view.globals()), DESTROYED, "{name}");
    }
}

// What borrows from a view keeps the instance open.

/// Makes `T` from a view, drops the owner, lets `check` use it, and sees that the instance ends with it.
#[track_caller]
fn keeps_open<T>(make: impl FnOnce(&'static Lua) -> T, check: impl FnOnce(T)) {
    let lua = Lua::new();
    let weak = lua.weak();
    let value = make(stored_view(&lua));
    drop(lua);
    assert!(weak.is_alive(), "the instance is closed under a borrow");
    check(value);
    assert!(!weak.is_alive(), "the instance is still open");
}

#[test]
fn app_data_refs_keep_the_instance_open() {
    let tally = Tally::default();
    let make = |lua: &'static Lua| {
        lua.set_app_data((tally.token(), 5));
        lua.app_data_ref::<(Token, i32)>().unwrap()
    };
    keeps_open(make, |data: AppDataRef<(Token, i32)>| {
        assert_eq!(data.1, 5);
        assert_eq!(tally.dropped(), 0);
    });
    tally.assert_all_dropped();

    let make = |lua: &'static Lua| {
        lua.set_app_data((tally.token(), 5));
        lua.app_data_mut::<(Token, i32)>().unwrap()
    };
    keeps_open(make, |mut data| {
        data.1 += 1;
        assert_eq!(data.1, 6);
        assert_eq!(tally.dropped(), 1);
    });
    tally.assert_all_dropped();
}

#[test]
fn userdata_refs_keep_the_instance_open() {
    let tally = Tally::default();
    let make = |lua: &'static Lua| {
        let userdata = lua.create_any_userdata(tally.token()).unwrap();
        UserDataRef::<Token>::from_lua(Value::UserData(userdata), lua).unwrap()
    };
    keeps_open(make, |_token| assert_eq!(tally.dropped(), 0));
    tally.assert_all_dropped();

    let make = |lua: &'static Lua| {
        let userdata = lua.create_any_userdata((tally.token(), 1)).unwrap();
        UserDataRefMut::<(Token, i32)>::from_lua(Value::UserData(userdata), lua).unwrap()
    };
    keeps_open(make, |mut pair| {
        pair.1 = 2;
        assert_eq!((pair.1, tally.dropped()), (2, 1));
    });
    tally.assert_all_dropped();
}

#[test]
fn chunks_keep_the_instance_open() {
    keeps_open(
        |lua| lua.load("return 6 * 7"),
        |chunk: Chunk| assert_eq!(chunk.eval::<i64>().unwrap(), 42),
    );
    keeps_open(
        |lua| {
            lua.load("x = 5; return x")
                .set_name("named")
                .set_environment(lua.globals())
        },
        |chunk| assert_eq!(chunk.call::<_, i64>(()).unwrap(), 5),
    );
    keeps_open(
        |lua| lua.load("return ...").into_function().unwrap(),
        |function| assert_eq!(function.call::<_, i64>(5).unwrap(), 5),
    );
    keeps_open(|lua| lua.load("never run"), drop);
    keeps_open(
        |lua| {
            lua.load("syntax error")
                .exec()
                .map_err(|error| (lua.globals(), error))
        },
        |failed| assert!(failed.is_err()),
    );
}

#[test]
fn threads_keep_the_instance_open() {
    let make = |lua: &'static Lua| {
        let body = lua
            .load("local a = coroutine.yield(1); return a")
            .into_function()
            .unwrap();
        let thread = lua.create_thread(body).unwrap();
        assert_eq!(thread.resume::<_, i64>(()).unwrap(), 1);
        thread
    };
    keeps_open(make, |thread: Thread| {
        assert_eq!(thread.resume::<_, i64>(5).unwrap(), 5)
    });
    keeps_open(
        |lua| lua.current_thread(),
        |thread| assert!(!thread.to_pointer().is_null()),
    );
}

#[test]
fn iterators_keep_the_instance_open() {
    fn sequence(lua: &'static Lua) -> Table<'static> {
        lua.create_sequence_from(["one", "two", "three"]).unwrap()
    }
    let three = ["one", "two", "three"];
    keeps_open(
        |lua| sequence(lua).sequence_values::<String>(),
        |values| {
            assert_eq!(values.collect::<Result<Vec<_>>>().unwrap(), three);
        },
    );
    keeps_open(
        |lua| sequence(lua).raw_sequence_values::<LuaString>(),
        |values| {
            assert_eq!(values.collect::<Result<Vec<_>>>().unwrap(), three);
        },
    );
    keeps_open(
        |lua| sequence(lua).pairs::<i64, LuaString>(),
        |pairs| {
            let pairs: Vec<_> = pairs.map(|pair| pair.unwrap()).collect();
            assert_eq!(pairs.len(), 3);
            assert!(pairs
                .iter()
                .zip(three)
                .all(|((_, text), expected)| text == expected));
        },
    );
    // Half-way through, the values that are left are all there is.
    keeps_open(
        |lua| {
            let mut values = sequence(lua).sequence_values::<LuaString>();
            values.next().unwrap().unwrap()
        },
        |first| assert_eq!(first, "one"),
    );
}

#[test]
fn metatables_of_userdata_keep_the_instance_open() {
    let make = |lua: &'static Lua| {
        lua.create_userdata(Methods)
            .unwrap()
            .get_metatable()
            .unwrap()
    };
    keeps_open(make, |metatable| {
        assert!(metatable.contains("__index").is_ok())
    });
    let make = |lua: &'static Lua| {
        lua.create_userdata(Methods)
            .unwrap()
            .get_metatable()
            .unwrap()
            .pairs::<Value>()
    };
    keeps_open(make, |pairs| assert!(pairs.count() > 0));
}

#[test]
fn values_keep_the_instance_open() {
    keeps_open(
        |lua| Value::Table(lua.globals()),
        |value| assert!(value.is_table()),
    );
    keeps_open(
        |lua| lua.pack_multi(("a", lua.globals())).unwrap(),
        |values| assert_eq!(values.len(), 2),
    );
    keeps_open(
        |lua| lua.create_string("text").unwrap(),
        |text| assert_eq!(text.to_str().unwrap(), "text"),
    );
    keeps_open(
        |lua| lua.create_any_userdata(5).unwrap(),
        |number| assert_eq!(*number.borrow::<i32>().unwrap(), 5),
    );
    keeps_open(
        |lua| lua.globals().get::<_, Table>("string").unwrap(),
        |table| {
            assert_eq!(
                table.call_function::<_, String>("rep", ("ab", 2)).unwrap(),
                "abab"
            )
        },
    );
}

#[test]
fn a_scope_keeps_the_instance_open() {
    let lua = Lua::new();
    let weak = lua.weak();
    let tally = Tally::default();
    let view = stored_view(&lua);
    let calls = Cell::new(0);
    view.scope(|scope| {
        drop(lua);
        assert!(weak.is_alive());
        let function = scope.create_function(|_, ()| {
            calls.set(calls.get() + 1);
            Ok(())
        })?;
        let userdata = scope.create_userdata(tally.token())?;
        view.globals().set("kept", &userdata)?;
        function.call::<_, ()>(())?;
        drop(function);
        drop(userdata);
        assert!(weak.is_alive());
        Ok(())
    })
    .unwrap();
    assert_eq!(calls.get(), 1);
    assert!(!weak.is_alive());
    tally.assert_all_dropped();
}

#[test]
fn a_scope_that_panics_lets_the_instance_end() {
    let lua = Lua::new();
    let weak = lua.weak();
    let tally = Tally::default();
    let view = stored_view(&lua);
    let message = panic_message(|| {
        view.scope(|scope| {
            drop(lua);
            view.globals()
                .set("kept", scope.create_userdata(tally.token())?)?;
            panic!("in a scope");
            #[allow(unreachable_code)]
            Ok(())
        })
    });
    assert_eq!(message, "in a scope");
    assert!(!weak.is_alive());
    tally.assert_all_dropped();
}

#[test]
fn a_debug_outlives_what_it_describes() {
    let lua = Lua::new();
    let weak = lua.weak();
    let view = stored_view(&lua);
    let kept: Rc<RefCell<Vec<mlua::Debug<'static>>>> = Rc::default();
    let keeps = kept.clone();
    let inspect = view.create_function(move |lua, ()| {
        keeps
            .borrow_mut()
            .extend((0..3).filter_map(|level| lua.inspect_stack(level)));
        Ok(())
    });
    view.globals().set("inspect", inspect.unwrap()).unwrap();
    view.load("local function deep(n) if n > 0 then return 1 + deep(n - 1) end inspect() return 0 end deep(100)").exec().unwrap();
    view.load("coroutine.wrap(function() inspect() end)()")
        .exec()
        .unwrap();
    // The records of the calls are given back.
    view.gc_collect().unwrap();
    view.gc_collect().unwrap();
    assert!(!kept.borrow().is_empty());
    let describe = |debug: &mlua::Debug| {
        let (names, source, stack) = (debug.names(), debug.source(), debug.stack());
        #[cfg(not(feature = "luau"))]
        let numbers = (debug.curr_line(), debug.is_tail_call(), debug.event());
        #[cfg(feature = "luau")]
        let numbers = debug.curr_line();
        format!("{names:?} {source:?} {stack:?} {numbers:?}")
    };
    let before: Vec<String> = kept.borrow().iter().map(describe).collect();
    assert!(before[0].contains("inspect") || cfg!(feature = "luau"));
    assert!(before[1].contains("deep"));
    drop(lua);
    let after: Vec<String> = kept.borrow().iter().map(describe).collect();
    assert_eq!(after, before);
    // It is a copy, so it need not keep the instance open.
    assert!(!weak.is_alive());
}

#[test]
fn a_debug_keeps_the_instance_open_inside_a_call() {
    let lua = Lua::new();
    let weak = lua.weak();
    let owner = Owner::new(lua);
    let view = owner.view();
    let drops = owner.clone();
    let inspect = view.create_function(move |lua, ()| {
        let debug = lua.inspect_stack(1).unwrap();
        drops.drop_lua();
        Ok((debug.curr_line(), debug.source().what))
    });
    let run = view
        .load("local inspect = ...\nlocal line, what = inspect()\nreturn line, what")
        .into_function()
        .unwrap();
    let (line, what): (i64, String) = run.call(inspect.unwrap()).unwrap();
    let main = if cfg!(feature = "luau") {
        "Lua"
    } else {
        "main"
    };
    assert_eq!((line, what.as_str()), (2, main));
    drop(run);
    assert!(!weak.is_alive());
}

// Taking the owner apart and together again; hosts; several instances.

#[test]
fn into_static_and_back() {
    let before = bytes_in_use();
    let lua: &'static Lua = Lua::new().into_static();
    let handle = lua.globals().into_owned();
    let table: Table<'static> = lua.create_table().unwrap();
    table.set("x", 1).unwrap();
    let upgraded: Table<'static> = handle.upgrade_in(lua).unwrap();
    upgraded.set("table", &table).unwrap();
    drop((table, upgraded));
    assert!(handle.is_alive());
    // SAFETY: made by `into_static`, and nothing borrows from it any more.
    let lua = unsafe { Lua::from_static(lua) };
    assert!(handle.is_alive());
    assert_eq!(
        handle
            .upgrade()
            .get::<_, Table>("table")
            .unwrap()
            .get::<_, i64>("x")
            .unwrap(),
        1
    );
    drop(lua);
    assert!(!handle.is_alive());
    drop(handle);
    assert_eq!(bytes_in_use(), before);
}

#[test]
fn a_static_instance_with_a_proxy_left_behind() {
    let lua: &'static Lua = Lua::new().into_static();
    let weak = lua.weak();
    let handle: &'static OwnedTable = keep_forever(lua.globals().into_owned());
    let left: Table<'static> = handle.upgrade();
    // SAFETY: made by `into_static`; what is left borrows from the handle.
    drop(unsafe { Lua::from_static(lua) });
    assert!(weak.is_alive());
    left.set("x", 1).unwrap();
    drop(left);
    assert!(!weak.is_alive());
}

#[test]
fn the_instance_of_a_host_ends_when_the_host_closes_it() {
    use mlua::ffi;
    let before = bytes_in_use();
    {
        // SAFETY: the state is fresh, used on this thread alone and closed once.
        let state = unsafe { ffi::luaL_newstate() };
        assert!(!state.is_null());
        // SAFETY: as above.
        let lua = unsafe { Lua::init_from_ptr(state) };
        let handle = lua.globals().into_owned();
        let table = lua.create_table().unwrap().into_owned();
        let (pointer, of_table) = (handle.to_pointer(), table.to_pointer());
        let tally = Tally::default();
        lua.globals().set("token", tally.token()).unwrap();
        // The same state is the same instance.
        // SAFETY: as above.
        let again = unsafe { Lua::init_from_ptr(state) };
        assert!(again.weak().ptr_eq(&lua.weak()));
        assert!(handle.upgrade_in(&again).is_ok());
        drop(again);
        drop(lua);
        assert!(handle.is_alive(), "the host still has it");
        assert_eq!(tally.dropped(), 0);
        handle.set("x", 1).unwrap();
        // A finalizer that runs while the host closes finds a handle that works or one that is dead.
        let seen = Rc::new(Cell::new(false));
        let (sees, during) = (seen.clone(), handle.clone());
        let finalizer = OnDrop::new(move || {
            if let Ok(globals) = during.try_upgrade() {
                globals.set("late", globals.clone().into_owned()).unwrap();
            }
            sees.set(true);
        });
        handle.set("finalizer", finalizer).unwrap();
        // SAFETY: nothing runs in it.
        unsafe { ffi::lua_close(state) };
        assert!(seen.get());
        assert!(!handle.is_alive() && handle.try_upgrade().is_err());
        assert_eq!(
            (handle.to_pointer(), table.to_pointer()),
            (pointer, of_table)
        );
        assert_ne!(handle, table);
        tally.assert_all_dropped();
    }
    // The block stays, since finalizers of the host's may look at it; nothing else does.
    assert!(
        bytes_in_use() <= before + 2 * 1024,
        "{} bytes",
        bytes_in_use() - before
    );
}

#[test]
fn the_host_closes_its_state_while_a_lua_is_left() {
    use mlua::ffi;
    // SAFETY: the state is fresh, used on this thread alone and closed once.
    let state = unsafe { ffi::luaL_newstate() };
    // SAFETY: as above.
    let lua = unsafe { Lua::init_from_ptr(state) };
    let handle = lua.globals().into_owned();
    lua.set_app_data(5);
    // SAFETY: nothing runs in it.
    unsafe { ffi::lua_close(state) };
    assert!(!handle.is_alive());
    assert_refused("create_table", || lua.create_table());
    assert_eq!(panic_message(|| lua.globals()), DESTROYED);
    drop(lua);
    assert!(handle.try_upgrade().is_err());
}

#[test]
fn a_c_function_finds_its_instance_by_the_state() {
    unsafe extern "C-unwind" fn count(state: *mut mlua::lua_State) -> std::os::raw::c_int {
        // SAFETY: Lua calls this with a state of the instance; nothing below panics or raises.
        let lua = unsafe { Lua::init_from_ptr(state) };
        let globals = lua.globals();
        let count: i64 = globals.get("count").unwrap_or(0);
        let _ = globals.set("count", count + 1);
        0
    }
    let lua = Lua::new();
    let handle = lua.globals().into_owned();
    // SAFETY: see there.
    let function = unsafe { lua.create_c_function(count) }.unwrap();
    lua.globals().set("bump", function).unwrap();
    lua.load("bump() coroutine.wrap(function() bump() end)() bump()")
        .exec()
        .unwrap();
    assert_eq!(handle.get::<_, i64>("count").unwrap(), 3);
    drop(lua);
    assert!(!handle.is_alive());
}

#[test]
fn several_instances_at_once_and_in_any_order() {
    let tally = Tally::default();
    let mut all: Vec<(Lua, OwnedTable)> = (0..30)
        .map(|number| {
            let lua = Lua::new();
            lua.globals().set("number", number).unwrap();
            lua.globals().set("token", tally.token()).unwrap();
            let handle = lua.globals().into_owned();
            (lua, handle)
        })
        .collect();
    let mut dead = Vec::new();
    while !all.is_empty() {
        let (lua, handle) = all.swap_remove(all.len() * 7 % 11 % all.len());
        drop(lua);
        dead.push(handle);
        assert_eq!(tally.dropped(), dead.len());
        assert!(dead.iter().all(|handle| !handle.is_alive()));
        for (lua, handle) in &all {
            let number: i64 = lua.globals().get("number").unwrap();
            assert_eq!(handle.get::<_, i64>("number").unwrap(), number);
        }
    }
}

#[test]
fn an_instance_is_made_in_a_callback_of_another() {
    let lua = Lua::new();
    let outer = lua.globals().into_owned();
    outer.set("log", lua.create_table().unwrap()).unwrap();
    let kept: Rc<RefCell<Vec<OwnedTable>>> = Rc::default();
    let keeps = kept.clone();
    let nest = lua.create_function(move |_, depth: i64| {
        let inner = Lua::new();
        keeps.borrow_mut().push(inner.globals().into_owned());
        let outer = outer.clone();
        let seen = inner.create_function(move |_, ()| {
            let log: Table = outer.upgrade().get("log")?;
            log.push(depth)
        })?;
        inner.globals().set("seen", seen)?;
        inner.load("seen() seen()").exec()?;
        if depth > 0 {
            let nest: OwnedFunction = outer_nest(&keeps);
            nest.call::<_, ()>(depth - 1)?;
        }
        Ok(())
    });
    fn outer_nest(kept: &RefCell<Vec<OwnedTable>>) -> OwnedFunction {
        kept.borrow()[0].get("nest").unwrap()
    }
    kept.borrow_mut().push(lua.globals().into_owned());
    let nest = nest.unwrap();
    lua.globals().set("nest", &nest).unwrap();
    nest.call::<_, ()>(3).unwrap();
    assert_eq!(
        lua.load("table.concat(log, ' ')").eval::<String>().unwrap(),
        "3 3 2 2 1 1 0 0"
    );
    assert_eq!(
        kept.borrow()
            .iter()
            .filter(|handle| handle.is_alive())
            .count(),
        1
    );
    drop(nest);
    drop(lua);
    assert!(kept.borrow().iter().all(|handle| !handle.is_alive()));
}

// What a finalizer lets escape while the instance is closed. The memory of the instance then stays.

/// What the leak detector of AddressSanitizer asks for: the functions below that leak by intent, and the test in `dropping.rs`
/// where Lua has no memory to call a finalizer, which before Lua 5.4 it does not call again.
#[no_mangle]
extern "C" fn __lsan_default_suppressions() -> *const std::os::raw::c_char {
    // By their tests as well: not every stack can be told as far as `escape`.
    macro_rules! escaping {
        ($more:literal) => {
            concat!(
                "leak:views::escape\nleak:proxies_that_escape_while_closing\n",
                "leak:proxies_of_a_dead_instance\nleak:borrows_that_escape_while_closing\n",
                $more,
                "\0"
            )
        };
    }
    if cfg!(raising_finalizers) {
        escaping!("leak:finalizers_set_and_lift_a_memory_limit")
            .as_ptr()
            .cast()
    } else {
        escaping!("").as_ptr().cast()
    }
}

#[cfg(finalizers)]
#[derive(Default)]
struct Escaped {
    table: Option<Table<'static>>,
    function: Option<Function<'static>>,
    string: Option<LuaString<'static>>,
    thread: Option<Thread<'static>>,
    userdata: Option<mlua::AnyUserData<'static>>,
    view: Option<&'static Lua>,
}

#[cfg(finalizers)]
fn escape(escaped: &Rc<RefCell<Escaped>>, tally: &Tally) -> OwnedTable {
    let lua = Lua::new();
    let view = stored_view(&lua);
    let (slot, token) = (escaped.clone(), tally.clone());
    let finalize = view.create_function(move |lua, ()| {
        let mut slot = slot.borrow_mut();
        slot.table = Some(lua.create_table_from([("x", 1)])?);
        slot.function = Some(lua.create_function(|_, ()| Ok(()))?);
        slot.string =
            Some(lua.create_string("a string that escapes while its instance is closed")?);
        slot.thread = Some(lua.create_thread(lua.load("coroutine.yield()").into_function()?)?);
        slot.userdata = Some(lua.create_userdata(token.token())?);
        slot.view = Some(lua);
        Ok(())
    });
    view.globals().set("finalize", finalize.unwrap()).unwrap();
    lua.load(with_finalized!(
        "kept = finalized(function() finalize() end)"
    ))
    .exec()
    .unwrap();
    lua.globals().into_owned()
}

#[cfg(finalizers)]
#[test]
fn proxies_that_escape_while_closing_are_dead() {
    let escaped: Rc<RefCell<Escaped>> = Rc::default();
    let tally = Tally::default();
    let globals = escape(&escaped, &tally);
    assert!(!globals.is_alive());
    let Escaped {
        table,
        function,
        string,
        thread,
        userdata,
        view,
    } = std::mem::take(&mut *escaped.borrow_mut());
    let (table, function, string) = (table.unwrap(), function.unwrap(), string.unwrap());
    let (thread, userdata, view) = (thread.unwrap(), userdata.unwrap(), view.unwrap());

    assert_refused("view", || view.create_table());
    assert_refused("table.get", || table.get::<_, i64>("x"));
    assert_refused("table.set", || table.set("x", 1));
    assert_refused("table.raw_get", || table.raw_get::<_, i64>("x"));
    assert_refused("table.raw_set", || table.raw_set("x", 1));
    assert_refused("table.contains_key", || table.contains_key("x"));
    assert_refused("table.push", || table.push(1));
    assert_refused("table.pop", || table.pop::<Value>());
    assert_refused("table.raw_push", || table.raw_push(1));
    assert_refused("table.raw_pop", || table.raw_pop::<Value>());
    assert_refused("table.raw_insert", || table.raw_insert(1, 1));
    assert_refused("table.raw_remove", || table.raw_remove(1));
    assert_refused("table.len", || table.len());
    assert_refused("table.raw_len", || Ok(table.raw_len()));
    assert_refused("table.is_empty", || Ok(table.is_empty()));
    assert_refused("table.clear", || table.clear());
    assert_refused("table.get_metatable", || {
        Ok(table.get_metatable().is_some())
    });
    assert_refused("table.set_metatable", || {
        table.set_metatable(None);
        Ok(())
    });
    assert_refused("table.pairs", || {
        table
            .clone()
            .pairs::<Value, Value>()
            .next()
            .unwrap_or(Err(Error::LuaDestroyed))
    });
    assert_refused("table.for_each", || {
        table.for_each(|_: Value, _: Value| Ok(()))
    });
    assert_refused("table.sequence_values", || {
        table
            .clone()
            .sequence_values::<Value>()
            .next()
            .unwrap_or(Err(Error::LuaDestroyed))
    });
    assert_refused("table.call", || table.call::<_, ()>(()));
    assert_refused("table.call_method", || table.call_method::<_, ()>("x", ()));
    assert_harmless("table.equals", || table.equals(&table));
    assert_harmless("table ==", || table == table.clone());
    assert_harmless("table {:?}", || format!("{table:?} {table:#?}"));
    assert_harmless("table.to_pointer", || table.to_pointer());
    assert_refused("function.call", || function.call::<_, ()>(()));
    assert_refused("function.bind", || function.bind(1));
    assert_refused("function.info", || Ok(function.info().what));
    #[cfg(not(feature = "luau"))]
    assert_refused("function.dump", || Ok(function.dump(true)));
    assert_refused("function.environment", || {
        Ok(function.environment().is_some())
    });
    assert_refused("function.set_environment", || {
        function.set_environment(table.clone())
    });
    assert_harmless("function ==", || function == function.clone());
    assert_harmless("function {:?}", || format!("{function:?}"));
    assert_refused("string.to_str", || string.to_str().map(|_| ()));
    assert_refused("string.as_bytes", || Ok(string.as_bytes().len()));
    assert_refused("string.to_string_lossy", || {
        Ok(string.to_string_lossy().len())
    });
    assert_harmless("string ==", || string == string.clone());
    assert_harmless("string {:?}", || format!("{string:?}"));
    assert_refused("thread.resume", || thread.resume::<_, ()>(()));
    assert_harmless("thread.status", || thread.status());
    #[cfg(any(lua_ge_54, feature = "luau"))]
    assert_refused("thread.reset", || thread.reset(function.clone()));
    assert_harmless("thread ==", || thread == thread.clone());
    assert_refused("userdata.borrow", || userdata.borrow::<Token>().map(|_| ()));
    assert_refused("userdata.borrow_mut", || {
        userdata.borrow_mut::<Token>().map(|_| ())
    });
    assert_refused("userdata.take", || userdata.take::<Token>().map(|_| ()));
    assert_refused("userdata.user_value", || userdata.user_value::<Value>());
    assert_refused("userdata.set_user_value", || userdata.set_user_value(1));
    assert_refused("userdata.get_metatable", || {
        userdata.get_metatable().map(|_| ())
    });
    assert_harmless("userdata.is", || userdata.is::<Token>());
    assert_harmless("userdata ==", || userdata == userdata.clone());
    assert_harmless("userdata {:?}", || format!("{userdata:?}"));
    assert_harmless("into_owned", || {
        let owned = table.clone().into_owned();
        assert!(!owned.is_alive() && owned.try_upgrade().is_err());
    });
    assert_harmless("Value", || format!("{:?}", Value::Table(table.clone())));
    assert_harmless("Value::to_string", || {
        Value::Table(table.clone()).to_string()
    });
    drop((table, function, string, thread, userdata));
    drop(globals);
    tally.assert_all_dropped();
}

#[cfg(finalizers)]
#[test]
fn proxies_of_a_dead_instance_given_to_a_live_one() {
    let escaped: Rc<RefCell<Escaped>> = Rc::default();
    drop(escape(&escaped, &Tally::default()));
    let table = escaped.borrow_mut().table.take().unwrap();
    *escaped.borrow_mut() = Escaped::default();
    let lua = keep_forever(Lua::new());
    assert!(lua.globals().set("x", &table).is_err());
    assert!(lua
        .create_function(|_, ()| Ok(()))
        .unwrap()
        .call::<_, ()>(table.clone())
        .is_err());
    lua.globals().set("y", 1).unwrap();
}

#[cfg(finalizers)]
#[test]
fn borrows_that_escape_while_closing_do_not_dangle() {
    thread_local! {
        static TEXT: RefCell<Option<mlua::BorrowedStr<'static>>> = const { RefCell::new(None) };
        static SLICE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }
    let content = "the text of a string that is long enough not to be interned by Lua";
    let lua = Lua::new();
    let view = stored_view(&lua);
    let handle = keep_forever(view.create_string(content).unwrap().into_owned());
    TEXT.set(Some(handle.to_str().unwrap()));
    let finalize = view.create_function(move |lua, ()| {
        let text: &'static LuaString<'static> = keep_forever(lua.create_string(content)?);
        SLICE.set(Some(text.to_str()?));
        Ok(())
    });
    view.globals().set("finalize", finalize.unwrap()).unwrap();
    lua.load(with_finalized!(
        "kept = finalized(function() finalize() end)"
    ))
    .exec()
    .unwrap();
    drop(lua);
    // A guard is a proxy: nothing is closed yet.
    assert!(handle.is_alive());
    TEXT.with_borrow(|text| assert_eq!(&**text.as_ref().unwrap(), content));
    TEXT.take();
    assert!(!handle.is_alive());
    assert_eq!(SLICE.get().unwrap(), content);
}

#[cfg(finalizers)]
#[test]
fn a_view_used_while_the_instance_is_closed() {
    let log = Log::default();
    let lua = Lua::new();
    let view = stored_view(&lua);
    let noting = log.clone();
    let finalizer = OnDrop::new(move || {
        let table = view.create_table().unwrap();
        table.set("made", "while closing").unwrap();
        assert_eq!(table.get::<_, String>("made").unwrap(), "while closing");
        noting.note("used");
    });
    lua.globals().set("finalizer", finalizer).unwrap();
    drop(lua);
    assert_eq!(log.events(), ["used"]);
    assert_refused("after", || view.create_table());
}

#[test]
fn a_registry_key_outlives_its_instance() {
    let lua = Lua::new();
    let other = Lua::new();
    let view = stored_view(&lua);
    let key = lua.create_registry_value("kept").unwrap();
    let second = lua.create_registry_value("kept").unwrap();
    assert_eq!(view.registry_value::<String>(&key).unwrap(), "kept");
    drop(lua);
    assert_refused("registry_value", || view.registry_value::<Value>(&key));
    assert!(matches!(
        other.registry_value::<Value>(&key),
        Err(Error::MismatchedRegistryKey)
    ));
    assert!(other.pack(&key).is_err());
    assert!(!other.owns_registry_value(&key));
    assert!(!format!("{key:?}").is_empty());
    assert_ne!(key, second);
    drop(key);
    assert!(other.remove_registry_value(second).is_err());
}

// Code of the user that runs inside a method, reached through a view, and drops the last owner.

/// Drops the last owner where code of the user runs, and stands for a value, a key, a chunk, an app datum.
#[derive(Clone)]
struct Kills(Owner);

impl Kills {
    fn now(&self) {
        if self.0.has_lua() {
            self.0.drop_lua();
        }
    }
}

impl<'lua> IntoLua<'lua> for Kills {
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        self.now();
        lua.create_string("made after the last owner")
            .map(Value::String)
    }
}

thread_local!(static KILLS: RefCell<Option<Kills>> = const { RefCell::new(None) });

struct KilledBy(String);

impl<'lua> FromLua<'lua> for KilledBy {
    fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
        KILLS.with_borrow(|kills| kills.as_ref().unwrap().now());
        lua.create_table()?;
        String::from_lua(value, lua).map(KilledBy)
    }
}

impl AsChunk<'static, 'static> for Kills {
    fn source(self) -> std::io::Result<std::borrow::Cow<'static, [u8]>> {
        self.now();
        Ok(b"return ...".into())
    }

    fn environment(&self, lua: &'static Lua) -> Result<Option<Table<'static>>> {
        self.now();
        lua.create_table().map(Some)
    }
}

struct KillsInRegistration;

impl UserData for KillsInRegistration {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        KILLS.with_borrow(|kills| kills.as_ref().unwrap().now());
        methods.add_method("x", |_, _, ()| Ok(()));
    }
}

fn killed_by_drop(kills: &Kills) -> OnDrop<impl FnOnce()> {
    let kills = kills.clone();
    OnDrop::new(move || kills.now())
}

type Method = (&'static str, fn(&'static Lua, Kills) -> Result<()>);

const METHODS_WITH_USER_CODE: &[Method] = &[
    ("unpack", |lua, _| {
        let value = lua.pack("text")?;
        assert_eq!(lua.unpack::<KilledBy>(value)?.0, "text");
        Ok(())
    }),
    ("unpack_multi", |lua, _| {
        let values = lua.pack_multi(("a", "b", "c"))?;
        let (a, b, c) = lua.unpack_multi::<(String, KilledBy, String)>(values)?;
        assert_eq!((a.as_str(), b.0.as_str(), c.as_str()), ("a", "b", "c"));
        Ok(())
    }),
    ("create_table_from", |lua, kills| {
        let pairs = (0..100).map(move |n| {
            kills.now();
            (n, format!("value {n}"))
        });
        lua.create_table_from(pairs).map(drop)
    }),
    ("create_sequence_from", |lua, kills| {
        let values = (0..100).map(move |_| kills.clone());
        assert_eq!(lua.create_sequence_from(values)?.raw_len(), 100);
        Ok(())
    }),
    ("create_registry_value", |lua, kills| {
        lua.create_registry_value(kills).map(drop)
    }),
    ("registry_value", |lua, _| {
        let key = lua.create_registry_value("text")?;
        lua.registry_value::<KilledBy>(&key).map(drop)
    }),
    ("replace_registry_value", |lua, kills| {
        lua.replace_registry_value(&lua.create_registry_value(1)?, kills)
    }),
    ("set_named_registry_value", |lua, kills| {
        lua.set_named_registry_value("x", kills)
    }),
    ("named_registry_value", |lua, _| {
        lua.set_named_registry_value("x", "text")?;
        lua.named_registry_value::<KilledBy>("x").map(drop)
    }),
    ("load", |lua, kills| {
        let text: String = lua.load(kills).call("text")?;
        assert_eq!(text, "text");
        Ok(())
    }),
    ("load_from_function", |lua, kills| {
        let load = lua.create_function(move |_, ()| Ok(kills.clone()))?;
        lua.load_from_function::<KilledBy>("kills", load).map(drop)
    }),
    ("scope", |lua, kills| {
        lua.scope(|scope| {
            kills.now();
            scope
                .create_function(|_, ()| Ok(kills.clone()))?
                .call::<_, KilledBy>(())
                .map(drop)
        })
    }),
    ("end of a scope", |lua, kills| {
        lua.scope(|scope| {
            lua.globals()
                .set("x", scope.create_userdata(killed_by_drop(&kills))?)
        })
    }),
    ("create_userdata", |lua, _| {
        lua.create_userdata(KillsInRegistration).map(drop)
    }),
    ("create_proxy", |lua, _| {
        lua.create_proxy::<KillsInRegistration>().map(drop)
    }),
    ("register_userdata_type", |lua, kills| {
        lua.register_userdata_type::<u64>(|registry| {
            kills.now();
            registry.add_method("x", |_, _, ()| Ok(()));
        })
    }),
    ("set_app_data", |lua, kills| {
        lua.set_app_data(killed_by_drop(&kills));
        drop(lua.set_app_data(killed_by_drop(&kills)));
        Ok(())
    }),
    ("app_data_mut", |lua, kills| {
        lua.set_app_data(Some(Box::new(killed_by_drop(&kills)) as Box<dyn Any>));
        *lua.app_data_mut::<Option<Box<dyn Any>>>().unwrap() = None;
        Ok(())
    }),
    ("remove_app_data", |lua, kills| {
        lua.set_app_data(Box::new(killed_by_drop(&kills)) as Box<dyn Any>);
        drop(lua.remove_app_data::<Box<dyn Any>>());
        Ok(())
    }),
    #[cfg(not(feature = "luau"))]
    ("set_hook", |lua, kills| {
        let held = killed_by_drop(&kills);
        lua.set_hook(mlua::HookTriggers::EVERY_LINE, move |_, _| {
            let _ = &held;
            Ok(())
        });
        lua.remove_hook();
        Ok(())
    }),
    #[cfg(lua_ge_54)]
    ("set_warning_function", |lua, kills| {
        let held = killed_by_drop(&kills);
        lua.set_warning_function(move |_, _, _| {
            let _ = &held;
            Ok(())
        });
        lua.set_warning_function(move |_, _, _| Ok(()));
        Ok(())
    }),
    #[cfg(lua_ge_54)]
    ("warning", |lua, kills| {
        lua.set_warning_function(move |_, _, _| {
            kills.now();
            Ok(())
        });
        lua.warning("x", false);
        Ok(())
    }),
    ("gc_step", |lua, kills| {
        drop(lua.create_userdata(killed_by_drop(&kills))?);
        let weak = lua.weak();
        while weak.is_alive() && !lua.gc_step()? {}
        Ok(())
    }),
    ("current_thread", |lua, kills| {
        lua.current_thread();
        kills.now();
        Ok(())
    }),
    ("pairs", |lua, _| {
        let table = lua.create_table_from([("a", "b"), ("c", "d")])?;
        for pair in table.pairs::<KilledBy, KilledBy>() {
            pair?;
        }
        Ok(())
    }),
    ("for_each", |lua, kills| {
        let table = lua.create_table_from([("a", "b"), ("c", "d")])?;
        table.for_each(|_: KilledBy, _: String| {
            kills.now();
            Ok(())
        })
    }),
    ("sequence_values", |lua, _| {
        let table = lua.create_sequence_from(["a", "b"])?;
        assert_eq!(table.sequence_values::<KilledBy>().count(), 2);
        Ok(())
    }),
    ("bind", |lua, kills| {
        let type_of: Function = lua.globals().get("type")?;
        assert_eq!(type_of.bind(kills)?.call::<_, KilledBy>(())?.0, "string");
        Ok(())
    }),
    ("resume", |lua, kills| {
        let thread = lua.create_thread(lua.globals().get("type")?)?;
        assert_eq!(thread.resume::<_, KilledBy>(kills)?.0, "string");
        Ok(())
    }),
    ("user values", |lua, kills| {
        let userdata = lua.create_any_userdata(1)?;
        userdata.set_named_user_value("x", kills)?;
        userdata.named_user_value::<KilledBy>("x").map(drop)
    }),
    ("take", |lua, kills| {
        let userdata = lua.create_any_userdata(Box::new(killed_by_drop(&kills)) as Box<dyn Any>)?;
        userdata.take::<Box<dyn Any>>().map(drop)
    }),
    ("borrow_mut", |lua, kills| {
        let userdata =
            lua.create_any_userdata(Some(Box::new(killed_by_drop(&kills)) as Box<dyn Any>))?;
        *userdata.borrow_mut::<Option<Box<dyn Any>>>()? = None;
        Ok(())
    }),
];

#[test]
fn user_code_inside_a_method_drops_the_last_lua() {
    for (name, method) in METHODS_WITH_USER_CODE {
        let lua = Lua::new();
        let weak = lua.weak();
        let owner = Owner::new(lua);
        let view = owner.view();
        let kills = Kills(owner.clone());
        KILLS.set(Some(kills.clone()));
        method(view, kills.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        kills.now();
        assert!(!weak.is_alive(), "{name}");
        assert_refused(name, || view.create_table());
    }
    KILLS.set(None);
}

#[test]
fn a_bare_conversion_keeps_nothing_open() {
    // There is no proxy, and no Lua code is running: the instance ends at once.
    let owner = Owner::new(Lua::new());
    let view = owner.view();
    assert_refused("pack", || view.pack(Kills(owner.clone())));
}
