//! Metatables of userdata: how they are built, and [`UserDataMetatable`], the user's view of one.

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::os::raw::{c_int, c_void};

#[cfg(finalizers)]
use super::cell;
use super::registry::{short_type_name, Entries, Entry};
use super::{index, method, MetaMethod, UserDataRegistry};
#[cfg(finalizers)]
use crate::call::cell as plain_cell;
use crate::call::protect::protect;
use crate::call::{push_bytes, push_table};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::handle::slots::Slot;
use crate::stack::Held;
use crate::state::LuaInner;
use crate::value::{FromLua, IntoLua, Value};
use crate::Lua;

/// Metamethods that keep the library sound: neither registered nor touched.
fn check_restricted(name: &str) -> Result<()> {
    match name {
        "__gc" | "__metatable" => Err(Error::MetaMethodRestricted(name.to_owned())),
        _ => Ok(()),
    }
}

/// The metatable for userdata of type `T`, which is made from `registry` and known from here on.
///
/// # Safety
///
/// `lua` has been entered and has the stack that code of the user is given.
pub(crate) unsafe fn register<'lua, T: 'static>(
    lua: &'lua Lua,
    registry: UserDataRegistry<'lua, T>,
) -> Result<Slot> {
    let inner = lua.inner();
    // SAFETY: the metatable is held until it is in its slot, which is never freed (T1). `collect::<T>` is told the metatable
    // that becomes that of `T` below.
    unsafe {
        #[cfg(finalizers)]
        let collect = mem::needs_drop::<T>().then_some(cell::collect::<T> as engine::lua_CFunction);
        #[cfg(not(finalizers))]
        let collect = None;
        let address = build(lua, registry.entries, &short_type_name::<T>(), 0, collect)?;
        let slot = inner.slots.take(inner.state())?;
        inner.types.insert::<T>(slot, address);
        Ok(slot)
    }
}

/// Builds a metatable from `entries`, leaves it on top of the running state and returns its address.
///
/// # Safety
///
/// `lua` has been entered and has the stack that code of the user is given. `collect` is a `__gc` as [`cell::collect`] for
/// all userdata that will have the metatable.
pub(crate) unsafe fn build<'lua>(
    lua: &'lua Lua,
    entries: Entries<'lua>,
    type_name: &str,
    serial: u64,
    #[cfg_attr(not(finalizers), allow(unused_variables))] collect: Option<engine::lua_CFunction>,
) -> Result<*const c_void> {
    lua.reserve_stack()?;
    let inner = lua.inner();
    let state = inner.state();
    // SAFETY: there is room for what is pushed here, and for what the entries do on top; `reset` pops it on an error.
    unsafe {
        let _destructed = destructed(inner, state)?;
        let reset = Reset::new(state);
        push_table(inner, state, 0, (8 + entries.meta_methods.len()) as c_int)?;
        let target = Target {
            lua,
            state,
            metatable: engine::lua_gettop(state),
            serial,
        };
        let address = engine::lua_topointer(state, target.metatable);
        target.set_meta(entries.meta_methods)?;
        push_bytes(inner, state, type_name.as_bytes())?;
        target.set(MetaMethod::Type.name())?;
        target.set_meta(entries.meta_fields)?;
        let mut methods = entries.statics;
        methods.extend(entries.methods);
        target.set_index(entries.getters, methods)?;
        target.set_new_index(entries.setters)?;
        #[cfg(finalizers)]
        if let Some(collect) = collect {
            plain_cell::push_plain(inner, state, cell::Collector(address))?;
            inner.slots.push(_destructed, state);
            target.push_closure(collect, 2)?;
            target.set("__gc")?;
        }
        engine::lua_pushboolean(state, 0);
        target.set("__metatable")?;
        mem::forget(reset);
        Ok(address)
    }
}

/// Puts the stack back to the height that it had, if dropped.
struct Reset {
    state: *mut engine::lua_State,
    top: c_int,
}

impl Reset {
    unsafe fn new(state: *mut engine::lua_State) -> Reset {
        // SAFETY: a running state.
        let top = unsafe { engine::lua_gettop(state) };
        Reset { state, top }
    }
}

impl Drop for Reset {
    fn drop(&mut self) {
        // SAFETY: as `Held`: lowering the top neither raises nor runs code.
        unsafe { engine::lua_settop(self.state, self.top) }
    }
}

/// The metatable that is being built, on the stack of the running state.
struct Target<'lua> {
    lua: &'lua Lua,
    state: *mut engine::lua_State,
    metatable: c_int,
    serial: u64,
}

impl<'lua> Target<'lua> {
    /// Sets the field `name` of the metatable to the value on top, which is popped.
    unsafe fn set(&self, name: &str) -> Result<()> {
        // SAFETY: passed on.
        unsafe { raw_set(self.lua.inner(), self.state, self.metatable, name) }
    }

    /// Pushes what `entry` stands for.
    unsafe fn push(&self, entry: Entry<'lua>) -> Result<()> {
        let to = method::Target {
            name: entry.full_name,
            serial: self.serial,
        };
        // SAFETY: the stack has the reserve of code of the user, less what `build` holds.
        unsafe {
            self.lua.reserve_stack()?;
            (entry.push)(self.lua, entry.what, to)
        }
    }

    unsafe fn set_meta(&self, entries: Vec<Entry<'lua>>) -> Result<()> {
        for entry in entries {
            check_restricted(&entry.name)?;
            let name = entry.name.clone();
            // SAFETY: passed on.
            unsafe {
                self.push(entry)?;
                check_index(self.state, &name)?;
                self.set(&name)?;
            }
        }
        Ok(())
    }

    /// Pushes a table of `entries`, or an empty one.
    unsafe fn push_entries(&self, entries: Vec<Entry<'lua>>) -> Result<()> {
        let inner = self.lua.inner();
        // SAFETY: passed on.
        unsafe {
            push_table(inner, self.state, 0, entries.len() as c_int)?;
            let table = engine::lua_gettop(self.state);
            for entry in entries {
                let name = entry.name.clone();
                self.push(entry)?;
                raw_set(inner, self.state, table, &name)?;
            }
        }
        Ok(())
    }

    unsafe fn push_closure(&self, function: engine::lua_CFunction, n: c_int) -> Result<()> {
        // SAFETY: the upvalues are on top; only a lack of memory raises.
        unsafe {
            let inner = self.lua.inner();
            if inner.infallible_creation() {
                let memory = &inner.memory;
                memory.unfailing(|| engine::lua_pushcclosure(self.state, function, n));
                return Ok(());
            }
            protect(self.state, n, 1, |state| {
                engine::lua_pushcclosure(state, function, n)
            })
        }
    }

    /// As [`push_closure`](Self::push_closure). The last upvalue is what the type has itself: if that is a function that may
    /// have to wait where no C function can be yielded over, it is called from Lua.
    unsafe fn push_around_own(&self, function: engine::lua_CFunction, n: c_int) -> Result<()> {
        // SAFETY: passed on.
        unsafe {
            #[cfg(feature = "luajit")]
            if engine::lua_type(self.state, -1) == engine::LUA_TFUNCTION {
                use crate::call::lua_side::LuaSide;
                let (inner, state) = (self.lua.inner(), self.state);
                engine::lua_insert(state, -n);
                engine::lua_pushboolean(state, 1);
                self.push_closure(function, n)?;
                engine::lua_insert(state, -2);
                return if n == 3 {
                    LuaSide::index(inner, state)
                } else {
                    LuaSide::new_index(inner, state)
                };
            }
            self.push_closure(function, n)
        }
    }

    /// With methods alone, `__index` is their table and no function is called.
    unsafe fn set_index(&self, getters: Vec<Entry<'lua>>, methods: Vec<Entry<'lua>>) -> Result<()> {
        if getters.is_empty() && methods.is_empty() {
            return Ok(());
        }
        let has_methods = !methods.is_empty();
        let has_getters = !getters.is_empty();
        // SAFETY: three upvalues, of which the last is what has been set so far.
        unsafe {
            let own = raw_get(self.lua.inner(), self.state, self.metatable, "__index")?;
            if has_getters || own != engine::LUA_TNIL {
                self.push_entries(getters)?;
                if has_methods {
                    self.push_entries(methods)?;
                } else {
                    engine::lua_pushnil(self.state);
                }
                engine::lua_rotate(self.state, -3, -1);
                self.push_around_own(index::index, 3)?;
            } else {
                engine::lua_pop(self.state, 1);
                self.push_entries(methods)?;
            }
            self.set("__index")
        }
    }

    unsafe fn set_new_index(&self, setters: Vec<Entry<'lua>>) -> Result<()> {
        if setters.is_empty() {
            return Ok(());
        }
        // SAFETY: two upvalues, of which the last is what has been set so far.
        unsafe {
            self.push_entries(setters)?;
            raw_get(self.lua.inner(), self.state, self.metatable, "__newindex")?;
            self.push_around_own(index::new_index, 2)?;
            self.set("__newindex")
        }
    }
}

/// Whether the value on top will do as the field `name`.
unsafe fn check_index(state: *mut engine::lua_State, name: &str) -> Result<()> {
    if name != "__index" && name != "__newindex" {
        return Ok(());
    }
    // SAFETY: there is a value on top.
    let type_name = unsafe {
        match engine::lua_type(state, -1) {
            engine::LUA_TNIL | engine::LUA_TTABLE | engine::LUA_TFUNCTION => return Ok(()),
            engine::LUA_TNUMBER if engine::lua_isinteger(state, -1) != 0 => "integer",
            engine::LUA_TNUMBER => "number",
            engine::LUA_TBOOLEAN => "boolean",
            engine::LUA_TSTRING => "string",
            engine::LUA_TLIGHTUSERDATA => "lightuserdata",
            engine::LUA_TTHREAD => "thread",
            #[cfg(feature = "luau")]
            engine::LUA_TINTEGER => "integer",
            #[cfg(feature = "luau")]
            engine::LUA_TVECTOR => "vector",
            _ => "userdata",
        }
    };
    Err(Error::MetaMethodTypeError {
        method: name.to_owned(),
        type_name,
        message: Some("expected nil, table or function".to_owned()),
    })
}

/// Sets the field `name` of the table at the index `table` to the value on top, which is popped.
unsafe fn raw_set(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    table: c_int,
    name: &str,
) -> Result<()> {
    // SAFETY: only a lack of memory raises.
    unsafe {
        push_bytes(inner, state, name.as_bytes())?;
        engine::lua_insert(state, -2);
        if inner.infallible_writes() {
            inner.memory.unfailing(|| engine::lua_rawset(state, table));
            return Ok(());
        }
        engine::lua_pushvalue(state, table);
        engine::lua_insert(state, -3);
        protect(state, 3, 0, |state| engine::lua_rawset(state, 1))
    }
}

/// Pushes the field `name` of the table at the index `table` and returns its type.
unsafe fn raw_get(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    table: c_int,
    name: &str,
) -> Result<c_int> {
    // SAFETY: a raw read does not raise.
    unsafe {
        push_bytes(inner, state, name.as_bytes())?;
        Ok(engine::lua_rawget(state, table))
    }
}

/// The metatable of userdata whose value is gone, made when the first metatable of userdata is.
unsafe fn destructed(inner: &LuaInner, state: *mut engine::lua_State) -> Result<Slot> {
    const METHODS: [&CStr; 25] = [
        c"__add",
        c"__sub",
        c"__mul",
        c"__div",
        c"__mod",
        c"__pow",
        c"__unm",
        c"__idiv",
        c"__band",
        c"__bor",
        c"__bxor",
        c"__bnot",
        c"__shl",
        c"__shr",
        c"__concat",
        c"__len",
        c"__eq",
        c"__lt",
        c"__le",
        c"__index",
        c"__newindex",
        c"__call",
        c"__tostring",
        c"__pairs",
        c"__close",
    ];
    if let Some(slot) = inner.types.destructed() {
        return Ok(slot);
    }
    // SAFETY: runs protected; the closure holds nothing that needs a drop. `take` pops the table.
    unsafe {
        protect(state, 0, 1, |state| {
            engine::lua_createtable(state, 0, METHODS.len() as c_int + 1);
            for method in METHODS {
                engine::lua_pushcfunction(state, index::destructed);
                engine::lua_setfield(state, -2, method.as_ptr());
            }
            engine::lua_pushboolean(state, 0);
            engine::lua_setfield(state, -2, c"__metatable".as_ptr());
        })?;
        let address = engine::lua_topointer(state, -1);
        let slot = inner.slots.take(state)?;
        inner.types.set_destructed(slot, address);
        Ok(slot)
    }
}

/// The metatable of a userdata, as [`AnyUserData::get_metatable`](crate::AnyUserData::get_metatable) returns it.
///
/// All userdata of one `'static` type share it. What could break the library is out of reach: `__gc` and `__metatable`.
#[derive(Clone)]
pub struct UserDataMetatable<'lua>(pub(super) Ref<'lua>);

impl<'lua> UserDataMetatable<'lua> {
    /// The field `key`, nil if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::MetaMethodRestricted`] for `__gc` and `__metatable`; the conversion may fail.
    pub fn get<V: FromLua<'lua>>(&self, key: impl AsRef<str>) -> Result<V> {
        let lua = self.0.lua();
        let state = self.0.state();
        check_restricted(key.as_ref())?;
        // SAFETY: what is pushed is held; a metatable of userdata is a table.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            let table = engine::lua_gettop(state);
            raw_get(lua.inner(), state, table, key.as_ref())?;
            held.add(1);
            V::from_stack(-1, lua)
        }
    }

    /// Sets the field `key`; nil removes it.
    ///
    /// # Errors
    ///
    /// [`Error::MetaMethodRestricted`] for `__gc` and `__metatable`, and for `__index` and `__newindex`, which the library
    /// has put together; the conversion may fail.
    pub fn set<V: IntoLua<'lua>>(&self, key: impl AsRef<str>, value: V) -> Result<()> {
        let lua = self.0.lua();
        let state = self.0.state();
        let key = key.as_ref();
        check_restricted(key)?;
        if key == "__index" || key == "__newindex" {
            return Err(Error::MetaMethodRestricted(key.to_owned()));
        }
        // SAFETY: `reset` pops what is pushed.
        unsafe {
            let _reset = Reset::new(state);
            self.0.push();
            let table = engine::lua_gettop(state);
            value.push_into_stack(lua)?;
            raw_set(lua.inner(), state, table, key)
        }
    }

    /// Whether the field `key` is there and not nil.
    ///
    /// # Errors
    ///
    /// [`Error::MetaMethodRestricted`] for `__gc` and `__metatable`.
    pub fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        Ok(!matches!(self.get::<Value>(key)?, Value::Nil))
    }

    /// All fields but those that are out of reach, in no particular order.
    ///
    /// A value that cannot be converted to `V` is an error of that item.
    pub fn pairs<V: FromLua<'lua>>(self) -> UserDataMetatablePairs<'lua, V> {
        UserDataMetatablePairs {
            metatable: self,
            key: Some(Value::Nil),
            _value: PhantomData,
        }
    }
}

impl fmt::Debug for UserDataMetatable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserDataMetatable").field(&self.0).finish()
    }
}

/// An iterator over the fields of a [`UserDataMetatable`].
pub struct UserDataMetatablePairs<'lua, V> {
    metatable: UserDataMetatable<'lua>,
    /// The key before the next; `None` at the end.
    key: Option<Value<'lua>>,
    _value: PhantomData<V>,
}

impl<'lua, V: FromLua<'lua>> UserDataMetatablePairs<'lua, V> {
    /// The next field, whatever it is; `None` at the end.
    unsafe fn advance(&mut self) -> Result<Option<(String, V)>> {
        let Some(key) = self.key.take() else {
            return Ok(None);
        };
        let lua = self.metatable.0.lua();
        let state = self.metatable.0.state();
        // SAFETY: `reset` pops what is pushed. `lua_next` raises if a key is gone from the table, so it runs protected.
        unsafe {
            let _reset = Reset::new(state);
            let mut key = key;
            loop {
                self.metatable.0.push();
                key.push(lua)?;
                if protect(state, 2, engine::LUA_MULTRET, |state| {
                    engine::lua_next(state, 1)
                })? == 0
                {
                    return Ok(None);
                }
                key = Value::at(lua, -2)?;
                if let Value::String(_) = &key {
                    let mut len = 0;
                    let data = engine::lua_tolstring(state, -2, &mut len);
                    let bytes = std::slice::from_raw_parts(data as *const u8, len);
                    let name = String::from_utf8_lossy(bytes).into_owned();
                    if check_restricted(&name).is_ok() {
                        self.key = Some(key);
                        return V::from_stack(-1, lua).map(|value| Some((name, value)));
                    }
                }
                engine::lua_settop(state, _reset.top);
            }
        }
    }
}

impl<'lua, V: FromLua<'lua>> Iterator for UserDataMetatablePairs<'lua, V> {
    type Item = Result<(String, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the proxy keeps the instance open, and its state has room for a few values.
        unsafe { self.advance() }.transpose()
    }
}
