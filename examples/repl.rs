//! A prompt for Lua: values are printed, and what is not yet complete goes on in the next line. It ends with the input.

use mlua::{Error, Lua, MultiValue, Result, Value};
use rustyline::error::ReadlineError;
use rustyline::DefaultEditor;

fn main() -> rustyline::Result<()> {
    let lua = Lua::new();
    let mut editor = DefaultEditor::new()?;
    let mut source = String::new();
    loop {
        let prompt = if source.is_empty() { "> " } else { ">> " };
        match editor.readline(prompt) {
            Ok(line) => source.push_str(&line),
            Err(ReadlineError::Interrupted) => {
                source.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error),
        }
        match evaluate(&lua, &source) {
            Err(Error::SyntaxError {
                incomplete_input: true,
                ..
            }) => {
                source.push('\n');
                continue;
            }
            Ok(text) if text.is_empty() => {}
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
        editor.add_history_entry(source.as_str())?;
        source.clear();
    }
    if !source.is_empty() {
        eprintln!("the input ended within a statement");
    }
    Ok(())
}

/// The values of an expression, or what a statement returns, as text.
fn evaluate(lua: &Lua, source: &str) -> Result<String> {
    let values: MultiValue = lua.load(source).set_name("=stdin").eval()?;
    let texts = values.iter().map(show).collect::<Result<Vec<_>>>()?;
    Ok(texts.join("\t"))
}

fn show(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(format!("{:?}", text.to_string_lossy())),
        Value::Table(_) => Ok(format!("{value:#?}")),
        other => other.to_string(),
    }
}
