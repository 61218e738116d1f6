//! What the feature `weak-owned` promises, tested by trying to break it. One file for each group of traps; README.md says
//! which test stands for which trap.
//!
//! With the feature `send` a handle has no `upgrade()`, and what a callback captures must be `Send`; that needs tests of
//! its own.
#![cfg(not(feature = "send"))]

#[macro_use]
#[path = "../common/mod.rs"]
mod common;
mod kit;
mod scale;

mod api;
#[cfg(feature = "async")]
mod asynchronous;
mod closing;
mod crossing;
mod cycle;
mod dropping;
mod limits;
mod views;
