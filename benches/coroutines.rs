//! Coroutines: make, resume, run to the end.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua, ThreadStatus};

fn coroutines(c: &mut Criterion) {
    let lua = Lua::new();
    let endless: Function = lua
        .load("function(x) while true do x = coroutine.yield(x + 1) end end")
        .eval()
        .unwrap();
    let short: Function = lua
        .load("function(x) return coroutine.yield(x) end")
        .eval()
        .unwrap();
    let thread = lua.create_thread(endless).unwrap();
    let whole = || -> i64 {
        let thread = lua.create_thread(short.clone()).unwrap();
        let x: i64 = thread.resume(1).unwrap();
        thread.resume(x + 1).unwrap()
    };
    assert_eq!(thread.resume::<_, i64>(41).unwrap(), 42);
    assert_eq!(thread.status(), ThreadStatus::Resumable);
    assert_eq!(whole(), 2);

    c.bench_function("resume", |b| {
        b.iter(|| thread.resume::<_, i64>(41).unwrap())
    });
    c.bench_function("create_thread, resume twice, to its end", |b| b.iter(whole));
}

criterion_group!(benches, coroutines);
criterion_main!(benches);
