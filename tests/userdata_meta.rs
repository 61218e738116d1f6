//! Metatables of userdata: metamethods, `__index` and `__newindex`, meta fields, and what is restricted.
//!
//! With the feature `send` values must be `Send`, which those here are not.

#![cfg(not(feature = "send"))]

use mlua::{
    AnyUserData, Error, Lua, MetaMethod, Result, UserData, UserDataFields, UserDataMethods, Value,
};

/// A type whose metatable is made by `$fields` and `$methods`.
macro_rules! userdata {
    ($Name:ident, |$fields:ident| $f:block, |$methods:ident| $m:block) => {
        #[allow(dead_code)]
        struct $Name;
        impl UserData for $Name {
            #[allow(unused_variables)]
            fn add_fields<'lua, F: UserDataFields<'lua, Self>>($fields: &mut F) $f
            #[allow(unused_variables)]
            fn add_methods<'lua, M: UserDataMethods<'lua, Self>>($methods: &mut M) $m
        }
    };
}

fn error_of(lua: &Lua, code: &str) -> String {
    lua.load(code).exec().unwrap_err().to_string()
}

userdata!(Empty, |f| {}, |m| {});
userdata!(MethodsOnly, |f| {}, |m| {
    m.add_method("m", |_, _, ()| Ok("m"))
});
userdata!(
    GettersOnly,
    |f| { f.add_field_method_get("g", |_, _| Ok("g")) },
    |m| {}
);
userdata!(StaticOnly, |f| { f.add_field("s", 1) }, |m| {});
userdata!(
    SettersOnly,
    |f| { f.add_field_method_set("w", |_, _, _: Value| Ok(())) },
    |m| {}
);
userdata!(
    OwnIndex,
    |f| {
        f.add_field_method_get("both", |_, _| Ok("getter"));
        f.add_field_method_get("g", |_, _| Ok("g"));
        f.add_field("static", "static");
        f.add_field("method", "static");
        f.add_field_method_set("w", |_, _, _: Value| Ok(()));
    },
    |m| {
        m.add_method("both", |_, _, ()| Ok(()));
        m.add_method("method", |_, _, ()| Ok(()));
        m.add_meta_method(MetaMethod::Index, |_, _, key: String| {
            Ok(format!("own {key}"))
        });
        m.add_meta_method(
            MetaMethod::NewIndex,
            |lua, _, (key, value): (String, Value)| lua.globals().set(key, value),
        );
    }
);
userdata!(
    OwnTables,
    |f| {
        f.add_meta_field_with("__index", |lua| {
            let index = lua.create_table()?;
            index.set("t", "table")?;
            Ok(index)
        });
        f.add_meta_field_with("__newindex", |lua| Ok(lua.globals()));
        f.add_field_method_set("w", |_, _, _: Value| Ok(()));
    },
    |m| { m.add_method("m", |_, _, ()| Ok("m")) }
);

#[test]
fn what_a_type_does_not_have_is_an_error_or_nil() -> Result<()> {
    let lua = Lua::new();
    let globals = lua.globals();
    globals.set("empty", Empty)?;
    globals.set("methods", MethodsOnly)?;
    globals.set("getters", GettersOnly)?;
    globals.set("statics", StaticOnly)?;
    globals.set("setters", SettersOnly)?;
    lua.load("assert(methods:m() == 'm' and methods.x == nil)")
        .exec()?;
    lua.load("assert(statics.s == 1 and statics.x == nil)")
        .exec()?;
    lua.load("assert(getters.g == 'g') setters.w = 1").exec()?;
    for (code, text) in [
        ("return empty.x", "attempt to index a Empty value"),
        ("empty.x = 1", "attempt to index a Empty value"),
        ("methods.m = 1", "attempt to index a MethodsOnly value"),
        ("statics.s = 1", "attempt to index a StaticOnly value"),
        ("getters.g = 1", "attempt to index a GettersOnly value"),
        ("return setters.w", "attempt to index a SettersOnly value"),
        ("return getters.x", "attempt to get an unknown field 'x'"),
        (
            "return getters[1.5]",
            "attempt to get an unknown field '1.5'",
        ),
        (
            "return getters[true]",
            "attempt to get an unknown field 'true'",
        ),
        ("setters.x = 1", "attempt to set an unknown field 'x'"),
        ("return #empty", "attempt to get length of a Empty value"),
    ] {
        let error = error_of(&lua, code);
        // Before Lua 5.3 a type has no name in the messages of Lua.
        let text = if cfg!(feature = "luau") && text.starts_with("attempt to index a ") {
            "attempt to index"
        } else if cfg!(feature = "luau") && text.ends_with(" value") {
            "attempt to"
        } else if cfg!(not(lua_ge_53)) && text.ends_with(" value") {
            "(a userdata value)"
        } else {
            text
        };
        assert!(error.contains(text), "{code}: {error}");
    }
    Ok(())
}

#[test]
fn an_index_function_of_the_type_comes_last() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("x", OwnIndex)?;
    lua.load(
        r#"
        assert(x.both == "getter")
        assert(x.g == "g")
        assert(x.static == "static")
        assert(type(x.method) == "function")
        assert(x.other == "own other")
        assert(x[1] == "own 1")
        x.w = 1
        assert(w == nil)
        x.made = 2
        assert(made == 2)
        "#,
    )
    .exec()?;
    assert!(error_of(&lua, "return x[{}]").contains("bad argument #2 to `OwnIndex.__index`"));
    Ok(())
}

#[test]
fn index_tables_of_the_type_come_last() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("x", OwnTables)?;
    lua.load("assert(x:m() == 'm' and x.t == 'table' and x.z == nil)")
        .exec()?;
    lua.load("x.w = 1 x.made = 2 assert(w == nil and made == 2)")
        .exec()
}

#[test]
fn methods_alone_need_no_function_for_index() -> Result<()> {
    let lua = Lua::new();
    let metatable = lua.create_userdata(MethodsOnly)?.get_metatable()?;
    assert!(metatable.get::<Value>(MetaMethod::Index)?.is_table());
    let metatable = lua.create_userdata(GettersOnly)?.get_metatable()?;
    assert!(metatable.get::<Value>(MetaMethod::Index)?.is_function());
    Ok(())
}

userdata!(Gc, |f| { f.add_meta_field("__gc", 1) }, |m| {});
userdata!(GcMethod, |f| {}, |m| {
    m.add_meta_method("__gc", |_, _, ()| Ok(()))
});
userdata!(
    Protected,
    |f| { f.add_meta_field("__metatable", 1) },
    |m| {}
);
userdata!(WrongIndex, |f| { f.add_meta_field("__index", 1) }, |m| {});
userdata!(
    WrongNewIndex,
    |f| { f.add_meta_field("__newindex", "x") },
    |m| {}
);
userdata!(
    Fails,
    |f| { f.add_meta_field_with("__x", |_| Err::<i64, _>(Error::RuntimeError("no".into()))) },
    |m| {}
);

#[test]
fn restricted_and_wrong_metamethods_are_errors() -> Result<()> {
    let lua = Lua::new();
    let restricted = |result: Result<AnyUserData>, name: &str| match result {
        Err(Error::MetaMethodRestricted(restricted)) => assert_eq!(restricted, name),
        other => panic!("{other:?}"),
    };
    restricted(lua.create_userdata(Gc), "__gc");
    restricted(lua.create_userdata(GcMethod), "__gc");
    restricted(lua.create_userdata(Protected), "__metatable");
    let wrong = |result: Result<AnyUserData>, name: &str, found: &str| match result {
        Err(Error::MetaMethodTypeError {
            method,
            type_name,
            message,
        }) => {
            assert_eq!((method.as_str(), type_name), (name, found));
            assert_eq!(message.as_deref(), Some("expected nil, table or function"));
        }
        other => panic!("{other:?}"),
    };
    wrong(lua.create_userdata(WrongIndex), "__index", "integer");
    wrong(lua.create_userdata(WrongNewIndex), "__newindex", "string");
    match lua.create_userdata(Fails) {
        Err(Error::RuntimeError(text)) => assert_eq!(text, "no"),
        other => panic!("{other:?}"),
    }
    // Nothing is left of what failed.
    restricted(lua.create_userdata(Gc), "__gc");
    lua.gc_collect()?;
    lua.create_userdata(Empty).map(|_| ())
}

userdata!(
    Named,
    |f| { f.add_meta_field(MetaMethod::Type.name(), "Other") },
    |m| {}
);
userdata!(
    Typed,
    |f| { f.add_meta_field(MetaMethod::Type, "Other") },
    |m| {}
);
userdata!(
    Fields,
    |f| {
        f.add_meta_field("plain", 1);
        f.add_meta_field("__add", 3);
        f.add_meta_field_with("made", |lua| lua.create_string("made"));
    },
    |m| {
        m.add_meta_method("__add", |_, _, ()| Ok(1));
        m.add_meta_method("odd", |_, _, ()| Ok(1));
        m.add_meta_method(MetaMethod::Type.name(), |_, _, ()| Ok(1));
    }
);

#[test]
fn the_name_of_the_type_can_be_changed() -> Result<()> {
    let lua = Lua::new();
    let name = |userdata: AnyUserData| {
        userdata
            .get_metatable()?
            .get::<String>(MetaMethod::Type.name())
    };
    assert_eq!(name(lua.create_userdata(Empty)?)?, "Empty");
    assert_eq!(name(lua.create_userdata(Named)?)?, "Other");
    assert_eq!(name(lua.create_userdata(Typed)?)?, "Other");
    assert_eq!(
        name(lua.create_userdata(std::sync::Arc::new(Empty))?)?,
        "Arc<Empty>"
    );
    assert_eq!(name(lua.create_proxy::<Empty>()?)?, "UserDataProxy<Empty>");
    assert_eq!(
        name(lua.create_any_userdata(vec![Some(1u8)])?)?,
        "Vec<Option<u8>>"
    );
    lua.globals().set("named", Named)?;
    let text: String = lua.load("tostring(named)").eval()?;
    let start = if cfg!(any(lua_ge_53, feature = "luau")) {
        "Other: "
    } else {
        "userdata: "
    };
    assert!(text.starts_with(start), "{text}");
    Ok(())
}

#[test]
fn meta_fields_are_seen_and_win_over_metamethods() -> Result<()> {
    let lua = Lua::new();
    let metatable = lua.create_userdata(Fields)?.get_metatable()?;
    assert_eq!(metatable.get::<i64>("plain")?, 1);
    assert_eq!(metatable.get::<String>("made")?, "made");
    assert_eq!(metatable.get::<i64>("__add")?, 3);
    assert!(metatable.get::<Value>("odd")?.is_function());
    assert_eq!(metatable.get::<String>(MetaMethod::Type.name())?, "Fields");
    Ok(())
}

#[test]
fn a_metatable_can_be_read_and_changed_from_rust() -> Result<()> {
    let lua = Lua::new();
    let userdata = lua.create_userdata(MethodsOnly)?;
    let metatable = userdata.get_metatable()?;
    for key in ["__gc", "__metatable"] {
        let restricted =
            |r: Result<()>| assert!(matches!(r, Err(Error::MetaMethodRestricted(k)) if k == key));
        restricted(metatable.get::<Value>(key).map(|_| ()));
        restricted(metatable.contains(key).map(|_| ()));
        restricted(metatable.set(key, 1));
    }
    for key in ["__index", "__newindex"] {
        assert!(matches!(
            metatable.set(key, 1),
            Err(Error::MetaMethodRestricted(_))
        ));
    }
    assert!(metatable.contains("__index")? && !metatable.contains("__len")?);
    metatable.set("__len", lua.create_function(|_, ()| Ok(7))?)?;
    lua.globals().set("x", lua.create_userdata(MethodsOnly)?)?;
    lua.load("assert(#x == 7)").exec()?;
    metatable.set("__len", Value::Nil)?;
    assert!(!metatable.contains("__len")?);
    Ok(())
}

#[test]
fn pairs_leave_out_what_is_restricted() -> Result<()> {
    let lua = Lua::new();
    let metatable = lua
        .create_any_userdata(String::from("needs drop"))?
        .get_metatable()?;
    let names: Vec<String> = metatable
        .clone()
        .pairs::<Value>()
        .map(|pair| pair.map(|(name, _)| name))
        .collect::<Result<_>>()?;
    assert_eq!(names, [MetaMethod::Type.name()]);
    let mut pairs = lua.create_userdata(Fields)?.get_metatable()?.pairs::<i64>();
    assert!(pairs.any(|pair| pair.is_err()));
    Ok(())
}

#[test]
fn metatables_are_closed_to_lua() -> Result<()> {
    let lua = Lua::new();
    let userdata = lua.create_userdata(MethodsOnly)?;
    lua.globals().set("x", &userdata)?;
    lua.load("assert(getmetatable(x) == false)").exec()?;
    assert!(lua.load("setmetatable(x, {})").exec().is_err());
    userdata.take::<MethodsOnly>()?;
    lua.load("assert(getmetatable(x) == false)").exec()
}

#[cfg(finalizers)]
#[test]
fn collecting_by_hand_does_no_harm() -> Result<()> {
    use std::cell::Cell;
    use std::rc::Rc;
    struct Counts(Rc<Cell<u32>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    impl UserData for Counts {
        fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
            methods.add_method("run", |_, this, f: mlua::Function| {
                f.call::<_, ()>(())?;
                Ok(this.0.get())
            });
        }
    }
    // SAFETY: the program below uses the debug library to no bad end.
    let lua = unsafe { Lua::unsafe_new() };
    let drops = Rc::new(Cell::new(0));
    lua.globals().set("x", Counts(drops.clone()))?;
    lua.globals()
        .set("y", lua.create_any_userdata(String::from("other"))?)?;
    lua.load("gc = debug.getmetatable(x).__gc gc(y) gc(1) gc() gc({}) gc(io.stdout)")
        .exec()?;
    assert_eq!(drops.get(), 0);
    lua.load("gc(x) gc(x)").exec()?;
    assert_eq!(drops.get(), 1);
    assert!(lua.load("x:run()").exec().is_err());
    // A value that is in use is not dropped under its user.
    lua.globals().set("z", Counts(drops.clone()))?;
    assert_eq!(
        lua.load("return z:run(function() gc(z) end)")
            .eval::<u32>()?,
        1
    );
    Ok(())
}

#[test]
fn all_metamethods_have_names() {
    assert_eq!(MetaMethod::Add.name(), "__add");
    assert_eq!(MetaMethod::ToString.to_string(), "__tostring");
    #[cfg(lua_ge_54)]
    assert_eq!("__close", MetaMethod::Close);
    #[cfg(any(lua_ge_52, feature = "luajit52"))]
    assert_eq!(String::from("__pairs"), MetaMethod::Pairs);
    let name = if cfg!(feature = "luau") {
        "__type"
    } else {
        "__name"
    };
    assert_eq!(MetaMethod::Type.name(), name);
}

userdata!(Operators, |f| {}, |m| {
    m.add_meta_function(MetaMethod::Sub, |_, (a, b): (Value, Value)| {
        Ok(format!("{}-{}", a.type_name(), b.type_name()))
    });
    m.add_meta_function_mut(MetaMethod::Concat, |_, ()| Ok("joined"));
    m.add_meta_method_mut(MetaMethod::Call, |_, _, args: mlua::MultiValue| {
        Ok(args.len())
    });
    m.add_meta_method(MetaMethod::Eq, |_, _, other: AnyUserData| {
        Ok(other.is::<Operators>())
    });
    m.add_meta_method(MetaMethod::Lt, |_, _, _: Value| Ok(true));
    m.add_meta_method("__close", |lua, _, _: Value| {
        lua.globals().set("closed", true)
    });
    m.add_meta_method("__pairs", |lua, _, ()| {
        lua.load("return next, { a = 1 }").eval::<(Value, Value)>()
    });
});

#[test]
fn operators() -> Result<()> {
    let lua = Lua::new();
    lua.globals().set("x", Operators)?;
    lua.globals().set("y", Operators)?;
    lua.load(
        r#"
        assert(x - 1 == "userdata-integer" and 1 - x == "integer-userdata")
        assert(x .. "a" == "joined" and x() == 0 and x(1, nil) == 2)
        assert(x == y and x < y)
        "#,
    )
    .exec()?;
    #[cfg(lua_ge_54)]
    lua.load("do local z <close> = x end assert(closed)")
        .exec()?;
    #[cfg(any(lua_ge_52, feature = "luajit52"))]
    lua.load("for k, v in pairs(x) do assert(k == 'a' and v == 1) end")
        .exec()?;
    let (x, y) = (
        lua.globals().get::<_, Value>("x")?,
        lua.globals().get::<_, Value>("y")?,
    );
    assert!(x.equals(&y)? && x != y);
    Ok(())
}
