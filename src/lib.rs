//! Lua in Rust: the API of mlua 0.9, with weak owned handles.
//!
//! This crate takes the place of `mlua` 0.9.9 by one `[patch.crates-io]` line: names, signatures and behaviour are the same.
//! The feature `weak-owned` adds handles that never keep a Lua instance open.
//!
//! # References
//!
//! | kind | types | keeps the instance open | keeps the value |
//! |---|---|---|---|
//! | owner | [`Lua`] | yes | |
//! | proxy | [`Table`], [`Function`], [`String`], [`Thread`], [`AnyUserData`], [`Value`] | as long as it exists | yes |
//! | owned handle | `OwnedTable`, `OwnedFunction`, …, `OwnedValue` | **no** | while the instance is open |
//! | registry key | [`RegistryKey`] | no | yes |
//!
//! A struct that holds a callback of Lua's and is itself given to Lua makes a cycle. With a handle in it the cycle ends when
//! the owner goes:
//!
#![cfg_attr(all(feature = "weak-owned", not(feature = "send")), doc = "```")]
#![cfg_attr(
    not(all(feature = "weak-owned", not(feature = "send"))),
    doc = "```ignore"
)]
//! use mlua::{Function, Lua, OwnedFunction, Result, UserData, UserDataMethods};
//!
//! #[derive(Default)]
//! struct Button {
//!     on_click: Option<OwnedFunction>,
//! }
//!
//! impl UserData for Button {
//!     fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
//!         methods.add_method_mut("on_click", |_, button, callback: Function| {
//!             button.on_click = Some(callback.into_owned());
//!             Ok(())
//!         });
//!         methods.add_method("click", |_, button, ()| match &button.on_click {
//!             Some(callback) => callback.call::<_, ()>(()),
//!             None => Ok(()),
//!         });
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let lua = Lua::new();
//! lua.globals().set("button", Button::default())?;
//! lua.load("button:on_click(function() clicked = true end) button:click()").exec()?;
//! assert!(lua.globals().get::<_, bool>("clicked")?);
//!
//! let weak = lua.weak();
//! drop(lua);
//! assert!(!weak.is_alive());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! Exactly one Lua is chosen (`lua51`, `lua52`, `lua53`, `lua54`, `lua55`, `luajit`, `luajit52`, `luau`, `luau-jit`,
//! `luau-vector4`), and usually `vendored`, which builds it from source (Luau always is). `weak-owned` brings the handles
//! above, `unstable` the owned types of 0.9, which keep their instance open; with both they are weak. With `send`, [`Lua`] can
//! be sent to other threads and handles can be cloned and dropped on any; `upgrade_in` is their way back.
//!
//! The guide in the folder `docs` of the repository helps to choose a reference and to move over, and says why it is sound.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod call;
mod chunk;
mod engine;
mod error;
mod function;
#[cfg(feature = "async")]
mod future;
mod handle;
#[cfg(feature = "luau")]
mod luau;
mod macros;
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
#[cfg(feature = "async")]
pub use crate::future::AsyncThread;
#[cfg(all(feature = "weak-owned", not(feature = "send")))]
pub use crate::handle::borrowed::{BorrowedBytes, BorrowedStr};
#[cfg(any(feature = "unstable", feature = "weak-owned"))]
pub use crate::handle::owned::{
    OwnedAnyUserData, OwnedFunction, OwnedString, OwnedTable, OwnedThread, OwnedUserData,
};
pub use crate::handle::RegistryKey;
#[cfg(feature = "weak-owned")]
pub use crate::handle::{value::OwnedValue, weak::WeakLua};
#[cfg(feature = "luau")]
pub use crate::luau::{Compiler, CoverageInfo, Vector, VmState};
#[cfg(feature = "module")]
pub use crate::macros::lua_module;
#[cfg(feature = "macros")]
pub use crate::macros::{chunk, FromLua};
pub use crate::scope::Scope;
#[cfg(feature = "serialize")]
pub use crate::serde::{
    de::Options as DeserializeOptions, ser::Options as SerializeOptions, LuaSerdeExt,
};
#[cfg(not(feature = "luau"))]
pub use crate::state::HookTriggers;
pub use crate::state::{
    AppDataRef, AppDataRefMut, Debug, DebugEvent, DebugNames, DebugSource, DebugStack, GCMode, Lua,
    LuaOptions, StdLib,
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
#[cfg(not(feature = "luau"))]
pub type Integer = ffi::lua_Integer;
/// The integer type of Luau.
#[cfg(feature = "luau")]
pub type Integer = i32;
/// The floating-point type of Lua.
pub type Number = ffi::lua_Number;
