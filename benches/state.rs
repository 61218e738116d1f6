//! Instances: make and drop.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Lua, LuaOptions, StdLib};

fn state(c: &mut Criterion) {
    let bare = || Lua::new_with(StdLib::NONE, LuaOptions::default()).unwrap();
    assert!(Lua::new().globals().contains_key("string").unwrap());
    assert!(!bare().globals().contains_key("string").unwrap());

    c.bench_function("an instance with the standard libraries", |b| {
        b.iter(Lua::new)
    });
    c.bench_function("an instance without libraries", |b| b.iter(bare));
    c.bench_function("load and run a chunk", |b| {
        let lua = Lua::new();
        b.iter(|| lua.load("return 1 + 1").eval::<i64>().unwrap())
    });
}

criterion_group!(benches, state);
criterion_main!(benches);
