//! From Rust onto the Lua stack.
//!
//! [`Push`] is a serializer that leaves one value on top of the stack. Tables are filled where they lie; nothing gets a slot.
//!
//! Code of the user (`Serialize`) runs between the steps, and may hold values on the stack meanwhile (a closure that goes
//! through a table does). So:
//!
//! * P1. Indices mean something only in the call from Lua into Rust that the job began in. Who has carried a [`Push`] or a
//!   [`Fields`] into another one finds that out by [`LuaInner::frame`] and gets an error.
//! * P2. A [`Push`] leaves its value right above what was there when it was made, or nothing is pushed and it is an error.
//!   So nobody who holds something above that loses his place.
//! * P3. A step of a [`Fields`] pops what it pushes, also on an error and on unwinding, wherever the stack ends.
//! * P4. A [`Pushed`] is only made when the value is on top, and code that is generic over serializers can neither make one
//!   nor take that of another value, nor keep a `Fields` for longer than it is called.

use std::os::raw::c_int;

use ::serde::ser::{self, Serialize};

use super::array_metatable_slot;
use super::ser::Options;
use super::walk::{Room, Top};
use crate::call::protect::protect;
use crate::call::{push_bytes, push_key, push_table};
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::state::{LuaInner, STACK_RESERVE};
use crate::value::convert::text::bytes_at;
use crate::{Integer, Lua, Number, Value};

/// The name under which serde_json serialises numbers of arbitrary precision.
pub(super) const JSON_NUMBER: &str = "$serde_json::private::Number";

/// Tables are made with room for at most this many entries, whatever a `Serialize` says.
pub(super) const MAX_ROOM: usize = 1 << 16;

/// Calls `f` with a serializer and returns what it has pushed.
#[inline]
pub(super) fn to_value<'lua>(
    lua: &'lua Lua,
    options: Options,
    f: impl FnOnce(Push<'_>) -> Result<Pushed>,
) -> Result<Value<'lua>> {
    let entered = lua.try_enter()?;
    let state = entered.state;
    lua.reserve_stack_for(1)?;
    // SAFETY: the value is on top (P4). `top` is dropped in this call, before `entered`.
    unsafe {
        let top = Top::new(state);
        let inner = lua.inner();
        let job = Job {
            lua,
            inner,
            state,
            frame: inner.frame(),
            options,
            room: Room::default(),
        };
        let base = top.height;
        let Pushed(()) = f(job.push_at(base))?;
        Value::at(lua, top.height + 1)
    }
}

pub(super) struct Job<'a> {
    lua: &'a Lua,
    inner: &'a LuaInner,
    state: *mut engine::lua_State,
    frame: u32,
    options: Options,
    room: Room,
}

impl Job<'_> {
    /// P1.
    #[inline]
    fn check(&self) -> Result<()> {
        if self.inner.frame() == self.frame {
            return Ok(());
        }
        Err(misplaced())
    }

    /// Pushes a table with room for as many entries on top of `base` others, and makes room on the stack for filling it.
    ///
    /// # Safety
    ///
    /// P1 was looked at, and the stack has the height `base`.
    #[inline]
    unsafe fn new_table(&self, base: c_int, list: usize, fields: usize) -> Result<c_int> {
        let room = |n: usize| n.min(MAX_ROOM) as c_int;
        // SAFETY: the state is the running one, and the call the same as ever (P1).
        unsafe {
            let needed = 4 + STACK_RESERVE;
            self.room.make(self.inner, self.state, base, needed)?;
            push_table(self.inner, self.state, room(list), room(fields))?;
        }
        Ok(base + 1)
    }

    /// Pushes the name of a field or a variant, which is a literal mostly.
    ///
    /// # Safety
    ///
    /// P1 was looked at, and there is room.
    #[inline]
    unsafe fn push_name(&self, name: &'static str) -> Result<()> {
        let LuaInner { keys, slots, .. } = self.inner;
        // SAFETY: passed on. The slot that was found belongs to the instance.
        unsafe {
            match keys.find(name.as_bytes()) {
                Some(slot) => slots.push(slot, self.state),
                None => push_key(self.inner, self.state, name.as_bytes())?,
            }
        }
        Ok(())
    }

    /// A serializer for a value that comes on top of `base` others.
    #[inline]
    fn push_at(&self, base: c_int) -> Push<'_> {
        Push { job: self, base }
    }

    /// Pops the key and the value on top into the table at `table`.
    ///
    /// # Safety
    ///
    /// There are a table, and a key that is neither nil nor NaN with a value on top.
    #[inline]
    unsafe fn set(&self, table: c_int) -> Result<()> {
        // SAFETY: with memory to be had and a valid key, a raw write does not raise. Else passed on.
        unsafe {
            if self.inner.infallible_writes() {
                let memory = &self.inner.memory;
                memory.unfailing(|| engine::lua_rawset(self.state, table));
                return Ok(());
            }
            self.set_protected(table)
        }
    }

    #[inline(never)]
    unsafe fn set_protected(&self, table: c_int) -> Result<()> {
        let state = self.state;
        // SAFETY: passed on.
        unsafe {
            engine::lua_pushvalue(state, table);
            engine::lua_insert(state, -3);
            protect(state, 3, 0, |state| engine::lua_rawset(state, 1))
        }
    }

    /// Pops the value on top into position `i` of the table at `table`.
    ///
    /// # Safety
    ///
    /// There are a table, and a value on top.
    #[inline]
    unsafe fn set_index(&self, table: c_int, i: Integer) -> Result<()> {
        // SAFETY: with memory to be had, a raw write does not raise. Else passed on.
        unsafe {
            if self.inner.infallible_writes() {
                let memory = &self.inner.memory;
                memory.unfailing(|| engine::lua_rawseti(self.state, table, i));
                return Ok(());
            }
            self.set_index_protected(table, i)
        }
    }

    #[inline(never)]
    unsafe fn set_index_protected(&self, table: c_int, i: Integer) -> Result<()> {
        let state = self.state;
        // SAFETY: passed on.
        unsafe {
            engine::lua_pushvalue(state, table);
            engine::lua_insert(state, -2);
            protect(state, 2, 0, |state| engine::lua_rawseti(state, 1, i))
        }
    }
}

#[cold]
fn misplaced() -> Error {
    ser::Error::custom("a Lua value was serialised from inside of another call")
}

/// Says that the value is on top of the stack.
pub(super) struct Pushed(());

/// See the module's documentation.
pub(super) struct Push<'j> {
    job: &'j Job<'j>,
    /// The height of the stack on which the value is to come.
    base: c_int,
}

impl<'j> Push<'j> {
    /// P1, P2.
    #[inline]
    fn begin(self) -> Result<&'j Job<'j>> {
        self.job.check()?;
        // SAFETY: a plain read.
        if unsafe { engine::lua_gettop(self.job.state) } != self.base {
            return Err(misplaced());
        }
        Ok(self.job)
    }

    /// # Safety
    ///
    /// `push` pushes one value, cannot raise and runs no other code.
    #[inline]
    unsafe fn plain(self, push: impl FnOnce(*mut engine::lua_State)) -> Result<Pushed> {
        push(self.begin()?.state);
        Ok(Pushed(()))
    }

    #[inline]
    fn bytes(self, bytes: &[u8]) -> Result<Pushed> {
        let job = self.begin()?;
        // SAFETY: there is room by the reserve.
        unsafe { push_bytes(job.inner, job.state, bytes)? };
        Ok(Pushed(()))
    }

    fn null_or_nil(self, null: bool) -> Result<Pushed> {
        // SAFETY: plain pushes.
        unsafe {
            self.plain(|state| match null {
                true => engine::lua_pushlightuserdata(state, std::ptr::null_mut()),
                false => engine::lua_pushnil(state),
            })
        }
    }

    /// An integer if it fits, else a float.
    #[inline]
    fn number(self, n: impl TryInto<Integer>, float: Number) -> Result<Pushed> {
        // SAFETY: plain pushes.
        unsafe {
            self.plain(|state| match n.try_into() {
                Ok(n) => engine::lua_pushinteger(state, n),
                Err(_) => engine::lua_pushnumber(state, float),
            })
        }
    }

    #[inline]
    fn fields(self, list: usize, fields: usize) -> Result<Fields<'j>> {
        let base = self.base;
        let job = self.begin()?;
        Ok(Fields {
            // SAFETY: `begin` has looked.
            table: unsafe { job.new_table(base, list, fields)? },
            job,
            len: 0,
            key: None,
            kind: Kind::Table,
        })
    }

    /// A table with the contents of `variant`, inside of a table with its name as the only key.
    fn variant(self, variant: &'static str, list: usize, fields: usize) -> Result<Fields<'j>> {
        let base = self.base;
        let job = self.begin()?;
        // SAFETY: `begin` has looked; there is room for the name. What is left behind on an error is popped by the step that
        // this is part of (P3).
        let (outer, table) = unsafe {
            let outer = job.new_table(base, 0, 1)?;
            job.push_name(variant)?;
            (outer, job.new_table(outer + 1, list, fields)?)
        };
        Ok(Fields {
            table,
            job,
            len: 0,
            key: None,
            kind: Kind::Variant { outer },
        })
    }
}

macro_rules! numbers {
    ($($name:ident: $type:ty;)*) => {$(
        #[inline]
        fn $name(self, v: $type) -> Result<Pushed> {
            self.number(v, v as Number)
        }
    )*};
}

impl<'j> ser::Serializer for Push<'j> {
    type Ok = Pushed;
    type Error = Error;
    type SerializeSeq = Fields<'j>;
    type SerializeTuple = Fields<'j>;
    type SerializeTupleStruct = Fields<'j>;
    type SerializeTupleVariant = Fields<'j>;
    type SerializeMap = Fields<'j>;
    type SerializeStruct = Fields<'j>;
    type SerializeStructVariant = Fields<'j>;

    numbers! {
        serialize_i8: i8;
        serialize_i16: i16;
        serialize_i32: i32;
        serialize_i64: i64;
        serialize_i128: i128;
        serialize_u8: u8;
        serialize_u16: u16;
        serialize_u32: u32;
        serialize_u64: u64;
        serialize_u128: u128;
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<Pushed> {
        // SAFETY: a plain push.
        unsafe { self.plain(|state| engine::lua_pushboolean(state, v as c_int)) }
    }

    #[inline]
    fn serialize_f32(self, v: f32) -> Result<Pushed> {
        self.serialize_f64(v.into())
    }

    #[inline]
    fn serialize_f64(self, v: f64) -> Result<Pushed> {
        // SAFETY: a plain push.
        unsafe { self.plain(|state| engine::lua_pushnumber(state, v)) }
    }

    fn serialize_char(self, v: char) -> Result<Pushed> {
        self.bytes(v.encode_utf8(&mut [0; 4]).as_bytes())
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<Pushed> {
        self.bytes(v.as_bytes())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Pushed> {
        self.bytes(v)
    }

    #[inline]
    fn serialize_none(self) -> Result<Pushed> {
        let null = self.job.options.serialize_none_to_null;
        self.null_or_nil(null)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Pushed> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Pushed> {
        let null = self.job.options.serialize_unit_to_null;
        self.null_or_nil(null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Pushed> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Pushed> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T>(self, _name: &'static str, value: &T) -> Result<Pushed>
    where
        T: Serialize + ?Sized,
    {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Pushed>
    where
        T: Serialize + ?Sized,
    {
        let mut fields = self.fields(0, 1)?;
        fields.field(variant, value)?;
        fields.finish()
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Fields<'j>> {
        let job = self.job;
        let list = self.fields(len.unwrap_or(0), 0)?;
        if job.options.set_array_metatable {
            // SAFETY: there is room; setting a metatable does not raise.
            unsafe {
                let metatable = array_metatable_slot(job.lua)?;
                job.inner.slots.push(metatable, job.state);
                engine::lua_setmetatable(job.state, -2);
            }
        }
        Ok(list)
    }

    fn serialize_tuple(self, len: usize) -> Result<Fields<'j>> {
        self.serialize_seq(Some(len))
    }

    #[cfg(not(feature = "luau"))]
    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Fields<'j>> {
        self.serialize_seq(Some(len))
    }

    #[cfg(feature = "luau")]
    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Fields<'j>> {
        let mut fields = self.serialize_seq(Some(len))?;
        if crate::Vector::is_serialized_as(name, len) {
            fields.kind = Kind::Vector;
        }
        Ok(fields)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'j>> {
        self.variant(variant, len, 0)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Fields<'j>> {
        self.fields(0, len.unwrap_or(0))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Fields<'j>> {
        let number = self.job.options.detect_serde_json_arbitrary_precision && name == JSON_NUMBER;
        let mut fields = self.fields(0, len)?;
        if number {
            fields.kind = Kind::Number(None);
        }
        Ok(fields)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Fields<'j>> {
        self.variant(variant, 0, len)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// A table.
    Table,
    /// A table that goes into the one at `outer` in the end, with the key below it.
    Variant { outer: c_int },
    /// A vector, in place of a table with its components.
    #[cfg(feature = "luau")]
    Vector,
    /// A number as text, in place of a table.
    Number(Option<JsonNumber>),
}

#[derive(Clone, Copy)]
pub(super) enum JsonNumber {
    Integer(Integer),
    Float(Number),
}

/// A table that is being filled.
pub(super) struct Fields<'j> {
    job: &'j Job<'j>,
    table: c_int,
    len: Integer,
    /// The key that waits for its value.
    key: Option<Ref<'j>>,
    kind: Kind,
}

/// P3: pops what a step has pushed, unless that was done already.
struct Step {
    state: *mut engine::lua_State,
    height: c_int,
}

impl Step {
    /// The step has popped what it has pushed.
    #[inline]
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Step {
    #[cold]
    fn drop(&mut self) {
        // SAFETY: what is above the height was pushed by this step, which ends here.
        unsafe { engine::lua_settop(self.state, self.height) }
    }
}

impl<'j> Fields<'j> {
    /// P1, P3.
    #[inline]
    fn step(&self) -> Result<Step> {
        self.job.check()?;
        let state = self.job.state;
        // SAFETY: a plain read.
        let height = unsafe { engine::lua_gettop(state) };
        Ok(Step { state, height })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let step = self.step()?;
        let base = step.height;
        let Pushed(()) = value.serialize(self.job.push_at(base))?;
        // SAFETY: P4.
        unsafe { self.job.set_index(self.table, self.len + 1)? };
        self.len += 1;
        step.done();
        Ok(())
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
        if let Kind::Number(_) = self.kind {
            return self.number(value);
        }
        let step = self.step()?;
        let job = self.job;
        // SAFETY: there is room; P4.
        unsafe {
            job.push_name(name)?;
            let base = step.height + 1;
            let Pushed(()) = value.serialize(self.job.push_at(base))?;
            job.set(self.table)?;
        }
        step.done();
        Ok(())
    }

    /// Pushes a key.
    #[inline]
    fn push_key<T: Serialize + ?Sized>(&self, key: &T, base: c_int) -> Result<()> {
        let Pushed(()) = key.serialize(self.job.push_at(base))?;
        let state = self.job.state;
        // SAFETY: P4; plain reads.
        let invalid = unsafe {
            match engine::lua_type(state, -1) {
                engine::LUA_TNIL => "nil",
                engine::LUA_TNUMBER if engine::lua_tonumber(state, -1).is_nan() => "NaN",
                _ => return Ok(()),
            }
        };
        Err(invalid_key(invalid))
    }

    #[inline]
    fn entry<K, T>(&mut self, key: &K, value: &T) -> Result<()>
    where
        K: Serialize + ?Sized,
        T: Serialize + ?Sized,
    {
        let step = self.step()?;
        self.push_key(key, step.height)?;
        let base = step.height + 1;
        let Pushed(()) = value.serialize(self.job.push_at(base))?;
        // SAFETY: the key was looked at; P4.
        unsafe { self.job.set(self.table)? };
        step.done();
        Ok(())
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let step = self.step()?;
        self.push_key(key, step.height)?;
        // SAFETY: the key is on top; `step` pops it.
        self.key = Some(unsafe { Ref::at(self.job.lua, -1)? });
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let key = self.key.take().ok_or_else(value_without_key)?;
        let step = self.step()?;
        // SAFETY: there is room; the key was looked at; P4.
        unsafe {
            key.push();
            let base = step.height + 1;
            let Pushed(()) = value.serialize(self.job.push_at(base))?;
            self.job.set(self.table)?;
        }
        step.done();
        Ok(())
    }

    /// Keeps the number that `text` serialises to.
    fn number<T: Serialize + ?Sized>(&mut self, text: &T) -> Result<()> {
        let step = self.step()?;
        let base = step.height;
        let Pushed(()) = text.serialize(self.job.push_at(base))?;
        // SAFETY: the text is on the stack while it is read.
        let text = unsafe { bytes_at(step.state, -1) };
        let number = text.and_then(parse_number).ok_or_else(not_a_number)?;
        self.kind = Kind::Number(Some(number));
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result<Pushed> {
        self.job.push_at(self.table).begin()?;
        match self.kind {
            Kind::Table => Ok(Pushed(())),
            _ => self.replace(),
        }
    }

    /// Puts in place of the table on top what it is in truth.
    #[inline(never)]
    fn replace(self) -> Result<Pushed> {
        let (job, table) = (self.job, self.table);
        // SAFETY: the table is on top, and that of a variant on its name and the outer table.
        unsafe {
            match self.kind {
                Kind::Table => {}
                Kind::Variant { outer } => job.set(outer)?,
                #[cfg(feature = "luau")]
                Kind::Vector => {
                    if let Some(vector) = crate::Vector::from_list(job.state, table) {
                        engine::lua_settop(job.state, table - 1);
                        vector.push(job.state);
                    }
                }
                Kind::Number(number) => {
                    let number = number.ok_or_else(not_a_number)?;
                    engine::lua_settop(job.state, table - 1);
                    match number {
                        JsonNumber::Integer(n) => engine::lua_pushinteger(job.state, n),
                        JsonNumber::Float(n) => engine::lua_pushnumber(job.state, n),
                    }
                }
            }
        }
        Ok(Pushed(()))
    }
}

#[cold]
pub(super) fn invalid_key(key: &str) -> Error {
    ser::Error::custom(format_args!("{key} cannot be a key of a Lua table"))
}

#[cold]
pub(super) fn value_without_key() -> Error {
    ser::Error::custom("a map has a value without a key")
}

#[cold]
pub(super) fn not_a_number() -> Error {
    ser::Error::custom("text that should be a number is none")
}

/// The number that `text` is: an integer if it fits, else a float.
pub(super) fn parse_number(text: &[u8]) -> Option<JsonNumber> {
    let text = std::str::from_utf8(text).ok()?;
    let integer = text.parse().ok().map(JsonNumber::Integer);
    integer.or_else(|| text.parse().ok().map(JsonNumber::Float))
}

macro_rules! compound {
    ($($Trait:ident: $method:ident($($arg:ident: $type:ty)?) => $own:ident;)*) => {$(
        impl ser::$Trait for Fields<'_> {
            type Ok = Pushed;
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($arg: $type,)? value: &T) -> Result<()> {
                self.$own($($arg,)? value)
            }

            #[inline]
            fn end(self) -> Result<Pushed> {
                self.finish()
            }
        }
    )*};
}

compound! {
    SerializeSeq: serialize_element() => element;
    SerializeTuple: serialize_element() => element;
    SerializeTupleStruct: serialize_field() => element;
    SerializeTupleVariant: serialize_field() => element;
    SerializeStruct: serialize_field(name: &'static str) => field;
    SerializeStructVariant: serialize_field(name: &'static str) => field;
}

impl ser::SerializeMap for Fields<'_> {
    type Ok = Pushed;
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.value(value)
    }

    #[inline]
    fn serialize_entry<K, T>(&mut self, key: &K, value: &T) -> Result<()>
    where
        K: Serialize + ?Sized,
        T: Serialize + ?Sized,
    {
        self.entry(key, value)
    }

    #[inline]
    fn end(self) -> Result<Pushed> {
        self.finish()
    }
}
