//! The rows on the bare C API, as a careful C programmer writes them: the limit for any binding.
//!
//! The program as a whole runs under one `lua_pcall`, as `lua.c` does: so running out of memory is caught, and making a
//! table needs no protection of its own. What may fail otherwise, calls, has it, and each status and type is checked.
//! The program knows which of its tables have a metatable, and keeps what it often needs (its references, the metatables
//! of its types) at known places of the stack or in upvalues.
//!
//! SAFETY, for the whole file: every function is unsafe since it wants an open state `l`, and leaves its stack as it was
//! but for the results that its name or comment tells. No frame that an error may jump over has something to drop.

mod document;
mod meter;

use std::ffi::{c_char, c_int, CStr};
use std::ptr;

use document::{Document, Record};
use meter::{rows, Live, Meter};
use mlua_sys::*;

/// An instance with the libraries that the other crates open.
unsafe fn open() -> *mut lua_State {
    unsafe extern "C-unwind" fn libraries(l: *mut lua_State) -> c_int {
        let libraries: [(&CStr, lua_CFunction); 9] = [
            (c"_G", luaopen_base),
            (c"package", luaopen_package),
            (c"coroutine", luaopen_coroutine),
            (c"table", luaopen_table),
            (c"io", luaopen_io),
            (c"os", luaopen_os),
            (c"string", luaopen_string),
            (c"utf8", luaopen_utf8),
            (c"math", luaopen_math),
        ];
        for (name, open) in libraries {
            luaL_requiref(l, name.as_ptr(), open, 1);
            lua_pop(l, 1);
        }
        0
    }
    let l = luaL_newstate();
    assert!(!l.is_null());
    lua_pushcfunction(l, libraries);
    check(l, lua_pcall(l, 0, 0, 0));
    l
}

/// Runs a row in an instance of its own, under protection.
unsafe fn run<F: FnOnce(*mut lua_State)>(row: F) {
    unsafe extern "C-unwind" fn protected<F: FnOnce(*mut lua_State)>(l: *mut lua_State) -> c_int {
        let row = &mut *lua_touserdata(l, 1).cast::<Option<F>>();
        lua_pop(l, 1);
        row.take().unwrap()(l);
        0
    }
    let l = open();
    lua_pushcfunction(l, protected::<F>);
    lua_pushlightuserdata(l, ptr::from_mut(&mut Some(row)).cast());
    check(l, lua_pcall(l, 1, 0, 0));
    lua_close(l);
}

/// Panics with Lua's message unless `status` is that of success.
unsafe fn check(l: *mut lua_State, status: c_int) {
    if status != LUA_OK {
        panic!("{}", str_at(l, -1));
    }
}

/// Pushes what the chunk returns.
unsafe fn eval(l: *mut lua_State, source: &CStr) {
    check(l, luaL_loadstring(l, source.as_ptr()));
    check(l, lua_pcall(l, 0, 1, 0));
}

/// The integer on top, which is popped.
unsafe fn pop_integer(l: *mut lua_State) -> i64 {
    let mut is_integer = 0;
    let integer = lua_tointegerx(l, -1, &mut is_integer);
    assert!(is_integer != 0, "not an integer");
    lua_pop(l, 1);
    integer
}

/// The string at `index`, checked to be UTF-8. It must stay there for as long as it is used.
unsafe fn str_at<'a>(l: *mut lua_State, index: c_int) -> &'a str {
    let mut length = 0;
    let text = lua_tolstring(l, index, &mut length);
    assert!(!text.is_null(), "not a string");
    str::from_utf8(std::slice::from_raw_parts(text.cast(), length)).expect("UTF-8")
}

/// Pushes a copy.
unsafe fn push_str(l: *mut lua_State, text: &str) {
    lua_pushlstring(l, text.as_ptr().cast(), text.len());
}

/// Calls the function under the `arguments` on top, and takes its integer.
unsafe fn call(l: *mut lua_State, arguments: c_int) -> i64 {
    check(l, lua_pcall(l, arguments, 1, 0));
    pop_integer(l)
}

const INCREMENT: &CStr = c"return function(x) return x + 1 end";
const POSITION: *const c_char = c"position".as_ptr();

/// References to values: a table, and the free places in it.
struct References {
    table: c_int,
    used: lua_Integer,
    free: Vec<lua_Integer>,
}

impl References {
    /// Leaves its table on the stack.
    unsafe fn new(l: *mut lua_State) -> Self {
        lua_newtable(l);
        Self {
            table: lua_gettop(l),
            used: 0,
            free: Vec::new(),
        }
    }

    /// To the value on top, which is popped.
    unsafe fn make(&mut self, l: *mut lua_State) -> lua_Integer {
        let place = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used
        });
        lua_rawseti(l, self.table, place);
        place
    }

    unsafe fn push(&self, l: *mut lua_State, reference: lua_Integer) {
        lua_rawgeti(l, self.table, reference);
    }

    unsafe fn drop(&mut self, l: *mut lua_State, reference: lua_Integer) {
        lua_pushboolean(l, 0); // not nil: the table stays an array
        lua_rawseti(l, self.table, reference);
        self.free.push(reference);
    }
}

unsafe fn stored_callback(m: &Meter, l: *mut lua_State) {
    let mut references = References::new(l);
    eval(l, INCREMENT);
    let reference = references.make(l);
    m.run(42, || {
        references.push(l, reference);
        lua_pushinteger(l, 41);
        call(l, 1)
    });
}

unsafe fn stored_table(m: &Meter, l: *mut lua_State) {
    let mut references = References::new(l);
    eval(l, c"return { position = 42 }");
    let reference = references.make(l);
    m.run(42, || {
        references.push(l, reference);
        lua_getfield(l, -1, POSITION);
        let position = pop_integer(l);
        lua_pop(l, 1);
        position
    });
}

unsafe fn handle_make(m: &Meter, l: *mut lua_State) {
    let mut references = References::new(l);
    eval(l, INCREMENT);
    m.run(1, || {
        lua_pushvalue(l, -1);
        let reference = references.make(l);
        references.drop(l, reference);
        reference
    });
}

unsafe fn get_string(m: &Meter, l: *mut lua_State) {
    eval(l, c"return { position = 42 }");
    get_position(m, l);
}

/// Of the table at 1.
unsafe fn get_position(m: &Meter, l: *mut lua_State) {
    m.run(42, || {
        lua_getfield(l, 1, POSITION);
        pop_integer(l)
    });
}

unsafe fn get_integer(m: &Meter, l: *mut lua_State) {
    eval(l, c"return { 40, 41, 42 }");
    m.run(42, || {
        lua_rawgeti(l, 1, 3);
        pop_integer(l)
    });
}

unsafe fn set_string(m: &Meter, l: *mut lua_State) {
    eval(l, c"return { position = 1 }");
    m.run((), || {
        lua_pushinteger(l, 42);
        lua_setfield(l, 1, POSITION);
    });
    lua_getfield(l, 1, POSITION);
    assert_eq!(pop_integer(l), 42);
}

unsafe fn set_integer(m: &Meter, l: *mut lua_State) {
    eval(l, c"return { 1, 2, 3 }");
    m.run((), || {
        lua_pushinteger(l, 42);
        lua_rawseti(l, 1, 3);
    });
    lua_rawgeti(l, 1, 3);
    assert_eq!(pop_integer(l), 42);
}

unsafe fn raw_get(m: &Meter, l: *mut lua_State) {
    eval(l, c"return { position = 42 }");
    m.run(42, || {
        push_str(l, "position");
        lua_rawget(l, 1);
        pop_integer(l)
    });
}

/// The program knows that its `__index` is a table: no Lua function is called.
unsafe fn get_index(m: &Meter, l: *mut lua_State) {
    eval(
        l,
        c"return setmetatable({}, { __index = { position = 42 } })",
    );
    get_position(m, l);
}

/// Pushes a table with `n` integers.
unsafe fn push_sequence(l: *mut lua_State, n: i64) {
    lua_newtable(l);
    for i in 1..=n {
        lua_pushinteger(l, i);
        lua_rawseti(l, -2, i);
    }
}

unsafe fn pairs_integers(m: &Meter, l: *mut lua_State) {
    let n = m.units() as i64;
    push_sequence(l, n);
    m.run(n * (n + 1), || {
        let mut sum = 0;
        lua_pushnil(l);
        while lua_next(l, 1) != 0 {
            sum += pop_integer(l);
            let mut is_integer = 0;
            sum += lua_tointegerx(l, -1, &mut is_integer);
            assert!(is_integer != 0);
        }
        sum
    });
}

/// Copies each key, as the other peers do.
unsafe fn pairs_strings(m: &Meter, l: *mut lua_State) {
    let n = m.units() as i64;
    lua_newtable(l);
    for i in 1..=n {
        push_str(l, &format!("key{i:03}"));
        lua_pushinteger(l, i);
        lua_rawset(l, 1);
    }
    m.run(n * 6 + n * (n + 1) / 2, || {
        let mut sum = 0;
        lua_pushnil(l);
        while lua_next(l, 1) != 0 {
            sum += pop_integer(l);
            assert_eq!(lua_type(l, -1), LUA_TSTRING); // lua_tolstring changes numbers
            sum += str_at(l, -1).to_owned().len() as i64;
        }
        sum
    });
}

unsafe fn sequence(m: &Meter, l: *mut lua_State) {
    let n = m.units() as i64;
    push_sequence(l, n);
    m.run(n * (n + 1) / 2, || {
        let (mut sum, mut at) = (0, 1);
        while lua_rawgeti(l, 1, at) != LUA_TNIL {
            sum += pop_integer(l);
            at += 1;
        }
        lua_pop(l, 1);
        sum
    });
}

unsafe fn create_table(m: &Meter, l: *mut lua_State) {
    m.run(true, || {
        lua_newtable(l);
        let made = lua_istable(l, -1) != 0;
        lua_pop(l, 1);
        made
    });
}

/// The table has room from the start; what kinds of keys will come is not known.
unsafe fn create_table_from(m: &Meter, l: *mut lua_State) {
    let n = m.units() as i64;
    m.run(n as usize, || {
        lua_createtable(l, 0, n as c_int);
        for i in 1..=n {
            lua_pushinteger(l, i);
            lua_pushinteger(l, i);
            lua_rawset(l, -3);
        }
        let length = lua_rawlen(l, -1);
        lua_pop(l, 1);
        length as usize
    });
}

unsafe fn create_string(m: &Meter, l: *mut lua_State) {
    let mut text = *b"a string of 32 bytes: ..........";
    let mut number = 0_u64;
    m.run(32, || {
        number += 1;
        text[24..].copy_from_slice(&number.to_ne_bytes());
        lua_pushlstring(l, text.as_ptr().cast(), text.len());
        let length = lua_rawlen(l, -1);
        lua_pop(l, 1);
        length as usize
    });
}

unsafe fn to_str(m: &Meter, l: *mut lua_State) {
    push_str(l, "a string of 32 bytes: ..........");
    m.run(32, || str_at(l, 1).len());
}

unsafe fn call_0(m: &Meter, l: *mut lua_State) {
    eval(l, c"return function() return 42 end");
    m.run(42, || {
        lua_pushvalue(l, 1);
        call(l, 0)
    });
}

unsafe fn call_1(m: &Meter, l: *mut lua_State) {
    eval(l, INCREMENT);
    m.run(42, || {
        lua_pushvalue(l, 1);
        lua_pushinteger(l, 41);
        call(l, 1)
    });
}

unsafe fn call_3(m: &Meter, l: *mut lua_State) {
    eval(l, c"return function(x, y, z) return x + y + z end");
    m.run(42, || {
        lua_pushvalue(l, 1);
        lua_pushinteger(l, 10);
        lua_pushinteger(l, 12);
        lua_pushinteger(l, 20);
        call(l, 3)
    });
}

/// Calls the Lua function of `source` with the value on top and the number of units.
unsafe fn repeat(m: &Meter, l: *mut lua_State, source: &CStr, expected: i64) {
    let n = m.units() as i64;
    eval(l, source);
    m.run(expected, || {
        lua_pushvalue(l, -1);
        lua_pushvalue(l, -3);
        lua_pushinteger(l, n);
        call(l, 2)
    });
}

unsafe fn callback(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn add(l: *mut lua_State) -> c_int {
        let sum = luaL_checkinteger(l, 1) + luaL_checkinteger(l, 2);
        lua_pushinteger(l, sum);
        1
    }
    lua_pushcfunction(l, add);
    repeat(
        m,
        l,
        c"return function(f, n) local sum = 0 for i = 1, n do sum = f(sum, 1) end return sum end",
        m.units() as i64,
    );
}

unsafe fn create_function(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn add(l: *mut lua_State) -> c_int {
        let sum = luaL_checkinteger(l, 1) + lua_tointeger(l, lua_upvalueindex(1));
        lua_pushinteger(l, sum);
        1
    }
    let mut number = 0;
    m.run(true, || {
        number += 1;
        lua_pushinteger(l, number);
        lua_pushcclosure(l, add, 1);
        let made = lua_iscfunction(l, -1) != 0;
        lua_pop(l, 1);
        made
    });
}

/// A function that reads a Rust value by pointer; the pointer is taken away at the end.
unsafe fn scope(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn add(l: *mut lua_State) -> c_int {
        let number = *lua_touserdata(l, lua_upvalueindex(1)).cast::<*const i64>();
        if number.is_null() {
            return luaL_error(l, c"the scope has ended".as_ptr());
        }
        lua_pushinteger(l, luaL_checkinteger(l, 1) + *number);
        1
    }
    let number = 1_i64;
    m.run(42, || {
        let slot = lua_newuserdatauv(l, size_of::<*const i64>(), 0).cast::<*const i64>();
        slot.write(&number);
        lua_pushvalue(l, -1);
        lua_pushcclosure(l, add, 1);
        lua_pushinteger(l, 41);
        let status = lua_pcall(l, 1, 1, 0);
        slot.write(ptr::null());
        check(l, status);
        let result = pop_integer(l);
        lua_pop(l, 1);
        result
    });
}

unsafe fn resume(m: &Meter, l: *mut lua_State) {
    let thread = lua_newthread(l);
    eval(
        thread,
        c"return function(x) while true do x = coroutine.yield(x + 1) end end",
    );
    m.run(42, || {
        assert!(lua_checkstack(thread, 1) != 0);
        lua_pushinteger(thread, 41);
        let mut results = 0;
        let status = lua_resume(thread, l, 1, &mut results);
        assert!(status == LUA_YIELD && results == 1);
        pop_integer(thread)
    });
}

/// Pushes a userdata with the metatable at `metatable`.
unsafe fn push_userdata(l: *mut lua_State, metatable: c_int, value: i64) {
    let data = lua_newuserdatauv(l, size_of::<i64>(), 0).cast::<i64>();
    data.write(value);
    lua_pushvalue(l, metatable);
    lua_setmetatable(l, -2);
}

/// The value at `index` if its metatable is the one at `metatable`, else null.
unsafe fn userdata_at(l: *mut lua_State, index: c_int, metatable: c_int) -> *mut i64 {
    let data = lua_touserdata(l, index);
    if data.is_null() || lua_getmetatable(l, index) == 0 {
        return ptr::null_mut();
    }
    let same = lua_rawequal(l, -1, metatable) != 0;
    lua_pop(l, 1);
    if same {
        data.cast()
    } else {
        ptr::null_mut()
    }
}

/// The first argument of a function with its type's metatable as upvalue; an error if it is something else.
unsafe fn this(l: *mut lua_State) -> *mut i64 {
    let this = userdata_at(l, 1, lua_upvalueindex(1));
    if this.is_null() {
        luaL_error(l, c"another type".as_ptr());
    }
    this
}

unsafe fn method(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn add(l: *mut lua_State) -> c_int {
        let counter = this(l);
        *counter += luaL_checkinteger(l, 2);
        lua_pushinteger(l, *counter);
        1
    }
    lua_newtable(l); // the metatable
    lua_newtable(l); // its methods
    lua_pushvalue(l, 1);
    lua_pushcclosure(l, add, 1);
    lua_setfield(l, -2, c"add".as_ptr());
    lua_setfield(l, 1, c"__index".as_ptr());
    push_userdata(l, 1, 0);
    repeat(
        m,
        l,
        c"return function(u, n) for i = 1, n do u:add(1) end return u:add(-n) end",
        0,
    );
}

unsafe fn field(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn index(l: *mut lua_State) -> c_int {
        let point = this(l);
        match CStr::from_ptr(luaL_checkstring(l, 2)).to_bytes() {
            b"x" => lua_pushinteger(l, *point),
            _ => lua_pushnil(l),
        }
        1
    }
    lua_newtable(l);
    lua_pushvalue(l, 1);
    lua_pushcclosure(l, index, 1);
    lua_setfield(l, 1, c"__index".as_ptr());
    push_userdata(l, 1, 1);
    repeat(
        m,
        l,
        c"return function(u, n) local sum = 0 for i = 1, n do sum = sum + u.x end return sum end",
        m.units() as i64,
    );
}

unsafe fn borrow(m: &Meter, l: *mut lua_State) {
    lua_newtable(l);
    push_userdata(l, 1, 42);
    m.run(42, || {
        let counter = userdata_at(l, 2, 1);
        assert!(!counter.is_null());
        *counter
    });
}

/// With a finalizer, as any type has whose values own something.
unsafe fn userdata(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn collect(l: *mut lua_State) -> c_int {
        ptr::drop_in_place(this(l));
        0
    }
    lua_newtable(l);
    lua_pushvalue(l, 1);
    lua_pushcclosure(l, collect, 1);
    lua_setfield(l, 1, c"__gc".as_ptr());
    m.run(42, || {
        push_userdata(l, 1, 42);
        let value = *lua_touserdata(l, -1).cast::<i64>();
        lua_pop(l, 1);
        value
    });
}

unsafe fn rust_error(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn fail(l: *mut lua_State) -> c_int {
        push_str(l, "no");
        mlua_sys::lua_error(l)
    }
    lua_pushcfunction(l, fail);
    repeat(
        m,
        l,
        c"return function(f, n) local caught = 0
            for i = 1, n do if not pcall(f) then caught = caught + 1 end end
            return caught end",
        m.units() as i64,
    );
}

/// The message alone, without a traceback.
unsafe fn lua_error(m: &Meter, l: *mut lua_State) {
    eval(l, c"return function() error('no') end");
    m.run_checked(
        |message: String| message.contains("no"),
        || {
            lua_pushvalue(l, 1);
            assert_eq!(lua_pcall(l, 0, 0, 0), LUA_ERRRUN);
            let message = str_at(l, -1).to_owned();
            lua_pop(l, 1);
            message
        },
    );
}

unsafe fn state(m: &Meter, _: *mut lua_State) {
    m.run(true, || {
        let l = open();
        let made = lua_gettop(l) == 0;
        lua_close(l);
        made
    });
}

/// Resumes the function at 1 of `thread`, a coroutine that is used again, with 41; again for as long as it yields.
unsafe fn poll(l: *mut lua_State, thread: *mut lua_State) -> i64 {
    lua_pushvalue(thread, 1);
    lua_pushinteger(thread, 41);
    let mut arguments = 1;
    loop {
        let mut results = 0;
        match lua_resume(thread, l, arguments, &mut results) {
            LUA_OK => return pop_integer(thread),
            LUA_YIELD => lua_pop(thread, results),
            status => check(thread, status),
        }
        arguments = 0;
    }
}

unsafe fn async_ready(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn ready(l: *mut lua_State) -> c_int {
        lua_pushinteger(l, luaL_checkinteger(l, 1) + 1);
        1
    }
    let thread = lua_newthread(l);
    lua_pushcfunction(thread, ready);
    m.run(42, || poll(l, thread));
}

unsafe fn async_pending(m: &Meter, l: *mut lua_State) {
    unsafe extern "C-unwind" fn pending(l: *mut lua_State) -> c_int {
        luaL_checkinteger(l, 1);
        lua_yieldk(l, 0, 0, Some(ready))
    }
    unsafe extern "C-unwind" fn ready(l: *mut lua_State, _: c_int, _: lua_KContext) -> c_int {
        lua_pushinteger(l, lua_tointeger(l, 1) + 1);
        1
    }
    let thread = lua_newthread(l);
    lua_pushcfunction(thread, pending);
    m.run(42, || poll(l, thread));
}

/// Pushes a table of the document.
unsafe fn push_document(l: *mut lua_State, document: &Document) {
    lua_createtable(l, 0, 2);
    push_str(l, &document.title);
    lua_setfield(l, -2, c"title".as_ptr());
    lua_createtable(l, document.records.len() as c_int, 0);
    for (record, at) in document.records.iter().zip(1..) {
        lua_createtable(l, 0, 2);
        lua_pushinteger(l, record.id.into());
        lua_setfield(l, -2, c"id".as_ptr());
        lua_pushnumber(l, record.score);
        lua_setfield(l, -2, c"score".as_ptr());
        lua_rawseti(l, -2, at);
    }
    lua_setfield(l, -2, c"records".as_ptr());
}

/// Reads the document on top.
unsafe fn read_document(l: *mut lua_State) -> Document {
    lua_getfield(l, -1, c"title".as_ptr());
    let title = str_at(l, -1).to_owned();
    lua_getfield(l, -2, c"records".as_ptr());
    assert!(lua_istable(l, -1) != 0);
    let length = lua_rawlen(l, -1) as lua_Integer;
    let mut records = Vec::with_capacity(length as usize);
    for at in 1..=length {
        assert_eq!(lua_rawgeti(l, -1, at), LUA_TTABLE);
        lua_getfield(l, -1, c"id".as_ptr());
        let id = pop_integer(l).try_into().unwrap();
        lua_getfield(l, -1, c"score".as_ptr());
        let mut is_number = 0;
        let score = lua_tonumberx(l, -1, &mut is_number);
        assert!(is_number != 0);
        records.push(Record { id, score });
        lua_pop(l, 2);
    }
    lua_pop(l, 2);
    Document { title, records }
}

unsafe fn to_value(m: &Meter, l: *mut lua_State) {
    let document = document::document();
    push_document(l, &document);
    assert_eq!(read_document(l), document);
    m.run((), || {
        push_document(l, &document);
        lua_pop(l, 1);
    });
}

unsafe fn from_value(m: &Meter, l: *mut lua_State) {
    let document = document::document();
    push_document(l, &document);
    m.run_checked(|read| read == document, || read_document(l));
}

rows!(unsafe fn(&Meter, *mut lua_State);
    stored_callback,
    stored_table,
    handle_make,
    get_string,
    get_integer,
    set_string,
    set_integer,
    raw_get,
    get_index,
    pairs_integers,
    pairs_strings,
    sequence,
    create_table,
    create_table_from,
    create_string,
    to_str,
    call_0,
    call_1,
    call_3,
    callback,
    create_function,
    scope,
    resume,
    method,
    field,
    borrow,
    userdata,
    rust_error,
    lua_error,
    state,
    async_ready,
    async_pending,
    to_value,
    from_value,
);

unsafe fn live(l: *mut lua_State, count: usize, distinct: bool) {
    eval(
        l,
        c"return function(n) local fs = {} for i = 1, n do fs[i] = function(x) return x + i end end return fs end",
    );
    lua_pushinteger(l, if distinct { count as i64 } else { 1 });
    check(l, lua_pcall(l, 1, 1, 0));
    let at = |i| if distinct { i as i64 + 1 } else { 1 };
    let collect = || _ = lua_gc(l, LUA_GCCOLLECT);
    let mut references = References::new(l);
    let mut handles = Vec::with_capacity(count);

    let mut numbers = Live::before(count, collect);
    numbers.make(|| {
        for i in 0..count {
            lua_rawgeti(l, 1, at(i));
            handles.push(references.make(l));
        }
    });
    numbers.call(|i| {
        references.push(l, handles[i]);
        lua_pushinteger(l, 1);
        assert_eq!(call(l, 1), at(i) + 1);
    });
    numbers.collect(collect);
    numbers.drop(|| {
        handles
            .into_iter()
            .for_each(|handle| references.drop(l, handle))
    });
}

fn main() {
    // SAFETY: `run` gives an open state, and catches errors.
    unsafe {
        meter::main(
            ROWS,
            |row, m| run(|l| row(m, l)),
            |count, distinct| run(|l| live(l, count, distinct)),
        );
    }
}
