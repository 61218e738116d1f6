//! User values: Lua values that a userdata carries.
//!
//! The first lies in the userdata itself, if Lua gives it two places. All others lie in a table, which the userdata has once it
//! is needed: numbered ones under their number, named ones under their name.

use std::os::raw::c_int;

#[cfg(not(finalizers))]
use super::cell;
use super::AnyUserData;
use crate::call::protect::protect;
use crate::call::{push_bytes, push_table};
use crate::engine;
use crate::error::{Error, Result};
use crate::stack::Held;
use crate::state::LuaInner;
use crate::value::{FromLua, IntoLua};

/// Highest number of a user value.
const MAX: usize = 65535;
/// Where the table of the other values lies.
const TABLE: c_int = super::cell::USER_VALUES;
/// The number of the user value that lies in the userdata itself; 0 if the table is all there is.
const FIRST: usize = (TABLE - 1) as usize;

impl<'lua> AnyUserData<'lua> {
    /// Sets the first user value: short for [`AnyUserData::set_nth_user_value`] with 1.
    ///
    /// # Errors
    ///
    /// Those of `set_nth_user_value`.
    pub fn set_user_value<V: IntoLua<'lua>>(&self, value: V) -> Result<()> {
        self.set_nth_user_value(1, value)
    }

    /// The first user value: short for [`AnyUserData::nth_user_value`] with 1.
    ///
    /// # Errors
    ///
    /// Those of `nth_user_value`.
    pub fn user_value<V: FromLua<'lua>>(&self) -> Result<V> {
        self.nth_user_value(1)
    }

    /// The former name of [`AnyUserData::user_value`].
    #[doc(hidden)]
    #[deprecated(since = "0.9.0", note = "please use `user_value` instead")]
    pub fn get_user_value<V: FromLua<'lua>>(&self) -> Result<V> {
        self.user_value()
    }

    /// Sets the user value number `n`, which is from 1 to 65535.
    ///
    /// A user value is any Lua value; it lives as long as the userdata. The first is the cheapest.
    ///
    /// # Errors
    ///
    /// [`Error::RuntimeError`] if `n` is out of bounds, [`Error::UserDataTypeMismatch`] if the userdata is not one of this
    /// library, [`Error::UserDataDestructed`] if its value is gone; the conversion may fail.
    pub fn set_nth_user_value<V: IntoLua<'lua>>(&self, n: usize, value: V) -> Result<()> {
        check_number(n)?;
        self.find()?;
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: what is pushed is held; `find` has seen a userdata with two user values. Setting one does not raise, a table
        // does for lack of memory only.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            #[cfg(finalizers)]
            if n == FIRST {
                value.push_into_stack(lua)?;
                engine::lua_setiuservalue(state, -2, 1);
                return Ok(());
            }
            self.push_table(&mut held)?;
            value.push_into_stack(lua)?;
            held.add(1);
            held.release(2);
            protect(state, 2, 0, |state| {
                engine::lua_rawseti(state, 1, n as engine::lua_Integer)
            })
        }
    }

    /// The user value number `n`, nil if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`AnyUserData::set_nth_user_value`].
    pub fn nth_user_value<V: FromLua<'lua>>(&self, n: usize) -> Result<V> {
        check_number(n)?;
        self.find()?;
        let state = self.0.state();
        // SAFETY: what is pushed is held; reads of user values and raw reads do not raise.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            if n == FIRST {
                engine::lua_getiuservalue(state, -1, 1);
            } else if get_table(self.0.lua().inner(), state) == engine::LUA_TTABLE {
                engine::lua_rawgeti(state, -1, n as engine::lua_Integer);
                engine::lua_remove(state, -2);
            }
            held.add(1);
            V::from_stack(-1, self.0.lua())
        }
    }

    /// The former name of [`AnyUserData::nth_user_value`].
    #[doc(hidden)]
    #[deprecated(since = "0.9.0", note = "please use `nth_user_value` instead")]
    pub fn get_nth_user_value<V: FromLua<'lua>>(&self, n: usize) -> Result<V> {
        self.nth_user_value(n)
    }

    /// Sets the user value called `name`.
    ///
    /// # Errors
    ///
    /// Those of [`AnyUserData::set_nth_user_value`].
    pub fn set_named_user_value<V: IntoLua<'lua>>(&self, name: &str, value: V) -> Result<()> {
        self.find()?;
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: as in `set_nth_user_value`.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            self.push_table(&mut held)?;
            push_bytes(lua.inner(), state, name.as_bytes())?;
            held.add(1);
            value.push_into_stack(lua)?;
            held.add(1);
            held.release(3);
            protect(state, 3, 0, |state| engine::lua_rawset(state, 1))
        }
    }

    /// The user value called `name`, nil if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`AnyUserData::set_nth_user_value`].
    pub fn named_user_value<V: FromLua<'lua>>(&self, name: &str) -> Result<V> {
        self.find()?;
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: as in `nth_user_value`.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            let type_ = get_table(lua.inner(), state);
            held.add(1);
            if type_ == engine::LUA_TTABLE {
                push_bytes(lua.inner(), state, name.as_bytes())?;
                engine::lua_rawget(state, -2);
                held.add(1);
            }
            V::from_stack(-1, lua)
        }
    }

    /// The former name of [`AnyUserData::named_user_value`].
    #[doc(hidden)]
    #[deprecated(since = "0.9.0", note = "please use `named_user_value` instead")]
    pub fn get_named_user_value<V: FromLua<'lua>>(&self, name: &str) -> Result<V> {
        self.named_user_value(name)
    }

    /// Pushes the table of the other user values of the userdata on top, and makes it if need be.
    unsafe fn push_table(&self, held: &mut Held) -> Result<()> {
        let state = self.0.state();
        // SAFETY: as in `set_nth_user_value`.
        unsafe {
            let inner = self.0.lua().inner();
            if get_table(inner, state) == engine::LUA_TTABLE {
                held.add(1);
                return Ok(());
            }
            engine::lua_pop(state, 1);
            push_table(inner, state, 0, 1)?;
            held.add(1);
            engine::lua_pushvalue(state, -1);
            set_table(inner, state)
        }
    }
}

/// Pushes the table of the userdata on top, nil if it has none, and returns the type of that.
///
/// # Safety
///
/// A userdata of the library's is on top, and there are two free places.
#[cfg_attr(finalizers, allow(unused_variables))]
unsafe fn get_table(inner: &LuaInner, state: *mut engine::lua_State) -> c_int {
    // SAFETY: passed on.
    unsafe {
        #[cfg(finalizers)]
        return engine::lua_getiuservalue(state, -1, TABLE);
        #[cfg(not(finalizers))]
        match *cell::user_values(engine::lua_touserdata(state, -1)) {
            Some(slot) => inner.slots.push(slot, state),
            None => engine::lua_pushnil(state),
        }
        #[cfg(not(finalizers))]
        engine::lua_type(state, -1)
    }
}

/// Makes the table on top, which is popped, that of the userdata two places below.
///
/// # Safety
///
/// There are these values.
#[cfg_attr(finalizers, allow(unused_variables))]
unsafe fn set_table(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
    // SAFETY: passed on. Where userdata have no user values, the slot keeps the table until the userdata goes.
    unsafe {
        #[cfg(finalizers)]
        engine::lua_setiuservalue(state, -3, TABLE);
        #[cfg(not(finalizers))]
        {
            let slot = inner.slots.take(state)?;
            *cell::user_values(engine::lua_touserdata(state, -2)) = Some(slot);
        }
        Ok(())
    }
}

fn check_number(n: usize) -> Result<()> {
    if (1..=MAX).contains(&n) {
        return Ok(());
    }
    let message = "user value index out of bounds".to_owned();
    Err(Error::RuntimeError(message))
}
