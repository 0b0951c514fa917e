//! monopod: one machine, one container.
//!
//! ```text
//!  EC2 user data ─┐
//!                 ├─► config ──► plan ──► boot ──► supervise ──► lifecycle: drain
//!  instance facts ┘    pure       pure    effects   one task
//!                                           │          │
//!                                           └─ events ─┴─► report: journal, systemd, status ─► serve: HTTP
//!  the container's own log files ─► logs (a cursor for each sink) ─► application.log, syslog
//! ```
//!
//! The pure part is the crate `monopod-core` under `agent/core`. Dependencies point one way:
//! `main → cli → {boot, supervise, lifecycle, prepare} → {logs, report, serve, …} → host → core`; tests/structure.rs has all of it and
//! holds it so.

pub mod access;
pub mod audit;
pub mod boot;
pub mod cli;
pub mod context;
pub mod firewall;
pub mod host;
pub mod identity;
pub mod lifecycle;
pub mod logs;
pub mod notices;
pub mod otlp;
pub mod prepare;
pub mod report;
pub mod serve;
pub mod supervise;
