//! The types of userdata that an instance knows.

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct TypeMap {}

impl TypeMap {
    /// Forgets everything: the VM is gone.
    pub(crate) fn clear(&self) {}
}
