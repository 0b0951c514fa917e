//! Who hears what happens: the journal (or a terminal), systemd, and the boot record on disk.
//!
//! Design: one [`Reporter`]; everybody tells it [`Event`]s, and it tells every subscriber, each of
//! which redacts what it writes. Reporting never fails its caller: a status file that can't be
//! written is a warning in the journal, not an end to the boot.
//!
//! Deliberately absent: decisions. What an event means for the machine is decided before it is told.

mod journal;
pub mod notify;
pub mod output;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::plan::Application;
use monopod_core::record::BootRecord;
use monopod_core::redact::{Redactable, Redactor};
use monopod_core::secret::Secret;

use crate::host::{chain, clock, files};
use output::Output;

/// The secrets known so far, shared by everything that writes.
pub type SharedRedactor = Arc<RwLock<Redactor>>;

/// The record's name in the runtime directory.
pub const STATUS_FILE: &str = "status.json";

/// Tells everybody; cheap to clone.
#[derive(Clone)]
pub struct Reporter(Arc<Inner>);

struct Inner {
    output: Output,
    redactor: SharedRedactor,
    record: Mutex<BootRecord>,
    status_path: PathBuf,
}

impl Reporter {
    /// For one run of the agent.
    pub fn new(runtime_directory: &Path, redactor: SharedRedactor, output: Output) -> Self {
        let record = BootRecord::new(env!("CARGO_PKG_VERSION"), std::process::id(), clock::now_millis());
        Self(Arc::new(Inner {
            output,
            redactor,
            record: Mutex::new(record),
            status_path: runtime_directory.join(STATUS_FILE),
        }))
    }

    /// Tells an event to everybody.
    pub fn tell(&self, event: Event) {
        // On a terminal progress moves in place; anywhere else it is a line like the others.
        if !self.0.output.progress(&event) {
            journal::write(&event);
        }
        notify::send(&event, &self.0.redactor);
        self.record().apply(&event, clock::now_millis());
        self.save();
    }

    /// Says who runs here and on what.
    pub fn identify(&self, application: Option<&Application>, facts: Option<&InstanceFacts>) {
        let mut record = self.record();
        record.application = application.cloned().or(record.application.take());
        record.facts = facts.cloned().or(record.facts.take());
    }

    /// Takes over what the shipper says about itself.
    pub fn set_logs(&self, logs: serde_json::Value) {
        let changed = {
            let mut record = self.record();
            let changed = record.logs != logs;
            record.logs = logs;
            changed
        };
        if changed {
            self.save();
        }
    }

    /// Makes a secret known, so that nothing told from now on can show it.
    pub fn learn(&self, used_by: &str, secret: &Secret) {
        let learnt = self
            .0
            .redactor
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .learn(secret);
        if learnt == Redactable::TooShort {
            let text = format!(
                "the value of {used_by} is shorter than {} bytes, too short to be found and redacted in messages",
                monopod_core::redact::MIN_LENGTH
            );
            self.tell(Event::Warning { text });
        }
    }

    /// How often a long step should say how far it is.
    pub fn progress_interval(&self) -> std::time::Duration {
        self.0.output.progress_interval()
    }

    /// How this run went so far.
    pub fn with_record<T>(&self, read: impl FnOnce(&BootRecord) -> T) -> T {
        read(&self.record())
    }

    fn record(&self) -> MutexGuard<'_, BootRecord> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self) {
        let json = {
            let mut record = self.record();
            record.written_at = clock::now_millis();
            serde_json::to_string_pretty(&*record)
        };
        let written = json.map_err(|error| error.to_string()).and_then(|json| {
            let redactor = self.0.redactor.read().unwrap_or_else(PoisonError::into_inner);
            let json = redactor.redact(&json);
            files::ensure_content(&self.0.status_path, json.as_bytes()).map_err(|error| chain(&error))
        });
        if let Err(error) = written {
            tracing::warn!("the boot record was not written, ignoring: {error}");
        }
    }
}
