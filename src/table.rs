//! [`Table`].

use crate::handle::proxy::Ref;

/// A Lua table.
#[derive(Clone)]
pub struct Table<'lua>(pub(crate) Ref<'lua>);
