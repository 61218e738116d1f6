//! Userdata: making them, borrowing, taking, dropping; user values; arguments.
//!
//! With the feature `send` values must be `Send`, which those here are not.

#![cfg(not(feature = "send"))]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, RwLock};

use mlua::{
    AnyUserData, AnyUserDataExt, Error, FromLua, Function, Lua, MetaMethod, Result, UserData,
    UserDataFields, UserDataMethods, UserDataRef, UserDataRefMut, Value,
};

struct Counter(i64);

impl UserData for Counter {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("value", |_, this| Ok(this.0));
        fields.add_field_method_set("value", |_, this, value| {
            this.0 = value;
            Ok(())
        });
        fields.add_field_function_get("is_counter", |_, this| Ok(this.is::<Counter>()));
        fields.add_field_function_set("direct", |_, this, value| {
            this.borrow_mut::<Counter>()?.0 = value;
            Ok(())
        });
        fields.add_field("step", 1);
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, ()| Ok(this.0));
        methods.add_method_mut("add", |_, this, n: i64| {
            this.0 += n;
            Ok(this.0)
        });
        methods.add_method("reading", |_, this, f: Function| {
            f.call::<_, ()>(())?;
            Ok(this.0)
        });
        methods.add_method_mut("writing", |_, this, f: Function| {
            f.call::<_, ()>(())?;
            Ok(this.0)
        });
        methods.add_function("new", |_, n: i64| Ok(Counter(n)));
        methods.add_function(
            "sum",
            |_, (a, b): (UserDataRef<Self>, UserDataRef<Self>)| Ok(a.0 + b.0),
        );
        methods.add_function("reset", |_, mut this: UserDataRefMut<Self>| {
            this.0 = 0;
            Ok(())
        });
        methods.add_function_mut("nested", |_, f: Option<Function>| match f {
            Some(f) => f.call::<_, ()>(()),
            None => Ok(()),
        });
        methods.add_meta_method(MetaMethod::Add, |_, this, n: i64| Ok(this.0 + n));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("Counter({})", this.0))
        });
    }
}

/// Counts its drops.
struct Dropped(Rc<Cell<u32>>);

impl UserData for Dropped {}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn with_counter() -> Result<Lua> {
    let lua = Lua::new();
    lua.globals().set("c", Counter(3))?;
    Ok(lua)
}

/// The error that a callback returned, without the wrapping of callbacks.
fn cause(result: Result<()>) -> Error {
    let mut error = result.expect_err("an error");
    while let Error::CallbackError { cause, .. } = error {
        error = (*cause).clone();
    }
    error
}

fn run_error(lua: &Lua, code: &str) -> Error {
    cause(lua.load(code).exec())
}

/// The parts of an error about an argument: function, position, name, cause.
fn bad_argument(error: Error) -> (Option<String>, usize, Option<String>, Error) {
    match error {
        Error::BadArgument {
            to,
            pos,
            name,
            cause,
        } => (to, pos, name, (*cause).clone()),
        other => panic!("not about an argument: {other:?}"),
    }
}

fn bad_self(error: Error, function: &str) -> Error {
    let (to, pos, name, cause) = bad_argument(error);
    assert_eq!(to.as_deref(), Some(function));
    assert_eq!((pos, name.as_deref()), (1, Some("self")));
    cause
}

#[test]
fn methods_and_fields_work_from_lua() -> Result<()> {
    let lua = with_counter()?;
    lua.load(
        r#"
        assert(c.value == 3 and c:get() == 3 and c.is_counter and c.step == 1)
        c.value = 5
        assert(c.value == 5)
        c.direct = 6
        assert(c:add(4) == 10)
        assert(c + 5 == 15)
        assert(tostring(c) == "Counter(10)")
        assert(c.new(7):get() == 7)
        assert(c.sum(c, c.new(1)) == 11)
        c.reset(c)
        assert(c.value == 0)
        assert(c.nope == nil and c[1] == nil and c[{}] == nil)
        "#,
    )
    .exec()
}

#[test]
fn unknown_fields_cannot_be_set() -> Result<()> {
    let lua = with_counter()?;
    let error = lua.load("c.nope = 1").exec().unwrap_err().to_string();
    assert!(
        error.contains("attempt to set an unknown field 'nope'"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_wrong_self_is_an_error_about_self() -> Result<()> {
    let lua = with_counter()?;
    lua.load("get = c.get").exec()?;
    lua.globals().set("other", lua.create_any_userdata(1u8)?)?;
    for code in [
        "get(1)",
        "get(other)",
        "get({})",
        "get('x')",
        "get((io and io.stdout or newproxy()))",
    ] {
        let cause = bad_self(run_error(&lua, code), "Counter.get");
        assert!(
            matches!(cause, Error::UserDataTypeMismatch),
            "{code}: {cause:?}"
        );
    }
    match bad_self(run_error(&lua, "get()"), "Counter.get") {
        Error::FromLuaConversionError { from, to, .. } => {
            assert_eq!((from, to), ("missing argument", "userdata"));
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn arguments_are_counted_with_self() -> Result<()> {
    let lua = with_counter()?;
    let (to, pos, name, _) = bad_argument(run_error(&lua, "c:add('x')"));
    assert_eq!(to.as_deref(), Some("Counter.add"));
    assert_eq!((pos, name), (2, None));
    let (to, pos, ..) = bad_argument(run_error(&lua, "c.value = {}"));
    assert_eq!((to.as_deref(), pos), (Some("Counter.value"), 2));
    let (to, pos, ..) = bad_argument(run_error(&lua, "c.new('x')"));
    assert_eq!((to.as_deref(), pos), (Some("Counter.new"), 1));
    let (to, pos, ..) = bad_argument(run_error(&lua, "return c + {}"));
    assert_eq!((to.as_deref(), pos), (Some("Counter.__add"), 2));
    Ok(())
}

#[test]
fn borrows_by_running_methods_are_seen() -> Result<()> {
    let lua = with_counter()?;
    lua.load("c:reading(function() assert(c:get() == 3) end)")
        .exec()?;
    let error = run_error(&lua, "c:reading(function() c:add(1) end)");
    assert!(matches!(
        bad_self(error, "Counter.add"),
        Error::UserDataBorrowMutError
    ));
    let error = run_error(&lua, "c:reading(function() c.value = 1 end)");
    assert!(matches!(
        bad_self(error, "Counter.value"),
        Error::UserDataBorrowMutError
    ));
    let error = run_error(&lua, "c:writing(function() c:get() end)");
    assert!(matches!(
        bad_self(error, "Counter.get"),
        Error::UserDataBorrowError
    ));
    let error = run_error(&lua, "c:writing(function() return c.value end)");
    assert!(matches!(
        bad_self(error, "Counter.value"),
        Error::UserDataBorrowError
    ));
    // All borrows are over.
    lua.load("c:add(1)").exec()
}

#[test]
fn mutable_callbacks_are_not_recursive() -> Result<()> {
    let lua = with_counter()?;
    lua.load("c.nested(function() assert(c:get() == 3) end)")
        .exec()?;
    for code in [
        "c.nested(function() c.nested() end)",
        "c:writing(function() c.new(1):writing(function() end) end)",
    ] {
        let error = run_error(&lua, code);
        assert!(matches!(error, Error::RecursiveMutCallback), "{error:?}");
    }
    Ok(())
}

#[test]
fn a_panic_in_a_method_goes_on_and_ends_the_borrow() -> Result<()> {
    struct Panics;
    impl UserData for Panics {
        fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
            methods.add_method_mut("panic", |_, _, ()| -> Result<()> { panic!("in a method") });
        }
    }
    let lua = Lua::new();
    let userdata = lua.create_userdata(Panics)?;
    let call = std::panic::AssertUnwindSafe(|| userdata.call_method::<_, ()>("panic", ()));
    let payload = std::panic::catch_unwind(call).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"in a method"));
    assert!(userdata.borrow_mut::<Panics>().is_ok());
    Ok(())
}

#[test]
fn rust_borrows_follow_the_rules_of_a_ref_cell() -> Result<()> {
    let lua = Lua::new();
    let userdata = lua.create_userdata(Counter(1))?;
    {
        let one = userdata.borrow::<Counter>()?;
        let two = userdata.borrow::<Counter>()?;
        assert_eq!(one.0 + two.0, 2);
        let error = userdata.borrow_mut::<Counter>().map(|_| ());
        assert!(matches!(error, Err(Error::UserDataBorrowMutError)));
        let error = userdata.take::<Counter>().map(|_| ());
        assert!(matches!(error, Err(Error::UserDataBorrowMutError)));
    }
    {
        userdata.borrow_mut::<Counter>()?.0 = 2;
        let _one = userdata.borrow_mut::<Counter>()?;
        let error = userdata.borrow::<Counter>().map(|_| ());
        assert!(matches!(error, Err(Error::UserDataBorrowError)));
        assert!(userdata.is::<Counter>());
    }
    assert_eq!(userdata.borrow::<Counter>()?.0, 2);
    let error = userdata.borrow::<String>().map(|_| ());
    assert!(matches!(error, Err(Error::UserDataTypeMismatch)));
    Ok(())
}

#[test]
fn a_borrow_keeps_userdata_and_instance() -> Result<()> {
    let lua = Lua::new();
    let userdata =
        UserDataRef::<Counter>::from_lua(Value::UserData(lua.create_userdata(Counter(9))?), &lua)?;
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(userdata.0, 9);
    Ok(())
}

#[test]
fn a_value_can_be_taken_once() -> Result<()> {
    let lua = with_counter()?;
    let userdata: AnyUserData = lua.globals().get("c")?;
    userdata.set_user_value(1)?;
    assert!(matches!(
        userdata.take::<u8>(),
        Err(Error::UserDataTypeMismatch)
    ));
    assert_eq!(userdata.take::<Counter>()?.0, 3);
    assert!(!userdata.is::<Counter>());
    let gone = |result: Result<()>| assert!(matches!(result, Err(Error::UserDataDestructed)));
    gone(userdata.take::<Counter>().map(|_| ()));
    gone(userdata.borrow::<Counter>().map(|_| ()));
    gone(userdata.borrow_mut::<Counter>().map(|_| ()));
    gone(userdata.get_metatable().map(|_| ()));
    gone(userdata.user_value::<Value>().map(|_| ()));
    gone(userdata.set_named_user_value("x", 1));
    gone(userdata.get::<_, Value>("value").map(|_| ()));
    for code in [
        "return c.value",
        "c.value = 1",
        "c:get()",
        "tostring(c)",
        "return c + 1",
        "return 1 .. c",
        "return #c",
        "return c < c",
        "return -c",
        "c()",
        #[cfg(any(lua_ge_52, feature = "luajit52"))]
        "for _ in pairs(c) do end",
        #[cfg(lua_ge_54)]
        "local x <close> = c",
        #[cfg(lua_ge_53)] // before that both have to have the same metamethod
        "return c == (io and io.stdout or newproxy())",
    ] {
        let error = run_error(&lua, code);
        assert!(
            matches!(error, Error::CallbackDestructed),
            "{code}: {error:?}"
        );
    }
    lua.globals().set("d", Counter(1))?;
    let error = bad_self(run_error(&lua, "d.get(c)"), "Counter.get");
    assert!(matches!(error, Error::UserDataDestructed));
    Ok(())
}

#[test]
fn values_are_dropped_once() -> Result<()> {
    let drops = Rc::new(Cell::new(0));
    let lua = Lua::new();
    drop(lua.create_userdata(Dropped(drops.clone()))?);
    lua.gc_collect()?;
    assert_eq!(drops.get(), 1);
    drop(
        lua.create_userdata(Dropped(drops.clone()))?
            .take::<Dropped>()?,
    );
    assert_eq!(drops.get(), 2);
    lua.gc_collect()?;
    assert_eq!(drops.get(), 2);
    lua.globals().set("kept", Dropped(drops.clone()))?;
    lua.gc_collect()?;
    assert_eq!(drops.get(), 2);
    drop(lua);
    assert_eq!(drops.get(), 3);
    Ok(())
}

#[test]
fn a_panic_in_a_destructor_ends_there() -> Result<()> {
    struct Panics(Rc<Cell<u32>>);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            panic!("in a destructor");
        }
    }
    let drops = Rc::new(Cell::new(0));
    let lua = Lua::new();
    lua.create_any_userdata(Panics(drops.clone()))?;
    lua.gc_collect()?;
    lua.globals()
        .set("kept", lua.create_any_userdata(Panics(drops.clone()))?)?;
    drop(lua);
    assert_eq!(drops.get(), 2);
    Ok(())
}

#[test]
fn destructors_may_use_lua() -> Result<()> {
    struct Logs(&'static str, Function<'static>);
    impl Drop for Logs {
        fn drop(&mut self) {
            self.1.call::<_, ()>(self.0).unwrap();
        }
    }
    let lua = Lua::new().into_static();
    let log: Function = lua
        .load("log = {} return function(s) log[#log + 1] = s end")
        .eval()?;
    lua.create_any_userdata(Logs("first", log.clone()))?;
    lua.create_any_userdata(Logs("second", log))?;
    lua.gc_collect()?;
    lua.gc_collect()?;
    let log: String = lua
        .load("table.sort(log) return table.concat(log, ',')")
        .eval()?;
    assert_eq!(log, "first,second");
    Ok(())
}

#[test]
fn values_are_aligned() -> Result<()> {
    #[repr(align(64))]
    struct Aligned(u8);
    let lua = Lua::new();
    for i in 0..20 {
        let userdata = lua.create_any_userdata(Aligned(i))?;
        let value = userdata.borrow::<Aligned>()?;
        assert_eq!(&*value as *const Aligned as usize % 64, 0);
        assert_eq!(value.0, i);
    }
    Ok(())
}

#[test]
fn without_memory_the_value_is_dropped() -> Result<()> {
    struct Big(Rc<Cell<u32>>, #[allow(dead_code)] [u8; 100_000]);
    impl Drop for Big {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let lua = Lua::new();
    lua.create_any_userdata(Big(drops.clone(), [0; 100_000]))?;
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(drops.get(), 1);
    lua.set_memory_limit(lua.used_memory() + 50_000)?;
    let error = lua
        .create_any_userdata(Big(drops.clone(), [0; 100_000]))
        .map(|_| ());
    assert!(matches!(error, Err(Error::MemoryError(_))), "{error:?}");
    assert_eq!(drops.get(), 2);
    Ok(())
}

#[test]
fn a_tight_memory_limit_is_an_error_while_a_type_is_registered() -> Result<()> {
    for room in (0..6000).step_by(50) {
        let lua = Lua::new();
        lua.gc_collect()?;
        lua.set_memory_limit(lua.used_memory() + room)?;
        match lua.create_userdata(Counter(1)) {
            Ok(counter) => assert_eq!(counter.borrow::<Counter>()?.0, 1),
            Err(error) => assert!(matches!(error, Error::MemoryError(_)), "{error:?}"),
        }
        lua.set_memory_limit(0)?;
        assert_eq!(
            lua.create_userdata(Counter(2))?
                .call_method::<_, i64>("get", ())?,
            2
        );
    }
    Ok(())
}

#[test]
fn other_libraries_userdata_are_not_looked_into() -> Result<()> {
    let lua = Lua::new();
    let file: AnyUserData = lua.load("return (io and io.stdout or newproxy())").eval()?;
    assert!(!file.is::<Counter>());
    let wrong = |result: Result<()>| assert!(matches!(result, Err(Error::UserDataTypeMismatch)));
    wrong(file.borrow::<Counter>().map(|_| ()));
    wrong(file.take::<Counter>().map(|_| ()));
    wrong(file.get_metatable().map(|_| ()));
    wrong(file.set_user_value(1));
    wrong(file.user_value::<Value>().map(|_| ()));
    wrong(file.set_named_user_value("x", 1));
    Ok(())
}

#[test]
fn user_values_are_numbered_or_named() -> Result<()> {
    let lua = Lua::new();
    let userdata = lua.create_userdata(Counter(1))?;
    for n in [1, 2, 7, 8, 9, 100, 65535] {
        assert_eq!(userdata.nth_user_value::<Value>(n)?, Value::Nil);
        userdata.set_nth_user_value(n, n)?;
        assert_eq!(userdata.nth_user_value::<usize>(n)?, n);
    }
    assert_eq!(userdata.named_user_value::<Value>("x")?, Value::Nil);
    userdata.set_named_user_value("x", "named")?;
    assert_eq!(userdata.named_user_value::<String>("x")?, "named");
    assert_eq!(userdata.nth_user_value::<usize>(9)?, 9);
    userdata.set_user_value("first")?;
    assert_eq!(userdata.user_value::<String>()?, "first");
    for n in [0, 65536, usize::MAX] {
        let error = userdata.set_nth_user_value(n, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "runtime error: user value index out of bounds"
        );
        assert!(userdata.nth_user_value::<Value>(n).is_err());
    }
    Ok(())
}

#[test]
fn user_values_live_as_long_as_the_userdata() -> Result<()> {
    let drops = Rc::new(Cell::new(0));
    let lua = Lua::new();
    let userdata = lua.create_userdata(Counter(1))?;
    userdata.set_user_value(Dropped(drops.clone()))?;
    userdata.set_nth_user_value(3, Dropped(drops.clone()))?;
    userdata.set_named_user_value("x", Dropped(drops.clone()))?;
    lua.gc_collect()?;
    assert_eq!(drops.get(), 0);
    drop(userdata);
    lua.gc_collect()?;
    lua.gc_collect()?;
    assert_eq!(drops.get(), 3);
    Ok(())
}

#[test]
fn wrappers_have_the_methods_of_what_they_wrap() -> Result<()> {
    let lua = Lua::new();
    let globals = lua.globals();
    globals.set("rc", Rc::new(Counter(1)))?;
    globals.set("cell", Rc::new(RefCell::new(Counter(2))))?;
    globals.set("arc", Arc::new(Counter(3)))?;
    globals.set("mutex", Arc::new(Mutex::new(Counter(4))))?;
    globals.set("lock", Arc::new(RwLock::new(Counter(5))))?;
    globals.set("plain", Counter(6))?;
    lua.load(
        r#"
        for i, c in ipairs { rc, cell, arc, mutex, lock, plain } do
            assert(c:get() == i and c.value == i and c.step == 1 and c + 1 == i + 1)
            assert(tostring(c) == "Counter(" .. i .. ")")
            -- A method works on every userdata that leads to the type.
            assert(plain.get(c) == i and c.get(plain) == 6)
        end
        for i, c in ipairs { cell, mutex, lock, plain } do
            assert(c:add(10) >= 12)
            c.value = 20
            assert(c:get() == 20)
        end
        "#,
    )
    .exec()?;
    for code in ["rc:add(1)", "arc:add(1)", "rc.value = 1", "rc:add('x')"] {
        let error = run_error(&lua, code);
        assert!(
            matches!(error, Error::UserDataBorrowMutError),
            "{code}: {error:?}"
        );
    }
    for name in ["cell", "mutex", "lock"] {
        let error = run_error(
            &lua,
            &format!("{name}:reading(function() {name}:add(1) end)"),
        );
        assert!(matches!(
            bad_self(error, "Counter.add"),
            Error::UserDataBorrowMutError
        ));
        let error = run_error(
            &lua,
            &format!("{name}:writing(function() {name}:get() end)"),
        );
        assert!(matches!(
            bad_self(error, "Counter.get"),
            Error::UserDataBorrowError
        ));
    }
    let rc: AnyUserData = globals.get("rc")?;
    assert!(rc.is::<Rc<Counter>>() && !rc.is::<Counter>());
    Ok(())
}

#[cfg(feature = "parking_lot")]
#[test]
fn the_locks_of_parking_lot_are_wrappers_too() -> Result<()> {
    let lua = Lua::new();
    let mutex = Arc::new(parking_lot::Mutex::new(Counter(1)));
    let lock = Arc::new(parking_lot::RwLock::new(Counter(2)));
    lua.globals().set("plain", Counter(3))?;
    lua.globals().set("mutex", mutex.clone())?;
    lua.globals().set("lock", lock.clone())?;
    lua.load(
        r#"
        for i, c in ipairs { mutex, lock } do
            assert(c:get() == i and c.value == i and plain.get(c) == i and plain.add(c, 1) == i + 1)
            c.value = 10 * i
        end
        lock:reading(function() assert(lock:get() == 20) end)
        "#,
    )
    .exec()?;
    assert_eq!((mutex.lock().0, lock.read().0), (10, 20));

    let reading = lock.read();
    lua.load("assert(lock:get() == 20)").exec()?;
    let held = (mutex.lock(), reading);
    for (code, function) in [
        ("mutex:get()", "Counter.get"),
        ("lock:add(1)", "Counter.add"),
    ] {
        let cause = bad_self(run_error(&lua, code), function);
        let expected = match function {
            "Counter.get" => matches!(cause, Error::UserDataBorrowError),
            _ => matches!(cause, Error::UserDataBorrowMutError),
        };
        assert!(expected, "{code}: {cause:?}");
    }
    drop(held);
    drop(lua);
    assert_eq!(
        (Arc::strong_count(&mutex), Arc::strong_count(&lock)),
        (1, 1)
    );
    Ok(())
}

#[test]
fn a_wrapped_value_is_shared_with_rust() -> Result<()> {
    let lua = Lua::new();
    let shared = Arc::new(Mutex::new(Counter(1)));
    lua.globals().set("c", shared.clone())?;
    lua.load("c:add(1)").exec()?;
    assert_eq!(shared.lock().unwrap().0, 2);
    let locked = shared.lock().unwrap();
    let error = run_error(&lua, "c:get()");
    assert!(matches!(
        bad_self(error, "Counter.get"),
        Error::UserDataBorrowError
    ));
    drop(locked);
    drop(lua);
    assert_eq!(Arc::strong_count(&shared), 1);
    Ok(())
}

#[test]
fn arguments_take_userdata_of_their_type() -> Result<()> {
    let lua = with_counter()?;
    let get = lua.create_function(|_, c: UserDataRef<Counter>| Ok(c.0))?;
    let add = lua.create_function(|_, (mut c, n): (UserDataRefMut<Counter>, i64)| {
        c.0 += n;
        Ok(())
    })?;
    add.call::<_, ()>((lua.globals().get::<_, AnyUserData>("c")?, 2))?;
    assert_eq!(
        get.call::<_, i64>(lua.globals().get::<_, AnyUserData>("c")?)?,
        5
    );
    let (_, pos, _, error) = bad_argument(cause(get.call(lua.create_any_userdata(1)?)));
    assert_eq!(pos, 1);
    assert!(matches!(error, Error::UserDataTypeMismatch));
    let (_, _, _, error) = bad_argument(cause(get.call(1)));
    assert_eq!(
        error.to_string(),
        "error converting Lua integer to userdata (expected userdata of type userdata::Counter)"
    );
    Ok(())
}

#[test]
fn any_type_can_be_wrapped_and_registered() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("early", AnyUserData::wrap(vec![1, 2]))?;
    let error = lua.load("return early.len").exec().unwrap_err().to_string();
    assert!(
        error.contains(if cfg!(lua_ge_53) {
            "attempt to index a Vec<i32> value"
        } else if cfg!(feature = "luau") {
            "attempt to index Vec<i32> with 'len'"
        } else {
            "(a userdata value)"
        }),
        "{error}"
    );
    lua.register_userdata_type::<Vec<i32>>(|registry| {
        registry.add_method("len", |_, this, ()| Ok(this.len()));
        registry.add_method_mut("push", |_, this, n| {
            this.push(n);
            Ok(())
        });
        registry.add_field("kind", "vector");
    })?;
    lua.globals()
        .set("late", lua.create_any_userdata(vec![1, 2, 3])?)?;
    lua.load("late:push(4) assert(late:len() == 4 and late.kind == 'vector')")
        .exec()?;
    // Those made before keep the metatable they have, but are of the same type.
    lua.load("assert(late.len(early) == 2)").exec()?;
    lua.register_userdata_type::<Vec<i32>>(|registry| {
        registry.add_method("first", |_, this, ()| Ok(this.first().copied()));
    })?;
    lua.globals().set("last", AnyUserData::wrap(vec![8]))?;
    lua.load("assert(last:first() == 8 and last.len == nil and late.len(last) == 1)")
        .exec()?;
    assert_eq!(
        lua.globals()
            .get::<_, AnyUserData>("late")?
            .borrow::<Vec<i32>>()?
            .len(),
        4
    );
    Ok(())
}

#[test]
fn a_proxy_has_what_needs_no_value() -> Result<()> {
    let lua = Lua::new();
    lua.globals()
        .set("Counter", lua.create_proxy::<Counter>()?)?;
    lua.load("assert(Counter.new(4):get() == 4 and Counter.step == 1)")
        .exec()?;
    let error = run_error(&lua, "Counter:get()");
    assert!(matches!(
        bad_self(error, "Counter.get"),
        Error::UserDataTypeMismatch
    ));
    let error = run_error(&lua, "return Counter.value");
    assert!(matches!(
        bad_self(error, "Counter.value"),
        Error::UserDataTypeMismatch
    ));
    Ok(())
}

#[test]
fn fields_and_calls_from_rust() -> Result<()> {
    let lua = Lua::new();
    let counter = lua.create_userdata(Counter(1))?;
    assert_eq!(counter.get::<_, i64>("value")?, 1);
    counter.set("value", 2)?;
    assert_eq!(counter.call_method::<_, i64>("add", 3)?, 5);
    let made: AnyUserData = counter.call_function("new", 8)?;
    assert_eq!(made.borrow::<Counter>()?.0, 8);
    assert_eq!(counter.get::<_, Value>("nope")?, Value::Nil);
    let text = |result: Result<()>| match result.unwrap_err() {
        Error::RuntimeError(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        text(counter.call_method("nope", ())),
        "attempt to call a nil value"
    );
    assert_eq!(
        text(counter.call_method("step", ())),
        "attempt to call a integer value"
    );
    assert_eq!(text(counter.call(())), "attempt to call a userdata value");
    let plain = lua.create_any_userdata(1)?;
    assert_eq!(
        text(plain.get::<_, Value>("x").map(|_| ())),
        "attempt to index a userdata value"
    );
    assert_eq!(text(plain.set("x", 1)), "attempt to index a userdata value");
    Ok(())
}

#[test]
fn identity_and_debug() -> Result<()> {
    let lua = Lua::new();
    let one = lua.create_userdata(Counter(1))?;
    let two = lua.create_userdata(Counter(1))?;
    lua.globals().set("one", &one)?;
    assert_eq!(one, one.clone());
    assert_eq!(one, lua.globals().get::<_, AnyUserData>("one")?);
    assert_ne!(one, two);
    assert!(format!("{one:?}").starts_with("AnyUserData(Ref(0x"));
    assert_ne!(one.to_pointer(), two.to_pointer());
    Ok(())
}

#[test]
fn methods_work_in_coroutines() -> Result<()> {
    let lua = with_counter()?;
    lua.load(
        r#"
        local co = coroutine.wrap(function()
            coroutine.yield(c:add(1))
            c:reading(function() coroutine.wrap(function() assert(c:get() == 4) end)() end)
            return c.value
        end)
        assert(co() == 4)
        assert(co() == 4)
        "#,
    )
    .exec()
}
