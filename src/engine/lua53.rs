//! Lua 5.3: one user value, of any type; no warnings; errors in finalizers come out where the collector ran.

pub(crate) use super::before54::*;
pub(crate) use super::growing::*;
pub(crate) use super::since52::*;
pub(crate) use ffi::*;

pub(crate) const FINALIZERS_RAISE: bool = true;
pub(crate) const REF_BITS: u32 = 16;
