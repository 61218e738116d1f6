//! What the feature `weak-owned` promises, tested by trying to break it. One file for each group of traps; README.md says
//! which test stands for which trap.
//!
//! With the feature `send` a handle has no `upgrade()`, and what a callback captures must be `Send`; that needs tests of
//! its own.
#![cfg(not(feature = "send"))]
#![cfg_attr(
    not(feature = "weak-owned"),
    allow(dead_code, unused_imports, unused_macros)
)]

#[macro_use]
#[path = "../common/mod.rs"]
mod common;
mod kit;
mod scale;

#[cfg(feature = "weak-owned")]
mod api;
#[cfg(all(feature = "weak-owned", feature = "async"))]
mod asynchronous;
#[cfg(feature = "weak-owned")]
mod closing;
#[cfg(feature = "weak-owned")]
mod crossing;
mod cycle;
#[cfg(feature = "weak-owned")]
mod dropping;
#[cfg(feature = "weak-owned")]
mod limits;
#[cfg(feature = "weak-owned")]
mod views;

// The tests of cycles as a control on mlua 0.9, whose handles are strong.
#[cfg(not(feature = "weak-owned"))]
mod strong;
