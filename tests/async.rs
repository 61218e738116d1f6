//! Async functions, coroutines as futures and streams.
#![cfg(feature = "async")]

use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::join_all;
use futures::stream::{StreamExt, TryStreamExt};
use mlua::{
    AnyUserDataExt, AsyncThread, Error, Function, Lua, LuaOptions, MultiValue, Result, StdLib,
    Table, TableExt, Thread, ThreadStatus, UserData, UserDataMethods, Value, Variadic,
};

/// Pending once.
async fn pause() {
    let mut done = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut done, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// An instance with the functions `pause(...)`, which returns its arguments, `ready(...)` and `fail(message)`.
fn lua() -> Result<Lua> {
    let lua = Lua::new();
    let globals = lua.globals();
    let paused = lua.create_async_function(|_, args: MultiValue| async {
        pause().await;
        Ok(args)
    })?;
    globals.set("pause", paused)?;
    let ready = lua.create_async_function(|_, args: MultiValue| async { Ok(args) })?;
    globals.set("ready", ready)?;
    let fail = lua.create_async_function(|_, message: String| async {
        pause().await;
        Err::<(), _>(Error::RuntimeError(message))
    })?;
    globals.set("fail", fail)?;
    drop(globals);
    Ok(lua)
}

/// Counts how many of them there are.
#[derive(Default, Clone)]
struct Alive(Arc<AtomicUsize>);

struct Token(Alive);

impl Alive {
    fn token(&self) -> Token {
        self.0.fetch_add(1, Ordering::Relaxed);
        Token(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0 .0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sets the function `wait(...)`, which is pending for ever and holds a token and its arguments.
fn set_wait(lua: &Lua) -> Result<Alive> {
    let alive = Alive::default();
    let tokens = alive.clone();
    let wait = lua.create_async_function(move |lua, args: MultiValue| {
        let token = tokens.token();
        async move {
            std::future::pending::<()>().await;
            drop((token, args, lua.globals()));
            Ok(())
        }
    })?;
    lua.globals().set("wait", wait)?;
    Ok(alive)
}

#[test]
fn an_async_function_returns_to_lua_when_it_is_ready() -> Result<()> {
    let lua = lua()?;
    let code = lua.load("local a, b, c = pause(1, nil, 3) return a, b, c, ready(4)");
    let values: (i64, Value, i64, i64) = block_on(code.eval_async())?;
    assert_eq!(values, (1, Value::Nil, 3, 4));
    Ok(())
}

#[test]
fn a_chunk_is_run_evaluated_and_called() -> Result<()> {
    let lua = lua()?;
    block_on(lua.load("x = pause(7)").exec_async())?;
    assert_eq!(block_on(lua.load("x").eval_async::<i64>())?, 7);
    let sum = lua.load("local a, b = pause(...) return a + b");
    assert_eq!(block_on(sum.call_async::<_, i64>((1, 2)))?, 3);
    let error = block_on(lua.load("x x").exec_async()).unwrap_err();
    assert!(matches!(error, Error::SyntaxError { .. }));
    Ok(())
}

#[test]
fn what_is_ready_at_once_needs_no_coroutine() -> Result<()> {
    let lua = lua()?;
    let values: (i64, i64) = lua.load("ready(1, 2)").eval()?;
    assert_eq!(values, (1, 2));
    Ok(())
}

#[test]
fn what_is_pending_outside_of_a_coroutine_is_an_error_and_dropped() -> Result<()> {
    let lua = lua()?;
    let alive = set_wait(&lua)?;
    let error = lua.load("wait()").exec().unwrap_err().to_string();
    assert!(
        error.contains(if cfg!(lua_ge_52) {
            "attempt to yield from outside a coroutine"
        } else {
            "attempt to yield across"
        }),
        "{error}"
    );
    assert_eq!(alive.count(), 0);

    let call = lua.create_function(|_, f: Function| f.call::<_, ()>(()))?;
    lua.globals().set("call", call)?;
    let error = block_on(lua.load("call(wait)").exec_async()).unwrap_err();
    assert!(error.to_string().contains("C-call boundary"));
    if cfg!(any(feature = "lua51", feature = "luau")) {
        // It does not tell beforehand, so the future is left to the collector.
        lua.gc_collect()?;
        lua.gc_collect()?;
    }
    assert_eq!(alive.count(), 0);
    Ok(())
}

#[test]
fn an_error_is_raised_in_lua_and_caught_there() -> Result<()> {
    let lua = lua()?;
    let error = block_on(lua.load("fail('oh')").exec_async()).unwrap_err();
    assert!(matches!(&error, Error::CallbackError { .. }));
    assert!(error.to_string().contains("oh"));
    assert!(error.to_string().contains("stack traceback"));
    // Nothing yields over `pcall` in Lua 5.1.
    #[cfg(not(any(feature = "lua51", feature = "luau")))]
    {
        let (ok, error): (bool, Error) = block_on(lua.load("pcall(fail, 'oh')").eval_async())?;
        assert!(!ok);
        assert!(error.to_string().contains("oh"));
    }
    let number = lua.create_async_function(|_, n: i64| async move { Ok(n) })?;
    let error = block_on(number.call_async::<_, i64>("x")).unwrap_err();
    assert!(error.to_string().contains("bad argument #1"));
    Ok(())
}

#[test]
fn a_panic_goes_on_in_whoever_polls() -> Result<()> {
    let lua = lua()?;
    let f = lua.create_async_function(|_, ()| async {
        pause().await;
        if true {
            panic!("ouch");
        }
        Ok(())
    })?;
    lua.globals().set("f", f)?;
    let poll = || block_on(lua.load("f()").exec_async());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).unwrap_err();
    assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "ouch");
    assert_eq!(block_on(lua.load("pause(1)").eval_async::<i64>())?, 1);
    Ok(())
}

#[test]
fn async_functions_call_async_functions() -> Result<()> {
    let lua = lua()?;
    let twice = lua.create_async_function(|_, (f, n): (Function, i64)| async move {
        let n: i64 = f.call_async(n).await?;
        f.call_async::<_, i64>(n).await
    })?;
    lua.globals().set("twice", twice)?;
    let code = "twice(function(n) return twice(pause, n) + 1 end, 1)";
    assert_eq!(block_on(lua.load(code).eval_async::<i64>())?, 3);
    Ok(())
}

#[test]
fn a_wrapped_future_becomes_a_function() -> Result<()> {
    let lua = Lua::new();
    let f = Function::wrap_async(|_, n: i64| async move {
        pause().await;
        Ok(2 * n)
    });
    lua.globals().set("f", f)?;
    assert_eq!(block_on(lua.load("f(4)").eval_async::<i64>())?, 8);
    Ok(())
}

#[test]
fn many_arguments_and_results_pass() -> Result<()> {
    let lua = lua()?;
    let code = lua.load("select('#', pause((unpack or table.unpack)({}, 1, 200)))");
    assert_eq!(block_on(code.eval_async::<usize>())?, 200);
    let numbers: Variadic<i64> = (0..5000).collect();
    let pause: Function = lua.globals().get("pause")?;
    let back: Variadic<i64> = block_on(pause.call_async(numbers))?;
    assert!(back.iter().copied().eq(0..5000));
    Ok(())
}

#[test]
fn coroutines_of_lua_get_the_mark_and_can_pass_it_on() -> Result<()> {
    let lua = lua()?;
    let code = "
        local mark = ...
        local co = coroutine.create(function() return pause(5) + 1 end)
        local _, yielded = coroutine.resume(co)
        assert(yielded == mark and coroutine.status(co) == 'suspended')
        local _, result = coroutine.resume(co, 'ignored')
        local wrapped = coroutine.wrap(function() return pause(6) + 1 end)
        local value = wrapped()
        while value == mark do
            coroutine.yield(mark)
            value = wrapped()
        end
        return result, value
    ";
    let results: (i64, i64) = block_on(lua.load(code).call_async(Lua::poll_pending()))?;
    assert_eq!(results, (6, 7));
    Ok(())
}

#[cfg(not(any(feature = "lua51", feature = "luau")))]
#[test]
fn lua_functions_in_between_can_yield() -> Result<()> {
    let lua = lua()?;
    let code = "
        closed = not closes
        local t = setmetatable({}, {
            __index = function(_, k) return pause(k) end,
            __add = function() return pause('sum') end,
            __call = function(_, ...) return pause(...) end,
            __close = function() closed = pause(true) end,
        })
        local found = {}
        for k in function(_, k) return pause(not k and 'once' or nil) end do found[1] = k end
        do local c <close> = t end
        return t.x, t + t, t('called'), found[1], closed, pcall(pause, 9)
    ";
    lua.globals().set("closes", cfg!(lua_ge_54))?;
    let code = match cfg!(lua_ge_54) {
        true => code.to_owned(),
        false => code.replace("<close>", ""),
    };
    type Found = (String, String, String, String, bool, bool, i64);
    let (x, sum, called, once, closed, ok, nine): Found = block_on(lua.load(code).eval_async())?;
    assert_eq!(
        [&x, &sum, &called, &once].map(String::as_str),
        ["x", "sum", "called", "once"]
    );
    assert!(closed && ok && nine == 9);
    Ok(())
}

#[test]
fn bound_functions_wait_too() -> Result<()> {
    let lua = lua()?;
    let pause: Function = lua.globals().get("pause")?;
    let bound = pause.bind((1, 2))?;
    let values: (i64, i64, i64) = block_on(bound.call_async(3))?;
    assert_eq!(values, (1, 2, 3));
    Ok(())
}

#[test]
fn a_thread_is_a_stream_of_what_it_yields() -> Result<()> {
    let lua = lua()?;
    let code = "
        local first = ...
        coroutine.yield(first)
        pause()
        coroutine.yield(2, 22)
        return 3
    ";
    let thread = lua.create_thread(lua.load(code).into_function()?)?;
    let items = thread.clone().into_async::<_, Variadic<i64>>(1);
    let items: Vec<Vec<i64>> = block_on(items.map_ok(|v| v.to_vec()).try_collect())?;
    assert_eq!(items, [vec![1], vec![2, 22], vec![3]]);
    assert_eq!(thread.status(), ThreadStatus::Unresumable);
    let mut over = thread.into_async::<_, Value>(());
    assert!(block_on(over.next()).is_none());
    Ok(())
}

#[test]
fn a_stream_goes_on_after_a_conversion_that_fails_and_ends_with_an_error() -> Result<()> {
    let lua = Lua::new();
    let code = "coroutine.yield('x') coroutine.yield(2) error('end')";
    let thread = lua.create_thread(lua.load(code).into_function()?)?;
    let items: Vec<Result<i64>> = block_on(thread.clone().into_async(()).collect());
    assert!(matches!(
        items[0],
        Err(Error::FromLuaConversionError { .. })
    ));
    assert!(matches!(items[1], Ok(2)));
    assert!(matches!(items[2], Err(Error::RuntimeError(_))));
    assert_eq!(items.len(), 3);
    assert_eq!(thread.status(), ThreadStatus::Error);
    Ok(())
}

#[test]
fn a_thread_is_a_future_of_what_it_returns() -> Result<()> {
    let lua = lua()?;
    let code = lua.load("coroutine.yield(1) pause() coroutine.yield(2) return ...");
    let thread = lua.create_thread(code.into_function()?)?;
    let mut future: AsyncThread<i64> = thread.clone().into_async(3);
    assert_eq!(block_on(&mut future)?, 3);
    assert!(matches!(block_on(future), Err(Error::CoroutineInactive)));
    let dead = thread.into_async::<_, ()>(());
    assert!(matches!(block_on(dead), Err(Error::CoroutineInactive)));
    Ok(())
}

#[test]
fn a_thread_goes_on_after_its_future_is_dropped() -> Result<()> {
    let lua = lua()?;
    let thread = lua.create_thread(lua.load("return pause(...)").into_function()?)?;
    {
        let mut future = pin!(thread.clone().into_async::<_, i64>(9));
        assert!(poll_once(future.as_mut()).is_pending());
    }
    assert_eq!(thread.status(), ThreadStatus::Resumable);
    assert_eq!(block_on(thread.into_async::<_, i64>("ignored"))?, 9);
    Ok(())
}

#[test]
fn a_thread_with_an_async_function_can_be_resumed_by_hand() -> Result<()> {
    let lua = lua()?;
    let thread = lua.create_thread(lua.load("return pause(...)").into_function()?)?;
    let mark: Value = thread.resume(4)?;
    assert_eq!(mark, Value::LightUserData(Lua::poll_pending()));
    assert_eq!(thread.resume::<_, i64>(())?, 4);
    Ok(())
}

#[cfg(any(lua_ge_54, feature = "luau"))]
#[test]
fn resetting_a_thread_drops_what_it_waits_for() -> Result<()> {
    let lua = lua()?;
    let alive = set_wait(&lua)?;
    let thread = lua.create_thread(lua.load("wait()").into_function()?)?;
    thread.resume::<_, ()>(())?;
    assert_eq!(alive.count(), 1);
    thread.reset(lua.load("return 5").into_function()?)?;
    assert_eq!(alive.count(), 0);
    assert_eq!(block_on(thread.into_async::<_, i64>(()))?, 5);
    Ok(())
}

struct Counter(i64);

impl UserData for Counter {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_async_method("get", |_, this, ()| async {
            pause().await;
            Ok(this.0)
        });
        methods.add_async_method_mut("add", |_, this, n: i64| async move {
            pause().await;
            this.0 += n;
            pause().await;
            Ok(())
        });
        methods.add_async_function("new", |_, n: i64| async move {
            pause().await;
            Ok(Counter(n))
        });
        #[cfg(not(any(feature = "lua51", feature = "luau")))]
        add_operators(methods);
        methods.add_method("peek", |_, this, ()| Ok(this.0));
    }

    fn add_fields<'lua, F: mlua::UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("value", |_, this| Ok(this.0));
    }
}

/// Lua 5.1 and Luau call metamethods in ways that cannot be yielded over.
#[cfg(not(any(feature = "lua51", feature = "luau")))]
fn add_operators<'lua, M: UserDataMethods<'lua, Counter>>(methods: &mut M) {
    methods.add_async_meta_method(mlua::MetaMethod::Call, |_, this, n: i64| async move {
        pause().await;
        Ok(this.0 * n)
    });
    methods.add_async_meta_method(mlua::MetaMethod::Index, |_, this, key: String| async move {
        pause().await;
        Ok(format!("{key} of {}", this.0))
    });
    methods.add_async_meta_method_mut("__newindex", |_, this, (_, n): (Value, i64)| async move {
        pause().await;
        this.0 = n;
        Ok(())
    });
    methods.add_async_meta_function(
        mlua::MetaMethod::Add,
        |_, (a, b): (Value, Value)| async move {
            pause().await;
            Ok(format!("{} {}", a.type_name(), b.type_name()))
        },
    );
}

#[test]
fn userdata_have_async_methods() -> Result<()> {
    let lua = Lua::new();
    lua.globals()
        .set("Counter", lua.create_proxy::<Counter>()?)?;
    let code = "
        local c = Counter.new(1)
        c:add(4)
        c:add(5)
        return c:get(), c.value
    ";
    let (got, value): (i64, i64) = block_on(lua.load(code).eval_async())?;
    assert_eq!((got, value), (10, 10));
    Ok(())
}

#[cfg(not(any(feature = "lua51", feature = "luau")))]
#[test]
fn userdata_have_async_operators() -> Result<()> {
    let lua = Lua::new();
    lua.globals()
        .set("Counter", lua.create_proxy::<Counter>()?)?;
    let code = "
        local c = Counter.new(1)
        c:add(4)
        c:add(5)
        local before, value = c:get(), c.value
        c.x = 7
        return before, value, c(3), c.name, c + 1
    ";
    type Found = (i64, i64, i64, String, String);
    let (before, value, called, name, sum): Found = block_on(lua.load(code).eval_async())?;
    assert_eq!((before, value, called), (10, 10, 21));
    assert_eq!(
        (name.as_str(), sum.as_str()),
        ("name of 7", "userdata integer")
    );
    Ok(())
}

#[test]
fn a_value_is_borrowed_while_its_method_waits() -> Result<()> {
    let lua = Lua::new();
    let counter = lua.create_userdata(Counter(1))?;
    {
        let mut add = pin!(counter.call_async_method::<_, ()>("add", 1));
        assert!(poll_once(add.as_mut()).is_pending());
        assert!(matches!(
            counter.borrow::<Counter>(),
            Err(Error::UserDataBorrowError)
        ));
        assert!(counter.take::<Counter>().is_err());
        assert!(counter.call_method::<_, i64>("peek", ()).is_err());
    }
    assert_eq!(counter.borrow::<Counter>()?.0, 1);
    block_on(counter.call_async_method::<_, ()>("add", 1))?;
    assert_eq!(counter.take::<Counter>()?.0, 2);
    Ok(())
}

#[test]
fn a_value_that_is_collected_together_with_its_future_is_freed_after_it() -> Result<()> {
    for stop in [false, true] {
        let lua = Lua::new();
        lua.globals()
            .set("Counter", lua.create_proxy::<Counter>()?)?;
        lua.globals().set("Text", Text("text".into()))?;
        lua.load("for _ = 1, 100 do coroutine.wrap(function() Text.new():wait() end)() end")
            .exec()?;
        if !stop {
            lua.gc_collect()?;
            lua.gc_collect()?;
        }
    }
    Ok(())
}

struct Text(String);

impl UserData for Text {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_function("new", |_, ()| {
            Ok(Text("long enough to be in the heap".into()))
        });
        methods.add_async_method("wait", |_, this, ()| {
            struct OnDrop<'a>(&'a Text);
            impl Drop for OnDrop<'_> {
                fn drop(&mut self) {
                    assert_eq!(self.0 .0, "long enough to be in the heap");
                }
            }
            async move {
                let guard = OnDrop(this);
                std::future::pending::<()>().await;
                drop(guard);
                Ok(())
            }
        });
    }
}

#[test]
fn wrappers_have_the_async_methods_of_what_they_wrap() -> Result<()> {
    let lua = Lua::new();
    lua.globals()
        .set("mutex", Arc::new(Mutex::new(Counter(1))))?;
    lua.globals().set("arc", Arc::new(Counter(2)))?;
    let code = lua.load("mutex:add(4) return mutex:get(), arc:get()");
    assert_eq!(block_on(code.eval_async::<(i64, i64)>())?, (5, 2));
    assert!(block_on(lua.load("arc:add(1)").exec_async()).is_err());
    Ok(())
}

#[test]
fn a_value_that_a_scope_lends_has_no_async_methods() -> Result<()> {
    let lua = Lua::new();
    let mut counter = Counter(1);
    lua.scope(|scope| {
        lua.globals()
            .set("lent", scope.create_userdata_ref_mut(&mut counter)?)?;
        lua.globals()
            .set("own", scope.create_userdata(Counter(5))?)?;
        lua.globals()
            .set("other", scope.create_nonstatic_userdata(Counter(6))?)?;
        for name in ["lent", "other"] {
            let error = block_on(lua.load(format!("{name}:get()")).exec_async()).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("asynchronous methods are not supported"),
                "{error}"
            );
        }
        assert_eq!(lua.load("lent:peek() + other:peek()").eval::<i64>()?, 7);
        assert_eq!(block_on(lua.load("own:get()").eval_async::<i64>())?, 5);
        // A future that outlives the scope.
        lua.load("co = coroutine.create(own.add) coroutine.resume(co, own, 1)")
            .exec()
    })?;
    let (ok, _): (bool, Value) = lua.load("coroutine.resume(co)").eval()?;
    assert!(ok);
    assert!(lua.load("own:peek()").exec().is_err());
    Ok(())
}

#[test]
fn tables_and_userdata_are_called() -> Result<()> {
    let lua = lua()?;
    let table: Table = lua
        .load("setmetatable({ n = 2, pause = pause }, { __call = function(_, n) return pause(n) end })")
        .eval()?;
    let itself: Table = block_on(table.call_async_method("pause", ()))?;
    assert_eq!(itself, table);
    assert_eq!(
        block_on(table.call_async_function::<_, i64>("pause", 3))?,
        3
    );
    assert_eq!(block_on(table.call_async::<_, i64>(4))?, 4);
    assert!(block_on(table.call_async_function::<_, ()>("n", ())).is_err());
    assert!(block_on(lua.create_table()?.call_async::<_, ()>(())).is_err());

    let counter = lua.create_userdata(Counter(3))?;
    assert_eq!(block_on(counter.call_async_method::<_, i64>("get", ()))?, 3);
    #[cfg(not(any(feature = "lua51", feature = "luau")))]
    assert_eq!(block_on(counter.call_async::<_, i64>(5))?, 15);
    assert!(block_on(counter.call_async_function::<_, i64>("none", ())).is_err());
    Ok(())
}

#[test]
fn a_dropped_call_drops_its_future_at_once_and_closes_its_variables() -> Result<()> {
    let lua = lua()?;
    let alive = set_wait(&lua)?;
    let code = "
        local c <close> = setmetatable({}, { __close = function() closed = true end })
        pause()
        wait(...)
    ";
    let code = match cfg!(lua_ge_54) {
        true => code.to_owned(),
        false => code.replace("<close>", ""),
    };
    let f = lua.load(code).into_function()?;
    for polls in 0..4 {
        lua.globals().set("closed", false)?;
        {
            let mut call = pin!(f.call_async::<_, ()>((1, "x")));
            for _ in 0..polls {
                assert!(poll_once(call.as_mut()).is_pending());
            }
            assert_eq!(alive.count(), (polls > 1) as usize);
        }
        assert_eq!(alive.count(), 0);
        let closed = lua.globals().get::<_, bool>("closed")?;
        assert_eq!(closed, cfg!(lua_ge_54) && polls > 0);
    }
    Ok(())
}

#[test]
fn a_coroutine_of_lua_that_is_collected_drops_its_future() -> Result<()> {
    let lua = lua()?;
    let alive = set_wait(&lua)?;
    lua.load("for _ = 1, 10 do coroutine.wrap(wait)() end")
        .exec()?;
    assert!(alive.count() > 0);
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(alive.count(), 0);
    Ok(())
}

#[test]
fn an_instance_ends_with_its_owner_whatever_waits_in_it() -> Result<()> {
    let alive = {
        let lua = lua()?;
        let alive = set_wait(&lua)?;
        // What waits holds proxies, one of them in a coroutine of its own.
        let nested = lua.create_async_function(|_, f: Function| async move {
            f.call_async::<_, ()>(f.clone()).await
        })?;
        lua.globals().set("nested", nested)?;
        lua.load("co = coroutine.wrap(function() wait({}) end) co()")
            .exec()?;
        lua.load("co2 = coroutine.wrap(nested) co2(wait)").exec()?;
        let token = alive.token();
        lua.globals().set("token", mlua::AnyUserData::wrap(token))?;
        assert_eq!(alive.count(), 3);
        alive
    };
    assert_eq!(alive.count(), 0);
    Ok(())
}

#[test]
fn coroutines_are_used_again() -> Result<()> {
    let lua = lua()?;
    let code = lua.load("seen[coroutine.running()] = true pause() if ... then error(...) end");
    let f = code.into_function()?;
    lua.load("seen = setmetatable({}, { __mode = 'k' })")
        .exec()?;
    // Without a way to reset a coroutine, only those that have returned are.
    let resets = cfg!(any(lua_ge_54, feature = "luau"));
    for message in [None, Some("x"), None, None] {
        if message.is_some() && !resets {
            continue;
        }
        assert_eq!(
            block_on(f.call_async::<_, ()>(message)).is_err(),
            message.is_some()
        );
        if !resets {
            continue;
        }
        // Dropped half-way.
        let mut call = Box::pin(f.call_async::<_, ()>(()));
        assert!(poll_once(call.as_mut()).is_pending());
    }
    let seen: Table = lua.globals().get("seen")?;
    assert_eq!(seen.pairs::<Thread, bool>().count(), 1);
    Ok(())
}

#[test]
fn lua_code_that_remembers_a_coroutine_does_no_harm() -> Result<()> {
    let lua = lua()?;
    let remember = lua.load("co = coroutine.running()").into_function()?;
    block_on(remember.call_async::<_, ()>(()))?;
    let pause: Function = lua.globals().get("pause")?;
    // Started by somebody else.
    let f: Function = lua.load("function() return pause(1, 2) end").eval()?;
    let call = f.call_async::<_, (i64, i64)>(());
    lua.load("assert(coroutine.resume(co))").exec()?;
    assert_eq!(block_on(call)?, (1, 2));
    // Reset by somebody else.
    #[cfg(any(lua_ge_54, feature = "luau"))]
    let call = pause.call_async::<_, i64>((1, 2, 3));
    #[cfg(any(lua_ge_54, feature = "luau"))]
    {
        let co: Thread = lua.globals().get("co")?;
        co.reset(lua.load("return select('#', ...)").into_function()?)?;
        assert_eq!(block_on(call)?, 0);
    }
    // Finished by somebody else.
    let call = pause.call_async::<_, i64>(1);
    lua.load("coroutine.resume(co) coroutine.resume(co)")
        .exec()?;
    assert!(matches!(block_on(call), Err(Error::CoroutineInactive)));
    // Closed by somebody else.
    #[cfg(any(lua_ge_54, feature = "luau"))]
    {
        let call = pause.call_async::<_, i64>(1);
        lua.load("coroutine.close(co)").exec()?;
        assert!(matches!(block_on(call), Err(Error::CoroutineInactive)));
    }
    assert_eq!(block_on(pause.call_async::<_, i64>(3))?, 3);
    Ok(())
}

#[test]
fn the_size_of_the_pool_is_an_option() -> Result<()> {
    let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::new().thread_pool_size(1000))?;
    let f = lua.create_async_function(|_, n: usize| async move {
        pause().await;
        Ok(n)
    })?;
    for _ in 0..2 {
        let calls = join_all((0..2000).map(|n| f.call_async::<_, usize>(n)));
        let results = block_on(calls).into_iter().collect::<Result<Vec<_>>>()?;
        assert!(results.into_iter().eq(0..2000));
    }
    Ok(())
}

#[test]
fn a_hundred_thousand_pending_coroutines_complete() -> Result<()> {
    const N: usize = 100_000;
    let lua = Lua::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = gate.clone();
    let pass = lua.create_async_function(move |_, n: usize| {
        let gate = waiting.clone();
        async move {
            let _permit = gate.acquire().await.unwrap();
            Ok(n)
        }
    })?;
    lua.globals().set("pass", pass)?;
    let f: Function = lua.load("function(n) return pass(n) + 1 end").eval()?;
    let mut calls: Vec<_> = (0..N)
        .map(|n| Box::pin(f.call_async::<_, usize>(n)))
        .collect();
    for call in &mut calls {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    gate.add_permits(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let results = runtime.block_on(join_all(calls));
    for (n, result) in results.into_iter().enumerate() {
        assert_eq!(result?, n + 1);
    }
    Ok(())
}

#[test]
fn calls_dropped_half_way_leave_no_memory_behind() -> Result<()> {
    let lua = lua()?;
    let alive = set_wait(&lua)?;
    let wait: Function = lua.globals().get("wait")?;
    let round = |lua: &Lua| -> Result<usize> {
        let mut calls: Vec<_> = (0..1000)
            .map(|_| Box::pin(wait.call_async::<_, ()>(())))
            .collect();
        for call in &mut calls {
            assert!(poll_once(call.as_mut()).is_pending());
        }
        assert_eq!(alive.count(), 1000);
        drop(calls);
        assert_eq!(alive.count(), 0);
        lua.gc_collect()?;
        lua.gc_collect()?;
        Ok(lua.used_memory())
    };
    round(&lua)?;
    let before = round(&lua)?;
    for _ in 0..5 {
        assert!(round(&lua)? <= before + 1000);
    }
    Ok(())
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_waker_of_whoever_polls_reaches_the_future() -> Result<()> {
    let lua = lua()?;
    let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let stored = wakers.clone();
    let f = lua.create_async_function(move |_, ()| {
        let stored = stored.clone();
        async move {
            poll_fn(|cx| {
                stored.lock().unwrap().push(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
            Ok(())
        }
    })?;
    let nested =
        lua.create_async_function(|_, f: Function| async move { f.call_async::<_, ()>(()).await })?;
    let mut call = Box::pin(nested.call_async::<_, ()>(f));
    for n in 1..4 {
        let counter = Arc::new(CountWakes(AtomicUsize::new(0)));
        let waker = Waker::from(counter.clone());
        let mut context = Context::from_waker(&waker);
        assert!(call.as_mut().poll(&mut context).is_pending());
        wakers.lock().unwrap()[n - 1].wake_by_ref();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }
    Ok(())
}

#[test]
fn tokio_runs_calls_side_by_side_in_one_thread() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let lua = Lua::new();
    let sleep = lua.create_async_function(|_, millis: u64| async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    })?;
    lua.globals().set("sleep", sleep)?;
    lua.globals().set("log", lua.create_table()?)?;
    let f: Function = lua
        .load("function(name, millis) sleep(millis) log[#log + 1] = name sleep(millis) end")
        .eval()?;
    runtime.block_on(async {
        tokio::try_join!(
            f.call_async::<_, ()>(("slow", 60)),
            f.call_async::<_, ()>(("fast", 10)),
        )
    })?;
    let log: Vec<String> = lua.globals().get("log")?;
    assert_eq!(log, ["fast", "slow"]);
    let timeout = Duration::from_millis(10);
    let late = async { tokio::time::timeout(timeout, f.call_async::<_, ()>(("x", 1000))).await };
    assert!(runtime.block_on(late).is_err());
    Ok(())
}

#[cfg(feature = "send")]
mod send {
    use super::*;

    #[test]
    fn an_instance_serves_the_tasks_of_a_multi_threaded_runtime() -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_time()
            .build()
            .unwrap();
        let lua = lua()?;
        lua.load("n = 0 function work() pause() n = n + 1 pause() return n end")
            .exec()?;
        let lua = Arc::new(tokio::sync::Mutex::new(lua));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let lua = lua.clone();
                runtime.spawn_blocking(move || {
                    let lua = lua.blocking_lock();
                    block_on(lua.load("work()").eval_async::<i64>())
                })
            })
            .collect();
        let results = runtime.block_on(join_all(tasks));
        let mut results: Vec<i64> = results.into_iter().map(|r| r.unwrap().unwrap()).collect();
        results.sort_unstable();
        assert!(results.into_iter().eq(1..=50));
        Ok(())
    }

    #[test]
    fn what_is_pending_does_not_go_on_in_another_thread() -> Result<()> {
        let lua = lua()?;
        lua.load("co = coroutine.create(pause) coroutine.resume(co, 1)")
            .exec()?;
        let lua = std::thread::spawn(move || {
            let resumed: Result<(bool, Error)> = lua.load("coroutine.resume(co)").eval();
            let (ok, error) = resumed.unwrap();
            assert!(!ok && error.to_string().contains("another thread"));
            lua.load("co = nil").exec().unwrap();
            lua.gc_collect().unwrap();
            lua
        });
        let lua = lua.join().unwrap();
        assert_eq!(block_on(lua.load("pause(2)").eval_async::<i64>())?, 2);
        Ok(())
    }
}

#[test]
fn memory_that_runs_out_is_an_error() -> Result<()> {
    let lua = lua()?;
    let f: Function = lua.load("function(...) return pause(...) end").eval()?;
    let failed = Cell::new(0);
    for extra in (0..20_000).step_by(97) {
        lua.set_memory_limit(lua.used_memory() + extra)?;
        let outcome = block_on(async {
            let mut calls: Vec<_> = (0..10).map(|_| f.call_async::<_, i64>(1)).collect();
            let mut failed = false;
            while let Some(call) = calls.pop() {
                failed |= call.await.is_err();
            }
            failed
        });
        lua.set_memory_limit(0)?;
        failed.set(failed.get() + outcome as usize);
        lua.gc_collect()?;
    }
    // Luau takes memory by the page, and may have enough left.
    assert!(failed.get() > 0 || cfg!(feature = "luau"));
    assert_eq!(block_on(f.call_async::<_, i64>(5))?, 5);
    Ok(())
}
