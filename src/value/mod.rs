//! Lua values and their conversion to and from Rust.

mod convert;
mod multi;
pub(crate) mod traits;
mod tuple;
mod value;

pub use multi::{MultiValue, Variadic};
pub use traits::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti};
pub use value::{LightUserData, Nil, Value};
