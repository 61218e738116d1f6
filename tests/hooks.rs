//! Hooks, and looking at the stack.
#![cfg(not(feature = "luau"))]

use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

use mlua::{Debug, DebugEvent, Error, HookTriggers, Lua, Result, Thread};

type Log<T> = Arc<Mutex<Vec<T>>>;

fn log<T>() -> Log<T> {
    Arc::new(Mutex::new(Vec::new()))
}

fn take<T>(log: &Log<T>) -> Vec<T> {
    std::mem::take(&mut log.lock().unwrap())
}

fn log_lines(log: &Log<i32>) -> impl Fn(&Lua, Debug<'_>) -> Result<()> {
    let log = log.clone();
    move |_, debug| {
        assert_eq!(debug.event(), DebugEvent::Line);
        log.lock().unwrap().push(debug.curr_line());
        Ok(())
    }
}

#[test]
fn every_line() -> Result<()> {
    let (lua, lines) = (Lua::new(), log());
    lua.set_hook(HookTriggers::EVERY_LINE, log_lines(&lines));
    lua.load("local a = 1\nlocal function f(x)\n return x end\nreturn f(a)")
        .exec()?;
    assert_eq!(take(&lines), [1, 3, 4, 3]);
    lua.remove_hook();
    lua.load("local a = 1").exec()?;
    assert_eq!(take(&lines), []);
    Ok(())
}

#[test]
fn calls_and_returns_tell_who() -> Result<()> {
    let (lua, events) = (Lua::new(), log());
    let sink = events.clone();
    lua.set_hook(
        HookTriggers::ON_CALLS | HookTriggers::ON_RETURNS,
        move |_, debug| {
            let (names, source) = (debug.names(), debug.source());
            sink.lock().unwrap().push(format!(
                "{:?} {:?} {:?} {} {:?}",
                debug.event(),
                names.name,
                names.name_what,
                source.what,
                source.short_src
            ));
            Ok(())
        },
    );
    lua.load("local function f() return 1 end\nstring.len('x') return f()")
        .set_name("@c.lua")
        .exec()?;
    lua.remove_hook();
    let events = take(&events);
    // Where the code runs protected, the C function that does is the first.
    let first = events.iter().position(|event| event.contains("main"));
    let events = &events[first.unwrap()..];
    assert_eq!(events[0], r#"Call None None main Some("c.lua")"#);
    if cfg!(feature = "luajit") {
        // A part of its library is written in Lua.
        assert!(events[1].starts_with(r#"Call Some("len") Some("field") "#));
        return Ok(());
    }
    assert_eq!(events[1], r#"Call Some("len") Some("field") C Some("[C]")"#);
    assert_eq!(events[2], r#"Ret Some("len") Some("field") C Some("[C]")"#);
    if cfg!(lua_ge_52) {
        assert_eq!(events[3], r#"TailCall None None Lua Some("c.lua")"#);
        assert_eq!(events[4], r#"Ret None None Lua Some("c.lua")"#);
    }
    Ok(())
}

/// An instance that compiles nothing, since compiled code calls no hooks.
fn interpreted() -> Lua {
    let lua = Lua::new();
    if cfg!(feature = "luajit") {
        lua.load("jit.off()").exec().unwrap();
    }
    lua
}

#[test]
fn an_error_in_a_hook_is_raised_in_the_program() {
    let lua = interpreted();
    lua.set_hook(
        HookTriggers::new().every_nth_instruction(100),
        |_, debug| Err(Error::runtime(format!("stop {:?}", debug.event()))),
    );
    match lua.load("while true do end").set_name("=loop").exec() {
        Err(Error::CallbackError { traceback, cause }) => {
            assert_eq!(cause.to_string(), "runtime error: stop Count");
            assert!(traceback.contains("loop:1: in main chunk"), "{traceback}");
        }
        other => panic!("{other:?}"),
    }
    lua.load("local ok = pcall(function() while true do end end); assert(not ok)")
        .exec()
        .ok();
}

#[test]
fn an_error_in_a_hook_leaves_captured_locals_alone() -> Result<()> {
    let lua = interpreted();
    lua.set_hook(HookTriggers::new().every_nth_instruction(500), |lua, _| {
        lua.remove_hook();
        Err(Error::runtime("stop"))
    });
    let code = r#"
        local get, closed
        local ok = pcall(function()
            local a, b, c = "a", "b", "c"
            local d <close> = setmetatable({}, { __close = function() closed = a .. b .. c end })
            get = function() return a .. b .. c end
            while true do end
        end)
        assert(not ok and get() == "abc" and closed == "abc")
    "#;
    let code = if cfg!(lua_ge_54) {
        code.to_owned()
    } else {
        code.replace("local d <close> =", "closed = 'abc' local _ =")
    };
    lua.load(code).exec()
}

#[test]
fn a_panic_in_a_hook_goes_on_in_rust() {
    let lua = Lua::new();
    lua.set_hook(HookTriggers::EVERY_LINE, |_, _| panic!("in a hook"));
    let outcome = catch_unwind(AssertUnwindSafe(|| lua.load("local a = 1").exec()));
    assert_eq!(
        outcome.unwrap_err().downcast_ref::<&str>(),
        Some(&"in a hook")
    );
    lua.remove_hook();
    lua.load("local a = 1").exec().unwrap();
}

struct OnDrop(Log<&'static str>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("dropped");
    }
}

#[test]
fn a_hook_may_remove_or_replace_itself_and_run_code() -> Result<()> {
    for replace in [false, true] {
        let (lua, events) = (Lua::new(), log());
        let guard = OnDrop(events.clone());
        lua.set_hook(HookTriggers::EVERY_LINE, move |lua, _| {
            if replace {
                lua.set_hook(HookTriggers::new(), |_, _| Ok(()));
            } else {
                lua.remove_hook();
            }
            lua.load("local a = 1\nlocal b = 2").exec()?;
            guard.0.lock().unwrap().push("ran");
            Ok(())
        });
        lua.load("local a = 1\nlocal b = 2").exec()?;
        assert_eq!(take(&events), ["ran", "dropped"]);
    }
    Ok(())
}

#[test]
fn no_trigger_no_call() -> Result<()> {
    let lua = Lua::new();
    lua.set_hook(HookTriggers::new(), |_, _| panic!("called"));
    lua.load("local a = 1").exec()?;
    lua.set_hook(HookTriggers::new().every_nth_instruction(0), |_, _| {
        panic!("called")
    });
    lua.load("local a = 1").exec()
}

fn coroutine<'lua>(lua: &'lua Lua, code: &str) -> Result<Thread<'lua>> {
    lua.load("return coroutine.create((loadstring or load)(...))")
        .call(code)
}

#[test]
fn a_hook_is_for_one_thread() -> Result<()> {
    let (lua, lines) = (Lua::new(), log());
    let code = "local a = 1\nlocal b = 2";
    let thread = coroutine(&lua, code)?;
    thread.set_hook(HookTriggers::EVERY_LINE, log_lines(&lines));
    lua.load(code).exec()?;
    assert_eq!(take(&lines), []);
    lua.load("coroutine.resume(...)").call::<_, ()>(thread)?;
    assert_eq!(take(&lines), [1, 2]);

    lua.set_hook(HookTriggers::EVERY_LINE, log_lines(&lines));
    let thread = coroutine(&lua, "local a = 1\n\n\nlocal b = 2")?;
    take(&lines);
    lua.load("coroutine.resume(...)").call::<_, ()>(thread)?;
    assert_eq!(take(&lines), [1]);
    Ok(())
}

#[test]
fn triggers_add_up() {
    let mut triggers = HookTriggers::ON_CALLS | HookTriggers::new().every_nth_instruction(3);
    triggers |= HookTriggers::new().every_nth_instruction(5).every_line();
    assert!(triggers.on_calls && !triggers.on_returns && triggers.every_line);
    assert_eq!(triggers.every_nth_instruction, Some(3));
}

#[test]
fn the_stack_is_inspected_level_by_level() -> Result<()> {
    let lua = Lua::new();
    assert!(lua.inspect_stack(0).is_none());
    let inspect = lua.create_function(|lua, ()| {
        let own = lua.inspect_stack(0).unwrap();
        assert_eq!((own.source().what, own.curr_line()), ("C", -1));
        assert_eq!(own.event(), DebugEvent::Call);
        let caller = lua.inspect_stack(1).unwrap();
        assert_eq!(caller.names().name.as_deref(), Some("g"));
        assert_eq!(caller.names().name_what, Some("local"));
        assert_eq!(caller.curr_line(), 3);
        assert!(!caller.is_tail_call());
        let source = caller.source();
        assert_eq!(source.source.as_deref(), Some("@x.lua"));
        assert_eq!(source.short_src.as_deref(), Some("x.lua"));
        assert_eq!(
            (source.line_defined, source.last_line_defined),
            (Some(2), Some(4))
        );
        let stack = caller.stack();
        assert_eq!(stack.num_ups, 1);
        #[cfg(lua_ge_52)]
        assert_eq!((stack.num_params, stack.is_vararg), (2, false));
        assert!(lua.inspect_stack(2).is_some() && lua.inspect_stack(3).is_none());
        assert!(lua.inspect_stack(usize::MAX).is_none());
        Ok(())
    })?;
    lua.load("local f = ...\nlocal function g(a, b)\n f()\n end\ng()")
        .set_name("@x.lua")
        .call(inspect)
}

thread_local! {
    static KEPT: RefCell<Option<Debug<'static>>> = const { RefCell::new(None) };
}

#[test]
fn what_was_inspected_stays_true_after_the_function_has_returned() -> Result<()> {
    let lua: &'static Lua = Lua::new().into_static();
    let keep = lua.create_function(|lua, ()| {
        KEPT.set(lua.inspect_stack(1));
        Ok(())
    })?;
    lua.load("\nlocal keep = ... keep()")
        .set_name("@gone.lua")
        .call::<_, ()>(keep)?;
    lua.gc_collect()?;
    let debug = KEPT.take().unwrap();
    assert_eq!(debug.curr_line(), 2);
    assert_eq!(debug.source().source.as_deref(), Some("@gone.lua"));
    assert_eq!(debug.source().short_src.as_deref(), Some("gone.lua"));
    drop(debug);
    // SAFETY: nothing borrows from it any more.
    drop(unsafe { Lua::from_static(lua) });
    Ok(())
}
