//! [`Function`].

use crate::handle::proxy::Ref;

/// A Lua function.
#[derive(Clone)]
pub struct Function<'lua>(pub(crate) Ref<'lua>);
