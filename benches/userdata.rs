//! Userdata: methods and fields from Lua, 1000 times a round; borrow and make from Rust.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{AnyUserData, Function, Lua, MetaMethod, UserData, UserDataFields, UserDataMethods};

struct Counter(i64);

impl UserData for Counter {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("value", |_, counter| Ok(counter.0));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("plus", |_, counter, n: i64| Ok(counter.0 + n));
        methods.add_method_mut("add", |_, counter, n: i64| {
            counter.0 += n;
            Ok(counter.0)
        });
        methods.add_meta_method(MetaMethod::Len, |_, counter, ()| Ok(counter.0));
    }
}

fn from_lua(c: &mut Criterion) {
    let lua = Lua::new();
    let counter = lua.create_userdata(Counter(1)).unwrap();
    let repeat = |body: &str| -> Function {
        let source =
            format!("function(u) local sum = 0 for i = 1, 1000 do {body} end return sum end");
        lua.load(source).eval().unwrap()
    };
    for (name, body) in [
        ("method", "sum = u:plus(sum)"),
        ("mutable method", "sum = sum + u:add(0)"),
        ("field", "sum = sum + u.value"),
        ("operator", "sum = sum + #u"),
    ] {
        let f = repeat(body);
        assert_eq!(f.call::<_, i64>(&counter).unwrap(), 1000, "{name}");
        c.bench_function(&format!("{name} of userdata, 1000 times"), |b| {
            b.iter(|| f.call::<_, i64>(&counter).unwrap())
        });
    }
}

fn from_rust(c: &mut Criterion) {
    let lua = Lua::new();
    let counter: AnyUserData = lua.create_userdata(Counter(42)).unwrap();
    assert_eq!(counter.borrow::<Counter>().unwrap().0, 42);
    assert!(counter.borrow::<String>().is_err());

    c.bench_function("borrow userdata", |b| {
        b.iter(|| counter.borrow::<Counter>().unwrap().0)
    });
    c.bench_function("borrow_mut userdata", |b| {
        b.iter(|| counter.borrow_mut::<Counter>().unwrap().0 += 1)
    });
    c.bench_function("create_userdata", |b| {
        b.iter(|| lua.create_userdata(Counter(1)).unwrap())
    });
}

criterion_group!(benches, from_lua, from_rust);
criterion_main!(benches);
