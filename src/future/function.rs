//! Async functions as [`Function`]s: making and calling them.

use std::future::Future;
use std::marker::PhantomData;

use super::thread::Call;
use super::{task, LocalBoxFuture};
use crate::error::Result;
use crate::function::Function;
use crate::handle::proxy::Ref;
use crate::types::MaybeSend;
use crate::value::{FromLuaMulti, IntoLua, IntoLuaMulti, Value};
use crate::Lua;

impl Lua {
    /// Makes a Lua function out of a Rust function or closure that returns a future.
    ///
    /// To Lua it is a function like any other, which returns when the future is ready. Until then the coroutine that has
    /// called it is suspended; so it can be called where Lua can yield, that is, in code that is run by one of the async
    /// methods ([`Function::call_async`], [`Chunk::exec_async`](crate::Chunk::exec_async), …) or by [`Thread::into_async`].
    /// A future that is ready at once needs none of this.
    ///
    /// The future is dropped when its call is: if the future of an async method is dropped, or if the coroutine is
    /// collected. With the feature `send` it is bound to the thread that first polls it.
    ///
    /// [`Thread::into_async`]: crate::Thread::into_async
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left. A call of the function while the future is pending and nothing can yield fails with
    /// Lua's `attempt to yield from outside a coroutine`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use mlua::{Lua, Result};
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() -> Result<()> {
    ///     let lua = Lua::new();
    ///     let sleep = lua.create_async_function(|_, millis: u64| async move {
    ///         tokio::time::sleep(Duration::from_millis(millis)).await;
    ///         Ok("done")
    ///     })?;
    ///     lua.globals().set("sleep", sleep)?;
    ///     let said: String = lua.load("sleep(10)").eval_async().await?;
    ///     assert_eq!(said, "done");
    ///     Ok(())
    /// }
    /// ```
    pub fn create_async_function<'lua, A, R, F, FR>(&'lua self, func: F) -> Result<Function<'lua>>
    where
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>,
        F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
        FR: Future<Output = Result<R>> + 'lua,
    {
        let entered = self.try_enter()?;
        // SAFETY: a running state has room for 4 values; `func` is `'static` and called with no longer borrow than that of
        // `self`. `pop` takes the function.
        unsafe {
            task::new_function(self.inner(), entered.state, task::call::<F, A, FR, R>, func)?;
            Ref::pop(self).map(Function)
        }
    }
}

impl<'lua> Function<'lua> {
    /// Calls the function in a coroutine, and converts its results to `R` when it has returned.
    ///
    /// The arguments are converted at once, the function begins when the future is polled first. If the future is dropped
    /// before it is ready, the coroutine ends where it is: its variables to be closed are closed, and the future that it
    /// waits for is dropped.
    ///
    /// Coroutines are used again for later calls.
    ///
    /// # Errors
    ///
    /// As [`Function::call`].
    ///
    /// # Panics
    ///
    /// Polling goes on with the panic of a Rust callback that nothing in Lua has caught.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Function, Lua, Result};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let pause = lua.create_async_function(|_, ()| async {
    ///     tokio::task::yield_now().await;
    ///     Ok(())
    /// })?;
    /// lua.globals().set("pause", pause)?;
    /// let sum: Function = lua.load("function(a, b) pause() return a + b end").eval()?;
    /// assert_eq!(sum.call_async::<_, i64>((3, 4)).await?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_async<A, R>(&self, args: A) -> impl Future<Output = Result<R>> + 'lua
    where
        A: IntoLuaMulti<'lua>,
        R: FromLuaMulti<'lua> + 'lua,
    {
        Call::<R>::new(self, args)
    }

    /// As [`Function::wrap`], for a function or closure that returns a future: see [`Lua::create_async_function`].
    pub fn wrap_async<A, R, F, FR>(func: F) -> impl IntoLua<'lua>
    where
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>,
        F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
        FR: Future<Output = Result<R>> + 'lua,
    {
        Wrapped(func, PhantomData)
    }
}

/// See [`Function::wrap_async`].
struct Wrapped<A, R, F, FR>(F, PhantomData<fn(A) -> (R, FR)>);

impl<'lua, A, R, F, FR> IntoLua<'lua> for Wrapped<A, R, F, FR>
where
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
    F: Fn(&'lua Lua, A) -> FR + MaybeSend + 'static,
    FR: Future<Output = Result<R>> + 'lua,
{
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        lua.create_async_function(self.0).map(Value::Function)
    }
}

/// What the calls of tables and userdata return.
pub(crate) fn call_boxed<'lua, A, R>(
    function: Result<Function<'lua>>,
    args: A,
) -> LocalBoxFuture<'lua, Result<R>>
where
    A: IntoLuaMulti<'lua>,
    R: FromLuaMulti<'lua> + 'lua,
{
    match function {
        Ok(function) => Box::pin(Call::new(&function, args)),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    }
}
