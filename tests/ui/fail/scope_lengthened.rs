//! The lifetime of a scope is not made longer.
use mlua::Scope;

fn lengthen<'short, 'lua: 'long, 'long: 'short>(scope: &'short Scope<'lua, 'short>) -> &'short Scope<'lua, 'long> {
    scope
}

fn main() {
    let _ = lengthen;
}
