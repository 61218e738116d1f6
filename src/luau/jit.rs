//! Native code.

use crate::engine;
use crate::Lua;

impl Lua {
    /// Sets whether chunks are compiled to native code when they are loaded. They are unless this says otherwise; what is
    /// loaded already stays as it is.
    ///
    /// Where there is no code generator for the machine, this has no effect.
    pub fn enable_jit(&self, enable: bool) {
        let _entered = self.enter();
        self.inner().luau.interpreted.set(!enable);
    }
}

/// Whether chunks are compiled to native code.
pub(super) fn is_enabled(lua: &Lua) -> bool {
    !lua.inner().luau.interpreted.get() && is_supported()
}

fn is_supported() -> bool {
    // SAFETY: a question about the processor.
    unsafe { engine::luau_codegen_supported() != 0 }
}

/// Makes the code generator.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn open(state: *mut engine::lua_State) {
    if is_supported() {
        // SAFETY: the caller runs protected.
        unsafe { engine::luau_codegen_create(state) }
    }
}
