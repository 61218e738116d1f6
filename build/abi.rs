//! Do the headers of the system's Lua agree with what `mlua-sys` assumes about them?
//!
//! A distribution may build Lua with another integer type, a larger `LUA_IDSIZE`, another registry index; the bindings
//! would then read and write the wrong memory. Each such assumption is a [`Fact`], a constant expression in C. Facts are
//! checked by compiling an array whose size is negative where the fact is false: nothing is linked or run, so this works
//! for every target that has a C compiler.

use std::env;
use std::fs;
use std::path::PathBuf;

/// `expr` is a constant expression in C that is true if the headers are as the bindings assume.
struct Fact {
    name: String,
    expr: String,
}

/// `LUA_VERSION_NUM` comes first: if the headers are those of another Lua, that is the message to give.
fn facts(version: u32) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, expr: &str| {
        facts.push(Fact {
            name: name.into(),
            expr: expr.into(),
        })
    };

    for (name, value) in constants(version) {
        fact(
            &format!("{name} is {value}"),
            &format!("({name}) == ({value})"),
        );
    }

    let integer = if version >= 503 {
        "8"
    } else {
        "sizeof(void *)"
    };
    fact(
        &format!("sizeof(lua_Integer) is {integer}"),
        &format!("sizeof(lua_Integer) == {integer}"),
    );
    fact("lua_Integer is signed", "(lua_Integer)-1 < 0");
    fact("sizeof(lua_Number) is 8", "sizeof(lua_Number) == 8");
    // A sum with a float stays a float if the other side is an integer.
    fact(
        "lua_Number is a floating-point type",
        "sizeof((lua_Number)0 + 0.0f) == sizeof(lua_Number)",
    );
    if version >= 502 {
        let unsigned = if version >= 503 { "8" } else { "sizeof(int)" };
        fact(
            &format!("sizeof(lua_Unsigned) is {unsigned}"),
            &format!("sizeof(lua_Unsigned) == {unsigned}"),
        );
        fact("lua_Unsigned is unsigned", "(lua_Unsigned)-1 > 0");
        fact(
            "lua_upvalueindex(1) is LUA_REGISTRYINDEX - 1",
            "lua_upvalueindex(1) == LUA_REGISTRYINDEX - 1",
        );
    }
    if version >= 503 {
        fact(
            "sizeof(lua_KContext) is sizeof(void *)",
            "sizeof(lua_KContext) == sizeof(void *)",
        );
        fact(
            "LUA_EXTRASPACE is sizeof(void *)",
            "LUA_EXTRASPACE == sizeof(void *)",
        );
    }

    for (c_type, mirror, fields) in [
        ("lua_Debug", "mirror_Debug", debug_fields(version)),
        ("luaL_Buffer", "mirror_Buffer", buffer_fields(version)),
    ] {
        for (_, field) in fields
            .iter()
            .filter(|(_, field)| !field.contains("private"))
        {
            let field = field.split('[').next().unwrap();
            fact(
                &format!("offset of {c_type}.{field}"),
                &format!("offsetof({c_type}, {field}) == offsetof(struct {mirror}, {field})"),
            );
        }
        fact(
            &format!("sizeof({c_type})"),
            &format!("sizeof({c_type}) == sizeof(struct {mirror})"),
        );
    }
    facts
}

/// Macros that must have this very value.
fn constants(version: u32) -> Vec<(&'static str, String)> {
    let mut list = vec![("LUA_VERSION_NUM", version.to_string())];
    let mut add = |name, value: &str| list.push((name, value.to_owned()));

    match version {
        501 => {
            add("LUA_REGISTRYINDEX", "-10000");
            add("LUA_ENVIRONINDEX", "-10001");
            add("LUA_GLOBALSINDEX", "-10002");
        }
        505 => add("LUA_REGISTRYINDEX", "-(INT_MAX / 2 + 1000)"),
        _ => {
            add("LUAI_MAXSTACK", "1000000");
            add("LUA_REGISTRYINDEX", "-1001000");
        }
    }
    if version >= 502 {
        let (globals, main_thread, last) = if version == 505 {
            ("2", "3", "3")
        } else {
            ("2", "1", "2")
        };
        add("LUA_RIDX_GLOBALS", globals);
        add("LUA_RIDX_MAINTHREAD", main_thread);
        add("LUA_RIDX_LAST", last);
    }
    match version {
        501 => {}
        502 | 503 => add("LUA_NUMTAGS", "9"),
        _ => add("LUA_NUMTYPES", "9"),
    }
    for (value, tag) in [
        "LUA_TNIL",
        "LUA_TBOOLEAN",
        "LUA_TLIGHTUSERDATA",
        "LUA_TNUMBER",
        "LUA_TSTRING",
        "LUA_TTABLE",
    ]
    .into_iter()
    .chain(["LUA_TFUNCTION", "LUA_TUSERDATA", "LUA_TTHREAD"])
    .enumerate()
    {
        add(tag, &value.to_string());
    }
    add("LUA_YIELD", "1");
    add("LUA_ERRRUN", "2");
    add("LUA_ERRMEM", "4");
    add(
        "LUA_ERRERR",
        if matches!(version, 502 | 503) {
            "6"
        } else {
            "5"
        },
    );
    add("LUA_MULTRET", "-1");
    add("LUA_MINSTACK", "20");
    add("LUA_IDSIZE", "60");
    add(
        "LUAL_BUFFERSIZE",
        match version {
            501 | 502 => "(BUFSIZ > 16384 ? 8192 : BUFSIZ)",
            503 => "0x80 * sizeof(void *) * 8",
            _ => "16 * sizeof(void *) * 8",
        },
    );
    list
}

type Fields = Vec<(&'static str, &'static str)>;

/// The fields of the bindings' `lua_Debug`, type and name.
fn debug_fields(version: u32) -> Fields {
    let text = "const char *";
    let mut fields = vec![
        ("int", "event"),
        (text, "name"),
        (text, "namewhat"),
        (text, "what"),
        (text, "source"),
    ];
    if version >= 504 {
        fields.push(("size_t", "srclen"));
    }
    fields.push(("int", "currentline"));
    if version == 501 {
        fields.push(("int", "nups"));
    }
    fields.extend([("int", "linedefined"), ("int", "lastlinedefined")]);
    if version >= 502 {
        fields.extend([
            ("unsigned char", "nups"),
            ("unsigned char", "nparams"),
            ("char", "isvararg"),
        ]);
        if version == 505 {
            fields.push(("unsigned char", "extraargs"));
        }
        fields.push(("char", "istailcall"));
    }
    match version {
        504 => fields.extend([
            ("unsigned short", "ftransfer"),
            ("unsigned short", "ntransfer"),
        ]),
        505 => fields.extend([("int", "ftransfer"), ("int", "ntransfer")]),
        _ => {}
    }
    fields.push(("char", "short_src[60]"));
    fields.push((
        if version == 501 { "int" } else { "void *" },
        "private_i_ci",
    ));
    fields
}

/// The fields of the bindings' `luaL_Buffer`; its last one, the buffer itself, is in the sizes only.
fn buffer_fields(version: u32) -> Fields {
    match version {
        501 => vec![
            ("char *", "p"),
            ("int", "lvl"),
            ("lua_State *", "L"),
            ("char", "private_space[BUFSIZ > 16384 ? 8192 : BUFSIZ]"),
        ],
        502 => vec![
            ("char *", "b"),
            ("size_t", "size"),
            ("size_t", "n"),
            ("lua_State *", "L"),
            ("char", "private_space[BUFSIZ > 16384 ? 8192 : BUFSIZ]"),
        ],
        503 => vec![
            ("char *", "b"),
            ("size_t", "size"),
            ("size_t", "n"),
            ("lua_State *", "L"),
            ("char", "private_space[0x80 * sizeof(void *) * 8]"),
        ],
        _ => vec![
            ("char *", "b"),
            ("size_t", "size"),
            ("size_t", "n"),
            ("lua_State *", "L"),
            ("union { lua_Number n; double u; void *s; lua_Integer i; long l; char b[16 * sizeof(void *) * 8]; }", "private_space"),
        ],
    }
}

/// What every check begins with: the headers, and the bindings' structs as C.
fn preamble(version: u32) -> String {
    let mut c = String::from("#include <limits.h>\n#include <stddef.h>\n#include <stdio.h>\n");
    c += "#include <lua.h>\n#include <lauxlib.h>\n";
    for (mirror, fields) in [
        ("mirror_Debug", debug_fields(version)),
        ("mirror_Buffer", buffer_fields(version)),
    ] {
        c += &format!("struct {mirror} {{\n");
        for (c_type, name) in fields {
            c += &format!("  {c_type} {name};\n");
        }
        c += "};\n";
    }
    c
}

/// Fails the build with the names of the facts that are false. Where that can't be found out, warns and goes on.
pub fn check(version: u32) {
    let Some(headers) = headers(version) else {
        return;
    };
    let compiler = Compiler {
        headers,
        preamble: preamble(version),
    };
    if !compiler.accepts("headers", "") {
        println!("cargo::warning=the headers of the system's Lua could not be compiled: their ABI is not checked");
        return;
    }
    let facts = facts(version);
    let all: String = facts
        .iter()
        .enumerate()
        .map(|(i, fact)| fact.to_c(i))
        .collect();
    if compiler.accepts("all", &all) {
        return;
    }
    println!(
        "cargo::error=the Lua headers{} do not fit what mlua-sys assumes about Lua:",
        compiler.place()
    );
    for (i, fact) in facts.iter().enumerate() {
        if compiler.accepts(&format!("fact{i}"), &fact.to_c(i)) {
            continue;
        }
        println!("cargo::error=not so: {}", fact.name);
        if i == 0 {
            break; // another version of Lua: the rest would differ as well
        }
    }
    println!("cargo::error=use the headers of an unmodified Lua, or build it from source with the feature `vendored`");
}

impl Fact {
    fn to_c(&self, number: usize) -> String {
        format!("typedef char fact{number}[({}) ? 1 : -1];\n", self.expr)
    }
}

struct Compiler {
    headers: Vec<PathBuf>,
    preamble: String,
}

impl Compiler {
    fn accepts(&self, name: &str, body: &str) -> bool {
        let dir = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("abi");
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join(name).with_extension("c");
        fs::write(&file, format!("{}{body}", self.preamble)).unwrap();
        cc::Build::new()
            .cargo_metadata(false)
            .cargo_warnings(false)
            .warnings(false)
            .includes(&self.headers)
            .out_dir(&dir)
            .file(&file)
            .try_compile_intermediates()
            .is_ok()
    }

    fn place(&self) -> String {
        self.headers
            .iter()
            .map(|dir| format!(" in {}", dir.display()))
            .collect::<Vec<_>>()
            .join(",")
    }
}

/// Where the headers are: `LUA_INC`, else what `pkg-config` says, asked in the order in which `mlua-sys` asks it.
fn headers(version: u32) -> Option<Vec<PathBuf>> {
    println!("cargo::rerun-if-env-changed=LUA_INC");
    println!("cargo::rerun-if-env-changed=LUA_LIB_NAME");
    let given = |name| env::var_os(name).filter(|value| !value.is_empty());

    let dirs = if let Some(dirs) = given("LUA_INC") {
        env::split_paths(&dirs).collect()
    } else if given("LUA_LIB_NAME").is_some() {
        println!("cargo::warning=LUA_LIB_NAME is set without LUA_INC: the headers are unknown, their ABI is not checked");
        return None;
    } else if let Some(dirs) = pkg_config_dirs(version) {
        dirs
    } else {
        // With `module` nothing of Lua is linked, so nothing of Lua needs to be installed.
        println!("cargo::warning=pkg-config finds no Lua: the ABI of its headers is not checked");
        return None;
    };
    for header in dirs
        .iter()
        .flat_map(|dir: &PathBuf| ["lua.h", "luaconf.h", "lauxlib.h"].map(|h| dir.join(h)))
    {
        if header.exists() {
            println!("cargo::rerun-if-changed={}", header.display());
        }
    }
    Some(dirs)
}

fn pkg_config_dirs(version: u32) -> Option<Vec<PathBuf>> {
    let mut config = pkg_config::Config::new();
    config.cargo_metadata(false).env_metadata(true);

    if cfg!(feature = "luajit") {
        let lib = config.range_version("2.0.4".."2.2").probe("luajit").ok()?;
        return Some(lib.include_paths);
    }
    let (major, minor) = (version / 100, version % 100);
    let (from, to) = (format!("{major}.{minor}"), format!("{major}.{}", minor + 1));
    let plain = config
        .clone()
        .range_version(from.as_str()..to.as_str())
        .probe("lua");
    let names = [
        format!("lua{major}.{minor}"),
        format!("lua-{major}.{minor}"),
        format!("lua{major}{minor}"),
    ];
    let lib = plain
        .ok()
        .or_else(|| names.iter().find_map(|name| config.probe(name).ok()))?;
    Some(lib.include_paths)
}
