//! Everything under a name with `Lua` in front.

#[doc(no_inline)]
pub use crate::{
    FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, LightUserData as LuaLightUserData,
    MultiValue as LuaMultiValue, Nil as LuaNil, String as LuaString, Table as LuaTable,
    TableExt as LuaTableExt, TablePairs as LuaTablePairs, TableSequence as LuaTableSequence,
    Value as LuaValue,
};

#[doc(no_inline)]
pub use crate::{
    AnyUserData as LuaAnyUserData, AnyUserDataExt as LuaAnyUserDataExt,
    MetaMethod as LuaMetaMethod, UserData as LuaUserData, UserDataFields as LuaUserDataFields,
    UserDataMetatable as LuaUserDataMetatable, UserDataMethods as LuaUserDataMethods,
    UserDataRef as LuaUserDataRef, UserDataRefMut as LuaUserDataRefMut,
    UserDataRegistry as LuaUserDataRegistry,
};
