//! Programs in `tests/ui/fail` that the borrow checker must refuse, and some in `tests/ui/pass` that it must take.
//!
//! What the compiler says differs a little from version to version, and `*.stderr` is what [`VERSION`] says; with another
//! compiler, or one that instruments the code, this test does nothing. To write the files anew: `TRYBUILD=overwrite`.
#![cfg(all(feature = "lua54", not(feature = "send")))] // the borrow checker knows no engines

use std::env;
use std::process::Command;

const VERSION: &str = "1.95.";

fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("rustc runs");
    String::from_utf8(output.stdout).expect("rustc speaks UTF-8")
}

#[test]
fn no_borrow_escapes() {
    let compiler = compiler();
    let expected = compiler
        .strip_prefix("rustc ")
        .is_some_and(|version| version.starts_with(VERSION));
    let flags = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"]
        .map(|name| env::var(name).unwrap_or_default())
        .concat();
    if !expected || compiler.contains("nightly") || flags.contains("sanitizer") {
        eprintln!(
            "nothing compared: the expected output is that of rustc {VERSION}x, this is {compiler}"
        );
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
