//! Configuration of the crate, in three steps:
//!
//! 1. A wrong set of features is refused in one sentence. These checks run when this file is *compiled*: `mlua-sys` refuses
//!    some of the same sets when its own build script is compiled, so anything that ran later would never be seen. Without
//!    any Lua, `mlua-sys` is not built at all (it is optional in `Cargo.toml`) and the message below stands alone; for
//!    the other sets cargo shows the message of whichever is compiled first, often both.
//! 2. The semantic `cfg`s that the crate uses in place of long lists of features, see [`CFGS`].
//! 3. For a Lua that the system provides: do its headers agree with the bindings? See `build/abi.rs`.

#[path = "build/abi.rs"]
mod abi;

/// For each Lua: no later one of the list may be chosen beside it.
macro_rules! only_one_of {
    ($first:tt $($other:tt)*) => {
        $(
            #[cfg(all(feature = $first, feature = $other))]
            compile_error!(concat!(
                "both `", $first, "` and `", $other, "` are chosen: a build has one Lua. ",
                "`cargo tree -e features -i mlua` shows which package asks for which."
            ));
        )*
        only_one_of!($($other)*);
    };
    () => {};
}

only_one_of!("lua55" "lua54" "lua53" "lua52" "lua51" "luajit" "luau");

#[cfg(not(any(
    feature = "lua55",
    feature = "lua54",
    feature = "lua53",
    feature = "lua52",
    feature = "lua51",
    feature = "luajit",
    feature = "luau",
)))]
compile_error!(
    "no Lua is chosen: enable one of the features `lua55`, `lua54`, `lua53`, `lua52`, `lua51`, `luajit`, `luajit52`, \
     `luau`; with `vendored` it is built from source, without it the system's is used"
);

#[cfg(all(feature = "module", feature = "vendored"))]
compile_error!(
    "`module` and `vendored` are both enabled: a module is loaded by a program that brings its own Lua, so it must not \
     contain a second one; disable `vendored`"
);

/// Which versions of the language share a rule. LuaJIT (also with `luajit52`) and Luau count as 5.1.
const LUA_VERSION: u32 = if cfg!(feature = "lua55") {
    505
} else if cfg!(feature = "lua54") {
    504
} else if cfg!(feature = "lua53") {
    503
} else if cfg!(feature = "lua52") {
    502
} else {
    501
};

/// Name and value of every semantic `cfg`:
///
/// - `lua_ge_52`: the main thread and the globals are in the registry; functions have no environment; C code can yield.
/// - `lua_ge_53`: integers are a subtype of numbers; an instance has extra space in front of its state.
/// - `lua_ge_54`: userdata with several user values; to-be-closed variables; warnings; generational collection.
/// - `waits_in_lua`: a C function cannot be yielded over by saying how to go on (`lua_callk`, `lua_yieldk`), or not in each
///   call; what has to wait does so in a function of Lua's.
/// - `yields_hide`: what lies on the stack of a C function that has yielded cannot be seen from outside.
/// - `raising_finalizers`: an error in a finalizer may come out of whatever call has run the collector.
/// - `light_functions`: a C function without upvalues is a plain value, so pushing one takes no memory.
/// - `finalizers`: userdata are finalized by `__gc`, which finds a working VM. Without, the sweep drops what is in them, and
///   nothing may touch the VM meanwhile.
/// - `raising_checkstack`: `lua_checkstack` raises an error where there is no memory for the stack.
const CFGS: [(&str, bool); 9] = [
    ("lua_ge_52", LUA_VERSION >= 502),
    ("lua_ge_53", LUA_VERSION >= 503),
    ("lua_ge_54", LUA_VERSION >= 504),
    ("waits_in_lua", LUA_VERSION < 502),
    ("yields_hide", LUA_VERSION < 504),
    (
        "raising_finalizers",
        LUA_VERSION < 504 && cfg!(not(feature = "luau")),
    ),
    ("light_functions", LUA_VERSION >= 502),
    ("finalizers", cfg!(not(feature = "luau"))),
    (
        "raising_checkstack",
        cfg!(any(
            feature = "lua51",
            all(feature = "luajit", not(feature = "vendored"))
        )),
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    for (name, on) in CFGS {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if on {
            println!("cargo::rustc-cfg={name}");
        }
    }

    let windows = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "windows");
    let module = cfg!(feature = "module");
    if windows && module && cfg!(feature = "luau") {
        println!("cargo::error=`module` is not available with `luau` on Windows: there is no Luau library to load modules into");
    }
    let system = cfg!(not(any(feature = "vendored", feature = "luau")));
    if system && !(windows && module) {
        abi::check(LUA_VERSION);
    }
}
