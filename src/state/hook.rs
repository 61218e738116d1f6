//! Hooks and warnings.

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Hooks {}

impl Hooks {
    /// Drops everything: the VM is gone.
    pub(crate) fn clear(&self) {}
}
