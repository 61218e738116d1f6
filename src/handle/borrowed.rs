//! Guards for the contents of a string behind an [`OwnedString`](super::owned::OwnedString).
//!
//! The handle keeps the string only while the instance is open, so a plain `&str` that borrows the handle would not do. A
//! guard holds a proxy, which keeps the instance open, and points into the string, which Lua neither moves nor changes.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use crate::error::Result;
use crate::string::String;

/// The text of a Lua string; derefs to `str`.
///
/// It keeps the string, and the instance open, as long as it exists. To make one checks that the string is UTF-8 and copies
/// nothing.
#[derive(Clone)]
pub struct BorrowedStr<'a> {
    text: *const str,
    // Keeps the string and the instance.
    _string: String<'a>,
}

/// The bytes of a Lua string; derefs to `[u8]`.
///
/// It keeps the string, and the instance open, as long as it exists. To make one copies nothing.
#[derive(Clone)]
pub struct BorrowedBytes<'a> {
    bytes: *const [u8],
    // Keeps the string and the instance.
    _string: String<'a>,
}

impl<'a> BorrowedStr<'a> {
    pub(super) fn new(string: String<'a>) -> Result<Self> {
        let text: *const str = string.to_str()?;
        Ok(BorrowedStr {
            text,
            _string: string,
        })
    }
}

impl<'a> BorrowedBytes<'a> {
    pub(super) fn new(string: String<'a>) -> Self {
        let bytes: *const [u8] = string.as_bytes();
        BorrowedBytes {
            bytes,
            _string: string,
        }
    }
}

impl Deref for BorrowedStr<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        // SAFETY: points into a Lua string, which stays where it is as long as `_string` keeps it.
        unsafe { &*self.text }
    }
}

impl Deref for BorrowedBytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: points into a Lua string, which stays where it is as long as `_string` keeps it.
        unsafe { &*self.bytes }
    }
}

impl fmt::Display for BorrowedStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl AsRef<[u8]> for BorrowedStr<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<'a> IntoIterator for &'a BorrowedBytes<'_> {
    type Item = &'a u8;
    type IntoIter = std::slice::Iter<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What a guard has in common with what it derefs to.
macro_rules! as_target {
    ($Guard:ident, $Target:ty) => {
        impl AsRef<$Target> for $Guard<'_> {
            fn as_ref(&self) -> &$Target {
                self
            }
        }

        impl Borrow<$Target> for $Guard<'_> {
            fn borrow(&self) -> &$Target {
                self
            }
        }

        impl fmt::Debug for $Guard<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl<T: AsRef<$Target> + ?Sized> PartialEq<T> for $Guard<'_> {
            fn eq(&self, other: &T) -> bool {
                **self == *other.as_ref()
            }
        }

        impl Eq for $Guard<'_> {}

        impl<T: AsRef<$Target> + ?Sized> PartialOrd<T> for $Guard<'_> {
            fn partial_cmp(&self, other: &T) -> Option<Ordering> {
                (**self).partial_cmp(other.as_ref())
            }
        }

        impl Ord for $Guard<'_> {
            fn cmp(&self, other: &Self) -> Ordering {
                (**self).cmp(&**other)
            }
        }

        impl Hash for $Guard<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (**self).hash(state)
            }
        }
    };
}

as_target!(BorrowedStr, str);
as_target!(BorrowedBytes, [u8]);
