//! Reading tables where they lie on a Lua stack.
//!
//! A [`Walk`] goes through a value and all that is in it. A value that it comes to is a [`Node`]: a plain value, or the place on
//! the stack of one that has more in it. Nothing gets a slot, and each table is gone through once.
//!
//! Code of the user (visitors, serialisers) runs between the steps, in any call from Lua into Rust (a function of a scope can
//! capture a cursor), and may hold values on the running stack. So:
//!
//! * W1. Walks have a Lua thread of their own as their stack. As on reference threads, no code ever runs there, and
//!   nothing is done that allocates.
//! * W2. Walks share that stack in the order of the native one. What a cursor has pushed is popped by the [`Open`] that
//!   belongs to it, in the function that opened the table. So it does not matter whether the user drops, leaks or unwinds
//!   through the cursor.
//! * W3. A cursor pushes and pops only if the stack ends with what it has itself pushed. Who uses one in the middle of a
//!   walk that began later gets an error. Nothing else pushes there for longer than it runs itself, so the height is known
//!   without a call: whoever leaves the stack higher or lower than he found it writes it down.
//! * W4. `serde` passes a node on by value, as an opaque type, to code that cannot store it; so it is used no longer than its
//!   value is on the stack.
//! * W5. The table may change between two steps. `lua_next` is only called with a key that is in the table for sure: it is
//!   nil, or it was returned just now, or it was looked up; else the call is protected.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::os::raw::{c_int, c_void};

use crate::call::failure::failure_at;
use crate::call::new_thread;
use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::stack::ensure;
use crate::state::{LuaInner, STACK_RESERVE};
use crate::userdata::cell;
use crate::{Integer, Lua, Number};

use super::de::Options;

/// Tables may be nested this deep in any case,
const FREE_DEPTH: usize = 128;

/// and deeper as long as the visitors and serialisers of the user, one in the other, take less than this of the native stack:
/// half of what a thread has by default.
const MAX_NATIVE_STACK: usize = 1 << 20;

/// How many entries of a table are read at a time.
const CHUNK: c_int = 16;

/// Why a table cannot be read.
#[derive(Debug)]
pub(super) struct Refused(pub(super) &'static str);

/// See the module's documentation.
pub(super) struct Walk<'a> {
    lua: &'a Lua,
    /// W1.
    state: *mut engine::lua_State,
    /// The height of its stack (W3).
    height: &'a Cell<c_int>,
    arrays: *const c_void,
    options: Options,
    room: Room,
    /// The address of the native stack where the walk began.
    began_at: usize,
    /// The addresses of the tables that are open.
    path: RefCell<Vec<*const c_void>>,
}

/// A value that a walk has come to.
#[derive(Clone, Copy)]
pub(super) enum Node<'w> {
    Nil,
    Null,
    Boolean(bool),
    Integer(Integer),
    Number(Number),
    #[cfg(feature = "luau")]
    Vector(crate::Vector),
    String(&'w [u8]),
    Table(Place<'w>),
    UserData(Place<'w>),
    /// A value that cannot be serialised, with the name of its type and whether that is an error.
    Other(&'static &'static str, bool),
}

/// Where a table or a userdata lies.
#[derive(Clone, Copy)]
pub(super) struct Place<'w> {
    walk: &'w Walk<'w>,
    index: c_int,
}

/// Calls `f` with the node of the value in `root`.
pub(super) fn walk<R>(
    root: &Ref<'_>,
    options: Options,
    f: impl FnOnce(Node<'_>) -> R,
) -> Result<R> {
    let lua = root.lua();
    let entered = lua.try_enter()?;
    lua.reserve_stack()?;
    // SAFETY: there is room on both stacks. `level` is dropped before `entered`.
    unsafe {
        let state = thread(lua)?;
        let height = &lua.inner().serde.height;
        let level = Level::new(state, height);
        ensure(lua.inner(), state, STACK_RESERVE)?;
        root.push();
        engine::lua_xmove(entered.state, state, 1);
        height.set(level.base + 1);
        let walk = Walk {
            lua,
            state,
            height,
            arrays: lua.inner().serde.array_metatable(),
            options,
            room: Room::default(),
            began_at: native_stack_address(),
            path: RefCell::default(),
        };
        Ok(f(Node::at(&walk, level.base + 1)))
    }
}

/// An address near the end of the native stack.
#[inline(never)]
fn native_stack_address() -> usize {
    let here = 0u8;
    std::hint::black_box(&raw const here) as usize
}

/// The thread of W1.
///
/// # Safety
///
/// The instance is open, with 4 free places.
unsafe fn thread(lua: &Lua) -> Result<*mut engine::lua_State> {
    let inner = lua.inner();
    let known = &inner.serde.thread;
    if known.get().is_null() {
        // SAFETY: passed on. The slot is never freed.
        unsafe {
            let thread = new_thread(inner, inner.state())?;
            inner.slots.take(inner.state())?;
            known.set(thread);
        }
    }
    Ok(known.get())
}

/// The height of a stack; what is above it on drop is popped.
pub(super) struct Top {
    state: *mut engine::lua_State,
    pub(super) height: c_int,
}

impl Top {
    /// # Safety
    ///
    /// `state` is a running state, and so it is at the drop, in the same call.
    #[inline]
    pub(super) unsafe fn new(state: *mut engine::lua_State) -> Top {
        // SAFETY: passed on.
        let height = unsafe { engine::lua_gettop(state) };
        Top { state, height }
    }
}

impl Drop for Top {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: nothing below the height was popped; what is above it was pushed since `new`.
        unsafe { engine::lua_settop(self.state, self.height) }
    }
}

/// A height of the walks' stack; what is above it on drop is popped.
struct Level<'w> {
    state: *mut engine::lua_State,
    height: &'w Cell<c_int>,
    base: c_int,
}

impl<'w> Level<'w> {
    /// # Safety
    ///
    /// `height` is that of the stack of `state`, also at the drop, in the same call.
    #[inline(always)]
    unsafe fn new(state: *mut engine::lua_State, height: &'w Cell<c_int>) -> Level<'w> {
        Level {
            state,
            height,
            base: height.get(),
        }
    }
}

impl Drop for Level<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as for `Top`.
        unsafe { engine::lua_settop(self.state, self.base) }
        self.height.set(self.base);
    }
}

/// The height up to which there is room on a stack.
///
/// Room that `lua_checkstack` has made stays until the function that asked for it returns: Lua takes it for a part of that
/// function's frame, which its collector leaves alone when it makes stacks smaller. Not so LuaJIT, so there nothing is
/// remembered.
#[derive(Default)]
pub(super) struct Room(Cell<c_int>);

impl Room {
    /// Makes room for `n` values on the stack, which has this height.
    ///
    /// # Safety
    ///
    /// As [`ensure`]; all calls are for the same state, in the same function that Lua has called.
    #[inline(always)]
    pub(super) unsafe fn make(
        &self,
        inner: &LuaInner,
        state: *mut engine::lua_State,
        height: c_int,
        n: c_int,
    ) -> Result<()> {
        if height + n <= self.0.get() {
            return Ok(());
        }
        // SAFETY: passed on.
        unsafe { ensure(inner, state, n)? };
        if !cfg!(feature = "luajit") {
            self.0.set(height + n);
        }
        Ok(())
    }
}

impl<'a> Walk<'a> {
    /// How much of the native stack has been taken since the walk began.
    fn native_stack(&self) -> usize {
        native_stack_address().abs_diff(self.began_at)
    }

    /// W3: the stack has this height.
    #[inline(always)]
    fn check(&self, height: c_int) -> std::result::Result<(), Refused> {
        // SAFETY: a plain read.
        debug_assert_eq!(self.height.get(), unsafe { engine::lua_gettop(self.state) });
        if self.height.get() == height {
            Ok(())
        } else {
            Err(Refused("a Lua table is being read in two places at once"))
        }
    }

    /// Whether an error lies at `index`.
    ///
    /// # Safety
    ///
    /// A userdata, or an object of a type of the engine's own, lies there.
    #[cold]
    unsafe fn is_failure(&self, index: c_int) -> bool {
        // SAFETY: passed on.
        unsafe { failure_at(self.lua.inner(), self.state, index).is_some() }
    }

    /// Whether the options demand to leave out nothing.
    #[inline(always)]
    fn skips_nothing(&self) -> bool {
        self.options.deny_unsupported_types && self.options.deny_recursive_tables
    }

    /// Whether the options demand to leave out `node`.
    fn skips(&self, node: Node) -> bool {
        match node {
            Node::Table(place) => !self.options.deny_recursive_tables && place.is_open(),
            node => !self.options.deny_unsupported_types && !node.is_supported(),
        }
    }
}

impl<'w> Node<'w> {
    /// The node of the value at `index`.
    ///
    /// # Safety
    ///
    /// There is a value at the absolute `index` of the walk's stack, which stays there for as long as the node is used.
    #[inline(always)]
    unsafe fn at(walk: &'w Walk<'w>, index: c_int) -> Node<'w> {
        // SAFETY: passed on.
        unsafe { Node::of_type(walk, index, engine::lua_type(walk.state, index)) }
    }

    /// As [`Node::at`], for a value of type `kind`.
    #[inline(always)]
    unsafe fn of_type(walk: &'w Walk<'w>, index: c_int, kind: c_int) -> Node<'w> {
        let state = walk.state;
        let denied = walk.options.deny_unsupported_types;
        // SAFETY: the reads match the type.
        unsafe {
            match kind {
                engine::LUA_TNIL | engine::LUA_TNONE => Node::Nil,
                engine::LUA_TBOOLEAN => Node::Boolean(engine::lua_toboolean(state, index) != 0),
                engine::LUA_TNUMBER if engine::lua_isinteger(state, index) != 0 => {
                    Node::Integer(engine::lua_tointeger(state, index))
                }
                engine::LUA_TNUMBER => Node::Number(engine::lua_tonumber(state, index)),
                #[cfg(feature = "luau")]
                engine::LUA_TINTEGER => match engine::integer_at(state, index) {
                    Ok(i) => Node::Integer(i),
                    Err(n) => Node::Number(n),
                },
                #[cfg(feature = "luau")]
                engine::LUA_TVECTOR => {
                    crate::Vector::at(state, index).map_or(Node::Nil, Node::Vector)
                }
                engine::LUA_TSTRING => {
                    let mut len = 0;
                    let data = engine::lua_tolstring(state, index, &mut len);
                    Node::String(std::slice::from_raw_parts(data as *const u8, len))
                }
                engine::LUA_TTABLE => Node::Table(Place { walk, index }),
                engine::LUA_TLIGHTUSERDATA if engine::lua_touserdata(state, index).is_null() => {
                    Node::Null
                }
                engine::LUA_TLIGHTUSERDATA => Node::Other(&"lightuserdata", denied),
                engine::LUA_TFUNCTION => Node::Other(&"function", denied),
                engine::LUA_TTHREAD => Node::Other(&"thread", denied),
                _ if walk.is_failure(index) => Node::Other(&"error", denied),
                _ => Node::UserData(Place { walk, index }),
            }
        }
    }

    /// Whether the value counts as of a type that can be serialised.
    fn is_supported(&self) -> bool {
        match self {
            Node::Null | Node::Other(..) => false,
            Node::UserData(place) => place.is_serializable(),
            _ => true,
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Node::Nil => "nil",
            Node::Null => "lightuserdata",
            Node::Boolean(_) => "boolean",
            Node::Integer(_) => "integer",
            Node::Number(_) => "number",
            #[cfg(feature = "luau")]
            Node::Vector(_) => "vector",
            Node::String(_) => "string",
            Node::Table(_) => "table",
            Node::UserData(_) => "userdata",
            Node::Other(name, _) => name,
        }
    }

    /// Where the value comes when keys are sorted: booleans, numbers, strings, all others.
    fn rank(&self) -> u8 {
        match self {
            Node::Boolean(_) => 0,
            Node::Integer(_) | Node::Number(_) => 1,
            Node::String(_) => 2,
            _ => 3,
        }
    }

    fn compare(&self, other: &Node) -> Ordering {
        match (self, other) {
            (Node::Boolean(a), Node::Boolean(b)) => a.cmp(b),
            (Node::Integer(a), Node::Integer(b)) => a.cmp(b),
            (Node::Number(a), Node::Number(b)) => a.total_cmp(b),
            (Node::Integer(a), Node::Number(b)) => (*a as Number).total_cmp(b),
            (Node::Number(a), Node::Integer(b)) => a.total_cmp(&(*b as Number)),
            (Node::String(a), Node::String(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl<'w> Place<'w> {
    #[inline(always)]
    pub(super) fn options(self) -> Options {
        self.walk.options
    }

    #[inline(always)]
    fn state(self) -> *mut engine::lua_State {
        self.walk.state
    }

    /// Whether the options demand to leave out `value`.
    pub(super) fn skips(self, value: Node) -> bool {
        self.walk.skips(value)
    }

    fn address(self) -> *const c_void {
        // SAFETY: a plain read.
        unsafe { engine::lua_topointer(self.state(), self.index) }
    }

    fn is_open(self) -> bool {
        self.walk.path.borrow().contains(&self.address())
    }

    /// Whether the table is to be taken for a sequence.
    pub(super) fn is_list(self) -> bool {
        let state = self.state();
        // SAFETY: plain reads; the metatable that is pushed is popped. There is room by the reserve.
        unsafe {
            if engine::lua_rawlen(state, self.index) > 0 {
                return true;
            }
            if self.walk.arrays.is_null() || engine::lua_getmetatable(state, self.index) == 0 {
                return false;
            }
            let metatable = engine::lua_topointer(state, -1);
            engine::lua_pop(state, 1);
            metatable == self.walk.arrays
        }
    }

    /// Opens the table for reading.
    #[inline]
    pub(super) fn open(self) -> std::result::Result<Open<'w>, Refused> {
        let address = self.address();
        let mut path = self.walk.path.borrow_mut();
        if self.walk.options.deny_recursive_tables && path.contains(&address) {
            return Err(Refused("recursive table detected"));
        }
        if path.len() >= FREE_DEPTH && self.walk.native_stack() > MAX_NATIVE_STACK {
            return Err(Refused("tables are nested too deeply"));
        }
        // SAFETY: a thread of the instance, which is open; no code runs on it.
        if unsafe { self.make_room(self.walk.height.get()) }.is_err() {
            return Err(Refused("not enough memory"));
        }
        path.push(address);
        Ok(Open {
            // SAFETY: W2: `Open` is dropped by the caller.
            level: unsafe { Level::new(self.state(), self.walk.height) },
            place: self,
        })
    }

    /// Makes room for a chunk of fields.
    #[inline]
    unsafe fn make_room(self, height: c_int) -> Result<()> {
        let Walk {
            room, lua, state, ..
        } = self.walk;
        // SAFETY: passed on.
        unsafe { room.make(lua.inner(), *state, height, 2 * CHUNK + STACK_RESERVE) }
    }

    /// How to borrow the value of the userdata for serialising, if it was made for that.
    fn lend(self) -> Option<(cell::Lend, *mut c_void)> {
        // SAFETY: the userdata is on the stack; `find` makes sure that it is a cell.
        unsafe {
            let types = &self.walk.lua.inner().types;
            let found = types.find(self.state(), self.index).ok()?;
            Some((cell::lend(found.userdata)?, found.userdata))
        }
    }

    pub(super) fn is_serializable(self) -> bool {
        self.lend().is_some()
    }

    /// Calls `f` with the value of the userdata; `None` if it was not made for being serialised.
    pub(super) fn with_value<R>(
        self,
        f: impl FnOnce(&dyn erased_serde::Serialize) -> R,
    ) -> Option<Result<R>> {
        let (lend, userdata) = self.lend()?;
        // SAFETY: the stack keeps the userdata, and `find` has just found the cell.
        Some(unsafe { borrow_for(lend, userdata, f) })
    }
}

/// Calls `f` with the value in the cell at `userdata`.
///
/// # Safety
///
/// `lend` is that of the cell, and something keeps the userdata.
pub(super) unsafe fn borrow_for<R>(
    lend: cell::Lend,
    userdata: *mut c_void,
    f: impl FnOnce(&dyn erased_serde::Serialize) -> R,
) -> Result<R> {
    let (mut f, mut result) = (Some(f), None);
    let mut borrower = |value: &dyn erased_serde::Serialize| {
        result = f.take().map(|f| f(value));
    };
    // SAFETY: passed on.
    unsafe { lend(userdata, &mut borrower)? };
    Ok(result.expect("the value is lent once"))
}

/// A table that is being read: W2.
pub(super) struct Open<'w> {
    place: Place<'w>,
    level: Level<'w>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.place.walk.path.borrow_mut().pop();
    }
}

impl<'w> Open<'w> {
    /// The list part, up to the first nil.
    pub(super) fn items(&self) -> Items<'w> {
        Items {
            place: self.place,
            base: self.level.base,
            height: self.level.base,
            next: 1,
            len: None,
        }
    }

    /// The list part as `#` measures it, with the nils in it.
    pub(super) fn items_by_len(&self) -> Items<'w> {
        // SAFETY: a plain read.
        let len = unsafe { engine::lua_rawlen(self.place.state(), self.place.index) };
        Items {
            len: Some(len as Integer),
            ..self.items()
        }
    }

    /// The fields. They are to be [sorted](Entries::sort_if_asked) before they are read.
    #[inline(always)]
    pub(super) fn entries(&self) -> Entries<'w> {
        Entries {
            place: self.place,
            first: self.level.base + 1,
            height: self.level.base,
            len: 0,
            next: 0,
            pair: 0,
            order: None,
            state: Progress::Start,
        }
    }

    /// The only field, if there is just one.
    pub(super) fn single_entry(&self) -> Option<(Node<'w>, Node<'w>)> {
        let Place { walk, index } = self.place;
        let (state, first) = (walk.state, self.level.base + 1);
        // SAFETY: W5, since no other code runs. There is room for two fields.
        unsafe {
            engine::lua_pushnil(state);
            if engine::lua_next(state, index) == 0 {
                return None;
            }
            engine::lua_pushvalue(state, first);
            let only = engine::lua_next(state, index) == 0;
            walk.height.set(engine::lua_gettop(state));
            only.then(|| (Node::at(walk, first), Node::at(walk, first + 1)))
        }
    }
}

/// A cursor over the list part of a table.
//
// The elements that were read stay on the stack until there are a chunk of them: to pop them one by one takes a call each.
pub(super) struct Items<'w> {
    place: Place<'w>,
    /// The height of the stack below the elements.
    base: c_int,
    /// The height of the stack as it was left.
    height: c_int,
    next: Integer,
    len: Option<Integer>,
}

impl<'w> Items<'w> {
    /// The next element, which is valid up to the next call.
    #[inline]
    pub(super) fn next(&mut self) -> std::result::Result<Option<Node<'w>>, Refused> {
        let Place { walk, index } = self.place;
        walk.check(self.height)?;
        loop {
            if self.len.is_some_and(|len| self.next > len) {
                return Ok(None);
            }
            // SAFETY: W3. A raw read does not raise, and `open` has made room.
            let node = unsafe {
                if self.height == self.base + CHUNK {
                    engine::lua_settop(walk.state, self.base);
                    self.height = self.base;
                }
                let kind = engine::lua_rawgeti(walk.state, index, self.next);
                self.height += 1;
                walk.height.set(self.height);
                Node::of_type(walk, self.height, kind)
            };
            if matches!(node, Node::Nil) && self.len.is_none() {
                return Ok(None);
            }
            self.next += 1;
            if walk.skips_nothing() || !walk.skips(node) {
                return Ok(Some(node));
            }
        }
    }

    /// How many elements there are, if that is known.
    pub(super) fn size_hint(&self) -> Option<usize> {
        let options = self.place.options();
        let all = options.deny_unsupported_types && options.deny_recursive_tables;
        self.len.filter(|_| all).map(|len| len as usize)
    }

    /// How many elements there are, if some of them have not been read.
    #[inline(never)]
    pub(super) fn len_if_unread(&mut self) -> std::result::Result<Option<usize>, Refused> {
        let read = self.next;
        while self.next()?.is_some() {}
        Ok((self.next > read).then_some(self.next as usize - 1))
    }
}

#[derive(PartialEq)]
enum Progress {
    Start,
    /// There may be more than what is on the stack; the last key is on top.
    More,
    End,
}

/// A cursor over the fields of a table.
//
// The stack: `len` pairs of a key and a value from `first` on, of which `next` have been read; then, if there may be more, the
// last key once more.
pub(super) struct Entries<'w> {
    place: Place<'w>,
    first: c_int,
    /// The height of the stack as it was left.
    height: c_int,
    len: c_int,
    next: c_int,
    /// Where the pair lies that was read last.
    pair: c_int,
    /// The order of the pairs, if they are sorted.
    order: Option<Box<[c_int]>>,
    state: Progress,
}

impl<'w> Entries<'w> {
    /// Sorts the fields if the options say so.
    #[inline(always)]
    pub(super) fn sort_if_asked(&mut self) -> std::result::Result<(), Refused> {
        if self.place.options().sort_keys {
            return self.sort();
        }
        Ok(())
    }

    /// Goes to the next field; false if there is none.
    #[inline]
    pub(super) fn next(&mut self) -> std::result::Result<bool, Refused> {
        self.place.walk.check(self.height)?;
        loop {
            if self.next == self.len {
                if self.state != Progress::End {
                    self.read_more()?;
                }
                if self.next == self.len {
                    return Ok(false);
                }
            }
            let mut place = self.next;
            if let Some(order) = &self.order {
                place = order[place as usize];
            }
            self.pair = self.first + 2 * place;
            self.next += 1;
            if self.place.walk.skips_nothing() || !self.is_skipped() {
                return Ok(true);
            }
        }
    }

    #[cold]
    fn is_skipped(&self) -> bool {
        self.place.skips(self.key()) || self.place.skips(self.value())
    }

    /// The key of the field, valid up to the next call of `next`, which has returned true.
    #[inline(always)]
    pub(super) fn key(&self) -> Node<'w> {
        // SAFETY: the pair is on the stack until the next `read`.
        unsafe { Node::at(self.place.walk, self.pair) }
    }

    /// The value of the field, as [`Entries::key`].
    #[inline(always)]
    pub(super) fn value(&self) -> Node<'w> {
        // SAFETY: as above.
        unsafe { Node::at(self.place.walk, self.pair + 1) }
    }

    /// Reads more fields, of which the end has not been seen.
    #[inline(never)]
    fn read_more(&mut self) -> std::result::Result<(), Refused> {
        // SAFETY: W3, and `open` has made room.
        unsafe {
            if self.state == Progress::Start {
                self.read_first(CHUNK);
                return Ok(());
            }
            // After an error there is no key to go on from.
            self.state = Progress::End;
            let resumed = self.resume();
            self.height = engine::lua_gettop(self.place.state());
            self.place.walk.height.set(self.height);
            if resumed? {
                self.read(CHUNK);
            }
        }
        Ok(())
    }

    /// How many fields there are, if some of them have not been read.
    #[inline(always)]
    pub(super) fn len_if_unread(
        &mut self,
        read: usize,
    ) -> std::result::Result<Option<usize>, Refused> {
        if !self.next()? {
            return Ok(None);
        }
        self.count(read + 1).map(Some)
    }

    /// How many fields there are, of which `read` have been read.
    #[cold]
    fn count(&mut self, read: usize) -> std::result::Result<usize, Refused> {
        let mut len = read;
        while self.next()? {
            len += 1;
        }
        Ok(len)
    }

    /// How many fields are left, if that is known.
    pub(super) fn size_hint(&self) -> Option<usize> {
        let sorted = self.place.options().sort_keys;
        sorted.then_some((self.len - self.next) as usize)
    }

    /// Reads the first `max` fields, or as many as there are.
    ///
    /// # Safety
    ///
    /// The stack is the walk's, with room for them and one more value.
    #[inline]
    unsafe fn read_first(&mut self, max: c_int) {
        // SAFETY: passed on; there are no fields yet.
        unsafe {
            engine::lua_pushnil(self.place.state());
            self.read(max);
        }
    }

    /// Reads on until there are `max` fields, or as many as there are.
    ///
    /// # Safety
    ///
    /// As there, with a key on top of the `len` fields that were read: nil, or the last one, which is in the table.
    #[inline]
    unsafe fn read(&mut self, max: c_int) {
        let (state, table) = (self.place.state(), self.place.index);
        let mut len = self.len;
        self.state = Progress::More;
        // SAFETY: W5: in the loop no other code runs.
        unsafe {
            while len < max {
                if engine::lua_next(state, table) == 0 {
                    self.state = Progress::End;
                    break;
                }
                len += 1;
                engine::lua_pushvalue(state, -2);
            }
        }
        self.len = len;
        let key = c_int::from(self.state == Progress::More);
        self.height = self.first - 1 + 2 * len + key;
        self.place.walk.height.set(self.height);
    }

    /// Pops the fields that were read and leaves a key on top from which `lua_next` can go on, alone. If the last key is there no
    /// more, the field after it is asked for under protection and left below its key, or false returned if there is none.
    #[inline(never)]
    unsafe fn resume(&mut self) -> std::result::Result<bool, Refused> {
        let (state, table) = (self.place.state(), self.place.index);
        (self.len, self.next) = (0, 0);
        // SAFETY: the last key is on top, and what is above `first` is ours. A raw read does not raise.
        unsafe {
            engine::lua_replace(state, self.first);
            engine::lua_settop(state, self.first);
            engine::lua_pushvalue(state, self.first);
            let present = engine::lua_rawget(state, table) != engine::LUA_TNIL;
            engine::lua_pop(state, 1);
            if present {
                return Ok(true);
            }
            // From here on finalizers may run, which may begin walks.
            let height = self.place.walk.height;
            height.set(self.first);
            let running = self.place.walk.lua.state();
            let room = self.place.walk.lua.reserve_stack();
            room.map_err(|_| Refused("not enough room on the Lua stack"))?;
            engine::lua_pushvalue(state, table);
            engine::lua_insert(state, self.first);
            engine::lua_xmove(state, running, 2);
            height.set(self.first - 1);
            let found = protect(running, 2, 2, |state| {
                let found = engine::lua_next(state, 1) != 0;
                if !found {
                    engine::lua_settop(state, 3);
                }
                found
            });
            let found = found.map_err(|_| Refused("a Lua table was changed while it was read"))?;
            engine::lua_xmove(running, state, 2);
            if found {
                self.len = 1;
                engine::lua_pushvalue(state, self.first);
            }
            Ok(found)
        }
    }

    /// Reads all fields and sorts them.
    #[inline(never)]
    fn sort(&mut self) -> std::result::Result<(), Refused> {
        let walk = self.place.walk;
        // SAFETY: the table was just opened, so W3 holds; the room is made before the pairs are read, and nothing changes the
        // table meanwhile.
        unsafe {
            let mut n: c_int = 0;
            engine::lua_pushnil(walk.state);
            while engine::lua_next(walk.state, self.place.index) != 0 {
                n += 1;
                engine::lua_pop(walk.state, 1);
            }
            let room = n.checked_mul(2).and_then(|n| n.checked_add(STACK_RESERVE));
            if room.is_none_or(|room| ensure(walk.lua.inner(), walk.state, room).is_err()) {
                return Err(Refused("a table is too large for sorting its keys"));
            }
            self.read_first(n);
            self.state = Progress::End;
            let mut order: Box<[c_int]> = (0..self.len).collect();
            let key = |i: c_int| Node::at(walk, self.first + 2 * i);
            order.sort_by(|&a, &b| key(a).compare(&key(b)));
            self.order = Some(order);
        }
        Ok(())
    }
}
