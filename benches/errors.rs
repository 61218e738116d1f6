//! Errors across the border.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Error, Function, Lua, Result};

fn errors(c: &mut Criterion) {
    let lua = Lua::new();
    let raise: Function = lua.load("function() error('no') end").eval().unwrap();
    let fail = lua
        .create_function(|_, ()| -> Result<()> { Err(Error::RuntimeError("no".into())) })
        .unwrap();
    let catch: Function = lua.load("function(f) return pcall(f) end").eval().unwrap();
    // An error of Lua's that goes through Rust back into Lua.
    let forward = {
        let raise = lua.create_registry_value(&raise).unwrap();
        lua.create_function(move |lua, ()| {
            lua.registry_value::<Function>(&raise)?.call::<_, ()>(())
        })
        .unwrap()
    };
    assert!(raise.call::<_, ()>(()).is_err());
    assert!(!catch.call::<_, bool>(&fail).unwrap());
    assert!(!catch.call::<_, bool>(&forward).unwrap());

    c.bench_function("Lua error returned to Rust", |b| {
        b.iter(|| raise.call::<_, ()>(()).unwrap_err())
    });
    c.bench_function("Rust error caught by pcall", |b| {
        b.iter(|| catch.call::<_, bool>(&fail).unwrap())
    });
    c.bench_function("error from Lua through Rust to Lua", |b| {
        b.iter(|| catch.call::<_, bool>(&forward).unwrap())
    });
}

criterion_group!(benches, errors);
criterion_main!(benches);
