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
    IDiv,
    /// The operator `&`.
    BAnd,
    /// The operator `|`.
    BOr,
    /// The operator `~` with two operands.
    BXor,
    /// The operator `~` with one operand.
    BNot,
    /// The operator `<<`.
    Shl,
    /// The operator `>>`.
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
    Pairs,
    /// What happens when a variable declared `<close>` goes out of scope.
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
            MetaMethod::IDiv => "__idiv",
            MetaMethod::BAnd => "__band",
            MetaMethod::BOr => "__bor",
            MetaMethod::BXor => "__bxor",
            MetaMethod::BNot => "__bnot",
            MetaMethod::Shl => "__shl",
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
            MetaMethod::Pairs => "__pairs",
            MetaMethod::Close => "__close",
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
