//! Which lines of a function have been run.

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};

use crate::call::protect::protect;
use crate::engine;
use crate::function::Function;

/// Which lines of a function have been run, and how often: see [`Function::coverage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageInfo {
    /// The name of the function, if it has one.
    pub function: Option<String>,
    /// The line where the function is defined.
    pub line_defined: i32,
    /// In how many functions this one lies, up to the one that was asked about.
    pub depth: i32,
    /// How often each line was run, by its number; -1 for a line where there is nothing to be run.
    pub hits: Vec<i32>,
}

impl Function<'_> {
    /// Calls `func` for this function, and for each function that is defined in it, with what was counted.
    ///
    /// Nothing is counted unless the function was compiled for that: see
    /// [`Compiler::set_coverage_level`](crate::Compiler::set_coverage_level). A function of Rust has no lines.
    ///
    /// # Examples
    ///
    /// ```
    /// # use mlua::{Compiler, Lua, Result};
    /// # fn main() -> Result<()> {
    /// let lua = Lua::new();
    /// let compiler = Compiler::new().set_coverage_level(1);
    /// let code = "local x = ...\nif x then\nreturn 1\nend\nreturn 2";
    /// let function = lua.load(code).set_compiler(compiler).into_function()?;
    /// function.call::<_, i32>(true)?;
    /// function.coverage(|info| {
    ///     assert_eq!(info.hits[3], 1);
    ///     assert_eq!(info.hits[5], 0);
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn coverage<F>(&self, mut func: F)
    where
        F: FnMut(CoverageInfo),
    {
        let state = self.0.state();
        let mut found = Vec::new();
        // SAFETY: the function, which is one of Luau's, is the argument of `protect`; the vector outlives the call. On a lack of
        // memory there is nothing to tell.
        let done = unsafe {
            let (thread, index) = self.0.peek();
            if engine::lua_iscfunction(thread, index) != 0 {
                return;
            }
            self.0.push();
            let found = &mut found as *mut Vec<CoverageInfo> as *mut c_void;
            protect(state, 1, 0, |state| {
                engine::lua_getcoverage(state, 1, found, keep)
            })
        };
        if done.is_ok() {
            found.into_iter().for_each(&mut func);
        }
    }
}

/// Keeps what is told of one function. No code of the user runs here, which could raise or unwind.
unsafe extern "C-unwind" fn keep(
    found: *mut c_void,
    function: *const c_char,
    line_defined: c_int,
    depth: c_int,
    hits: *const c_int,
    size: usize,
) {
    // SAFETY: called by Luau with the vector of `coverage`, null or a C string, and that many lines.
    unsafe {
        let function = (!function.is_null()).then(|| CStr::from_ptr(function));
        (*(found as *mut Vec<CoverageInfo>)).push(CoverageInfo {
            function: function.map(|name| name.to_string_lossy().into_owned()),
            line_defined,
            depth,
            hits: std::slice::from_raw_parts(hits, size).to_vec(),
        });
    }
}
