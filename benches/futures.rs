//! Calls of async functions from Rust.

#![allow(missing_docs)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua};

/// Polls a future that needs nobody to wake it.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

async fn pending_once() {
    let mut waited = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await
}

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
