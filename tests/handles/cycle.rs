//! Cycles between Rust and Lua that would keep an instance open for ever, were handles strong.

#[cfg(feature = "weak-owned")]
use mlua::OwnedValue;
use mlua::{
    AnyUserData, Function, Lua, OwnedAnyUserData, OwnedFunction, OwnedTable, OwnedThread, Result,
    Table, Thread, UserData, UserDataMethods,
};

use crate::kit::{bytes_in_use, Tally, Token};
#[cfg(not(feature = "weak-owned"))]
use crate::strong::{Handle, Instance, OwnedValue, TableHandle};

/// Keeps a callback of Lua's, as widgets do.
struct Button {
    on_click: Option<OwnedFunction>,
    _token: Token,
}

impl Button {
    fn new(tally: &Tally) -> Button {
        Button {
            on_click: None,
            _token: tally.token(),
        }
    }
}

impl UserData for Button {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("on_click", |_, this, callback: OwnedFunction| {
            this.on_click = Some(callback);
            Ok(())
        });
        methods.add_method("click", |_, this, ()| match &this.on_click {
            Some(callback) => callback.call::<_, i64>(()),
            None => Ok(0),
        });
    }
}

/// A value of Rust's that keeps something of Lua's.
struct Keeps<T>(#[allow(dead_code)] T, #[allow(dead_code)] Token);

impl<T> UserData for Keeps<T> {}

const CALLBACK: &str = "local n = 0; button:on_click(function() n = n + 1; return n, button end)";

fn userdata_in_a_global(lua: &Lua, tally: &Tally) -> Result<()> {
    lua.globals().set("button", Button::new(tally))?;
    lua.load(CALLBACK).exec()?;
    assert_eq!(
        lua.load("button:click() + button:click()").eval::<i64>()?,
        3
    );
    Ok(())
}

fn rust_closure(lua: &Lua, tally: &Tally) -> Result<()> {
    let globals = lua.globals().into_owned();
    let token = tally.token();
    let function = lua.create_function(move |_, name: String| {
        let _ = &token;
        globals.get::<_, OwnedValue>(name)
    })?;
    lua.globals().set("look_up", function)?;
    assert!(lua.load("look_up('look_up') == look_up").eval::<bool>()?);
    Ok(())
}

fn mutable_rust_closure(lua: &Lua, tally: &Tally) -> Result<()> {
    let mut callbacks: Vec<OwnedFunction> = Vec::new();
    let token = tally.token();
    let function = lua.create_function_mut(move |_, callback: OwnedFunction| {
        let _ = &token;
        callbacks.push(callback);
        Ok(callbacks.len())
    })?;
    lua.globals().set("subscribe", function)?;
    assert_eq!(
        lua.load("subscribe(print); return subscribe(subscribe)")
            .eval::<i64>()?,
        2
    );
    Ok(())
}

fn app_data(lua: &Lua, tally: &Tally) -> Result<()> {
    let callback: Function = lua.load("function() return 5 end").eval()?;
    lua.set_app_data(Keeps(
        (callback.into_owned(), lua.globals().into_owned()),
        tally.token(),
    ));
    let kept = lua
        .app_data_ref::<Keeps<(OwnedFunction, OwnedTable)>>()
        .unwrap();
    assert_eq!(kept.0 .0.call::<_, i64>(())?, 5);
    Ok(())
}

fn named_registry_value(lua: &Lua, tally: &Tally) -> Result<()> {
    let userdata = lua.create_userdata(Button::new(tally))?;
    userdata.borrow_mut::<Button>()?.on_click = Some(
        lua.load("function() return 1 end")
            .eval::<OwnedFunction>()?,
    );
    lua.set_named_registry_value("traps.button", userdata)
}

fn registry_key_in_a_userdata(lua: &Lua, tally: &Tally) -> Result<()> {
    let userdata = lua.create_any_userdata(None::<(mlua::RegistryKey, OwnedAnyUserData, Token)>)?;
    let key = lua.create_registry_value(&userdata)?;
    let parts = (key, userdata.clone().into_owned(), tally.token());
    *userdata.borrow_mut::<Option<(mlua::RegistryKey, OwnedAnyUserData, Token)>>()? = Some(parts);
    Ok(())
}

fn suspended_coroutine(lua: &Lua, tally: &Tally) -> Result<()> {
    let holder = lua.create_userdata(Keeps(
        std::cell::RefCell::new(None::<OwnedThread>),
        tally.token(),
    ))?;
    let thread: Thread = lua
        .load("local holder = ...; return coroutine.create(function() local here = holder; coroutine.yield(); return here end)")
        .call(&holder)?;
    thread.resume::<_, ()>(())?;
    *holder
        .borrow::<Keeps<std::cell::RefCell<Option<OwnedThread>>>>()?
        .0
        .borrow_mut() = Some(thread.into_owned());
    Ok(())
}

fn upvalue_of_a_coroutine(lua: &Lua, tally: &Tally) -> Result<()> {
    let token = tally.token();
    let thread = lua.create_thread(
        lua.load("local keep = ...; keep[1] = coroutine.yield(); coroutine.yield()")
            .into_function()?,
    )?;
    let keep = lua.create_table()?;
    thread.resume::<_, ()>(&keep)?;
    let handle = thread.clone().into_owned();
    let closure = lua.create_function(move |_, ()| {
        let _ = &token;
        Ok(handle.status() == mlua::ThreadStatus::Resumable)
    })?;
    assert!(closure.call::<_, bool>(())?);
    thread.resume::<_, ()>(closure)
}

fn scope(lua: &Lua, tally: &Tally) -> Result<()> {
    lua.scope(|scope| {
        let globals = lua.globals().into_owned();
        let token = tally.token();
        let function = scope.create_function(move |_, ()| {
            let _ = &token;
            globals.get::<_, OwnedValue>("scoped")
        })?;
        lua.globals().set("scoped", function)?;
        let userdata = scope.create_userdata(Button::new(tally))?;
        lua.globals().set("scoped_button", &userdata)?;
        lua.load("scoped_button:on_click(function() return 1, scoped_button end)")
            .exec()?;
        assert!(lua
            .load("scoped() == scoped and scoped_button:click() == 1")
            .eval::<bool>()?);
        let globals = lua.globals().into_owned();
        let nonstatic = scope.create_nonstatic_userdata(Keeps((globals, tally), tally.token()))?;
        lua.globals().set("nonstatic", nonstatic)
    })
}

fn user_values(lua: &Lua, tally: &Tally) -> Result<()> {
    let userdata = lua.create_userdata(Button::new(tally))?;
    let callback: Function = lua
        .load("local u = ...; return function() return 1, u end")
        .call(&userdata)?;
    userdata.set_user_value(&callback)?;
    userdata.set_named_user_value("self", &userdata)?;
    userdata.borrow_mut::<Button>()?.on_click = Some(callback.into_owned());
    lua.globals().set("with_user_value", userdata)
}

fn metatable(lua: &Lua, tally: &Tally) -> Result<()> {
    let table = lua.create_table()?;
    let metatable = lua.create_table()?;
    let handle = table.clone().into_owned();
    let token = tally.token();
    let index = lua.create_function(move |_, (_, key): (Table, String)| {
        let _ = &token;
        Ok(format!("{key} {}", handle.is_alive()))
    })?;
    metatable.set("__index", index)?;
    table.set_metatable(Some(metatable));
    assert_eq!(table.get::<_, String>("key")?, "key true");
    lua.globals().set("with_metatable", table)
}

/// Its methods capture handles.
struct Registered;

fn registered_type(lua: &Lua, tally: &Tally) -> Result<()> {
    let globals = lua.globals().into_owned();
    let token = tally.token();
    lua.register_userdata_type::<Registered>(move |registry| {
        registry.add_method("global", move |_, _, name: String| {
            let _ = &token;
            globals.get::<_, OwnedValue>(name)
        });
    })?;
    lua.globals()
        .set("registered", lua.create_any_userdata(Registered)?)?;
    assert!(lua
        .load("registered:global('registered') == registered")
        .eval::<bool>()?);
    Ok(())
}

#[cfg(lua_ge_54)]
fn hook_and_warnings(lua: &Lua, tally: &Tally) -> Result<()> {
    let (globals, token) = (lua.globals().into_owned(), tally.token());
    lua.set_hook(mlua::HookTriggers::EVERY_LINE, move |_, _| {
        let _ = &token;
        globals.set("hooked", true)
    });
    let (globals, token) = (lua.globals().into_owned(), tally.token());
    lua.set_warning_function(move |_, _, _| {
        let _ = &token;
        globals.set("warned", true)
    });
    lua.load("local a = 1\nlocal b = 2").exec()?;
    lua.warning("careful", false);
    assert!(lua.load("hooked and warned").eval::<bool>()?);
    Ok(())
}

fn error_value(lua: &Lua, tally: &Tally) -> Result<()> {
    // The value of an error lies in a table that the closure in the error's place refers to.
    let globals = lua.globals().into_owned();
    let token = tally.token();
    let fails = lua.create_function(move |_, ()| {
        let _ = &token;
        Err::<(), _>(mlua::Error::runtime(format!(
            "alive: {}",
            globals.is_alive()
        )))
    })?;
    lua.globals().set("fails", fails)?;
    lua.load("local _; _, failure = pcall(fails)").exec()
}

type Form = fn(&Lua, &Tally) -> Result<()>;

const FORMS: &[(&str, Form)] = &[
    ("userdata_in_a_global", userdata_in_a_global),
    ("rust_closure", rust_closure),
    ("mutable_rust_closure", mutable_rust_closure),
    ("app_data", app_data),
    ("named_registry_value", named_registry_value),
    ("registry_key_in_a_userdata", registry_key_in_a_userdata),
    ("suspended_coroutine", suspended_coroutine),
    ("upvalue_of_a_coroutine", upvalue_of_a_coroutine),
    ("scope", scope),
    ("user_values", user_values),
    ("metatable", metatable),
    ("registered_type", registered_type),
    #[cfg(lua_ge_54)]
    ("hook_and_warnings", hook_and_warnings),
    ("error_value", error_value),
];

#[test]
fn each_form_of_the_cycle_ends_with_the_instance() {
    for (name, form) in FORMS {
        let lua = Lua::new();
        let weak = lua.weak();
        let tally = Tally::default();
        form(&lua, &tally).unwrap_or_else(|error| panic!("{name}: {error}"));
        lua.gc_collect().unwrap();
        drop(lua);
        assert!(!weak.is_alive(), "{name}");
        assert_ne!(tally.made(), 0, "{name}");
        assert_eq!(tally.dropped(), tally.made(), "{name}");
    }
}

#[test]
fn what_a_scope_made_ends_with_the_scope() {
    let lua = Lua::new();
    let tally = Tally::default();
    scope(&lua, &tally).unwrap();
    tally.assert_all_dropped();
    assert!(lua
        .load("pcall(scoped)")
        .eval::<(bool, mlua::Value)>()
        .is_ok_and(|(ok, _)| !ok));
}

#[test]
fn an_instance_gives_back_all_memory() {
    let run = |tally: &Tally| {
        let lua = Lua::new();
        for (_, form) in FORMS {
            form(&lua, tally).unwrap();
        }
    };
    let tally = Tally::default();
    run(&tally);
    let before = bytes_in_use();
    run(&tally);
    assert_eq!(bytes_in_use(), before);
}

#[test]
fn a_thousand_instances_leave_memory_flat() {
    let tally = Tally::default();
    let mut after_some = 0;
    for round in 0..1000 {
        let lua = Lua::new();
        for (_, form) in FORMS {
            form(&lua, &tally).unwrap();
        }
        drop(lua);
        assert_eq!(tally.dropped(), tally.made());
        if round == 9 {
            after_some = bytes_in_use();
        }
    }
    assert_eq!(bytes_in_use(), after_some);
}

#[test]
fn a_thousand_instances_survived_by_their_handles() {
    let tally = Tally::default();
    let before = bytes_in_use();
    let mut handles: Vec<(OwnedFunction, OwnedAnyUserData)> = Vec::with_capacity(1000);
    for _ in 0..1000 {
        let lua = Lua::new();
        userdata_in_a_global(&lua, &tally).unwrap();
        let callback: Function = lua.load("function() return button end").eval().unwrap();
        let button: AnyUserData = lua.globals().get("button").unwrap();
        handles.push((callback.into_owned(), button.into_owned()));
    }
    assert_eq!(tally.made(), 1000);
    tally.assert_all_dropped();
    assert!(handles
        .iter()
        .all(|(callback, button)| !callback.is_alive() && !button.is_alive()));
    // Their blocks stay, not what the instances had.
    let each = (bytes_in_use() - before) / 1000;
    assert!(each < 4096, "{each} bytes for a dead instance");
    drop(handles);
    assert_eq!(bytes_in_use(), before);
}

#[test]
fn a_thousand_instances_open_at_once() {
    let tally = Tally::default();
    let all: Vec<(Lua, OwnedTable)> = (0..1000)
        .map(|_| {
            let lua = Lua::new();
            userdata_in_a_global(&lua, &tally).unwrap();
            let globals = lua.globals().into_owned();
            (lua, globals)
        })
        .collect();
    for (lua, globals) in &all {
        let button: AnyUserData = globals.upgrade_in(lua).unwrap().get("button").unwrap();
        assert!(button.is::<Button>());
    }
    assert_eq!(tally.dropped(), 0);
    drop(all);
    tally.assert_all_dropped();
}
