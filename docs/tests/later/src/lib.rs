//! The page of the book whose programs are written for mlua 0.12.

#[doc = include_str!("../../../src/later.md")]
pub struct Later;
