//! A document of 100 records, to and from Lua.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion};
use mlua::{Lua, LuaSerdeExt, Value};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Document {
    title: String,
    records: Vec<Record>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Record {
    id: u32,
    name: String,
    score: f64,
    active: bool,
    position: Position,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Position {
    x: i64,
    y: i64,
}

fn document() -> Document {
    Document {
        title: "records".into(),
        records: (0..100)
            .map(|id| Record {
                id,
                name: format!("record {id}"),
                score: f64::from(id) / 2.0,
                active: id % 3 == 0,
                position: Position {
                    x: id.into(),
                    y: -1,
                },
            })
            .collect(),
    }
}

fn serde(c: &mut Criterion) {
    let lua = Lua::new();
    let document = document();
    let value: Value = lua.to_value(&document).unwrap();
    assert_eq!(lua.from_value::<Document>(value.clone()).unwrap(), document);

    c.bench_function("to_value, 100 records", |b| {
        b.iter(|| lua.to_value(&document).unwrap())
    });
    c.bench_function("from_value, 100 records", |b| {
        b.iter(|| lua.from_value::<Document>(value.clone()).unwrap())
    });
}

criterion_group!(benches, serde);
criterion_main!(benches);
