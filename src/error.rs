//! What can go wrong: [`Error`], and the traits that bring foreign errors into it.

use std::error::Error as StdError;
use std::fmt;
use std::net::AddrParseError;
use std::result::Result as StdResult;
use std::str::Utf8Error;
use std::string::String as StdString;
use std::sync::Arc;

type BoxedError = Box<dyn StdError + Send + Sync>;

/// A [`Result`](std::result::Result) whose error is an [`Error`].
pub type Result<T> = StdResult<T, Error>;

/// Everything that this crate, Lua, or a Rust callback can report as having failed.
///
/// An error that a callback returns is raised in Lua. When nothing in Lua catches it, it comes back to the
/// Rust caller as a [`CallbackError`](Error::CallbackError) around the original. Cloning is cheap for the
/// variants that hold a cause: the cause is shared.
///
/// # Examples
///
/// ```
/// use mlua::Error;
///
/// let error = Error::runtime("no such plugin");
/// assert_eq!(error.to_string(), "runtime error: no such plugin");
///
/// let error = Error::external("7".parse::<bool>().unwrap_err());
/// assert!(error.downcast_ref::<std::str::ParseBoolError>().is_some());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// The source of a chunk does not parse.
    SyntaxError {
        /// Lua's own message, with the chunk's name and the line.
        message: StdString,
        /// The source ended too early, so more input may make it valid: a prompt can ask for another line.
        incomplete_input: bool,
    },
    /// Running Lua code failed (`LUA_ERRRUN`): a call of `error`, or an operation on a value that does not
    /// support it, such as calling nil.
    RuntimeError(StdString),
    /// Lua could not get the memory it asked for (`LUA_ERRMEM`), from the system or within the memory limit.
    MemoryError(StdString),
    /// A `__gc` metamethod raised an error (`LUA_ERRGCMM`).
    #[cfg(any(feature = "lua53", feature = "lua52"))]
    GarbageCollectorError(StdString),
    /// Something was asked for that could break memory safety, of an instance that was opened as safe.
    SafetyError(StdString),
    /// The instance has no memory limit to set, because its state was made by someone else with another
    /// allocator.
    MemoryLimitNotAvailable,
    /// A mutable callback was entered again, through Lua, before its first call had returned.
    RecursiveMutCallback,
    /// A callback, or a method of a userdata, was called after it had been destroyed: by the collector, or
    /// because its scope ended.
    CallbackDestructed,
    /// There are more arguments or results than fit on the Lua stack.
    StackError,
    /// `Function::bind` was given more arguments than a function can hold.
    BindError,
    /// An argument of a Rust function called from Lua is not acceptable.
    BadArgument {
        /// The function that was called, if it has a known name.
        to: Option<StdString>,
        /// The position of the argument; the first is 1.
        pos: usize,
        /// The argument's name, if it has one.
        name: Option<StdString>,
        /// Why the argument was refused.
        cause: Arc<Error>,
    },
    /// A Rust value has no counterpart in Lua.
    ToLuaConversionError {
        /// The type of the Rust value.
        from: &'static str,
        /// The Lua type that it should have become.
        to: &'static str,
        /// The reason, where there is more to say.
        message: Option<StdString>,
    },
    /// A Lua value is not what the Rust side expects.
    FromLuaConversionError {
        /// The type of the Lua value.
        from: &'static str,
        /// The Rust type that it should have become.
        to: &'static str,
        /// The reason, where there is more to say.
        message: Option<StdString>,
    },
    /// A coroutine cannot be resumed: it has finished, has failed, or is running right now.
    CoroutineInactive,
    /// A userdata holds a value of another type than the one asked for.
    UserDataTypeMismatch,
    /// A userdata's value is gone: it was taken out, finalised, or its scope ended.
    UserDataDestructed,
    /// A userdata cannot be borrowed, because it is mutably borrowed already.
    UserDataBorrowError,
    /// A userdata cannot be mutably borrowed, because it is borrowed already.
    UserDataBorrowMutError,
    /// A metamethod of this name may not be set by a user (`__gc`, `__metatable`, …).
    MetaMethodRestricted(StdString),
    /// A metamethod has a value of a type that it cannot have.
    MetaMethodTypeError {
        /// The name of the metamethod.
        method: StdString,
        /// The type of the value that was given.
        type_name: &'static str,
        /// The reason, where there is more to say.
        message: Option<StdString>,
    },
    /// A `RegistryKey` was used with an instance that did not make it.
    MismatchedRegistryKey,
    /// A Rust callback returned an error, which Lua then raised.
    CallbackError {
        /// Lua's call stack at the moment of raising.
        traceback: StdString,
        /// What the callback returned.
        cause: Arc<Error>,
    },
    /// A panic that had passed through Lua, and was resumed in Rust once, was met again.
    PreviouslyResumedPanic,
    /// A Rust value could not be serialised to a Lua value.
    #[cfg(feature = "serialize")]
    SerializeError(StdString),
    /// A Lua value could not be deserialised to a Rust value.
    #[cfg(feature = "serialize")]
    DeserializeError(StdString),
    /// An error of the user's own.
    ///
    /// [`Error::external`] and [`ExternalError::into_lua_err`] make one, [`Error::downcast_ref`] gets the
    /// original back.
    ExternalError(Arc<dyn StdError + Send + Sync>),
    /// Another error with a note on what was being done; see [`ErrorContext`].
    WithContext {
        /// The note.
        context: StdString,
        /// The error it was added to.
        cause: Arc<Error>,
    },
    /// A handle was used after its Lua instance had been closed.
    LuaDestroyed,
    /// A handle was used with an instance that it does not belong to.
    MismatchedLua,
}

impl Error {
    /// Makes a [`RuntimeError`](Error::RuntimeError) with this message.
    pub fn runtime<S: fmt::Display>(message: S) -> Self {
        Error::RuntimeError(message.to_string())
    }

    /// Wraps any error, or a message, as an [`ExternalError`](Error::ExternalError).
    ///
    /// An [`Error`] that is given is wrapped like any other.
    pub fn external<T: Into<BoxedError>>(err: T) -> Self {
        Error::ExternalError(err.into().into())
    }

    /// Returns the user's own error if it is of type `T`.
    ///
    /// Looks into an [`ExternalError`](Error::ExternalError), bare or with one context around it. Every
    /// other error gives `None`: match on a [`CallbackError`](Error::CallbackError) and ask its cause.
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        self.as_external()?.downcast_ref()
    }

    pub(crate) fn from_lua_conversion(
        from: &'static str,
        to: &'static str,
        message: impl Into<Option<StdString>>,
    ) -> Self {
        Error::FromLuaConversionError {
            from,
            to,
            message: message.into(),
        }
    }

    pub(crate) fn bad_self_argument(to: &str, cause: Error) -> Self {
        Error::BadArgument {
            to: Some(to.to_owned()),
            pos: 1,
            name: Some("self".to_owned()),
            cause: Arc::new(cause),
        }
    }

    fn as_external(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        let inner = match self {
            Error::WithContext { cause, .. } => cause,
            other => other,
        };
        match inner {
            Error::ExternalError(err) => Some(&**err),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::SyntaxError { message, .. } => write!(f, "syntax error: {message}"),
            Error::RuntimeError(message) => write!(f, "runtime error: {message}"),
            Error::MemoryError(message) => write!(f, "memory error: {message}"),
            #[cfg(any(feature = "lua53", feature = "lua52"))]
            Error::GarbageCollectorError(message) => {
                write!(f, "garbage collector error: {message}")
            }
            Error::SafetyError(message) => write!(f, "safety error: {message}"),
            Error::BadArgument {
                to,
                pos,
                name,
                cause,
            } => fmt_bad_argument(f, to.as_deref(), *pos, name.as_deref(), cause),
            Error::ToLuaConversionError { from, to, message } => {
                write!(f, "error converting {from} to Lua {to}")?;
                fmt_reason(f, message.as_deref())
            }
            Error::FromLuaConversionError { from, to, message } => {
                write!(f, "error converting Lua {from} to {to}")?;
                fmt_reason(f, message.as_deref())
            }
            Error::MetaMethodRestricted(method) => write!(f, "metamethod {method} is restricted"),
            Error::MetaMethodTypeError {
                method,
                type_name,
                message,
            } => {
                write!(f, "metamethod {method} has unsupported type {type_name}")?;
                fmt_reason(f, message.as_deref())
            }
            Error::CallbackError { traceback, cause } => fmt_callback(f, traceback, cause),
            #[cfg(feature = "serialize")]
            Error::SerializeError(message) => write!(f, "serialize error: {message}"),
            #[cfg(feature = "serialize")]
            Error::DeserializeError(message) => write!(f, "deserialize error: {message}"),
            Error::ExternalError(err) => write!(f, "{err}"),
            Error::WithContext { context, cause } => write!(f, "{context}\n{cause}"),
            Error::MemoryLimitNotAvailable => f.write_str("setting memory limit is not available"),
            Error::RecursiveMutCallback => f.write_str("mutable callback called recursively"),
            Error::CallbackDestructed => {
                f.write_str("a destructed callback or destructed userdata method was called")
            }
            Error::StackError => f.write_str(
                "out of Lua stack, too many arguments to a Lua function \
                 or too many return values from a callback",
            ),
            Error::BindError => f.write_str("too many arguments to Function::bind"),
            Error::CoroutineInactive => f.write_str("cannot resume inactive coroutine"),
            Error::UserDataTypeMismatch => f.write_str("userdata is not expected type"),
            Error::UserDataDestructed => f.write_str("userdata has been destructed"),
            Error::UserDataBorrowError => f.write_str("error borrowing userdata"),
            Error::UserDataBorrowMutError => f.write_str("error mutably borrowing userdata"),
            Error::MismatchedRegistryKey => {
                f.write_str("RegistryKey used from different Lua state")
            }
            Error::PreviouslyResumedPanic => f.write_str("previously resumed panic returned again"),
            Error::LuaDestroyed => f.write_str("Lua instance is destroyed"),
            Error::MismatchedLua => f.write_str("handle used with a different Lua instance"),
        }
    }
}

fn fmt_reason(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    match reason {
        Some(reason) => write!(f, " ({reason})"),
        None => Ok(()),
    }
}

fn fmt_bad_argument(
    f: &mut fmt::Formatter<'_>,
    to: Option<&str>,
    pos: usize,
    name: Option<&str>,
    cause: &Error,
) -> fmt::Result {
    match name {
        Some(name) => write!(f, "bad argument `{name}`")?,
        None => write!(f, "bad argument #{pos}")?,
    }
    if let Some(to) = to {
        write!(f, " to `{to}`")?;
    }
    write!(f, ": {cause}")
}

/// Writes the first cause and the deepest of the nested tracebacks.
///
/// The outermost traceback is usually the tail of the deepest one; where that tail starts, a `>` marks the
/// callback through which the error left Lua last.
fn fmt_callback(f: &mut fmt::Formatter<'_>, outermost: &str, cause: &Error) -> fmt::Result {
    let (mut deepest, mut first) = (None, cause);
    while let Error::CallbackError { traceback, cause } = first {
        (deepest, first) = (Some(traceback.trim_end()), cause);
    }
    writeln!(f, "{first}")?;

    let Some(deepest) = deepest else {
        return writeln!(f, "{}", outermost.trim_end());
    };
    let tail = outermost.trim_start_matches("stack traceback:").trim();
    match deepest.find(tail) {
        Some(at) => writeln!(f, "{}>{}", &deepest[..at], &deepest[at..]),
        None => writeln!(f, "{deepest}"),
    }
}

impl StdError for Error {
    /// Returns the source of the user's own error, where [`Error::downcast_ref`] would look for it.
    ///
    /// The causes of the other variants are part of the displayed text, so they are not sources too.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.as_external()?.source()
    }
}

impl From<std::io::Error> for Error {
    fn from(err: std::io::Error) -> Self {
        Error::external(err)
    }
}

impl From<AddrParseError> for Error {
    fn from(err: AddrParseError) -> Self {
        Error::external(err)
    }
}

impl From<Utf8Error> for Error {
    fn from(err: Utf8Error) -> Self {
        Error::external(err)
    }
}

#[cfg(feature = "serialize")]
impl ::serde::ser::Error for Error {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Error::SerializeError(msg.to_string())
    }
}

#[cfg(feature = "serialize")]
impl ::serde::de::Error for Error {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Error::DeserializeError(msg.to_string())
    }
}

/// Turns an error of any kind, or a message, into an [`Error`].
///
/// # Examples
///
/// ```
/// use mlua::ExternalError;
///
/// let error = "out of tea".into_lua_err();
/// assert_eq!(error.to_string(), "out of tea");
/// ```
pub trait ExternalError {
    /// Wraps `self` as an [`ExternalError`](Error::ExternalError).
    fn into_lua_err(self) -> Error;
}

impl<E: Into<BoxedError>> ExternalError for E {
    fn into_lua_err(self) -> Error {
        Error::external(self)
    }
}

/// Turns the error of a [`Result`](std::result::Result) into an [`Error`], ready for `?` in a callback.
///
/// # Examples
///
/// ```
/// use mlua::{ExternalResult, Result};
///
/// fn port(text: &str) -> Result<u16> {
///     text.parse().into_lua_err()
/// }
/// assert!(port("80").is_ok());
/// assert_eq!(port("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
pub trait ExternalResult<T> {
    /// Leaves a value as it is and wraps an error as an [`ExternalError`](Error::ExternalError).
    ///
    /// # Errors
    ///
    /// The wrapped error, if `self` is one.
    fn into_lua_err(self) -> Result<T>;
}

impl<T, E: ExternalError> ExternalResult<T> for StdResult<T, E> {
    fn into_lua_err(self) -> Result<T> {
        self.map_err(ExternalError::into_lua_err)
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Error {}
    impl<T> Sealed for super::Result<T> {}
}

/// Adds a note to an [`Error`], or to the error of a [`Result`].
///
/// An error has one note: a new one takes the place of the one that is there. An error that came through a
/// callback in between keeps the inner note.
///
/// # Examples
///
/// ```
/// use mlua::{Error, ErrorContext, Result};
///
/// let result: Result<()> = Err(Error::runtime("no such file"));
/// let error = result.context("while loading the settings").unwrap_err();
/// assert_eq!(error.to_string(), "while loading the settings\nruntime error: no such file");
/// ```
pub trait ErrorContext: sealed::Sealed {
    /// Adds `context`, which is displayed on the line above the error.
    fn context<C: fmt::Display>(self, context: C) -> Self;

    /// Adds what `f` makes of the error; for a result, `f` is called only if there is an error.
    fn with_context<C: fmt::Display>(self, f: impl FnOnce(&Error) -> C) -> Self;
}

impl ErrorContext for Error {
    fn context<C: fmt::Display>(self, context: C) -> Self {
        let context = context.to_string();
        match self {
            Error::WithContext { cause, .. } => Error::WithContext { context, cause },
            other => Error::WithContext {
                context,
                cause: Arc::new(other),
            },
        }
    }

    fn with_context<C: fmt::Display>(self, f: impl FnOnce(&Error) -> C) -> Self {
        let context = f(&self);
        self.context(context)
    }
}

impl<T> ErrorContext for Result<T> {
    fn context<C: fmt::Display>(self, context: C) -> Self {
        self.map_err(|err| err.context(context))
    }

    fn with_context<C: fmt::Display>(self, f: impl FnOnce(&Error) -> C) -> Self {
        self.map_err(|err| err.with_context(f))
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn conversion_errors_take_a_message_or_none() {
        let silent = Error::from_lua_conversion("nil", "u8", None);
        assert_eq!(silent.to_string(), "error converting Lua nil to u8");
        let wordy = Error::from_lua_conversion("nil", "u8", "why".to_owned());
        assert_eq!(wordy.to_string(), "error converting Lua nil to u8 (why)");
    }

    #[test]
    fn bad_self_argument_is_the_first_and_has_a_name() {
        let error = Error::bad_self_argument("Type.method", Error::UserDataTypeMismatch);
        assert_eq!(
            error.to_string(),
            "bad argument `self` to `Type.method`: userdata is not expected type"
        );
        assert!(matches!(error, Error::BadArgument { pos: 1, .. }));
    }
}
