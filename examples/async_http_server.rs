//! An HTTP server whose answers come from a Lua function. While one call of it waits, others run.
//!
//! Argument: the address to listen at; with port 0 the system chooses a free one.

use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mlua::{ExternalResult, Function, Lua, Table, UserData, UserDataFields, UserDataMethods};
use tokio::net::TcpListener;
use tokio::task::{spawn_local, LocalSet};

const HANDLER: &str = r#"
    local visits = 0

    local pages = {
        ["GET /"] = function()
            visits = visits + 1
            return { body = "visit " .. visits }
        end,
        ["GET /slow"] = function()
            sleep(0.2)
            return { body = "that took a while" }
        end,
        ["POST /upper"] = function(request)
            return { body = request:read():upper() }
        end,
        ["GET /broken"] = function()
            error("this page is broken")
        end,
    }

    return function(request)
        local page = pages[request.method .. " " .. request.path]
        local answer = page and page(request) or { status = 404, body = "no such page" }
        answer.headers = { ["content-type"] = "text/plain; charset=utf-8" }
        return answer
    end
"#;

type Answer = Response<Full<Bytes>>;

struct LuaRequest(Request<Incoming>);

impl UserData for LuaRequest {
    fn add_fields<'lua, F: UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("method", |_, request| Ok(request.0.method().to_string()));
        fields.add_field_method_get("path", |_, request| Ok(request.0.uri().path().to_owned()));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        // The whole body.
        methods.add_async_method_mut("read", |lua, request, ()| async move {
            let body = request.0.body_mut().collect().await.into_lua_err()?;
            lua.create_string(body.to_bytes())
        });
    }
}

async fn call_handler(lua: &Lua, request: Request<Incoming>) -> mlua::Result<Answer> {
    let handler: Function = lua.named_registry_value("handler")?;
    let request = lua.create_userdata(LuaRequest(request))?;
    let answer: mlua::Result<Table> = handler.call_async(&request).await;
    // Ends it now, not when Lua's collector comes by.
    drop(request.take::<LuaRequest>()?);
    let answer = answer?;

    let status: Option<u16> = answer.get("status")?;
    let mut response = Response::builder().status(status.unwrap_or(200));
    let headers: Option<Table> = answer.get("headers")?;
    for header in headers.into_iter().flat_map(Table::pairs::<String, String>) {
        let (name, value) = header?;
        response = response.header(name, value);
    }
    let body: Option<mlua::String> = answer.get("body")?;
    let body = body.map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.as_bytes()));
    response.body(Full::new(body)).into_lua_err()
}

async fn answer(lua: Rc<Lua>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(call_handler(&lua, request).await.unwrap_or_else(|error| {
        eprintln!("{error}");
        let mut response = Answer::new("the server has a problem".into());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    }))
}

fn new_lua() -> mlua::Result<Lua> {
    let lua = Lua::new();
    let sleep = lua.create_async_function(|_, seconds: f64| async move {
        let time = Duration::try_from_secs_f64(seconds).into_lua_err()?;
        tokio::time::sleep(time).await;
        Ok(())
    })?;
    lua.globals().set("sleep", sleep)?;
    let handler: Function = lua.load(HANDLER).set_name("=handler").eval()?;
    lua.set_named_registry_value("handler", handler)?;
    Ok(lua)
}

async fn serve(lua: Rc<Lua>, listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let lua = lua.clone();
        spawn_local(async move {
            let service = service_fn(|request| answer(lua.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                eprintln!("{error}");
            }
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening at http://{}/", listener.local_addr()?);
    let lua = Rc::new(new_lua()?);
    Ok(LocalSet::new().run_until(serve(lua, listener)).await?)
}
