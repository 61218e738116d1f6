//! An error holds nothing of its instance.
use mlua::{Error, Lua};

fn main() {
    let error: Error = std::thread::spawn(|| Lua::new().load("error('far away')").exec().unwrap_err()).join().unwrap();
    assert!(error.to_string().contains("far away"));
}
