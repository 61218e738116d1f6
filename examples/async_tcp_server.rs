//! A TCP server that talks with each client in a Lua coroutine of its own.
//!
//! Argument: the address to listen at; with port 0 the system chooses a free one.

use std::error::Error;
use std::io;
use std::rc::Rc;

use mlua::{Function, Lua, UserData, UserDataMethods};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{spawn_local, LocalSet};

const TALK: &str = r#"
    local guests = 0

    return function(connection)
        guests = guests + 1
        connection:write("You are guest " .. guests .. ". Numbers, please.\n")
        local total = 0
        local line = connection:read()
        while line and line ~= "bye" do
            local number = tonumber(line)
            total = total + (number or 0)
            connection:write(number and ("Total: " .. total .. "\n") or "Not a number.\n")
            line = connection:read()
        end
        if line then
            connection:write("Goodbye.\n")
        end
    end
"#;

struct Connection(BufReader<TcpStream>);

impl UserData for Connection {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        // The next line without its end, nil at the end of the stream.
        methods.add_async_method_mut("read", |_, connection, ()| async move {
            let mut line = String::new();
            let length = connection.0.read_line(&mut line).await?;
            Ok((length > 0).then(|| line.trim_end().to_owned()))
        });
        methods.add_async_method_mut("write", |_, connection, text: mlua::String| async move {
            connection.0.write_all(text.as_bytes()).await?;
            Ok(())
        });
    }
}

async fn talk(lua: &Lua, stream: TcpStream) -> mlua::Result<()> {
    let talk: Function = lua.named_registry_value("talk")?;
    let connection = lua.create_userdata(Connection(BufReader::new(stream)))?;
    let result = talk.call_async(&connection).await;
    // Closes it now, not when Lua's collector comes by.
    drop(connection.take::<Connection>()?);
    result
}

async fn serve(lua: Rc<Lua>, listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        let lua = lua.clone();
        spawn_local(async move {
            if let Err(error) = talk(&lua, stream).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

fn new_lua() -> mlua::Result<Lua> {
    let lua = Lua::new();
    let talk: Function = lua.load(TALK).set_name("=talk").eval()?;
    lua.set_named_registry_value("talk", talk)?;
    Ok(lua)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("listening at {}", listener.local_addr()?);
    let lua = Rc::new(new_lua()?);
    Ok(LocalSet::new().run_until(serve(lua, listener)).await?)
}
