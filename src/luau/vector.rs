//! [`Vector`]: Luau's own type for vectors.

use std::fmt;
use std::os::raw::c_int;

use crate::engine;
use crate::error::{Error, Result};
use crate::value::{FromLua, IntoLua, Value};
use crate::Lua;

/// How many components a vector has.
#[cfg(not(feature = "luau-vector4"))]
const SIZE: usize = 3;
/// How many components a vector has.
#[cfg(feature = "luau-vector4")]
const SIZE: usize = 4;

/// A vector of Luau's: three numbers, four with the feature `luau-vector4`.
///
/// In Luau it is a plain value, as a number is one: vectors with the same components are equal. An array of as many elements can
/// be made from one, too.
///
/// # Examples
///
/// ```
/// # use mlua::{Lua, Result, Vector};
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// # #[cfg(not(feature = "luau-vector4"))] {
/// let double: Vector = lua.load("return (...) * 2").call(Vector::new(1.0, 2.0, 3.0))?;
/// assert_eq!(double, [2.0, 4.0, 6.0]);
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vector([f32; SIZE]);

impl Vector {
    /// A vector with these components.
    #[cfg(not(feature = "luau-vector4"))]
    pub const fn new(x: f32, y: f32, z: f32) -> Self {
        Vector([x, y, z])
    }

    /// A vector with these components.
    #[cfg(feature = "luau-vector4")]
    pub const fn new(x: f32, y: f32, z: f32, w: f32) -> Self {
        Vector([x, y, z, w])
    }

    /// The vector whose components are all zero.
    #[doc(hidden)]
    pub const fn zero() -> Self {
        Vector([0.0; SIZE])
    }

    /// The first component.
    pub const fn x(&self) -> f32 {
        self.0[0]
    }

    /// The second component.
    pub const fn y(&self) -> f32 {
        self.0[1]
    }

    /// The third component.
    pub const fn z(&self) -> f32 {
        self.0[2]
    }

    /// The fourth component.
    #[cfg(feature = "luau-vector4")]
    pub const fn w(&self) -> f32 {
        self.0[3]
    }

    /// The components in order.
    pub(crate) const fn components(&self) -> &[f32] {
        &self.0
    }

    /// Pushes the vector.
    ///
    /// # Safety
    ///
    /// There is room for one value on `state`, any state of an open VM.
    #[inline]
    pub(crate) unsafe fn push(&self, state: *mut engine::lua_State) {
        // SAFETY: passed on; a plain push does not raise.
        unsafe {
            #[cfg(not(feature = "luau-vector4"))]
            engine::lua_pushvector(state, self.x(), self.y(), self.z());
            #[cfg(feature = "luau-vector4")]
            engine::lua_pushvector(state, self.x(), self.y(), self.z(), self.w());
        }
    }

    /// The vector at `index`, if there is one.
    ///
    /// # Safety
    ///
    /// `index` is one of `state`, any state of an open VM.
    #[inline]
    pub(crate) unsafe fn at(state: *mut engine::lua_State, index: c_int) -> Option<Vector> {
        // SAFETY: a plain read. What is found are `SIZE` components, which are copied before anything else happens.
        unsafe {
            let components = engine::lua_tovector(state, index) as *const [f32; SIZE];
            components.as_ref().copied().map(Vector)
        }
    }
}

/// How a vector is serialised: as a tuple struct of this name.
#[cfg(feature = "serialize")]
const NAME: &str = "Vector";

#[cfg(feature = "serialize")]
impl Vector {
    /// Whether a vector is serialised as a tuple struct of this name and length.
    pub(crate) fn is_serialized_as(name: &str, len: usize) -> bool {
        name == NAME && len == SIZE
    }

    /// The vector whose components are in the table at `index`, if they are all there and numbers.
    ///
    /// # Safety
    ///
    /// There is a table at the absolute `index` of `state`, any state of an open VM, and a free place.
    pub(crate) unsafe fn from_list(state: *mut engine::lua_State, index: c_int) -> Option<Vector> {
        let mut components = [0.0; SIZE];
        for (component, i) in components.iter_mut().zip(1..) {
            // SAFETY: a raw read, and a pop of what it has pushed.
            unsafe {
                let is_number = engine::lua_rawgeti(state, index, i) == engine::LUA_TNUMBER;
                *component = engine::lua_tonumber(state, -1) as f32;
                engine::lua_settop(state, -2);
                if !is_number {
                    return None;
                }
            }
        }
        Some(Vector(components))
    }
}

impl PartialEq<[f32; SIZE]> for Vector {
    fn eq(&self, other: &[f32; SIZE]) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Vector {
    /// `vector(1, 2, 3)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vector(")?;
        for (i, component) in self.0.iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            write!(f, "{separator}{component}")?;
        }
        f.write_str(")")
    }
}

impl IntoLua<'_> for Vector {
    const PUSHES_PLAIN: bool = true;

    #[inline]
    fn into_lua(self, _: &Lua) -> Result<Value<'_>> {
        Ok(Value::Vector(self))
    }

    #[inline(always)]
    unsafe fn push_plain(&self, state: *mut engine::lua_State) {
        // SAFETY: passed on.
        unsafe { self.push(state) }
    }

    #[inline]
    unsafe fn push_into_stack(self, lua: &Lua) -> Result<()> {
        // SAFETY: passed on.
        unsafe { self.push(lua.state()) };
        Ok(())
    }
}

impl FromLua<'_> for Vector {
    #[inline]
    fn from_lua(value: Value<'_>, _: &Lua) -> Result<Self> {
        match value {
            Value::Vector(vector) => Ok(vector),
            other => Err(Error::from_lua_conversion(
                other.type_name(),
                "vector",
                None,
            )),
        }
    }

    const READS_PLAIN: bool = true;

    #[inline(always)]
    unsafe fn read_plain(state: *mut engine::lua_State, idx: c_int) -> Option<Self> {
        // SAFETY: passed on.
        unsafe { Vector::at(state, idx) }
    }
}

#[cfg(feature = "serialize")]
impl serde::Serialize for Vector {
    /// A tuple of the components.
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeTupleStruct;

        let mut tuple = serializer.serialize_tuple_struct(NAME, SIZE)?;
        for component in &self.0 {
            tuple.serialize_field(component)?;
        }
        tuple.end()
    }
}

impl Lua {
    /// Gives all vectors of this instance the metatable `metatable`, or none.
    ///
    /// # Panics
    ///
    /// Panics if `metatable` belongs to another instance.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result, Table};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let metatable: Table = lua.load("{ __index = { answer = function() return 42 end } }").eval()?;
    /// lua.set_vector_metatable(Some(metatable));
    /// assert_eq!(lua.load("vector.zero:answer()").eval::<i32>()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "unstable")]
    pub fn set_vector_metatable(&self, metatable: Option<crate::Table<'_>>) {
        let entered = self.enter();
        let state = entered.state;
        // SAFETY: a fixed number of pushes. Setting the metatable of a type does not raise.
        unsafe {
            let mut held = crate::stack::Held::new(state);
            Vector::zero().push(state);
            held.add(1);
            match &metatable {
                Some(metatable) => metatable.0.push_to(self).expect("metatable"),
                None => engine::lua_pushnil(state),
            }
            engine::lua_setmetatable(state, -2);
        }
    }
}

/// Opens the library `vector`, which can also be called: `vector(x, y, z)` is `vector.create(x, y, z)`.
///
/// # Safety
///
/// May raise.
pub(super) unsafe fn open(state: *mut engine::lua_State) {
    // SAFETY: the caller runs protected. The library leaves its table on top.
    unsafe {
        engine::luaL_requiref(state, c"vector".as_ptr(), engine::luaopen_vector, 1);
        engine::lua_createtable(state, 0, 1);
        engine::lua_pushcfunctiond(state, create, c"vector".as_ptr());
        engine::lua_setfield(state, -2, c"__call".as_ptr());
        engine::lua_setreadonly(state, -1, 1);
        engine::lua_setmetatable(state, -2);
        engine::lua_pop(state, 1);
    }
}

/// The library `vector` is called.
unsafe extern "C-unwind" fn create(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua with the library and the arguments; nothing here needs a drop.
    unsafe {
        engine::lua_remove(state, 1);
        let mut components = [0.0; SIZE];
        for (component, i) in components.iter_mut().zip(1..) {
            let given = i <= 2 || engine::lua_isnoneornil(state, i) == 0;
            if given {
                *component = engine::luaL_checknumber(state, i) as f32;
            }
        }
        Vector(components).push(state);
    }
    1
}
