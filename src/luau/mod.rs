//! What only Luau has.

use std::cell::{Cell, RefCell};

mod base;
mod buffer;
mod clone;
mod compiler;
mod coverage;
mod fflag;
mod interrupt;
#[cfg(feature = "luau-jit")]
mod jit;
pub(crate) mod load;
mod readonly;
pub(crate) mod require;
pub(crate) mod sandbox;
mod vector;

pub use compiler::Compiler;
pub use coverage::CoverageInfo;
pub use interrupt::VmState;
pub use vector::Vector;

use crate::engine;

/// What an instance keeps for Luau.
#[derive(Default)]
pub(crate) struct LuauState {
    /// What chunks are compiled with that bring no compiler of their own.
    compiler: RefCell<Option<Compiler>>,
    interrupt: interrupt::Interrupt,
    /// Whether chunks are left to the interpreter.
    #[cfg_attr(not(feature = "luau-jit"), allow(dead_code))]
    interpreted: Cell<bool>,
}

impl LuauState {
    /// Drops everything: the VM is gone.
    pub(crate) fn clear(&self) {
        self.interrupt.clear();
    }
}

/// Opens what every instance has, besides Luau's own basic functions.
///
/// # Safety
///
/// May raise.
pub(crate) unsafe fn open(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        base::open(state);
        vector::open(state);
        #[cfg(feature = "luau-jit")]
        jit::open(state);
    }
}
