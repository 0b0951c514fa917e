//! Block devices of this machine.

pub mod find;
