//! What the machine needs before its container is made.

pub mod settings;
