//! [`MetaMethod`].

use std::fmt;

/// The metamethods that a userdata can define.
///
/// `__gc` is not among them: a value is dropped when its userdata is collected, so implement [`Drop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetaMethod {
    /// The operator `+`.
    Add,
    /// The operator `-` with two operands.
    Sub,
    /// The operator `*`.
    Mul,
    /// The operator `/`.
    Div,
    /// The operator `%`.
    Mod,
    /// The operator `^`.
    Pow,
    /// The operator `-` with one operand.
    Unm,
    /// The operator `//`.
    #[cfg(any(lua_ge_53, feature = "luau"))]
    IDiv,
    /// The operator `&`.
    #[cfg(lua_ge_53)]
    BAnd,
    /// The operator `|`.
    #[cfg(lua_ge_53)]
    BOr,
    /// The operator `~` with two operands.
    #[cfg(lua_ge_53)]
    BXor,
    /// The operator `~` with one operand.
    #[cfg(lua_ge_53)]
    BNot,
    /// The operator `<<`.
    #[cfg(lua_ge_53)]
    Shl,
    /// The operator `>>`.
    #[cfg(lua_ge_53)]
    Shr,
    /// The operator `..`.
    Concat,
    /// The operator `#`.
    Len,
    /// The operator `==`, between two userdata that are not the same.
    Eq,
    /// The operator `<`.
    Lt,
    /// The operator `<=`.
    Le,
    /// Reading a field: `userdata[key]`.
    Index,
    /// Writing a field: `userdata[key] = value`.
    NewIndex,
    /// A call: `userdata(...)`.
    Call,
    /// What `tostring` and `print` show.
    ToString,
    /// What `pairs` returns.
    #[cfg(any(lua_ge_52, feature = "luajit52"))]
    Pairs,
    /// What `ipairs` returns.
    #[cfg(any(feature = "lua52", feature = "luajit52"))]
    IPairs,
    /// What `for … in` goes over.
    #[cfg(feature = "luau")]
    Iter,
    /// What happens when a variable declared `<close>` goes out of scope.
    #[cfg(lua_ge_54)]
    Close,
    /// The name of the type, as messages of errors show it.
    #[doc(hidden)]
    Type,
}

impl MetaMethod {
    /// The name of the field in a metatable, such as `__add`.
    pub const fn name(self) -> &'static str {
        match self {
            MetaMethod::Add => "__add",
            MetaMethod::Sub => "__sub",
            MetaMethod::Mul => "__mul",
            MetaMethod::Div => "__div",
            MetaMethod::Mod => "__mod",
            MetaMethod::Pow => "__pow",
            MetaMethod::Unm => "__unm",
            #[cfg(any(lua_ge_53, feature = "luau"))]
            MetaMethod::IDiv => "__idiv",
            #[cfg(lua_ge_53)]
            MetaMethod::BAnd => "__band",
            #[cfg(lua_ge_53)]
            MetaMethod::BOr => "__bor",
            #[cfg(lua_ge_53)]
            MetaMethod::BXor => "__bxor",
            #[cfg(lua_ge_53)]
            MetaMethod::BNot => "__bnot",
            #[cfg(lua_ge_53)]
            MetaMethod::Shl => "__shl",
            #[cfg(lua_ge_53)]
            MetaMethod::Shr => "__shr",
            MetaMethod::Concat => "__concat",
            MetaMethod::Len => "__len",
            MetaMethod::Eq => "__eq",
            MetaMethod::Lt => "__lt",
            MetaMethod::Le => "__le",
            MetaMethod::Index => "__index",
            MetaMethod::NewIndex => "__newindex",
            MetaMethod::Call => "__call",
            MetaMethod::ToString => "__tostring",
            #[cfg(any(lua_ge_52, feature = "luajit52"))]
            MetaMethod::Pairs => "__pairs",
            #[cfg(any(feature = "lua52", feature = "luajit52"))]
            MetaMethod::IPairs => "__ipairs",
            #[cfg(feature = "luau")]
            MetaMethod::Iter => "__iter",
            #[cfg(lua_ge_54)]
            MetaMethod::Close => "__close",
            MetaMethod::Type if cfg!(feature = "luau") => "__type",
            MetaMethod::Type => "__name",
        }
    }
}

impl AsRef<str> for MetaMethod {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl PartialEq<MetaMethod> for &str {
    fn eq(&self, other: &MetaMethod) -> bool {
        *self == other.name()
    }
}

impl PartialEq<MetaMethod> for String {
    fn eq(&self, other: &MetaMethod) -> bool {
        self == other.name()
    }
}

impl fmt::Display for MetaMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
