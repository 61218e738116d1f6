//! What tests of several kinds have in common.

/// Lua code in which `finalized(f, fields)` makes an object with the finalizer `f`, in each version of Lua: a table with the
/// fields, or, where tables have no finalizers, a userdata whose finalizer is called with a table of the fields.
#[allow(unused_macros)]
macro_rules! with_finalized {
    ($code:literal) => {
        concat!(
            "local function finalized(f, fields) ",
            "if not newproxy then return setmetatable(fields or {}, { __gc = f }) end ",
            "local object = newproxy(true) ",
            "local metatable = getmetatable(object) ",
            "metatable.__gc = fields and function() return f(fields) end or f ",
            "return object end ",
            $code
        )
    };
}
