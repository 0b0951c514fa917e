//! The whole of it.
