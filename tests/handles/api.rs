//! Every handle, every method, with the instance open and after it is gone.

use std::collections::hash_map::DefaultHasher;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::os::raw::c_void;

use mlua::{
    AnyUserData, Error, Function, LightUserData, Lua, OwnedAnyUserData, OwnedFunction, OwnedString,
    OwnedTable, OwnedThread, OwnedUserData, OwnedValue, Result, String as LuaString, Table, Thread,
    ThreadStatus, UserData, UserDataRef, Value,
};

use crate::kit::{
    assert_destroyed, assert_mismatched, bytes_in_use, panic_message, Tally, DESTROYED,
};

#[test]
fn the_first_example_of_everyone() -> Result<()> {
    let lua = Lua::new();
    let owned_table: OwnedTable = lua.globals().into_owned();
    let table = owned_table.upgrade();
    let print: Function = table.get("print")?;
    print.call::<_, ()>("hello")?;
    Ok(())
}

#[test]
fn the_one_liner() -> Result<()> {
    let lua = Lua::new();
    let owned_table = lua.globals().into_owned();
    let print: Function = owned_table.upgrade().get("print")?;
    print.call::<_, ()>("hello")
}

#[test]
fn the_example_of_0_9_reads_the_same() -> Result<()> {
    struct Host {
        lua: Lua,
        on_event: Option<OwnedFunction>,
    }

    let mut host = Host {
        lua: Lua::new(),
        on_event: None,
    };
    let add: Function = host.lua.load("function(a, b) return a + b end").eval()?;
    host.on_event = Some(add.into_owned());
    assert_eq!(host.on_event.as_ref().unwrap().call::<_, i64>((1, 2))?, 3);
    assert_eq!(
        host.on_event
            .as_ref()
            .unwrap()
            .to_ref()
            .call::<_, i64>((3, 4))?,
        7
    );
    Ok(())
}

/// What holds for each kind of handle.
macro_rules! contract {
    ($kind:ident, $Owned:ident, $Proxy:ident, $Variant:ident, $make:expr) => {
        mod $kind {
            use super::*;

            fn make(lua: &Lua) -> $Proxy<'_> {
                let make: for<'a> fn(&'a Lua) -> Result<$Proxy<'a>> = $make;
                make(lua).unwrap()
            }

            fn dead() -> $Owned {
                let lua = Lua::new();
                make(&lua).into_owned()
            }

            #[test]
            fn every_upgrade_gives_the_value() {
                let lua = Lua::new();
                let proxy = make(&lua);
                let pointer = proxy.to_pointer();
                let handle = proxy.into_owned();
                assert_eq!(handle.upgrade().to_pointer(), pointer);
                assert_eq!(handle.try_upgrade().unwrap().to_pointer(), pointer);
                assert_eq!(handle.upgrade_in(&lua).unwrap().to_pointer(), pointer);
                assert_eq!(handle.to_ref().to_pointer(), pointer);
                assert_eq!(handle.to_pointer(), pointer);
            }

            #[test]
            fn upgrade_in_takes_the_lifetime_of_the_instance() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                let pointer = handle.to_pointer();
                let proxy: $Proxy = handle.upgrade_in(&lua).unwrap();
                drop(handle);
                lua.gc_collect().unwrap();
                assert_eq!(proxy.to_pointer(), pointer);
            }

            #[test]
            fn a_dead_handle_says_so() {
                let handle = dead();
                assert!(!handle.is_alive());
                assert_eq!(panic_message(|| handle.upgrade()), DESTROYED);
                assert_eq!(panic_message(|| handle.to_ref()), DESTROYED);
                assert!(matches!(handle.try_upgrade(), Err(Error::LuaDestroyed)));
                assert!(matches!(
                    handle.upgrade_in(&Lua::new()),
                    Err(Error::LuaDestroyed)
                ));
            }

            #[test]
            fn another_instance_is_refused() {
                let (lua, other) = (Lua::new(), Lua::new());
                let handle = make(&lua).into_owned();
                assert_mismatched("upgrade_in", handle.upgrade_in(&other));
                assert_mismatched("pack &", other.pack(&handle));
                assert_mismatched("pack", other.pack(handle.clone()));
                drop(lua);
                assert_destroyed("pack &", other.pack(&handle));
                assert_destroyed("pack", other.pack(handle));
            }

            #[test]
            fn is_alive_follows_the_instance() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                let clone = handle.clone();
                assert!(handle.is_alive() && clone.is_alive());
                drop(lua);
                assert!(!handle.is_alive() && !clone.is_alive());
            }

            #[test]
            fn the_pointer_stays_when_the_instance_is_gone() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                let pointer: *const c_void = handle.to_pointer();
                assert!(!pointer.is_null());
                drop(lua);
                assert_eq!(handle.to_pointer(), pointer);
                assert_eq!(handle.clone().to_pointer(), pointer);
            }

            #[test]
            fn clones_are_independent() {
                let lua = Lua::new();
                let first = make(&lua).into_owned();
                let second = first.clone();
                let pointer = first.to_pointer();
                drop(first);
                lua.gc_collect().unwrap();
                assert_eq!(second.upgrade().to_pointer(), pointer);
                let third = second.upgrade().into_owned();
                drop(second);
                lua.gc_collect().unwrap();
                assert_eq!(third.upgrade().to_pointer(), pointer);
            }

            #[test]
            fn clone_and_drop_work_when_the_instance_is_gone() {
                let handle = dead();
                let clones: Vec<_> = (0..10).map(|_| handle.clone()).collect();
                drop(handle);
                assert!(clones.iter().all(|clone| !clone.is_alive()));
            }

            #[test]
            fn debug_works_open_and_gone() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                let pointer = format!("{:p}", handle.to_pointer());
                assert!(format!("{handle:?}").contains(&pointer));
                drop(lua);
                let text = format!("{handle:?} {handle:#?}");
                assert!(text.contains(&pointer), "{text}");
                assert!(text.contains(stringify!($Owned)), "{text}");
            }

            #[test]
            fn conversions_keep_the_value() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                let globals = lua.globals();
                globals.set("by_ref", &handle).unwrap();
                globals.set("moved", handle.clone()).unwrap();
                assert!(lua.load("rawequal(by_ref, moved)").eval::<bool>().unwrap());
                let back: $Owned = globals.get("by_ref").unwrap();
                assert_eq!(back.to_pointer(), handle.to_pointer());
                let value = lua.pack(&handle).unwrap();
                assert!(matches!(value, Value::$Variant(_)));
                let back: $Owned = lua.unpack(value).unwrap();
                assert_eq!(back.to_pointer(), handle.to_pointer());
                let echo = lua.create_function(|_, handle: $Owned| Ok(handle)).unwrap();
                let back: $Owned = echo.call(&handle).unwrap();
                assert_eq!(back.to_pointer(), handle.to_pointer());
            }

            #[test]
            fn another_type_is_an_error() {
                let lua = Lua::new();
                let result = lua.unpack::<$Owned>(Value::Boolean(true));
                assert!(
                    matches!(result, Err(Error::FromLuaConversionError { .. })),
                    "{result:?}"
                );
            }

            #[test]
            fn upgrading_and_cloning_allocate_nothing() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                lua.gc_stop();
                let (memory, in_lua) = (bytes_in_use(), lua.used_memory());
                let upgraded: [_; 100] = std::array::from_fn(|_| handle.upgrade());
                let lent: [_; 100] = std::array::from_fn(|_| handle.upgrade_in(&lua).unwrap());
                let cloned = [(); 100].map(|_| handle.clone());
                let proxies = [(); 100].map(|_| upgraded[0].clone());
                let owned = lent.map(|proxy| proxy.into_owned());
                assert_eq!((bytes_in_use(), lua.used_memory()), (memory, in_lua));
                drop((upgraded, cloned, proxies, owned));
                assert_eq!((bytes_in_use(), lua.used_memory()), (memory, in_lua));
            }

            #[test]
            fn upgraded_proxies_keep_the_instance_open() {
                let lua = Lua::new();
                let handle = make(&lua).into_owned();
                let proxy = handle.upgrade();
                drop(lua);
                assert!(handle.is_alive());
                let again = proxy.clone();
                drop(proxy);
                assert_eq!(
                    handle.try_upgrade().unwrap().to_pointer(),
                    again.to_pointer()
                );
                drop(again);
                assert!(!handle.is_alive());
            }
        }
    };
}

fn thread(lua: &Lua) -> Result<Thread<'_>> {
    lua.load("coroutine.create(function(a) while true do a = coroutine.yield(a * 2) end end)")
        .eval()
}

contract!(table, OwnedTable, Table, Table, |lua| lua.create_table());
contract!(function, OwnedFunction, Function, Function, |lua| lua
    .create_function(|_, ()| Ok(())));
contract!(lua_function, OwnedFunction, Function, Function, |lua| lua
    .load("function() end")
    .eval());
contract!(string, OwnedString, LuaString, String, |lua| lua
    .create_string("some text"));
contract!(coroutine, OwnedThread, Thread, Thread, |lua| thread(lua));
contract!(userdata, OwnedAnyUserData, AnyUserData, UserData, |lua| lua
    .create_any_userdata(5_u8));

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What holds for the handles that compare by identity.
macro_rules! identity {
    ($kind:ident, $Owned:ident, $make:expr) => {
        mod $kind {
            use super::*;

            fn make(lua: &Lua) -> $Owned {
                let make: fn(&Lua) -> Result<$Owned> = $make;
                make(lua).unwrap()
            }

            #[test]
            fn equality_is_that_of_the_value() {
                let lua = Lua::new();
                let (first, other) = (make(&lua), make(&lua));
                // By way of Lua, so that it gets a slot of its own.
                lua.globals().set("kept", &first).unwrap();
                let again: $Owned = lua.globals().get("kept").unwrap();
                assert_eq!(first, again);
                assert_eq!(hash(&first), hash(&again));
                assert_ne!(first, other);
                drop(lua);
                assert_eq!(first, again);
                assert_eq!(hash(&first), hash(&again));
                assert_ne!(first, other);
            }

            #[test]
            fn the_hash_stays_when_the_instance_is_gone() {
                let lua = Lua::new();
                let handle = make(&lua);
                let mut names = HashMap::new();
                names.insert(handle.clone(), "kept");
                drop(lua);
                assert_eq!(names[&handle], "kept");
            }

            #[test]
            fn one_of_a_dead_instance_never_equals_one_of_a_live_one() {
                let lua = Lua::new();
                let dead = make(&lua);
                drop(lua);
                // Most likely some of these lie where the dead one did.
                for _ in 0..20 {
                    let lua = Lua::new();
                    let live: Vec<_> = (0..20).map(|_| make(&lua)).collect();
                    assert!(!live.contains(&dead));
                }
            }
        }
    };
}

identity!(table_identity, OwnedTable, |lua| Ok(lua
    .create_table()?
    .into_owned()));
identity!(function_identity, OwnedFunction, |lua| Ok(lua
    .create_function(|_, ()| Ok(()))?
    .into_owned()));
identity!(thread_identity, OwnedThread, |lua| Ok(
    thread(lua)?.into_owned()
));
identity!(userdata_identity, OwnedUserData, |lua| Ok(lua
    .create_any_userdata(5_u8)?
    .into_owned()));

#[test]
fn a_value_stays_as_long_as_its_handle_and_no_longer() {
    let lua = Lua::new();
    let tally = Tally::default();
    let handle = lua.create_userdata(tally.token()).unwrap().into_owned();
    let clone = handle.clone();
    drop(handle);
    lua.gc_collect().unwrap();
    assert_eq!(tally.dropped(), 0);
    drop(clone);
    lua.gc_collect().unwrap();
    tally.assert_all_dropped();
}

#[test]
fn table_shortcuts() {
    let lua = Lua::new();
    let table = lua.create_table().unwrap().into_owned();
    table.set("a", 1).unwrap();
    table.raw_set("b", "two").unwrap();
    assert_eq!(table.get::<_, i64>("a").unwrap(), 1);
    assert_eq!(table.raw_get::<_, String>("b").unwrap(), "two");
    let fallback: Table = lua
        .load("setmetatable({}, {__index = function(_, k) return k end, __newindex = error})")
        .eval()
        .unwrap();
    let fallback = fallback.into_owned();
    assert_eq!(fallback.get::<_, i64>(7).unwrap(), 7);
    assert_eq!(fallback.raw_get::<_, Option<i64>>(7).unwrap(), None);
    assert!(fallback.set(7, 7).is_err());
    fallback.raw_set(7, 8).unwrap();
    assert_eq!(fallback.get::<_, i64>(7).unwrap(), 8);

    drop(lua);
    assert_destroyed("get", table.get::<_, i64>("a"));
    assert_destroyed("set", table.set("a", 1));
    assert_destroyed("raw_get", table.raw_get::<_, i64>("a"));
    assert_destroyed("raw_set", table.raw_set("a", 1));
}

#[test]
fn a_shortcut_can_return_a_proxy() {
    let lua = Lua::new();
    let globals = lua.globals().into_owned();
    let math: Table = globals.get("math").unwrap();
    let max: Function = math.get("max").unwrap();
    drop(math);
    drop(lua);
    assert_eq!(max.call::<_, i64>((1, 3, 2)).unwrap(), 3);
    assert!(globals.is_alive());
    drop(max);
    assert!(!globals.is_alive());
}

#[test]
fn function_shortcuts() {
    let lua = Lua::new();
    let add: Function = lua.load("function(a, b) return a + b end").eval().unwrap();
    let add = add.into_owned();
    assert_eq!(add.call::<_, i64>((1, 2)).unwrap(), 3);
    assert!(matches!(
        add.call::<_, i64>(()),
        Err(Error::RuntimeError(_))
    ));
    drop(lua);
    assert_destroyed("call", add.call::<_, i64>((1, 2)));
}

#[test]
fn thread_shortcuts() {
    let lua = Lua::new();
    let doubling = thread(&lua).unwrap().into_owned();
    assert_eq!(doubling.status(), ThreadStatus::Resumable);
    assert_eq!(doubling.resume::<_, i64>(4).unwrap(), 8);
    assert_eq!(doubling.resume::<_, i64>(5).unwrap(), 10);
    drop(lua);
    assert_eq!(doubling.status(), ThreadStatus::Error);
    assert_destroyed("resume", doubling.resume::<_, i64>(4));
}

struct Counter(i64);

impl UserData for Counter {}

#[test]
fn userdata_shortcuts() {
    let lua = Lua::new();
    let counter: OwnedUserData = lua.create_userdata(Counter(1)).unwrap().into_owned();
    counter.borrow_mut::<Counter>().unwrap().0 += 1;
    assert_eq!(counter.borrow::<Counter>().unwrap().0, 2);
    assert!(matches!(
        counter.borrow::<String>(),
        Err(Error::UserDataTypeMismatch)
    ));
    {
        let _shared = counter.borrow::<Counter>().unwrap();
        assert!(counter.borrow::<Counter>().is_ok());
        assert!(matches!(
            counter.borrow_mut::<Counter>(),
            Err(Error::UserDataBorrowMutError)
        ));
        assert!(matches!(
            counter.take::<Counter>(),
            Err(Error::UserDataBorrowMutError)
        ));
    }
    {
        let _exclusive = counter.borrow_mut::<Counter>().unwrap();
        assert!(matches!(
            counter.borrow::<Counter>(),
            Err(Error::UserDataBorrowError)
        ));
    }
    let other = lua.create_userdata(Counter(9)).unwrap().into_owned();
    assert_eq!(counter.take::<Counter>().unwrap().0, 2);
    assert!(matches!(
        counter.borrow::<Counter>(),
        Err(Error::UserDataDestructed)
    ));

    drop(lua);
    assert_destroyed("borrow", other.borrow::<Counter>().map(|_| ()));
    assert_destroyed("borrow_mut", other.borrow_mut::<Counter>().map(|_| ()));
    assert_destroyed("take", other.take::<Counter>().map(|_| ()));
}

#[test]
fn string_shortcuts() {
    let lua = Lua::new();
    let text = lua.create_string("häuser").unwrap().into_owned();
    let bytes = lua.create_string(b"\xff\x00\x01").unwrap().into_owned();
    // As the callers of 0.9 use `&str` and `&[u8]`.
    let borrowed = text.to_str().unwrap();
    let plain: &str = &borrowed;
    assert_eq!(plain, "häuser");
    assert_eq!(text.to_str().unwrap().len(), 7);
    assert_eq!(borrowed, "häuser");
    assert_eq!(format!("{borrowed} {borrowed:?}"), "häuser \"häuser\"");
    assert_eq!(bytes.as_bytes(), b"\xff\x00\x01");
    assert_eq!(&bytes.as_bytes()[1..], b"\x00\x01");
    assert!(matches!(
        bytes.to_str(),
        Err(Error::FromLuaConversionError { .. })
    ));
    drop(borrowed);
    drop(lua);
    assert_destroyed("to_str", text.to_str().map(|_| ()));
    assert_eq!(panic_message(|| text.as_bytes()), DESTROYED);
}

#[test]
fn string_guards_keep_the_instance_open() {
    let lua = Lua::new();
    let handle = lua
        .create_string("a text that is not short enough for any cache of strings at all")
        .unwrap()
        .into_owned();
    let text = handle.to_str().unwrap();
    let bytes = handle.as_bytes();
    drop(lua);
    assert!(text.starts_with("a text"));
    drop(text);
    assert!(handle.is_alive());
    assert!(bytes.ends_with(b"at all"));
    let clone = bytes.clone();
    drop(bytes);
    assert_eq!(clone.len(), 63);
    drop(clone);
    assert!(!handle.is_alive());
}

#[test]
fn userdata_guards_keep_the_instance_open() {
    let lua = Lua::new();
    let tally = Tally::default();
    let handle = lua
        .create_any_userdata((tally.token(), 1))
        .unwrap()
        .into_owned();
    let mut guard = handle.borrow_mut::<(crate::kit::Token, i32)>().unwrap();
    drop(lua);
    guard.1 += 1;
    assert_eq!(guard.1, 2);
    assert!(handle.is_alive());
    drop(guard);
    assert!(!handle.is_alive());
    tally.assert_all_dropped();
}

#[test]
fn a_userdata_ref_from_a_conversion_keeps_the_instance_open() {
    let lua = Lua::new();
    let globals = lua.globals().into_owned();
    globals.set("counter", Counter(3)).unwrap();
    let guard: UserDataRef<Counter> = globals.get("counter").unwrap();
    drop(lua);
    assert_eq!(guard.0, 3);
    assert!(globals.is_alive());
    drop(guard);
    assert!(!globals.is_alive());
}

/// One value of each kind.
fn each_kind(lua: &Lua) -> Vec<Value<'_>> {
    vec![
        Value::Nil,
        Value::Boolean(true),
        Value::LightUserData(LightUserData(8 as *mut c_void)),
        Value::Integer(-3),
        Value::Number(0.5),
        Value::String(lua.create_string("text").unwrap()),
        Value::Table(lua.create_table().unwrap()),
        Value::Function(lua.create_function(|_, ()| Ok(())).unwrap()),
        Value::Thread(thread(lua).unwrap()),
        Value::UserData(lua.create_any_userdata(1_u8).unwrap()),
        Value::Error(Error::runtime("an error")),
    ]
}

fn is_handle(value: &OwnedValue) -> bool {
    use OwnedValue::*;
    matches!(
        value,
        String(_) | Table(_) | Function(_) | Thread(_) | UserData(_)
    )
}

#[test]
fn owned_values_mirror_values() {
    let lua = Lua::new();
    for value in each_kind(&lua) {
        let (name, pointer) = (value.type_name(), value.to_pointer());
        let owned = value.into_owned();
        for back in [
            owned.upgrade(),
            owned.to_ref(),
            owned.try_upgrade().unwrap(),
            owned.upgrade_in(&lua).unwrap(),
        ] {
            assert_eq!((back.type_name(), back.to_pointer()), (name, pointer));
        }
        assert_eq!(owned.to_pointer(), pointer, "{name}");
        assert!(owned.is_alive());
        assert_eq!(lua.pack(&owned).unwrap().type_name(), name);
        let through: OwnedValue = lua.unpack(lua.pack(owned).unwrap()).unwrap();
        assert_eq!(through.to_pointer(), pointer);
    }
}

#[test]
fn owned_values_of_a_dead_instance() {
    let lua = Lua::new();
    let values: Vec<OwnedValue> = each_kind(&lua).into_iter().map(Value::into_owned).collect();
    let pointers: Vec<_> = values.iter().map(OwnedValue::to_pointer).collect();
    drop(lua);
    let other = Lua::new();
    for (value, pointer) in values.iter().zip(pointers) {
        let clone = value.clone();
        assert_eq!(clone.to_pointer(), pointer);
        assert!(!format!("{clone:?}").is_empty());
        assert_eq!(value.is_alive(), !is_handle(value));
        if is_handle(value) {
            assert_eq!(panic_message(|| value.upgrade()), DESTROYED);
            assert_eq!(panic_message(|| value.to_ref()), DESTROYED);
            assert_destroyed("try_upgrade", value.try_upgrade());
            assert_destroyed("upgrade_in", value.upgrade_in(&other));
            assert_destroyed("pack", other.pack(value));
        } else {
            let name = value.upgrade().type_name();
            assert_eq!(value.upgrade_in(&other).unwrap().type_name(), name);
            assert_eq!(other.pack(clone).unwrap().type_name(), name);
        }
    }
}

#[test]
fn owned_values_of_another_instance() {
    let (lua, other) = (Lua::new(), Lua::new());
    for value in each_kind(&lua).into_iter().map(Value::into_owned) {
        if is_handle(&value) {
            assert_mismatched("upgrade_in", value.upgrade_in(&other));
            assert_mismatched("pack", other.pack(&value));
        } else {
            assert!(value.upgrade_in(&other).is_ok());
        }
    }
}

#[test]
fn owned_values_from_plain_kinds_and_handles() {
    let lua = Lua::new();
    assert!(matches!(OwnedValue::default(), OwnedValue::Nil));
    assert!(matches!(OwnedValue::from(()), OwnedValue::Nil));
    assert!(matches!(OwnedValue::from(true), OwnedValue::Boolean(true)));
    assert!(matches!(OwnedValue::from(7), OwnedValue::Integer(7)));
    assert!(matches!(OwnedValue::from(7_u8), OwnedValue::Integer(7)));
    assert!(matches!(OwnedValue::from(0.5), OwnedValue::Number(_)));
    assert!(matches!(
        OwnedValue::from(LightUserData(8 as *mut c_void)),
        OwnedValue::LightUserData(_)
    ));
    assert!(matches!(
        OwnedValue::from(Error::runtime("x")),
        OwnedValue::Error(_)
    ));
    assert!(matches!(
        OwnedValue::from(lua.create_string("s").unwrap().into_owned()),
        OwnedValue::String(_)
    ));
    assert!(matches!(
        OwnedValue::from(lua.globals().into_owned()),
        OwnedValue::Table(_)
    ));
    let function = lua.create_function(|_, ()| Ok(())).unwrap();
    assert!(matches!(
        OwnedValue::from(function.into_owned()),
        OwnedValue::Function(_)
    ));
    assert!(matches!(
        OwnedValue::from(thread(&lua).unwrap().into_owned()),
        OwnedValue::Thread(_)
    ));
    let userdata = lua.create_any_userdata(()).unwrap();
    assert!(matches!(
        OwnedValue::from(userdata.into_owned()),
        OwnedValue::UserData(_)
    ));
}

#[test]
fn owned_values_take_anything_from_lua() {
    let lua = Lua::new();
    let keep = lua
        .create_function(|_, values: mlua::Variadic<OwnedValue>| Ok(values))
        .unwrap();
    lua.globals().set("keep", keep).unwrap();
    let same: bool = lua
        .load("local t, f = {}, print; local a, b, c, d, e = keep(t, f, nil, 'x', 1.5); return a == t and b == f and c == nil and d == 'x' and e == 1.5")
        .eval()
        .unwrap();
    assert!(same);
}

#[test]
fn weak_lua() {
    let lua = Lua::new();
    let other = Lua::new();
    let weak = lua.weak();
    assert!(weak.is_alive());
    assert!(weak.ptr_eq(&lua.weak()));
    assert!(weak.ptr_eq(&weak.clone()));
    assert!(!weak.ptr_eq(&other.weak()));
    assert!(!format!("{weak:?}").is_empty());
    let inside = weak.clone();
    let same = lua
        .create_function(move |lua, ()| Ok(lua.weak().ptr_eq(&inside)))
        .unwrap();
    assert!(same.call::<_, bool>(()).unwrap());
    drop(same);
    drop(lua);
    assert!(!weak.is_alive());
    assert!(weak.ptr_eq(&weak.clone()));
    // A new instance is another one, even where the old one was.
    assert!((0..20).all(|_| !Lua::new().weak().ptr_eq(&weak)));
    assert!(!format!("{weak:?}").is_empty());
}

#[test]
fn the_new_errors_have_texts() {
    assert!(Error::LuaDestroyed
        .to_string()
        .to_lowercase()
        .contains("destroyed"));
    assert!(!Error::MismatchedLua.to_string().is_empty());
}
