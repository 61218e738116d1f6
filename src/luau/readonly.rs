//! Tables that cannot be written to.

use crate::call::protect::protect;
use crate::engine;
use crate::table::Table;

impl Table<'_> {
    /// Makes the table read-only, or lets it be written to again.
    ///
    /// A write to a read-only table is an error, in Luau as from Rust, without metamethods too.
    ///
    /// # Panics
    ///
    /// Panics if there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let table = lua.create_table_from([("x", 1)])?;
    /// table.set_readonly(true);
    /// assert!(table.set("x", 2).is_err());
    /// assert_eq!(table.get::<_, i32>("x")?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_readonly(&self, enabled: bool) {
        let state = self.0.state();
        let memory = &self.0.lua().inner().memory;
        // SAFETY: the table is the argument of `protect`: a table that was read-only may need memory to be no longer.
        let done = memory.without_limit(|| unsafe {
            self.0.push();
            protect(state, 1, 0, |state| {
                engine::lua_setreadonly(state, 1, enabled.into())
            })
        });
        done.expect("not enough memory");
    }

    /// Whether the table is read-only.
    pub fn is_readonly(&self) -> bool {
        // SAFETY: a plain read.
        unsafe {
            let (thread, index) = self.0.peek();
            engine::lua_getreadonly(thread, index) != 0
        }
    }
}
