//! What only Luau has.

#![cfg(feature = "luau")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use mlua::{
    ffi, lua_State, AnyUserData, ChunkMode, Compiler, CoverageInfo, Error, Function, IntoLua, Lua,
    LuaOptions, Result, StdLib, Table, Thread, ThreadStatus, UserData, Value, Vector, VmState,
};

mod compiler {
    use super::*;

    #[test]
    fn bytecode_runs_as_the_source_does() -> Result<()> {
        let lua = Lua::new();
        let bytecode = Compiler::new()
            .set_optimization_level(2)
            .set_debug_level(2)
            .set_type_info_level(1)
            .set_mutable_globals(vec!["config".into(), "state".into()])
            .set_userdata_types(vec!["Button".into()])
            .compile("local a, b = ... return a + b");
        assert_eq!(lua.load(&bytecode).call::<_, i32>((1, 2))?, 3);
        assert_eq!(
            lua.load(&bytecode)
                .set_mode(ChunkMode::Binary)
                .call::<_, i32>((3, 4))?,
            7
        );
        Ok(())
    }

    #[test]
    fn what_does_not_parse_is_a_syntax_error() {
        let lua = Lua::new();
        let error = lua.load("local = 1").set_name("=broken").exec();
        match error {
            Err(Error::SyntaxError {
                message,
                incomplete_input: false,
            }) => assert!(message.starts_with("broken:1:"), "{message}"),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            lua.load("function f()").exec(),
            Err(Error::SyntaxError {
                incomplete_input: true,
                ..
            })
        ));
        let bytecode = Compiler::new().compile("return +");
        assert!(matches!(
            lua.load(bytecode).exec(),
            Err(Error::SyntaxError { .. })
        ));
    }

    #[test]
    fn the_mode_of_a_chunk_is_minded() {
        let lua = Lua::new();
        let bytecode = Compiler::default().compile("return 1");
        for (chunk, mode) in [
            (bytecode.as_slice(), ChunkMode::Text),
            (b"return 1", ChunkMode::Binary),
        ] {
            match lua.load(chunk).set_mode(mode).exec() {
                Err(Error::SyntaxError { message, .. }) => {
                    assert!(message.starts_with("attempt to load a"), "{message}")
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn chunks_have_a_compiler_of_their_own_or_that_of_the_instance() -> Result<()> {
        let lua = Lua::new();
        let line = |error: Error| error.to_string().contains("test:2:");
        let code = "local x\nx.y = 1";
        assert!(line(lua.load(code).set_name("=test").exec().unwrap_err()));
        let without = Compiler::new().set_debug_level(0);
        let chunk = lua.load(code).set_name("=test");
        assert!(!line(
            chunk.set_compiler(without.clone()).exec().unwrap_err()
        ));
        lua.set_compiler(without);
        assert!(!line(lua.load(code).set_name("=test").exec().unwrap_err()));
        lua.set_compiler(Compiler::new());
        assert!(line(lua.load(code).set_name("=test").exec().unwrap_err()));
        Ok(())
    }

    #[test]
    fn a_function_can_be_named_that_makes_vectors() -> Result<()> {
        let lua = Lua::new();
        lua.set_compiler(
            Compiler::new()
                .set_optimization_level(2)
                .set_vector_lib("vec")
                .set_vector_ctor("new")
                .set_vector_type("vec3"),
        );
        let make = lua.create_function(|_, _: ()| Ok("called"))?;
        lua.globals()
            .set("vec", lua.create_table_from([("new", make)])?)?;
        // Outside of a sandbox the library is looked at all the same.
        let made: Value = lua.load("vec.new()").eval()?;
        assert_eq!(made.as_str(), Some("called"));
        Ok(())
    }

    #[test]
    fn a_chunk_that_there_is_no_memory_for_is_an_error() -> Result<()> {
        let lua = Lua::new();
        let code: String = (0..10_000).map(|i| format!("x{i} = {i}.5\n")).collect();
        lua.set_memory_limit(lua.used_memory() + 50_000)?;
        assert!(matches!(lua.load(&code).exec(), Err(Error::MemoryError(_))));
        lua.set_memory_limit(0)?;
        lua.load(&code).exec()
    }

    #[test]
    fn the_environment_is_that_which_is_set() -> Result<()> {
        let lua = Lua::new();
        lua.sandbox(true)?;
        let env = lua.create_table_from([("print", 7)])?;
        assert_eq!(lua.load("print").set_environment(env).eval::<i32>()?, 7);
        Ok(())
    }
}

mod vectors {
    use super::*;

    #[cfg(not(feature = "luau-vector4"))]
    fn vector(x: f32, y: f32, z: f32) -> Vector {
        Vector::new(x, y, z)
    }
    #[cfg(feature = "luau-vector4")]
    fn vector(x: f32, y: f32, z: f32) -> Vector {
        Vector::new(x, y, z, 0.0)
    }

    #[test]
    fn vectors_go_in_and_out() -> Result<()> {
        let lua = Lua::new();
        let sum: Vector = lua
            .load("vector.create(1, 2, 3) + vector(3, 2, 1)")
            .eval()?;
        assert_eq!(sum, vector(4.0, 4.0, 4.0));
        assert_eq!((sum.x(), sum.y(), sum.z()), (4.0, 4.0, 4.0));
        #[cfg(feature = "luau-vector4")]
        {
            assert_eq!(sum.w(), 0.0);
            assert_eq!(sum, [4.0, 4.0, 4.0, 0.0]);
        }
        #[cfg(not(feature = "luau-vector4"))]
        assert_eq!(sum, [4.0, 4.0, 4.0]);
        let z: f32 = lua
            .load("local v = ... return v.z")
            .call(vector(1.0, 2.0, 3.5))?;
        assert_eq!(z, 3.5);
        lua.globals().set("v", vector(1.0, 2.0, 3.0))?;
        assert_eq!(lua.globals().get::<_, Vector>("v")?, vector(1.0, 2.0, 3.0));
        let array: [f64; if cfg!(feature = "luau-vector4") { 4 } else { 3 }] =
            lua.load("vector.create(1, 2, 3)").eval()?;
        assert_eq!(array[..3], [1.0, 2.0, 3.0]);
        assert!(lua.load("vector.zero").eval::<[f64; 2]>().is_err());
        assert!(lua.load("vector.zero").eval::<Vec<f64>>().is_err());
        assert_eq!(Vector::default(), Vector::zero());
        assert!(lua.load("vector('x', 1)").eval::<Vector>().is_err());
        Ok(())
    }

    #[test]
    fn a_vector_is_a_value_of_its_own_type() -> Result<()> {
        let lua = Lua::new();
        let value: Value = lua.load("vector.create(1, 2, 3)").eval()?;
        assert!(matches!(value, Value::Vector(_)));
        assert_eq!(value.type_name(), "vector");
        assert!(value.to_string()?.starts_with("vector(1, 2, 3"));
        assert!(format!("{value:?}").starts_with("Vector("));
        assert!(format!("{value:#?}").starts_with("vector("));
        assert!(value.to_pointer().is_null());
        assert_eq!(value, Value::Vector(vector(1.0, 2.0, 3.0)));
        assert!(value.equals(&lua.pack(vector(1.0, 2.0, 3.0))?)?);
        assert_ne!(value, Value::Vector(Vector::zero()));
        let key: Table = lua.load("{ [vector.create(1, 2, 3)] = 5 }").eval()?;
        assert_eq!(key.get::<_, i32>(vector(1.0, 2.0, 3.0))?, 5);
        for pair in key.pairs::<Vector, i32>() {
            assert_eq!(pair?, (vector(1.0, 2.0, 3.0), 5));
        }
        Ok(())
    }

    #[test]
    fn a_vector_with_nan_in_it_is_no_key() -> Result<()> {
        #[derive(PartialEq, Eq, Hash)]
        struct NaN;
        impl IntoLua<'_> for NaN {
            fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
                Ok(Value::Vector(vector(f32::NAN, 0.0, 0.0)))
            }
        }

        let lua = Lua::new();
        let table = lua.create_table()?;
        assert!(table.set(NaN, 1).is_err());
        assert!(table.raw_set(NaN, 1).is_err());
        assert!(table.raw_remove(NaN).is_err());
        assert!(table.get::<_, Value>(NaN)?.is_nil());
        assert!(lua.create_table_from([(NaN, 1)]).is_err());
        let map = std::collections::HashMap::from([(NaN, 1)]);
        assert!(lua.globals().set("map", map).is_err());
        Ok(())
    }

    #[test]
    fn other_values_are_no_vectors() {
        let lua = Lua::new();
        match lua.load("{ 1, 2, 3 }").eval::<Vector>() {
            Err(Error::FromLuaConversionError { from, to, .. }) => {
                assert_eq!((from, to), ("table", "vector"))
            }
            other => panic!("{other:?}"),
        }
        assert!(lua.load("vector.zero").eval::<Table>().is_err());
        assert!(lua.load("vector.zero").eval::<i32>().is_err());
    }

    #[cfg(feature = "unstable")]
    #[test]
    fn vectors_can_have_a_metatable() -> Result<()> {
        let lua = Lua::new();
        let metatable: Table = lua
            .load("{ __index = { double = function(v) return v * 2 end } }")
            .eval()?;
        lua.set_vector_metatable(Some(metatable));
        let double: Vector = lua.load("vector.create(1, 2, 3):double()").eval()?;
        assert_eq!(double, vector(2.0, 4.0, 6.0));
        lua.set_vector_metatable(None);
        assert!(lua.load("vector.create(1, 2, 3):double()").exec().is_err());
        Ok(())
    }

    #[cfg(feature = "serialize")]
    #[test]
    fn vectors_are_serialised_as_tuples() -> Result<()> {
        use mlua::LuaSerdeExt;

        let lua = Lua::new();
        let value: Value = lua.load("{ at = vector.create(1, 2, 3) }").eval()?;
        #[cfg(not(feature = "luau-vector4"))]
        let expected = r#"{"at":[1.0,2.0,3.0]}"#;
        #[cfg(feature = "luau-vector4")]
        let expected = r#"{"at":[1.0,2.0,3.0,0.0]}"#;
        assert_eq!(serde_json::to_string(&value).unwrap(), expected);
        assert_eq!(
            lua.to_value(&vector(1.0, 2.0, 3.0))?,
            Value::Vector(vector(1.0, 2.0, 3.0))
        );
        let copy = lua.to_value(&value)?;
        let copy = copy.as_table().unwrap();
        assert_eq!(copy.get::<_, Vector>("at")?, vector(1.0, 2.0, 3.0));
        let serializer = mlua::serde::Serializer::new(&lua);
        assert_eq!(
            serde::Serialize::serialize(&vector(1.0, 2.0, 3.0), serializer)?,
            Value::Vector(vector(1.0, 2.0, 3.0))
        );
        let at: Value = value.as_table().unwrap().get("at")?;
        let list: Vec<f32> = lua.from_value(at.clone())?;
        assert_eq!(list[..3], [1.0, 2.0, 3.0]);
        let json: serde_json::Value = lua.from_value(at)?;
        assert_eq!(json[2], 3.0);
        Ok(())
    }

    #[cfg(feature = "weak-owned")]
    #[test]
    fn an_owned_value_can_be_a_vector() -> Result<()> {
        let lua = Lua::new();
        let owned = Value::Vector(vector(1.0, 2.0, 3.0)).into_owned();
        assert!(owned.is_alive());
        assert_eq!(
            owned.upgrade_in(&lua)?,
            Value::Vector(vector(1.0, 2.0, 3.0))
        );
        Ok(())
    }
}

mod read_only_tables {
    use super::*;

    fn is_refused<T>(result: Result<T>) -> bool {
        match result {
            Err(Error::RuntimeError(message)) => {
                message.contains("attempt to modify a readonly table")
            }
            _ => false,
        }
    }

    #[test]
    fn every_write_is_an_error() -> Result<()> {
        let lua = Lua::new();
        let table = lua.create_sequence_from([1, 2, 3])?;
        table.set("key", "value")?;
        table.set_readonly(true);
        assert!(table.is_readonly());

        assert!(is_refused(table.set("key", 1)));
        assert!(is_refused(table.set("other", "text")));
        assert!(is_refused(table.set(1, 1)));
        assert!(is_refused(table.set(1, "text")));
        assert!(is_refused(table.set(1.5, "text")));
        assert!(is_refused(table.set(true, lua.create_table()?)));
        assert!(is_refused(table.raw_set("key", 1)));
        assert!(is_refused(table.raw_set("other", "text")));
        assert!(is_refused(table.raw_set(1, 1)));
        assert!(is_refused(table.raw_set(true, 1)));
        assert!(is_refused(table.raw_seti(1, 1)));
        assert!(is_refused(table.push(4)));
        assert!(is_refused(table.raw_push(4)));
        assert!(is_refused(table.pop::<Value>()));
        assert!(is_refused(table.raw_pop::<Value>()));
        assert!(is_refused(table.raw_insert(1, 0)));
        assert!(is_refused(table.raw_remove(1)));
        assert!(is_refused(table.raw_remove("key")));
        assert!(is_refused(table.clear()));
        let error = lua.load("(...).key = 1").call::<_, ()>(&table);
        assert!(is_refused(error));

        assert_eq!(table, [1, 2, 3]);
        assert_eq!(table.get::<_, String>("key")?, "value");

        table.set_readonly(false);
        assert!(!table.is_readonly());
        table.set("key", "other")?;
        table.clear()?;
        assert!(table.is_empty());
        Ok(())
    }

    #[test]
    fn a_memory_limit_changes_nothing() -> Result<()> {
        let lua = Lua::new();
        let table = lua.create_table()?;
        table.set_readonly(true);
        lua.set_memory_limit(lua.used_memory() + 1_000_000)?;
        assert!(is_refused(table.set("key", 1)));
        assert!(is_refused(table.raw_set(1, 1)));
        assert!(is_refused(table.raw_push(1)));
        Ok(())
    }

    #[test]
    fn the_metamethod_is_asked_first() -> Result<()> {
        let lua = Lua::new();
        let table: Table = lua
            .load("setmetatable({}, { __newindex = function(_, key) written = key end })")
            .eval()?;
        table.set_readonly(true);
        table.set("key", 1)?;
        assert_eq!(lua.globals().get::<_, String>("written")?, "key");
        assert!(is_refused(table.raw_set("key", 1)));
        Ok(())
    }

    #[test]
    #[should_panic = "attempt to modify a readonly table"]
    fn a_metatable_cannot_be_set() {
        let lua = Lua::new();
        let table = lua.create_table().unwrap();
        table.set_readonly(true);
        table.set_metatable(None);
    }
}

mod buffers {
    use super::*;

    #[test]
    fn buffers_are_made_from_bytes() -> Result<()> {
        let lua = Lua::new();
        let buffer = lua.create_buffer(b"hello\0world")?;
        let text: mlua::String = lua.load("return buffer.tostring(...)").call(&buffer)?;
        assert_eq!(text.as_bytes(), b"hello\0world");
        let empty = lua.create_buffer([])?;
        assert_eq!(lua.load("return buffer.len(...)").call::<_, i32>(empty)?, 0);
        Ok(())
    }

    #[test]
    fn a_buffer_is_a_userdata_without_a_rust_value() -> Result<()> {
        struct Data;
        impl UserData for Data {}

        let lua = Lua::new();
        lua.create_userdata(Data)?;
        let value: Value = lua.load("buffer.create(64)").eval()?;
        assert!(value.is_buffer());
        assert!(value.is_userdata());
        assert_eq!(value.type_name(), "buffer");
        let copy = value.clone();
        assert!(copy.is_buffer());
        assert_eq!(copy, value);
        #[cfg(feature = "weak-owned")]
        assert!(value.clone().into_owned().upgrade_in(&lua)?.is_buffer());
        lua.globals().set("kept", value.clone())?;
        assert_eq!(lua.globals().get::<_, Value>("kept")?, value);
        let made = Value::UserData(lua.create_buffer([1, 2])?);
        assert_eq!(made.type_name(), "buffer");
        assert_ne!(made, value);
        match lua.load("buffer.create(1)").eval::<Table>() {
            Err(Error::FromLuaConversionError { from, .. }) => assert_eq!(from, "buffer"),
            other => panic!("{other:?}"),
        }
        assert!(!Value::UserData(lua.create_userdata(Data)?).is_buffer());
        assert!(!Value::Nil.is_buffer());

        let buffer: AnyUserData = lua.unpack(value.clone())?;
        assert!(!buffer.is::<Data>());
        assert!(matches!(
            buffer.borrow::<Data>(),
            Err(Error::UserDataTypeMismatch)
        ));
        assert!(matches!(
            buffer.borrow_mut::<Data>(),
            Err(Error::UserDataTypeMismatch)
        ));
        assert!(matches!(
            buffer.take::<Data>(),
            Err(Error::UserDataTypeMismatch)
        ));
        assert!(buffer.get_metatable().is_err());
        assert!(buffer.user_value::<Value>().is_err());
        assert!(buffer.set_user_value(1).is_err());
        assert!(!buffer.to_pointer().is_null());
        assert!(value.to_string()?.starts_with("buffer: "));
        assert_eq!(value, value.clone());
        assert!(!format!("{buffer:?} {value:#?}").is_empty());
        #[cfg(feature = "serialize")]
        assert!(serde_json::to_string(&value).is_err());
        Ok(())
    }

    #[test]
    fn one_that_is_too_large_is_an_error() -> Result<()> {
        let lua = Lua::new();
        lua.set_memory_limit(lua.used_memory() + 100_000)?;
        assert!(matches!(
            lua.create_buffer(vec![0; 1_000_000]),
            Err(Error::MemoryError(_))
        ));
        Ok(())
    }
}

mod coverage {
    use super::*;

    #[test]
    fn lines_are_counted() -> Result<()> {
        let lua = Lua::new();
        lua.set_compiler(Compiler::new().set_coverage_level(1));
        let code = "local count = 0
for i = 1, 3 do
    count = count + i
end
local function never()
    return 1
end
return count";
        let function = lua.load(code).into_function()?;
        assert_eq!(function.call::<_, i32>(())?, 6);
        let mut found = Vec::new();
        function.coverage(|info| found.push(info));
        assert_eq!(found.len(), 2);
        let CoverageInfo {
            function,
            line_defined,
            depth,
            hits,
        } = &found[0];
        assert_eq!((function, *line_defined, *depth), (&None, 1, 0));
        assert_eq!((hits[1], hits[3], hits[4], hits[8]), (1, 3, -1, 1));
        assert_eq!(found[1].function.as_deref(), Some("never"));
        assert_eq!((found[1].line_defined, found[1].depth), (5, 1));
        assert_eq!(found[1].hits[6], 0);
        Ok(())
    }

    #[test]
    fn a_function_of_rust_has_no_lines() -> Result<()> {
        let lua = Lua::new();
        let function = lua.create_function(|_, ()| Ok(()))?;
        function.coverage(|info| panic!("{info:?}"));
        Ok(())
    }

    #[test]
    fn the_callback_may_call_lua_and_panic() -> Result<()> {
        let lua = Lua::new();
        let compiler = Compiler::new().set_coverage_level(2);
        let function = lua
            .load("return 1")
            .set_compiler(compiler)
            .into_function()?;
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            function.coverage(|_| {
                function.call::<_, i32>(()).unwrap();
                panic!("in the callback")
            })
        }));
        assert!(caught.is_err());
        Ok(())
    }
}

mod interrupts {
    use super::*;

    #[test]
    fn it_is_called_while_code_runs() -> Result<()> {
        let lua = Lua::new();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        lua.set_interrupt(move |_| {
            counted.fetch_add(1, Relaxed);
            Ok(VmState::Continue)
        });
        lua.load("for i = 1, 1000 do end").exec()?;
        assert!(count.load(Relaxed) >= 1000);
        lua.remove_interrupt();
        assert_eq!(Arc::strong_count(&count), 1);
        count.store(0, Relaxed);
        lua.load("for i = 1, 1000 do end").exec()?;
        assert_eq!(count.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn it_can_yield_a_coroutine() -> Result<()> {
        let lua = Lua::new();
        let yields = Arc::new(AtomicUsize::new(0));
        let yielded = yields.clone();
        lua.set_interrupt(move |_| {
            yielded.fetch_add(1, Relaxed);
            Ok(VmState::Yield)
        });
        let thread: Thread = lua.create_thread(
            lua.load(
                r#"
                local text = string.rep("a", 100)
                local sum = 0
                for i = 1, 100 do sum += #string.gsub(text, "a+", "b") + i end
                return sum
                "#,
            )
            .into_function()?,
        )?;
        let mut result = None;
        let mut times = 0;
        while thread.status() == ThreadStatus::Resumable {
            result = thread.resume::<_, Option<i32>>(())?;
            times += 1;
        }
        assert_eq!(result, Some(100 + 5050));
        assert!(times > 100);
        assert!(yields.load(Relaxed) >= times - 1);
        // What cannot yield goes on.
        assert_eq!(
            lua.load("local n = 0 for i = 1, 10 do n += i end return n")
                .eval::<i32>()?,
            55
        );
        Ok(())
    }

    #[test]
    fn its_error_ends_the_program() {
        let lua = Lua::new();
        lua.set_interrupt(|_| Err(Error::runtime("out of time")));
        match lua.load("while true do end").exec() {
            Err(Error::CallbackError { cause, .. }) => {
                assert!(matches!(&*cause, Error::RuntimeError(m) if m == "out of time"))
            }
            other => panic!("{other:?}"),
        }
        lua.set_interrupt(|_| Ok(VmState::Continue));
        lua.load("for i = 1, 10 do end").exec().unwrap();
    }

    #[test]
    #[should_panic = "in the interrupt"]
    fn its_panic_goes_on_in_rust() {
        let lua = Lua::new();
        lua.set_interrupt(|_| panic!("in the interrupt"));
        let _ = lua.load("while true do end").exec();
    }

    #[test]
    fn it_may_run_code_and_take_itself_out() -> Result<()> {
        let lua = Lua::new();
        lua.set_interrupt(|lua| {
            let n: i32 = lua
                .load("local n = 0 for i = 1, 100 do n += 1 end return n")
                .eval()?;
            assert_eq!(n, 100);
            lua.globals().set("interrupted", n)?;
            lua.remove_interrupt();
            Ok(VmState::Continue)
        });
        lua.load("for i = 1, 100 do end assert(interrupted == 100)")
            .exec()
    }

    #[test]
    fn the_stack_of_the_program_does_not_grow() -> Result<()> {
        let lua = Lua::new();
        lua.set_interrupt(|lua| {
            lua.create_table()?;
            Ok(VmState::Continue)
        });
        lua.load("local function f(n) return n end for i = 1, 100000 do f(i) end")
            .exec()?;
        lua.gc_collect()?;
        let before = lua.used_memory();
        lua.load("local function f(n) return n end for i = 1, 100000 do f(i) end")
            .exec()?;
        lua.gc_collect()?;
        assert!(lua.used_memory() < before + 10_000);
        Ok(())
    }

    #[test]
    fn it_is_called_in_the_middle_of_a_match() -> Result<()> {
        let lua = Lua::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        lua.set_interrupt(move |_| match counted.fetch_add(1, Relaxed) {
            10_000 => Err(Error::runtime("a long match")),
            _ => Ok(VmState::Yield),
        });
        let error = lua
            .load("string.find(string.rep('a', 50), string.rep('a?', 50) .. 'b')")
            .exec()
            .unwrap_err();
        assert!(error.to_string().contains("a long match"));
        Ok(())
    }
}

mod sandboxes {
    use super::*;

    #[test]
    fn what_a_program_sets_stays_in_the_sandbox() -> Result<()> {
        let lua = Lua::new();
        lua.globals().set("before", 1)?;
        lua.sandbox(true)?;
        lua.load("var = before + 122").exec()?;
        assert_eq!(lua.load("var").eval::<i32>()?, 123);
        assert_eq!(lua.globals().get::<_, i32>("var")?, 123);
        // Coroutines have the globals of the main thread.
        let get = lua.create_function(|lua, ()| lua.globals().get::<_, Option<i32>>("var"))?;
        let thread = lua.create_thread(get.clone())?;
        assert_eq!(thread.resume::<_, Option<i32>>(())?, Some(123));
        let thread = lua.create_thread(get)?;
        thread.sandbox()?;
        assert_eq!(thread.resume::<_, Option<i32>>(())?, Some(123));

        lua.sandbox(false)?;
        assert_eq!(lua.globals().get::<_, Option<i32>>("var")?, None);
        assert_eq!(lua.globals().get::<_, i32>("before")?, 1);
        let table: Table = lua.globals().get("table")?;
        table.set("test", "test")?;
        lua.load("string.test = 1; getmetatable('').test = 1")
            .exec()?;
        Ok(())
    }

    #[test]
    fn libraries_cannot_be_changed() -> Result<()> {
        let lua = Lua::new();
        let globals = lua.globals();
        lua.sandbox(true)?;
        for code in [
            "math.floor = nil",
            "table.insert(string, 1)",
            "rawset(math, 'x', 1)",
            "_G.print = nil",
            "getmetatable('').__index = nil",
            "setmetatable(string, {})",
        ] {
            let error = lua.load(code).exec().unwrap_err().to_string();
            assert!(error.contains("readonly"), "{code}: {error}");
        }
        assert!(globals.is_readonly());
        assert!(globals.set("x", 1).is_err());
        assert!(!lua.globals().is_readonly());
        lua.load("print = 1").exec()?;
        assert_eq!(lua.globals().get::<_, i32>("print")?, 1);
        // Once more: a new table.
        lua.sandbox(true)?;
        assert!(lua.globals().get::<_, Value>("print")?.is_function());
        Ok(())
    }

    #[test]
    fn a_coroutine_can_have_globals_of_its_own() -> Result<()> {
        let lua = Lua::new();
        let run = lua.create_function(|lua, ()| {
            lua.load("var = 123").exec()?;
            lua.globals().get::<_, i32>("var")
        })?;
        let thread = lua.create_thread(run)?;
        thread.sandbox()?;
        assert_eq!(thread.resume::<_, i32>(())?, 123);
        assert_eq!(lua.globals().get::<_, Option<i32>>("var")?, None);
        // As good as new.
        let set = lua.create_function(|lua, ()| lua.globals().set("var", 7))?;
        thread.reset(set)?;
        thread.resume::<_, ()>(())?;
        assert_eq!(lua.globals().get::<_, Option<i32>>("var")?, Some(7));
        Ok(())
    }

    #[test]
    fn the_sandbox_can_be_left_from_within() -> Result<()> {
        let lua = Lua::new();
        lua.sandbox(true)?;
        let leave = lua.create_function(|lua, ()| lua.sandbox(false))?;
        lua.globals().set("leave", leave)?;
        lua.load("coroutine.wrap(leave)()").exec()?;
        lua.load("math.x = 1").exec()?;
        assert_eq!(lua.globals().get::<_, Option<Function>>("leave")?, None);
        Ok(())
    }

    #[cfg(feature = "async")]
    #[test]
    fn coroutines_that_are_used_again_have_the_globals_of_their_maker() -> Result<()> {
        use futures::executor::block_on;

        let lua = Lua::new();
        let var = lua.create_async_function(|lua, ()| async move {
            lua.globals().get::<_, Option<i32>>("var")
        })?;
        assert_eq!(block_on(var.call_async::<_, Option<i32>>(()))?, None);
        lua.sandbox(true)?;
        lua.globals().set("var", 1)?;
        assert_eq!(block_on(var.call_async::<_, Option<i32>>(()))?, Some(1));
        lua.sandbox(false)?;
        assert_eq!(block_on(var.call_async::<_, Option<i32>>(()))?, None);
        Ok(())
    }
}

mod functions {
    use super::*;

    #[test]
    fn a_deep_clone_is_another_function() -> Result<()> {
        let lua = Lua::new();
        lua.globals().set("a", 1)?;
        let function = lua.load("a += 1; return a").into_function()?;
        let copy = function.deep_clone();
        assert_ne!(function, copy);
        assert_eq!(function.call::<_, i32>(())?, 2);
        assert_eq!(copy.call::<_, i32>(())?, 3);
        let native = lua.create_function(|_, ()| Ok(()))?;
        assert_eq!(native, native.deep_clone());
        Ok(())
    }

    #[test]
    fn a_deep_clone_keeps_environment_and_upvalues() -> Result<()> {
        let lua = Lua::new();
        let function: Function = lua
            .load("local n = 5 return function() n += 1 return n, x end")
            .set_environment(lua.create_table_from([("x", 7)])?)
            .call(())?;
        let copy = function.deep_clone();
        assert_eq!(copy.call::<_, (i32, i32)>(())?, (6, 7));
        assert_eq!(function.call::<_, (i32, i32)>(())?, (7, 7));
        Ok(())
    }
}

mod base {
    use super::*;

    #[test]
    fn collectgarbage_controls_the_collector() -> Result<()> {
        let lua = Lua::new();
        lua.load(
            r#"
            assert(collectgarbage("isrunning") == true)
            collectgarbage("stop")
            assert(collectgarbage("isrunning") == false)
            collectgarbage("restart")
            assert(collectgarbage("isrunning") == true)
            local weak = setmetatable({ {} }, { __mode = "v" })
            assert(collectgarbage() == 0)
            assert(weak[1] == nil)
            assert(collectgarbage("count") > 1)
            assert(type(collectgarbage("step", 1000)) == "boolean")
            local pause = collectgarbage("setpause", 150)
            assert(collectgarbage("setpause", pause) == 150)
            local multiplier = collectgarbage("setstepmul", 0)
            assert(collectgarbage("setstepmul", multiplier) == 1)
            collectgarbage()
            assert(not pcall(collectgarbage, "nonsense"))
            assert(not pcall(collectgarbage, {}))
            "#,
        )
        .exec()
    }

    #[test]
    fn the_collector_takes_any_parameters() -> Result<()> {
        let lua = Lua::new();
        for parameter in [0, -1, i32::MIN, i32::MAX, 1] {
            lua.gc_set_step_multiplier(parameter);
            lua.gc_set_pause(parameter);
            lua.load("for i = 1, 1000 do local t = { i } end").exec()?;
            lua.gc_step()?;
            lua.gc_collect()?;
        }
        Ok(())
    }

    #[test]
    fn what_is_collected_is_dropped_at_once() -> Result<()> {
        struct Dropped(Arc<AtomicBool>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.store(true, Relaxed)
            }
        }
        impl UserData for Dropped {}

        let lua = Lua::new();
        let dropped = Arc::new(AtomicBool::new(false));
        lua.globals()
            .set("data", lua.create_userdata(Dropped(dropped.clone()))?)?;
        let seen = dropped.clone();
        lua.globals().set(
            "dropped",
            lua.create_function(move |_, ()| Ok(seen.load(Relaxed)))?,
        )?;
        lua.load("data = nil collectgarbage() assert(dropped())")
            .exec()
    }

    #[test]
    fn loadstring_loads_source_code() -> Result<()> {
        let lua = Lua::new();
        lua.globals().set(
            "bytecode",
            lua.create_string(Compiler::new().compile("return 1"))?,
        )?;
        lua.load(
            r#"
            assert(loadstring("return 1 + 2")() == 3)
            local function fails(...)
                local ok, message = pcall(loadstring, ...)
                assert(not ok)
                return tostring(message)
            end
            assert(string.find(fails("x =", "=chunk"), "chunk:1: "))
            assert(string.find(fails("x y", "name"), '[string "name"]:1: ', 1, true))
            assert(string.find(fails("x y"), "(loadstring):1: ", 1, true))
            assert(string.find(fails(bytecode), "binary chunk"))
            fails()
            "#,
        )
        .exec()
    }

    #[test]
    fn the_version_is_that_of_luau() -> Result<()> {
        let version: String = Lua::new().globals().get("_VERSION")?;
        assert!(version.starts_with("Luau 0."), "{version}");
        Ok(())
    }

    #[test]
    fn an_error_of_rust_is_of_its_own_type() -> Result<()> {
        let lua = Lua::new();
        let fail = lua.create_function(|_, ()| Err::<(), _>(Error::runtime("on purpose")))?;
        lua.globals().set("fail", fail)?;
        let code = "local ok, error = pcall(fail) return typeof(error)";
        assert_eq!(lua.load(code).eval::<String>()?, "error");
        Ok(())
    }

    #[test]
    fn large_integers_are_numbers() -> Result<()> {
        let lua = Lua::new();
        assert_eq!(
            lua.load("2 ^ 40").eval::<Value>()?,
            Value::Number(2f64.powi(40))
        );
        assert_eq!(lua.load("7").eval::<Value>()?, Value::Integer(7));
        assert_eq!(lua.load("2 ^ 40").eval::<i64>()?, 1 << 40);
        Ok(())
    }

    #[test]
    fn integers_of_64_bits_are_read() -> Result<()> {
        unsafe extern "C-unwind" fn integers(state: *mut lua_State) -> std::os::raw::c_int {
            // SAFETY: called by Luau, with room for 20 values.
            unsafe {
                ffi::lua_pushinteger64(state, 7);
                ffi::lua_pushinteger64(state, -(1 << 40));
            }
            2
        }

        let lua = Lua::new();
        // SAFETY: the function returns what it pushes.
        let integers = unsafe { lua.create_c_function(integers)? };
        let large = -(1i64 << 40);
        let values: (Value, Value) = integers.call(())?;
        assert_eq!(
            values,
            (Value::Integer(7), Value::Number(large as mlua::Number))
        );
        assert_eq!(integers.call::<_, (i32, i64)>(())?, (7, large));
        assert_eq!(integers.call::<_, (u8, f64)>(())?, (7, large as f64));
        assert!(integers.call::<_, (i32, i32)>(()).is_err());
        lua.globals().set("integers", integers)?;
        let table: Table = lua.load("{ integers() }").eval()?;
        assert_eq!(table.get::<_, i32>(1)?, 7);
        assert_eq!(table.get::<_, i64>(2)?, large);
        let keys: Table = lua.load("{ [(integers())] = true }").eval()?;
        for pair in keys.pairs::<Value, bool>() {
            assert_eq!(pair?, (Value::Integer(7), true));
        }
        #[cfg(feature = "serialize")]
        assert_eq!(
            serde_json::to_string(&Value::Table(table)).unwrap(),
            "[7,-1099511627776.0]"
        );
        Ok(())
    }

    #[test]
    fn unknown_flags_are_refused() {
        assert_eq!(Lua::set_fflag("NoSuchFlagOfLuau", true), Err(()));
        assert_eq!(Lua::set_fflag("No\0name", true), Err(()));
        assert_eq!(Lua::set_fflag("LuauIntegerLibrary", false), Ok(()));
    }
}

mod modules {
    use super::*;

    /// A directory of its own for a test.
    fn directory(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("luau-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn search_in(lua: &Lua, directory: &std::path::Path) -> Result<()> {
        let package: Table = lua.globals().get("package")?;
        let path = directory.display();
        package.set("path", format!("{path}/?.luau;{path}/?/init.luau"))
    }

    #[test]
    fn modules_are_found_by_the_path_and_loaded_once() -> Result<()> {
        let lua = Lua::new();
        let directory = directory("path");
        fs::create_dir_all(directory.join("a")).unwrap();
        fs::write(
            directory.join("a/b.luau"),
            "count = (count or 0) + 1 return { name = ... }",
        )
        .unwrap();
        fs::write(directory.join("a/init.luau"), "loaded = true").unwrap();
        search_in(&lua, &directory)?;
        lua.load(
            r#"
            local b = require("a.b")
            assert(b.name == "a.b" and b == require("a.b") and count == 1)
            assert(package.loaded["a.b"] == b)
            assert(require("a") == true and loaded)
            package.loaded["a.b"] = nil
            require("a.b")
            assert(count == 2)
            "#,
        )
        .exec()?;
        lua.unload("a.b")?;
        lua.load("require('a.b') assert(count == 3)").exec()?;
        fs::remove_dir_all(directory).unwrap();
        Ok(())
    }

    #[test]
    fn a_module_that_is_not_there_is_an_error() -> Result<()> {
        let lua = Lua::new();
        let error = lua.load("require('no.such')").exec().unwrap_err();
        let message = error.to_string();
        assert!(message.contains("module 'no.such' not found:"), "{message}");
        assert!(message.contains("no file './no/such.luau'"), "{message}");
        lua.load("package.path = nil").exec()?;
        let message = lua.load("require('x')").exec().unwrap_err().to_string();
        assert!(message.contains("'package.path' must be a string"));
        Ok(())
    }

    #[test]
    fn a_module_that_fails_is_not_loaded() -> Result<()> {
        let lua = Lua::new();
        let directory = directory("fails");
        fs::write(directory.join("broken.luau"), "return +").unwrap();
        fs::write(directory.join("raises.luau"), "error('on purpose')").unwrap();
        fs::write(
            directory.join("binary.luau"),
            Compiler::new().compile("return 1"),
        )
        .unwrap();
        search_in(&lua, &directory)?;
        for (module, message) in [
            ("broken", "error loading module 'broken'"),
            ("raises", "on purpose"),
            ("binary", "binary chunk"),
        ] {
            for _ in 0..2 {
                let error = lua.load(format!("require('{module}')")).exec();
                let error = error.unwrap_err().to_string();
                assert!(error.contains(message), "{error}");
            }
        }
        fs::remove_dir_all(directory).unwrap();
        Ok(())
    }

    #[test]
    fn loaders_can_be_given() -> Result<()> {
        let lua = Lua::new();
        lua.load("package.preload.x = function(name) return name .. '!' end")
            .exec()?;
        assert_eq!(lua.load("require('x')").eval::<String>()?, "x!");
        let loader = lua.create_function(|_, name: String| Ok(name))?;
        let loaded: String = lua.load_from_function("y", loader)?;
        assert_eq!(loaded, "y");
        assert_eq!(lua.load("require('y')").eval::<String>()?, "y");
        Ok(())
    }

    #[test]
    fn native_modules_are_for_unsafe_instances() -> Result<()> {
        let lua = Lua::new();
        assert_eq!(lua.load("package.cpath").eval::<Value>()?, Value::Nil);
        // SAFETY: what runs in there loads no module.
        let lua = unsafe { Lua::unsafe_new() };
        let directory = directory("native");
        fs::write(directory.join("native.so"), "no library").unwrap();
        let package: Table = lua.globals().get("package")?;
        package.set("cpath", format!("{}/?.so", directory.display()))?;
        let error = lua.load("require('native')").exec().unwrap_err();
        assert!(error.to_string().contains("error loading module 'native'"));
        fs::remove_dir_all(directory).unwrap();
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn native_modules_are_opened_by_their_function() -> Result<()> {
        let directory = directory("open");
        let source = directory.join("module.c");
        fs::write(
            &source,
            "int luaopen_a_module(void *state) { (void)state; return 0; }",
        )
        .unwrap();
        fs::create_dir_all(directory.join("a")).unwrap();
        let built = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(directory.join("a/module.so"))
            .arg(&source)
            .status()
            .expect("there is a C compiler, which has built Luau");
        assert!(built.success());

        // SAFETY: the module does nothing.
        let lua = unsafe { Lua::unsafe_new() };
        let package: Table = lua.globals().get("package")?;
        package.set("cpath", format!("{}/?.so", directory.display()))?;
        assert!(lua.load("require('a.module')").eval::<bool>()?);
        assert!(lua.load("package.loaded['a.module']").eval::<bool>()?);
        fs::copy(directory.join("a/module.so"), directory.join("other.so")).unwrap();
        let error = lua.load("require('other')").exec().unwrap_err().to_string();
        assert!(error.contains("luaopen_other"), "{error}");
        fs::remove_dir_all(directory).unwrap();
        Ok(())
    }

    #[test]
    fn the_library_can_be_left_out() -> Result<()> {
        let lua = Lua::new_with(StdLib::NONE, LuaOptions::default())?;
        assert_eq!(lua.load("require").eval::<Value>()?, Value::Nil);
        lua.load_from_std_lib(StdLib::PACKAGE)?;
        assert!(lua.load("require").eval::<Value>()?.is_function());
        Ok(())
    }
}

#[cfg(feature = "luau-jit")]
#[test]
fn native_code_does_what_bytecode_does() -> Result<()> {
    let lua = Lua::new();
    let code = "local n = 0 for i = 1, 1000 do n += i % 7 end return n";
    let native: i32 = lua.load(code).eval()?;
    lua.enable_jit(false);
    let interpreted: i32 = lua.load(code).eval()?;
    assert_eq!(native, interpreted);
    lua.enable_jit(true);
    lua.set_interrupt(|_| Err(Error::runtime("stop")));
    assert!(lua.load("while true do end").exec().is_err());
    Ok(())
}

#[cfg(feature = "async")]
#[test]
fn async_calls_go_on_after_an_interrupt_that_yields() -> Result<()> {
    let lua = Lua::new();
    lua.set_interrupt(|_| Ok(VmState::Yield));
    let double = lua.create_async_function(|_, n: i32| async move {
        // Comes back later.
        let mut polled = false;
        std::future::poll_fn(move |context| {
            context.waker().wake_by_ref();
            match std::mem::replace(&mut polled, true) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        Ok(2 * n)
    })?;
    lua.globals().set("double", double)?;
    let code = "local sum = 0 for i = 1, 10 do sum += double(i) end return sum";
    let sum = futures::executor::block_on(lua.load(code).call_async::<_, i32>(()))?;
    assert_eq!(sum, 110);
    Ok(())
}

#[test]
fn an_interrupt_that_yields_lets_the_program_get_on() -> Result<()> {
    let lua = Lua::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let logged = log.clone();
    lua.set_interrupt(|_| Ok(VmState::Yield));
    let note = lua.create_function(move |_, n: i32| {
        logged.lock().unwrap().push(n);
        Ok(())
    })?;
    let code = lua
        .load("local note = ... for i = 1, 3 do note(i) end")
        .into_function()?;
    let thread = lua.create_thread(code)?;
    thread.resume::<_, ()>(note)?;
    while thread.status() == ThreadStatus::Resumable {
        thread.resume::<_, ()>(())?;
    }
    assert_eq!(*log.lock().unwrap(), [1, 2, 3]);
    Ok(())
}
