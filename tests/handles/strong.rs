//! What the tests of cycles use of `weak-owned`, made of the strong handles that mlua 0.9 has with `unstable`. So the same
//! tests run there, where each of them has to find a leak: see `patches/check`.

use std::rc::{Rc, Weak};

use mlua::{
    FromLua, IntoLua, Lua, OwnedAnyUserData, OwnedFunction, OwnedTable, Result, Table, Value,
};

/// The kinds of value that the tests ask for.
pub enum OwnedValue {
    Table(OwnedTable),
    Function(OwnedFunction),
    UserData(OwnedAnyUserData),
}

impl<'lua> FromLua<'lua> for OwnedValue {
    fn from_lua(value: Value<'lua>, _: &'lua Lua) -> Result<Self> {
        Ok(match value {
            Value::Table(table) => OwnedValue::Table(table.into_owned()),
            Value::Function(function) => OwnedValue::Function(function.into_owned()),
            Value::UserData(userdata) => OwnedValue::UserData(userdata.into_owned()),
            other => panic!("no test asks for {other:?}"),
        })
    }
}

impl<'lua> IntoLua<'lua> for OwnedValue {
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        match self {
            OwnedValue::Table(table) => table.into_lua(lua),
            OwnedValue::Function(function) => function.into_lua(lua),
            OwnedValue::UserData(userdata) => userdata.into_lua(lua),
        }
    }
}

pub trait Handle {
    /// A strong handle is proof enough.
    fn is_alive(&self) -> bool {
        true
    }
}

impl Handle for OwnedTable {}
impl Handle for OwnedFunction {}
impl Handle for OwnedAnyUserData {}

pub trait TableHandle {
    fn get<'a, K: IntoLua<'a>, V: FromLua<'a>>(&'a self, key: K) -> Result<V>;
    fn set<'a, K: IntoLua<'a>, V: IntoLua<'a>>(&'a self, key: K, value: V) -> Result<()>;
    fn upgrade_in<'a>(&'a self, lua: &'a Lua) -> Result<Table<'a>>;
}

impl TableHandle for OwnedTable {
    fn get<'a, K: IntoLua<'a>, V: FromLua<'a>>(&'a self, key: K) -> Result<V> {
        self.to_ref().get(key)
    }

    fn set<'a, K: IntoLua<'a>, V: IntoLua<'a>>(&'a self, key: K, value: V) -> Result<()> {
        self.to_ref().set(key, value)
    }

    fn upgrade_in<'a>(&'a self, _: &'a Lua) -> Result<Table<'a>> {
        Ok(self.to_ref())
    }
}

/// Lives as long as the app data of an instance, and that as long as the instance.
pub struct WeakLua(Weak<()>);

pub trait Instance {
    fn weak(&self) -> WeakLua;
}

impl Instance for Lua {
    fn weak(&self) -> WeakLua {
        let sentinel = Rc::new(());
        let weak = WeakLua(Rc::downgrade(&sentinel));
        self.set_app_data(sentinel);
        weak
    }
}

impl WeakLua {
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}
