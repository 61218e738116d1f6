//! What a hook gets does not outlive the call of the hook.
use mlua::{Debug, HookTriggers, Lua};
use std::cell::RefCell;

thread_local!(static KEPT: RefCell<Option<Debug<'static>>> = const { RefCell::new(None) });

fn main() {
    let lua = Lua::new();
    lua.set_hook(HookTriggers::EVERY_LINE, |_, debug| {
        KEPT.set(Some(debug));
        Ok(())
    });
}
