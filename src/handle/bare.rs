//! The owned types of 0.9 as they are with `send`: names, and no way to make or use one.

use std::convert::Infallible;

macro_rules! bare {
    ($($Owned:ident: $what:literal,)*) => {$(
        #[doc = concat!("An owned handle to ", $what, ".")]
        ///
        /// With `send` there is none without `weak-owned`.
        pub struct $Owned {
            _none: Infallible,
        }
    )*};
}

bare! {
    OwnedTable: "a table",
    OwnedFunction: "a function",
    OwnedString: "a string",
    OwnedThread: "a coroutine",
    OwnedAnyUserData: "a userdata",
}

/// Short for [`OwnedAnyUserData`].
pub type OwnedUserData = OwnedAnyUserData;
