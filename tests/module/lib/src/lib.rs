//! A module as users write them, and functions by which the host looks at what is left of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::prelude::*;
use mlua::{chunk, OwnedFunction, OwnedTable};

/// What outlives the VM.
#[derive(Clone)]
struct Kept {
    table: OwnedTable,
    function: OwnedFunction,
}

impl Kept {
    fn is_alive(&self) -> bool {
        let alive = self.table.is_alive();
        assert_eq!(alive, self.function.is_alive());
        alive
    }
}

#[cfg(feature = "send")]
mod store {
    use super::Kept;
    use std::sync::Mutex;

    static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

    pub fn with<R>(f: impl FnOnce(&mut Vec<Kept>) -> R) -> R {
        f(&mut KEPT.lock().unwrap())
    }
}

#[cfg(not(feature = "send"))]
mod store {
    use super::Kept;
    use std::cell::RefCell;

    thread_local! {
        static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
    }

    pub fn with<R>(f: impl FnOnce(&mut Vec<Kept>) -> R) -> R {
        KEPT.with_borrow_mut(f)
    }
}

static DROPPED_ALIVE: AtomicUsize = AtomicUsize::new(0);
static DROPPED_DEAD: AtomicUsize = AtomicUsize::new(0);

/// A userdata that looks at its handle when it is dropped.
#[derive(Clone, FromLua)]
struct Witness(OwnedTable);

impl LuaUserData for Witness {
    fn add_methods<'lua, M: LuaUserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("is_alive", |_, this, ()| Ok(this.0.is_alive()));
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let count = match self.0.is_alive() {
            true => &DROPPED_ALIVE,
            false => &DROPPED_DEAD,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn keep(_: &Lua, (table, function): (OwnedTable, OwnedFunction)) -> LuaResult<()> {
    store::with(|kept| kept.push(Kept { table, function }));
    Ok(())
}

fn fail(_: &Lua, text: String) -> LuaResult<()> {
    Err(LuaError::runtime(text))
}

#[mlua::lua_module]
fn testmod(lua: &Lua) -> LuaResult<LuaTable<'_>> {
    let exports = lua.create_table()?;
    let set = |name: &str, function: LuaFunction| exports.set(name, function);
    set(
        "add",
        lua.create_function(|_, (a, b): (i64, i64)| Ok(a + b))?,
    )?;
    set("keep", lua.create_function(keep)?)?;
    set("fail", lua.create_function(fail)?)?;
    set(
        "panic",
        lua.create_function(|_, ()| -> LuaResult<()> { panic!("on purpose") })?,
    )?;
    set(
        "witness",
        lua.create_function(|_, table: OwnedTable| Ok(Witness(table)))?,
    )?;
    set(
        "twice",
        lua.create_function(|_, witness: Witness| Ok((witness.clone(), witness)))?,
    )?;
    let factor = 7;
    set(
        "times_seven",
        lua.load(chunk! { return $factor * ... }).into_function()?,
    )?;
    Ok(exports)
}

#[mlua::lua_module(name = "testmod_fast", skip_memory_check)]
fn fast(lua: &Lua) -> LuaResult<LuaFunction<'_>> {
    lua.create_function(|lua, text: LuaString| lua.create_sequence_from([text.clone(), text]))
}

#[mlua::lua_module]
fn testmod_broken(_: &Lua) -> LuaResult<LuaTable<'_>> {
    Err(LuaError::runtime("this module does not open"))
}

#[no_mangle]
extern "C" fn testmod_kept() -> usize {
    store::with(|kept| kept.len())
}

#[no_mangle]
extern "C" fn testmod_alive() -> usize {
    store::with(|kept| kept.iter().filter(|kept| kept.is_alive()).count())
}

#[no_mangle]
extern "C" fn testmod_dropped_alive() -> usize {
    DROPPED_ALIVE.load(Ordering::Relaxed)
}

#[no_mangle]
extern "C" fn testmod_dropped_dead() -> usize {
    DROPPED_DEAD.load(Ordering::Relaxed)
}

/// Does with the dead handles of this thread what can be done with them, then drops them. Returns how many there were.
#[no_mangle]
extern "C" fn testmod_forget_dead() -> usize {
    let all = store::with(std::mem::take);
    let (alive, dead): (Vec<_>, Vec<_>) = all.into_iter().partition(Kept::is_alive);
    store::with(|kept| *kept = alive);
    for kept in &dead {
        let copy = kept.clone();
        assert!(copy.table == kept.table && copy.function == kept.function);
        assert!(!format!("{:?} {:?}", copy.table, copy.function).is_empty());
        assert!(!copy.table.to_pointer().is_null());
        #[cfg(not(feature = "send"))]
        assert!(matches!(
            kept.table.try_upgrade(),
            Err(LuaError::LuaDestroyed)
        ));
    }
    dead.len()
}
