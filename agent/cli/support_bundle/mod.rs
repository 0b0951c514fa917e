//! `monopod support-bundle`: what a maintainer needs to see of a machine, in one file, without its secrets.
//!
//! Design: parts are gathered one after the other, each with a deadline of its own, so that a dead engine costs seconds
//! and one part. Everything is a text, and passes the redactor before it is packed. `manifest.json` says what is in it,
//! and what could not be gathered and why.
//!
//! Invariants
//! - Secrets are learnt before anything is gathered: what lies in the delivered files, and the variables that the
//!   container's label names. Values of the environment and words of commands are in no part in any case.
//! - Nothing is asked over the network, and nothing on the machine is changed but the one new file, which its owner
//!   alone can read.
//! - The application's own lines are in it only if asked for: they may be about people. Where its secrets could not be
//!   learnt, because the engine is away, they are left out even then.
//!
//! Deliberately absent: the user data, the hint (either may hold an address with a signature in it), and the contents of
//! any file of the runtime and state directories but the status, what was prepared, and the cursors; of the machine's image
//! only what it says about itself.

mod command;
mod pack;
mod parts;
mod secrets;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use monopod_core::record::BootRecord;
use monopod_core::text;
use serde_json::{Value, json};

use super::print;
use crate::boot::error::{EXIT_PERMANENT, EXIT_TRANSIENT};
use crate::host::docker::Engine;
use crate::host::{clock, files};
use crate::report::{STATUS_FILE, SharedRedactor};
use parts::Part;

/// No member is longer: the end of what is, which says most, is kept.
const MOST_BYTES: usize = 8 << 20;

/// Options of `monopod support-bundle`.
#[derive(Debug, Args)]
pub(super) struct SupportBundleArgs {
    /// The file to make; it must not exist. Otherwise monopod-support-INSTANCE-TIME.tar.gz in this directory
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How far back the agent's journal goes: `30m`, `1h`, `2d`, or a time like 2026-11-21T04:16:55Z
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = super::logs::moment)]
    since: u64,
    /// The end of the application's log, too: it may hold personal data
    #[arg(long)]
    with_application_log: bool,
    /// Where the agent keeps its status
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/run/monopod",
        env = "RUNTIME_DIRECTORY"
    )]
    runtime_directory: PathBuf,
    /// Where the agent keeps the cursors
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/monopod",
        env = "STATE_DIRECTORY"
    )]
    state_directory: PathBuf,
    /// Directory of application.log
    #[arg(long, value_name = "DIR", default_value = "/var/log", env = "LOGS_DIRECTORY")]
    logs_directory: PathBuf,
    /// Where the machine image's own files lie
    #[arg(
        long,
        value_name = "DIR",
        default_value = crate::host::image_layer::DIRECTORY,
        env = "CONFIGURATION_DIRECTORY"
    )]
    configuration_directory: PathBuf,
}

/// What parts are gathered from.
struct Scene<'a> {
    args: &'a SupportBundleArgs,
    runtime: &'a tokio::runtime::Runtime,
    engine: Option<Engine>,
    record: Option<BootRecord>,
    /// The secrets of the environment are known, or there are none.
    all_learnt: bool,
}

/// Makes the bundle and prints where it is.
pub(super) fn support_bundle(args: &SupportBundleArgs, redactor: &SharedRedactor) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the asynchronous runtime: {error}");
            return EXIT_TRANSIENT;
        }
    };
    let status = files::read(&args.runtime_directory.join(STATUS_FILE))
        .ok()
        .flatten();
    let record: Option<BootRecord> = status.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| default_name(record.as_ref()));
    // Before anything is gathered: where it can't be written nobody has to wait.
    let file = match pack::create(&path) {
        Ok(file) => file,
        Err(error) => {
            tracing::error!(
                "cannot make {}: {error}; name another file with --output{}",
                path.display(),
                match error.kind() {
                    io::ErrorKind::PermissionDenied => ", or use root: sudo monopod support-bundle",
                    _ => "",
                }
            );
            return EXIT_PERMANENT;
        }
    };
    let mut scene = Scene {
        args,
        runtime: &runtime,
        engine: Engine::new(std::env::var("DOCKER_HOST").ok().as_deref()).ok(),
        record,
        all_learnt: false,
    };
    let learnt = secrets::learn(&mut scene, redactor);
    let members = gather(&scene, redactor, learnt);
    runtime.shutdown_timeout(Duration::from_millis(100));
    if let Err(error) = pack::write(file, &members, clock::now_seconds()) {
        tracing::error!("cannot write {}: {error}", path.display());
        pack::discard(&path);
        return EXIT_TRANSIENT;
    }
    print(&format!("{}\n", path.display()));
    0
}

fn default_name(record: Option<&BootRecord>) -> PathBuf {
    let instance = record
        .and_then(|record| record.facts.as_ref())
        .map_or("unknown-instance", |facts| facts.instance_id.as_str());
    // It becomes a part of a path.
    let instance: String = instance
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let time = text::timestamp(clock::now_seconds()).replace(['-', ':'], "");
    PathBuf::from(format!("monopod-support-{instance}-{time}.tar.gz"))
}

/// Every part, redacted, and the manifest in front of them.
fn gather(
    scene: &Scene<'_>,
    redactor: &SharedRedactor,
    learnt: Result<usize, String>,
) -> Vec<(String, String)> {
    let mut members = Vec::new();
    let mut rows = Vec::new();
    for Part { name, take } in parts::ALL {
        let begun = Instant::now();
        let taken = take(scene);
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match taken {
            Ok(texts) => {
                for (inner, text) in texts {
                    let name = format!("{name}{inner}");
                    let text = redacted(redactor, text);
                    rows.push(json!({"name": name, "bytes": text.len(), "took_ms": took_ms}));
                    members.push((name, text));
                }
            }
            Err(why) => {
                let why = redacted(redactor, why);
                tracing::warn!("{name} is not in the bundle: {why}");
                rows.push(json!({"name": name, "missing": why, "took_ms": took_ms}));
            }
        }
    }
    let manifest = json!({
        "monopod": env!("CARGO_PKG_VERSION"),
        "made_at": text::timestamp(clock::now_seconds()),
        "instance": scene.record.as_ref().and_then(|record| record.facts.as_ref()).map(|facts| &facts.instance_id),
        "secrets_redacted": match &learnt {
            Ok(number) => json!(number),
            Err(why) => Value::from(redacted(redactor, why.clone())),
        },
        "members": rows,
    });
    members.insert(0, ("manifest.json".to_owned(), super::pretty(&manifest)));
    members
}

/// Redacted first and cut then: a part of a secret is not found.
fn redacted(redactor: &SharedRedactor, mut text: String) -> String {
    let known = redactor.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    known.redact_in(&mut text);
    let mut from = text.len().saturating_sub(MOST_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.split_off(from)
}
