//! [`WeakLua`]: a reference to an instance that does not keep it open.

use std::fmt;
use std::ptr::NonNull;

use crate::state::LuaInner;
use crate::Lua;

/// Knows an instance without keeping it open.
///
/// To make, clone and drop one is a count. As long as one is left, or a handle is, the instance's block stays allocated after
/// the instance is closed: less than 1 KiB, and 8 bytes for each reference that there was, without anything of Lua's. With the feature `send` any thread may hold one.
///
/// # Examples
///
/// ```
/// # use mlua::Lua;
/// let lua = Lua::new();
/// let weak = lua.weak();
/// assert!(weak.is_alive());
/// drop(lua);
/// assert!(!weak.is_alive());
/// ```
pub struct WeakLua(NonNull<LuaInner>);

#[cfg(feature = "send")]
// SAFETY: of the block, only `refs` and `alive` are touched, which are atomic.
unsafe impl Send for WeakLua {}
#[cfg(feature = "send")]
// SAFETY: as above.
unsafe impl Sync for WeakLua {}

impl WeakLua {
    pub(crate) fn new(lua: &Lua) -> WeakLua {
        lua.inner().retain();
        WeakLua(lua.0)
    }

    fn inner(&self) -> &LuaInner {
        // SAFETY: we hold a count in `refs`.
        unsafe { self.0.as_ref() }
    }

    /// Whether the instance is open. False from the moment that it begins to close.
    pub fn is_alive(&self) -> bool {
        self.inner().is_alive()
    }

    /// Whether both know the same instance.
    pub fn ptr_eq(&self, other: &WeakLua) -> bool {
        self.0 == other.0
    }
}

impl Clone for WeakLua {
    fn clone(&self) -> Self {
        self.inner().retain();
        WeakLua(self.0)
    }
}

impl Drop for WeakLua {
    fn drop(&mut self) {
        // SAFETY: we hold a count in `refs`.
        unsafe { LuaInner::release(self.0) }
    }
}

impl fmt::Debug for WeakLua {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WeakLua({})",
            if self.is_alive() { "open" } else { "closed" }
        )
    }
}
