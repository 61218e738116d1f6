//! Data of the application that an instance carries.

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct AppData {}

impl AppData {
    /// Drops everything: the VM is gone.
    pub(crate) fn clear(&self) {}
}
