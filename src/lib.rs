//! Lua in Rust.

#[allow(dead_code)]
mod error;

pub use error::{Error, ErrorContext, ExternalError, ExternalResult, Result};
