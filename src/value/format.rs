//! Values as text.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::os::raw::c_void;
use std::string::String as StdString;

use super::convert::collections::each_entry;
use super::convert::{bytes_at, utf8};
use super::Value;
use crate::call::protect::protect;
use crate::engine;
use crate::error::Result;
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::table::Table;

impl Value<'_> {
    /// The value as text, as Lua's `tostring` makes it, metamethods `__tostring` and `__name` included. Only floats look as
    /// in Rust, and [`Value::NULL`] is `null`.
    ///
    /// # Errors
    ///
    /// What the metamethod raises; a conversion error if the text is not UTF-8.
    pub fn to_string(&self) -> Result<StdString> {
        match self {
            Value::Nil => Ok("nil".to_owned()),
            Value::Boolean(b) => Ok(b.to_string()),
            Value::LightUserData(address) if address.0.is_null() => Ok("null".to_owned()),
            Value::LightUserData(address) => Ok(format!("lightuserdata: {:p}", address.0)),
            Value::Integer(i) => Ok(i.to_string()),
            Value::Number(n) => Ok(n.to_string()),
            #[cfg(feature = "luau")]
            Value::Vector(vector) => Ok(vector.to_string()),
            Value::String(string) => string.to_str().map(str::to_owned),
            Value::Table(_) | Value::Function(_) | Value::Thread(_) | Value::UserData(_) => {
                self.reference().map_or(Ok(StdString::new()), tostring)
            }
            Value::Error(error) => Ok(error.to_string()),
        }
    }
}

fn tostring(reference: &Ref) -> Result<StdString> {
    let lua = reference.lua();
    let entered = lua.try_enter()?;
    let state = entered.state;
    lua.reserve_stack()?;
    // SAFETY: there is room; the conversion, which may call a metamethod, runs protected and leaves a string on top.
    unsafe {
        reference.push();
        protect(state, 1, 1, |state| {
            engine::luaL_tolstring(state, 1, std::ptr::null_mut());
        })?;
        let _held = Held::adopt(state, 1);
        utf8(bytes_at(state, -1).unwrap_or_default(), "&str").map(str::to_owned)
    }
}

impl fmt::Debug for Value<'_> {
    /// With `{:#?}` tables are shown with their contents, each once, and userdata by their `__tostring`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return Pretty::default().value(f, self);
        }
        match self {
            Value::Nil => f.write_str("Nil"),
            Value::Boolean(b) => write!(f, "Boolean({b})"),
            Value::LightUserData(address) => write!(f, "{address:?}"),
            Value::Integer(i) => write!(f, "Integer({i})"),
            Value::Number(n) => write!(f, "Number({n})"),
            #[cfg(feature = "luau")]
            Value::Vector(vector) => write!(f, "{vector:?}"),
            Value::String(string) => write!(f, "String({string:?})"),
            Value::Table(table) => write!(f, "Table({:?})", table.0),
            Value::Function(function) => write!(f, "Function({:?})", function.0),
            Value::Thread(thread) => write!(f, "Thread({:?})", thread.0),
            Value::UserData(userdata) => write!(f, "AnyUserData({:?})", userdata.0),
            Value::Error(error) => write!(f, "Error({error:?})"),
        }
    }
}

/// Tables deeper than this are not looked into, for the sake of Rust's stack.
const DEEPEST: usize = 200;

/// Shows values with their contents.
#[derive(Default)]
struct Pretty {
    seen: HashSet<*const c_void>,
    depth: usize,
}

impl Pretty {
    fn value(&mut self, f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
        if let Value::Table(table) = value {
            if self.depth < DEEPEST && self.seen.insert(table.0.to_pointer()) {
                if let Ok(entries) = entries(table) {
                    return self.entries(f, entries);
                }
            }
        }
        Self::name(f, value)
    }

    fn entries(&mut self, f: &mut fmt::Formatter<'_>, entries: Vec<(Value, Value)>) -> fmt::Result {
        if entries.is_empty() {
            return f.write_str("{}");
        }
        f.write_str("{\n")?;
        let indent = 2 * self.depth;
        self.depth += 1;
        for (key, value) in entries {
            write!(f, "{:indent$}  [", "")?;
            Self::name(f, &key)?;
            f.write_str("] = ")?;
            self.value(f, &value)?;
            f.write_str(",\n")?;
        }
        self.depth -= 1;
        write!(f, "{:indent$}}}", "")
    }

    /// A value without its contents.
    fn name(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
        match value {
            Value::String(string) => write!(f, "{string:?}"),
            Value::Table(_) | Value::Function(_) | Value::Thread(_) => {
                write!(f, "{}: {:?}", value.type_name(), value.to_pointer())
            }
            Value::Error(error) => write!(f, "{error:?}"),
            other => match other.to_string() {
                Ok(text) => f.write_str(&text),
                Err(_) => write!(f, "{}: {:?}", value.type_name(), value.to_pointer()),
            },
        }
    }
}

/// The entries of a table, sorted: booleans, numbers, strings, others.
fn entries<'lua>(table: &Table<'lua>) -> Result<Vec<(Value<'lua>, Value<'lua>)>> {
    let lua = table.0.lua();
    let entered = lua.try_enter()?;
    lua.reserve_stack()?;
    let mut entries = Vec::new();
    // SAFETY: there is room; the table is on top.
    unsafe {
        table.0.push();
        let _held = Held::adopt(entered.state, 1);
        each_entry(-1, lua, || {
            entries.push((Value::look_at(lua, -2)?, Value::look_at(lua, -1)?));
            Ok(())
        })?;
    }
    entries.sort_by(|(a, _), (b, _)| compare_keys(a, b));
    Ok(entries)
}

fn compare_keys(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Boolean(_) => 0,
            Value::Integer(_) | Value::Number(_) => 1,
            Value::String(_) => 2,
            _ => 3,
        }
    }
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Integer(_) | Value::Number(_), Value::Integer(_) | Value::Number(_)) => {
            let number = |value: &Value| value.coerce_number().unwrap_or_default();
            number(a)
                .total_cmp(&number(b))
                .then_with(|| a.as_integer().cmp(&b.as_integer()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}
