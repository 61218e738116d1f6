//! What can be asked of every instance.

use crate::handle::proxy::Ref;
use crate::table::Table;
use crate::Lua;

impl Lua {
    /// The table of global variables.
    ///
    /// # Panics
    ///
    /// Panics if the instance is gone, which takes a reference to it that came out of a handle.
    pub fn globals(&self) -> Table<'_> {
        let _entered = self.enter();
        #[cfg(feature = "luau")]
        // SAFETY: `pop_or_panic` takes what is pushed. With sandboxes, each coroutine may have globals of its own.
        return unsafe {
            crate::engine::push_globals(_entered.state);
            Table(Ref::pop_or_panic(self))
        };
        #[cfg(not(feature = "luau"))]
        let slot = self
            .inner()
            .globals
            .get()
            .expect("the instance has been opened");
        #[cfg(not(feature = "luau"))]
        // SAFETY: the instance counts this slot as long as it is open, which it is.
        Table(unsafe { Ref::share(self, slot) })
    }

    /// Knows this instance without keeping it open.
    ///
    /// It can be asked of an instance that is closed already, too, which takes a reference that came out of a handle.
    #[cfg(feature = "weak-owned")]
    pub fn weak(&self) -> crate::WeakLua {
        crate::WeakLua::new(self)
    }
}
