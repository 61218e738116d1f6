//! Calls of Lua functions from Rust.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua};

fn calls(c: &mut Criterion) {
    let lua = Lua::new();
    let sum: Function = lua
        .load("function(...) local x, y, z = ... return (x or 40) + (y or 2) + (z or 0) end")
        .eval()
        .unwrap();
    let length: Function = lua.load("function(s) return #s, s end").eval().unwrap();
    assert_eq!(sum.call::<_, i64>(()).unwrap(), 42);
    assert_eq!(sum.call::<_, i64>(40).unwrap(), 42);
    assert_eq!(sum.call::<_, i64>((20, 12, 10)).unwrap(), 42);
    let (n, s): (usize, String) = length.call("text").unwrap();
    assert_eq!((n, s.as_str()), (4, "text"));

    c.bench_function("call without arguments", |b| {
        b.iter(|| sum.call::<_, i64>(()).unwrap())
    });
    c.bench_function("call with 1 integer", |b| {
        b.iter(|| sum.call::<_, i64>(40).unwrap())
    });
    c.bench_function("call with 3 integers", |b| {
        b.iter(|| sum.call::<_, i64>((20, 12, 10)).unwrap())
    });
    c.bench_function("call with a string, two results", |b| {
        b.iter(|| length.call::<_, (usize, String)>("text").unwrap())
    });
}

criterion_group!(benches, calls);
criterion_main!(benches);
