//! [`AsyncThread`]: a coroutine as a future and as a stream.

use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::os::raw::c_int;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

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
    driver: Driver<'lua>,
    args: Args<'lua>,
    _results: PhantomData<R>,
}

/// What a coroutine is still to be given, beside what lies on its stack.
type Args<'lua> = Option<Box<Result<MultiValue<'lua>>>>;

/// A call of a function in a coroutine of its own, as a future.
pub(super) struct Call<'lua, R>(Progress<'lua>, PhantomData<fn() -> R>);

enum Progress<'lua> {
    Running(Driver<'lua>),
    Failed(Box<Error>),
    Through,
}

/// Resumes a coroutine when it is polled.
struct Driver<'lua> {
    thread: Thread<'lua>,
    /// The state of `thread`, which stays where it is as long as `thread` is kept.
    state: *mut engine::lua_State,
    /// Nobody else has been given the coroutine: it ends with this, and is used again.
    is_own: bool,
    /// Counted among the drivers of [`Futures`](super::instance::Futures).
    is_outside: bool,
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
        AsyncThread {
            driver: Driver::new(self.thread(), self, false),
            args: Some(Box::new(args)),
            _results: PhantomData,
        }
    }
}

impl<'lua> Driver<'lua> {
    #[inline]
    fn new(state: *mut engine::lua_State, thread: Thread<'lua>, is_own: bool) -> Self {
        Driver {
            is_outside: thread.0.lua().inner().futures.add_driver(),
            state,
            thread,
            is_own,
        }
    }

    /// One of a coroutine of its own that will call `function` with `args`.
    fn call<A>(function: &Function<'lua>, args: A) -> Result<Self>
    where
        A: IntoLuaMulti<'lua>,
    {
        let lua = function.0.lua();
        let entered = lua.try_enter()?;
        let state = entered.state;
        // SAFETY: the arguments are held until they are moved. From `coroutine` on, no other code runs before that, and the
        // stack of the coroutine is empty, with the places that Lua gives to any function.
        unsafe {
            let nargs = args.push_into_stack_multi(lua)?;
            let mut held = Held::adopt(state, nargs);
            let this = coroutine(lua)?;
            let thread = this.state;
            if nargs >= engine::LUA_MINSTACK {
                ensure(lua.inner(), thread, nargs + 1)?;
            }
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
    #[inline]
    fn step(&self, cx: &mut Context<'_>, args: &mut Args<'lua>) -> Result<Step> {
        let lua = self.thread.0.lua();
        let inner = lua.inner();
        let state = inner.try_state()?;
        let thread = self.state;
        // SAFETY: the coroutine can be resumed, and is with as many arguments as lie on its stack. Resuming runs protected,
        // and leaves its results or an error object.
        unsafe {
            let Some(there) = arguments_on(lua, thread) else {
                return Err(Error::CoroutineInactive);
            };
            let nargs = match args.take() {
                Some(args) => move_args(lua, (*args)?, thread)?,
                None => there,
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

    /// Resumes the coroutine for the sake of what it returns.
    #[inline]
    fn poll<R>(&mut self, cx: &mut Context<'_>, args: &mut Args<'lua>) -> Poll<Result<R>>
    where
        R: FromLuaMulti<'lua>,
    {
        match self.step(cx, args)? {
            Step::Pending => Poll::Pending,
            Step::Returned(n) => Poll::Ready(self.convert(n)),
            Step::Yielded(n) => {
                // SAFETY: they are on top of the coroutine.
                unsafe { engine::lua_pop(self.state, n) };
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// The `n` values on top of the coroutine, converted. If it is our own, these are what it has returned.
    #[inline]
    fn convert<R>(&mut self, n: c_int) -> Result<R>
    where
        R: FromLuaMulti<'lua>,
    {
        let lua = self.thread.0.lua();
        // SAFETY: they are moved to the running state, and held there.
        unsafe {
            let n = take_results(lua, self.state, n, wanted::<R>())?;
            let _held = Held::adopt(lua.state(), n);
            if mem::take(&mut self.is_own) {
                self.keep();
            }
            R::from_stack_multi(n, lua)
        }
    }
}

/// How many values on `thread` are arguments, if it can be resumed.
///
/// # Safety
///
/// `thread` is a coroutine of the instance, which is open.
#[inline]
unsafe fn arguments_on(lua: &Lua, thread: *mut engine::lua_State) -> Option<c_int> {
    // SAFETY: plain reads.
    unsafe {
        match engine::lua_status(thread) {
            engine::LUA_YIELD => Some(0),
            engine::LUA_OK => {
                // Not begun: its function and the arguments lie there.
                let height = engine::lua_gettop(thread);
                (height > 0 && !is_active(lua, thread)).then(|| height - 1)
            }
            _ => None,
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

/// A coroutine of its own with an empty stack: one that has finished, or a new one.
#[inline]
fn coroutine(lua: &Lua) -> Result<Driver<'_>> {
    let inner = lua.inner();
    // SAFETY: the pool owns a count of the slot, which the proxy takes over, and so the state is there; `pop` takes the new
    // thread.
    unsafe {
        while let Some((slot, state)) = inner.futures.coroutines.take() {
            let thread = Thread(Ref::adopt(lua, slot));
            // While it ran, Lua may have got hold of it.
            if is_blank(lua, state) {
                #[cfg(feature = "luau")]
                crate::luau::sandbox::inherit_globals(lua, state)?;
                return Ok(Driver::new(state, thread, true));
            }
        }
        let state = new_thread(inner, inner.state())?;
        Ok(Driver::new(state, Thread(Ref::pop(lua)?), true))
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

impl Driver<'_> {
    /// Ends the coroutine, and keeps it for the next call.
    #[cold]
    fn retire(&self) {
        let lua = self.thread.0.lua();
        let inner = lua.inner();
        let state = inner.state();
        let thread = self.state;
        // SAFETY: nothing runs on `thread` (`is_active`).
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
        }
        self.keep();
    }

    /// Keeps the coroutine, which has ended, for the next call.
    #[inline]
    fn keep(&self) {
        let inner = self.thread.0.lua().inner();
        let coroutines = &inner.futures.coroutines;
        if !coroutines.is_full() {
            // The pool gets a count of its own.
            let slot = self.thread.0.slot();
            inner.slots.retain(slot);
            coroutines.put(slot, self.state);
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

impl Drop for Driver<'_> {
    #[inline]
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
        this.driver.poll(cx, &mut this.args)
    }
}

impl<'lua, R> Stream for AsyncThread<'lua, R>
where
    R: FromLuaMulti<'lua>,
{
    type Item = Result<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.unpin();
        let driver = &mut this.driver;
        if driver.thread.0.lua().inner().state_or_null().is_null()
            || driver.thread.status() != ThreadStatus::Resumable
        {
            return Poll::Ready(None);
        }
        match driver.step(cx, &mut this.args) {
            Ok(Step::Pending) => Poll::Pending,
            Ok(Step::Yielded(n) | Step::Returned(n)) => Poll::Ready(Some(driver.convert(n))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl<'lua, R> Call<'lua, R> {
    /// One of `function` with `args`, which are converted at once.
    pub(super) fn new<A>(function: &Function<'lua>, args: A) -> Self
    where
        A: IntoLuaMulti<'lua>,
    {
        let progress = match Driver::call(function, args) {
            Ok(driver) => Progress::Running(driver),
            Err(error) => Progress::Failed(Box::new(error)),
        };
        Call(progress, PhantomData)
    }
}

impl<'lua, R> Future for Call<'lua, R>
where
    R: FromLuaMulti<'lua>,
{
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Progress::Running(driver) = &mut self.0 {
            let result = ready!(driver.poll(cx, &mut None));
            // Now, and not when the future is dropped: the coroutine is through.
            self.0 = Progress::Through;
            return Poll::Ready(result);
        }
        match mem::replace(&mut self.0, Progress::Through) {
            Progress::Failed(error) => Poll::Ready(Err(*error)),
            _ => panic!("a call was polled after it was ready"),
        }
    }
}
