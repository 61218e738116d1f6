//! A handle goes where a proxy cannot: a `'static` closure, a userdata, app data, a thread-local.
use mlua::{Lua, OwnedFunction, OwnedTable, Result, UserData};
use std::cell::RefCell;

thread_local!(static KEPT: RefCell<Option<OwnedFunction>> = const { RefCell::new(None) });

struct Keeps(OwnedTable);
impl UserData for Keeps {}

fn main() -> Result<()> {
    let lua = Lua::new();
    let handle = lua.globals().into_owned();
    lua.set_app_data(handle.clone());
    lua.globals().set("keeps", Keeps(handle.clone()))?;
    KEPT.set(Some(handle.get("print")?));
    let function = lua.create_function(move |_, ()| Ok(handle.is_alive()))?;
    assert!(function.call::<_, bool>(())?);
    let keeps = lua.app_data_ref::<OwnedTable>().unwrap();
    let kept: mlua::AnyUserData = keeps.get("keeps")?;
    assert!(kept.borrow::<Keeps>()?.0.is_alive());
    Ok(())
}
