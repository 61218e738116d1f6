//! References from Rust to Lua values.
//!
//! Lua's collector does not see Rust's stack and heap, so a value that Rust refers to must lie where the collector sees
//! it: in a *slot* ([`slots`]). On top of slots there are three kinds of reference:
//!
//! | kind | type here | keeps the VM open | slot |
//! |---|---|---|---|
//! | proxy (`Table<'lua>`, …) | [`Ref`](proxy::Ref) | yes, counted | counted, or lent by a handle |
//! | owned handle (`OwnedTable`, …) | `OwnedRef` | no | counted |
//! | registry key | [`RegistryKey`] | no | its own |
//!
//! A proxy and a handle of one value can share a slot: `into_owned` moves it, `upgrade` lends or counts it, and neither makes
//! a call into Lua. No other room of the crate touches the number of a slot, a reference thread or a count.

#[cfg(all(feature = "weak-owned", not(feature = "send")))]
pub(crate) mod borrowed;
#[cfg(all(feature = "weak-owned", not(feature = "send")))]
pub(crate) mod graves;
pub(crate) mod keys;
#[cfg(any(
    feature = "weak-owned",
    all(feature = "unstable", not(feature = "send"))
))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "unstable", feature = "weak-owned"))))]
pub(crate) mod owned;
#[cfg(all(feature = "unstable", feature = "send", not(feature = "weak-owned")))]
#[path = "bare.rs"]
pub(crate) mod owned;
pub(crate) mod proxy;
pub(crate) mod registry;
#[cfg(all(
    any(feature = "unstable", feature = "weak-owned"),
    not(feature = "send")
))]
mod shortcuts;
pub(crate) mod slots;
pub(crate) mod unref;
#[cfg(feature = "weak-owned")]
pub(crate) mod value;
#[cfg(feature = "weak-owned")]
pub(crate) mod weak;

pub use registry::RegistryKey;
