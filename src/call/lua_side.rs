//! What is written in Lua: functions that wait, or call what may wait, where no C function can be yielded over.
//!
//! On Lua 5.1 and LuaJIT a coroutine can only yield if none but Lua functions lie between it and its resumption. So a function
//! of the library that has to wait is two: a C function that does a piece of the work, and around it a Lua function that
//! yields and calls the next piece. A bound function is one of Lua's, too, that has its arguments put together by a C function.

use std::cell::Cell;
use std::os::raw::c_int;
#[cfg(feature = "async")]
use std::os::raw::c_void;

use super::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::slots::Slot;
use crate::state::LuaInner;

/// Makes the two functions that make functions.
///
/// `start` and `resume` return [`waiting_mark`] and a cell if there is something to wait for; without a cell there is no place
/// to wait in, and `yield` says so.
const CODE: &str = r"
local waiting, resume, yield, pending = ...

local function finish(...)
    local mark, cell = ...
    if mark ~= waiting then
        return ...
    end
    yield(pending)
    return finish(resume(cell))
end

local function wait(start)
    return function(...)
        return finish(start(...))
    end
end

local function bind(func, prepend)
    return function(...)
        return func(prepend(...))
    end
end

local function body(func)
    return function(...)
        return func(...)
    end
end

local function index(find, own)
    return function(self, key)
        local value, mark = find(self, key)
        if mark == nil then
            return value
        end
        return own(self, key)
    end
end

local function new_index(find, own)
    return function(self, key, value)
        if find(self, key, value) ~= nil then
            own(self, key, value)
        end
    end
end

return wait, bind, body, index, new_index
";

/// The functions that [`CODE`] makes. The instance counts their slots as long as it is open.
#[derive(Default)]
pub(crate) struct LuaSide {
    #[cfg(feature = "async")]
    wait: Cell<Option<Slot>>,
    bind: Cell<Option<Slot>>,
    body: Cell<Option<Slot>>,
    index: Cell<Option<Slot>>,
    new_index: Cell<Option<Slot>>,
}

/// What a C function returns to the Lua function around it if it has to wait. Nobody else sees it.
#[cfg(feature = "async")]
pub(crate) fn waiting_mark() -> *mut c_void {
    static MARK: u8 = 0;
    &MARK as *const u8 as *mut c_void
}

impl LuaSide {
    /// Makes the functions.
    ///
    /// # Safety
    ///
    /// `state` is the running state of the instance, which is being made.
    pub(crate) unsafe fn open(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
    ) -> Result<()> {
        // SAFETY: runs protected; nothing in there needs a drop. `take` pops each result.
        unsafe {
            protect(state, 0, 5, |state| {
                let (code, len) = (CODE.as_ptr().cast(), CODE.len());
                if engine::luaL_loadbuffer(state, code, len, c"=[mlua]".as_ptr()) != engine::LUA_OK
                {
                    engine::lua_error(state);
                }
                #[cfg(feature = "async")]
                {
                    use crate::future::task;
                    engine::lua_pushlightuserdata(state, waiting_mark());
                    engine::lua_pushcfunction(state, task::resume);
                    push_yield(state);
                    engine::lua_pushlightuserdata(state, task::pending());
                    engine::lua_call(state, 4, 5);
                }
                #[cfg(not(feature = "async"))]
                engine::lua_call(state, 0, 5);
            })?;
            self.new_index.set(Some(inner.slots.take(state)?));
            self.index.set(Some(inner.slots.take(state)?));
            self.body.set(Some(inner.slots.take(state)?));
            self.bind.set(Some(inner.slots.take(state)?));
            #[cfg(feature = "async")]
            self.wait.set(Some(inner.slots.take(state)?));
            #[cfg(not(feature = "async"))]
            engine::lua_pop(state, 1);
        }
        Ok(())
    }

    /// Puts a Lua function around the C function on top, which begins something that may have to wait.
    ///
    /// # Safety
    ///
    /// As [`protect`].
    #[cfg(feature = "async")]
    pub(crate) unsafe fn wait(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: passed on.
        unsafe { apply(inner, state, &inner.lua_side.wait, 1) }
    }

    /// Makes the function on top one that a coroutine can begin with: on Lua 5.1 that is one of Lua's, since a C function that
    /// has yielded there cannot return.
    ///
    /// # Safety
    ///
    /// As [`protect`]. On an error nothing is left of the function.
    pub(crate) unsafe fn body(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: passed on.
        unsafe {
            // On Luau a coroutine begins with nothing but a function; elsewhere Lua looks for `__call` itself.
            let can_begin = match () {
                _ if cfg!(feature = "luau") => engine::lua_type(state, -1) == engine::LUA_TFUNCTION,
                _ => cfg!(feature = "luajit") || engine::lua_iscfunction(state, -1) == 0,
            };
            if can_begin {
                return Ok(());
            }
            apply(inner, state, &inner.lua_side.body, 1)
        }
    }

    /// Replaces a C function and a function of the type's on top by one that calls the second if the first returns something
    /// more than a value: what `__index` of a userdata is on LuaJIT, where metamethods can be yielded over.
    ///
    /// # Safety
    ///
    /// As [`protect`].
    #[cfg(feature = "luajit")]
    pub(crate) unsafe fn index(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: passed on.
        unsafe { apply(inner, state, &inner.lua_side.index, 2) }
    }

    /// As [`LuaSide::index`], for `__newindex`.
    ///
    /// # Safety
    ///
    /// As [`protect`].
    #[cfg(feature = "luajit")]
    pub(crate) unsafe fn new_index(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: passed on.
        unsafe { apply(inner, state, &inner.lua_side.new_index, 2) }
    }

    /// Replaces a function and the C function on top, which puts arguments together, by one that calls the first with those.
    ///
    /// # Safety
    ///
    /// As [`protect`].
    pub(crate) unsafe fn bind(inner: &LuaInner, state: *mut engine::lua_State) -> Result<()> {
        // SAFETY: passed on.
        unsafe { apply(inner, state, &inner.lua_side.bind, 2) }
    }
}

/// Pushes the function that yields: that of the library, since LuaJIT takes a C function that yields while a finalizer runs for
/// a hook; our own if there is none.
///
/// # Safety
///
/// May raise.
#[cfg(feature = "async")]
unsafe fn push_yield(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected.
    unsafe {
        let top = engine::lua_gettop(state);
        engine::luaL_getsubtable(state, engine::LUA_REGISTRYINDEX, engine::LUA_LOADED_TABLE);
        if engine::lua_getfield(state, -1, c"coroutine".as_ptr()) == engine::LUA_TTABLE
            && engine::lua_getfield(state, -1, c"yield".as_ptr()) == engine::LUA_TFUNCTION
        {
            engine::lua_insert(state, top + 1);
            engine::lua_settop(state, top + 1);
            return;
        }
        engine::lua_settop(state, top);
        engine::lua_pushcfunction(state, crate::future::task::yield_pending);
    }
}

/// Calls one of the functions with the `n` values on top.
unsafe fn apply(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    function: &Cell<Option<Slot>>,
    n: c_int,
) -> Result<()> {
    let slot = function.get().expect("the instance has been opened");
    // SAFETY: passed on.
    unsafe {
        inner.slots.push(slot, state);
        engine::lua_insert(state, -n - 1);
        protect(state, n + 1, 1, |state| {
            let n = engine::lua_gettop(state) - 1;
            engine::lua_call(state, n, 1)
        })
    }
}
