//! A walk through the API: code, tables, functions, userdata, scopes, coroutines, errors, the registry.

use std::collections::BTreeMap;
use std::num::ParseIntError;

use mlua::{
    ChunkMode, Error, Function, Lua, MetaMethod, Result, Table, UserData, UserDataMethods, Value,
    Variadic,
};

fn main() -> Result<()> {
    let lua = Lua::new();
    run_code(&lua)?;
    use_tables(&lua)?;
    call_lua_from_rust(&lua)?;
    call_rust_from_lua(&lua)?;
    give_rust_values_to_lua(&lua)?;
    lend_for_a_while(&lua)?;
    step_through_a_coroutine(&lua)?;
    handle_errors(&lua)?;
    keep_a_value(&lua)?;
    println!("The tour is over.");
    Ok(())
}

/// `eval` gives the value of an expression, or what a chunk returns; `exec` gives nothing.
fn run_code(lua: &Lua) -> Result<()> {
    assert_eq!(lua.load("6 * 7").eval::<i32>()?, 42);

    lua.load("greeting = 'Hello from ' .. _VERSION")
        .set_name("greeting.lua")
        .exec()?;
    let greeting: String = lua.globals().get("greeting")?;
    println!("{greeting}");

    // What a chunk sees as its globals can be a table of your own; `Text` refuses bytecode.
    let environment = lua.create_table()?;
    lua.load("x = 1")
        .set_environment(environment.clone())
        .set_mode(ChunkMode::Text)
        .exec()?;
    assert_eq!(environment.get::<_, i32>("x")?, 1);
    assert_eq!(lua.globals().get::<_, Value>("x")?, Value::Nil);
    Ok(())
}

/// Keys and values are whatever converts; collections convert to tables and back.
fn use_tables(lua: &Lua) -> Result<()> {
    let primes = lua.create_sequence_from([2, 3, 5])?;
    primes.push(7)?;
    assert_eq!(primes.len()?, 4);
    let sum = primes
        .clone()
        .sequence_values::<i32>()
        .sum::<Result<i32>>()?;
    assert_eq!(sum, 17);

    let heights = lua.create_table_from([("Ben Nevis", 1345), ("Snowdon", 1085)])?;
    heights.set("Scafell Pike", 978)?;
    lua.globals().set("heights", heights)?;
    lua.load("heights['Snowdon'] = nil").exec()?;

    let heights: BTreeMap<String, u32> = lua.globals().get("heights")?;
    println!("{heights:?}");
    assert_eq!(heights.len(), 2);

    // A missing key is nil, which is `None` for an `Option` and an error for a number.
    assert_eq!(primes.get::<_, Option<i32>>(100)?, None);
    assert!(primes.get::<_, i32>(100).is_err());
    Ok(())
}

/// A tuple is several arguments, or several results.
fn call_lua_from_rust(lua: &Lua) -> Result<()> {
    let divide: Function = lua
        .load("function(a, b) return (a - a % b) / b, a % b end")
        .eval()?;
    let (quotient, rest): (f64, i64) = divide.call((17, 5))?;
    assert_eq!((quotient, rest), (3.0, 2));

    let from_seventeen = divide.bind(17)?;
    let (quotient, rest): (f64, i64) = from_seventeen.call(4)?;
    assert_eq!((quotient, rest), (4.0, 1));
    Ok(())
}

fn call_rust_from_lua(lua: &Lua) -> Result<()> {
    let join = lua.create_function(|_, (separator, words): (String, Variadic<String>)| {
        Ok(words.join(&separator))
    })?;
    lua.globals().set("join", join)?;
    let joined: String = lua.load("join('-', 'a', 'b', 'c')").eval()?;
    assert_eq!(joined, "a-b-c");

    // A function that changes what it has captured.
    let mut count = 0;
    let next = lua.create_function_mut(move |_, ()| {
        count += 1;
        Ok(count)
    })?;
    next.call::<_, ()>(())?;
    assert_eq!(next.call::<_, i32>(())?, 2);
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

impl UserData for Point {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("length", |_, point, ()| Ok(point.x.hypot(point.y)));
        methods.add_meta_method(MetaMethod::Unm, |_, point, ()| {
            let (x, y) = (-point.x, -point.y);
            Ok(Point { x, y })
        });
    }
}

/// More of this in the example `userdata`.
fn give_rust_values_to_lua(lua: &Lua) -> Result<()> {
    lua.globals().set("point", Point { x: 3.0, y: 4.0 })?;
    assert_eq!(lua.load("point:length()").eval::<f64>()?, 5.0);

    let opposite: mlua::AnyUserData = lua.load("-point").eval()?;
    assert_eq!(*opposite.borrow::<Point>()?, Point { x: -3.0, y: -4.0 });
    Ok(())
}

/// In a scope Lua may use what is borrowed; when the scope ends, what Lua still has of it is dead.
fn lend_for_a_while(lua: &Lua) -> Result<()> {
    let mut lines = Vec::new();
    lua.scope(|scope| {
        let log = scope.create_function_mut(|_, line: String| {
            lines.push(line);
            Ok(())
        })?;
        lua.globals().set("log", log)?;
        lua.load("log('one') log('two')").exec()
    })?;
    assert_eq!(lines, ["one", "two"]);

    let error = lua.load("log('three')").exec().unwrap_err();
    println!("After the scope: {}", first_line(&error));
    Ok(())
}

fn step_through_a_coroutine(lua: &Lua) -> Result<()> {
    let code = lua.load("local step = ... while true do step = coroutine.yield(step * 10) end");
    let thread = lua.create_thread(code.into_function()?)?;
    let answers = [1, 2, 3].map(|step| thread.resume::<_, i32>(step));
    assert_eq!(
        answers.into_iter().collect::<Result<Vec<_>>>()?,
        [10, 20, 30]
    );
    Ok(())
}

/// An error of Rust goes through Lua and comes back as it was.
fn handle_errors(lua: &Lua) -> Result<()> {
    let parse =
        lua.create_function(|_, text: String| text.parse::<i32>().map_err(Error::external))?;
    lua.globals().set("parse", parse)?;

    let error = lua.load("parse('many')").exec().unwrap_err();
    let Error::CallbackError { cause, .. } = error else {
        panic!("not from a function of Rust: {error}");
    };
    let cause = cause.downcast_ref::<ParseIntError>();
    println!("Rust, Lua, Rust: {}", cause.expect("an error of `parse`"));

    let (ok, error): (bool, Error) = lua.load("pcall(parse, 'many')").eval()?;
    assert!(!ok);
    assert!(matches!(error, Error::CallbackError { .. }));

    match lua.load("if then").set_name("=typo").exec() {
        Err(Error::SyntaxError { message, .. }) => println!("Syntax: {message}"),
        other => panic!("not a syntax error: {other:?}"),
    }
    Ok(())
}

/// A registry key has no lifetime, so that a struct can keep it.
fn keep_a_value(lua: &Lua) -> Result<()> {
    let key = {
        let settings: Table = lua.load("{ volume = 11 }").eval()?;
        lua.create_registry_value(settings)?
    };
    lua.gc_collect()?;
    let settings: Table = lua.registry_value(&key)?;
    assert_eq!(settings.get::<_, i32>("volume")?, 11);
    lua.remove_registry_value(key)
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}
