//! Values that Rust keeps in an instance: by key and by name.

use crate::call::protect::protect;
use crate::call::{push_bytes, push_table};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::slots::Slot;
use crate::stack::Held;
use crate::state::LuaInner;
use crate::value::{FromLua, IntoLua};
use crate::{Lua, RegistryKey};

impl Lua {
    /// Keeps a value in the registry; the key names it from then on.
    ///
    /// # Errors
    ///
    /// What the conversion of `t` returns; [`Error::MemoryError`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let key = lua.create_registry_value(lua.globals())?;
    /// let globals: mlua::Table = lua.registry_value(&key)?;
    /// lua.remove_registry_value(key)?;
    /// # drop(globals);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_registry_value<'lua, T: IntoLua<'lua>>(&'lua self, t: T) -> Result<RegistryKey> {
        let entered = self.enter();
        // SAFETY: `t` is one value on top, which `take` pops.
        unsafe {
            t.push_into_stack(self)?;
            RegistryKey::take(self.inner(), entered.state)
        }
    }

    /// The value that `key` names.
    ///
    /// # Errors
    ///
    /// [`Error::MismatchedRegistryKey`] if another instance made the key; what the conversion returns.
    pub fn registry_value<'lua, T: FromLua<'lua>>(&'lua self, key: &RegistryKey) -> Result<T> {
        let entered = self.enter();
        // SAFETY: the value is held while it is read.
        unsafe {
            key.push(self.inner(), entered.state)?;
            T::pop_from_stack(self)
        }
    }

    /// Frees the value of `key` now. (A key that is dropped frees it later: see [`RegistryKey`].)
    ///
    /// # Errors
    ///
    /// [`Error::MismatchedRegistryKey`] if another instance made the key; there its value goes as if it had been dropped.
    pub fn remove_registry_value(&self, key: RegistryKey) -> Result<()> {
        let _entered = self.enter();
        // SAFETY: the VM is there.
        unsafe { key.remove(self.inner()) }
    }

    /// Puts another value in the place of the one that `key` names.
    ///
    /// # Errors
    ///
    /// [`Error::MismatchedRegistryKey`] if another instance made the key; what the conversion of `t` returns. The value
    /// stays as it was then.
    pub fn replace_registry_value<'lua, T: IntoLua<'lua>>(
        &'lua self,
        key: &RegistryKey,
        t: T,
    ) -> Result<()> {
        let entered = self.enter();
        if !self.owns_registry_value(key) {
            return Err(Error::MismatchedRegistryKey);
        }
        // SAFETY: `t` is one value on top, which `overwrite` pops; the key is ours.
        unsafe {
            t.push_into_stack(self)?;
            key.overwrite(self.inner(), entered.state);
        }
        Ok(())
    }

    /// Whether this instance made `key`.
    pub fn owns_registry_value(&self, key: &RegistryKey) -> bool {
        key.belongs_to(self.inner())
    }

    /// Frees the values whose keys and handles were dropped where that could not be done at once, as on another thread.
    pub fn expire_registry_values(&self) {
        let _entered = self.enter();
        let inner = self.inner();
        // SAFETY: the VM is there and this is its thread; no sweep of Lua 5.4 runs code of ours.
        unsafe { inner.unref.drain(inner) }
    }

    /// Keeps a value under `name`, in the place of what was there.
    ///
    /// Named values have a table of their own: the names that Lua's libraries use in the registry are out of reach.
    ///
    /// # Errors
    ///
    /// What the conversion of `t` returns; [`Error::MemoryError`].
    pub fn set_named_registry_value<'lua, T: IntoLua<'lua>>(
        &'lua self,
        name: &str,
        t: T,
    ) -> Result<()> {
        let _entered = self.enter();
        // SAFETY: `t` is one value on top.
        unsafe {
            t.push_into_stack(self)?;
            self.put_named(name)
        }
    }

    /// Keeps the value on top, which is popped in any case, under `name`.
    ///
    /// # Safety
    ///
    /// There is a value on top.
    unsafe fn put_named(&self, name: &str) -> Result<()> {
        let state = self.state();
        // SAFETY: what is pushed is held. The key is a string, so only a lack of memory raises.
        unsafe {
            let mut held = Held::adopt(state, 1);
            self.inner().slots.push(self.names()?, state);
            held.add(1);
            push_bytes(self.inner(), state, name.as_bytes())?;
            held.add(1);
            engine::lua_rotate(state, -3, -1);
            held.release(3);
            protect(state, 3, 0, |state| engine::lua_rawset(state, -3))
        }
    }

    /// The value that is kept under `name`, nil if there is none.
    ///
    /// # Errors
    ///
    /// What the conversion returns.
    pub fn named_registry_value<'lua, T: FromLua<'lua>>(&'lua self, name: &str) -> Result<T> {
        let entered = self.enter();
        let state = entered.state;
        // SAFETY: what is pushed is held. A raw read does not raise.
        unsafe {
            let mut held = Held::new(state);
            self.inner().slots.push(self.names()?, state);
            held.add(1);
            push_bytes(self.inner(), state, name.as_bytes())?;
            held.add(1);
            engine::lua_rawget(state, -2);
            T::from_stack(-1, self)
        }
    }

    /// Forgets the value that is kept under `name`.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryError`].
    pub fn unset_named_registry_value(&self, name: &str) -> Result<()> {
        let entered = self.enter();
        // SAFETY: nil is on top.
        unsafe {
            engine::lua_pushnil(entered.state);
            self.put_named(name)
        }
    }

    /// The slot of the table of named values, which is made when it is first asked for.
    fn names(&self) -> Result<Slot> {
        let inner: &LuaInner = self.inner();
        if let Some(slot) = inner.names.get() {
            return Ok(slot);
        }
        let state = inner.state();
        // SAFETY: the table is one value on top, which `take` pops.
        let slot = unsafe {
            push_table(inner, state, 0, 0)?;
            inner.slots.take(state)?
        };
        // A finalizer may have been quicker.
        let slot = inner.names.get().unwrap_or(slot);
        inner.names.set(Some(slot));
        Ok(slot)
    }
}
