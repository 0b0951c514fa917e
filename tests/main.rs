//! The agent as its users meet it: the built program, on real parts, from outside.
//!
//! One binary, so that all tests share one registry, one AWS stand-in and a pool of engines. Each test takes a
//! machine of its own (`monopod_testrig::Machine`); a test that needs none says nothing about one. They need root and
//! what `tests/setup.sh` installs; `make test` sees to both.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

mod app_write;
mod audit;
mod boot;
mod canary;
mod checks;
mod commands;
mod conservation;
mod container;
mod drain;
mod encrypt;
mod engine;
mod extras;
mod files;
mod full_disk;
mod health;
mod health_watch;
mod image;
mod images;
mod invariant;
mod launch;
mod layers;
mod log_command;
mod logs;
mod machine;
mod metadata;
mod mint;
mod options;
mod package;
mod prepare;
mod redaction;
mod registries;
mod restarts;
mod schema;
mod secret_files;
mod secrets;
mod senza;
mod signals;
mod status;
mod structure;
mod support_bundle;
mod trace;
mod transport;
mod trust;
mod units;
mod user_data;
