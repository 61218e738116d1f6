//! Handles and futures: `call_async` without a lifetime, futures dropped half-way and after the instance is gone.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::executor::block_on;
use mlua::{AnyUserData, Error, Function, Lua, OwnedFunction, Result};

use crate::kit::{assert_destroyed, bytes_in_use, Owner, Tally};

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// An instance with a function `wait(...)`, which holds a token and what it is called with until `gate` is open.
fn waiting(tally: &Tally, gate: &Rc<Cell<bool>>) -> Result<Lua> {
    let lua = Lua::new();
    let (tally, gate) = (tally.clone(), gate.clone());
    let wait = lua.create_async_function(move |lua, args: mlua::MultiValue| {
        let (token, gate) = (tally.token(), gate.clone());
        async move {
            let globals = lua.globals();
            std::future::poll_fn(|_| match gate.get() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            drop((token, globals));
            Ok(args)
        }
    })?;
    lua.globals().set("wait", wait)?;
    Ok(lua)
}

fn wait_handle(lua: &Lua) -> OwnedFunction {
    let wait: Function = lua.globals().get("wait").unwrap();
    wait.into_owned()
}

#[test]
fn a_static_future_calls_a_handle() -> Result<()> {
    let (tally, gate) = (Tally::default(), Rc::new(Cell::new(false)));
    let lua = waiting(&tally, &gate)?;
    let handler = wait_handle(&lua);
    let mut future: Pin<Box<dyn Future<Output = Result<i64>>>> =
        Box::pin(async move { handler.call_async(7).await });
    assert!(poll(&mut future).is_pending());
    gate.set(true);
    assert_eq!(block_on(future)?, 7);
    tally.assert_all_dropped();
    Ok(())
}

#[test]
fn tokio_runs_calls_of_handles_as_local_tasks() -> Result<()> {
    let lua = Lua::new();
    let pause = lua.create_async_function(|_, n: i64| async move {
        tokio::task::yield_now().await;
        Ok(n)
    })?;
    let handler = pause.into_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let sum: i64 = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut tasks = Vec::new();
        for n in 0..100 {
            let handler = handler.clone();
            let call = async move { handler.call_async::<_, i64>(n).await };
            tasks.push(tokio::task::spawn_local(call));
        }
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap().unwrap();
        }
        sum
    });
    assert_eq!(sum, 4950);
    Ok(())
}

#[test]
fn a_future_that_was_not_polled_keeps_nothing_open() -> Result<()> {
    let lua = Lua::new();
    let handler = lua.create_function(|_, ()| Ok(1))?.into_owned();
    let weak = lua.weak();
    let future = handler.call_async::<_, i64>(());
    drop(lua);
    assert!(!weak.is_alive());
    assert_destroyed("call_async", block_on(future));
    assert_destroyed("call_async", block_on(handler.call_async::<_, i64>(())));
    Ok(())
}

#[test]
fn a_future_that_is_running_keeps_the_instance_open_until_it_is_done() -> Result<()> {
    for dropped in [false, true] {
        let (tally, gate) = (Tally::default(), Rc::new(Cell::new(false)));
        let lua = waiting(&tally, &gate)?;
        let weak = lua.weak();
        let handler = wait_handle(&lua);
        let mut future = Box::pin(handler.call_async::<_, i64>(3));
        assert!(poll(&mut future).is_pending());
        drop(lua);
        assert!(weak.is_alive());
        gate.set(true);
        if dropped {
            drop(future);
        } else {
            assert_eq!(block_on(future)?, 3);
        }
        assert!(!weak.is_alive());
        tally.assert_all_dropped();
    }
    Ok(())
}

#[test]
fn what_waits_in_coroutines_of_lua_keeps_no_instance_open() -> Result<()> {
    let tally = Tally::default();
    let lua = waiting(&tally, &Rc::default())?;
    let weak = lua.weak();
    lua.load("co = coroutine.create(function() wait({}) end) coroutine.resume(co)")
        .exec()?;
    drop(lua);
    assert!(!weak.is_alive());
    tally.assert_all_dropped();
    Ok(())
}

#[test]
fn what_waits_in_coroutines_goes_with_the_last_call_from_outside() -> Result<()> {
    let tally = Tally::default();
    let lua = waiting(&tally, &Rc::default())?;
    let weak = lua.weak();
    let code = "co = coroutine.create(function() wait({}) end) coroutine.resume(co) wait()";
    let handler = lua.load(code).into_function()?.into_owned();
    let mut future = Box::pin(handler.call_async::<_, ()>(()));
    assert!(poll(&mut future).is_pending());
    drop(lua);
    assert!(weak.is_alive());
    assert_eq!(tally.dropped(), 0);
    drop(future);
    assert!(!weak.is_alive());
    tally.assert_all_dropped();
    Ok(())
}

#[test]
fn an_async_function_drops_the_last_lua() -> Result<()> {
    let owner = Owner::new(Lua::new());
    let lua = owner.view();
    let weak = lua.weak();
    let theirs = owner.clone();
    let f = lua.create_async_function(move |lua, ()| {
        let owner = theirs.clone();
        async move {
            let table = lua.create_table()?;
            owner.drop_lua();
            // The call from outside keeps the instance open.
            tokio::task::yield_now().await;
            table.set(1, 2)?;
            table.get::<_, i64>(1)
        }
    })?;
    let call = f.call_async::<_, i64>(());
    drop(f);
    assert_eq!(block_on(call)?, 2);
    assert!(!weak.is_alive());
    Ok(())
}

#[test]
fn nothing_begins_to_wait_when_nobody_is_left_to_poll() -> Result<()> {
    let tally = Tally::default();
    let owner = Owner::new(waiting(&tally, &Rc::default())?);
    let lua = owner.view();
    let weak = lua.weak();
    let thread = lua.create_thread(lua.globals().get("wait")?)?;
    owner.drop_lua();
    let error = thread.resume::<_, ()>(()).unwrap_err();
    assert!(matches!(crate::kit::root(&error), Error::LuaDestroyed));
    tally.assert_all_dropped();
    drop(thread);
    assert!(!weak.is_alive());
    Ok(())
}

#[test]
fn a_thousand_instances_with_futures_dropped_half_way_leave_memory_flat() -> Result<()> {
    let tally = Tally::default();
    let round = || -> Result<()> {
        let lua = waiting(&tally, &Rc::default())?;
        let handler = wait_handle(&lua);
        // The cycle: a handle in a userdata that an async function has captured and waits with.
        let userdata = AnyUserData::wrap(handler.clone());
        lua.globals().set("handler", userdata)?;
        lua.load("coroutine.wrap(wait)(handler)").exec()?;
        let mut calls: Vec<_> = (0..3)
            .map(|n| Box::pin(handler.call_async::<_, ()>(n)))
            .collect();
        for call in &mut calls {
            assert!(poll(call).is_pending());
        }
        calls.truncate(1);
        drop(lua);
        assert!(handler.is_alive());
        drop(calls);
        assert!(!handler.is_alive());
        Ok(())
    };
    round()?;
    let before = bytes_in_use();
    for _ in 0..1000 {
        round()?;
    }
    assert_eq!(bytes_in_use(), before);
    tally.assert_all_dropped();
    Ok(())
}
