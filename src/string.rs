//! [`String`].

use crate::handle::proxy::Ref;

/// A Lua string.
#[derive(Clone)]
pub struct String<'lua>(pub(crate) Ref<'lua>);
