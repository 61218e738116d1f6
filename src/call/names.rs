//! Names of global functions, for tracebacks: where a function is to be found in the loaded modules.
//!
//! `luaL_traceback` searches all of `package.loaded` for the function of each level anew. Here one search serves all levels,
//! and what it found is remembered. A name that is remembered may be out of date, so the field is read before it is used.

use std::cell::RefCell;
use std::os::raw::{c_int, c_void};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::push_key;
use crate::engine;
use crate::state::LuaInner;

/// Free places that it takes to find out a name.
pub(super) const STACK: c_int = 6;
/// The table of loaded modules in the registry.
const LOADED: &[u8] = b"_LOADED";

/// Where a function was found: `field` of `_G`, or `module.field`.
#[derive(Clone)]
pub(super) struct Name {
    text: Rc<[u8]>,
    /// The length of the module's name in front, zero if that is `_G`.
    module: usize,
}

impl Name {
    pub(super) fn new(module: &[u8], field: &[u8]) -> Name {
        if module == b"_G" {
            return Name {
                text: field.into(),
                module: 0,
            };
        }
        Name {
            text: [module, b".", field].concat().into(),
            module: module.len(),
        }
    }

    /// As a traceback has it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The module and the field.
    fn parts(&self) -> (&[u8], &[u8]) {
        match self.module {
            0 => (b"_G", &self.text),
            len => (&self.text[..len], &self.text[len + 1..]),
        }
    }
}

/// Names as they were found, `None` for functions that were not.
///
/// That a function has none is taken as it is, since the mistake is only one of wording: `upvalue 'f'` in place of
/// `function 'f'`.
#[derive(Default)]
pub(super) struct Names(RefCell<FxHashMap<*const c_void, Option<Name>>>);

impl Names {
    /// Functions that are remembered at most, but for those of one search.
    const MOST: usize = 1024;

    /// Finds out about `functions` if there is one among them that nothing is known of.
    ///
    /// # Safety
    ///
    /// As [`is_field`].
    pub(super) unsafe fn learn(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
        functions: impl Iterator<Item = *const c_void> + Clone,
    ) {
        let is_known = |function| self.0.borrow().contains_key(&function);
        if functions.clone().all(is_known) {
            return;
        }
        if self.0.borrow().len() >= Self::MOST {
            self.0.borrow_mut().clear();
        }
        let mut found: Vec<_> = functions.map(|function| (function, None)).collect();
        // SAFETY: passed on; what is pushed is popped.
        unsafe {
            let top = engine::lua_gettop(state);
            if push_key(inner, state, LOADED).is_ok() && get_table(state, engine::LUA_REGISTRYINDEX)
            {
                search_loaded(state, &mut found);
            }
            engine::lua_settop(state, top);
        }
        self.0.borrow_mut().extend(found);
    }

    /// The name of `function`, which has been learnt of, if that is its name still.
    ///
    /// # Safety
    ///
    /// As [`is_field`].
    pub(super) unsafe fn recall(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
        function: *const c_void,
    ) -> Option<Name> {
        let name = self.0.borrow().get(&function)?.clone()?;
        let (module, field) = name.parts();
        // SAFETY: passed on.
        unsafe { is_field(inner, state, module, field, function) }.then_some(name)
    }
}

/// Whether `field` of the loaded module `module` is `function`.
///
/// # Safety
///
/// `state` is a running state of the instance with [`STACK`] free places.
pub(super) unsafe fn is_field(
    inner: &LuaInner,
    state: *mut engine::lua_State,
    module: &[u8],
    field: &[u8],
    function: *const c_void,
) -> bool {
    // SAFETY: passed on. What is pushed is popped. Pushing a string may fail for want of memory, but does not raise.
    unsafe {
        if let Some(found) = look_up(inner, module, field) {
            return found == function;
        }
        let top = engine::lua_gettop(state);
        let key = |key| push_key(inner, state, key).is_ok();
        let is = key(LOADED)
            && get_table(state, engine::LUA_REGISTRYINDEX)
            && key(module)
            && get_table(state, -2)
            && key(field)
            && {
                engine::lua_rawget(state, -2);
                engine::lua_topointer(state, -1) == function
            };
        engine::lua_settop(state, top);
        is
    }
}

/// The address of `field` of the loaded module `module`, null if there is no such module; `None` if the strings do not [lie
/// ready](crate::handle::keys).
///
/// Reads on the thread where the strings lie, so that nothing has to be moved.
unsafe fn look_up(inner: &LuaInner, module: &[u8], field: &[u8]) -> Option<*const c_void> {
    let slot = |key| inner.keys.find(key);
    let (loaded, module, field) = (slot(LOADED)?, slot(module)?, slot(field)?);
    // SAFETY: the slots are those of the instance. A reference thread has a few free places, and raw gets are plain reads; its
    // stack is left as it was.
    unsafe {
        let (thread, _) = inner.slots.peek(loaded);
        let push = |slot| inner.slots.push_beside(slot, thread);
        let top = engine::lua_gettop(thread);
        let mut found = std::ptr::null();
        push(loaded);
        if get_table(thread, engine::LUA_REGISTRYINDEX) {
            push(module);
            if get_table(thread, -2) {
                push(field);
                engine::lua_rawget(thread, -2);
                found = engine::lua_topointer(thread, -1);
            }
        }
        engine::lua_settop(thread, top);
        Some(found)
    }
}

/// Replaces the key on top by its value in the table at `index`, and returns whether that is a table.
unsafe fn get_table(state: *mut engine::lua_State, index: c_int) -> bool {
    // SAFETY: a raw read.
    unsafe {
        engine::lua_rawget(state, index);
        engine::lua_type(state, -1) == engine::LUA_TTABLE
    }
}

/// Functions that are looked for, and what they were found as.
type Found = [(*const c_void, Option<Name>)];

/// Looks for functions in the loaded modules, the table of which is on top.
unsafe fn search_loaded(state: *mut engine::lua_State, found: &mut Found) {
    // SAFETY: `lua_next` gets the keys it returned, and nothing writes between.
    unsafe {
        engine::lua_pushnil(state);
        while engine::lua_next(state, -2) != 0 {
            if engine::lua_type(state, -2) == engine::LUA_TSTRING
                && engine::lua_type(state, -1) == engine::LUA_TTABLE
            {
                search_module(state, found);
            }
            engine::lua_pop(state, 1);
        }
    }
}

/// As [`search_loaded`], in the module on top with its name below.
unsafe fn search_module(state: *mut engine::lua_State, found: &mut Found) {
    // SAFETY: as in `search_loaded`.
    unsafe {
        engine::lua_pushnil(state);
        while engine::lua_next(state, -2) != 0 {
            if engine::lua_type(state, -2) == engine::LUA_TSTRING
                && engine::lua_type(state, -1) == engine::LUA_TFUNCTION
            {
                let function = engine::lua_topointer(state, -1);
                for (_, name) in found.iter_mut().filter(|(f, _)| *f == function) {
                    let module = string_at(state, -4);
                    if name.is_none() || module == b"_G" {
                        *name = Some(Name::new(module, string_at(state, -2)));
                    }
                }
            }
            engine::lua_pop(state, 1);
        }
    }
}

/// The string at `index`, for as long as it is there.
unsafe fn string_at<'a>(state: *mut engine::lua_State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: a string is there.
    unsafe {
        let data = engine::lua_tolstring(state, index, &mut len);
        std::slice::from_raw_parts(data as *const u8, len)
    }
}
