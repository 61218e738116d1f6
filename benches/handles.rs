//! Owned handles: make, clone, upgrade, use.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua, Table};

fn handles(c: &mut Criterion) {
    let lua = Lua::new();
    let increment: Function = lua.load("function(x) return x + 1 end").eval().unwrap();
    let point: Table = lua.load("{ x = 42 }").eval().unwrap();
    let (callback, table) = (increment.clone().into_owned(), point.into_owned());
    let key = lua.create_registry_value(&increment).unwrap();
    assert_eq!(callback.upgrade().call::<_, i64>(41).unwrap(), 42);
    assert_eq!(callback.upgrade_in(&lua).unwrap(), increment);
    assert_eq!(table.upgrade().get::<_, i64>("x").unwrap(), 42);
    assert_eq!(callback, increment.clone().into_owned());
    let registered: Function = lua.registry_value(&key).unwrap();
    assert_eq!(registered, increment);

    c.bench_function("handle, upgrade and call", |b| {
        b.iter(|| callback.upgrade().call::<_, i64>(41).unwrap())
    });
    c.bench_function("handle, upgrade in an instance and call", |b| {
        b.iter(|| {
            callback
                .upgrade_in(&lua)
                .unwrap()
                .call::<_, i64>(41)
                .unwrap()
        })
    });
    c.bench_function("handle, upgrade and read a field", |b| {
        b.iter(|| table.upgrade().get::<_, i64>("x").unwrap())
    });
    c.bench_function("handle, upgrade", |b| b.iter(|| drop(callback.upgrade())));
    c.bench_function("handle, make and drop", |b| {
        b.iter(|| increment.clone().into_owned())
    });
    c.bench_function("handle, clone and drop", |b| b.iter(|| callback.clone()));
    c.bench_function("registry key, look up and call", |b| {
        b.iter(|| {
            let f: Function = lua.registry_value(&key).unwrap();
            f.call::<_, i64>(41).unwrap()
        })
    });
}

criterion_group!(benches, handles);
criterion_main!(benches);
