//! Strings, to and from Lua.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{FromLua, IntoLua, Lua};

fn strings(c: &mut Criterion) {
    let lua = Lua::new();
    let (short, long) = ("a string of 32 bytes, interned..", "long ".repeat(200));
    let string = lua.create_string(short).unwrap();
    assert_eq!(string.to_str().unwrap(), short);
    let value = string.clone().into_lua(&lua).unwrap();
    assert_eq!(String::from_lua(value.clone(), &lua).unwrap(), short);
    assert_eq!(
        lua.create_string(&long).unwrap().as_bytes(),
        long.as_bytes()
    );

    c.bench_function("create_string, 32 bytes", |b| {
        b.iter(|| lua.create_string(short).unwrap())
    });
    c.bench_function("create_string, 1000 bytes", |b| {
        b.iter(|| lua.create_string(&long).unwrap())
    });
    c.bench_function("to_str, 32 bytes", |b| {
        b.iter(|| string.to_str().unwrap().len())
    });
    c.bench_function("value to Rust's String, 32 bytes", |b| {
        b.iter(|| String::from_lua(value.clone(), &lua).unwrap())
    });
}

criterion_group!(benches, strings);
criterion_main!(benches);
