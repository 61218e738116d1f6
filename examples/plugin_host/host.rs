//! The work of the host: load plugins, fire events, reload, and count what stays.

use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{Lua, Result, UserDataRef, WeakLua};

use crate::bus::{brief, Bus, Tally};
use crate::callback::Callback;
use crate::options::Options;
use crate::plugin::Plugin;

const EVENTS_PER_RELOAD: u64 = 20;

/// Growth of the resident memory that an allocator may cause on its own.
const NOISE_KIB: u64 = 8 * 1024;

/// What one run with one kind of reference showed.
pub struct Run {
    pub bad_plugins: Vec<String>,
    pub tallies: Vec<Tally>,
    pub instances_made: usize,
    pub instances_open: usize,
    pub userdata_alive: usize,
    pub memory_before_kib: Option<u64>,
    pub memory_after_kib: Option<u64>,
    pub events_time: Duration,
    pub reloads_time: Duration,
}

impl Run {
    /// Whether something outlived its instance.
    pub fn leaks(&self) -> bool {
        let grown = match (self.memory_before_kib, self.memory_after_kib) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => 0,
        };
        self.instances_open > 0 || self.userdata_alive > 0 || grown > NOISE_KIB
    }
}

/// Every instance that was made, and a token that each bus holds a clone of.
#[derive(Default)]
struct Census {
    instances: Vec<WeakLua>,
    token: Rc<()>,
}

impl Census {
    fn instances_open(&self) -> usize {
        self.instances.iter().filter(|lua| lua.is_alive()).count()
    }

    fn userdata_alive(&self) -> usize {
        Rc::strong_count(&self.token) - 1
    }
}

/// Loads the plugins, fires the events and reloads, with callbacks kept as `C`.
pub fn run<C: Callback>(options: &Options, plugins: &[Plugin]) -> Result<Run> {
    let mut census = Census::default();
    let mut good_plugins = Vec::new();
    let mut bad_plugins = Vec::new();

    let lua = open::<C>(&mut census)?;
    for plugin in plugins {
        match plugin.load(&lua) {
            Ok(()) => good_plugins.push(plugin),
            Err(error) => bad_plugins.push(brief(&error)),
        }
    }
    let start = Instant::now();
    let tallies = {
        let bus = bus::<C>(&lua)?;
        fire(&bus, options.events);
        bus.tallies()
    };
    let events_time = start.elapsed();
    drop(lua);

    let memory_before_kib = resident_kib();
    let start = Instant::now();
    for _ in 0..options.reloads {
        let lua = open::<C>(&mut census)?;
        for plugin in &good_plugins {
            plugin.load(&lua)?;
        }
        fire(&*bus::<C>(&lua)?, EVENTS_PER_RELOAD);
    }

    Ok(Run {
        bad_plugins,
        tallies,
        instances_made: census.instances.len(),
        instances_open: census.instances_open(),
        userdata_alive: census.userdata_alive(),
        memory_before_kib,
        memory_after_kib: resident_kib(),
        events_time,
        reloads_time: start.elapsed(),
    })
}

/// Opens a fresh instance with a bus: from here on the two hold each other.
fn open<C: Callback>(census: &mut Census) -> Result<Rc<Lua>> {
    let lua = Rc::new(Lua::new());
    census.instances.push(lua.weak());
    let bus = Bus::<C>::new(&lua, Rc::clone(&census.token));
    lua.globals().set("bus", bus)?;
    Ok(lua)
}

fn bus<C: Callback>(lua: &Lua) -> Result<UserDataRef<'_, Bus<C>>> {
    lua.globals().get("bus")
}

/// Fires `count` events and then asks every plugin for a report.
fn fire<C: Callback>(bus: &Bus<C>, count: u64) {
    const MESSAGES: [&str; 3] = ["hello darn world", "Lua and Rust", "a heck of a day"];

    for n in 0..count {
        match n % 4 {
            0 => bus.fire("message", MESSAGES[(n / 4) as usize % MESSAGES.len()]),
            1 => bus.fire("gate", if n % 3 == 0 { "coin" } else { "push" }),
            2 => bus.fire("order", n % 100),
            _ => bus.fire("tick", n / 4),
        };
    }
    bus.fire("report", count);
}

/// The resident memory of this process, where the system tells it.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:"))?;
    resident.trim().strip_suffix(" kB")?.parse().ok()
}
