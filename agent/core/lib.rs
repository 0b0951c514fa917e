//! The pure core of monopod: values in, values out.
//!
//! ```text
//! user data ─► config::Config ─┐
//!                              ├─► plan::Plan ─► (the agent acts) ─► event::Event ─► record::BootRecord
//! facts::InstanceFacts ────────┘        ▲
//! what the engine lists ─► reconcile ───┘            supervise: state machine of the running container
//! ```
//!
//! Nothing here reads a file, a socket, an environment variable or a clock, and nothing here
//! depends on tokio, bollard or the AWS SDK: Cargo.toml enforces it. Time, randomness and what the
//! engine says come in as arguments, so every decision can be tested as a function.

pub mod access;
pub mod audit;
pub mod budget;
pub mod config;
pub mod event;
pub mod facts;
pub mod firewall;
pub mod identity;
pub mod image;
pub mod lifecycle;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod notice;
pub mod otlp;
pub mod plan;
pub mod preparation;
pub mod record;
pub mod redact;
pub mod retry;
pub mod secret;
pub mod storage;
pub mod supervise;
pub mod text;
pub mod trace;
pub mod trust;
