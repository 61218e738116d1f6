//! Everything under a name with `Lua` in front.
