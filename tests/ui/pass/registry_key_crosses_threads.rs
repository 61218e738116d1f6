//! A registry key may go to another thread and come back, or be dropped there.
use mlua::{Lua, RegistryKey, Result};
use std::thread;

fn send_and_sync<T: Send + Sync>(_: &T) {}

fn main() -> Result<()> {
    let lua = Lua::new();
    let key: RegistryKey = lua.create_registry_value("kept")?;
    send_and_sync(&key);
    let key = thread::spawn(move || key).join().unwrap();
    assert_eq!(lua.registry_value::<String>(&key)?, "kept");
    thread::spawn(move || drop(key)).join().unwrap();
    lua.expire_registry_values();
    Ok(())
}
