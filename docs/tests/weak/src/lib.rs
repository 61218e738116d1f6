//! The pages of the book whose programs use weak handles on one thread.

macro_rules! pages {
    ($($name:ident: $file:literal,)*) => {$(
        #[doc = include_str!(concat!("../../../src/", $file))]
        pub struct $name;
    )*};
}

pages! {
    Readme: "../../README.md",
    Start: "start.md",
    Which: "which.md",
    Migration: "migration.md",
    Leaks: "leaks.md",
    Callbacks: "patterns/callbacks.md",
    Bus: "patterns/bus.md",
    Entities: "patterns/entities.md",
    Async: "patterns/async.md",
    Statics: "patterns/statics.md",
    Several: "patterns/several.md",
    Modules: "patterns/modules.md",
}
