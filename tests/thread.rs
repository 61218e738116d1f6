//! Coroutines.

use std::panic::{catch_unwind, AssertUnwindSafe};

use mlua::{Error, Function, Lua, Result, Thread, ThreadStatus, Variadic};

fn counter(lua: &Lua) -> Result<Function<'_>> {
    lua.load("local a = ...; local b = coroutine.yield(a + 1); return b * 2")
        .set_name("=co")
        .into_function()
}

#[test]
fn a_coroutine_goes_on_where_it_yielded() -> Result<()> {
    let lua = Lua::new();
    let thread = lua.create_thread(counter(&lua)?)?;
    assert_eq!(thread.status(), ThreadStatus::Resumable);
    assert_eq!(thread.resume::<_, i64>(1)?, 2);
    assert_eq!(thread.status(), ThreadStatus::Resumable);
    assert_eq!(thread.resume::<_, i64>(5)?, 10);
    assert_eq!(thread.status(), ThreadStatus::Unresumable);
    assert!(matches!(
        thread.resume::<_, ()>(5),
        Err(Error::CoroutineInactive)
    ));
    assert_eq!(thread.status(), ThreadStatus::Unresumable);
    Ok(())
}

#[test]
fn any_number_of_values_passes_both_ways() -> Result<()> {
    let lua = Lua::new();
    let yield_: Function = lua.load("coroutine.yield").eval()?;
    let thread = lua.create_thread(yield_.clone())?;
    assert_eq!(thread.resume::<_, (i64, i64)>((1, 2))?, (1, 2));
    assert_eq!(thread.resume::<_, Variadic<i64>>(3)?.len(), 1);

    let echo: Function = lua
        .load("function(...) while true do coroutine.yield(...) end end")
        .eval()?;
    let thread = lua.create_thread(echo)?;
    let n = if cfg!(lua_ge_52) { 200_000 } else { 7_000 };
    let many: Variadic<i64> = (0..n).collect();
    assert_eq!(thread.resume::<_, Variadic<i64>>(many)?.len(), n as usize);
    thread.resume::<_, ()>(())?;
    assert_eq!(
        thread.resume::<_, (i64, i64, Option<i64>)>(())?,
        (0, 1, Some(2))
    );
    Ok(())
}

#[test]
fn more_arguments_than_a_coroutine_has_room_for_are_an_error() -> Result<()> {
    let lua = Lua::new();
    let thread = lua.create_thread(counter(&lua)?)?;
    let too_many: Variadic<i64> = (0..1_100_000).collect();
    assert!(matches!(
        thread.resume::<_, ()>(too_many),
        Err(Error::StackError)
    ));
    assert_eq!(thread.resume::<_, i64>(1)?, 2);
    Ok(())
}

#[test]
fn a_result_that_does_not_convert_leaves_the_coroutine_resumable() -> Result<()> {
    let lua = Lua::new();
    let thread = lua.create_thread(counter(&lua)?)?;
    let result = thread.resume::<_, mlua::Table>(1);
    assert!(matches!(result, Err(Error::FromLuaConversionError { .. })));
    assert_eq!(thread.resume::<_, i64>(5)?, 10);
    Ok(())
}

#[test]
fn a_rust_function_can_be_a_coroutine() -> Result<()> {
    let lua = Lua::new();
    let thread = lua.create_thread(lua.create_function(|_, n: i64| Ok(n + 1))?)?;
    assert_eq!(thread.resume::<_, i64>(1)?, 2);
    assert_eq!(thread.status(), ThreadStatus::Unresumable);
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn an_error_ends_the_coroutine_and_comes_with_its_traceback() -> Result<()> {
    let lua = Lua::new();
    let fail = lua
        .load("local function inner() error('boom') end; coroutine.yield(); inner()")
        .set_name("=co")
        .into_function()?;
    let thread = lua.create_thread(fail)?;
    thread.resume::<_, ()>(())?;
    let Err(Error::RuntimeError(text)) = thread.resume::<_, ()>(()) else {
        panic!("no error")
    };
    // Lua 5.2 calls them all functions.
    let local = if cfg!(feature = "lua52") {
        "function"
    } else {
        "local"
    };
    assert_eq!(
        text,
        format!("co:1: boom\nstack traceback:\n\t[C]: in function 'error'\n\tco:1: in {local} 'inner'\n\tco:1: in main chunk")
    );
    assert_eq!(thread.status(), ThreadStatus::Error);
    assert!(matches!(
        thread.resume::<_, ()>(()),
        Err(Error::CoroutineInactive)
    ));
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn an_error_object_that_is_no_string_becomes_text() -> Result<()> {
    let lua = Lua::new();
    for (code, text) in [
        #[cfg(not(feature = "lua55"))]
        ("error()", "nil"),
        #[cfg(feature = "lua55")]
        ("error()", "<no error object>"),
        // Until Lua 5.2 a number is text enough to be given a position.
        (
            "error(12)",
            if cfg!(not(any(lua_ge_53, feature = "luau"))) {
                "co:1: 12"
            } else {
                "12"
            },
        ),
        (
            "error(setmetatable({}, {__tostring = function() return 'TS' end}))",
            "TS",
        ),
    ] {
        let thread = lua.create_thread(lua.load(code).set_name("=co").into_function()?)?;
        let Err(Error::RuntimeError(message)) = thread.resume::<_, ()>(()) else {
            panic!("no error")
        };
        let expected =
            format!("{text}\nstack traceback:\n\t[C]: in function 'error'\n\tco:1: in main chunk");
        assert_eq!(message, expected);
    }
    Ok(())
}

#[test]
fn a_tostring_that_fails_is_an_error_too() -> Result<()> {
    let lua = Lua::new();
    let code = "error(setmetatable({}, {__tostring = function() error('worse') end}))";
    let thread = lua.create_thread(lua.load(code).into_function()?)?;
    let error = thread.resume::<_, ()>(()).unwrap_err();
    assert!(error.to_string().contains("worse"), "{error}");
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn an_error_of_a_callback_comes_back_as_it_is() -> Result<()> {
    let lua = Lua::new();
    let fail = lua.create_function(|_, ()| -> Result<()> { Err(Error::runtime("rust error")) })?;
    let thread = lua.create_thread(lua.load("(...)()").set_name("=co").into_function()?)?;
    let Err(Error::CallbackError { traceback, cause }) = thread.resume::<_, ()>(fail) else {
        panic!("no error")
    };
    assert!(
        traceback.ends_with("\n\tco:1: in main chunk"),
        "{traceback}"
    );
    assert!(matches!(&*cause, Error::RuntimeError(text) if text == "rust error"));
    assert_eq!(thread.status(), ThreadStatus::Error);
    Ok(())
}

#[test]
fn a_panic_goes_through_a_coroutine() -> Result<()> {
    let lua = Lua::new();
    let panic = lua.create_function(|_, ()| -> Result<()> { panic!("through a coroutine") })?;
    let thread = lua.create_thread(panic)?;
    let payload = catch_unwind(AssertUnwindSafe(|| thread.resume::<_, ()>(()))).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"through a coroutine"));
    assert_eq!(thread.status(), ThreadStatus::Error);
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    Ok(())
}

#[test]
fn a_stack_overflow_in_a_coroutine_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let overflow = lua
        .load("local function f() return 1 + f() end return f()")
        .into_function()?;
    let thread = lua.create_thread(overflow)?;
    let error = thread.resume::<_, ()>(()).unwrap_err();
    assert!(error.to_string().contains("stack overflow"), "{error}");
    assert_eq!(thread.status(), ThreadStatus::Error);
    Ok(())
}

#[test]
fn coroutines_within_coroutines_end_in_an_error_not_in_a_crash() -> Result<()> {
    let lua = Lua::new();
    let nest =
        lua.create_function(|lua, f: Function| lua.create_thread(f.clone())?.resume::<_, ()>(f))?;
    let error = nest.call::<_, ()>(&nest).unwrap_err();
    assert!(error.to_string().contains("C stack overflow"), "{error}");
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    Ok(())
}

#[cfg(any(lua_ge_54, feature = "luau"))]
#[test]
fn a_reset_coroutine_begins_anew() -> Result<()> {
    let lua = Lua::new();
    let f = counter(&lua)?;
    let thread = lua.create_thread(f.clone())?;
    // Fresh, suspended, finished.
    thread.reset(f.clone())?;
    assert_eq!(thread.resume::<_, i64>(1)?, 2);
    thread.reset(f.clone())?;
    assert_eq!(thread.resume::<_, i64>(10)?, 11);
    thread.resume::<_, ()>(1)?;
    thread.reset(f)?;
    assert_eq!(thread.resume::<_, i64>(20)?, 21);
    Ok(())
}

#[cfg(lua_ge_54)]
#[test]
fn a_reset_returns_the_error_that_had_ended_the_coroutine() -> Result<()> {
    let lua = Lua::new();
    let fail = lua.load("error('boom')").set_name("=co").into_function()?;
    let thread = lua.create_thread(fail)?;
    assert!(thread.resume::<_, ()>(()).is_err());
    let Err(Error::RuntimeError(text)) = thread.reset(counter(&lua)?) else {
        panic!("no error")
    };
    assert_eq!(text, "co:1: boom");
    assert_eq!(thread.status(), ThreadStatus::Unresumable);
    assert!(matches!(
        thread.resume::<_, ()>(()),
        Err(Error::CoroutineInactive)
    ));
    thread.reset(counter(&lua)?)?;
    assert_eq!(thread.resume::<_, i64>(1)?, 2);
    Ok(())
}

#[cfg(lua_ge_54)]
#[test]
fn a_reset_closes_variables() -> Result<()> {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::Arc;

    let lua = Lua::new();
    let make: Function = lua
        .load(
            r#"
            function(closed)
                return function()
                    local x <close> = setmetatable({}, { __close = closed })
                    coroutine.yield()
                end
            end
            "#,
        )
        .eval()?;
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let closed = lua.create_function(move |_, ()| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    })?;
    let thread = lua.create_thread(make.call(closed)?)?;
    thread.resume::<_, ()>(())?;
    thread.reset(counter(&lua)?)?;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(thread.resume::<_, i64>(1)?, 2);

    let fail: Function = lua.load("function() error('in close', 0) end").eval()?;
    let thread = lua.create_thread(make.call(fail)?)?;
    thread.resume::<_, ()>(())?;
    let result = thread.reset(counter(&lua)?);
    assert!(
        matches!(&result, Err(Error::RuntimeError(text)) if text == "in close"),
        "{result:?}"
    );
    assert_eq!(thread.status(), ThreadStatus::Unresumable);
    Ok(())
}

#[cfg(any(lua_ge_54, feature = "luau"))]
#[test]
fn a_running_coroutine_is_neither_resumed_nor_reset() -> Result<()> {
    let lua = Lua::new();
    let check = lua.create_function(|lua, thread: Thread| {
        assert_eq!(thread.status(), ThreadStatus::Unresumable);
        assert!(matches!(
            thread.resume::<_, ()>(()),
            Err(Error::CoroutineInactive)
        ));
        let Err(Error::RuntimeError(text)) = thread.reset(lua.load("").into_function()?) else {
            panic!("no error")
        };
        assert_eq!(text, "cannot reset a running thread");
        assert_eq!(lua.current_thread().status(), ThreadStatus::Unresumable);
        Ok(())
    })?;

    // The main one, from outside.
    check.call::<_, ()>(lua.current_thread())?;
    // Itself.
    let itself = lua.load("(...)(coroutine.running())").into_function()?;
    lua.create_thread(itself)?.resume::<_, ()>(&check)?;
    // One that has resumed another; and the main one, from within a coroutine.
    let other = lua.load("local check, co = ...; local inner = coroutine.wrap(check); inner(co or coroutine.running())");
    let other = other.into_function()?;
    let thread = lua.create_thread(other.clone())?;
    thread.resume::<_, ()>(&check)?;
    let thread = lua.create_thread(other)?;
    thread.resume::<_, ()>((&check, lua.current_thread()))
}

#[test]
fn a_conversion_of_arguments_may_use_the_coroutine_itself() -> Result<()> {
    struct Resumes<'lua>(Thread<'lua>);
    impl<'lua> mlua::IntoLua<'lua> for Resumes<'lua> {
        fn into_lua(self, _: &'lua Lua) -> Result<mlua::Value<'lua>> {
            self.0.resume::<_, i64>(1)?;
            self.0.resume::<_, i64>(1)?;
            Ok(mlua::Nil)
        }
    }
    let lua = Lua::new();
    let thread = lua.create_thread(counter(&lua)?)?;
    let result = thread.resume::<_, ()>(Resumes(thread.clone()));
    assert!(
        matches!(result, Err(Error::CoroutineInactive)),
        "{result:?}"
    );
    Ok(())
}

#[test]
fn callbacks_see_the_coroutine_that_runs_them() -> Result<()> {
    let lua = Lua::new();
    let main = lua.current_thread();
    let check = lua.create_function(move |lua, thread: Thread| {
        assert_eq!(lua.current_thread(), thread);
        Ok(())
    })?;
    let script = lua.load("local check = ...; check(coroutine.running()) coroutine.yield() check(coroutine.running())");
    let thread = lua.create_thread(script.into_function()?)?;
    thread.resume::<_, ()>(&check)?;
    assert_eq!(lua.current_thread(), main);
    thread.resume::<_, ()>(&check)?;
    assert_eq!(lua.current_thread(), main);
    check.call::<_, ()>(&main)
}

#[test]
fn the_running_coroutine_is_right_after_a_yield_and_after_an_error() -> Result<()> {
    let lua = Lua::new();
    let driver = lua.create_function(|lua, f: Function| {
        let outer = lua.current_thread();
        let inner = lua.create_thread(f)?;
        inner.resume::<_, ()>(())?;
        assert_eq!(lua.current_thread(), outer);
        assert!(inner.resume::<_, ()>(()).is_err());
        assert_eq!(lua.current_thread(), outer);
        Ok(())
    })?;
    let script = lua
        .load("(...)(function() coroutine.yield() error('x') end)")
        .into_function()?;
    let thread = lua.create_thread(script)?;
    thread.resume::<_, ()>(driver)
}

#[test]
fn a_function_of_another_instance_makes_no_coroutine() -> Result<()> {
    let (lua, other) = (Lua::new(), Lua::new());
    assert!(matches!(
        lua.create_thread(counter(&other)?),
        Err(Error::MismatchedLua)
    ));
    let thread = lua.create_thread(counter(&lua)?)?;
    assert!(matches!(
        thread.resume::<_, ()>(counter(&other)?),
        Err(Error::MismatchedLua)
    ));
    assert_eq!(thread.resume::<_, i64>(1)?, 2);
    Ok(())
}

#[test]
fn equality_is_identity() -> Result<()> {
    let lua = Lua::new();
    let thread = lua.create_thread(counter(&lua)?)?;
    assert_eq!(thread, thread.clone());
    assert_ne!(thread, lua.current_thread());
    assert_eq!(thread.to_pointer(), thread.clone().to_pointer());
    assert!(format!("{thread:?}").starts_with("Thread(Ref(0x"));
    Ok(())
}

#[test]
fn the_stack_is_balanced_after_many_failing_resumes() -> Result<()> {
    let lua = Lua::new();
    let fail: Function = lua
        .load("function() coroutine.yield(1, 2, 3) error('x') end")
        .eval()?;
    for _ in 0..10_000 {
        let thread = lua.create_thread(fail.clone())?;
        thread.resume::<_, ()>((1, 2, 3))?;
        assert!(thread.resume::<_, ()>((1, 2, 3)).is_err());
        assert!(thread.resume::<_, ()>((1, 2, 3)).is_err());
    }
    Ok(())
}
