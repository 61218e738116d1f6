//! [`Compiler`]: from source code to the bytecode that the VM loads.

use std::ffi::CString;
use std::os::raw::c_char;
use std::ptr;

use crate::engine;
use crate::Lua;

/// How Luau compiles source code.
///
/// # Examples
///
/// ```
/// # use mlua::{Compiler, Lua, Result};
/// # fn main() -> Result<()> {
/// let compiler = Compiler::new().set_optimization_level(2).set_debug_level(0);
/// let bytecode = compiler.compile("return 6 * 7");
///
/// let lua = Lua::new();
/// assert_eq!(lua.load(&bytecode).eval::<i32>()?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Compiler {
    optimization_level: u8,
    debug_level: u8,
    type_info_level: u8,
    coverage_level: u8,
    vector_lib: Option<String>,
    vector_ctor: Option<String>,
    vector_type: Option<String>,
    mutable_globals: Vec<String>,
    userdata_types: Vec<String>,
}

impl Default for Compiler {
    /// As [`Compiler::new`].
    fn default() -> Self {
        Compiler::new()
    }
}

impl Compiler {
    /// The compiler as it is by default: optimization and debug level 1, no type information, no coverage.
    pub const fn new() -> Self {
        Compiler {
            optimization_level: 1,
            debug_level: 1,
            type_info_level: 0,
            coverage_level: 0,
            vector_lib: None,
            vector_ctor: None,
            vector_type: None,
            mutable_globals: Vec::new(),
            userdata_types: Vec::new(),
        }
    }

    /// Sets how much is optimized: 0 for nothing, 1 for what leaves debugging as it is, 2 also for inlining and the like.
    /// Default: 1.
    pub const fn set_optimization_level(mut self, level: u8) -> Self {
        self.optimization_level = level;
        self
    }

    /// Sets how much is kept for debugging: 0 for nothing, 1 for lines and names of functions, which tracebacks show, 2 also
    /// for names of local variables and upvalues. Default: 1.
    pub const fn set_debug_level(mut self, level: u8) -> Self {
        self.debug_level = level;
        self
    }

    /// Sets for what chunks type information is kept, which native code is made better by: 0 for those that ask for native
    /// code, 1 for all. Default: 0.
    pub const fn set_type_info_level(mut self, level: u8) -> Self {
        self.type_info_level = level;
        self
    }

    /// Sets what is counted for [`Function::coverage`](crate::Function::coverage): 0 for nothing, 1 for statements, 2 also
    /// for expressions. Default: 0.
    pub const fn set_coverage_level(mut self, level: u8) -> Self {
        self.coverage_level = level;
        self
    }

    /// Names the global library with a function that makes vectors, besides `vector.create`.
    #[doc(hidden)]
    pub fn set_vector_lib(mut self, lib: impl Into<String>) -> Self {
        self.vector_lib = Some(lib.into());
        self
    }

    /// Names the function that makes vectors, a global one or one of the library [named](Compiler::set_vector_lib).
    #[doc(hidden)]
    pub fn set_vector_ctor(mut self, ctor: impl Into<String>) -> Self {
        self.vector_ctor = Some(ctor.into());
        self
    }

    /// Names the type of vectors in type annotations, besides `vector`.
    #[doc(hidden)]
    pub fn set_vector_type(mut self, name: impl Into<String>) -> Self {
        self.vector_type = Some(name.into());
        self
    }

    /// Names the global variables that may change. The fields of all others are taken, in a sandbox, for what they are when
    /// the chunk is loaded.
    pub fn set_mutable_globals(mut self, globals: Vec<String>) -> Self {
        self.mutable_globals = globals;
        self
    }

    /// Names the types of userdata that type information tells apart.
    pub fn set_userdata_types(mut self, types: Vec<String>) -> Self {
        self.userdata_types = types;
        self
    }

    /// Compiles `source`.
    ///
    /// If it does not parse, the bytecode holds the message; to load it is the error then.
    pub fn compile(&self, source: impl AsRef<[u8]>) -> Vec<u8> {
        let vector_lib = Name::new(self.vector_lib.as_deref());
        let vector_ctor = Name::new(self.vector_ctor.as_deref());
        let vector_type = Name::new(self.vector_type.as_deref());
        let mutable_globals = Names::new(&self.mutable_globals);
        let userdata_types = Names::new(&self.userdata_types);

        let mut options = engine::lua_CompileOptions::default();
        options.optimizationLevel = self.optimization_level.min(2).into();
        options.debugLevel = self.debug_level.min(2).into();
        options.typeInfoLevel = self.type_info_level.min(1).into();
        options.coverageLevel = self.coverage_level.min(2).into();
        options.vectorLib = vector_lib.as_ptr();
        options.vectorCtor = vector_ctor.as_ptr();
        options.vectorType = vector_type.as_ptr();
        options.mutableGlobals = mutable_globals.as_ptr();
        options.userdataTypes = userdata_types.as_ptr();
        // SAFETY: the names outlive the call, which keeps none. The compiler reports errors by what it returns.
        unsafe { engine::luau_compile(source.as_ref(), options) }
    }
}

/// A name as the compiler takes it. One with a nul byte in it is no name of anything.
struct Name(Option<CString>);

impl Name {
    fn new(name: Option<&str>) -> Self {
        Name(name.and_then(|name| CString::new(name).ok()))
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ref().map_or(ptr::null(), |name| name.as_ptr())
    }
}

/// A list of names that ends with null.
struct Names {
    _names: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Names {
    fn new(names: &[String]) -> Self {
        let names: Vec<CString> = names
            .iter()
            .filter_map(|name| CString::new(name.as_str()).ok())
            .collect();
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        pointers.push(ptr::null());
        Names {
            _names: names,
            pointers,
        }
    }

    /// Null for an empty list.
    fn as_ptr(&self) -> *const *const c_char {
        match self.pointers.as_slice() {
            [_] => ptr::null(),
            pointers => pointers.as_ptr(),
        }
    }
}

impl Lua {
    /// Sets what chunks are compiled with that bring no compiler of their own ([`Chunk::set_compiler`]).
    ///
    /// [`Chunk::set_compiler`]: crate::Chunk::set_compiler
    ///
    /// # Examples
    ///
    /// ```
    /// use mlua::{Compiler, Lua};
    ///
    /// let lua = Lua::new();
    /// lua.set_compiler(Compiler::new().set_optimization_level(2));
    /// ```
    pub fn set_compiler(&self, compiler: Compiler) {
        let _entered = self.enter();
        self.inner().luau.compiler.replace(Some(compiler));
    }
}
