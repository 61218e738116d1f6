//! Data that an instance carries.

use std::panic::{catch_unwind, AssertUnwindSafe};

use mlua::{Lua, Result};

fn panics<R>(f: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

#[test]
fn one_value_of_each_type() {
    let lua = Lua::new();
    assert_eq!(lua.set_app_data(1i32), None);
    assert_eq!(lua.set_app_data("text"), None);
    assert_eq!(lua.set_app_data(2i32), Some(1));
    assert_eq!(lua.try_set_app_data(3i32), Ok(Some(2)));
    *lua.app_data_mut::<i32>().unwrap() += 1;
    assert_eq!(*lua.app_data_ref::<i32>().unwrap(), 4);
    assert!(lua.app_data_ref::<u8>().is_none() && lua.app_data_mut::<u8>().is_none());
    assert_eq!(lua.remove_app_data::<i32>(), Some(4));
    assert_eq!(lua.remove_app_data::<i32>(), None);
    assert_eq!(*lua.app_data_ref::<&str>().unwrap(), "text");
}

#[test]
fn borrows_print_as_what_they_borrow() {
    let lua = Lua::new();
    lua.set_app_data(5u8);
    {
        let five = lua.app_data_ref::<u8>().unwrap();
        assert_eq!(format!("{five} {five:?}"), "5 5");
    }
    let five = lua.app_data_mut::<u8>().unwrap();
    assert_eq!(format!("{five} {five:?}"), "5 5");
}

#[test]
fn while_borrowed_nothing_is_put_in_or_taken_out() {
    let lua = Lua::new();
    lua.set_app_data(1i32);
    let borrow = lua.app_data_ref::<i32>();
    assert!(panics(|| lua.set_app_data(2i32)));
    assert!(panics(|| lua.set_app_data(2u8)));
    assert_eq!(lua.try_set_app_data(2i32), Err(2));
    assert_eq!(lua.try_set_app_data(2u8), Err(2));
    assert!(panics(|| lua.remove_app_data::<i32>()));
    assert!(panics(|| lua.remove_app_data::<u8>()));
    drop(borrow);
    assert_eq!(lua.set_app_data(2i32), Some(1));
}

#[test]
fn borrows_exclude_each_other_as_with_a_ref_cell() {
    let lua = Lua::new();
    lua.set_app_data(1i32);
    lua.set_app_data(1u8);
    {
        let _a = lua.app_data_ref::<i32>();
        let _b = lua.app_data_ref::<i32>();
        assert!(panics(|| drop(lua.app_data_mut::<i32>())));
        drop(lua.app_data_mut::<u8>());
    }
    {
        let _a = lua.app_data_mut::<i32>();
        assert!(panics(|| drop(lua.app_data_ref::<i32>())));
        assert!(panics(|| drop(lua.app_data_mut::<i32>())));
    }
    // The panics left no borrow behind.
    assert_eq!(lua.set_app_data(2i32), Some(1));
}

#[test]
fn callbacks_see_it() -> Result<()> {
    let lua = Lua::new();
    lua.set_app_data(0u32);
    let count = lua.create_function(|lua, ()| {
        *lua.app_data_mut::<u32>().unwrap() += 1;
        Ok(())
    })?;
    lua.load("local count = ... for _ = 1, 10 do count() end")
        .call::<_, ()>(count)?;
    assert_eq!(*lua.app_data_ref::<u32>().unwrap(), 10);
    Ok(())
}

#[cfg(not(feature = "send"))]
mod drops {
    use std::cell::Cell;
    use std::rc::Rc;

    use mlua::Lua;

    struct OnDrop(Rc<Cell<u32>>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn it_is_dropped_once_with_the_instance() {
        let drops = Rc::new(Cell::new(0));
        let lua = Lua::new();
        lua.set_app_data(OnDrop(drops.clone()));
        let old = lua.set_app_data(OnDrop(drops.clone()));
        assert_eq!(drops.get(), 0);
        drop(old);
        assert_eq!(drops.get(), 1);
        drop(lua);
        assert_eq!(drops.get(), 2);
    }

    #[test]
    fn a_destructor_may_use_the_app_data() {
        struct Replaces(&'static Lua, Rc<Cell<u32>>);

        impl Drop for Replaces {
            fn drop(&mut self) {
                self.0.set_app_data(7u8);
                self.1.set(1);
            }
        }

        let drops = Rc::new(Cell::new(0));
        let lua = Lua::new().into_static();
        lua.set_app_data(Replaces(lua, drops.clone()));
        drop(lua.remove_app_data::<Replaces>());
        assert_eq!(drops.get(), 1);
        assert_eq!(lua.remove_app_data::<u8>(), Some(7));
        // SAFETY: nothing borrows from it any more.
        drop(unsafe { Lua::from_static(lua) });
    }

    #[cfg(feature = "weak-owned")]
    #[test]
    fn a_borrow_through_a_handle_keeps_the_instance_open() {
        use mlua::{FromLua, Result, Value};

        /// Lets a conversion keep its `&'lua Lua`.
        struct Keeps<'lua>(&'lua Lua);

        impl<'lua> FromLua<'lua> for Keeps<'lua> {
            fn from_lua(_: Value<'lua>, lua: &'lua Lua) -> Result<Self> {
                Ok(Keeps(lua))
            }
        }

        let drops = Rc::new(Cell::new(0));
        let lua = Lua::new();
        lua.set_app_data(OnDrop(drops.clone()));
        let handle = lua.globals().into_owned();
        let Keeps(view) = handle.upgrade().get("anything").unwrap();
        let borrow = view.app_data_ref::<OnDrop>().unwrap();
        drop(lua);
        assert!(handle.is_alive());
        assert_eq!((drops.get(), borrow.0.get()), (0, 0));
        drop(borrow);
        assert!(!handle.is_alive());
        assert_eq!(drops.get(), 1);
        let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(view.app_data_ref::<OnDrop>())
        }));
        assert!(gone.is_err());
    }
}
