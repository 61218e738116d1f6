//! Lua in Rust.
