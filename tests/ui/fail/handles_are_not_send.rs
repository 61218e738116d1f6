//! Without the feature `send` nothing that counts on an instance leaves its thread.
use mlua::{Lua, OwnedAnyUserData, OwnedFunction, OwnedString, OwnedTable, OwnedThread, OwnedValue, WeakLua};

fn sent<T: Send>() {}
fn shared<T: Sync>() {}

fn main() {
    sent::<Lua>();
    sent::<WeakLua>();
    sent::<OwnedTable>();
    sent::<OwnedFunction>();
    sent::<OwnedString>();
    sent::<OwnedThread>();
    sent::<OwnedAnyUserData>();
    sent::<OwnedValue>();
    shared::<Lua>();
    shared::<WeakLua>();
    shared::<OwnedTable>();
    shared::<OwnedValue>();
}
