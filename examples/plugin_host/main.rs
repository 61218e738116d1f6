//! A host for Lua plugins that subscribe to an event bus: once with weak owned handles, once with
//! strong references, which leak. See README.md.

mod bus;
mod callback;
mod host;
mod options;
mod plugin;
mod report;

use std::error::Error;
use std::process::ExitCode;

use mlua::OwnedFunction;

use callback::StrongFunction;
use options::{Options, USAGE};

fn main() -> ExitCode {
    match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => match run(&options) {
            Ok(leaks) => ExitCode::from(u8::from(leaks)),
            Err(error) => fail(&error.to_string()),
        },
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{error}\n\n{USAGE}")),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("plugin_host: {}", message.trim_end());
    ExitCode::from(2)
}

/// Runs the host with both kinds of reference and tells whether the weak one leaks.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let plugins = plugin::read_folder(&options.plugins)?;

    let weak = host::run::<OwnedFunction>(options, &plugins)?;
    for error in &weak.bad_plugins {
        eprintln!("bad plugin: {error}");
    }
    if weak.bad_plugins.len() == plugins.len() {
        let folder = options.plugins.display();
        return Err(format!("no plugin in {folder} can be loaded").into());
    }
    if !options.json {
        report::print_answers(options.events, &weak.tallies);
    }

    let strong = host::run::<StrongFunction>(options, &plugins)?;
    if options.json {
        report::print_json(options, &weak, &strong);
    } else {
        report::print_table(&weak, &strong);
    }
    Ok(weak.leaks())
}
