//! A build tool as one would write it for mlua 0.9, with the Lua of the system: a script describes targets, their steps are
//! asynchronous.

use std::cell::RefCell;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use mlua::{
    chunk, AnyUserData, ExternalError, FromLua, Function, Lua, LuaSerdeExt, MetaMethod, Result,
};
use mlua::{SerializeOptions, Table, UserData, UserDataMethods, Value, Variadic};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    name: String,
    build_dir: String,
    #[serde(default)]
    defines: Vec<(String, i64)>,
    license: Option<String>,
}

/// A path that scripts put together with `/`.
#[derive(Clone, Debug, FromLua, PartialEq)]
struct Place(String);

impl UserData for Place {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Div, |_, this, part: String| {
            Ok(Place(format!("{}/{part}", this.0)))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.clone()));
        methods.add_function("join", |_, parts: Variadic<Place>| {
            let parts: Vec<_> = parts.into_iter().map(|part| part.0).collect();
            Ok(Place(parts.join("/")))
        });
    }
}

#[derive(Default)]
struct Runner(RefCell<Vec<String>>);

impl UserData for Runner {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_async_method(
            "run",
            |_, this, (program, place): (String, Place)| async move {
                yield_now().await;
                if program == "false" {
                    return Err("exit code 1".into_lua_err());
                }
                this.0.borrow_mut().push(format!("{program} {}", place.0));
                Ok(this.0.borrow().len())
            },
        );
    }
}

async fn yield_now() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
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

fn main() -> Result<()> {
    let lua = Lua::new();
    let root = Place("/src".into());
    let targets = lua.create_table()?;
    let (top, list) = (root.clone(), targets.clone());
    lua.globals().set("runner", Runner::default())?;
    lua.load(chunk! {
        local build = $top / "build"
        manifest = { name = "tool", ["build-dir"] = tostring(build), defines = { { "DEBUG", 1 } } }
        function $list.compile(jobs)
            local done
            for i = 1, jobs do done = runner:run("cc", build / ("part" .. i)) end
            return done, build
        end
        function $list.check()
            local ok <const>, message = pcall(runner.run, runner, "false", build)
            return ok, tostring(message)
        end
    })
    .exec()?;

    let manifest: Manifest = lua.from_value(lua.globals().get("manifest")?)?;
    assert_eq!(
        (manifest.name.as_str(), manifest.build_dir.as_str()),
        ("tool", "/src/build")
    );
    assert_eq!(manifest.defines, [("DEBUG".to_owned(), 1)]);
    let options = SerializeOptions::new().serialize_none_to_null(false);
    let Value::Table(again) = lua.to_value_with(&manifest, options)? else {
        panic!("no table")
    };
    assert!(!again.contains_key("license")?);

    let compile: Function = targets.get("compile")?;
    let (steps, build): (usize, Place) = block_on(compile.call_async(3))?;
    assert_eq!((steps, build), (3, Place("/src/build".into())));
    let check: Function = targets.get("check")?;
    let (ok, message): (bool, String) = block_on(check.call_async(()))?;
    assert!(!ok && message.contains("exit code 1"), "{message}");

    let runner: AnyUserData = lua.globals().get("runner")?;
    assert_eq!(
        *runner.borrow::<Runner>()?.0.borrow(),
        [
            "cc /src/build/part1",
            "cc /src/build/part2",
            "cc /src/build/part3"
        ]
    );
    let joined = lua.create_function(|_, (first, second): (Place, Place)| {
        Ok(format!("{}:{}", first.0, second.0))
    })?;
    let (join, top, other) = (joined.clone(), root.clone(), Place("/usr".into()));
    let text: String = lua
        .load(chunk! { return $join($top, $other / "lib") })
        .eval()?;
    assert_eq!(text, "/src:/usr/lib");
    let wrong = joined.call::<_, String>((root, 7)).unwrap_err();
    assert!(wrong.to_string().contains("Place"), "{wrong}");

    let total = lua.create_table()?;
    let mut sum = 0;
    lua.scope(|scope| {
        let add = scope.create_function_mut(|_, n: i64| {
            sum += n;
            Ok(sum)
        })?;
        total.set(
            "sum",
            lua.load("local add = ... add(1 << 4) return add(7 // 2)")
                .call::<_, i64>(add)?,
        )
    })?;
    let total: Vec<(String, i64)> = total.pairs().collect::<Result<_>>()?;
    assert_eq!(total, [("sum".to_owned(), 19)]);
    let version: String = lua.globals().get::<_, Table>("_G")?.get("_VERSION")?;
    assert_eq!(version, "Lua 5.4");
    println!("patch-in, Lua 5.4 of the system: ok");
    Ok(())
}
