//! Owned handles.
