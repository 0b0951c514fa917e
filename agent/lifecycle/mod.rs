//! The machine's life beyond its container: who is told how the boot ended, and how the machine leaves.
//!
//! Design: decisions are `monopod_core::lifecycle`'s; each file here carries them out against one kind of listener, and
//! is driven by `supervise` and by the daemon.

pub mod control;
pub mod drain;
mod etcd;
mod group;
pub(crate) mod launch;
mod metrics;
pub(crate) mod notices;
pub(crate) mod power;
mod relay;
mod signal;
pub(crate) mod warm;

pub(crate) use etcd::registration;
pub(crate) use group::heartbeats;
pub(crate) use metrics::metrics;
pub(crate) use relay::relay;
