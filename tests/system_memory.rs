//! What happens when the system itself has no memory, and no limit is set.

#![cfg(unix)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{Error, Lua, Result};

/// The system's allocator, that refuses blocks of more than [`MOST`] bytes.
struct Stingy;

static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

// SAFETY: blocks are those of the system's allocator.
unsafe impl GlobalAlloc for Stingy {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > MOST.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Stingy = Stingy;

const LARGE: usize = 1 << 20;
const ROLE: &str = "MLUA_TEST_TABLE_WITHOUT_MEMORY";

// One test, since the allocator is that of all threads.
#[test]
fn without_memory_protected_code_gets_an_error_and_the_rest_ends_the_process() -> Result<()> {
    if std::env::var_os(ROLE).is_some() {
        unreachable!("{:?}", grow_a_table());
    }
    a_large_block_is_refused_with_an_error()?;
    if cfg!(all(feature = "luajit", not(feature = "vendored"))) {
        return Ok(()); // it may insist on its own allocator
    }
    let me = std::env::current_exe().unwrap();
    let child = Command::new(me).env(ROLE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(text.contains("memory allocation of"), "{text}");
    const SIGABRT: i32 = 6;
    assert_eq!(child.status.signal(), Some(SIGABRT));
    Ok(())
}

fn a_large_block_is_refused_with_an_error() -> Result<()> {
    let lua = Lua::new();
    let text = vec![b'x'; 2 * LARGE];
    MOST.store(LARGE, Ordering::Relaxed);
    let outcomes = [
        lua.load("return #string.rep('x', 2^22)").exec(),
        lua.load("local t = {} for i = 1, 2^20 do t[i] = i end")
            .exec(),
        lua.create_string(&text).map(drop),
        lua.create_table_with_capacity(LARGE, 0).map(drop),
    ];
    MOST.store(usize::MAX, Ordering::Relaxed);
    for outcome in outcomes {
        match outcome {
            Err(Error::MemoryError(_)) => {}
            // Of its buffers for strings, Lua 5.3 says so in an error of its own.
            Err(Error::RuntimeError(text)) if cfg!(feature = "lua53") => {
                assert!(text.contains("not enough memory for buffer"), "{text}")
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    assert_eq!(lua.load("return 1 + 1").eval::<i64>()?, 2);
    Ok(())
}

/// A table that Rust fills, as a `Vec` that Rust fills.
fn grow_a_table() -> Result<()> {
    let lua = Lua::new();
    let table = lua.create_table().unwrap();
    // In a callback, where an error would have somewhere to go: over the frames below.
    let fill = lua
        .create_function(move |lua, ()| {
            let kept = vec![String::from("on the way")];
            let table: mlua::Table = lua.globals().get("table_to_fill")?;
            MOST.store(LARGE, Ordering::Relaxed);
            for i in 1..=LARGE {
                table.set(i, i)?;
            }
            drop(kept);
            Ok(())
        })
        .unwrap();
    lua.globals().set("table_to_fill", table).unwrap();
    let outcome = fill.call(());
    MOST.store(usize::MAX, Ordering::Relaxed);
    outcome
}
