//! App data is `'static`: a handle can be there, a proxy cannot.
use mlua::Lua;

fn main() {
    let lua = Lua::new();
    lua.set_app_data(lua.globals());
}
