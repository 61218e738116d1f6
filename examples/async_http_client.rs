//! An HTTP client for Lua: `fetch` waits for the head of the response, `read` for the next part of its body.
//!
//! Arguments: the URL, and what to post to it if it is not to be a GET.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request};
use hyper_util::client::legacy::{connect::HttpConnector, Client};
use hyper_util::rt::TokioExecutor;
use mlua::{ExternalResult, Lua, Result, Table, UserData, UserDataMethods};

const SCRIPT: &str = r#"
    local url, content = ...
    local response = fetch(url, content)
    print("status " .. response.status)
    print("type " .. (response.headers["content-type"] or "unknown"))
    repeat
        local part = response.body:read()
        io.write(part or "\n")
    until not part
"#;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

struct Body(Incoming);

impl UserData for Body {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        // The next part, nil at the end.
        methods.add_async_method_mut("read", |lua, body, ()| async move {
            while let Some(frame) = body.0.frame().await {
                if let Ok(part) = frame.into_lua_err()?.into_data() {
                    return lua.create_string(part).map(Some);
                }
            }
            Ok(None)
        });
    }
}

async fn fetch(
    lua: &Lua,
    client: HttpClient,
    url: String,
    content: Option<String>,
) -> Result<Table<'_>> {
    let method = if content.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let request = Request::builder()
        .method(method)
        .uri(url)
        .body(Full::from(content.unwrap_or_default()))
        .into_lua_err()?;
    let (head, body) = client.request(request).await.into_lua_err()?.into_parts();

    let headers = lua.create_table()?;
    for (name, value) in &head.headers {
        headers.set(name.as_str(), lua.create_string(value)?)?;
    }
    let response = lua.create_table()?;
    response.set("status", head.status.as_u16())?;
    response.set("headers", headers)?;
    response.set("body", Body(body))?;
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args
        .next()
        .unwrap_or_else(|| "http://127.0.0.1:3000/".into());

    let lua = Lua::new();
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let fetch = lua.create_async_function(move |lua, (url, content)| {
        fetch(lua, client.clone(), url, content)
    })?;
    lua.globals().set("fetch", fetch)?;
    let script = lua.load(SCRIPT).set_name("=script");
    script.call_async((url, args.next())).await
}
