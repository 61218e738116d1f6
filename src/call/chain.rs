//! How long a chain of errors gets.
//!
//! Each callback that an error passes through puts it into one more [`Error::CallbackError`], and often into a context as
//! well. A program can hand an error on to the next callback without end, and what prints or drops a chain calls itself for
//! each link: at some length it would overflow the stack.

use std::sync::Arc;

use crate::error::Error;

/// The links a chain may have.
const MOST: usize = 128;
/// The links that stay of a longer one, beside the last, which tells where the error began.
const KEPT: usize = 64;

/// `cause` for one more [`Error::CallbackError`] around it.
///
/// Of a chain of these alone the deepest is enough, and the outermost is the new one. A chain that is too long all the same
/// loses links before the last.
pub(super) fn shortened(cause: Error) -> Arc<Error> {
    let mut cause = Arc::new(cause);
    while let Error::CallbackError { cause: next, .. } = &*cause {
        if !matches!(**next, Error::CallbackError { .. }) {
            break;
        }
        cause = next.clone();
    }
    if links(&cause).nth(MOST).is_none() {
        return cause;
    }
    let last = links(&cause).last().unwrap_or(&cause).clone();
    let kept: Vec<&Error> = links(&cause).take(KEPT).collect();
    let chain = kept.into_iter().rev().fold(last, with_cause);
    Arc::new(chain)
}

/// The errors of a chain, from the outermost on.
fn links(error: &Error) -> impl Iterator<Item = &Error> {
    std::iter::successors(Some(error), |error| match error {
        Error::CallbackError { cause, .. }
        | Error::WithContext { cause, .. }
        | Error::BadArgument { cause, .. } => Some(cause),
        Error::ExternalError(error) => error.downcast_ref::<Error>(),
        _ => None,
    })
}

/// The link `error` around another cause.
fn with_cause(cause: Error, error: &Error) -> Error {
    let mut error = error.clone();
    match &mut error {
        Error::CallbackError { cause: place, .. }
        | Error::WithContext { cause: place, .. }
        | Error::BadArgument { cause: place, .. } => *place = Arc::new(cause),
        Error::ExternalError(place) => *place = Arc::new(cause),
        _ => {}
    }
    error
}
