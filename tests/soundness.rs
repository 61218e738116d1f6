//! Programs, of Lua and of safe Rust, that reach for what the library relies on.
//!
//! With the feature `send` values must be `Send`, which those here are not.
#![cfg_attr(not(finalizers), allow(unused_imports, dead_code))] // of tests that take finalizers
#![cfg(not(feature = "send"))]

#[macro_use]
mod common;

use std::cell::RefCell;
use std::rc::Rc;

use mlua::{Error, Lua, Result, UserData, UserDataFields, UserDataMethods};

/// An instance with a function `out` that keeps texts.
fn with_output() -> Result<(Lua, Rc<RefCell<Vec<String>>>)> {
    let lua = Lua::new();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let out = lines.clone();
    let function = lua.create_function(move |_, line: String| {
        out.borrow_mut().push(line);
        Ok(())
    })?;
    // Kept to the very end: it is finalized before what is older.
    lua.globals().set("out", function)?;
    Ok((lua, lines))
}

#[cfg(finalizers)]
mod a_finalizer_finds_what_was_finalized_before {
    use super::*;

    const DESTRUCTED: &str = "a destructed callback or destructed userdata method was called";

    #[test]
    fn a_function() -> Result<()> {
        let (lua, lines) = with_output()?;
        let make = lua.create_function(|lua, ()| {
            let kept = [String::from("kept")];
            lua.create_function(move |_, ()| Ok(kept.concat()))
        })?;
        lua.globals().set("make", make)?;
        let program = with_finalized!(
            r#"
            local fields = {}
            local old = finalized(function(old)
                out(tostring(select(2, pcall(old.young))))
                alive = old.young
            end, fields)
            fields.young = make()
            assert(fields.young() == "kept")
            old, fields = nil, nil
            collectgarbage()
            out(tostring(select(2, pcall(alive))))
        "#
        );
        lua.load(program).exec()?;
        assert_eq!(lines.borrow().len(), 2);
        for line in lines.borrow().iter() {
            assert!(line.contains(DESTRUCTED), "{line}");
        }
        Ok(())
    }

    #[test]
    fn a_function_while_the_vm_is_closed() -> Result<()> {
        let lua = Lua::new();
        lua.load(with_finalized!(
            "old = finalized(function() log(tostring(select(2, pcall(young)))) end)"
        ))
        .exec()?;
        // Captures nothing that needs a destructor, so it works to the end.
        thread_local!(static SEEN: RefCell<Option<String>> = const { RefCell::new(None) });
        let log = lua.create_function(|_, text: String| {
            SEEN.set(Some(text));
            Ok(())
        })?;
        lua.globals().set("log", log)?;
        let kept = String::from("kept");
        let young = lua.create_function(move |_, ()| Ok(kept.clone()))?;
        lua.globals().set("young", young)?;
        drop(lua);
        assert!(SEEN.take().is_some_and(|text| text.contains(DESTRUCTED)));
        Ok(())
    }

    struct Thing(String);

    impl UserData for Thing {
        fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
            let suffix = String::from("!");
            fields.add_field_function_get("name", move |_, _| Ok(suffix.clone()));
        }

        fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
            let prefix = String::from("captured by a method");
            methods.add_method("method", move |_, this, ()| {
                Ok(format!("{prefix} of {}", this.0))
            });
            let text = String::from("captured by a function");
            methods.add_function("func", move |_, ()| Ok(text.clone()));
        }
    }

    #[test]
    fn methods_and_fields_while_the_vm_is_closed() -> Result<()> {
        thread_local!(static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });
        let lua = Lua::new();
        let log = lua.create_function(|_, text: String| {
            SEEN.with_borrow_mut(|seen| seen.push(text));
            Ok(())
        })?;
        lua.globals().set("log", log)?;
        let program = with_finalized!(
            r#"
            old = finalized(function()
                log(tostring(select(2, pcall(method, thing))))
                log(tostring(select(2, pcall(func))))
                log(tostring(select(2, pcall(function() return thing.name end))))
            end)
        "#
        );
        lua.load(program).exec()?;
        lua.globals().set("thing", Thing("thing".to_owned()))?;
        lua.load("method, func = thing.method, thing.func; assert(thing.name == '!')")
            .exec()?;
        drop(lua);
        let seen = SEEN.take();
        assert_eq!(seen.len(), 3);
        for text in seen {
            assert!(text.contains(DESTRUCTED), "{text}");
        }
        Ok(())
    }

    #[test]
    fn an_error() -> Result<()> {
        let (lua, lines) = with_output()?;
        let fail = lua.create_function(|_, ()| -> Result<()> { Err(Error::runtime("failed")) })?;
        lua.globals().set("fail", fail)?;
        let text = lua.create_function(|_, error: Error| Ok(error.to_string()))?;
        lua.globals().set("text", text)?;
        let program = with_finalized!(
            r#"
            local fields = {}
            local old = finalized(function(old)
                out(tostring(old.error))
                out(text(old.error))
                out(tostring(select(2, pcall(error, old.error))))
            end, fields)
            fields.error = select(2, pcall(fail))
            assert(tostring(fields.error):find("failed"))
            old, fields = nil, nil
            collectgarbage()
        "#
        );
        lua.load(program).exec()?;
        assert_eq!(*lines.borrow(), ["userdata has been destructed"; 3]);
        Ok(())
    }
}

mod the_stack_has_room {
    use super::*;
    use mlua::Function;

    macro_rules! nested {
        () => { 1 };
        (x $($rest:tt)*) => { (1, nested!($($rest)*)) };
    }

    #[test]
    fn for_tuples_in_tuples() -> Result<()> {
        let lua = Lua::new();
        let values = nested!(x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x);
        let count: Function = lua.load("return select('#', ...)").into_function()?;
        assert_eq!(count.call::<_, i32>(values)?, 49);
        let make = lua.create_function(move |_, ()| Ok(values))?;
        assert_eq!(
            count.call::<_, i32>(make.call::<_, mlua::MultiValue>(())?)?,
            49
        );
        Ok(())
    }
    #[cfg(feature = "weak-owned")]
    thread_local!(static FUNCTION: RefCell<Option<mlua::OwnedFunction>> = const { RefCell::new(None) });

    /// A call from where no `Lua` is at hand.
    #[cfg(feature = "weak-owned")]
    fn call<A, R>(args: A) -> Result<R>
    where
        A: for<'a> mlua::IntoLuaMulti<'a>,
        R: for<'a> mlua::FromLuaMulti<'a>,
    {
        let function = FUNCTION.with_borrow(|function| function.clone()).unwrap();
        let result = function.upgrade().call(args);
        result
    }

    #[cfg(feature = "weak-owned")]
    fn with_function<'lua>(lua: &'lua Lua, source: &str) -> Result<Function<'lua>> {
        let function: Function = lua.load(source).eval()?;
        FUNCTION.set(Some(function.clone().into_owned()));
        Ok(function)
    }

    /// Each type calls Lua with one more while it is registered.
    #[test]
    #[cfg(feature = "weak-owned")]
    fn for_types_registered_in_the_middle_of_a_push() -> Result<()> {
        struct Nested<T>(std::marker::PhantomData<T>);

        impl<T> Nested<T> {
            fn new() -> Self {
                Nested(std::marker::PhantomData)
            }
        }

        impl UserData for Nested<()> {}

        impl<T: 'static> UserData for Nested<(T,)>
        where
            Nested<T>: UserData,
        {
            fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(_: &mut M) {
                call::<_, ()>((1, 2, 3, Nested::<T>::new())).unwrap();
            }
        }

        let lua = Lua::new();
        with_function(&lua, "return function() end")?;
        type Deep = ((((((((((((),),),),),),),),),),),);
        call::<_, ()>((1, 2, 3, Nested::<Deep>::new()))
    }

    /// The hasher of each map makes one more map.
    #[test]
    #[cfg(feature = "weak-owned")]
    fn for_maps_made_in_the_middle_of_reading_results() -> Result<()> {
        use std::cell::Cell;
        use std::collections::HashMap;
        use std::hash::{BuildHasher, DefaultHasher};

        type Results = (i32, i32, i32, HashMap<i32, i32, Calling>);

        thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });

        struct Calling;

        impl Default for Calling {
            fn default() -> Self {
                if DEPTH.replace(DEPTH.get() + 1) < 50 {
                    call::<_, Results>(()).unwrap();
                }
                Calling
            }
        }

        impl BuildHasher for Calling {
            type Hasher = DefaultHasher;

            fn build_hasher(&self) -> DefaultHasher {
                DefaultHasher::new()
            }
        }

        let lua = Lua::new();
        with_function(&lua, "return function() return 1, 2, 3, {} end")?;
        call::<_, Results>(()).map(|_| ())
    }

    /// A value that is missing resumes one more coroutine.
    #[test]
    fn for_values_made_of_missing_results() -> Result<()> {
        use mlua::{FromLua, Thread, Value};
        use std::cell::Cell;

        thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });

        struct Missing;

        impl<'lua> FromLua<'lua> for Missing {
            fn from_lua(_: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
                if DEPTH.replace(DEPTH.get() + 1) < 20 {
                    let make: Function = lua.globals().get("make")?;
                    let (_, _, _, Missing) = make
                        .call::<_, Thread>(())?
                        .resume::<_, (i32, i32, i32, Missing)>(())?;
                }
                Ok(Missing)
            }
        }

        let lua = Lua::new();
        lua.load("function make() return coroutine.create(function() return 1, 2, 3 end) end")
            .exec()?;
        Missing::from_lua(Value::Nil, &lua).map(|_| ())
    }
}

/// `FromLuaMulti::COUNT` is hidden, but anybody can set it.
mod a_count_of_results_that_is_no_count {
    use super::*;
    use mlua::{FromLuaMulti, Function, MultiValue};

    struct Values<const COUNT: i32>(usize);

    impl<'lua, const COUNT: i32> FromLuaMulti<'lua> for Values<COUNT> {
        const COUNT: i32 = COUNT;

        fn from_lua_multi(values: MultiValue<'lua>, _: &'lua Lua) -> Result<Self> {
            Ok(Values(values.len()))
        }
    }

    fn results<const COUNT: i32>() -> Result<(Option<usize>, usize)> {
        let lua = Lua::new();
        let f: Function = lua.load("return 1, 2, 3, 4").into_function()?;
        let called = f.call::<_, Values<COUNT>>(()).ok();
        let resumed: Values<COUNT> = lua.create_thread(f.clone())?.resume(())?;
        assert_eq!(f.call::<_, (i32, i32)>(())?, (1, 2));
        Ok((called.map(|values| values.0), resumed.0))
    }

    #[test]
    fn a_negative_one_is_all() -> Result<()> {
        assert_eq!(results::<-1>()?, (Some(4), 4));
        assert_eq!(results::<-2>()?, (Some(4), 4));
        assert_eq!(results::<-3>()?, (Some(4), 4));
        assert_eq!(results::<-1000>()?, (Some(4), 4));
        assert_eq!(results::<{ i32::MIN }>()?, (Some(4), 4));
        let lua = Lua::new();
        let (first, rest): (i32, Values<-5>) = lua.load("return 1, 2, 3").eval()?;
        assert_eq!((first, rest.0), (1, 2));
        Ok(())
    }

    #[test]
    #[cfg(feature = "async")]
    fn a_negative_one_is_all_of_a_future_too() -> Result<()> {
        use std::future::Future;
        use std::task::{Context, Poll, Waker};

        let lua = Lua::new();
        let thread = lua.create_thread(lua.load("return 1, 2, 3, 4").into_function()?)?;
        let mut future = Box::pin(thread.into_async::<_, Values<-3>>(()));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(values) = future.as_mut().poll(&mut context) else {
            panic!("nothing to wait for");
        };
        assert_eq!(values?.0, 4);
        Ok(())
    }

    #[test]
    fn a_large_one_is_an_error_of_the_stack() -> Result<()> {
        // Lua 5.5 is asked for all there are.
        let (large, larger) = match cfg!(feature = "lua55") {
            true => (Some(4), Some(4)),
            false => (Some(1000), None),
        };
        assert_eq!(results::<1000>()?, (large, 4));
        assert_eq!(results::<1_000_000>()?, (larger, 4));
        assert_eq!(results::<{ i32::MAX }>()?, (larger, 4));
        Ok(())
    }
}

#[cfg(finalizers)]
mod a_finalizer_sets_a_memory_limit {
    use super::*;
    use mlua::Function;

    #[test]
    fn while_a_coroutine_is_made() -> Result<()> {
        let lua = Lua::new();
        let limit = lua.create_function(|lua, ()| {
            lua.set_memory_limit(1)?;
            Ok(())
        })?;
        lua.globals().set("limit", limit)?;
        let f: Function = lua.load("return function() end").eval()?;
        for _ in 0..20 {
            lua.gc_collect()?;
            lua.load(with_finalized!("finalized(limit)")).exec()?;
            while lua.create_thread(f.clone()).is_ok() {}
            lua.set_memory_limit(0)?;
        }
        Ok(())
    }
}

mod a_library_loaded_into_a_program_that_waits_for_it {
    use super::*;
    use mlua::{LuaOptions, StdLib};

    #[test]
    fn finds_something_else_in_its_place() -> Result<()> {
        let lua = Lua::new();
        lua.load("loaded = package.loaded").exec()?;
        for fake in [
            "{ searchers = 5 }",
            "{}",
            "5",
            "setmetatable({}, { __newindex = error })",
        ] {
            lua.load(format!("loaded.package = {fake}")).exec()?;
            lua.load_from_std_lib(StdLib::PACKAGE)?;
        }
        Ok(())
    }

    #[cfg(not(feature = "luau"))]
    #[test]
    fn gives_away_nothing_that_loads_c_modules() -> Result<()> {
        let lua = Lua::new_with(StdLib::STRING, LuaOptions::default())?;
        let program = r#"
            function try(package, require)
                assert(not pcall(package.loadlib, "nosuch.so", "*"))
                local _, message = pcall(require, "nosuch")
                assert(not message:find("nosuch.so", 1, true), message)
                tries = (tries or 0) + 1
            end
            setmetatable(_G, { __newindex = function(globals, name, value)
                rawset(globals, name, value)
                if name == "require" then
                    early = true
                    pcall(value, "nosuch")
                elseif name == "package" then
                    try(value, require)
                end
            end })
        "#;
        lua.load(program).exec()?;
        lua.load_from_std_lib(StdLib::PACKAGE)?;
        lua.load("assert(tries == 1 and not early and getmetatable(_G).__newindex)")
            .exec()?;

        let program = r#"
            local loaded = package.loaded
            loaded.package, package, require = nil, nil, nil
            setmetatable(loaded, { __newindex = function(loaded, name, value)
                rawset(loaded, name, value)
                if name == "package" then try(value, require) end
            end })
        "#;
        lua.load(program).exec()?;
        lua.load_from_std_lib(StdLib::PACKAGE)?;
        lua.load("assert(tries >= 2)").exec()
    }
}

// Where the length that Lua finds is that one.
#[cfg(feature = "lua54")]
mod a_table_as_long_as_there_are_integers {
    use super::*;
    use mlua::Table;

    fn longest(lua: &Lua) -> Result<Table<'_>> {
        let program = r#"
            local t, i = {}, 1
            while i > 0 do t[i] = true; i = i * 2 end
            t[math.maxinteger] = true
            for i = 1, 64 do t[i] = true end
            return t
        "#;
        lua.load(program).eval()
    }

    #[test]
    fn is_appended_to() -> Result<()> {
        let lua = Lua::new();
        let table = longest(&lua)?;
        for limit in [0, lua.used_memory() + 1_000_000] {
            lua.set_memory_limit(limit)?;
            for _ in 0..3 {
                table.raw_push(1)?;
                table.push(1)?;
                assert_eq!(table.raw_len(), i64::MAX as usize);
            }
            assert!(table.raw_insert(0, 1).is_err());
        }
        Ok(())
    }
}

mod without_memory {
    use super::*;
    use mlua::Function;

    struct Counted(Rc<RefCell<u32>>);

    impl Drop for Counted {
        fn drop(&mut self) {
            *self.0.borrow_mut() += 1;
        }
    }

    /// Lua pushes what is wrong onto the coroutine that it does not resume, outside of any protected call.
    #[test]
    fn resuming_what_cannot_be_resumed_stays_within_the_call() -> Result<()> {
        let lua = Lua::new();
        let drops = Rc::new(RefCell::new(0));
        let counted = drops.clone();
        let call = lua.create_function(move |_, f: Function| {
            let _counted = Counted(counted.clone());
            f.call::<_, ()>(())
        })?;
        lua.globals().set("call", call)?;
        let limit =
            lua.create_function(|lua, limit: usize| lua.set_memory_limit(limit).map(|_| ()))?;
        lua.globals().set("limit", limit)?;
        let program = r#"
            local resume, target = coroutine.resume, ...
            local function fail()
                -- What is allocated for the calls themselves is there by now.
                pcall(pcall, pcall, resume)
                pcall(limit, 0)
                local room = {}
                for i = 1, 100 do room[i] = i end
                limit(1)
                local called, resumed, message = pcall(resume, target)
                limit(0)
                if not called and resumed == makes_message then return end
                assert(called and not resumed, message)
                assert(message:find("cannot resume"), message)
            end
            local co = coroutine.wrap(function() call(fail) end)
            assert(pcall(co))
        "#;
        if cfg!(feature = "lua51") {
            // Its library puts the message together, where an error is one like any other.
            lua.globals().set("makes_message", "not enough memory")?;
        }
        let dead =
            lua.load("local co = coroutine.create(function() end) coroutine.resume(co) return co");
        let dead: mlua::Thread = dead.eval()?;
        let running = lua.current_thread();
        for (i, target) in [dead, running].into_iter().enumerate() {
            lua.gc_collect()?;
            lua.load(program).call::<_, ()>(target)?;
            assert_eq!(*drops.borrow(), i as u32 + 1);
        }
        Ok(())
    }

    /// Each value dies where there is no memory to make a userdata of it, and does the same with one more.
    #[test]
    #[cfg(feature = "weak-owned")]
    fn destructors_find_stack() -> Result<()> {
        use mlua::OwnedFunction;
        use std::cell::Cell;

        thread_local!(static LEFT: Cell<u32> = const { Cell::new(20) });

        struct Dying(OwnedFunction);

        impl UserData for Dying {}

        impl Drop for Dying {
            fn drop(&mut self) {
                if LEFT.replace(LEFT.get().saturating_sub(1)) > 0 {
                    let next = Dying(self.0.clone());
                    let called = self.0.upgrade().call::<_, ()>((1, 2, 3, next));
                    assert!(called.is_err());
                }
            }
        }

        let lua = Lua::new();
        let f: Function = lua.load("return function() end").eval()?;
        let first = Dying(f.clone().into_owned());
        LEFT.set(0);
        lua.create_userdata(Dying(f.clone().into_owned()))?;
        lua.gc_collect()?;
        LEFT.set(20);
        lua.set_memory_limit(1)?;
        assert!(f.call::<_, ()>((1, 2, 3, first)).is_err());
        assert_eq!(LEFT.get(), 0);
        lua.set_memory_limit(0)?;
        Ok(())
    }
}

mod an_error_handed_on_without_end {
    use super::*;
    use mlua::{ErrorContext, ExternalResult, FromLua, Function, Value};

    /// Gives each error that `call` raises to the next function that it calls, many times.
    fn handed_on(call: impl Fn(&Lua) -> Result<Function<'_>>) -> Result<Error> {
        let lua = Lua::new();
        lua.globals().set("call", call(&lua)?)?;
        let begin =
            lua.create_function(|_, ()| -> Result<()> { Err(Error::external(std::fmt::Error)) })?;
        lua.globals().set("begin", begin)?;
        let program = r#"
            local _, last = pcall(begin)
            for i = 1, 20000 do
                _, last = pcall(call, function() error(last) end)
            end
            return last
        "#;
        lua.load(program).eval()
    }

    fn root(mut error: &Error) -> &Error {
        loop {
            error = match error {
                Error::CallbackError { cause, .. }
                | Error::WithContext { cause, .. }
                | Error::BadArgument { cause, .. } => cause,
                Error::ExternalError(inner) => match inner.downcast_ref() {
                    Some(inner) => inner,
                    None => return error,
                },
                _ => return error,
            }
        }
    }

    fn check(error: Error) {
        assert!(root(&error).downcast_ref::<std::fmt::Error>().is_some());
        assert!(error.to_string().len() < 1_000_000);
    }

    #[test]
    fn with_a_context_each_time() -> Result<()> {
        let error = handed_on(|lua| {
            lua.create_function(|_, f: Function| f.call::<_, ()>(()).context("while calling"))
        })?;
        assert!(error.to_string().starts_with("while calling"));
        check(error);
        Ok(())
    }

    #[test]
    fn as_an_error_from_elsewhere() -> Result<()> {
        let error = handed_on(|lua| {
            lua.create_function(|_, f: Function| f.call::<_, ()>(()).into_lua_err())
        })?;
        check(error);
        Ok(())
    }

    #[test]
    fn as_the_cause_of_a_bad_argument() -> Result<()> {
        struct Picky;

        impl<'lua> FromLua<'lua> for Picky {
            fn from_lua(value: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
                Function::from_lua(value, lua)?.call::<_, ()>(())?;
                Ok(Picky)
            }
        }

        let error = handed_on(|lua| lua.create_function(|_, _: Picky| Ok(())))?;
        check(error);
        Ok(())
    }
}

/// Each of these tests ends its process, so it runs itself once more for that.
mod a_program_ends_the_process {
    use super::*;
    use mlua::Function;
    use std::process::Command;

    /// Runs the test `name` in a process of its own and checks how that ends.
    fn ends_with(name: &str, code: i32) {
        let test = std::env::current_exe().unwrap();
        let output = Command::new(test)
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(ENDING, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
    }

    const ENDING: &str = "MLUA_TEST_ENDS_ITS_PROCESS";

    struct Kept(#[allow(dead_code)] Lua);

    impl UserData for Kept {}

    thread_local!(static KEPT: RefCell<Vec<mlua::RegistryKey>> = const { RefCell::new(Vec::new()) });

    fn end(program: &str) {
        let lua = Lua::new();
        let key = lua.create_registry_value(lua.create_table().unwrap());
        KEPT.with_borrow_mut(|kept| kept.push(key.unwrap()));
        #[cfg(feature = "weak-owned")]
        {
            thread_local!(static HANDLES: RefCell<Vec<mlua::OwnedTable>> = const { RefCell::new(Vec::new()) });
            let handle = lua.create_table().unwrap().into_owned();
            HANDLES.with_borrow_mut(|handles| handles.push(handle));
        }
        lua.globals().set("kept", Kept(Lua::new())).unwrap();
        let call = lua.create_function(|_, f: Function| f.call::<_, ()>(()));
        lua.globals().set("call", call.unwrap()).unwrap();
        lua.load(program).exec().unwrap();
        unreachable!("the process has ended");
    }

    #[test]
    fn and_closes_the_vm() {
        if std::env::var_os(ENDING).is_some() {
            end("os.exit(7, true)");
        }
        ends_with("a_program_ends_the_process::and_closes_the_vm", 7);
    }

    #[test]
    fn and_closes_the_vm_in_the_middle_of_calls() {
        if std::env::var_os(ENDING).is_some() {
            end("coroutine.wrap(function() call(function() os.exit(true, true) end) end)()");
        }
        let name = "a_program_ends_the_process::and_closes_the_vm_in_the_middle_of_calls";
        ends_with(name, 0);
    }

    #[cfg(finalizers)]
    #[test]
    fn in_a_finalizer_of_the_closed_vm() {
        if std::env::var_os(ENDING).is_some() {
            let gc = with_finalized!("kept = finalized(function() os.exit(false, true) end)");
            end(&format!("{gc} os.exit(0, true)"));
        }
        ends_with(
            "a_program_ends_the_process::in_a_finalizer_of_the_closed_vm",
            1,
        );
    }
}

#[cfg(lua_ge_54)]
#[test]
fn warnings_in_the_middle_of_warnings_do_not_overflow_the_stack() -> Result<()> {
    let lua = Lua::new();
    let seen = Rc::new(RefCell::new(0));
    let counter = seen.clone();
    lua.set_warning_function(move |lua, _, _| {
        *counter.borrow_mut() += 1;
        if *counter.borrow() > 1_000 {
            return Ok(());
        }
        // The collector goes on, to the next finalizer that fails.
        lua.load("for i = 1, 100 do setmetatable({}, { __gc = error }) end collectgarbage()")
            .exec()
    });
    let program = "for i = 1, 100 do setmetatable({}, { __gc = error }) end collectgarbage()";
    lua.load(program).exec()?;
    assert!(*seen.borrow() > 0);
    Ok(())
}

/// In Lua 5.5 `coroutine.close` without arguments ends the coroutine that calls it, wherever in it that is.
#[cfg(feature = "lua55")]
mod a_coroutine_that_closes_itself {
    use std::cell::Cell;

    use mlua::Function;

    use super::*;

    /// A function that calls its argument and returns how that ended, and the count of calls that it has not come back from.
    fn with_call(lua: &Lua) -> Result<Rc<Cell<i32>>> {
        struct Open(Rc<Cell<i32>>);
        impl Drop for Open {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let open = Rc::new(Cell::new(0));
        let count = open.clone();
        let call = lua.create_function(move |_, function: Function| {
            count.set(count.get() + 1);
            let _open = Open(count.clone());
            Ok(match function.call::<_, ()>(()) {
                Ok(()) => String::from("returned"),
                Err(error) => error.to_string(),
            })
        })?;
        lua.globals().set("call", call)?;
        Ok(open)
    }

    #[test]
    fn does_not_leap_over_rust() -> Result<()> {
        let lua = Lua::new();
        let open = with_call(&lua)?;
        lua.load(
            r#"
            local function close() coroutine.close() end
            local function close_by_name() coroutine.close((coroutine.running())) end
            local function close_protected() assert(pcall(close)) end
            local function close_in_a_metamethod()
                local _ = setmetatable({}, { __index = close }).x
            end
            for _, f in ipairs { close, close_by_name, close_protected, close_in_a_metamethod } do
                local text
                local co = coroutine.create(function()
                    text = call(f)
                    return "after"
                end)
                local _, result = coroutine.resume(co)
                assert(result == "after")
                assert(text:find("attempt to close a coroutine across a C-call boundary", 1, true), text)
            end
            "#,
        )
        .exec()?;
        assert_eq!(open.get(), 0);
        // The coroutines are garbage, and none of them is taken for the one that runs.
        lua.gc_collect()?;
        lua.load("local t = {} for i = 1, 1000 do t[i] = { i } end assert(#t == 1000)")
            .exec()
    }

    #[test]
    fn ends_where_there_is_no_rust_in_between() -> Result<()> {
        let lua = Lua::new();
        let open = with_call(&lua)?;
        lua.load(
            r##"
            local closed
            local co = coroutine.create(function()
                local c <close> = setmetatable({}, { __close = function() closed = true end })
                call(function() end)
                pcall(function() coroutine.close() end)
                error("not reached")
            end)
            assert(select("#", assert(coroutine.resume(co))) == 1)
            assert(closed and coroutine.status(co) == "dead")

            -- A coroutine of its own inside of Rust.
            assert(call(function()
                coroutine.wrap(function() coroutine.close() end)()
            end) == "returned")

            -- What Lua says otherwise.
            local _, message = pcall(coroutine.close)
            assert(message == "cannot close main thread", message)
            local _, message = pcall(coroutine.close, 1)
            assert(message:find("thread expected", 1, true) or message:find("coroutine expected", 1, true), message)
            local co = coroutine.create(print)
            assert(coroutine.close(co) and coroutine.status(co) == "dead")
            "##,
        )
        .exec()?;
        assert_eq!(open.get(), 0);
        Ok(())
    }
}
