//! Tables: read, write, walk, make.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Lua, Table, Value};

fn fields(c: &mut Criterion) {
    let lua = Lua::new();
    let plain: Table = lua.load("{ 40, 41, 42, x = 42 }").eval().unwrap();
    let derived: Table = lua
        .load("setmetatable({}, { __index = { x = 42 } })")
        .eval()
        .unwrap();
    assert_eq!(plain.get::<_, i64>("x").unwrap(), 42);
    assert_eq!(plain.get::<_, i64>(3).unwrap(), 42);
    assert_eq!(derived.get::<_, i64>("x").unwrap(), 42);

    c.bench_function("get, string key", |b| {
        b.iter(|| plain.get::<_, i64>("x").unwrap())
    });
    c.bench_function("get, integer key", |b| {
        b.iter(|| plain.get::<_, i64>(3).unwrap())
    });
    c.bench_function("raw_get, string key", |b| {
        b.iter(|| plain.raw_get::<_, i64>("x").unwrap())
    });
    c.bench_function("get through __index", |b| {
        b.iter(|| derived.get::<_, i64>("x").unwrap())
    });
    c.bench_function("set, string key", |b| {
        b.iter(|| plain.set("x", 43).unwrap())
    });
    c.bench_function("set, integer key", |b| b.iter(|| plain.set(3, 43).unwrap()));
    assert_eq!(plain.get::<_, i64>("x").unwrap(), 43);
    assert_eq!(plain.get::<_, i64>(3).unwrap(), 43);
}

fn walks(c: &mut Criterion) {
    let lua = Lua::new();
    let sequence = lua.create_sequence_from(1..=100).unwrap();
    let map = lua
        .create_table_from((1..=100).map(|i| (format!("key{i}"), i)))
        .unwrap();
    let values = |t: &Table| -> i64 {
        let values = t.clone().sequence_values::<i64>();
        values.map(|value| value.unwrap()).sum()
    };
    let pairs = |t: &Table| -> i64 {
        let pairs = t.clone().pairs::<Value, i64>();
        pairs.map(|entry| entry.unwrap().1).sum()
    };
    assert_eq!(values(&sequence), 5050);
    assert_eq!(pairs(&sequence), 5050);
    assert_eq!(pairs(&map), 5050);

    c.bench_function("sequence_values, 100 entries", |b| {
        b.iter(|| values(&sequence))
    });
    c.bench_function("pairs, 100 integer keys", |b| b.iter(|| pairs(&sequence)));
    c.bench_function("pairs, 100 string keys", |b| b.iter(|| pairs(&map)));
}

fn making(c: &mut Criterion) {
    let lua = Lua::new();
    let from = || lua.create_table_from((1..=100).map(|i| (i, i))).unwrap();
    assert_eq!(from().len().unwrap(), 100);

    c.bench_function("create_table", |b| b.iter(|| lua.create_table().unwrap()));
    c.bench_function("create_table_from, 100 entries", |b| b.iter(from));
}

criterion_group!(benches, fields, walks, making);
criterion_main!(benches);
