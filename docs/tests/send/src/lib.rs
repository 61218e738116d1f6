//! The pages of the book whose programs use the feature `send`.

#[doc = include_str!("../../../src/patterns/threads.md")]
pub struct Threads;
