//! Scopes: functions and userdata that borrow from Rust.

#![allow(missing_docs)]

use std::cell::Cell;

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Function, Lua, UserData, UserDataMethods};

struct Counter<'a>(&'a Cell<i64>);

impl UserData for Counter<'_> {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("get", |_, counter, ()| Ok(counter.0.get()));
    }
}

fn scopes(c: &mut Criterion) {
    let lua = Lua::new();
    let number = Cell::new(1);
    let get: Function = lua.load("function(u) return u:get() end").eval().unwrap();

    let empty = || lua.scope(|_| Ok(())).unwrap();
    let function = || -> i64 {
        lua.scope(|scope| {
            let f = scope.create_function(|_, x: i64| Ok(x + number.get()))?;
            f.call(41)
        })
        .unwrap()
    };
    let userdata = || -> i64 {
        lua.scope(|scope| get.call(scope.create_nonstatic_userdata(Counter(&number))?))
            .unwrap()
    };
    assert_eq!(function(), 42);
    assert_eq!(userdata(), 1);

    c.bench_function("empty scope", |b| b.iter(empty));
    c.bench_function("scope with one function, called", |b| b.iter(function));
    c.bench_function("scope with one userdata, a method called", |b| {
        b.iter(userdata)
    });
}

criterion_group!(benches, scopes);
criterion_main!(benches);
