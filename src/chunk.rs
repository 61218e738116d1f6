//! Chunks of code.
