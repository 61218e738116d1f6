//! Conversions of the types of Lua and of the standard library.
