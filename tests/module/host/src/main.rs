//! A program with a Lua of its own that opens, uses and closes VMs which require `testmod`, and looks at what is left of
//! them: in `package.cpath` by `LUA_CPATH`, and as a library by its path, the only argument.

use std::ffi::{c_int, CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};

use libloading::Library;
use mlua_sys as ffi;

/// What early finalizers, those that run when the instance is gone, have reported.
static DESTROYED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C-unwind" fn report(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: called by Lua with a string.
    let text = unsafe { CStr::from_ptr(ffi::lua_tostring(state, 1)) };
    assert_eq!(text.to_str(), Ok("Lua instance is destroyed"));
    DESTROYED.fetch_add(1, Ordering::Relaxed);
    0
}

struct Vm(*mut ffi::lua_State);

impl Vm {
    fn new() -> Vm {
        // SAFETY: nothing in here raises but for a lack of memory.
        unsafe {
            let state = ffi::luaL_newstate();
            ffi::luaL_openlibs(state);
            ffi::lua_pushcfunction(state, report);
            ffi::lua_setglobal(state, c"report".as_ptr());
            Vm(state)
        }
    }

    #[track_caller]
    fn run(&self, code: &str) {
        let code = CString::new(code).unwrap();
        // SAFETY: an open VM, which this thread alone uses; protected.
        unsafe {
            if ffi::luaL_loadstring(self.0, code.as_ptr()) != ffi::LUA_OK
                || ffi::lua_pcall(self.0, 0, 0, 0) != ffi::LUA_OK
            {
                let text = CStr::from_ptr(ffi::luaL_tolstring(self.0, -1, std::ptr::null_mut()));
                panic!("{}", text.to_string_lossy());
            }
        }
    }

    fn collect(&self) {
        // SAFETY: an open VM.
        unsafe { ffi::lua_gc(self.0, ffi::LUA_GCCOLLECT) };
    }

    fn close(self) {
        // SAFETY: open up to here.
        unsafe { ffi::lua_close(self.0) }
    }
}

/// Keeps a handle of each kind, and leaves objects with finalizers older and younger than the instance.
const SESSION: &str = r#"
    early = setmetatable({}, { __gc = function()
        local ok, text = pcall(m.add, 1, 2)
        report(ok and "it worked" or text)
    end })
    m = require "testmod"
    assert(m.add(1, 2) == 3 and m.times_seven(6) == 42)
    m.keep({}, print)
    witness = m.witness({})
    local ok, text = pcall(m.fail, "no")
    assert(not ok and tostring(text):find "no")
    local a, b = m.twice(witness)
    late = setmetatable({}, { __gc = function()
        if witness:is_alive() then error "a handle is alive" end
        kept_late = m.witness({})
        closed = true
    end })
"#;

struct Module(Library);

impl Module {
    fn ask(&self, name: &str) -> usize {
        // SAFETY: `testmod` exports these with this type.
        unsafe {
            self.0
                .get::<extern "C" fn() -> usize>(name.as_bytes())
                .unwrap()()
        }
    }

    fn check(&self, kept: usize, alive: usize) {
        assert_eq!(self.ask("testmod_kept"), kept, "kept");
        assert_eq!(self.ask("testmod_alive"), alive, "alive");
    }
}

fn two_vms(module: &Module) {
    let (a, b) = (Vm::new(), Vm::new());
    a.run(SESSION);
    b.run(SESSION);
    module.check(2, 2);
    a.run("m.keep({}, print) m.witness({}) m.witness({})");
    module.check(3, 3);
    let alive = module.ask("testmod_dropped_alive");
    a.collect();
    // Two by hand, and the four clones that `twice` made and was given.
    assert!(module.ask("testmod_dropped_alive") >= alive + 2);
    module.check(3, 3);

    b.collect();
    let alive = module.ask("testmod_dropped_alive");
    let dead = module.ask("testmod_dropped_dead");
    a.close();
    module.check(3, 1);
    assert_eq!(module.ask("testmod_dropped_alive"), alive);
    assert_eq!(module.ask("testmod_dropped_dead"), dead + 2);
    assert_eq!(DESTROYED.load(Ordering::Relaxed), 1);
    b.run("assert(m.add(2, 2) == 4 and witness:is_alive())");
    assert_eq!(module.ask("testmod_forget_dead"), 2);
    module.check(1, 1);
    b.close();
    module.check(1, 0);
    assert_eq!(module.ask("testmod_dropped_alive"), alive);
    assert_eq!(module.ask("testmod_dropped_dead"), dead + 4);
    assert_eq!(DESTROYED.load(Ordering::Relaxed), 2);
    assert_eq!(module.ask("testmod_forget_dead"), 1);
    module.check(0, 0);
}

/// A required module is unloaded with its VM, if nothing else holds it.
fn come_and_go(times: usize) {
    for _ in 0..times {
        let vm = Vm::new();
        vm.run(SESSION);
        vm.close();
    }
}

fn main() {
    let path = std::env::args_os().nth(1).expect("the path of the library");
    come_and_go(20);
    // Handles in thread-locals are dropped after the VM, when the thread ends.
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| come_and_go(20)))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    DESTROYED.store(0, Ordering::Relaxed);
    // SAFETY: loading it runs nothing.
    let module = Module(unsafe { Library::new(path) }.unwrap());
    module.ask("testmod_forget_dead");
    two_vms(&module);
    println!("ok: two VMs, and {} that came and went", 20 + 4 * 20);
}
