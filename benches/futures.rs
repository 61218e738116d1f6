//! Calls of async functions from Rust.

#![allow(missing_docs)]

#[path = "peers/src/once.rs"]
mod once;

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua};

use once::{pending_once, run};

fn futures(c: &mut Criterion) {
    let lua = Lua::new();
    let ready: Function = lua
        .create_async_function(|_, n: i64| async move { Ok(n + 1) })
        .unwrap();
    let pending: Function = lua
        .create_async_function(|_, n: i64| async move {
            pending_once().await;
            Ok(n + 1)
        })
        .unwrap();
    assert_eq!(run(ready.call_async::<_, i64>(1)).unwrap(), 2);
    assert_eq!(run(pending.call_async::<_, i64>(1)).unwrap(), 2);

    c.bench_function("async call, ready at once", |b| {
        b.iter(|| run(ready.call_async::<_, i64>(1)).unwrap())
    });
    c.bench_function("async call, pending once", |b| {
        b.iter(|| run(pending.call_async::<_, i64>(1)).unwrap())
    });
}

criterion_group!(benches, futures);
criterion_main!(benches);
