//! Lua in Rust: the API of mlua 0.9, with weak owned handles.

mod call;
mod chunk;
mod error;
mod function;
mod handle;
mod macros;
pub mod prelude;
mod scope;
mod stack;
mod state;
mod string;
mod table;
mod thread;
mod types;
mod userdata;
mod value;

pub use crate::chunk::{AsChunk, Chunk, ChunkMode};
pub use crate::error::{Error, ErrorContext, ExternalError, ExternalResult, Result};
pub use crate::function::{Function, FunctionInfo};
#[cfg(any(feature = "unstable", feature = "weak-owned"))]
pub use crate::handle::owned::{
    OwnedAnyUserData, OwnedFunction, OwnedString, OwnedTable, OwnedThread, OwnedUserData,
};
pub use crate::handle::RegistryKey;
#[cfg(feature = "weak-owned")]
pub use crate::handle::{
    borrowed::{BorrowedBytes, BorrowedStr},
    value::OwnedValue,
    weak::WeakLua,
};
#[cfg(feature = "module")]
pub use crate::macros::lua_module;
#[cfg(feature = "macros")]
pub use crate::macros::{chunk, FromLua};
pub use crate::state::{
    AppDataRef, AppDataRefMut, Debug, DebugEvent, DebugNames, DebugSource, DebugStack, GCMode,
    HookTriggers, Lua, LuaOptions, StdLib,
};
pub use crate::string::String;
pub use crate::table::{Table, TableExt, TablePairs, TableSequence};
pub use crate::thread::{Thread, ThreadStatus};
pub use crate::userdata::{
    AnyUserData, AnyUserDataExt, MetaMethod, UserData, UserDataFields, UserDataMetatable,
    UserDataMethods, UserDataRef, UserDataRefMut, UserDataRegistry,
};
pub use crate::value::{
    FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, LightUserData, MultiValue, Nil, Value, Variadic,
};

pub use ffi::{self, lua_CFunction, lua_State};

/// The integer type of Lua.
pub type Integer = ffi::lua_Integer;
/// The floating-point type of Lua.
pub type Number = ffi::lua_Number;
