//! The texts, sources and conversions of `Error`, as mlua 0.9.9 has them.

use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use mlua::{Error, ErrorContext, ExternalError, ExternalResult};

#[derive(Debug)]
struct Plain;

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("plain")
    }
}

impl StdError for Plain {}

#[derive(Debug)]
struct Outer(Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("outer")
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

fn boom() -> Error {
    Error::RuntimeError("boom".into())
}

fn callback(traceback: &str, cause: Error) -> Error {
    Error::CallbackError {
        traceback: traceback.into(),
        cause: Arc::new(cause),
    }
}

fn context(context: &str, cause: Error) -> Error {
    Error::WithContext {
        context: context.into(),
        cause: Arc::new(cause),
    }
}

fn bad_argument(to: Option<&str>, pos: usize, name: Option<&str>, cause: Error) -> Error {
    Error::BadArgument {
        to: to.map(Into::into),
        pos,
        name: name.map(Into::into),
        cause: Arc::new(cause),
    }
}

fn check(table: &[(Error, &str)]) {
    for (error, text) in table {
        assert_eq!(error.to_string(), *text, "{error:?}");
        let padded = format!("{error:>200.3}");
        assert_eq!(padded, *text, "width and precision change nothing");
    }
}

#[test]
fn variants_without_data_have_fixed_texts() {
    check(&[
        (
            Error::MemoryLimitNotAvailable,
            "setting memory limit is not available",
        ),
        (
            Error::RecursiveMutCallback,
            "mutable callback called recursively",
        ),
        (
            Error::CallbackDestructed,
            "a destructed callback or destructed userdata method was called",
        ),
        (
            Error::StackError,
            "out of Lua stack, too many arguments to a Lua function or too many return values from a callback",
        ),
        (Error::BindError, "too many arguments to Function::bind"),
        (Error::CoroutineInactive, "cannot resume inactive coroutine"),
        (Error::UserDataTypeMismatch, "userdata is not expected type"),
        (Error::UserDataDestructed, "userdata has been destructed"),
        (Error::UserDataBorrowError, "error borrowing userdata"),
        (Error::UserDataBorrowMutError, "error mutably borrowing userdata"),
        (
            Error::MismatchedRegistryKey,
            "RegistryKey used from different Lua state",
        ),
        (
            Error::PreviouslyResumedPanic,
            "previously resumed panic returned again",
        ),
        (Error::LuaDestroyed, "Lua instance is destroyed"),
        (
            Error::MismatchedLua,
            "handle used with a different Lua instance",
        ),
    ]);
}

#[test]
fn messages_follow_their_kind() {
    for incomplete_input in [true, false] {
        let message = "near x".into();
        check(&[(
            Error::SyntaxError {
                message,
                incomplete_input,
            },
            "syntax error: near x",
        )]);
    }
    check(&[
        (boom(), "runtime error: boom"),
        (Error::runtime(42), "runtime error: 42"),
        (Error::runtime(""), "runtime error: "),
        (Error::MemoryError("m".into()), "memory error: m"),
        (Error::SafetyError("m".into()), "safety error: m"),
        (
            Error::MetaMethodRestricted("__gc".into()),
            "metamethod __gc is restricted",
        ),
        #[cfg(any(feature = "lua53", feature = "lua52"))]
        (
            Error::GarbageCollectorError("m".into()),
            "garbage collector error: m",
        ),
        #[cfg(feature = "serialize")]
        (Error::SerializeError("s".into()), "serialize error: s"),
        #[cfg(feature = "serialize")]
        (Error::DeserializeError("d".into()), "deserialize error: d"),
    ]);
}

#[test]
fn a_bad_argument_is_named_or_numbered() {
    check(&[
        (
            bad_argument(None, 0, None, boom()),
            "bad argument #0: runtime error: boom",
        ),
        (
            bad_argument(None, 7, None, boom()),
            "bad argument #7: runtime error: boom",
        ),
        (
            bad_argument(None, 7, Some("n"), boom()),
            "bad argument `n`: runtime error: boom",
        ),
        (
            bad_argument(Some("f"), 7, None, boom()),
            "bad argument #7 to `f`: runtime error: boom",
        ),
        (
            bad_argument(Some("f"), 7, Some("n"), boom()),
            "bad argument `n` to `f`: runtime error: boom",
        ),
        (
            bad_argument(Some("f"), 7, Some(""), boom()),
            "bad argument `` to `f`: runtime error: boom",
        ),
        (
            bad_argument(
                None,
                1,
                None,
                bad_argument(Some("g"), 2, None, callback("stack", boom())),
            ),
            "bad argument #1: bad argument #2 to `g`: runtime error: boom\nstack\n",
        ),
    ]);
}

#[test]
fn conversion_errors_give_their_reason_in_brackets() {
    let cases = [(None, ""), (Some("why"), " (why)"), (Some(""), " ()")];
    for (message, suffix) in cases {
        let message = message.map(String::from);
        let to = Error::ToLuaConversionError {
            from: "F",
            to: "T",
            message: message.clone(),
        };
        let from = Error::FromLuaConversionError {
            from: "F",
            to: "T",
            message: message.clone(),
        };
        let metamethod = Error::MetaMethodTypeError {
            method: "__index".into(),
            type_name: "nil",
            message,
        };
        check(&[
            (to, &format!("error converting F to Lua T{suffix}")),
            (from, &format!("error converting Lua F to T{suffix}")),
            (
                metamethod,
                &format!("metamethod __index has unsupported type nil{suffix}"),
            ),
        ]);
    }
}

#[test]
fn a_callback_error_shows_its_cause_and_then_the_traceback() {
    check(&[
        (callback("", boom()), "runtime error: boom\n\n"),
        (
            callback("stack traceback:\n\t[C]: in f", boom()),
            "runtime error: boom\nstack traceback:\n\t[C]: in f\n",
        ),
        (
            callback("  trailing \n\n", boom()),
            "runtime error: boom\n  trailing\n",
        ),
        (
            callback("\n\nlead", boom()),
            "runtime error: boom\n\n\nlead\n",
        ),
        (
            callback("A", Error::runtime("l1\nl2\n")),
            "runtime error: l1\nl2\n\nA\n",
        ),
        (
            callback("A", context("c", boom())),
            "c\nruntime error: boom\nA\n",
        ),
        (
            callback("A", context("c", callback("B", boom()))),
            "c\nruntime error: boom\nB\n\nA\n",
        ),
        (
            callback("A", Error::external(callback("B", boom()))),
            "runtime error: boom\nB\n\nA\n",
        ),
        (
            callback("A", bad_argument(Some("f"), 1, None, callback("B", boom()))),
            "bad argument #1 to `f`: runtime error: boom\nB\n\nA\n",
        ),
    ]);
}

/// Tracebacks from the outermost to the deepest, and what is shown below the cause.
const NESTED_TRACEBACKS: &[(&[&str], &str)] = &[
    (&["A", "B"], "B\n"),
    (&["A\nB\nC", "B\nC"], "B\nC\n"),
    (&["B\nC", "A\nB\nC"], "A\n>B\nC\n"),
    (&["A\nX", "A\nX"], ">A\nX\n"),
    (&["", "B"], ">B\n"),
    (&["A", ""], "\n"),
    (&["", ""], ">\n"),
    (&["A\n", "B\n"], "B\n"),
    (&["B\nC", "X\nB\nY\nB\nC"], "X\nB\nY\n>B\nC\n"),
    (&["B\nZ", "A\nB\nC"], "A\nB\nC\n"),
    (&["B", "A\nB\nX B"], "A\n>B\nX B\n"),
    (&["B", "B\nB\nB"], ">B\nB\nB\n"),
    (&["B\nC", "AB\nC"], "A>B\nC\n"),
    (&["\tB", "A\n  B"], "A\n  >B\n"),
    (&["B ", "\n B\n \n"], "\n >B\n"),
    (&["", "\n\nB"], ">\n\nB\n"),
    (&["\u{a0}B\u{a0}", "A\nB"], "A\n>B\n"),
    (&["B \nC", "A\nB\nC"], "A\nB\nC\n"),
    (
        &["stack traceback:", "stack traceback:\n\tA"],
        ">stack traceback:\n\tA\n",
    ),
    (
        &["stack traceback:\n\tB", "stack traceback:\n\tA\n\tB"],
        "stack traceback:\n\tA\n\t>B\n",
    ),
    (
        &["stack traceback:\n\tA\n\tB", "stack traceback:\n\tB"],
        "stack traceback:\n\tB\n",
    ),
    (
        &[
            "hello\nstack traceback:\n\tB",
            "hello\nstack traceback:\n\tA\n\tB",
        ],
        "hello\nstack traceback:\n\tA\n\tB\n",
    ),
    (&[" stack traceback:\n\tB", "A\n\tB"], "A\n\tB\n"),
    (&["stack traceback:stack traceback:B", "A\nB"], "A\n>B\n"),
    (
        &["stack traceback:\nstack traceback:\n\tB", "A\n\tB"],
        "A\n\tB\n",
    ),
    (&["D", "C\nD", "B\nC\nD"], "B\nC\n>D\n"),
    (&["D", "X", "B\nC\nD"], "B\nC\n>D\n"),
    (&["X", "D", "B\nC\nD"], "B\nC\nD\n"),
    (&["", "C", "B\nC"], ">B\nC\n"),
    (&["E", "D\nE", "C\nD\nE", "B\nC\nD\nE"], "B\nC\nD\n>E\n"),
];

#[test]
fn nested_callback_errors_show_the_deepest_traceback_and_mark_the_outermost_in_it() {
    for (tracebacks, shown) in NESTED_TRACEBACKS {
        let nest = |cause, traceback: &&str| callback(traceback, cause);
        let error = tracebacks.iter().rev().fold(boom(), nest);
        assert_eq!(
            error.to_string(),
            format!("runtime error: boom\n{shown}"),
            "{tracebacks:?}"
        );
    }
}

#[test]
fn a_context_below_a_callback_ends_the_nesting() {
    let inner = context("c", callback("C", boom()));
    let error = callback("A", callback("B", inner));
    assert_eq!(error.to_string(), "c\nruntime error: boom\nC\n\nB\n");
}

#[test]
fn a_context_stands_on_the_line_above() {
    check(&[
        (context("c", boom()), "c\nruntime error: boom"),
        (context("", boom()), "\nruntime error: boom"),
        (
            context("c", context("d", boom())),
            "c\nd\nruntime error: boom",
        ),
        (
            context("c", callback("A", boom())),
            "c\nruntime error: boom\nA\n",
        ),
    ]);
}

#[test]
fn a_new_context_replaces_the_outermost_one() {
    check(&[
        (boom().context("c"), "c\nruntime error: boom"),
        (boom().context("c").context("d"), "d\nruntime error: boom"),
        (
            boom().context("c").with_context(|e| format!("<{e}>")),
            "<c\nruntime error: boom>\nruntime error: boom",
        ),
        (
            callback("A", boom().context("x")).context("c"),
            "c\nx\nruntime error: boom\nA\n",
        ),
    ]);
}

#[test]
fn results_take_a_context_only_on_error() {
    let failed = || Err::<(), _>(boom());
    let error = failed().context("c").context("d").unwrap_err();
    assert_eq!(error.to_string(), "d\nruntime error: boom");
    let error = failed().with_context(|e| format!("<{e}>")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "<runtime error: boom>\nruntime error: boom"
    );

    let fine: mlua::Result<u8> = Ok(1).with_context(|_| -> &str { unreachable!() });
    assert_eq!(fine.unwrap(), 1);
}

#[test]
fn external_errors_keep_their_own_text() {
    let boxed = || Box::<dyn StdError + Send + Sync>::from(boom());
    check(&[
        (Error::external(Plain), "plain"),
        (Error::external("a text"), "a text"),
        (Error::external(boxed()), "runtime error: boom"),
        (Plain.into_lua_err(), "plain"),
        (String::from("text").into_lua_err(), "text"),
        (std::io::Error::other("io!").into(), "io!"),
        (
            String::from_utf8(vec![0xff])
                .unwrap_err()
                .utf8_error()
                .into(),
            "invalid utf-8 sequence of 1 bytes from index 0",
        ),
        (
            "x".parse::<std::net::IpAddr>().unwrap_err().into(),
            "invalid IP address syntax",
        ),
        (Err::<(), _>("z").into_lua_err().unwrap_err(), "z"),
    ]);
    assert_eq!(Ok::<_, Plain>(1).into_lua_err().unwrap(), 1);
}

#[test]
fn an_error_made_external_is_wrapped_not_flattened() {
    let debug = |error: Error| format!("{error:?}");
    let expected = r#"ExternalError(RuntimeError("boom"))"#;
    assert_eq!(debug(boom().into_lua_err()), expected);
    assert_eq!(debug(Error::external(boom())), expected);
    assert_eq!(
        debug(Err::<(), _>(boom()).into_lua_err().unwrap_err()),
        expected
    );
    assert_eq!(
        debug(Error::external(Error::external(Plain))),
        "ExternalError(ExternalError(Plain))"
    );
}

#[test]
fn debug_shows_the_fields_and_looks_through_shared_causes() {
    assert_eq!(
        format!(
            "{:?}",
            bad_argument(None, 1, Some("n"), callback("t", boom()))
        ),
        "BadArgument { to: None, pos: 1, name: Some(\"n\"), \
         cause: CallbackError { traceback: \"t\", cause: RuntimeError(\"boom\") } }"
    );
    assert_eq!(
        format!("{:#?}", context("c", Error::external(Plain))),
        "WithContext {\n    context: \"c\",\n    cause: ExternalError(\n        Plain,\n    ),\n}"
    );
}

#[test]
fn only_external_errors_have_a_source() {
    let outer = || Error::external(Outer(boom()));
    let boom_text = Some("runtime error: boom".to_owned());
    let source = |error: Error| error.source().map(ToString::to_string);
    assert_eq!(source(outer()), boom_text);
    assert_eq!(source(context("c", outer())), boom_text);
    assert_eq!(source(Error::external(outer())), boom_text);
    assert_eq!(source(Error::external(context("c", outer()))), boom_text);

    for error in [
        boom(),
        Error::external(Plain),
        context("c", boom()),
        context("c", context("d", outer())),
        callback("t", outer()),
        context("c", callback("t", outer())),
        bad_argument(None, 1, None, outer()),
    ] {
        assert!(error.source().is_none(), "{error:?}");
    }
}

#[test]
fn downcast_looks_into_an_external_error_and_one_context() {
    let plain = || Error::external(Plain);
    assert!(plain().downcast_ref::<Plain>().is_some());
    assert!(context("c", plain()).downcast_ref::<Plain>().is_some());
    assert!(Error::external(plain()).downcast_ref::<Error>().is_some());
    let io = Error::from(std::io::Error::other(Plain));
    assert!(io.downcast_ref::<std::io::Error>().is_some());

    for error in [
        boom(),
        io,
        Error::external(plain()),
        callback("t", plain()),
        context("c", context("d", plain())),
        context("c", callback("t", plain())),
        callback("t", context("c", plain())),
        bad_argument(None, 1, None, plain()),
    ] {
        assert!(error.downcast_ref::<Plain>().is_none(), "{error:?}");
    }
}

#[test]
fn clones_share_their_causes() {
    let error = context("c", boom());
    let (Error::WithContext { cause: a, .. }, Error::WithContext { cause: b, .. }) =
        (&error, &error.clone())
    else {
        unreachable!()
    };
    assert!(Arc::ptr_eq(a, b));
}

#[cfg(feature = "serialize")]
#[test]
fn serde_makes_its_own_kinds() {
    use serde::{de, ser};
    check(&[
        (ser::Error::custom("ss"), "serialize error: ss"),
        (de::Error::custom("dd"), "deserialize error: dd"),
        (
            de::Error::missing_field("ff"),
            "deserialize error: missing field `ff`",
        ),
    ]);
}

struct Probe<T>(PhantomData<T>);

impl<T: UnwindSafe> Probe<T> {
    const UNWIND_SAFE: bool = true;
}

impl<T: RefUnwindSafe> Probe<T> {
    const REF_UNWIND_SAFE: bool = true;
}

trait Otherwise {
    const UNWIND_SAFE: bool = false;
    const REF_UNWIND_SAFE: bool = false;
}

impl<T> Otherwise for Probe<T> {}

#[test]
fn errors_cross_threads_but_are_not_unwind_safe() {
    fn crosses<T: Send + Sync + Unpin + 'static>() {}
    crosses::<Error>();

    const { assert!(Probe::<Plain>::UNWIND_SAFE && Probe::<Plain>::REF_UNWIND_SAFE) };
    const { assert!(!Probe::<Error>::UNWIND_SAFE && !Probe::<Error>::REF_UNWIND_SAFE) };
}
