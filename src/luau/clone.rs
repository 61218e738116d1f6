//! Copies of functions.

use crate::call::protect::protect;
use crate::engine;
use crate::function::Function;
use crate::handle::proxy::Ref;

impl<'lua> Function<'lua> {
    /// A new function with the code, the environment and the upvalues of this one. What is written in another language has
    /// no copies: then this is [`Clone::clone`].
    ///
    /// # Panics
    ///
    /// Panics if there is no memory.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Function, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let function: Function = lua.load("function() return x end").eval()?;
    /// let copy = function.deep_clone();
    /// copy.set_environment(lua.create_table_from([("x", 1)])?)?;
    /// assert_eq!(copy.call::<_, Option<i32>>(())?, Some(1));
    /// assert_eq!(function.call::<_, Option<i32>>(())?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn deep_clone(&self) -> Self {
        let lua = self.0.lua();
        let state = self.0.state();
        let memory = &lua.inner().memory;
        // SAFETY: the function is the argument of `protect`, and one of Luau's where it is copied. `pop_or_panic` takes the copy.
        unsafe {
            let (thread, index) = self.0.peek();
            if engine::lua_iscfunction(thread, index) != 0 {
                return self.clone();
            }
            self.0.push();
            let done = memory.without_limit(|| {
                protect(state, 1, 1, |state| {
                    engine::lua_clonefunction(state, 1);
                    engine::lua_getfenv(state, 1);
                    engine::lua_setfenv(state, -2);
                })
            });
            done.expect("not enough memory");
            Function(Ref::pop_or_panic(lua))
        }
    }
}
