//! What is public but not in the documentation: each item of it is named here, so that it stays.

use mlua::prelude::*;
use mlua::{
    ffi, AnyUserData, FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, Lua, MetaMethod, MultiValue,
    Result, Table, TableSequence, UserDataFields, UserDataMethods, UserDataRegistry, Value,
};

// Without the feature it is an error that names the feature.
#[cfg(feature = "module")]
mlua::require_module_feature!();
#[cfg(not(feature = "module"))]
#[allow(unused_imports)]
use mlua::require_module_feature as _;

#[test]
fn conversion_by_the_stack() -> Result<()> {
    let lua = Lua::new();
    // SAFETY: what is pushed is what is read and popped.
    unsafe {
        5_i64.push_into_stack(&lua)?;
        assert_eq!(i64::from_stack(-1, &lua)?, 5);
        assert_eq!(i64::from_stack_arg(-1, 1, Some("f"), &lua)?, 5);
        assert!(bool::from_stack_arg(-1, 1, Some("f"), &lua)?);
        assert_eq!(lua.pop_value(), Value::Integer(5));

        assert_eq!((1, 2).push_into_stack_multi(&lua)?, 2);
        assert_eq!(<(i64, i64)>::from_stack_multi(2, &lua)?, (1, 2));
        assert_eq!((3, 4).push_into_stack_multi(&lua)?, 2);
        assert_eq!(<(i64, i64)>::from_stack_args(2, 1, None, &lua)?, (3, 4));

        lua.push("text")?;
        assert_eq!(lua.pop_value().to_string()?, "text");
        lua.push_value(Value::Boolean(true))?;
        assert_eq!(lua.pop_value(), Value::Boolean(true));
    }
    Ok(())
}

#[test]
fn conversion_of_arguments() -> Result<()> {
    let lua = Lua::new();
    assert_eq!(i64::from_lua_arg(Value::Integer(1), 1, Some("f"), &lua)?, 1);
    let error = i64::from_lua_arg(Value::Boolean(true), 2, Some("f"), &lua).unwrap_err();
    assert!(matches!(error, LuaError::BadArgument { pos: 2, .. }));
    let args = MultiValue::from_vec(vec![Value::Integer(1), Value::Integer(2)]);
    assert_eq!(<(i64, i64)>::from_lua_args(args, 1, None, &lua)?, (1, 2));
    Ok(())
}

#[test]
#[allow(deprecated)]
fn old_names_of_user_values() -> Result<()> {
    let lua = Lua::new();
    let userdata: AnyUserData = lua.create_any_userdata(1_u8)?;
    userdata.set_user_value(5)?;
    assert_eq!(userdata.get_user_value::<i64>()?, 5);
    assert_eq!(userdata.get_nth_user_value::<i64>(1)?, 5);
    userdata.set_named_user_value("name", 6)?;
    assert_eq!(userdata.get_named_user_value::<i64>("name")?, 6);
    Ok(())
}

#[test]
fn tables() -> Result<()> {
    let lua = Lua::new();
    let table: Table = lua.create_table()?;
    assert!(!table.has_metatable());
    table.set_metatable(Some(lua.create_table()?));
    assert!(table.has_metatable());
    table.raw_seti(1, "a")?;
    let values: TableSequence<LuaString> = table.raw_sequence_values();
    assert_eq!(values.count(), 1);
    Ok(())
}

#[test]
fn instances_without_a_lifetime() {
    let lua: &'static Lua = Lua::new().into_static();
    // SAFETY: nothing borrows from it.
    drop(unsafe { Lua::from_static(lua) });
}

#[test]
fn the_metamethod_of_the_type_name() {
    assert_eq!(
        MetaMethod::Type.name(),
        if cfg!(feature = "luau") {
            "__type"
        } else {
            "__name"
        }
    );
}

#[test]
fn registries_take_one_another_in() -> Result<()> {
    fn fields<'lua, T: 'static>(
        to: &mut impl UserDataFields<'lua, T>,
        from: UserDataRegistry<'lua, u8>,
    ) {
        to.append_fields_from(from);
    }
    fn methods<'lua, T: 'static>(
        to: &mut impl UserDataMethods<'lua, T>,
        from: UserDataRegistry<'lua, u8>,
    ) {
        to.append_methods_from(from);
    }
    let _ = (
        fields::<u16> as fn(&mut UserDataRegistry<'static, u16>, _),
        methods::<u16> as fn(&mut UserDataRegistry<'static, u16>, _),
    );
    Ok(())
}

unsafe extern "C-unwind" fn open(state: *mut mlua::lua_State) -> i32 {
    // SAFETY: called by Lua; nothing in this frame needs a drop.
    unsafe { Lua::init_from_ptr(state).entrypoint(state, |_, (a, b): (i64, i64)| Ok(a + b)) }
}

unsafe extern "C-unwind" fn open_plain(state: *mut mlua::lua_State) -> i32 {
    // SAFETY: as above.
    unsafe { Lua::init_from_ptr(state).entrypoint1(state, |lua| lua.create_table()) }
}

#[test]
fn entry_points_of_modules() -> Result<()> {
    let lua = Lua::new();
    let (open, open_plain): (ffi::lua_CFunction, ffi::lua_CFunction) = (open, open_plain);
    // SAFETY: both keep to what a C function may do.
    let (open, open_plain) = unsafe {
        (
            lua.create_c_function(open)?,
            lua.create_c_function(open_plain)?,
        )
    };
    assert_eq!(open.call::<_, i64>((1, 2))?, 3);
    assert!(open_plain.call::<_, Table>(()).is_ok());
    Ok(())
}

#[cfg(feature = "async")]
#[test]
fn the_mark_of_a_pending_poll() {
    assert!(!Lua::poll_pending().0.is_null());
}

#[cfg(feature = "serialize")]
#[test]
fn serializers() -> Result<()> {
    use mlua::serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
    use mlua::serde::ser::{SerializeStructVariant, SerializeTupleVariant};
    use mlua::serde::Serializer;
    use serde::ser;

    fn seq<T: ser::SerializeSeq + ser::SerializeTuple + ser::SerializeTupleStruct>() {}
    fn map<T: ser::SerializeMap>() {}
    fn structure<T: ser::SerializeStruct>() {}
    fn tuple_variant<T: ser::SerializeTupleVariant>() {}
    fn struct_variant<T: ser::SerializeStructVariant>() {}
    fn serializer<'a>()
    where
        Serializer<'a>: ser::Serializer<
            SerializeMap = SerializeMap<'a>,
            SerializeSeq = SerializeSeq<'a>,
            SerializeStruct = SerializeStruct<'a>,
            SerializeStructVariant = SerializeStructVariant<'a>,
            SerializeTupleVariant = SerializeTupleVariant<'a>,
        >,
    {
    }
    seq::<SerializeSeq>();
    map::<SerializeMap>();
    structure::<SerializeStruct>();
    tuple_variant::<SerializeTupleVariant>();
    struct_variant::<SerializeStructVariant>();
    serializer();

    fn serializes(_: impl ser::Serialize) {}
    serializes(Value::Integer(1).to_serializable());
    Ok(())
}
