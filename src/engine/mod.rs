//! The C API of Lua, as the library uses it on every engine.
//!
//! The rest of the library is written against the API of Lua 5.4. Where an engine has another one, the file of that engine
//! puts a function or constant of the same name and meaning in its place; what no engine but some have is told by constants
//! such as [`USER_VALUES`]. So this is the one place to look for what sets the engines apart, beside what the API of the
//! library itself offers on some of them only.

#[cfg_attr(any(feature = "lua54", feature = "lua55"), path = "lua54.rs")]
mod current;

pub(crate) use current::*;
