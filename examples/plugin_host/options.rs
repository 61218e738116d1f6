//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub const USAGE: &str = "\
Usage: plugin_host [--plugins DIR] [--events N] [--reloads N] [--json]

Runs Lua plugins on an event bus and reloads them in fresh Lua instances, first
with weak owned handles, then with strong references, and compares what stays.

  --plugins DIR  folder with the plugins (default: the plugins of this example)
  --events N     events to fire (default: 200000)
  --reloads N    reloads of all plugins (default: 1000)
  --json         print the table, and nothing else, as JSON
  --help         print this text

Exit code: 0 if the weak run leaks nothing, 1 if it leaks, 2 on other errors.
";

pub struct Options {
    pub plugins: PathBuf,
    pub events: u64,
    pub reloads: u64,
    pub json: bool,
}

impl Options {
    /// Reads the arguments; `None` means that help was asked for.
    pub fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options = Options {
            plugins: concat!(env!("CARGO_MANIFEST_DIR"), "/examples/plugin_host/plugins").into(),
            events: 200_000,
            reloads: 1_000,
            json: false,
        };
        while let Some(arg) = args.next() {
            match &*arg.to_string_lossy() {
                "--plugins" => options.plugins = value_of("--plugins", &mut args)?.into(),
                "--events" => options.events = number_of("--events", &mut args)?,
                "--reloads" => options.reloads = number_of("--reloads", &mut args)?,
                "--json" => options.json = true,
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        Ok(Some(options))
    }
}

fn value_of(option: &str, args: &mut impl Iterator<Item = OsString>) -> Result<OsString, String> {
    args.next()
        .ok_or_else(|| format!("`{option}` needs a value"))
}

fn number_of(option: &str, args: &mut impl Iterator<Item = OsString>) -> Result<u64, String> {
    let value = value_of(option, args)?;
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("`{option}` needs a whole number, not `{}`", value.display()))
}
