//! [`AsyncThread`]: a coroutine as a future and as a stream.

use std::future::Future;
use std::marker::PhantomData;
use std::os::raw::c_int;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;

use super::{pending_mark, task};
#[cfg(waits_in_lua)]
use crate::call::lua_side::LuaSide;
use crate::call::new_thread;
use crate::call::protect::resume;
use crate::engine;
use crate::error::{Error, Result};
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::stack::{ensure, Held};
#[cfg(any(lua_ge_54, feature = "luau"))]
use crate::thread::close;
use crate::thread::{is_active, pop_thread_error, take_results, Thread, ThreadStatus};
use crate::value::{wanted, FromLuaMulti, IntoLuaMulti, MultiValue};
use crate::Lua;

/// A coroutine that runs when it is polled: see [`Thread::into_async`].
///
/// As a future it ends with what the coroutine returns; what it yields before is lost. As a stream it gives what the
/// coroutine yields, each time, and then what it returns.
#[must_use = "a coroutine does nothing unless it is polled"]
pub struct AsyncThread<'lua, R> {
    thread: Thread<'lua>,
    /// The state of `thread`, which stays where it is as long as `thread` is kept.
    state: *mut engine::lua_State,
    /// What the coroutine is still to be given, beside what lies on its stack.
    args: Option<Box<Result<MultiValue<'lua>>>>,
    /// Nobody else has been given the coroutine: it ends with this, and is used again.
    is_own: bool,
    /// Counted as a driver.
    is_outside: bool,
    _results: PhantomData<R>,
}

/// What a coroutine has done when it comes back.
enum Step {
    Pending,
    Yielded(c_int),
    Returned(c_int),
}

impl<'lua> Thread<'lua> {
    /// Turns the coroutine into a future and stream, which resumes it when it is polled, at first with `args`.
    ///
    /// While an async function in it is pending, so is the future. What the coroutine yields are the items of the stream,
    /// and what it returns is the last item; as a future it has no use for anything but what it returns. Each of these is
    /// converted to `R`.
    ///
    /// If it is dropped the coroutine stays as it is: a clone of it can go on later.
    ///
    /// # Errors
    ///
    /// The future ends with an error if a conversion fails, with the error that ends the coroutine, or with
    /// [`Error::CoroutineInactive`] if it cannot be resumed. A stream gives an error as an item.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures::stream::TryStreamExt;
    /// use mlua::{Lua, Result, Thread};
    ///
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let thread: Thread = lua
    ///     .load("coroutine.create(function(n) for i = 1, n do coroutine.yield(i) end return 0 end)")
    ///     .eval()?;
    /// let numbers = thread.into_async::<_, i64>(3).try_collect::<Vec<_>>();
    /// assert_eq!(futures::executor::block_on(numbers)?, [1, 2, 3, 0]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_async<A, R>(self, args: A) -> AsyncThread<'lua, R>
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua>,
    {
        let lua = self.0.lua();
        let args = lua
            .try_enter()
            .and_then(|_entered| args.into_lua_multi(lua));
        AsyncThread::new(self, Some(Box::new(args)), false)
    }
}

impl<'lua, R> AsyncThread<'lua, R> {
    fn new(
        thread: Thread<'lua>,
        args: Option<Box<Result<MultiValue<'lua>>>>,
        is_own: bool,
    ) -> Self {
        AsyncThread {
            is_outside: thread.0.lua().inner().futures.add_driver(),
            state: thread.thread(),
            thread,
            args,
            is_own,
            _results: PhantomData,
        }
    }

    /// A coroutine of its own that will call `function` with `args`.
    pub(super) fn call<A>(function: &Function<'lua>, args: A) -> Result<Self>
    where
        A: IntoLuaMulti<'lua>,
    {
        let lua = function.0.lua();
        let entered = lua.try_enter()?;
        let state = entered.state;
        // SAFETY: the arguments are held until they are moved. From `coroutine` on, no other code runs before that, and the
        // stack of the coroutine is empty.
        unsafe {
            let nargs = args.push_into_stack_multi(lua)?;
            let mut held = Held::adopt(state, nargs);
            let this = AsyncThread::new(coroutine(lua)?, None, true);
            let thread = this.state;
            ensure(lua.inner(), thread, nargs + 1)?;
            #[cfg(not(waits_in_lua))]
            function.0.push_onto(thread);
            #[cfg(waits_in_lua)]
            {
                lua.reserve_stack()?;
                function.0.push();
                LuaSide::body(lua.inner(), state)?;
                engine::lua_xmove(state, thread, 1);
            }
            engine::lua_xmove(state, thread, nargs);
            held.release(nargs);
            Ok(this)
        }
    }

    /// Resumes the coroutine.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        let lua = self.thread.0.lua();
        let inner = lua.inner();
        let state = inner.try_state()?;
        let thread = self.state;
        // SAFETY: the coroutine can be resumed, and is with as many arguments as lie on its stack. Resuming runs protected,
        // and leaves its results or an error object.
        unsafe {
            if self.thread.status_of(thread) != ThreadStatus::Resumable {
                return Err(Error::CoroutineInactive);
            }
            let nargs = match self.args.take() {
                Some(args) => move_args(lua, (*args)?, thread)?,
                // Not begun: its function and the arguments lie there.
                None if engine::lua_status(thread) == engine::LUA_OK => {
                    engine::lua_gettop(thread) - 1
                }
                None => 0,
            };
            let _lent = inner.futures.lend(cx.waker());
            let mut nresults = 0;
            let status = resume(thread, state, nargs, &mut nresults);
            inner.bury();
            match status {
                engine::LUA_OK => Ok(Step::Returned(nresults)),
                engine::LUA_YIELD => {
                    if nresults == 1 && engine::lua_touserdata(thread, -1) == pending_mark() {
                        engine::lua_pop(thread, 1);
                        #[cfg(feature = "luau")]
                        if !inner.futures.polled.get() {
                            cx.waker().wake_by_ref();
                        }
                        return Ok(Step::Pending);
                    }
                    Ok(Step::Yielded(nresults))
                }
                status => Err(pop_thread_error(state, thread, status)),
            }
        }
    }
}

/// Moves `args` onto the stack of `thread` and returns how many.
///
/// # Safety
///
/// `thread` is a coroutine that can be resumed.
unsafe fn move_args(lua: &Lua, args: MultiValue, thread: *mut engine::lua_State) -> Result<c_int> {
    let state = lua.state();
    // SAFETY: what is pushed is held until it is moved.
    unsafe {
        let nargs = args.push(lua)?;
        let mut held = Held::adopt(state, nargs);
        ensure(lua.inner(), thread, nargs)?;
        engine::lua_xmove(state, thread, nargs);
        held.release(nargs);
        Ok(nargs)
    }
}

/// A coroutine with an empty stack: one that has finished, or a new one.
fn coroutine(lua: &Lua) -> Result<Thread<'_>> {
    let inner = lua.inner();
    // SAFETY: the pool owns a count of the slot, which the proxy takes over; `pop` takes the new thread.
    unsafe {
        while let Some(slot) = inner.futures.coroutines.take() {
            let thread = Thread(Ref::adopt(lua, slot));
            if is_blank(lua, thread.thread()) {
                #[cfg(feature = "luau")]
                crate::luau::sandbox::inherit_globals(lua, thread.thread())?;
                return Ok(thread);
            }
        }
        new_thread(inner, inner.state())?;
        Ref::pop(lua).map(Thread)
    }
}

/// Whether `thread` has finished, so that a function can be put on its stack.
unsafe fn is_blank(lua: &Lua, thread: *mut engine::lua_State) -> bool {
    // SAFETY: plain reads.
    unsafe {
        engine::lua_status(thread) == engine::LUA_OK
            && engine::lua_gettop(thread) == 0
            && !is_active(lua, thread)
    }
}

impl<R> AsyncThread<'_, R> {
    /// Ends the coroutine, and keeps it for the next call.
    fn retire(&self) {
        let lua = self.thread.0.lua();
        let inner = lua.inner();
        let state = inner.state();
        let thread = self.state;
        // SAFETY: nothing runs on `thread` (`is_active`). The pool gets a count of its own.
        unsafe {
            if !is_blank(lua, thread) {
                if is_active(lua, thread) {
                    return;
                }
                task::drop_future_of(inner, thread);
                if !reopen(thread, state) {
                    return;
                }
            }
            if !inner.futures.coroutines.is_full() {
                let slot = self.thread.0.slot();
                inner.slots.retain(slot);
                inner.futures.coroutines.put(slot);
            }
        }
    }
}

/// Makes a coroutine that is suspended, or has ended by an error, as good as new; returns whether that could be done.
unsafe fn reopen(thread: *mut engine::lua_State, from: *mut engine::lua_State) -> bool {
    // SAFETY: the caller has seen that nothing runs on `thread`.
    #[cfg(any(lua_ge_54, feature = "luau"))]
    unsafe {
        close(thread, from);
        engine::lua_settop(thread, 0);
        true
    }
    #[cfg(not(any(lua_ge_54, feature = "luau")))]
    {
        let _ = (thread, from);
        false
    }
}

impl<R> Drop for AsyncThread<'_, R> {
    fn drop(&mut self) {
        let inner = self.thread.0.lua().inner();
        if inner.state_or_null().is_null() {
            return;
        }
        if self.is_own {
            self.retire();
        }
        if self.is_outside {
            inner.futures.driver_gone(inner);
        }
    }
}

impl<'lua, R> AsyncThread<'lua, R>
where
    R: FromLuaMulti<'lua>,
{
    /// The `n` values on top of the coroutine, converted.
    fn convert(&self, n: c_int) -> Result<R> {
        let lua = self.thread.0.lua();
        // SAFETY: they are moved to the running state, and held there.
        unsafe {
            let n = take_results(lua, self.state, n, wanted::<R>())?;
            let _held = Held::adopt(lua.state(), n);
            R::from_stack_multi(n, lua)
        }
    }
}

// Nothing in here is pinned: `R` is only what comes out.
impl<R> AsyncThread<'_, R> {
    fn unpin(self: Pin<&mut Self>) -> &mut Self {
        // SAFETY: see above.
        unsafe { self.get_unchecked_mut() }
    }
}

impl<'lua, R> Future for AsyncThread<'lua, R>
where
    R: FromLuaMulti<'lua>,
{
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.unpin();
        match this.step(cx)? {
            Step::Pending => Poll::Pending,
            Step::Returned(n) => Poll::Ready(this.convert(n)),
            Step::Yielded(n) => {
                // SAFETY: they are on top of the coroutine.
                unsafe { engine::lua_pop(this.state, n) };
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<'lua, R> Stream for AsyncThread<'lua, R>
where
    R: FromLuaMulti<'lua>,
{
    type Item = Result<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.unpin();
        if this.thread.0.lua().inner().state_or_null().is_null()
            || this.thread.status() != ThreadStatus::Resumable
        {
            return Poll::Ready(None);
        }
        match this.step(cx) {
            Ok(Step::Pending) => Poll::Pending,
            Ok(Step::Yielded(n) | Step::Returned(n)) => Poll::Ready(Some(this.convert(n))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}
