//! A rule engine as one would write it for mlua 0.9: rules in Lua, one instance for several worker threads.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use mlua::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct Order {
    id: u32,
    customer: String,
    lines: Vec<Line>,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
struct Line {
    item: String,
    price: f64,
    count: u32,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "decision", rename_all = "lowercase")]
enum Verdict {
    Accept { discount: f64 },
    Refuse { reason: String },
}

#[derive(Default)]
struct Stock(BTreeMap<String, u32>);

impl LuaUserData for Stock {
    fn add_methods<'lua, M: LuaUserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("take", |_, this, (item, n): (String, u32)| {
            match this.0.get_mut(&item) {
                Some(left) if *left >= n => {
                    *left -= n;
                    Ok((true, *left))
                }
                left => Ok((false, left.map_or(0, |left| *left))),
            }
        });
        methods.add_meta_method(LuaMetaMethod::Len, |_, this, ()| Ok(this.0.len()));
        methods.add_meta_method(LuaMetaMethod::Index, |_, this, item: String| {
            Ok(this.0.get(&item).copied())
        });
    }
}

struct Engine {
    lua: Lua,
    rules: Vec<LuaRegistryKey>,
}

impl Engine {
    fn new(log: std::sync::mpsc::Sender<String>) -> LuaResult<Engine> {
        let lua = Lua::new();
        let stock = Stock([("bolt".to_owned(), 100), ("nut".to_owned(), 3)].into());
        lua.globals().set("stock", stock)?;
        let log = lua.create_function(move |_, words: LuaMultiValue| {
            let words: Vec<_> = words
                .iter()
                .map(|word| word.to_string())
                .collect::<LuaResult<_>>()?;
            log.send(words.join(" ")).into_lua_err()
        })?;
        lua.globals().set("log", log)?;
        let sources = [
            "local order = ...
            for _, line in ipairs(order.lines) do
                local ok, left = stock:take(line.item, line.count)
                if not ok then
                    log('only', left, line.item)
                    return { decision = 'refuse', reason = ('%s: %d left'):format(line.item, left) }
                end
            end",
            "local order, sum = ..., 0
            for _, line in ipairs(order.lines) do sum = sum + line.price * line.count end
            return { decision = 'accept', discount = sum >= 50 and 0.1 or 0 }",
        ];
        let rules = sources
            .into_iter()
            .map(|source| lua.create_registry_value(lua.load(source).into_function()?))
            .collect::<LuaResult<_>>()?;
        Ok(Engine { lua, rules })
    }

    fn judge(&self, order: &Order) -> LuaResult<Verdict> {
        let argument = self.lua.to_value(order)?;
        for rule in &self.rules {
            let rule: LuaFunction = self.lua.registry_value(rule)?;
            if let Some(verdict) = rule.call::<_, Option<LuaTable>>(argument.clone())? {
                return self.lua.from_value(LuaValue::Table(verdict));
            }
        }
        Err(LuaError::external(format!(
            "no rule for order {}",
            order.id
        )))
    }
}

fn order(id: u32, item: &str, price: f64, count: u32) -> Order {
    let line = Line {
        item: item.into(),
        price,
        count,
    };
    Order {
        id,
        customer: format!("customer {id}"),
        lines: vec![line],
        note: None,
    }
}

fn main() -> LuaResult<()> {
    let (log, lines) = channel();
    let engine = Arc::new(Mutex::new(Engine::new(log)?));
    let workers: Vec<_> = (0..4)
        .map(|id| {
            let engine = engine.clone();
            thread::spawn(move || {
                engine
                    .lock()
                    .unwrap()
                    .judge(&order(id, "bolt", 2.5, 20 + id))
            })
        })
        .collect();
    for (id, worker) in workers.into_iter().enumerate() {
        let verdict = worker.join().unwrap()?;
        assert_eq!(verdict, Verdict::Accept { discount: 0.1 }, "order {id}");
    }

    let engine = Arc::into_inner(engine).unwrap().into_inner().unwrap();
    let engine = thread::spawn(move || {
        let refused = engine.judge(&order(5, "nut", 0.5, 4)).unwrap();
        assert_eq!(
            refused,
            Verdict::Refuse {
                reason: "nut: 3 left".into()
            }
        );
        engine
    })
    .join()
    .unwrap();
    assert_eq!(lines.try_recv().unwrap(), "only 3 nut");

    let lua = &engine.lua;
    let left: (u32, u32, u32) = lua
        .load("return stock.bolt, stock.nut, stock.screw or 0")
        .eval()?;
    assert_eq!(left, (14, 3, 0));
    let bits: u32 = lua
        .load("return require('jit') and bit.bxor(bit.lshift(1, 4), 0xff)")
        .eval()?;
    assert_eq!(bits, 0xef);
    let big: i64 = lua.load("return 2 ^ 52").eval()?;
    assert_eq!(big, 1 << 52);

    let sent = order(7, "bolt", 1.0, 1);
    let copy: Order = lua.from_value(lua.to_value(&sent)?)?;
    assert_eq!(copy, sent);
    let wrong: LuaResult<Order> =
        lua.from_value(lua.load("return { id = 1, customer = {} }").eval()?);
    assert!(
        matches!(wrong, Err(LuaError::DeserializeError(_))),
        "{wrong:?}"
    );
    println!("patch-in, LuaJIT: ok");
    Ok(())
}
