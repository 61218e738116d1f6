//! [`UserDataRegistry`]: the fields and methods of a type, on their way into a metatable.
//!
//! An entry is a closure of the user, boxed, and the function that knows its type and makes a Lua value of it
//! ([`super::method`]). The metatable is built from the entries when the type is needed ([`super::metatable`]).

use std::any::{type_name, Any};
use std::cell::RefCell;
#[cfg(feature = "async")]
use std::future::Future;
use std::marker::PhantomData;

use super::method::{self, Push};
#[cfg(feature = "async")]
use super::method_async;
use super::wrappers::{BySerial, ByType};
use super::{AnyUserData, UserDataFields, UserDataMethods};
use crate::error::Result;
use crate::types::MaybeSend;
use crate::value::{FromLua, FromLuaMulti, IntoLua, IntoLuaMulti};
use crate::Lua;

/// One field or method.
pub(crate) struct Entry<'lua> {
    pub(crate) name: String,
    /// As errors show it: `Type.method`.
    pub(crate) full_name: Box<str>,
    pub(crate) what: Box<dyn Any>,
    pub(crate) push: Push<'lua>,
}

/// All fields and methods of a type.
#[derive(Default)]
pub(crate) struct Entries<'lua> {
    pub(crate) statics: Vec<Entry<'lua>>,
    pub(crate) getters: Vec<Entry<'lua>>,
    pub(crate) setters: Vec<Entry<'lua>>,
    pub(crate) methods: Vec<Entry<'lua>>,
    pub(crate) meta_fields: Vec<Entry<'lua>>,
    pub(crate) meta_methods: Vec<Entry<'lua>>,
}

impl<'lua> Entries<'lua> {
    fn append(&mut self, other: Entries<'lua>) {
        self.statics.extend(other.statics);
        self.getters.extend(other.getters);
        self.setters.extend(other.setters);
        self.methods.extend(other.methods);
        self.meta_fields.extend(other.meta_fields);
        self.meta_methods.extend(other.meta_methods);
    }
}

/// An entry for `what` of the type `T`.
fn entry<'lua, T>(name: impl AsRef<str>, what: impl Any, push: Push<'lua>) -> Entry<'lua> {
    let name = name.as_ref().to_owned();
    Entry {
        full_name: format!("{}.{name}", short_type_name::<T>()).into(),
        name,
        what: Box::new(what),
        push,
    }
}

/// The name of `T` without the paths of modules, as errors and `__name` show it.
pub(crate) fn short_type_name<T>() -> String {
    let mut short = String::new();
    let mut word = 0;
    let mut rest = type_name::<T>();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == ':' && rest.starts_with(':') {
            rest = &rest[1..];
            short.truncate(word);
            continue;
        }
        short.push(c);
        if !(c.is_alphanumeric() || c == '_') {
            word = short.len();
        }
    }
    short
}

/// Where a type registers its fields and methods: see [`UserDataFields`] and [`UserDataMethods`].
///
/// [`Lua::register_userdata_type`] lends one.
pub struct UserDataRegistry<'lua, T: 'static> {
    pub(crate) entries: Entries<'lua>,
    _type: PhantomData<T>,
}

/// As [`UserDataRegistry`], for the one value of a scope, whose type need not be `'static`.
pub(crate) struct ScopedRegistry<'lua, T> {
    pub(crate) entries: Entries<'lua>,
    _type: PhantomData<T>,
}

macro_rules! registry {
    ($Registry:ident, $Access:ty, $($bound:lifetime)?) => {
        impl<'lua, T $(: $bound)?> $Registry<'lua, T> {
            pub(crate) fn new() -> Self {
                $Registry {
                    entries: Entries::default(),
                    _type: PhantomData,
                }
            }
        }

        impl<'lua, T $(: $bound)?> UserDataFields<'lua, T> for $Registry<'lua, T> {
            fn add_field<V>(&mut self, name: impl AsRef<str>, value: V)
            where
                V: IntoLua<'lua> + Clone + 'static,
            {
                let push = method::push_value::<V>;
                self.entries.statics.push(entry::<T>(name, value, push));
            }

            fn add_field_method_get<M, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                M: Fn(&'lua Lua, &T) -> Result<R> + MaybeSend + 'static,
                R: IntoLua<'lua>,
            {
                let push = method::push_getter::<$Access, T, M, R>;
                self.entries.getters.push(entry::<T>(name, method, push));
            }

            fn add_field_method_set<M, A>(&mut self, name: impl AsRef<str>, method: M)
            where
                M: FnMut(&'lua Lua, &mut T, A) -> Result<()> + MaybeSend + 'static,
                A: FromLua<'lua>,
            {
                let push = method::push_setter::<$Access, T, M, A>;
                let method = RefCell::new(method);
                self.entries.setters.push(entry::<T>(name, method, push));
            }

            fn add_field_function_get<F, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: Fn(&'lua Lua, AnyUserData<'lua>) -> Result<R> + MaybeSend + 'static,
                R: IntoLua<'lua>,
            {
                let push = method::push_function_getter::<F, R>;
                self.entries.getters.push(entry::<T>(name, function, push));
            }

            fn add_field_function_set<F, A>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: FnMut(&'lua Lua, AnyUserData<'lua>, A) -> Result<()> + MaybeSend + 'static,
                A: FromLua<'lua>,
            {
                let push = method::push_function_setter::<F, A>;
                let function = RefCell::new(function);
                self.entries.setters.push(entry::<T>(name, function, push));
            }

            fn add_meta_field<V>(&mut self, name: impl AsRef<str>, value: V)
            where
                V: IntoLua<'lua> + Clone + 'static,
            {
                let push = method::push_value::<V>;
                self.entries.meta_fields.push(entry::<T>(name, value, push));
            }

            fn add_meta_field_with<F, R>(&mut self, name: impl AsRef<str>, f: F)
            where
                F: Fn(&'lua Lua) -> Result<R> + MaybeSend + 'static,
                R: IntoLua<'lua>,
            {
                let push = method::push_result::<F, R>;
                self.entries.meta_fields.push(entry::<T>(name, f, push));
            }

            fn append_fields_from<S>(&mut self, other: UserDataRegistry<'lua, S>) {
                self.entries.append(other.entries);
            }
        }

        impl<'lua, T $(: $bound)?> UserDataMethods<'lua, T> for $Registry<'lua, T> {
            fn add_method<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                M: Fn(&'lua Lua, &T, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_method::<$Access, T, M, A, R>;
                self.entries.methods.push(entry::<T>(name, method, push));
            }

            fn add_method_mut<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                M: FnMut(&'lua Lua, &mut T, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_method_mut::<$Access, T, M, A, R>;
                let method = RefCell::new(method);
                self.entries.methods.push(entry::<T>(name, method, push));
            }

            fn add_function<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_function::<F, A, R>;
                self.entries.methods.push(entry::<T>(name, function, push));
            }

            fn add_function_mut<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: FnMut(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_function_mut::<F, A, R>;
                let function = RefCell::new(function);
                self.entries.methods.push(entry::<T>(name, function, push));
            }

            fn add_meta_method<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                M: Fn(&'lua Lua, &T, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_method::<$Access, T, M, A, R>;
                self.entries.meta_methods.push(entry::<T>(name, method, push));
            }

            fn add_meta_method_mut<M, A, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                M: FnMut(&'lua Lua, &mut T, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_method_mut::<$Access, T, M, A, R>;
                let method = RefCell::new(method);
                self.entries.meta_methods.push(entry::<T>(name, method, push));
            }

            fn add_meta_function<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_function::<F, A, R>;
                self.entries.meta_methods.push(entry::<T>(name, function, push));
            }

            fn add_meta_function_mut<F, A, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: FnMut(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                R: IntoLuaMulti<'lua>,
            {
                let push = method::push_function_mut::<F, A, R>;
                let function = RefCell::new(function);
                self.entries.meta_methods.push(entry::<T>(name, function, push));
            }

            #[cfg(feature = "async")]
            fn add_async_method<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                'lua: 's,
                T: 'static,
                M: Fn(&'lua Lua, &'s T, A) -> MR + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                MR: Future<Output = Result<R>> + 's,
                R: IntoLuaMulti<'lua>,
            {
                let push = method_async::push_method::<T, M, A, MR, R>;
                self.entries.methods.push(entry::<T>(name, method, push));
            }

            #[cfg(feature = "async")]
            fn add_async_method_mut<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                'lua: 's,
                T: 'static,
                M: Fn(&'lua Lua, &'s mut T, A) -> MR + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                MR: Future<Output = Result<R>> + 's,
                R: IntoLuaMulti<'lua>,
            {
                let push = method_async::push_method_mut::<T, M, A, MR, R>;
                self.entries.methods.push(entry::<T>(name, method, push));
            }

            #[cfg(feature = "async")]
            fn add_async_function<F, A, FR, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                FR: Future<Output = Result<R>> + 'lua,
                R: IntoLuaMulti<'lua>,
            {
                let push = method_async::push_function::<F, A, FR, R>;
                self.entries.methods.push(entry::<T>(name, function, push));
            }

            #[cfg(all(feature = "async", not(any(feature = "lua51", feature = "luau"))))]
            fn add_async_meta_method<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                'lua: 's,
                T: 'static,
                M: Fn(&'lua Lua, &'s T, A) -> MR + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                MR: Future<Output = Result<R>> + 's,
                R: IntoLuaMulti<'lua>,
            {
                let push = method_async::push_method::<T, M, A, MR, R>;
                self.entries.meta_methods.push(entry::<T>(name, method, push));
            }

            #[cfg(all(feature = "async", not(any(feature = "lua51", feature = "luau"))))]
            fn add_async_meta_method_mut<'s, M, A, MR, R>(&mut self, name: impl AsRef<str>, method: M)
            where
                'lua: 's,
                T: 'static,
                M: Fn(&'lua Lua, &'s mut T, A) -> MR + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                MR: Future<Output = Result<R>> + 's,
                R: IntoLuaMulti<'lua>,
            {
                let push = method_async::push_method_mut::<T, M, A, MR, R>;
                self.entries.meta_methods.push(entry::<T>(name, method, push));
            }

            #[cfg(all(feature = "async", not(any(feature = "lua51", feature = "luau"))))]
            fn add_async_meta_function<F, A, FR, R>(&mut self, name: impl AsRef<str>, function: F)
            where
                F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
                A: FromLuaMulti<'lua>,
                FR: Future<Output = Result<R>> + 'lua,
                R: IntoLuaMulti<'lua>,
            {
                let push = method_async::push_function::<F, A, FR, R>;
                self.entries.meta_methods.push(entry::<T>(name, function, push));
            }

            fn append_methods_from<S>(&mut self, other: UserDataRegistry<'lua, S>) {
                self.entries.append(other.entries);
            }
        }
    };
}

registry!(UserDataRegistry, ByType, 'static);
registry!(ScopedRegistry, BySerial,);

#[cfg(test)]
mod tests {
    use super::short_type_name;

    #[test]
    fn type_names_lose_their_paths() {
        assert_eq!(short_type_name::<i32>(), "i32");
        assert_eq!(
            short_type_name::<Vec<Option<String>>>(),
            "Vec<Option<String>>"
        );
        assert_eq!(
            short_type_name::<(std::rc::Rc<std::cell::RefCell<u8>>, &[String])>(),
            "(Rc<RefCell<u8>>, &[String])"
        );
    }
}
