//! A game server as one would write it for mlua 0.9: settings in a Luau file, sandboxed mods that add handlers, and handlers
//! that wait.

use std::cell::RefCell;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use mlua::{Compiler, Function, Lua, LuaOptions, LuaSerdeExt, RegistryKey, Result, StdLib, Table};
use mlua::{UserData, UserDataFields, UserDataMethods, Value, Vector, VmState};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, PartialEq)]
struct Settings {
    name: String,
    limits: Limits,
    mods: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(default)]
struct Limits {
    players: u32,
    gravity: f32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            players: 8,
            gravity: 9.5,
        }
    }
}

#[derive(Serialize)]
struct Event<'a> {
    kind: &'a str,
    damage: u32,
}

struct Player {
    health: u32,
    position: Vector,
}

impl UserData for Player {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("health", |_, this| Ok(this.health));
        fields.add_field_method_get("position", |_, this| Ok(this.position));
        fields.add_field_method_set("position", |_, this, position: Vector| {
            this.position = position;
            Ok(())
        });
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_method_mut("hurt", |_, this, n: u32| {
            this.health = this.health.saturating_sub(n);
            Ok(this.health)
        });
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Pending `n` times.
async fn ticks(mut n: u32) {
    poll_fn(move |context| match n.checked_sub(1) {
        None => Poll::Ready(()),
        Some(rest) => {
            n = rest;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

fn main() -> Result<()> {
    let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::default())?;
    lua.enable_jit(true);
    lua.set_compiler(Compiler::new().set_optimization_level(2));

    let settings: Value = lua
        .load("return { name = 'arena', limits = { players = 4 }, mods = { 'thorns', 'regen' } }")
        .set_name("=settings")
        .eval()?;
    let settings: Settings = lua.from_value(settings)?;
    let limits = Limits {
        players: 4,
        ..Limits::default()
    };
    assert_eq!(
        (settings.name.as_str(), &settings.limits),
        ("arena", &limits)
    );

    let handlers: Rc<RefCell<Vec<RegistryKey>>> = Rc::default();
    let added = handlers.clone();
    let on = lua.create_function(move |lua, (_, handler): (String, Function)| {
        added.borrow_mut().push(lua.create_registry_value(handler)?);
        Ok(())
    })?;
    let sleep = lua.create_async_function(|_, n: u32| async move {
        ticks(n).await;
        Ok(n)
    })?;
    lua.globals().set("on", on)?;
    lua.globals().set("sleep", sleep)?;
    lua.globals().set("mods", lua.to_value(&settings.mods)?)?;

    lua.sandbox(true)?;
    lua.load(
        "on('hit', function(player, event: { kind: string, damage: number }): number
            local waited = sleep(3)
            player.position += vector(0, waited, 0)
            return player:hurt(event.damage)
        end)
        on('hit', function(player) if player.health < 80 then error('too weak') end end)",
    )
    .set_name("=mods")
    .exec()?;
    assert!(
        lua.load("table.insert = nil").exec().is_err(),
        "the library can be changed"
    );
    let known: Table = lua.globals().get("mods")?;
    assert_eq!(
        known.sequence_values().collect::<Result<Vec<String>>>()?,
        ["thorns", "regen"]
    );

    let player = lua.create_userdata(Player {
        health: 100,
        position: lua.load("vector(1, 2, 3)").eval()?,
    })?;
    let event = lua.to_value(&Event {
        kind: "arrow",
        damage: 30,
    })?;
    let keys = handlers.borrow();
    let [hurts, refuses] = keys.as_slice() else {
        panic!("{} handlers", keys.len())
    };
    let hurts: Function = lua.registry_value(hurts)?;
    assert_eq!(
        block_on(hurts.call_async::<_, u32>((player.clone(), event)))?,
        70
    );
    assert_eq!(player.borrow::<Player>()?.position.y(), 5.0);
    let refused = lua
        .registry_value::<Function>(refuses)?
        .call::<_, ()>(player)
        .unwrap_err();
    assert!(
        refused.to_string().contains("mods:6: too weak"),
        "{refused}"
    );

    let steps = Arc::new(AtomicUsize::new(0));
    let seen = steps.clone();
    lua.set_interrupt(move |_| match seen.fetch_add(1, Ordering::Relaxed) {
        0..=99 => Ok(VmState::Continue),
        _ => Err(mlua::Error::runtime("out of time")),
    });
    let endless = lua.load("while true do end").exec().unwrap_err();
    assert!(endless.to_string().contains("out of time"), "{endless}");
    lua.remove_interrupt();
    println!("patch-in, Luau: ok");
    Ok(())
}
