//! Flags of Luau's own development.

use std::ffi::CString;

use crate::engine;
use crate::Lua;

impl Lua {
    /// Turns a feature of Luau that is still in the making on or off, in all instances. Set it before there is any: Luau
    /// looks at its flags whenever it likes.
    ///
    /// # Errors
    ///
    /// Fails if there is no flag of this name.
    #[doc(hidden)]
    #[allow(clippy::result_unit_err)]
    pub fn set_fflag(name: &str, enabled: bool) -> std::result::Result<(), ()> {
        let name = CString::new(name).map_err(|_| ())?;
        // SAFETY: a look for a C string in the list of flags, which is made before `main`.
        match unsafe { engine::luau_setfflag(name.as_ptr(), enabled.into()) } {
            0 => Err(()),
            _ => Ok(()),
        }
    }
}
