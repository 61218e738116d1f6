//! The module finds Lua in this program.
fn main() {
    println!("cargo::rustc-link-arg-bins=-rdynamic");
}
