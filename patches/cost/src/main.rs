//! `cost OPERATION N`: does it `N` times. Two runs that differ in `N` show what one costs, without what is done once.

use std::env;
use std::hint::black_box;

use mlua::{Function, Lua, Result, Table};

fn main() -> Result<()> {
    let args: Vec<String> = env::args().collect();
    let n: usize = args[2].parse().expect("a number");
    let lua = Lua::new();
    let table = lua.create_table_from([("key", 1)])?;
    let inner = lua.create_table()?;
    table.set("inner", inner)?;
    let function: Function = lua.load("function(n) return n end").eval()?;
    let rust = lua.create_function(|_, n: i64| Ok(n))?;
    let in_lua: Function = lua
        .load("local f = ... return function(n) for _ = 1, n do f(7) end end")
        .call(rust)?;
    #[cfg(any(feature = "unstable", feature = "weak-owned"))]
    let owned = function.clone().into_owned();

    match args[1].as_str() {
        "call" => repeat(n, || function.call::<_, i64>(black_box(7)).map(drop))?,
        "callback" => in_lua.call::<_, ()>(n)?,
        "get" => repeat(n, || table.get::<_, i64>("key").map(drop))?,
        "get_table" => repeat(n, || table.get::<_, Table>("inner").map(drop))?,
        "clone" => repeat(n, || {
            drop(black_box(&table).clone());
            Ok(())
        })?,
        "create_table" => repeat(n, || lua.create_table().map(drop))?,
        "globals" => repeat(n, || {
            drop(lua.globals());
            Ok(())
        })?,
        #[cfg(any(feature = "unstable", feature = "weak-owned"))]
        "owned_call" => repeat(n, || owned.call::<_, i64>(black_box(7)).map(drop))?,
        #[cfg(any(feature = "unstable", feature = "weak-owned"))]
        "owned_clone" => repeat(n, || {
            drop(black_box(&owned).clone());
            Ok(())
        })?,
        #[cfg(any(feature = "unstable", feature = "weak-owned"))]
        "owned_to_ref" => repeat(n, || {
            drop(black_box(&owned).to_ref());
            Ok(())
        })?,
        other => panic!("no operation `{other}`"),
    }
    Ok(())
}

#[inline(always)]
fn repeat(n: usize, mut operation: impl FnMut() -> Result<()>) -> Result<()> {
    (0..n).try_for_each(|_| operation())
}
