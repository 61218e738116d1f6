//! Everything under a name with `Lua` in front.

#[doc(no_inline)]
pub use crate::{
    Chunk as LuaChunk, Function as LuaFunction, FunctionInfo as LuaFunctionInfo,
    Thread as LuaThread, ThreadStatus as LuaThreadStatus,
};
#[doc(no_inline)]
pub use crate::{
    FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, LightUserData as LuaLightUserData,
    MultiValue as LuaMultiValue, Nil as LuaNil, String as LuaString, Table as LuaTable,
    TableExt as LuaTableExt, TablePairs as LuaTablePairs, TableSequence as LuaTableSequence,
    Value as LuaValue,
};
