//! [`Thread`].

use crate::handle::proxy::Ref;

/// A Lua thread.
#[derive(Clone)]
pub struct Thread<'lua>(pub(crate) Ref<'lua>);
