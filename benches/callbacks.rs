//! Rust functions called from Lua, 1000 times a round, and their making.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua, Table, Variadic};

fn callbacks(c: &mut Criterion) {
    let lua = Lua::new();
    let repeat: Function = lua
        .load("function(f, x) local sum = 0 for i = 1, 1000 do sum = f(sum, x) end return sum end")
        .eval()
        .unwrap();
    let add = lua
        .create_function(|_, (a, b): (i64, i64)| Ok(a + b))
        .unwrap();
    let add_all = lua
        .create_function(|_, numbers: Variadic<i64>| Ok(numbers.iter().sum::<i64>()))
        .unwrap();
    let add_field = lua
        .create_function(|_, (a, t): (i64, Table)| Ok(a + t.get::<_, i64>("x")?))
        .unwrap();
    let table: Table = lua.load("{ x = 1 }").eval().unwrap();
    assert_eq!(repeat.call::<_, i64>((&add, 1)).unwrap(), 1000);
    assert_eq!(repeat.call::<_, i64>((&add_all, 1)).unwrap(), 1000);
    assert_eq!(repeat.call::<_, i64>((&add_field, &table)).unwrap(), 1000);

    c.bench_function("callback with 2 integers, 1000 times", |b| {
        b.iter(|| repeat.call::<_, i64>((&add, 1)).unwrap())
    });
    c.bench_function("callback with Variadic, 1000 times", |b| {
        b.iter(|| repeat.call::<_, i64>((&add_all, 1)).unwrap())
    });
    c.bench_function("callback with a table, 1000 times", |b| {
        b.iter(|| repeat.call::<_, i64>((&add_field, &table)).unwrap())
    });
}

fn making(c: &mut Criterion) {
    let lua = Lua::new();
    let item = || lua.create_function(|_, x: i64| Ok(x + 1)).unwrap();
    let mut n = 0;
    let mut closure = || {
        n += 1;
        let n = n;
        lua.create_function(move |_, x: i64| Ok(x + n)).unwrap()
    };
    assert_eq!(item().call::<_, i64>(41).unwrap(), 42);
    assert_eq!(closure().call::<_, i64>(41).unwrap(), 42);

    c.bench_function("create_function, captures nothing", |b| b.iter(item));
    c.bench_function("create_function, captures an integer", |b| {
        b.iter(&mut closure)
    });
}

criterion_group!(benches, callbacks, making);
criterion_main!(benches);
