//! Scopes: what they make works inside and has ended outside.

use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;

use mlua::{
    AnyUserData, AnyUserDataExt, Error, Function, Lua, Result, UserData, UserDataFields,
    UserDataMethods, UserDataRef, Value,
};

struct Counter(i64);

impl UserData for Counter {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("value", |_, this| Ok(this.0));
        fields.add_field_method_set("value", |_, this, value| {
            this.0 = value;
            Ok(())
        });
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, ()| Ok(this.0));
        methods.add_method_mut("add", |_, this, n: i64| {
            this.0 += n;
            Ok(())
        });
        methods.add_function("by_ref", |_, this: UserDataRef<Self>| Ok(this.0));
    }
}

/// A type that is not `'static`.
struct Borrows<'a>(&'a Cell<i64>);

impl UserData for Borrows<'_> {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("value", |_, this| Ok(this.0.get()));
        fields.add_field_method_set("value", |_, this, value| {
            this.0.set(value);
            Ok(())
        });
        fields.add_field("kind", "borrows");
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method("get", |_, this, ()| Ok(this.0.get()));
        methods.add_method_mut("set", |_, this, value: i64| {
            this.0.set(value);
            Ok(())
        });
        methods.add_method("during", |_, _, f: Function| f.call::<_, ()>(()));
        methods.add_function("double", |_, n: i64| Ok(2 * n));
        methods.add_meta_method("__add", |_, this, n: i64| Ok(this.0.get() + n));
    }
}

/// Writes its name into a log when dropped.
struct Logs<'a>(&'static str, &'a RefCell<Vec<&'static str>>);

impl Drop for Logs<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

impl UserData for Logs<'_> {}

fn cause(result: Result<()>) -> Error {
    let mut error = result.expect_err("an error");
    while let Error::CallbackError { cause, .. } = error {
        error = (*cause).clone();
    }
    error
}

fn bad_self(result: Result<()>) -> Error {
    match cause(result) {
        Error::BadArgument { name, cause, .. } if name.as_deref() == Some("self") => {
            (*cause).clone()
        }
        other => panic!("not about self: {other:?}"),
    }
}

#[test]
fn functions_borrow_and_end() -> Result<()> {
    let lua = Lua::new();
    let seen = Cell::new(0);
    let mut count = 0;
    lua.scope(|scope| {
        let see = scope.create_function(|_, n: i64| {
            seen.set(n);
            Ok(n + 1)
        })?;
        assert_eq!(see.call::<_, i64>(4)?, 5);
        lua.globals().set("see", see)?;
        let tick = scope.create_function_mut(|_, ()| {
            count += 1;
            Ok(count)
        })?;
        lua.globals().set("tick", tick)?;
        lua.load("assert(see(7) == 8 and tick() == 1 and tick() == 2)")
            .exec()
    })?;
    assert_eq!((seen.get(), count), (7, 2));
    for code in ["see(1)", "tick()"] {
        assert!(matches!(
            cause(lua.load(code).exec()),
            Error::CallbackDestructed
        ));
    }
    Ok(())
}

#[test]
fn mutable_functions_are_not_recursive() -> Result<()> {
    let lua = Lua::new();
    lua.scope(|scope| {
        let f = scope.create_function_mut(|_, f: Option<Function>| {
            f.map_or(Ok(()), |f| f.call::<_, ()>(()))
        })?;
        lua.globals().set("f", f)?;
        assert!(matches!(
            cause(lua.load("f(f)").exec()),
            Error::RecursiveMutCallback
        ));
        Ok(())
    })
}

#[test]
fn arguments_of_functions_are_checked() -> Result<()> {
    let lua = Lua::new();
    lua.scope(|scope| {
        let f = scope.create_function(|_, n: i64| Ok(n))?;
        match cause(f.call("x")) {
            Error::BadArgument { to, pos, .. } => assert_eq!((to, pos), (None, 1)),
            other => panic!("{other:?}"),
        }
        Ok(())
    })
}

#[test]
fn userdata_of_static_types_end() -> Result<()> {
    let lua = Lua::new();
    let kept = lua.scope(|scope| {
        let userdata = scope.create_userdata(Counter(1))?;
        lua.globals().set("c", &userdata)?;
        lua.load("c:add(1) c.value = c.value + 1 assert(c:get() == 3)")
            .exec()?;
        assert_eq!(userdata.borrow::<Counter>()?.0, 3);
        let any = scope.create_any_userdata(vec![1])?;
        assert_eq!(any.borrow::<Vec<i32>>()?.len(), 1);
        let taken = scope.create_userdata(Counter(9))?;
        assert_eq!(taken.take::<Counter>()?.0, 9);
        Ok([userdata, any, taken])
    })?;
    for userdata in &kept {
        assert!(!userdata.is::<Counter>() && !userdata.is::<Vec<i32>>());
        assert!(matches!(
            userdata.borrow::<Counter>(),
            Err(Error::UserDataDestructed)
        ));
        assert!(matches!(
            userdata.get_metatable(),
            Err(Error::UserDataDestructed)
        ));
    }
    for code in ["return c.value", "c.value = 1", "c:get()"] {
        assert!(matches!(
            cause(lua.load(code).exec()),
            Error::CallbackDestructed
        ));
    }
    lua.globals().set("other", Counter(1))?;
    let error = bad_self(lua.load("other.get(c)").exec());
    assert!(matches!(error, Error::UserDataDestructed));
    Ok(())
}

#[test]
fn lent_values_are_read_and_changed_in_place() -> Result<()> {
    let lua = Lua::new();
    lua.register_userdata_type::<Vec<i32>>(|registry| {
        registry.add_method("len", |_, this, ()| Ok(this.len()));
        registry.add_method_mut("push", |_, this, n| {
            this.push(n);
            Ok(())
        });
    })?;
    let (shared, mut changed) = (Counter(1), Counter(2));
    let (shared_list, mut list) = (vec![1, 2], Vec::<i32>::new());
    let kept = lua.scope(|scope| {
        let globals = lua.globals();
        let a = scope.create_userdata_ref(&shared)?;
        let b = scope.create_userdata_ref_mut(&mut changed)?;
        let c = scope.create_any_userdata_ref(&shared_list)?;
        let d = scope.create_any_userdata_ref_mut(&mut list)?;
        for (name, userdata) in [("a", &a), ("b", &b), ("c", &c), ("d", &d)] {
            globals.set(name, userdata)?;
        }
        globals.set("plain", Counter(5))?;
        lua.load(
            r#"
            assert(a:get() == 1 and a.value == 1 and a.by_ref(a) == 1 and plain.get(a) == 1)
            b:add(3) b.value = b.value + 1
            assert(b:get() == 6 and b.by_ref(b) == 6 and plain.get(b) == 6 and b.get(plain) == 5)
            d:push(7) d:push(8)
            assert(c:len() == 2 and d:len() == 2)
            "#,
        )
        .exec()?;
        for code in ["a:add(1)", "a.value = 1", "c:push(1)", "plain.add(a, 1)"] {
            let error = bad_self(lua.load(code).exec());
            assert!(matches!(error, Error::UserDataBorrowMutError), "{code}");
        }
        assert!(a.is::<Counter>() && b.is::<Counter>());
        assert_eq!(a.borrow::<Counter>()?.0, 1);
        b.borrow_mut::<Counter>()?.0 = 10;
        assert!(matches!(
            a.borrow_mut::<Counter>(),
            Err(Error::UserDataBorrowMutError)
        ));
        // What is only lent cannot be taken.
        assert!(matches!(
            a.take::<Counter>(),
            Err(Error::UserDataBorrowMutError)
        ));
        assert!(matches!(
            b.take::<Counter>(),
            Err(Error::UserDataTypeMismatch)
        ));
        assert_eq!(b.borrow::<Counter>()?.0, 10);
        Ok([a, b, c, d])
    })?;
    assert_eq!((shared.0, changed.0), (1, 10));
    assert_eq!(list, [7, 8]);
    for userdata in &kept {
        assert!(matches!(
            userdata.borrow::<Counter>(),
            Err(Error::UserDataDestructed)
        ));
    }
    assert!(matches!(
        cause(lua.load("b:get()").exec()),
        Error::CallbackDestructed
    ));
    lua.gc_collect()
}

#[test]
fn userdata_of_other_types_end() -> Result<()> {
    let lua = Lua::new();
    let cell = Cell::new(1);
    let kept = lua.scope(|scope| {
        let userdata = scope.create_nonstatic_userdata(Borrows(&cell))?;
        lua.globals().set("x", &userdata)?;
        lua.globals()
            .set("y", scope.create_nonstatic_userdata(Borrows(&cell))?)?;
        // Before Lua 5.3 `tostring` knows no names of types.
        let kind = if cfg!(any(lua_ge_53, feature = "luau")) {
            "Borrows"
        } else {
            "userdata"
        };
        lua.globals().set("kind", kind)?;
        lua.load(
            r#"
            assert(x.value == 1 and x:get() == 1 and x + 1 == 2 and x.kind == "borrows")
            x.value = 5 assert(y.value == 5 and x.double(4) == 8)
            x:set(6) x:during(function() assert(x:get() == 6) end)
            get, metatable_name = x.get, tostring(x):match("^(%w+)")
            assert(metatable_name == kind, metatable_name)
            "#,
        )
        .exec()?;
        // The methods of one are not those of the other.
        for code in ["x.get(y)", "x.get(1)", "x.get()"] {
            let error = bad_self(lua.load(code).exec());
            assert!(matches!(error, Error::UserDataTypeMismatch), "{code}");
        }
        let error = cause(lua.load("x:during(function() x:set(1) end)").exec());
        assert!(matches!(error, Error::UserDataBorrowMutError), "{error:?}");
        assert!(!userdata.is::<Counter>());
        assert!(matches!(
            userdata.borrow::<Counter>(),
            Err(Error::UserDataTypeMismatch)
        ));
        userdata.set_user_value(1)?;
        assert_eq!(userdata.get::<_, i64>("value")?, 6);
        Ok(userdata)
    })?;
    assert_eq!(cell.get(), 6);
    assert!(matches!(
        kept.get_metatable(),
        Err(Error::UserDataDestructed)
    ));
    let error = bad_self(lua.load("get(x)").exec());
    assert!(matches!(error, Error::UserDataDestructed));
    Ok(())
}

#[test]
fn methods_kept_beyond_a_scope_fit_no_later_userdata() -> Result<()> {
    let lua = Lua::new();
    let cell = Cell::new(1);
    lua.load("kept = {}").exec()?;
    for _ in 0..200 {
        lua.scope(|scope| {
            lua.globals()
                .set("x", scope.create_nonstatic_userdata(Borrows(&cell))?)?;
            lua.load("for i, get in ipairs(kept) do assert(not pcall(get, x)) end")
                .exec()?;
            lua.load("kept[#kept + 1] = x.get x = nil").exec()
        })?;
        lua.gc_collect()?;
    }
    Ok(())
}

#[test]
fn all_is_dropped_once_at_the_end() -> Result<()> {
    let log = RefCell::new(Vec::new());
    let lua = Lua::new();
    let make = |panics: bool| {
        lua.scope(|scope| {
            scope.create_nonstatic_userdata(Logs("userdata", &log))?;
            let captured = Logs("function", &log);
            scope.create_function(move |_, ()| {
                let _ = &captured;
                Ok(())
            })?;
            lua.gc_collect()?;
            assert!(log.borrow().is_empty(), "too early");
            if panics {
                panic!("in a scope");
            }
            Err::<(), _>(Error::RuntimeError("in a scope".into()))
        })
    };
    assert!(make(false).is_err());
    assert_eq!(log.take(), ["userdata", "function"]);
    assert!(catch_unwind(AssertUnwindSafe(|| make(true))).is_err());
    assert_eq!(log.take(), ["userdata", "function"]);
    lua.gc_collect()?;
    drop(lua);
    assert!(log.borrow().is_empty());
    Ok(())
}

#[test]
fn a_panic_in_a_destructor_stops_no_other() -> Result<()> {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    impl UserData for Panics {}
    let log = RefCell::new(Vec::new());
    let lua = Lua::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        lua.scope(|scope| {
            scope.create_userdata(Panics)?;
            scope.create_nonstatic_userdata(Logs("after", &log))?;
            scope.create_any_userdata(Panics)
        })
    }));
    assert!(result.is_err());
    assert_eq!(log.take(), ["after"]);
    lua.gc_collect()
}

#[test]
fn destructors_at_the_end_may_use_lua() -> Result<()> {
    struct Calls<'a>(&'a Lua, Function<'a>, &'a Cell<u32>);
    impl Drop for Calls<'_> {
        fn drop(&mut self) {
            let error = cause(self.1.call(()));
            assert!(matches!(error, Error::CallbackDestructed));
            self.0.gc_collect().unwrap();
            self.2.set(self.2.get() + 1);
        }
    }
    let lua = Lua::new();
    let dropped = Cell::new(0);
    lua.scope(|scope| {
        let f = scope.create_function(|_, ()| Ok(()))?;
        let calls = Calls(&lua, f.clone(), &dropped);
        scope.create_function(move |_, ()| {
            let _ = &calls;
            Ok(())
        })?;
        Ok(())
    })?;
    assert_eq!(dropped.get(), 1);
    Ok(())
}

#[test]
fn without_memory_nothing_is_left_behind() -> Result<()> {
    let log = RefCell::new(Vec::new());
    for room in (0..4000).step_by(40) {
        let lua = Lua::new();
        let lent = Counter(1);
        let mut failed = 0;
        let _ = lua.scope(|scope| {
            lua.gc_collect()?;
            lua.set_memory_limit(lua.used_memory() + room)?;
            let captured = Logs("function", &log);
            let function = scope.create_function(move |_, ()| {
                let _ = &captured;
                Ok(())
            });
            failed += function.is_err() as usize;
            failed += scope
                .create_nonstatic_userdata(Logs("userdata", &log))
                .is_err() as usize;
            assert_eq!(
                log.borrow().len(),
                failed,
                "dropped where it could not be made"
            );
            let _ = scope.create_userdata_ref(&lent);
            Ok(())
        });
        lua.set_memory_limit(0)?;
        assert_eq!(log.take().len(), 2);
        lua.gc_collect()?;
        drop(lua);
        assert!(log.borrow().is_empty());
    }
    Ok(())
}

#[test]
fn a_borrow_that_outlives_the_scope_keeps_its_value() -> Result<()> {
    let lua = Lua::new();
    let userdata = OnceCell::new();
    let borrow = RefCell::new(None);
    lua.scope(|scope| {
        let made = scope.create_any_userdata(String::from("still here"))?;
        let made: &AnyUserData = userdata.get_or_init(|| made);
        *borrow.borrow_mut() = Some(made.borrow::<String>()?);
        Ok(())
    })?;
    lua.gc_collect()?;
    assert_eq!(
        borrow.borrow().as_deref().map(String::as_str),
        Some("still here")
    );
    assert!(matches!(
        userdata.get().unwrap().borrow::<String>(),
        Err(Error::UserDataDestructed)
    ));
    Ok(())
}

#[test]
fn a_borrow_of_a_lent_value_cannot_outlive_the_scope() {
    const CHILD: &str = "SCOPE_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let lua = Lua::new();
        let (userdata, borrow) = (OnceCell::new(), RefCell::new(None));
        let lent = Counter(1);
        let _ = lua.scope(|scope| {
            let made = scope.create_userdata_ref(&lent)?;
            let made: &AnyUserData = userdata.get_or_init(|| made);
            *borrow.borrow_mut() = Some(made.borrow::<Counter>()?);
            Ok(())
        });
        println!("went on");
        return;
    }
    let name = "a_borrow_of_a_lent_value_cannot_outlive_the_scope";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(!child.status.success());
    assert!(
        String::from_utf8_lossy(&child.stderr).contains("still borrowed at the end of the scope")
    );
    assert!(!String::from_utf8_lossy(&child.stdout).contains("went on"));
}

#[test]
fn scopes_nest() -> Result<()> {
    let lua = Lua::new();
    let sum = Cell::new(0);
    lua.scope(|outer| {
        let add = outer.create_function(|_, n: i64| {
            sum.set(sum.get() + n);
            Ok(())
        })?;
        lua.scope(|inner| {
            let twice = inner.create_function(|_, n: i64| {
                add.call::<_, ()>(n)?;
                add.call::<_, ()>(n)
            })?;
            twice.call::<_, ()>(3)
        })?;
        add.call::<_, ()>(1)
    })?;
    assert_eq!(sum.get(), 7);
    Ok(())
}

#[test]
fn a_scope_in_a_callback_of_a_scope() -> Result<()> {
    let lua = Lua::new();
    let depth = Cell::new(0);
    lua.scope(|scope| {
        let f = scope.create_function(|lua, ()| {
            lua.scope(|scope| {
                let g = scope.create_function(|_, ()| {
                    depth.set(depth.get() + 1);
                    Ok(())
                })?;
                g.call::<_, ()>(())
            })
        })?;
        f.call::<_, ()>(())?;
        lua.load("local f = ... coroutine.wrap(function() f() end)()")
            .call::<_, ()>(f)
    })?;
    assert_eq!(depth.get(), 2);
    Ok(())
}

#[test]
fn many_in_one_scope() -> Result<()> {
    let lua = Lua::new();
    let count = Rc::new(Cell::new(0));
    lua.scope(|scope| {
        for _ in 0..10_000 {
            let count = count.clone();
            let f = scope.create_function(move |_, ()| {
                count.set(count.get() + 1);
                Ok(())
            })?;
            f.call::<_, ()>(())?;
        }
        assert_eq!(Rc::strong_count(&count), 10_001);
        Ok(())
    })?;
    assert_eq!(count.get(), 10_000);
    assert_eq!(Rc::strong_count(&count), 1);
    Ok(())
}

#[test]
fn results_may_name_the_instance() -> Result<()> {
    let lua = Lua::new();
    let value: Value = lua.scope(|scope| {
        let f = scope.create_function(|lua, ()| lua.create_table())?;
        f.call(())
    })?;
    assert!(value.is_table());
    Ok(())
}
