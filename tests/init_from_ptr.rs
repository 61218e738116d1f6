//! Instances in a VM that somebody else made.
#![cfg(not(feature = "luau"))] // the host is written for the API of Lua

#[cfg(not(feature = "send"))]
use std::cell::Cell;
#[cfg(not(feature = "send"))]
use std::ffi::CString;
use std::os::raw::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
#[cfg(not(feature = "send"))]
use std::rc::Rc;

#[macro_use]
mod common;

use mlua::{ffi, lua_State, Error, Function, Lua, Result, StdLib, Table};

/// A VM as a program in C would make it.
struct Host(*mut lua_State);

impl Host {
    fn new() -> Host {
        // SAFETY: nothing in here raises but for a lack of memory.
        unsafe {
            let state = ffi::luaL_newstate();
            ffi::luaL_openlibs(state);
            Host(state)
        }
    }

    fn instance(&self) -> Lua {
        // SAFETY: the VM is open, and closed with no code of ours running.
        unsafe { Lua::init_from_ptr(self.0) }
    }

    /// Runs `code` without the library.
    fn run(&self, code: &std::ffi::CStr) -> c_int {
        // SAFETY: protected by Lua itself.
        unsafe {
            let status = ffi::luaL_loadstring(self.0, code.as_ptr());
            assert_eq!(status, ffi::LUA_OK);
            ffi::lua_pcall(self.0, 0, 0, 0)
        }
    }

    fn close(self) {
        // SAFETY: as `instance` promises.
        unsafe { ffi::lua_close(self.0) }
    }
}

#[cfg(not(feature = "send"))]
struct OnDrop(Rc<Cell<u32>>);

#[cfg(not(feature = "send"))]
impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn it_works_like_any_instance() -> Result<()> {
    let host = Host::new();
    let lua = host.instance();
    let add = lua.create_function(|_, (a, b): (i64, i64)| Ok(a + b))?;
    lua.globals().set("add", add)?;
    assert_eq!(lua.load("return add(1, 2)").eval::<i64>()?, 3);
    assert!(lua.load("error('x')").exec().is_err());
    assert!(lua.used_memory() > 10_000);
    lua.gc_collect()?;
    drop(lua);
    assert_eq!(host.run(c"assert(add(2, 3) == 5)"), ffi::LUA_OK);
    host.close();
    Ok(())
}

#[test]
fn all_instances_of_a_vm_are_one() -> Result<()> {
    let host = Host::new();
    let (a, b) = (host.instance(), host.instance());
    let key = a.create_registry_value(5)?;
    a.set_app_data(7u8);
    drop(a);
    assert_eq!(b.registry_value::<i32>(&key)?, 5);
    assert_eq!(*b.app_data_ref::<u8>().unwrap(), 7);
    drop(b);
    // No owner is left; the VM keeps the instance.
    let c = host.instance();
    assert_eq!(c.registry_value::<i32>(&key)?, 5);
    assert_eq!(c.remove_app_data::<u8>(), Some(7));
    drop(c);
    host.close();
    drop(key);
    Ok(())
}

#[test]
fn it_cannot_limit_memory_and_has_what_the_host_allows() -> Result<()> {
    let host = Host::new();
    let lua = host.instance();
    assert!(matches!(
        lua.set_memory_limit(1),
        Err(Error::MemoryLimitNotAvailable)
    ));
    lua.load_from_std_lib(StdLib::ALL)?;
    lua.load("assert(#(package.searchers or package.loaders) == 4 and debug)")
        .exec()?;
    drop(lua);
    host.close();
    Ok(())
}

#[test]
fn two_hosts_are_two_instances() -> Result<()> {
    let (a, b) = (Host::new(), Host::new());
    let (x, y) = (a.instance(), b.instance());
    let key = x.create_registry_value(1)?;
    assert!(!y.owns_registry_value(&key));
    drop((x, y));
    a.close();
    assert!(b.instance().load("return 1").eval::<i32>()? == 1);
    b.close();
    Ok(())
}

#[test]
fn one_made_from_a_coroutine_outlives_it() -> Result<()> {
    let host = Host::new();
    // SAFETY: the coroutine is on the stack while it is used.
    let lua = unsafe {
        let thread = ffi::lua_newthread(host.0);
        let lua = Lua::init_from_ptr(thread);
        ffi::lua_pop(host.0, 1);
        lua
    };
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(lua.load("return 1 + 1").eval::<i32>()?, 2);
    drop(lua);
    host.close();
    Ok(())
}

#[test]
fn what_is_left_when_the_host_closes_the_vm_is_dead() -> Result<()> {
    let host = Host::new();
    let lua = host.instance();
    let key = lua.create_registry_value("text")?;
    host.close();
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| drop(lua.globals()))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| lua.gc_stop())).is_err());
    }
    let _ = format!("{lua:?}");
    drop(key);
    drop(lua);
    Ok(())
}

/// Makes `probe()`, which adds to `seen` whether the handle is alive, and can be upgraded.
#[cfg(all(feature = "weak-owned", not(feature = "send")))]
fn install_probe(lua: &Lua, seen: &Rc<std::cell::RefCell<Vec<bool>>>) -> Result<()> {
    let handle = lua.create_table()?.into_owned();
    let seen = seen.clone();
    let probe = lua.create_function(move |_, ()| {
        assert_eq!(handle.is_alive(), handle.try_upgrade().is_ok());
        seen.borrow_mut().push(handle.is_alive());
        Ok(())
    })?;
    lua.globals().set("probe", probe)
}

// Before Lua 5.4 there is nothing to tell by.
#[cfg(all(lua_ge_54, feature = "weak-owned", not(feature = "send")))]
#[test]
fn handles_are_dead_in_all_finalizers_while_the_host_closes_the_vm() -> Result<()> {
    struct Userdata(mlua::OwnedTable, Rc<std::cell::RefCell<Vec<bool>>>);
    impl mlua::UserData for Userdata {}
    impl Drop for Userdata {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0.is_alive());
        }
    }
    let seen = Rc::default();
    let host = Host::new();
    let lua = host.instance();
    install_probe(&lua, &seen)?;
    lua.globals().set(
        "userdata",
        Userdata(lua.create_table()?.into_owned(), seen.clone()),
    )?;
    let status = host.run(
        c"direct = setmetatable({}, { __gc = function() probe() end })
        tail = setmetatable({}, { __gc = function() return probe() end })
        method = setmetatable({}, { __gc = probe })
        deep = setmetatable({}, { __gc = function()
            local function down(n) if n == 0 then probe() else down(n - 1) end end
            down(100)
        end })
        coroutines = setmetatable({}, { __gc = function() coroutine.wrap(probe)() end })
        protected = setmetatable({}, { __gc = function() pcall(probe) end })",
    );
    assert_eq!(status, ffi::LUA_OK);
    drop(lua);
    host.close();
    assert_eq!(*seen.borrow(), [false; 7]);
    Ok(())
}

#[cfg(all(feature = "weak-owned", not(feature = "send")))]
#[test]
fn handles_live_through_finalizers_of_any_collection() -> Result<()> {
    let seen = Rc::default();
    let host = Host::new();
    let lua = host.instance();
    install_probe(&lua, &seen)?;
    for code in [
        with_finalized!("finalized(probe) collectgarbage()"),
        #[cfg(lua_ge_54)]
        with_finalized!("collectgarbage('generational') finalized(probe) collectgarbage()"),
        with_finalized!("coroutine.wrap(function() finalized(probe) collectgarbage() end)()"),
        with_finalized!("finalized(probe) local t = {} for i = 1, 1e5 do t = { t, {} } if i % 100 == 0 then t = {} end end"),
    ] {
        seen.borrow_mut().clear();
        assert_eq!(host.run(&CString::new(code).unwrap()), ffi::LUA_OK);
        assert_eq!(*seen.borrow(), [true], "{code:?}");
    }
    seen.borrow_mut().clear();
    let code = CString::new(with_finalized!("finalized(probe)")).unwrap();
    assert_eq!(host.run(&code), ffi::LUA_OK);
    // SAFETY: an open VM. By the host itself, with nothing on the stack: as it is in `lua_close`.
    unsafe { ffi::lua_gc(host.0, ffi::LUA_GCCOLLECT, 0) };
    assert_eq!(*seen.borrow(), [true]);
    host.run(&code);
    lua.gc_collect()?;
    assert_eq!(*seen.borrow(), [true, true]);
    drop(lua);
    host.close();
    Ok(())
}

// Lua 5.1 to 5.3 take no more finalizers then, and do not tell.
#[cfg(all(any(lua_ge_54, feature = "luajit"), not(feature = "send")))]
#[test]
fn userdata_made_while_the_host_closes_the_vm_are_dropped() -> Result<()> {
    let drops = Rc::new(Cell::new(0));
    let host = Host::new();
    let lua = host.instance();
    let make = {
        let drops = drops.clone();
        lua.create_function(move |lua, ()| lua.create_any_userdata(OnDrop(drops.clone())))?
    };
    lua.globals().set("make", make)?;
    lua.load(with_finalized!(
        "late = finalized(function() made = { make(), make() } end)"
    ))
    .exec()?;
    drop(lua);
    host.close();
    assert_eq!(drops.get(), 2);
    Ok(())
}

#[cfg(lua_ge_54)]
#[test]
fn no_instance_can_be_made_while_the_host_closes_the_vm() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static REFUSED: AtomicBool = AtomicBool::new(false);
    unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
        // SAFETY: called by Lua, as a finalizer.
        let made = catch_unwind(AssertUnwindSafe(|| unsafe { Lua::init_from_ptr(state) }));
        REFUSED.store(made.is_err(), Ordering::Relaxed);
        0
    }
    let host = Host::new();
    // SAFETY: a plain C function.
    unsafe {
        ffi::lua_pushcfunction(host.0, open);
        ffi::lua_setglobal(host.0, c"open".as_ptr());
    }
    let status = host.run(c"late = setmetatable({}, { __gc = open })");
    assert_eq!(status, ffi::LUA_OK);
    host.close();
    assert!(REFUSED.load(Ordering::Relaxed));
}

#[cfg(feature = "weak-owned")]
#[test]
fn handles_die_with_the_vm() -> Result<()> {
    let host = Host::new();
    let lua = host.instance();
    let weak = lua.weak();
    let table = lua.globals().into_owned();
    let other = table.clone();
    drop(lua);
    assert!(table.is_alive() && weak.is_alive());
    table.upgrade_in(&host.instance())?.set("x", 1)?;
    host.close();
    assert!(!table.is_alive() && !weak.is_alive());
    #[cfg(not(feature = "send"))]
    assert!(matches!(table.try_upgrade(), Err(Error::LuaDestroyed)));
    assert!(table == other);
    drop((table, other));
    Ok(())
}

#[cfg(not(feature = "send"))]
#[test]
fn what_the_instance_holds_is_dropped_once_when_the_vm_is_closed() -> Result<()> {
    let drops = Rc::new(Cell::new(0));
    let host = Host::new();
    let lua = host.instance();
    lua.set_app_data(OnDrop(drops.clone()));
    let a = drops.clone();
    let b = OnDrop(drops.clone());
    lua.set_hook(mlua::HookTriggers::EVERY_LINE, move |_, _| {
        let _ = &b;
        Ok(())
    });
    #[cfg(lua_ge_54)]
    {
        let c = OnDrop(drops.clone());
        lua.set_warning_function(move |_, _, _| {
            let _ = &c;
            Ok(())
        });
    }
    let guard = OnDrop(a);
    let function = lua.create_function(move |_, ()| {
        let _ = &guard;
        Ok(())
    })?;
    lua.globals().set("function", function)?;
    drop(lua);
    assert_eq!(drops.get(), 0);
    host.close();
    assert_eq!(drops.get(), if cfg!(lua_ge_54) { 4 } else { 3 });
    Ok(())
}

#[cfg(not(feature = "send"))]
#[test]
fn a_finalizer_that_runs_after_the_end_gets_a_lua_error() -> Result<()> {
    let host = Host::new();
    // Made before the instance, so it is finalized after it.
    let early = with_finalized!(
        "early = finalized(function()
            ok_before = calls
            local ok, text = pcall(count)
            report(ok, text)
        end)"
    );
    host.run(&CString::new(early).unwrap());
    thread_local! {
        static SEEN: Cell<u32> = const { Cell::new(0) };
    }
    unsafe extern "C-unwind" fn report(state: *mut lua_State) -> c_int {
        // SAFETY: called by Lua with a boolean and a string.
        unsafe {
            assert_eq!(ffi::lua_toboolean(state, 1), 0);
            let text = std::ffi::CStr::from_ptr(ffi::lua_tostring(state, 2));
            assert_eq!(text.to_str(), Ok("Lua instance is destroyed"));
        }
        SEEN.set(SEEN.get() + 1);
        0
    }
    let lua = host.instance();
    let calls = Rc::new(Cell::new(0));
    let count = {
        let calls = calls.clone();
        lua.create_function(move |_, ()| {
            calls.set(calls.get() + 1);
            Ok(())
        })?
    };
    lua.globals().set("count", count)?;
    // SAFETY: `report` keeps to what a C function may do.
    let report = unsafe { lua.create_c_function(report)? };
    lua.globals().set("report", report)?;
    // Made after the instance, so it is finalized before it.
    lua.load(with_finalized!("late = finalized(function() count() end)"))
        .exec()?;
    drop(lua);
    host.close();
    assert_eq!((calls.get(), SEEN.get()), (1, 1));
    Ok(())
}

unsafe extern "C-unwind" fn open_module(state: *mut lua_State) -> c_int {
    // SAFETY: called by Lua; nothing in this frame needs a drop.
    unsafe {
        Lua::init_from_ptr(state).entrypoint(state, |lua, name: Option<String>| {
            let name = name.ok_or_else(|| Error::runtime("no name"))?;
            let module = lua.create_table()?;
            module.set("name", name)?;
            Ok(module)
        })
    }
}

unsafe extern "C-unwind" fn open_plain_module(state: *mut lua_State) -> c_int {
    // SAFETY: as above.
    unsafe { Lua::init_from_ptr(state).entrypoint1(state, |lua| lua.create_table()) }
}

#[test]
fn modules_open_in_any_coroutine_and_raise_their_errors() -> Result<()> {
    let host = Host::new();
    // SAFETY: plain C functions.
    unsafe {
        ffi::lua_pushcfunction(host.0, open_module);
        ffi::lua_setglobal(host.0, c"open_module".as_ptr());
        ffi::lua_pushcfunction(host.0, open_plain_module);
        ffi::lua_setglobal(host.0, c"open_plain_module".as_ptr());
    }
    let status = host.run(
        c"coroutine.wrap(function() first = open_module('m') end)()
        assert(first.name == 'm')
        assert(type(open_plain_module()) == 'table')
        local ok, e = pcall(open_module)
        assert(not ok and tostring(e):find('no name'))",
    );
    assert_eq!(status, ffi::LUA_OK);
    host.close();
    Ok(())
}

#[test]
fn an_instance_of_ours_is_found_from_its_state() -> Result<()> {
    unsafe extern "C-unwind" fn touch(state: *mut lua_State) -> c_int {
        // SAFETY: a state of a VM that has an instance.
        let lua = unsafe { Lua::init_from_ptr(state) };
        *lua.app_data_mut::<u32>().unwrap() += 1;
        0
    }
    let lua = Lua::new();
    lua.set_app_data(0u32);
    // SAFETY: `touch` neither raises nor panics.
    let touch: Function = unsafe { lua.create_c_function(touch)? };
    touch.call::<_, ()>(())?;
    touch.call::<_, ()>(())?;
    assert_eq!(*lua.app_data_ref::<u32>().unwrap(), 2);
    Ok(())
}

#[test]
fn a_thousand_hosts_come_and_go() -> Result<()> {
    for _ in 0..1000 {
        // SAFETY: a bare VM.
        let host = Host(unsafe { ffi::luaL_newstate() });
        let lua = host.instance();
        let table: Table = lua.create_table()?;
        lua.globals().set("t", table)?;
        drop(lua);
        host.close();
    }
    Ok(())
}

/// `coroutine.close` of Lua 5.5 ends the coroutine that calls it, over whatever has called it.
#[cfg(feature = "lua55")]
#[test]
fn a_coroutine_that_closes_itself_does_not_leap_over_rust() -> Result<()> {
    let host = Host::new();
    let lua = host.instance();
    let call = lua.create_function(|_, f: Function| Ok(f.call::<_, ()>(()).is_err()))?;
    lua.globals().set("call", call)?;
    let code = c"coroutine.wrap(function() assert(call(coroutine.close)); coroutine.close() end)()";
    assert_eq!(host.run(code), ffi::LUA_OK);
    drop(lua);
    host.close();

    // A host without that library.
    let host = Host::new();
    assert_eq!(
        host.run(c"package.loaded.coroutine = nil; coroutine = nil"),
        ffi::LUA_OK
    );
    assert_eq!(host.instance().load("return 1").eval::<i64>()?, 1);
    host.close();
    Ok(())
}

/// Those of 0.9.
#[cfg(all(
    feature = "unstable",
    not(any(feature = "send", feature = "weak-owned"))
))]
#[test]
fn strong_handles_are_left_when_the_host_closes() -> Result<()> {
    let host = Host::new();
    let lua = host.instance();
    let table = lua.create_table()?.into_owned();
    let clones: Vec<_> = (0..10).map(|_| table.clone()).collect();
    drop(lua);
    host.close();
    drop(table);
    for clone in clones {
        drop(clone.clone());
    }
    Ok(())
}
