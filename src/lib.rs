//! Lua in Rust: the API of mlua 0.9, with weak owned handles.

mod call;
mod chunk;
mod error;
mod function;
mod handle;
pub mod prelude;
mod scope;
#[cfg(feature = "serialize")]
pub mod serde;
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
#[cfg(feature = "serialize")]
pub use crate::serde::{
    de::Options as DeserializeOptions, ser::Options as SerializeOptions, LuaSerdeExt,
};
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
