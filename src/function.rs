//! [`Function`]: calling Lua, and making functions that Lua can call.

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::os::raw::{c_int, c_void};

use crate::call::callback::{not_recursive, push_function};
use crate::call::failure::pop_error;
use crate::call::protect::protect;
use crate::engine;
use crate::error::{Error, Result};
use crate::handle::proxy::Ref;
use crate::stack::Held;
use crate::state::STACK_RESERVE;
use crate::table::Table;
use crate::types::MaybeSend;
use crate::value::{wanted, FromLuaMulti, IntoLua, IntoLuaMulti, Value};
use crate::Lua;

/// A Lua function, written in Lua, in C or in Rust.
///
/// Two of them are equal if they are the same function.
///
/// # Examples
///
/// ```
/// # use mlua::{Function, Lua, Result};
/// # fn main() -> Result<()> {
/// let lua = Lua::new();
/// let sum: Function = lua.load("function(a, b) return a + b end").eval()?;
/// assert_eq!(sum.call::<_, i64>((3, 4))?, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Function<'lua>(pub(crate) Ref<'lua>);

/// What Lua knows about a function: see [`Function::info`].
#[derive(Clone, Debug)]
pub struct FunctionInfo {
    /// A name for the function, if there is one.
    pub name: Option<String>,
    /// What kind of name that is: `global`, `local`, `method`, `field`, `upvalue`.
    pub name_what: Option<&'static str>,
    /// `Lua` for a Lua function, `C` for one of C or Rust, `main` for the main part of a chunk.
    pub what: &'static str,
    /// The source of the chunk that made the function.
    pub source: Option<String>,
    /// The source in a short form, as messages of errors show it.
    pub short_src: Option<String>,
    /// The line where the definition starts.
    pub line_defined: Option<usize>,
    /// The line where the definition ends.
    pub last_line_defined: Option<usize>,
}

impl Lua {
    /// Makes a Lua function out of a Rust function or closure.
    ///
    /// Lua's arguments are converted to `A`, what `func` returns is converted to Lua's results. An error that it returns,
    /// or that one of the conversions does, is raised in Lua, and so goes on until a `pcall` or a call from Rust catches
    /// it. A panic goes through Lua likewise, to the next call from Rust.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let greet = lua.create_function(|_, name: String| Ok(format!("Hello, {name}!")))?;
    /// assert_eq!(greet.call::<_, String>("Lua")?, "Hello, Lua!");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Several arguments and results are tuples:
    ///
    /// ```
    /// # use mlua::{Lua, Result};
    /// # fn main() -> Result<()> {
    /// # let lua = Lua::new();
    /// let divide = lua.create_function(|_, (a, b): (i64, i64)| Ok((a / b, a % b)))?;
    /// assert_eq!(divide.call::<_, (i64, i64)>((7, 2))?, (3, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_function<'lua, A, R, F>(&'lua self, func: F) -> Result<Function<'lua>>
    where
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>,
        F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
    {
        let entered = self.try_enter()?;
        // SAFETY: a running state has room for 4 values; `func` is `'static` and is called with no longer borrow than that of
        // `self`. `pop` takes the function.
        unsafe {
            push_function(self.inner(), entered.state, func)?;
            Ref::pop(self).map(Function)
        }
    }

    /// Makes a Lua function out of a Rust closure that changes what it has captured.
    ///
    /// It is as [`Lua::create_function`] otherwise. If the function is called while it runs, by itself through Lua, that
    /// inner call fails with [`Error::RecursiveMutCallback`].
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left.
    pub fn create_function_mut<'lua, A, R, F>(&'lua self, func: F) -> Result<Function<'lua>>
    where
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>,
        F: FnMut(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
    {
        let entered = self.try_enter()?;
        // SAFETY: as in `create_function`.
        unsafe {
            push_function(self.inner(), entered.state, not_recursive(func))?;
            Ref::pop(self).map(Function)
        }
    }

    /// Makes a Lua function out of a C function.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left.
    ///
    /// # Safety
    ///
    /// `func` keeps to the rules for C functions of Lua: it leaves the stack as its result says, and raises only where no
    /// Rust destructor is skipped.
    pub unsafe fn create_c_function<'lua>(
        &'lua self,
        func: engine::lua_CFunction,
    ) -> Result<Function<'lua>> {
        let entered = self.try_enter()?;
        // SAFETY: a C function without upvalues is a plain value, which pushing does not raise, or is made protected. `pop`
        // takes it.
        unsafe {
            if cfg!(light_functions) {
                engine::lua_pushcfunction(entered.state, func);
            } else {
                protect(entered.state, 0, 1, |state| {
                    engine::lua_pushcfunction(state, func)
                })?;
            }
            Ref::pop(self).map(Function)
        }
    }
}

impl<'lua> Function<'lua> {
    /// Calls the function with `args` and converts its results to `R`.
    ///
    /// # Errors
    ///
    /// An error that the function raises comes back as [`Error::RuntimeError`] with a traceback, one of a Rust callback as
    /// [`Error::CallbackError`]. A conversion that fails returns its own error.
    ///
    /// # Panics
    ///
    /// Goes on with the panic of a Rust callback that nothing in Lua has caught.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Function, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let tostring: Function = lua.globals().get("tostring")?;
    /// assert_eq!(tostring.call::<_, String>(123)?, "123");
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<A: IntoLuaMulti<'lua>, R: FromLuaMulti<'lua>>(&self, args: A) -> Result<R> {
        let lua = self.0.lua();
        let inner = lua.inner();
        let state = self.0.state();
        // SAFETY: the two first pushes are few enough to need no check, those after them check for themselves. The handler and
        // the function lie below the arguments, and everything pushed is held.
        unsafe {
            let mut held = Held::new(state);
            inner.internals.push_handler(&inner.slots, state);
            self.0.push_onto(state);
            held.add(2);
            let nargs = args.push_into_stack_multi(lua)?;
            held.add(nargs);
            let wanted = const { wanted::<R>() };
            let below = if wanted == engine::LUA_MULTRET {
                engine::lua_gettop(state) - nargs - 1
            } else {
                if wanted > STACK_RESERVE / 4 {
                    lua.reserve_stack_for(wanted as usize)?;
                }
                0
            };
            let call = || engine::lua_pcall(state, nargs, wanted, -(nargs + 2));
            let status = inner.memory.limited(call);
            held.release(nargs + 1);
            if status != engine::LUA_OK {
                return Err(pop_error(state, status));
            }
            let nresults = if wanted == engine::LUA_MULTRET {
                engine::lua_gettop(state) - below
            } else {
                wanted
            };
            held.add(nresults);
            inner.bury();
            R::from_stack_multi(nresults, lua)
        }
    }

    /// A function that calls this one with `args` before its own arguments.
    ///
    /// # Errors
    ///
    /// Fails with [`Error::BindError`] for more than 254 arguments, and if a conversion fails.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Function, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let sum: Function = lua.load("function(a, b) return a + b end").eval()?;
    /// let add_one = sum.bind(1)?;
    /// assert_eq!(add_one.call::<_, i64>(2)?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind<A: IntoLuaMulti<'lua>>(&self, args: A) -> Result<Function<'lua>> {
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: the function and the arguments are held until the closure takes them as its upvalues; there are at most
        // `MAX_UPVALUES` of them. `pop` takes the closure.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            let nargs = args.push_into_stack_multi(lua)?;
            held.add(nargs);
            if nargs == 0 {
                return Ok(self.clone());
            }
            if nargs >= MAX_UPVALUES {
                return Err(Error::BindError);
            }
            let n = nargs + BOUND_FUNCTION;
            let made = if lua.inner().infallible_creation() {
                let memory = &lua.inner().memory;
                memory.unfailing(|| engine::lua_pushcclosure(state, call_bound, n));
                Ok(())
            } else {
                protect(state, n, 1, |state| {
                    let n = engine::lua_gettop(state);
                    engine::lua_pushcclosure(state, call_bound, n)
                })
            };
            held.release(n);
            made?;
            #[cfg(waits_in_lua)]
            {
                held.release(1);
                crate::call::lua_side::LuaSide::bind(lua.inner(), state)?;
            }
            Ref::pop(lua).map(Function)
        }
    }

    /// The environment of a Lua function: the table where it looks for global variables.
    ///
    /// `None` for functions of C or Rust, and for those that use no global variable.
    pub fn environment(&self) -> Option<Table<'_>> {
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: two values are pushed at most and held; reading an upvalue does not raise. `pop_or_panic` takes it.
        unsafe {
            self.0.push();
            let _held = Held::adopt(state, 1);
            if !engine::push_environment(state, -1) {
                return None;
            }
            if engine::lua_type(state, -1) != engine::LUA_TTABLE {
                engine::lua_pop(state, 1);
                return None;
            }
            Some(Table(Ref::pop_or_panic(lua)))
        }
    }

    /// Makes `env` the environment of a Lua function: the table where it looks for global variables.
    ///
    /// Only this function changes, not those made in the same place. Returns whether the function has an environment: those
    /// of C or Rust, and those that use no global variable, have none.
    ///
    /// # Errors
    ///
    /// Fails if Lua has no memory left, or if `env` is of another instance.
    pub fn set_environment(&self, env: Table<'_>) -> Result<bool> {
        let lua = self.0.lua();
        let state = self.0.state();
        // SAFETY: both values are held until `protect` takes them. The body finds them at 1 and 2.
        unsafe {
            let mut held = Held::new(state);
            self.0.push();
            held.add(1);
            env.0.push_to(lua)?;
            held.add(1);
            held.release(2);
            protect(state, 2, 0, |state| engine::set_environment(state))
        }
    }

    /// What Lua knows about the function: where it was defined, and in what language.
    pub fn info(&self) -> FunctionInfo {
        let state = self.0.state();
        let mut debug = std::mem::MaybeUninit::<engine::lua_Debug>::zeroed();
        // SAFETY: `lua_getinfo` takes the function off the stack and fills the fields that `n` and `S` stand for; it neither
        // raises nor allocates. What the fields point to lives as long as the function, which `self` keeps.
        unsafe {
            self.0.push();
            engine::lua_getinfo(state, c">Sn".as_ptr(), debug.as_mut_ptr());
            let debug = debug.assume_init();
            FunctionInfo {
                name: text(debug.name),
                name_what: match text(debug.namewhat).as_deref() {
                    Some("global") => Some("global"),
                    Some("local") => Some("local"),
                    Some("method") => Some("method"),
                    Some("field") => Some("field"),
                    Some("upvalue") => Some("upvalue"),
                    _ => None,
                },
                what: match text(debug.what).as_deref() {
                    Some("main") => "main",
                    Some("C") => "C",
                    _ => "Lua",
                },
                source: text(debug.source),
                short_src: text(debug.short_src.as_ptr()),
                line_defined: usize::try_from(debug.linedefined).ok(),
                last_line_defined: usize::try_from(debug.lastlinedefined).ok(),
            }
        }
    }

    /// The function as a binary chunk, empty for a function of C or Rust.
    ///
    /// With `strip` the chunk has no names and lines for debugging in it.
    ///
    /// # Panics
    ///
    /// Panics on Lua 5.5 if there is no memory; a limit does not count.
    #[cfg(not(feature = "luau"))]
    pub fn dump(&self, strip: bool) -> Vec<u8> {
        unsafe extern "C-unwind" fn append(
            _: *mut engine::lua_State,
            data: *const c_void,
            len: usize,
            chunk: *mut c_void,
        ) -> c_int {
            // SAFETY: `chunk` is the vector below, and Lua passes `len` bytes. Lua 5.5 ends with none, at null.
            unsafe {
                if len == 0 {
                    return 0;
                }
                (*(chunk as *mut Vec<u8>))
                    .extend_from_slice(std::slice::from_raw_parts(data as *const u8, len))
            };
            0
        }
        let state = self.0.state();
        let mut chunk = Vec::new();
        let data = &mut chunk as *mut Vec<u8> as *mut c_void;
        // SAFETY: the writer raises nothing. Where dumping itself takes memory, it runs protected; the function is held. LuaJIT
        // may leave a message above it.
        let dumped = unsafe {
            self.0.push();
            let mut held = Held::adopt(state, 1);
            if engine::lua_iscfunction(state, -1) != 0 {
                return Vec::new();
            }
            let dump = |state| engine::lua_dump(state, append, data, strip as c_int);
            if engine::DUMPING_RAISES {
                held.release(1);
                let memory = &self.0.lua().inner().memory;
                memory.without_limit(|| protect(state, 1, 0, dump))
            } else {
                let top = engine::lua_gettop(state);
                let status = dump(state);
                engine::lua_settop(state, top);
                Ok(status)
            }
        };
        if let Err(error) = dumped {
            panic!("cannot dump a function: {error}");
        }
        chunk
    }

    /// The address that identifies the function, for hashing and debugging. It cannot be turned back into a function.
    pub fn to_pointer(&self) -> *const c_void {
        self.0.to_pointer()
    }

    /// Wraps a Rust function or closure into something that turns into a Lua function where it is passed to Lua, so that no
    /// `Lua` is needed here.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Function, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// lua.globals().set("double", Function::wrap(|_, n: i64| Ok(2 * n)))?;
    /// assert_eq!(lua.load("double(21)").eval::<i64>()?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap<A, R, F>(func: F) -> impl IntoLua<'lua>
    where
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>,
        F: Fn(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
    {
        Wrapped(func, PhantomData)
    }

    /// Like [`Function::wrap`], for a closure that changes what it has captured: see [`Lua::create_function_mut`].
    pub fn wrap_mut<A, R, F>(func: F) -> impl IntoLua<'lua>
    where
        A: FromLuaMulti<'lua>,
        R: IntoLuaMulti<'lua>,
        F: FnMut(&'lua Lua, A) -> Result<R> + MaybeSend + 'static,
    {
        Wrapped(not_recursive(func), PhantomData)
    }
}

impl PartialEq for Function<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl fmt::Debug for Function<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.0).finish()
    }
}

/// See [`Function::wrap`], whose bounds make sure that `F` is `'static`.
struct Wrapped<A, R, F>(F, PhantomData<fn(A) -> R>);

impl<'lua, A, R, F> IntoLua<'lua> for Wrapped<A, R, F>
where
    A: FromLuaMulti<'lua>,
    R: IntoLuaMulti<'lua>,
    F: Fn(&'lua Lua, A) -> Result<R>,
{
    fn into_lua(self, lua: &'lua Lua) -> Result<Value<'lua>> {
        let entered = lua.try_enter()?;
        // SAFETY: as in `Lua::create_function`.
        unsafe {
            push_function(lua.inner(), entered.state, self.0)?;
            Ref::pop(lua).map(|f| Value::Function(Function(f)))
        }
    }

    unsafe fn push_into_stack(self, lua: &'lua Lua) -> Result<()> {
        lua.reserve_stack()?;
        // SAFETY: as in `Lua::create_function`.
        unsafe { push_function(lua.inner(), lua.state(), self.0) }
    }
}

/// How many upvalues a C closure can have.
const MAX_UPVALUES: c_int = 255;

/// How many upvalues of [`call_bound`] are not arguments: the function that it calls. Where no C function can be yielded over it
/// calls none, but returns the arguments to the Lua function around it.
const BOUND_FUNCTION: c_int = !cfg!(waits_in_lua) as c_int;

/// The C function of a bound function: its upvalues are the function and its first arguments.
unsafe extern "C-unwind" fn call_bound(state: *mut engine::lua_State) -> c_int {
    // SAFETY: entered by Lua, with 20 free places. Nothing here needs a drop, so errors and yields may pass.
    unsafe {
        let nargs = engine::lua_gettop(state);
        let mut bound = 0;
        while bound < MAX_UPVALUES
            && engine::lua_type(state, engine::lua_upvalueindex(bound + 1)) != engine::LUA_TNONE
        {
            bound += 1;
        }
        if bound > engine::LUA_MINSTACK {
            engine::luaL_checkstack(
                state,
                bound,
                c"too many arguments to a bound function".as_ptr(),
            );
        }
        for upvalue in 1..bound + 1 {
            engine::lua_pushvalue(state, engine::lua_upvalueindex(upvalue));
        }
        if nargs > 0 {
            turn(state, nargs, bound);
        }
        if BOUND_FUNCTION == 0 {
            return nargs + bound;
        }
        engine::lua_callk(
            state,
            nargs + bound - 1,
            engine::LUA_MULTRET,
            0,
            Some(return_all),
        );
        engine::lua_gettop(state)
    }
}

/// Brings the `bound` values on top of the `nargs` values that are all else on the stack below those.
#[inline(always)]
unsafe fn turn(state: *mut engine::lua_State, nargs: c_int, bound: c_int) {
    // SAFETY: there are that many values.
    unsafe {
        if cfg!(lua_ge_52) || nargs > bound {
            engine::lua_rotate(state, 1, bound);
        } else {
            engine::lua_rotate(state, 1, -nargs);
        }
    }
}

engine::continuation! {
    /// Goes on with [`call_bound`] after the called function has yielded.
    unsafe fn return_all(state, _status, _context) {
        // SAFETY: entered by Lua.
        unsafe { engine::lua_gettop(state) }
    }
}

/// The C string at `text`, nothing for null.
unsafe fn text(text: *const std::os::raw::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller passes null or a C string.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}
