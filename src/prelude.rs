//! Everything under a name with `Lua` in front.

#[doc(no_inline)]
pub use crate::AnyUserData as LuaAnyUserData;
#[doc(no_inline)]
pub use crate::{
    Chunk as LuaChunk, Error as LuaError, ErrorContext as LuaErrorContext,
    ExternalError as LuaExternalError, ExternalResult as LuaExternalResult,
    Function as LuaFunction, FunctionInfo as LuaFunctionInfo, GCMode as LuaGCMode,
    HookTriggers as LuaHookTriggers, Integer as LuaInteger, Lua, LuaOptions, Number as LuaNumber,
    RegistryKey as LuaRegistryKey, Result as LuaResult, StdLib as LuaStdLib, Thread as LuaThread,
    ThreadStatus as LuaThreadStatus,
};
#[doc(no_inline)]
pub use crate::{
    FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, LightUserData as LuaLightUserData,
    MultiValue as LuaMultiValue, Nil as LuaNil, String as LuaString, Table as LuaTable,
    TableExt as LuaTableExt, TablePairs as LuaTablePairs, TableSequence as LuaTableSequence,
    Value as LuaValue,
};
#[cfg(any(feature = "unstable", feature = "weak-owned"))]
#[doc(no_inline)]
pub use crate::{
    OwnedAnyUserData as LuaOwnedAnyUserData, OwnedFunction as LuaOwnedFunction,
    OwnedString as LuaOwnedString, OwnedTable as LuaOwnedTable, OwnedThread as LuaOwnedThread,
};
