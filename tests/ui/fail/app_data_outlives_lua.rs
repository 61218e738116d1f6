//! A borrow of app data ends before its instance.
use mlua::Lua;

fn main() {
    let number;
    {
        let lua = Lua::new();
        lua.set_app_data(5);
        number = lua.app_data_ref::<i32>().unwrap();
    }
    assert_eq!(*number, 5);
}
