//! Lua 5.4 and 5.5: the API that the library is written for.

pub(crate) use ffi::*;
