//! Data of the application that an instance carries.

use std::any::{Any, TypeId};
use std::cell::{Cell, Ref, RefCell, RefMut, UnsafeCell};
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};

use rustc_hash::FxHashMap;

use crate::call::failure::contain;
use crate::state::Entered;
use crate::types::MaybeSend;
use crate::Lua;

type Map = FxHashMap<TypeId, Box<dyn Any>>;

/// One value for each type.
///
/// Each box holds a `RefCell<T>` for the `T` of its key. The map changes only while `borrows` is zero, and is never
/// referred to while code of the user runs, but through the boxes, which stay where they are.
#[derive(Default)]
pub(crate) struct AppData {
    map: UnsafeCell<Map>,
    /// How many [`AppDataRef`] and [`AppDataRefMut`] there are.
    borrows: Cell<usize>,
}

impl AppData {
    fn insert<T: 'static>(&self, data: T) -> Result<Option<T>, T> {
        if self.borrows.get() > 0 {
            return Err(data);
        }
        let data = Box::new(RefCell::new(data));
        // SAFETY: nothing refers to the map, and comparing type ids runs no code of the user.
        let old = unsafe { (*self.map.get()).insert(TypeId::of::<T>(), data) };
        Ok(old.map(unwrap))
    }

    fn remove<T: 'static>(&self) -> Option<T> {
        assert!(self.borrows.get() == 0, "{BORROWED}");
        // SAFETY: as in `insert`.
        let old = unsafe { (*self.map.get()).remove(&TypeId::of::<T>()) };
        old.map(unwrap)
    }

    /// The cell of `T`, which stays where it is as long as a borrow is counted.
    fn cell<T: 'static>(&self) -> Option<&RefCell<T>> {
        // SAFETY: nothing changes the map while we look.
        let cell = unsafe { (*self.map.get()).get(&TypeId::of::<T>())? };
        Some(cell.downcast_ref().expect("keyed by its type"))
    }

    /// Drops everything: the VM is gone.
    pub(crate) fn clear(&self) {
        // SAFETY: nothing refers to the map but the borrows that are counted.
        let map = mem::take(unsafe { &mut *self.map.get() });
        if self.borrows.get() > 0 {
            // A finalizer let a borrow escape while the VM was closed: what is borrowed stays.
            mem::forget(map);
            return;
        }
        for data in map.into_values() {
            contain(|| drop(data));
        }
    }
}

fn unwrap<T: 'static>(data: Box<dyn Any>) -> T {
    let cell: Box<RefCell<T>> = data.downcast().expect("keyed by its type");
    cell.into_inner()
}

const BORROWED: &str = "cannot mutably borrow app data container";

impl Lua {
    /// Gives the instance a value to carry, one of each type. Returns the one it had before.
    ///
    /// # Panics
    ///
    /// Panics while app data of any type is borrowed; see [`Lua::try_set_app_data`].
    ///
    /// # Examples
    ///
    /// ```
    /// use mlua::Lua;
    ///
    /// struct Hits(u32);
    ///
    /// let lua = Lua::new();
    /// lua.set_app_data(Hits(0));
    /// lua.app_data_mut::<Hits>().unwrap().0 += 1;
    /// assert_eq!(lua.app_data_ref::<Hits>().unwrap().0, 1);
    /// ```
    #[track_caller]
    pub fn set_app_data<T: 'static + MaybeSend>(&self, data: T) -> Option<T> {
        match self.try_set_app_data(data) {
            Ok(old) => old,
            Err(_) => panic!("{BORROWED}"),
        }
    }

    /// As [`Lua::set_app_data`], but returns `data` as an error while app data of any type is borrowed.
    ///
    /// # Errors
    ///
    /// `data` itself.
    pub fn try_set_app_data<T: 'static + MaybeSend>(&self, data: T) -> Result<Option<T>, T> {
        let _entered = self.enter();
        self.inner().app_data.insert(data)
    }

    /// Borrows the app data of type `T`, if there is some.
    ///
    /// The instance stays open as long as the borrow lives.
    ///
    /// # Panics
    ///
    /// Panics if it is borrowed mutably.
    #[track_caller]
    pub fn app_data_ref<T: 'static>(&self) -> Option<AppDataRef<'_, T>> {
        let borrow = Borrow::new(self);
        let data = self.inner().app_data.cell()?.borrow();
        Some(AppDataRef {
            data,
            _borrow: borrow,
        })
    }

    /// Borrows the app data of type `T` mutably, if there is some.
    ///
    /// The instance stays open as long as the borrow lives.
    ///
    /// # Panics
    ///
    /// Panics if it is borrowed already.
    #[track_caller]
    pub fn app_data_mut<T: 'static>(&self) -> Option<AppDataRefMut<'_, T>> {
        let borrow = Borrow::new(self);
        let data = self.inner().app_data.cell()?.borrow_mut();
        Some(AppDataRefMut {
            data,
            _borrow: borrow,
        })
    }

    /// Takes the app data of type `T` out of the instance.
    ///
    /// # Panics
    ///
    /// Panics while app data of any type is borrowed.
    #[track_caller]
    pub fn remove_app_data<T: 'static>(&self) -> Option<T> {
        let _entered = self.enter();
        self.inner().app_data.remove()
    }
}

/// Counts a borrow and keeps the instance open.
struct Borrow<'a> {
    lua: &'a Lua,
    _entered: Entered<'a>,
}

impl<'a> Borrow<'a> {
    #[track_caller]
    fn new(lua: &'a Lua) -> Borrow<'a> {
        let entered = lua.enter();
        let borrows = &lua.inner().app_data.borrows;
        borrows.set(borrows.get() + 1);
        Borrow {
            lua,
            _entered: entered,
        }
    }
}

impl Drop for Borrow<'_> {
    fn drop(&mut self) {
        let borrows = &self.lua.inner().app_data.borrows;
        borrows.set(borrows.get() - 1);
    }
}

/// A borrow of app data: see [`Lua::app_data_ref`].
pub struct AppDataRef<'a, T: ?Sized + 'a> {
    // Dropped first.
    data: Ref<'a, T>,
    _borrow: Borrow<'a>,
}

impl<T: ?Sized> Deref for AppDataRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for AppDataRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for AppDataRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A mutable borrow of app data: see [`Lua::app_data_mut`].
pub struct AppDataRefMut<'a, T: ?Sized + 'a> {
    // Dropped first.
    data: RefMut<'a, T>,
    _borrow: Borrow<'a>,
}

impl<T: ?Sized> Deref for AppDataRefMut<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

impl<T: ?Sized> DerefMut for AppDataRefMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.data
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for AppDataRefMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for AppDataRefMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
