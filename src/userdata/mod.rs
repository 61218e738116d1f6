//! Userdata.

pub(crate) mod types;

use crate::handle::proxy::Ref;

/// A userdata.
#[derive(Clone)]
pub struct AnyUserData<'lua>(pub(crate) Ref<'lua>);
