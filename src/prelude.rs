//! Everything under a name with `Lua` in front.

#[doc(no_inline)]
pub use crate::{
    Table as LuaTable, TableExt as LuaTableExt, TablePairs as LuaTablePairs,
    TableSequence as LuaTableSequence,
};
