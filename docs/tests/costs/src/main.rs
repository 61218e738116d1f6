//! What it costs to keep a Lua function in Rust, by each of the ways in `docs/src/which.md`. See `docs/pictures/measure`.
//!
//! `guide-costs calls WAY N` calls N functions that were kept so, one after the other, N times in all.
//! `guide-costs makes WAY N` keeps a function and lets go of it, N times.
//! `guide-costs memory WAY N` prints how many bytes each of N functions takes with what keeps it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::hint::black_box;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicIsize, Ordering};

use mlua::{Error, Function, Lua, OwnedFunction, RegistryKey, Result};

/// The system's allocator, which counts what is in use. Lua allocates through it, too.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static IN_USE: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    IN_USE.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// A way to keep functions; the number that `keep` returns is what calls and drops one.
trait Way: Sized {
    fn new(lua: &Rc<Lua>, room: usize) -> Self;
    fn keep(&mut self, lua: &Rc<Lua>, function: Function) -> Result<u32>;
    fn call(&self, lua: &Rc<Lua>, id: u32, n: i64) -> Result<i64>;
    fn let_go(&mut self, lua: &Rc<Lua>, id: u32) -> Result<()>;
}

/// An owned handle, used by its shortcut.
struct Handle(Vec<OwnedFunction>);

impl Way for Handle {
    fn new(_: &Rc<Lua>, room: usize) -> Self {
        Handle(Vec::with_capacity(room))
    }

    fn keep(&mut self, _: &Rc<Lua>, function: Function) -> Result<u32> {
        self.0.push(function.into_owned());
        Ok(self.0.len() as u32 - 1)
    }

    fn call(&self, _: &Rc<Lua>, id: u32, n: i64) -> Result<i64> {
        self.0[id as usize].call(n)
    }

    fn let_go(&mut self, _: &Rc<Lua>, _: u32) -> Result<()> {
        self.0.pop();
        Ok(())
    }
}

/// A registry key and a weak reference to the instance.
struct WeakAndKey(Vec<(Weak<Lua>, RegistryKey)>);

impl Way for WeakAndKey {
    fn new(_: &Rc<Lua>, room: usize) -> Self {
        WeakAndKey(Vec::with_capacity(room))
    }

    fn keep(&mut self, lua: &Rc<Lua>, function: Function) -> Result<u32> {
        let key = lua.create_registry_value(function)?;
        self.0.push((Rc::downgrade(lua), key));
        Ok(self.0.len() as u32 - 1)
    }

    fn call(&self, _: &Rc<Lua>, id: u32, n: i64) -> Result<i64> {
        let (lua, key) = &self.0[id as usize];
        let lua = lua
            .upgrade()
            .ok_or_else(|| Error::runtime("the instance is gone"))?;
        let function: Function = lua.registry_value(key)?;
        function.call(n)
    }

    fn let_go(&mut self, _: &Rc<Lua>, _: u32) -> Result<()> {
        self.0.pop();
        Ok(())
    }
}

/// A map from ids to registry keys, and the instance at hand.
struct Map {
    last: u32,
    keys: HashMap<u32, RegistryKey>,
}

impl Way for Map {
    fn new(_: &Rc<Lua>, room: usize) -> Self {
        Map {
            last: 0,
            keys: HashMap::with_capacity(room),
        }
    }

    fn keep(&mut self, lua: &Rc<Lua>, function: Function) -> Result<u32> {
        let id = self.last;
        self.last += 1;
        self.keys.insert(id, lua.create_registry_value(function)?);
        Ok(id)
    }

    fn call(&self, lua: &Rc<Lua>, id: u32, n: i64) -> Result<i64> {
        let function: Function = lua.registry_value(&self.keys[&id])?;
        function.call(n)
    }

    fn let_go(&mut self, lua: &Rc<Lua>, id: u32) -> Result<()> {
        match self.keys.remove(&id) {
            Some(key) => lua.remove_registry_value(key),
            None => Ok(()),
        }
    }
}

fn calls<W: Way>(lua: &Rc<Lua>, n: u32) -> Result<()> {
    const KEPT: u32 = 64;
    let mut way = W::new(lua, KEPT as usize);
    for _ in 0..KEPT {
        way.keep(lua, function(lua)?)?;
    }
    for i in 0..n {
        assert_eq!(way.call(lua, black_box(i % KEPT), i.into())?, i.into());
    }
    Ok(())
}

fn makes<W: Way>(lua: &Rc<Lua>, n: u32) -> Result<()> {
    let mut way = W::new(lua, 1);
    let function = function(lua)?;
    for _ in 0..n {
        let id = way.keep(lua, function.clone())?;
        way.let_go(lua, black_box(id))?;
    }
    Ok(())
}

fn memory<W: Way>(lua: &Rc<Lua>, n: u32) -> Result<()> {
    lua.gc_collect()?;
    let make: Function = lua
        .load("local n = 0 return function() return n end")
        .into_function()?;
    let before = IN_USE.load(Ordering::Relaxed);
    let mut way = W::new(lua, n as usize);
    for _ in 0..n {
        way.keep(lua, make.call(())?)?;
    }
    lua.gc_collect()?;
    let bytes = IN_USE.load(Ordering::Relaxed) - before;
    println!("{:.1}", bytes as f64 / f64::from(n));
    Ok(())
}

fn function(lua: &Lua) -> Result<Function<'_>> {
    lua.load("function(n) return n end").eval()
}

fn run<W: Way>(what: &str, n: u32) -> Result<()> {
    let lua = Rc::new(Lua::new());
    match what {
        "calls" => calls::<W>(&lua, n),
        "makes" => makes::<W>(&lua, n),
        "memory" => memory::<W>(&lua, n),
        _ => Err(usage()),
    }
}

fn usage() -> Error {
    Error::runtime("usage: guide-costs calls|makes|memory handle|weak|map N")
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, way, n] = args.as_slice() else {
        return Err(usage());
    };
    let n = n.parse().map_err(|_| usage())?;
    match way.as_str() {
        "handle" => run::<Handle>(what, n),
        "weak" => run::<WeakAndKey>(what, n),
        "map" => run::<Map>(what, n),
        _ => Err(usage()),
    }
}
