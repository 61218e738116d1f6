//! Functions: calling them, making them, and what is known about them.

use std::ffi::c_int;

use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value, Variadic};

#[test]
fn a_call_passes_arguments_and_returns_results() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua
        .load("function(...) return select('#', ...), ... end")
        .eval()?;
    assert_eq!(f.call::<_, i64>(())?, 0);
    assert_eq!(f.call::<_, (i64, i64)>(7)?, (1, 7));
    assert_eq!(f.call::<_, (i64, i64, i64, i64)>((1, 2, 3))?, (3, 1, 2, 3));
    f.call::<_, ()>((1, 2))?;
    Ok(())
}

#[test]
fn missing_results_are_nil_and_excess_ones_ignored() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function(...) return ... end").eval()?;
    assert_eq!(f.call::<_, (Option<i64>, Option<i64>)>(1)?, (Some(1), None));
    assert_eq!(f.call::<_, i64>((1, 2, 3))?, 1);
    type Six = (
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
        Option<i64>,
    );
    assert_eq!(
        f.call::<_, (Option<i64>, Six)>(())?,
        (None, (None, None, None, None, None, None))
    );
    Ok(())
}

#[test]
fn a_result_that_does_not_convert_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function() return 1, {}, 3 end").eval()?;
    let result = f.call::<_, (i64, i64, i64)>(());
    assert!(
        matches!(result, Err(Error::FromLuaConversionError { .. })),
        "{result:?}"
    );
    Ok(())
}

#[test]
fn hundreds_of_thousands_of_arguments_and_results_pass() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function(...) return ... end").eval()?;
    let n = if cfg!(lua_ge_52) { 300_000 } else { 7_000 };
    let many: Variadic<i64> = (0..n).collect();
    assert_eq!(f.call::<_, Variadic<i64>>(many)?.len(), n as usize);
    Ok(())
}

#[test]
fn more_arguments_than_lua_has_room_for_are_an_error() -> Result<()> {
    let lua = Lua::new();
    let count = lua.create_function(|_, args: Variadic<Value>| Ok(args.len()))?;
    let too_many: Variadic<i64> = (0..1_100_000).collect();
    assert!(matches!(
        count.call::<_, ()>(too_many),
        Err(Error::StackError)
    ));
    assert_eq!(count.call::<_, usize>((1, 2))?, 2);
    Ok(())
}

#[test]
fn a_stack_overflow_in_lua_is_an_error() -> Result<()> {
    let lua = Lua::new();
    let result = lua.load("local function f() return 1 + f() end f()").exec();
    assert!(matches!(result, Err(Error::RuntimeError(_))), "{result:?}");
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    Ok(())
}

#[test]
fn a_recursion_through_rust_ends_in_an_error() -> Result<()> {
    let lua = Lua::new();
    let again = lua.create_function(|_, f: Function| f.call::<_, ()>(&f))?;
    let error = again.call::<_, ()>(&again).unwrap_err();
    let text = error.to_string();
    // Luau has no room left for the message handler.
    assert!(
        text.contains("stack overflow") || text.contains("error in error handling"),
        "{error}"
    );
    assert_eq!(lua.load("1 + 1").eval::<i64>()?, 2);
    Ok(())
}

#[test]
fn a_call_within_a_coroutine_works_and_yields_nowhere() -> Result<()> {
    let lua = Lua::new();
    let call = lua.create_function(|_, (f, arg): (Function, i64)| f.call::<_, i64>(arg))?;
    let script = lua.load(
        r#"
        local call = ...
        local co = coroutine.wrap(function()
            local sum = call(function(x) return x + 1 end, 1)
            coroutine.yield(sum)
            local ok, err = pcall(call, coroutine.yield, 1)
            return ok, tostring(err)
        end)
        return co(), co()
        "#,
    );
    let (sum, ok, text) = script.call::<_, (i64, bool, String)>(call)?;
    assert_eq!((sum, ok), (2, false));
    assert!(
        text.contains(if cfg!(any(feature = "lua51", feature = "luau")) {
            "attempt to yield across metamethod/C-call boundary"
        } else if cfg!(feature = "luajit") {
            "attempt to yield across C-call boundary"
        } else {
            "attempt to yield across a C-call boundary"
        }),
        "{text}"
    );
    Ok(())
}

#[test]
fn an_argument_of_another_instance_is_an_error() -> Result<()> {
    let (lua, other) = (Lua::new(), Lua::new());
    let f: Function = lua.load("function() end").eval()?;
    let foreign: Function = other.load("function() end").eval()?;
    assert!(matches!(
        f.call::<_, ()>(&foreign),
        Err(Error::MismatchedLua)
    ));
    assert!(matches!(
        f.call::<_, ()>((1, &foreign)),
        Err(Error::MismatchedLua)
    ));
    assert!(matches!(f.bind(&foreign), Err(Error::MismatchedLua)));
    assert!(matches!(
        f.set_environment(other.globals()),
        Err(Error::MismatchedLua)
    ));
    assert_ne!(f, foreign);
    Ok(())
}

#[test]
fn a_mutable_callback_keeps_its_state_and_is_not_entered_twice() -> Result<()> {
    let lua = Lua::new();
    let mut sum = 0;
    let add = lua.create_function_mut(move |_, n: i64| {
        sum += n;
        Ok(sum)
    })?;
    assert_eq!(add.call::<_, i64>(1)?, 1);
    assert_eq!(add.call::<_, i64>(2)?, 3);

    let again = lua.create_function_mut(|_, f: Option<Function>| match f {
        Some(f) => f.call::<_, ()>(&f),
        None => Ok(()),
    })?;
    again.call::<_, ()>(())?;
    let error = again.call::<_, ()>(&again).unwrap_err();
    let Error::CallbackError { cause, .. } = error else {
        panic!("{error}")
    };
    let Error::CallbackError { cause, .. } = &*cause else {
        panic!("{cause}")
    };
    assert!(matches!(**cause, Error::RecursiveMutCallback));
    again.call::<_, ()>(())
}

#[test]
fn a_callback_is_dropped_with_its_function() -> Result<()> {
    let lua = Lua::new();
    let alive = std::sync::Arc::new(());
    let captured = alive.clone();
    let f = lua.create_function(move |_, ()| {
        let _ = &captured;
        Ok(())
    })?;
    lua.gc_collect()?;
    assert_eq!(std::sync::Arc::strong_count(&alive), 2);
    drop(f);
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
    Ok(())
}

#[test]
fn a_c_function_is_called() -> Result<()> {
    unsafe extern "C-unwind" fn answer(state: *mut mlua::lua_State) -> c_int {
        // SAFETY: entered by Lua.
        unsafe { mlua::ffi::lua_pushinteger(state, 42) };
        1
    }
    let lua = Lua::new();
    // SAFETY: the function raises nothing and returns what it pushes.
    let f = unsafe { lua.create_c_function(answer)? };
    assert_eq!(f.call::<_, i64>(())?, 42);
    Ok(())
}

#[test]
fn bound_arguments_come_first() -> Result<()> {
    let lua = Lua::new();
    let list: Function = lua
        .load("function(...) return table.concat({...}, ' ') end")
        .eval()?;
    assert_eq!(list.bind(1)?.call::<_, String>(2)?, "1 2");
    assert_eq!(
        list.bind((1, 2))?.call::<_, String>((3, 4, 5))?,
        "1 2 3 4 5"
    );
    assert_eq!(list.bind(1)?.bind(2)?.call::<_, String>(3)?, "1 2 3");
    assert_eq!(list.bind((1, 2))?.call::<_, String>(())?, "1 2");
    Ok(())
}

#[test]
fn nil_is_bound_like_any_value() -> Result<()> {
    let lua = Lua::new();
    let count: Function = lua
        .load("function(...) return select('#', ...) end")
        .eval()?;
    let nothing = count.bind((Value::Nil, Value::Nil))?;
    assert_eq!(nothing.call::<_, i64>(())?, 2);
    assert_eq!(nothing.call::<_, i64>(1)?, 3);
    Ok(())
}

#[test]
fn binding_nothing_is_the_function_itself() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function() end").eval()?;
    assert_eq!(f.bind(())?, f);
    assert_ne!(f.bind(1)?, f);
    Ok(())
}

#[test]
fn up_to_254_arguments_can_be_bound() -> Result<()> {
    let lua = Lua::new();
    let count = lua.create_function(|_, args: Variadic<i64>| Ok(args.len()))?;
    for n in [1, 15, 16, 17, 200, 254] {
        let bound = count.bind((0..n).collect::<Variadic<i64>>())?;
        assert_eq!(bound.call::<_, i64>((1, 2))?, n + 2);
    }
    for n in [255, 256, 1000] {
        let bound = count.bind((0..n).collect::<Variadic<i64>>());
        assert!(matches!(bound, Err(Error::BindError)));
    }
    Ok(())
}

#[test]
fn a_bound_function_can_yield_and_fail() -> Result<()> {
    let lua = Lua::new();
    let yield_: Function = lua
        .load("function(...) return 'then', coroutine.yield(...) end")
        .eval()?;
    let thread = lua.create_thread(yield_.bind(1)?)?;
    assert_eq!(thread.resume::<_, (i64, i64)>(2)?, (1, 2));
    assert_eq!(
        thread.resume::<_, (String, i64)>(3)?,
        ("then".to_owned(), 3)
    );

    let fail: Function = lua.load("error").eval()?;
    let error = fail.bind("no way")?.call::<_, ()>(()).unwrap_err();
    assert!(error.to_string().contains("no way"), "{error}");
    Ok(())
}

#[test]
fn a_wrapped_function_becomes_one_where_it_is_passed() -> Result<()> {
    let lua = Lua::new();
    let call: Function = lua.load("function(f, ...) return f(...) end").eval()?;
    let double = Function::wrap(|_, n: i64| Ok(2 * n));
    assert_eq!(call.call::<_, i64>((double, 21))?, 42);
    let mut calls = 0;
    let count = Function::wrap_mut(move |_, ()| {
        calls += 1;
        Ok(calls)
    });
    let twice: Function = lua.load("function(f) f() return f() end").eval()?;
    assert_eq!(twice.call::<_, i64>(count)?, 2);
    Ok(())
}

#[test]
fn info_tells_where_a_function_was_defined() -> Result<()> {
    let lua = Lua::new();
    let chunk = lua
        .load("function f()\nend\nreturn f")
        .set_name("=here")
        .into_function()?;
    let info = chunk.info();
    let main = if cfg!(feature = "luau") {
        "Lua"
    } else {
        "main"
    };
    assert_eq!((info.name, info.name_what, info.what), (None, None, main));
    assert_eq!(info.source.as_deref(), Some("=here"));
    assert_eq!(info.short_src.as_deref(), Some("here"));
    assert_eq!(
        (info.line_defined, info.last_line_defined),
        match () {
            _ if cfg!(feature = "luau") => (Some(1), None),
            _ if cfg!(feature = "luajit") => (Some(0), Some(3)),
            _ => (Some(0), Some(0)),
        }
    );

    let info = chunk.call::<_, Function>(())?.info();
    assert_eq!(info.what, "Lua");
    assert_eq!(
        (info.line_defined, info.last_line_defined),
        (Some(1), (!cfg!(feature = "luau")).then_some(2))
    );

    let info = lua.create_function(|_, ()| Ok(()))?.info();
    assert_eq!(info.what, "C");
    assert_eq!(info.source.as_deref(), Some("=[C]"));
    assert_eq!(info.short_src.as_deref(), Some("[C]"));
    assert_eq!((info.line_defined, info.last_line_defined), (None, None));
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_long_name_is_shortened_in_short_src() -> Result<()> {
    let lua = Lua::new();
    let info = lua
        .load("")
        .set_name("some long ".repeat(20))
        .into_function()?
        .info();
    assert_eq!(info.source, Some("some long ".repeat(20)));
    assert_eq!(
        info.short_src.as_deref(),
        Some(if cfg!(any(lua_ge_52, feature = "luajit")) {
            "[string \"some long some long some long some long some ...\"]"
        } else {
            "[string \"some long some long some long some long som...\"]"
        })
    );
    Ok(())
}

#[cfg(not(feature = "luau"))]
#[test]
fn a_dumped_function_loads_again() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua.load("function(a, b) return a + b end").eval()?;
    for strip in [false, true] {
        let binary = f.dump(strip);
        let signature: &[u8] = if cfg!(feature = "luajit") {
            b"\x1bLJ"
        } else {
            b"\x1bLua"
        };
        assert!(binary.starts_with(signature));
        assert_eq!(lua.load(&binary).call::<_, i64>((1, 2))?, 3);
    }
    if cfg!(any(
        feature = "lua51",
        feature = "lua52",
        feature = "luajit"
    )) {
        assert_eq!(f.dump(true), f.dump(false));
    } else {
        assert!(f.dump(true).len() < f.dump(false).len());
    }
    assert!(lua.create_function(|_, ()| Ok(()))?.dump(false).is_empty());
    Ok(())
}

#[test]
fn the_environment_of_a_function_is_where_it_finds_globals() -> Result<()> {
    let lua = Lua::new();
    lua.load("x = 1").exec()?;
    let (f, g): (Function, Function) = lua
        .load("return function() return x end, function() return x end")
        .eval()?;
    assert_eq!(f.environment(), Some(lua.globals()));

    let env: Table = lua.load("{ x = 2 }").eval()?;
    assert!(f.set_environment(env.clone())?);
    assert_eq!(f.environment(), Some(env));
    assert_eq!(f.call::<_, i64>(())?, 2);
    // The other one shared the variable, and does not any more.
    assert_eq!(g.call::<_, i64>(())?, 1);
    assert_eq!(g.environment(), Some(lua.globals()));
    Ok(())
}

#[test]
fn an_environment_is_found_among_other_upvalues() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua
        .load("local up = 'up'; return function() return up, x end")
        .eval()?;
    let env: Table = lua.load("{ x = 2 }").eval()?;
    assert!(f.set_environment(env)?);
    assert_eq!(f.call::<_, (String, i64)>(())?, ("up".to_owned(), 2));
    Ok(())
}

#[cfg(lua_ge_52)]
#[test]
fn an_environment_that_is_no_table_can_be_replaced() -> Result<()> {
    let lua = Lua::new();
    let f: Function = lua
        .load("local _ENV = 5; return function() return x end")
        .eval()?;
    assert_eq!(f.environment(), None);
    assert!(f.set_environment(lua.load("{ x = 2 }").eval()?)?);
    assert_eq!(f.call::<_, i64>(())?, 2);
    Ok(())
}

#[test]
fn functions_without_globals_have_no_environment() -> Result<()> {
    let lua = Lua::new();
    let rust = lua.create_function(|_, ()| Ok(()))?;
    let print: Function = lua.load("print").eval()?;
    // Until Lua 5.2 each function of Lua's has one.
    #[cfg(lua_ge_52)]
    let pure: Function = lua
        .load("local up = {}; return function() return up end")
        .eval()?;
    for f in [
        rust,
        print,
        #[cfg(lua_ge_52)]
        pure,
    ] {
        assert_eq!(f.environment(), None);
        assert!(!f.set_environment(lua.globals())?);
    }
    Ok(())
}

#[test]
fn equality_is_identity() -> Result<()> {
    let lua = Lua::new();
    let (f, same, other): (Function, Function, Function) = lua
        .load(
            "local up; local function f() return up end; return f, f, function() return up, up end",
        )
        .eval()?;
    assert_eq!(f, same);
    assert_eq!(f.clone(), f);
    assert_ne!(f, other);
    assert_eq!(f.to_pointer(), same.to_pointer());
    assert_ne!(f.to_pointer(), other.to_pointer());
    assert_eq!(
        format!("{f:?}"),
        format!("Function(Ref({:p}))", f.to_pointer())
    );
    Ok(())
}

#[test]
fn the_stack_is_balanced_after_many_failing_calls() -> Result<()> {
    let lua = Lua::new();
    let fail: Function = lua.load("function(...) error('no') end").eval()?;
    let nothing = lua.create_function(|_, _: MultiValue| Ok(()))?;
    for _ in 0..20_000 {
        assert!(fail.call::<_, ()>((1, 2, 3)).is_err());
        nothing.call::<_, ()>((1, 2, 3))?;
    }
    Ok(())
}

#[test]
fn functions_that_capture_nothing_are_told_apart() -> Result<()> {
    let lua = Lua::new();
    fn double(_: &Lua, n: i64) -> Result<i64> {
        Ok(2 * n)
    }
    let double = lua.create_function(double)?;
    let negate = lua.create_function(|_, n: i64| Ok(-n))?;
    assert_ne!(double, negate);
    assert_eq!(double.call::<_, i64>(3)?, 6);
    assert_eq!(negate.call::<_, i64>(3)?, -3);
    Ok(())
}

#[test]
fn a_value_of_no_size_is_dropped_with_its_function() -> Result<()> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Token;
    impl Drop for Token {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let lua = Lua::new();
    let token = Token;
    let f = lua.create_function(move |_, ()| {
        let _ = &token;
        Ok(())
    })?;
    f.call::<_, ()>(())?;
    assert_eq!(DROPS.load(Ordering::Relaxed), 0);
    drop(f);
    drop(lua);
    assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    Ok(())
}

/// Makes a function that counts its calls in what it has captured, beginning at `start`.
fn counter(lua: &Lua, start: u64) -> Result<Function<'_>> {
    let count = std::cell::Cell::new(start);
    lua.create_function(move |_, inner: Option<Function>| {
        count.set(count.get() + 1);
        let here = &count as *const _ as usize;
        if let Some(inner) = inner {
            // The same function, which changes and sees the same cell.
            let (n, there): (u64, usize) = inner.call(())?;
            assert_eq!((n, there), (count.get(), here));
        }
        Ok((count.get(), here))
    })
}

#[test]
fn what_a_closure_has_captured_stays_where_it_is_and_changes_there() -> Result<()> {
    let lua = Lua::new();
    let (a, b) = (counter(&lua, 0)?, counter(&lua, 1_000_000)?);
    let (_, a_place): (u64, usize) = a.call(())?;
    let (_, b_place): (u64, usize) = b.call(())?;
    assert_ne!(a_place, b_place);
    for round in 1..50 {
        // The outer call and the inner one.
        assert_eq!(a.call::<_, (u64, usize)>(&a)?, (2 * round + 1, a_place));
        let n = 1_000_001 + round;
        assert_eq!(b.call::<_, (u64, usize)>(())?, (n, b_place));
        lua.gc_collect()?;
        let _garbage: Vec<Table> = (0..100)
            .map(|_| lua.create_table())
            .collect::<Result<_>>()?;
    }
    Ok(())
}

/// A hundred functions that have captured one value each, and nothing else.
fn captures<T: Copy + std::fmt::Debug + Send + 'static>(values: [T; 2]) {
    let lua = Lua::new();
    let make = |n: usize| {
        let value = values[n % 2];
        let show = move |_: &Lua, ()| {
            assert!((&value as *const T).is_aligned());
            Ok(format!("{value:?}"))
        };
        assert_eq!(std::mem::size_of_val(&show), std::mem::size_of::<T>());
        lua.create_function(show).unwrap()
    };
    let functions: Vec<Function> = (0..100).map(make).collect();
    lua.gc_collect().unwrap();
    for (n, f) in functions.iter().enumerate() {
        let shown: String = f.call(()).unwrap();
        assert_eq!(shown, format!("{:?}", values[n % 2]));
    }
}

#[test]
fn captured_values_of_any_size_and_alignment_are_found() {
    #[derive(Clone, Copy, Debug)]
    #[repr(align(64))]
    #[allow(dead_code)]
    struct Aligned(u8);
    captures([1_u8, 255]);
    captures([[1_u8; 3], [2; 3]]);
    captures([[1_u8; 7], [2; 7]]);
    captures([[1_u8; 8], [2; 8]]);
    captures([[1_u8; 9], [2; 9]]);
    captures([1.5_f64, f64::MIN]);
    captures(["one", "two"]);
    captures([Some(std::num::NonZeroU64::MIN), None]);
    captures([1_u128, u128::MAX]);
    captures([Aligned(1), Aligned(2)]);
}

#[test]
fn a_finalizer_that_runs_while_the_instance_closes_calls_what_needs_no_drop() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SEEN: AtomicU64 = AtomicU64::new(0);
    if cfg!(feature = "luau") {
        return;
    }
    let lua = Lua::new();
    let number = 41_u64;
    let see = lua
        .create_function(move |_, n: u64| {
            SEEN.fetch_add(number + n, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
    let finalize = "local see = ... \
        local gc = function() see(1) end \
        if newproxy then keep = newproxy(true) getmetatable(keep).__gc = gc \
        else keep = setmetatable({}, { __gc = gc }) end";
    lua.load(finalize).call::<_, ()>(see).unwrap();
    drop(lua);
    assert_eq!(SEEN.load(Ordering::Relaxed), 42);
}

#[cfg(all(feature = "lua54", target_pointer_width = "64"))]
#[test]
fn a_closure_over_a_number_takes_no_memory_of_its_own_beside_the_function() -> Result<()> {
    let lua = Lua::new();
    lua.gc_stop();
    let mut takes = [0; 2];
    for takes in &mut takes {
        let before = lua.used_memory();
        let _functions: Vec<Function> = (0..100_u64)
            .map(|n| lua.create_function(move |_, ()| Ok(n)))
            .collect::<Result<_>>()?;
        *takes = lua.used_memory() - before;
    }
    // The second time there are slots. A function has a header of 32 bytes and three upvalues of 16; a userdata would take 64.
    assert_eq!(takes[1], 100 * 80);
    Ok(())
}
