//! Async: Rust futures behind Lua functions, Lua coroutines as Rust futures.
//!
//! An async function is a C function ([`task`]). It makes the future and polls it at once; a future that is ready returns
//! like any other function, without a coroutine. One that is pending goes into a *cell* on the stack of the coroutine, which
//! yields [`POLL_PENDING`] and polls again when it is resumed. Who resumes it is an [`AsyncThread`] ([`thread`]), which is
//! polled by an executor and lends its waker for as long as it runs Lua, or any Lua code that knows the coroutine.
//!
//! Yielding with a continuation is what Lua 5.2 and later can do. For the others [`task::leave`] is the place where a loop
//! on the Lua side would come in; nothing else knows how a function waits.
//!
//! Invariants:
//!
//! * A1. *What a future may hold.* The future of an async function is bounded by the `'lua` of its function, yet it lies in
//!   Lua and may be dropped after `'lua` has ended: when its coroutine is collected, at the latest when the VM is closed.
//!   The closure that makes it is `'static`, and so can put nothing into it that ends with `'lua` but what it is handed: the
//!   `&'lua Lua` and what is made of that. These are the block (invariant I2 of `LuaInner`, which outlives the VM and so
//!   everything in it), proxies and guards (which count the instance and own what they point to). All of them are good as
//!   long as the VM is, and so until the future is dropped.
//! * A2. *Where a future is.* It is in a box of its own from before its first poll until it is dropped, so it does not move.
//!   While it is polled the box is in the frame that polls it, not in the cell: nobody can drop it or poll it again then.
//! * A3. *What a method's future borrows.* The guard of the borrow is kept next to the future and dropped after it. The
//!   userdata is the user value of the cell: if both are collected together, the finalizer of the cell finds it intact. A
//!   value that a scope only lends is refused, since it would have to outlast the scope.
//! * A4. *What keeps an instance open.* A pending future holds proxies, and so would keep its own instance open for ever if
//!   nobody polls it any more. So all pending futures are dropped when the last owner of the instance is gone and no
//!   `AsyncThread` is left that was made outside of them, and none becomes pending after that: there is nobody to wait.
//!   [`instance`] counts both. To drop a pending future is always allowed: its function then fails when it is resumed.
//! * A5. *Threads.* Futures are not `Send`, but with the feature `send` the instance is. A pending future remembers its
//!   thread; on any other it is neither polled nor dropped, but leaked, and the instance with it if it holds proxies.

mod function;
pub(crate) mod instance;
pub(crate) mod task;
pub(crate) mod thread;

pub(crate) use function::call_boxed;
pub(crate) use futures_util::future::LocalBoxFuture;
pub use thread::AsyncThread;

use std::os::raw::c_void;

use crate::value::LightUserData;
use crate::Lua;

/// What a coroutine yields while its future is pending: this address.
static POLL_PENDING: u8 = 0;

fn pending_mark() -> *mut c_void {
    &POLL_PENDING as *const u8 as *mut c_void
}

impl Lua {
    /// What a coroutine yields while an async function in it is pending.
    ///
    /// Lua code that resumes coroutines itself can yield it on, so that they are resumed when there is something to do.
    #[doc(hidden)]
    pub fn poll_pending() -> LightUserData {
        LightUserData(pending_mark())
    }
}
