//! The rows, for the crates with mlua's API: one source for 0.9.9, 0.12.2 and this crate.
//!
//! Types are inferred where the generic parameters differ: `call::<A, R>` in 0.9 is `call::<R>` in 0.12.

mod document;
mod meter;
mod once;

use meter::{rows, Live, Meter};
use mlua::{
    AnyUserData, Error, Function, Lua, LuaSerdeExt, Result, Table, Thread, UserData,
    UserDataFields, UserDataMethods, Value,
};
use once::{pending_once, run};

/// What differs. In 0.12 the values themselves are handles.
#[cfg(feature = "owned")]
#[macro_use]
mod dialect {
    pub use mlua::{OwnedFunction, OwnedTable, String as LuaString};

    macro_rules! own {
        ($proxy:expr) => {
            $proxy.clone().into_owned()
        };
    }

    macro_rules! upgrade {
        ($handle:expr) => {
            $handle.to_ref()
        };
    }

    macro_rules! user_data {
        ($type:ty, |$fields:ident| $fields_body:block, |$methods:ident| $methods_body:block) => {
            impl UserData for $type {
                fn add_fields<'lua, F: UserDataFields<'lua, Self>>($fields: &mut F) $fields_body
                fn add_methods<'lua, M: UserDataMethods<'lua, Self>>($methods: &mut M) $methods_body
            }
        };
    }
}

#[cfg(not(feature = "owned"))]
#[macro_use]
mod dialect {
    pub use mlua::Function as OwnedFunction;
    pub use mlua::{LuaString, Table as OwnedTable};

    macro_rules! own {
        ($value:expr) => {
            $value.clone()
        };
    }

    macro_rules! upgrade {
        ($handle:expr) => {
            $handle
        };
    }

    macro_rules! user_data {
        ($type:ty, |$fields:ident| $fields_body:block, |$methods:ident| $methods_body:block) => {
            impl UserData for $type {
                fn add_fields<F: UserDataFields<Self>>($fields: &mut F) $fields_body
                fn add_methods<M: UserDataMethods<Self>>($methods: &mut M) $methods_body
            }
        };
    }
}

use dialect::{LuaString, OwnedFunction, OwnedTable};

/// A type with methods.
struct Counter {
    value: i64,
}

user_data!(Counter, |_fields| {}, |methods| {
    methods.add_method_mut("add", |_, counter, n: i64| {
        counter.value += n;
        Ok(counter.value)
    });
});

/// A type with fields.
struct Point {
    x: i64,
}

user_data!(
    Point,
    |fields| {
        fields.add_field_method_get("x", |_, point| Ok(point.x));
    },
    |_methods| {}
);

macro_rules! lua {
    ($lua:expr, $source:expr) => {
        $lua.load($source).eval().unwrap()
    };
}

/// A Lua function that adds 1.
const INCREMENT: &str = "function(x) return x + 1 end";

fn increments(f: &Function) -> bool {
    let n: i64 = f.call(1).unwrap();
    n == 2
}

fn stored_callback(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, INCREMENT);
    let handle: OwnedFunction = own!(f);
    m.run(42, || -> i64 { upgrade!(handle).call(41).unwrap() });
}

fn stored_table(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "{ position = 42 }");
    let handle: OwnedTable = own!(t);
    m.run(42, || -> i64 { upgrade!(handle).get("position").unwrap() });
}

fn handle_make(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, INCREMENT);
    let check = |handle: OwnedFunction| increments(&upgrade!(handle));
    m.run_checked(check, || own!(f));
}

fn handle_clone(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, INCREMENT);
    let handle: OwnedFunction = own!(f);
    let check = |handle: OwnedFunction| increments(&upgrade!(handle));
    m.run_checked(check, || handle.clone());
}

#[cfg(feature = "owned")]
fn upgrade(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, INCREMENT);
    let handle: OwnedFunction = own!(f);
    m.run_checked(|f| increments(&f), || handle.to_ref());
}

fn registry_call(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, INCREMENT);
    let key = lua.create_registry_value(f).unwrap();
    m.run(42, || -> i64 {
        let f: Function = lua.registry_value(&key).unwrap();
        f.call(41).unwrap()
    });
}

fn get_string(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "{ position = 42 }");
    m.run(42, || -> i64 { t.get("position").unwrap() });
}

fn get_integer(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "{ 40, 41, 42 }");
    m.run(42, || -> i64 { t.get(3_i64).unwrap() });
}

fn set_string(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "{ position = 1 }");
    m.run((), || t.set("position", 42_i64).unwrap());
    let x: i64 = t.get("position").unwrap();
    assert_eq!(x, 42);
}

fn set_integer(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "{ 1, 2, 3 }");
    m.run((), || t.set(3_i64, 42_i64).unwrap());
    let x: i64 = t.get(3_i64).unwrap();
    assert_eq!(x, 42);
}

fn raw_get(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "{ position = 42 }");
    m.run(42, || -> i64 { t.raw_get("position").unwrap() });
}

fn get_index(m: &Meter) {
    let lua = Lua::new();
    let t: Table = lua!(lua, "setmetatable({}, { __index = { position = 42 } })");
    m.run(42, || -> i64 { t.get("position").unwrap() });
}

fn pairs_integers(m: &Meter) {
    let lua = Lua::new();
    let t = lua.create_table().unwrap();
    let n = m.units() as i64;
    for i in 1..=n {
        t.set(i, i).unwrap();
    }
    m.run(n * (n + 1), || {
        let mut sum = 0;
        for entry in t.clone().pairs() {
            let (key, value): (i64, i64) = entry.unwrap();
            sum += key + value;
        }
        sum
    });
}

fn pairs_strings(m: &Meter) {
    let lua = Lua::new();
    let t = lua.create_table().unwrap();
    let n = m.units() as i64;
    for i in 1..=n {
        t.set(format!("key{i:03}"), i).unwrap();
    }
    m.run(n * 6 + n * (n + 1) / 2, || {
        let mut sum = 0;
        for entry in t.clone().pairs() {
            let (key, value): (String, i64) = entry.unwrap();
            sum += key.len() as i64 + value;
        }
        sum
    });
}

fn sequence(m: &Meter) {
    let lua = Lua::new();
    let n = m.units() as i64;
    let t = lua.create_sequence_from(1..=n).unwrap();
    m.run(n * (n + 1) / 2, || {
        let mut sum = 0;
        for value in t.clone().sequence_values() {
            let value: i64 = value.unwrap();
            sum += value;
        }
        sum
    });
}

fn create_table(m: &Meter) {
    let lua = Lua::new();
    m.run_checked(|t: Table| t.raw_len() == 0, || lua.create_table().unwrap());
}

fn create_table_from(m: &Meter) {
    let lua = Lua::new();
    let n = m.units() as i64;
    m.run_checked(
        |t: Table| t.raw_len() as i64 == n,
        || lua.create_table_from((1..=n).map(|i| (i, i))).unwrap(),
    );
}

fn create_string(m: &Meter) {
    let lua = Lua::new();
    let mut text = *b"a string of 32 bytes: ..........";
    let mut number = 0_u64;
    m.run_checked(
        |s: LuaString| s.as_bytes().len() == 32,
        || {
            number += 1;
            text[24..].copy_from_slice(&number.to_ne_bytes());
            lua.create_string(text).unwrap()
        },
    );
}

fn to_str(m: &Meter) {
    let lua = Lua::new();
    let s = lua
        .create_string("a string of 32 bytes: ..........")
        .unwrap();
    m.run(32, || s.to_str().unwrap().len());
}

fn call_0(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, "function() return 42 end");
    m.run(42, || -> i64 { f.call(()).unwrap() });
}

fn call_1(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, INCREMENT);
    m.run(42, || -> i64 { f.call(41).unwrap() });
}

fn call_3(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(lua, "function(x, y, z) return x + y + z end");
    m.run(42, || -> i64 { f.call((10, 12, 20)).unwrap() });
}

fn callback(m: &Meter) {
    let lua = Lua::new();
    let add = lua
        .create_function(|_, (a, b): (i64, i64)| Ok(a + b))
        .unwrap();
    let repeat: Function = lua!(
        lua,
        "function(f, n) local sum = 0 for i = 1, n do sum = f(sum, 1) end return sum end"
    );
    let n = m.units() as i64;
    m.run(n, || -> i64 { repeat.call((&add, n)).unwrap() });
}

fn create_function(m: &Meter) {
    let lua = Lua::new();
    let mut number = 0_i64;
    m.run_checked(
        |f: Function| {
            let n: i64 = f.call(41).unwrap();
            n == 42
        },
        || {
            number += 1;
            let number = number;
            lua.create_function(move |_, x: i64| Ok(x + number))
                .unwrap()
        },
    );
}

fn create_item(m: &Meter) {
    let lua = Lua::new();
    let check = |f: Function| increments(&f);
    m.run_checked(check, || {
        lua.create_function(|_, x: i64| Ok(x + 1)).unwrap()
    });
}

fn scope(m: &Meter) {
    let lua = Lua::new();
    let number = std::cell::Cell::new(1);
    m.run(42, || -> i64 {
        let number = &number;
        lua.scope(|scope| {
            let f = scope.create_function(move |_, x: i64| Ok(x + number.get()))?;
            f.call(41)
        })
        .unwrap()
    });
}

fn resume(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua!(
        lua,
        "function(x) while true do x = coroutine.yield(x + 1) end end"
    );
    let thread: Thread = lua.create_thread(f).unwrap();
    m.run(42, || -> i64 { thread.resume(41).unwrap() });
}

fn method(m: &Meter) {
    let lua = Lua::new();
    let counter = lua.create_userdata(Counter { value: 0 }).unwrap();
    let repeat: Function = lua!(
        lua,
        "function(u, n) for i = 1, n do u:add(1) end return u:add(-n) end"
    );
    let n = m.units() as i64;
    m.run(0, || -> i64 { repeat.call((&counter, n)).unwrap() });
}

fn field(m: &Meter) {
    let lua = Lua::new();
    let point = lua.create_userdata(Point { x: 1 }).unwrap();
    let repeat: Function = lua!(
        lua,
        "function(u, n) local sum = 0 for i = 1, n do sum = sum + u.x end return sum end"
    );
    let n = m.units() as i64;
    m.run(n, || -> i64 { repeat.call((&point, n)).unwrap() });
}

fn borrow(m: &Meter) {
    let lua = Lua::new();
    let counter = lua.create_userdata(Counter { value: 42 }).unwrap();
    m.run(42, || counter.borrow::<Counter>().unwrap().value);
}

fn userdata(m: &Meter) {
    let lua = Lua::new();
    m.run_checked(
        |counter: AnyUserData| counter.borrow::<Counter>().unwrap().value == 42,
        || lua.create_userdata(Counter { value: 42 }).unwrap(),
    );
}

fn rust_error(m: &Meter) {
    let lua = Lua::new();
    let fail = lua
        .create_function(|_, ()| -> Result<()> { Err(Error::RuntimeError("no".into())) })
        .unwrap();
    let repeat: Function = lua!(
        lua,
        "function(f, n) local caught = 0
            for i = 1, n do if not pcall(f) then caught = caught + 1 end end
            return caught end"
    );
    let n = m.units() as i64;
    m.run(n, || -> i64 { repeat.call((&fail, n)).unwrap() });
}

fn lua_error(m: &Meter) {
    let lua = Lua::new();
    let raise: Function = lua!(lua, "function() error('no') end");
    m.run_checked(
        |error: Error| error.to_string().contains("no"),
        || {
            let result: Result<()> = raise.call(());
            result.unwrap_err()
        },
    );
}

fn state(m: &Meter) {
    m.run_checked(
        |lua| {
            let print: Function = lua.globals().get("print").unwrap();
            print != lua!(lua, "string.format")
        },
        Lua::new,
    );
}

fn async_ready(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua
        .create_async_function(|_, x: i64| async move { Ok(x + 1) })
        .unwrap();
    m.run(42, || -> i64 { run(f.call_async(41)).unwrap() });
}

fn async_pending(m: &Meter) {
    let lua = Lua::new();
    let f: Function = lua
        .create_async_function(|_, x: i64| async move {
            pending_once().await;
            Ok(x + 1)
        })
        .unwrap();
    m.run(42, || -> i64 { run(f.call_async(41)).unwrap() });
}

fn to_value(m: &Meter) {
    let lua = Lua::new();
    let document = document::document();
    let check = |value: Value| lua.from_value::<document::Document>(value).unwrap() == document;
    m.run_checked(check, || lua.to_value(&document).unwrap());
}

fn from_value(m: &Meter) {
    let lua = Lua::new();
    let document = document::document();
    let value: Value = lua.to_value(&document).unwrap();
    let check = |read: document::Document| read == document;
    m.run_checked(check, || lua.from_value(value.clone()).unwrap());
}

rows!(fn(&Meter);
    stored_callback,
    stored_table,
    handle_make,
    handle_clone,
    #[cfg(feature = "owned")]
    upgrade,
    registry_call,
    get_string,
    get_integer,
    set_string,
    set_integer,
    raw_get,
    get_index,
    pairs_integers,
    pairs_strings,
    sequence,
    create_table,
    create_table_from,
    create_string,
    to_str,
    call_0,
    call_1,
    call_3,
    callback,
    create_function,
    create_item,
    scope,
    resume,
    method,
    field,
    borrow,
    userdata,
    rust_error,
    lua_error,
    state,
    async_ready,
    async_pending,
    to_value,
    from_value,
);

/// Ends the process: it cannot make so many handles.
fn give_up(handles: usize, error: Error) -> ! {
    eprintln!("error after {handles} handles: {error}");
    std::process::exit(1)
}

fn live(count: usize, distinct: bool) {
    let lua = Lua::new();
    let make: Function = lua!(
        lua,
        "function(n) local fs = {} for i = 1, n do fs[i] = function(x) return x + i end end return fs end"
    );
    let functions: Table = make.call(if distinct { count } else { 1 }).unwrap();
    let at = |i| if distinct { i as i64 + 1 } else { 1 };
    let collect = || lua.gc_collect().unwrap();
    let mut handles: Vec<OwnedFunction> = Vec::with_capacity(count);

    let mut numbers = Live::before(count, collect);
    numbers.make(|| {
        if distinct {
            for i in 0..count {
                let f: Result<Function> = functions.raw_get(i + 1);
                let f = f.unwrap_or_else(|error| give_up(i, error));
                handles.push(own!(f));
            }
        } else {
            let f: Function = functions.raw_get(1).unwrap();
            handles.extend((0..count).map(|_| own!(f)));
        }
    });
    numbers.call(|i| {
        let n: i64 = upgrade!(handles[i]).call(1).unwrap();
        assert_eq!(n, at(i) + 1);
    });
    numbers.collect(collect);
    numbers.drop(|| drop(handles));
}

fn main() {
    meter::main(ROWS, |row, m| row(m), live);
}
