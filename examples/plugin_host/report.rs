//! What the host prints.

use crate::bus::Tally;
use crate::host::Run;
use crate::options::Options;

/// Prints what each callback made of its events.
pub fn print_answers(events: u64, tallies: &[Tally]) {
    println!("{events} events:\n");
    println!(
        "{:<9} {:<18} {:>7} {:>8} {:>7}  last answer",
        "event", "callback", "calls", "answers", "errors"
    );
    for tally in tallies {
        println!(
            "{:<9} {:<18} {:>7} {:>8} {:>7}  {}",
            tally.event,
            tally.place,
            tally.calls,
            tally.answers,
            tally.errors,
            tally.last_answer.as_deref().unwrap_or("-")
        );
        if let Some(error) = &tally.last_error {
            println!("{:<9} {error}", "");
        }
    }
    println!();
}

/// Prints both runs side by side.
pub fn print_table(weak: &Run, strong: &Run) {
    println!("{:<26} {:>12} {:>12}", "", "weak", "strong");
    for ((name, weak), (_, strong)) in rows(weak).iter().zip(rows(strong)) {
        println!("{name:<26} {weak:>12} {strong:>12}");
    }
}

fn rows(run: &Run) -> [(&'static str, String); 7] {
    [
        ("instances made", run.instances_made.to_string()),
        ("instances still open", run.instances_open.to_string()),
        ("userdata alive", run.userdata_alive.to_string()),
        ("memory before the reloads", mib(run.memory_before_kib)),
        ("memory after the reloads", mib(run.memory_after_kib)),
        ("time of the events", format!("{:.2?}", run.events_time)),
        ("time of the reloads", format!("{:.2?}", run.reloads_time)),
    ]
}

fn mib(kib: Option<u64>) -> String {
    match kib {
        Some(kib) => format!("{:.1} MiB", kib as f64 / 1024.0),
        None => "unknown".to_owned(),
    }
}

/// Prints both runs as one JSON object.
pub fn print_json(options: &Options, weak: &Run, strong: &Run) {
    println!("{{");
    println!("  \"events\": {},", options.events);
    println!("  \"reloads\": {},", options.reloads);
    println!("  \"bad_plugins\": {},", weak.bad_plugins.len());
    println!("  \"weak_leaks\": {},", weak.leaks());
    println!("  \"weak\": {},", json(weak));
    println!("  \"strong\": {}", json(strong));
    println!("}}");
}

fn json(run: &Run) -> String {
    let fields = [
        ("instances_made", run.instances_made.to_string()),
        ("instances_open", run.instances_open.to_string()),
        ("userdata_alive", run.userdata_alive.to_string()),
        ("memory_before_kib", number_or_null(run.memory_before_kib)),
        ("memory_after_kib", number_or_null(run.memory_after_kib)),
        ("events_ms", run.events_time.as_millis().to_string()),
        ("reloads_ms", run.reloads_time.as_millis().to_string()),
    ];
    let fields = fields.map(|(name, value)| format!("\"{name}\": {value}"));
    format!("{{{}}}", fields.join(", "))
}

fn number_or_null(number: Option<u64>) -> String {
    number.map_or("null".to_owned(), |number| number.to_string())
}
