//! Lua values and their conversion to and from Rust.

mod access;
mod coerce;
mod compare;
pub(crate) mod convert;
mod format;
mod multi;
pub(crate) mod traits;
mod tuple;
mod variants;

pub use multi::{MultiValue, Variadic};
pub(crate) use traits::wanted;
pub use traits::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti};
pub use variants::{LightUserData, Nil, Value};
