//! The lifetime of a scope is not shortened: then it would take what ends before the scope does.
use mlua::Scope;

fn shorten<'short, 'lua: 'long, 'long: 'short>(scope: &'short Scope<'lua, 'long>) -> &'short Scope<'lua, 'short> {
    scope
}

fn main() {
    let _ = shorten;
}
