//! When an instance ends, and what finds out how.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{
    AnyUserData, Error, FromLua, Function, IntoLua, Lua, OwnedFunction, OwnedTable, OwnedThread,
    Result, Thread, ThreadStatus, UserData, UserDataMethods, Value, WeakLua,
};

use crate::kit::{
    assert_destroyed, bytes_in_use, panic_message, Log, OnDrop, Owner, Tally, Token, DESTROYED,
};

/// An instance whose end is noted as "closed".
fn observed(log: &Log) -> Lua {
    let lua = Lua::new();
    let log = log.clone();
    lua.globals()
        .set("observer", OnDrop::new(move || log.note("closed")))
        .unwrap();
    lua
}

/// An instance that Lua code can drop with `drop_lua()`, that notes with `note(…)`, and a handle to its globals.
fn suicidal(log: &Log) -> (Owner, OwnedTable) {
    let lua = observed(log);
    let globals = lua.globals().into_owned();
    let owner = Owner::new(lua);
    let view = globals.upgrade();
    globals
        .set("drop_lua", drop_function(&owner, log, &globals))
        .unwrap();
    let noting = log.clone();
    let note = Function::wrap(move |_, event: String| {
        noting.note(event);
        Ok(())
    });
    view.set("note", note).unwrap();
    drop(view);
    (owner, globals)
}

fn drop_function(owner: &Owner, log: &Log, globals: &OwnedTable) -> OwnedFunction {
    let (owner, log, alive) = (owner.clone(), log.clone(), globals.clone());
    let lua = owner.view();
    let drop_lua = lua.create_function(move |_, ()| {
        owner.drop_lua();
        assert!(alive.is_alive(), "the instance is in use");
        log.note("dropped");
        Ok(())
    });
    drop_lua.unwrap().into_owned()
}

/// Runs Lua code with nothing but a handle to the globals.
fn run(globals: &OwnedTable, code: &str) -> Result<()> {
    let load: Function = match globals.get("loadstring")? {
        Some(load) => load,
        None => globals.get("load")?,
    };
    let chunk: Function = load.call(code)?;
    drop(load);
    chunk.call(())
}

#[test]
fn upgrading_before_during_and_after_the_drop() {
    let lua = Lua::new();
    let handle = lua.globals().into_owned();
    let weak = lua.weak();
    let seen = Rc::new(RefCell::new(Vec::new()));
    // The finalizer runs while the instance is closed: during the drop.
    let (during, seen_by) = (handle.clone(), seen.clone());
    let finalizer = OnDrop::new(move || {
        let mut seen = seen_by.borrow_mut();
        seen.push(matches!(during.try_upgrade(), Err(Error::LuaDestroyed)));
        seen.push(panic_message(|| during.upgrade()) == DESTROYED);
        seen.push(!during.is_alive() && !weak.is_alive());
        seen.push(!during.clone().is_alive() && during == during.clone());
    });
    lua.globals().set("finalizer", finalizer).unwrap();
    assert!(handle.try_upgrade().is_ok());
    drop(lua);
    assert_eq!(*seen.borrow(), [true; 4]);
    assert!(matches!(handle.try_upgrade(), Err(Error::LuaDestroyed)));
    assert_eq!(panic_message(|| handle.upgrade()), DESTROYED);
}

#[test]
fn the_panic_of_upgrade_names_the_line_of_the_caller() {
    thread_local!(static LINE: Cell<u32> = const { Cell::new(0) });
    let handle = Lua::new().globals().into_owned();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let _ = LINE.try_with(|line| line.set(info.location().unwrap().line()));
        hook(info);
    }));
    let line = line!() + 1;
    panic_message(|| handle.upgrade());
    assert_eq!(LINE.get(), line);
    let line = line!() + 1;
    panic_message(|| handle.to_ref());
    assert_eq!(LINE.get(), line);
}

#[test]
fn a_callback_drops_the_last_lua() {
    let log = Log::default();
    let (_, globals) = suicidal(&log);
    run(&globals, "drop_lua(); local t = {}; for i = 1, 1000 do t[i] = {} end; collectgarbage(); note('went on')").unwrap();
    assert_eq!(log.events(), ["dropped", "went on", "closed"]);
    assert!(!globals.is_alive());
    assert_destroyed("run", run(&globals, "return"));
}

#[test]
fn a_callback_drops_the_last_lua_and_fails() {
    let log = Log::default();
    let (_, globals) = suicidal(&log);
    let error = run(&globals, "drop_lua(); error('after that')").unwrap_err();
    assert!(error.to_string().contains("after that"), "{error}");
    assert_eq!(log.events(), ["dropped", "closed"]);
}

#[test]
fn a_callback_drops_the_last_lua_and_panics() {
    let log = Log::default();
    let (owner, globals) = suicidal(&log);
    let noting = log.clone();
    let panics = owner.view().create_function(move |_, ()| -> Result<()> {
        owner.drop_lua();
        noting.note("panics");
        panic!("in a callback")
    });
    globals.set("panics", panics.unwrap()).unwrap();
    assert_eq!(panic_message(|| run(&globals, "panics()")), "in a callback");
    assert_eq!(log.events(), ["panics", "closed"]);
    assert!(!globals.is_alive());
}

/// Each piece of code calls `drop_lua` from another place; the instance must end only after it.
#[test]
fn nothing_closes_in_the_middle_of_lua_code() {
    let codes = [
        "local _ = setmetatable({}, {__index = drop_lua}).x",
        "setmetatable({}, {__newindex = drop_lua}).x = 1",
        "local _ = setmetatable({}, {__add = drop_lua}) + 1",
        "local _ = setmetatable({}, {__concat = drop_lua}) .. 'x'",
        "local m = {__eq = drop_lua} local _ = setmetatable({}, m) == setmetatable({}, m)",
        #[cfg(any(lua_ge_52, feature = "luajit52"))]
        "local _ = #setmetatable({}, {__len = function() drop_lua() return 0 end})",
        "tostring(setmetatable({}, {__tostring = function() drop_lua() return '' end}))",
        #[cfg(lua_ge_54)]
        "do local closed <close> = setmetatable({}, {__close = drop_lua}) end",
        #[cfg(finalizers)]
        with_finalized!("finalized(drop_lua); collectgarbage()"),
        "local t, done = {3, 2, 1}; table.sort(t, function(a, b) if not done then done = true drop_lua() end return a < b end)",
        "local done; for _ in function() if not done then done = true drop_lua() return 1 end end do end",
        "pcall(drop_lua)",
        "pcall(function() drop_lua() error() end)",
        "xpcall(error, function() drop_lua() end)",
        #[cfg(not(feature = "lua51"))]
        "coroutine.wrap(drop_lua)()",
        "coroutine.wrap(function() drop_lua() end)()",
        "coroutine.wrap(function() coroutine.wrap(function() drop_lua() coroutine.yield() end)() end)()",
        #[cfg(lua_ge_54)]
        "local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = drop_lua}) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "string.gsub('abc', 'a', function() drop_lua() end)",
        #[cfg(not(feature = "luau"))]
        "load(function() if drop_lua then drop_lua() drop_lua = nil end end)",
        "require_me = function() drop_lua() return true end; package.preload.me = require_me; require 'me'",
    ];
    for code in codes {
        let log = Log::default();
        let (_owner, globals) = suicidal(&log);
        run(
            &globals,
            &format!("{code}; collectgarbage() note('went on')"),
        )
        .unwrap_or_else(|error| panic!("{code}: {error}"));
        assert_eq!(log.events(), ["dropped", "went on", "closed"], "{code}");
        assert!(!globals.is_alive(), "{code}");
    }
}

#[test]
fn a_finalizer_drops_the_last_lua() {
    let log = Log::default();
    let (owner, globals) = suicidal(&log);
    let (noting, alive) = (log.clone(), globals.clone());
    let finalizer = OnDrop::new(move || {
        owner.drop_lua();
        assert!(alive.is_alive());
        noting.note("dropped in a finalizer");
    });
    globals.set("finalizer", finalizer).unwrap();
    run(
        &globals,
        "finalizer = nil; collectgarbage(); note('went on')",
    )
    .unwrap();
    assert_eq!(
        log.events(),
        ["dropped in a finalizer", "went on", "closed"]
    );
}

#[test]
fn a_finalizer_drops_the_last_lua_in_a_collection_through_a_view() {
    let log = Log::default();
    let (owner, globals) = suicidal(&log);
    let view = owner.view();
    let finalizer = OnDrop::new(move || owner.drop_lua());
    globals.set("finalizer", finalizer).unwrap();
    globals.set("finalizer", Value::Nil).unwrap();
    view.gc_collect().unwrap();
    assert_eq!(log.events(), ["closed"]);
    assert!(!globals.is_alive());
    assert_eq!(panic_message(|| view.globals()), DESTROYED);
}

#[test]
fn an_instance_that_owns_itself_ends_when_it_is_collected() {
    let log = Log::default();
    let lua = observed(&log);
    let globals = lua.globals().into_owned();
    let itself = Owner::new(lua);
    let slot = itself.clone();
    globals
        .set("itself", OnDrop::new(move || slot.drop_lua()))
        .unwrap();
    drop(itself);
    assert!(globals.is_alive());
    run(&globals, "itself = nil; collectgarbage()").unwrap();
    assert_eq!(log.events(), ["closed"]);
}

#[test]
fn a_callback_of_another_instance_drops_the_last_lua() {
    let log = Log::default();
    let (owner, globals) = suicidal(&log);
    let other = Lua::new();
    let (noting, alive) = (log.clone(), globals.clone());
    let kill = other.create_function(move |_, ()| {
        owner.drop_lua();
        assert!(!alive.is_alive());
        noting.note("the other goes on");
        Ok(alive.try_upgrade().is_err())
    });
    other.globals().set("kill", kill.unwrap()).unwrap();
    assert!(other.load("return kill()").eval::<bool>().unwrap());
    assert_eq!(log.events(), ["closed", "the other goes on"]);
    assert!(other.load("return 1 + 1").eval::<i64>().is_ok());
}

#[test]
fn instances_that_call_each_other_end_after_the_calls() {
    let log = Log::default();
    let (_owner, first) = suicidal(&log);
    let second = Lua::new();
    let inner = first.clone();
    let call_first =
        second.create_function(move |_, ()| run(&inner, "drop_lua(); note('first goes on')"));
    let call_first = call_first.unwrap().into_owned();
    let noting = log.clone();
    let outer = first.upgrade();
    let call_second = Function::wrap(move |_, ()| {
        call_first.call::<_, ()>(())?;
        noting.note("back in first");
        Ok(())
    });
    outer.set("call_second", call_second).unwrap();
    drop(outer);
    run(&first, "call_second(); note('first ends')").unwrap();
    assert_eq!(
        log.events(),
        [
            "dropped",
            "first goes on",
            "back in first",
            "first ends",
            "closed"
        ]
    );
}

#[test]
fn a_proxy_outlives_the_last_lua() {
    let log = Log::default();
    let lua = observed(&log);
    let globals = lua.globals().into_owned();
    let proxy = globals.upgrade();
    drop(lua);
    assert!(globals.is_alive());
    proxy.set("x", 1).unwrap();
    let function: Function = proxy.get("tostring").unwrap();
    drop(proxy);
    assert_eq!(
        function
            .call::<_, String>(globals.get::<_, i64>("x").unwrap())
            .unwrap(),
        "1"
    );
    assert!(log.events().is_empty());
    drop(function);
    assert_eq!(log.events(), ["closed"]);
}

#[test]
fn the_instance_ends_while_a_coroutine_is_suspended() {
    let tally = Tally::default();
    let log = Log::default();
    let lua = observed(&log);
    lua.globals().set("token", tally.token()).unwrap();
    let body: Function = lua
        .load(if cfg!(lua_ge_54) {
            "function() local mine <close>, token = setmetatable({}, {__close = print}), token; _G.token = nil; coroutine.yield(1); return token end"
        } else {
            "function() local token = token; _G.token = nil; coroutine.yield(1); return token end"
        })
        .eval()
        .unwrap();
    let thread: OwnedThread = lua.create_thread(body).unwrap().into_owned();
    assert_eq!(thread.resume::<_, i64>(()).unwrap(), 1);
    drop(lua);
    assert_eq!(log.events(), ["closed"]);
    tally.assert_all_dropped();
    assert_eq!(thread.status(), ThreadStatus::Error);
    assert_destroyed("resume", thread.resume::<_, ()>(()));
}

#[test]
fn a_coroutine_that_is_running_drops_the_last_lua() {
    let log = Log::default();
    let (_owner, globals) = suicidal(&log);
    run(
        &globals,
        "co = coroutine.create(function() drop_lua() coroutine.yield(1) note('resumed') end)",
    )
    .unwrap();
    let thread: OwnedThread = globals.get("co").unwrap();
    let proxy = thread.upgrade();
    assert_eq!(proxy.resume::<_, i64>(()).unwrap(), 1);
    assert_eq!(log.events(), ["dropped"]);
    proxy.resume::<_, ()>(()).unwrap();
    assert_eq!(log.events(), ["dropped", "resumed"]);
    drop(proxy);
    assert_eq!(log.events(), ["dropped", "resumed", "closed"]);
}

#[test]
fn conversions_drop_the_last_lua() {
    struct Drops(Owner);
    impl<'lua> IntoLua<'lua> for Drops {
        fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
            self.0.drop_lua();
            lua.create_string("made after the drop").map(Value::String)
        }
    }
    thread_local!(static OWNER: RefCell<Owner> = RefCell::default());
    struct DropsToo(String);
    impl<'lua> FromLua<'lua> for DropsToo {
        fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
            OWNER.with_borrow(Owner::drop_lua);
            lua.globals().set("after", 1)?;
            String::from_lua(value, lua).map(DropsToo)
        }
    }

    for round in 0..6 {
        let log = Log::default();
        let lua = observed(&log);
        let globals = lua.globals().into_owned();
        let version: String = globals.get("_VERSION").unwrap();
        let owner = Owner::new(lua);
        OWNER.set(owner.clone());
        match round {
            0 => globals.set("x", Drops(owner)).unwrap(),
            1 => globals.raw_set(Drops(owner), 1).unwrap(),
            2 => assert_eq!(globals.get::<_, Option<i64>>(Drops(owner)).unwrap(), None),
            3 => {
                let tostring: OwnedFunction = globals.get("tostring").unwrap();
                assert_eq!(
                    tostring.call::<_, String>(Drops(owner)).unwrap(),
                    "made after the drop"
                );
            }
            4 => assert_eq!(globals.get::<_, DropsToo>("_VERSION").unwrap().0, version),
            _ => {
                let tostring: OwnedFunction = globals.get("tostring").unwrap();
                assert_eq!(tostring.call::<_, DropsToo>(7).unwrap().0, "7");
            }
        }
        assert_eq!(log.events(), ["closed"], "round {round}");
        assert!(!globals.is_alive());
    }
}

#[test]
fn userdata_methods_drop_the_last_lua() {
    struct Killer(Owner, Log);
    impl UserData for Killer {
        fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
            methods.add_method("kill", |lua, this, ()| {
                this.0.drop_lua();
                this.1.note("still borrowed");
                lua.create_table()
            });
            methods.add_method_mut("kill_mut", |lua, this, ()| {
                this.0.drop_lua();
                this.1.note("still borrowed");
                lua.create_table()
            });
        }
    }
    for code in ["assert(killer:kill())", "assert(killer:kill_mut())"] {
        let log = Log::default();
        let (owner, globals) = suicidal(&log);
        globals.set("killer", Killer(owner, log.clone())).unwrap();
        run(&globals, code).unwrap();
        assert_eq!(log.events(), ["still borrowed", "closed"]);
    }
}

#[cfg(lua_ge_54)]
#[test]
fn hooks_and_warnings_drop_the_last_lua() {
    for hook in [true, false] {
        let log = Log::default();
        let (owner, globals) = suicidal(&log);
        let killer = owner.clone();
        let alive = globals.clone();
        let kill = move || {
            if alive.is_alive() && killer.has_lua() {
                killer.drop_lua();
            }
            Ok(())
        };
        let view = owner.view();
        match hook {
            true => view.set_hook(mlua::HookTriggers::EVERY_LINE, move |_, _| kill()),
            false => view.set_warning_function(move |_, _, _| kill()),
        }
        run(&globals, "warn('now')\n note('went on')").unwrap();
        assert_eq!(log.events(), ["went on", "closed"]);
    }
}

#[test]
fn a_thread_local_instance_ends_with_its_thread() {
    thread_local! {
        static HANDLE: RefCell<Option<OwnedTable>> = const { RefCell::new(None) };
        static LUA: RefCell<Option<Lua>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<OwnedFunction>> = const { RefCell::new(None) };
    }
    static CLOSED: AtomicUsize = AtomicUsize::new(0);
    std::thread::spawn(|| {
        let lua = Lua::new();
        HANDLE.set(Some(lua.globals().into_owned()));
        let finalizer = OnDrop::new(|| {
            CLOSED.fetch_add(1, Ordering::SeqCst);
        });
        lua.globals().set("finalizer", finalizer).unwrap();
        let late = lua.create_function(|_, ()| Ok(())).unwrap().into_owned();
        LUA.set(Some(lua));
        LATE.set(Some(late));
    })
    .join()
    .unwrap();
    assert_eq!(CLOSED.load(Ordering::SeqCst), 1);
}

#[test]
fn a_thread_local_instance_is_taken_inside_its_own_callback() {
    thread_local!(static LUA: RefCell<Option<Lua>> = const { RefCell::new(None) });
    std::thread::spawn(|| {
        let log = Log::default();
        let lua = observed(&log);
        let noting = log.clone();
        let kill = lua.create_function(move |lua, ()| {
            let last = LUA.take();
            drop(last);
            noting.note("dropped");
            lua.create_string("made after that")
        });
        let kill = kill.unwrap().into_owned();
        LUA.set(Some(lua));
        assert_eq!(kill.call::<_, String>(()).unwrap(), "made after that");
        assert_eq!(log.events(), ["dropped", "closed"]);
    })
    .join()
    .unwrap();
}

#[cfg(finalizers)]
#[test]
fn rust_functions_work_in_finalizers_that_run_while_closing() {
    let log = Log::default();
    let lua = Lua::new();
    let weak = lua.weak();
    let handle = lua.globals().into_owned();
    let noting = log.clone();
    let finalize = lua.create_function(move |lua, table: mlua::Table| {
        assert!(!weak.is_alive() && !handle.is_alive());
        assert!(matches!(handle.try_upgrade(), Err(Error::LuaDestroyed)));
        assert!(matches!(lua.pack(&handle), Err(Error::LuaDestroyed)));
        // The instance that the function is lent works for as long as the function runs.
        let made = lua.create_table()?;
        made.set("text", lua.create_string("made while closing")?)?;
        assert_eq!(table.get::<_, i64>("x")?, 5);
        let calls: Function = lua.load("return function(t) return t.text end").eval()?;
        assert_eq!(calls.call::<_, String>(made)?, "made while closing");
        let thread = lua.create_thread(lua.load("coroutine.yield(7)").into_function()?)?;
        assert_eq!(thread.resume::<_, i64>(())?, 7);
        lua.create_userdata(Tally::default().token())?;
        lua.gc_collect()?;
        // What is made here is dead from the beginning.
        let owned = lua.create_table()?.into_owned();
        assert!(!owned.is_alive() && owned.try_upgrade().is_err());
        assert!(!lua.weak().is_alive());
        noting.note("worked");
        Ok(())
    });
    lua.globals().set("finalize", finalize.unwrap()).unwrap();
    lua.load(with_finalized!("kept = finalized(finalize, {x = 5})"))
        .exec()
        .unwrap();
    drop(lua);
    assert_eq!(log.events(), ["worked"]);
}

#[cfg(finalizers)]
#[test]
fn handles_made_while_closing_are_told_apart() {
    type Made = Rc<RefCell<Vec<(OwnedTable, *const std::os::raw::c_void)>>>;
    let made = Made::default();
    let lua = Lua::new();
    let first = lua.create_table().unwrap().into_owned();
    let before = first.to_pointer();
    let into = made.clone();
    let finalize = lua.create_function(move |lua, old: mlua::Table| {
        // Slots that are taken, given back and taken again while the instance is closed.
        for _ in 0..10 {
            drop(lua.create_table()?);
            let table = lua.create_table()?;
            let pointer = table.to_pointer();
            into.borrow_mut().extend([
                (table.clone().into_owned(), pointer),
                (table.into_owned(), pointer),
            ]);
        }
        let pointer = old.to_pointer();
        into.borrow_mut().push((old.into_owned(), pointer));
        Ok(())
    });
    lua.globals().set("finalize", finalize.unwrap()).unwrap();
    lua.load(with_finalized!("kept = finalized(finalize, {})"))
        .exec()
        .unwrap();
    drop(lua);
    let made = made.borrow();
    assert_eq!(made.len(), 21);
    assert_eq!(first.to_pointer(), before);
    assert!(!before.is_null());
    for (handle, pointer) in made.iter() {
        assert_eq!(handle.to_pointer(), *pointer);
        assert!(!handle.is_alive() && *handle != first);
        let same = made.iter().filter(|(other, _)| other == handle).count();
        assert_eq!(same, made.iter().filter(|(_, p)| p == pointer).count());
    }
}

#[test]
fn handles_dropped_and_cloned_while_closing() {
    struct Bag {
        handles: Vec<OwnedTable>,
    }
    impl UserData for Bag {}
    impl Drop for Bag {
        fn drop(&mut self) {
            let clones = self.handles.clone();
            self.handles.clear();
            assert!(clones.iter().all(|handle| !handle.is_alive()));
        }
    }
    let before = bytes_in_use();
    {
        let lua = Lua::new();
        for _ in 0..100 {
            let handles = (0..10)
                .map(|_| lua.create_table().unwrap().into_owned())
                .collect();
            lua.globals().raw_push(Bag { handles }).unwrap();
        }
    }
    assert_eq!(bytes_in_use(), before);
}

#[test]
fn a_finalizer_of_a_live_instance_can_use_handles() {
    let lua = Lua::new();
    let globals = lua.globals().into_owned();
    let seen = globals.clone();
    globals.set("count", 0).unwrap();
    let finalizer = OnDrop::new(move || {
        if let Ok(globals) = seen.try_upgrade() {
            let count: i64 = globals.get("count").unwrap();
            globals.set("count", count + 1).unwrap();
            globals.set("made", globals.clone().into_owned()).unwrap();
        }
    });
    drop(lua.create_userdata(finalizer).unwrap());
    lua.gc_collect().unwrap();
    lua.gc_collect().unwrap();
    assert_eq!(globals.get::<_, i64>("count").unwrap(), 1);
    assert_eq!(globals.get::<_, OwnedTable>("made").unwrap(), globals);
}

#[test]
fn instances_that_own_each_other_end_in_a_chain() {
    let tally = Tally::default();
    let before = bytes_in_use();
    let mut weak: Vec<WeakLua> = Vec::new();
    let mut outer = Lua::new();
    for _ in 0..50 {
        let lua = Lua::new();
        weak.push(outer.weak());
        lua.globals().set("token", tally.token()).unwrap();
        lua.globals()
            .set("inner", lua.create_any_userdata(outer).unwrap())
            .unwrap();
        outer = lua;
    }
    drop(outer);
    tally.assert_all_dropped();
    assert!(weak.iter().all(|weak| !weak.is_alive()));
    drop(weak);
    drop(tally);
    assert!(bytes_in_use() <= before + 512);
}

#[test]
fn an_instance_is_made_while_another_is_closed() {
    let log = Log::default();
    let lua = Lua::new();
    let noting = log.clone();
    let finalizer = OnDrop::new(move || {
        let fresh = observed(&noting);
        assert_eq!(fresh.load("return 6 * 7").eval::<i64>().unwrap(), 42);
        noting.note("made another");
    });
    lua.globals().set("finalizer", finalizer).unwrap();
    drop(lua);
    assert_eq!(log.events(), ["made another", "closed"]);
}

#[test]
fn a_panic_in_a_finalizer_does_not_stop_the_closing() {
    let tally = Tally::default();
    let lua = Lua::new();
    let handle = lua.globals().into_owned();
    for _ in 0..5 {
        lua.globals().raw_push(tally.token()).unwrap();
        lua.globals()
            .raw_push(OnDrop::new(|| panic!("in a finalizer")))
            .unwrap();
    }
    drop(lua);
    assert!(!handle.is_alive());
    tally.assert_all_dropped();
}

#[test]
fn a_panic_in_what_rust_holds_does_not_stop_the_closing() {
    struct Panics<const N: usize>(#[allow(dead_code)] OnDrop<fn()>, #[allow(dead_code)] Token);
    let panics = || OnDrop::new((|| panic!("in a destructor")) as fn());

    let tally = Tally::default();
    let lua = Lua::new();
    let handle = lua.globals().into_owned();
    lua.globals().set("token", tally.token()).unwrap();
    lua.set_app_data(Panics::<1>(panics(), tally.token()));
    lua.set_app_data(Panics::<2>(panics(), tally.token()));
    #[cfg(not(feature = "luau"))]
    {
        let held = Panics::<3>(panics(), tally.token());
        lua.set_hook(mlua::HookTriggers::EVERY_LINE, move |_, _| {
            let _ = &held;
            Ok(())
        });
    }
    #[cfg(lua_ge_54)]
    {
        let held = Panics::<4>(panics(), tally.token());
        lua.set_warning_function(move |_, _, _| {
            let _ = &held;
            Ok(())
        });
    }
    // Would a panic get out, this drop on unwinding would end the program.
    let message = panic_message(|| {
        let _proxy = handle.upgrade();
        drop(lua);
        panic!("unwinding")
    });
    assert_eq!(message, "unwinding");
    assert!(!handle.is_alive() && handle.try_upgrade().is_err());
    tally.assert_all_dropped();
}

#[test]
fn app_data_finds_the_instance_gone() {
    let log = Log::default();
    let lua = Lua::new();
    let (handle, noting) = (lua.globals().into_owned(), log.clone());
    lua.set_app_data(OnDrop::new(move || {
        assert!(handle.try_upgrade().is_err());
        noting.note("dropped");
    }));
    drop(lua);
    assert_eq!(log.events(), ["dropped"]);
}

#[test]
fn a_lua_finalizer_that_fails_does_not_stop_the_closing() {
    let tally = Tally::default();
    let lua = Lua::new();
    lua.globals().set("token", tally.token()).unwrap();
    lua.load(with_finalized!(
        "kept = {}; for i = 1, 5 do kept[i] = finalized(function() error('in __gc') end) end"
    ))
    .exec()
    .unwrap();
    let fails = lua
        .create_function(|_, ()| Err::<(), _>(Error::runtime("in Rust")))
        .unwrap();
    lua.load(with_finalized!("kept2 = finalized((...))"))
        .call::<_, ()>(fails)
        .unwrap();
    let panics = lua
        .create_function(|_, ()| -> Result<()> { panic!("in a finalizer of Lua's") })
        .unwrap();
    lua.load(with_finalized!("kept3 = finalized((...))"))
        .call::<_, ()>(panics)
        .unwrap();
    let handle = lua.globals().into_owned();
    drop(lua);
    assert!(!handle.is_alive());
    tally.assert_all_dropped();
}

#[test]
fn a_guard_of_a_userdata_is_the_last_to_go() {
    let tally = Tally::default();
    let lua = Lua::new();
    let userdata = lua.create_any_userdata(tally.token()).unwrap().into_owned();
    let shared = userdata.borrow::<crate::kit::Token>().unwrap();
    let again = userdata.borrow::<crate::kit::Token>().unwrap();
    drop(lua);
    drop(shared);
    assert_eq!(tally.dropped(), 0);
    drop(again);
    tally.assert_all_dropped();
}

#[test]
fn a_value_taken_out_is_not_dropped_with_the_instance() {
    let tally = Tally::default();
    let lua = Lua::new();
    let userdata: AnyUserData = lua.create_any_userdata(tally.token()).unwrap();
    let token = userdata.into_owned().take::<crate::kit::Token>().unwrap();
    drop(lua);
    assert_eq!(tally.dropped(), 0);
    drop(token);
    tally.assert_all_dropped();
}

#[test]
fn a_proxy_stored_beside_its_thread_keeps_both() {
    let lua = Lua::new();
    let thread: Thread = lua
        .create_thread(
            lua.load("coroutine.yield(1) return 2")
                .into_function()
                .unwrap(),
        )
        .unwrap();
    let handle = thread.into_owned();
    let proxy = handle.upgrade();
    drop(lua);
    assert_eq!(proxy.resume::<_, i64>(()).unwrap(), 1);
    assert_eq!(handle.resume::<_, i64>(()).unwrap(), 2);
    assert_eq!(handle.status(), ThreadStatus::Unresumable);
    drop(proxy);
    assert!(!handle.is_alive());
}
