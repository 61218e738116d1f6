//! Everything under a name with `Lua` in front.

#[doc(no_inline)]
pub use crate::{
    FromLua, FromLuaMulti, IntoLua, IntoLuaMulti, LightUserData as LuaLightUserData,
    MultiValue as LuaMultiValue, Nil as LuaNil, String as LuaString, Value as LuaValue,
};
