//! Handles on other threads: the feature `send` beside `weak-owned`.
#![cfg(all(feature = "weak-owned", feature = "send"))]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex; // which ThreadSanitizer sees through, as it does not through that of the standard library

use mlua::{
    Error, Function, Lua, OwnedFunction, OwnedString, OwnedTable, OwnedThread, OwnedUserData,
    OwnedValue, Result, Table, WeakLua,
};

fn is_send_and_sync<T: Send + Sync + 'static>() {}

#[test]
fn every_handle_is_send_and_sync() {
    is_send_and_sync::<OwnedTable>();
    is_send_and_sync::<OwnedFunction>();
    is_send_and_sync::<OwnedString>();
    is_send_and_sync::<OwnedThread>();
    is_send_and_sync::<OwnedUserData>();
    is_send_and_sync::<OwnedValue>();
    is_send_and_sync::<WeakLua>();
}

#[test]
fn a_handle_is_cloned_and_dropped_on_another_thread() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table()?;
    table.set("answer", 42)?;
    let handle = table.into_owned();

    let clone = handle.clone();
    let back = thread::spawn(move || {
        let more: Vec<_> = (0..100).map(|_| clone.clone()).collect();
        drop(clone);
        more.into_iter().next().unwrap()
    });
    let back = back.join().unwrap();

    assert_eq!(back, handle);
    assert_eq!(back.upgrade_in(&lua)?.get::<_, i64>("answer")?, 42);
    Ok(())
}

#[test]
fn a_value_goes_at_the_next_safe_point_after_its_last_handle_on_whatever_thread() -> Result<()> {
    let lua = Lua::new();
    lua.load("weak = setmetatable({}, { __mode = 'v' })")
        .exec()?;
    let weak: Table = lua.globals().get("weak")?;
    let table = lua.create_table()?;
    weak.set(1, &table)?;
    let handle = table.into_owned();

    thread::spawn(move || drop(handle)).join().unwrap();
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert!(weak.get::<_, Option<Table>>(1)?.is_none());
    Ok(())
}

#[test]
fn handles_outlive_the_instance_on_other_threads() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.globals().into_owned();
    let weak = lua.weak();
    let closed = Arc::new(AtomicBool::new(false));
    let seen = closed.clone();
    let thread = thread::spawn(move || {
        while !seen.load(Ordering::Acquire) {
            thread::yield_now();
        }
        assert!(!handle.is_alive());
        assert!(!weak.is_alive());
        let set: HashSet<_> = [handle.clone(), handle.clone()].into();
        assert_eq!(set.len(), 1);
        assert!(format!("{handle:?}").contains("closed"));
        handle
    });
    drop(lua);
    closed.store(true, Ordering::Release);
    let handle = thread.join().unwrap();
    assert!(matches!(
        handle.upgrade_in(&Lua::new()),
        Err(Error::LuaDestroyed)
    ));
    Ok(())
}

/// What each of several threads or tasks does with a handle it shares and an instance behind a mutex.
fn share(lua: &Mutex<Lua>, handle: &OwnedFunction, rounds: usize) {
    let mut kept = Vec::new();
    for i in 0..rounds {
        kept.push(handle.clone());
        if i % 10 == 0 {
            let lua = lua.lock();
            let function: Function = handle.upgrade_in(&lua).unwrap();
            assert_eq!(function.call::<_, i64>(i as i64).unwrap(), i as i64 + 1);
            kept.push(lua.create_function(|_, ()| Ok(())).unwrap().into_owned());
        }
        if kept.len() > 50 {
            kept.clear();
        }
    }
}

const THREADS: usize = 8;
/// Together 100,000.
const ROUNDS: usize = 12_500;

fn increment(lua: &Lua) -> Result<OwnedFunction> {
    Ok(lua.create_function(|_, n: i64| Ok(n + 1))?.into_owned())
}

#[test]
fn threads_share_an_instance_behind_a_mutex_and_handles_without_one() -> Result<()> {
    let lua = Lua::new();
    let handle = increment(&lua)?;
    let lua = Arc::new(Mutex::new(lua));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (lua, handle) = (lua.clone(), handle.clone());
            thread::spawn(move || share(&lua, &handle, ROUNDS))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let lua = Arc::into_inner(lua).unwrap().into_inner();
    lua.gc_collect()?;
    assert_eq!(handle.upgrade_in(&lua)?.call::<_, i64>(1)?, 2);
    Ok(())
}

#[test]
fn tasks_of_tokio_share_an_instance_and_handles_across_threads() -> Result<()> {
    let lua = Lua::new();
    let handle = increment(&lua)?;
    let weak = lua.weak();
    let lua = Arc::new(Mutex::new(lua));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..THREADS)
            .map(|_| {
                let (lua, handle) = (lua.clone(), handle.clone());
                tokio::spawn(async move {
                    for _ in 0..10 {
                        share(&lua, &handle, ROUNDS / 10);
                        // Go on, maybe on another thread.
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(weak.is_alive() && handle.is_alive());
    drop(lua);
    assert!(!weak.is_alive() && !handle.is_alive());
    Ok(())
}
