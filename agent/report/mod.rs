//! Who hears what happens: the journal (or a terminal), systemd, and the boot record on disk.
//!
//! Design: one [`Reporter`]; everybody tells it [`Event`]s, and it tells every subscriber. An event is
//! redacted once, before anybody hears it, joins its lines or cuts it; what writes redacts again. Reporting never fails its caller: a status file that can't be
//! written is a warning in the journal, not an end to the boot.
//!
//! Deliberately absent: decisions. What an event means for the machine is decided before it is told.

mod desk;
pub mod figures;
mod journal;
pub mod notify;
pub mod output;
mod status;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::identity::counts::IdentityRecord;
use monopod_core::plan::Application;
use monopod_core::record::{BootRecord, Outcome};
use monopod_core::redact::{Redactable, Redactor};
use monopod_core::secret::Secret;
use tokio::sync::watch;

use crate::host::{chain, clock, files};
pub use desk::Taker;
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
    /// `None`: the record is somebody else's.
    status_path: Option<PathBuf>,
    /// Held while the record is written: everybody may tell, from any thread, and all write to one name.
    saving: Mutex<()>,
    outcome: watch::Sender<Outcome>,
    serving: watch::Sender<bool>,
    /// Whose values are too short to be redacted: told once.
    short: Mutex<BTreeSet<String>>,
    probes: figures::ProbeFigures,
    pushes: figures::PushFigures,
    denials: figures::Denials,
    notices: figures::NoticeFigures,
    desk: Mutex<desk::Desk>,
}

impl Reporter {
    /// For one run of the agent.
    pub fn new(runtime_directory: &Path, redactor: SharedRedactor, output: Output) -> Self {
        Self::noting(Some(runtime_directory.join(STATUS_FILE)), redactor, output)
    }

    /// For a command that works beside the agent, whose status it must not touch.
    pub fn beside_the_agent(redactor: SharedRedactor, output: Output) -> Self {
        Self::noting(None, redactor, output)
    }

    fn noting(status_path: Option<PathBuf>, redactor: SharedRedactor, output: Output) -> Self {
        let record = BootRecord::new(env!("CARGO_PKG_VERSION"), std::process::id(), clock::now_millis());
        let (outcome, _) = watch::channel(record.outcome.clone());
        Self(Arc::new(Inner {
            outcome,
            output,
            redactor,
            record: Mutex::new(record),
            status_path,
            saving: Mutex::default(),
            serving: watch::Sender::default(),
            short: Mutex::default(),
            probes: figures::ProbeFigures::default(),
            pushes: figures::PushFigures::default(),
            denials: figures::Denials::default(),
            notices: figures::NoticeFigures::default(),
            desk: Mutex::default(),
        }))
    }

    /// Tells an event to everybody.
    pub fn tell(&self, event: Event) {
        self.tell_with_bars(event, |_| Vec::new());
    }

    /// The same for a step's progress, which has so many lines more on a terminal, at most.
    pub fn tell_with_bars(&self, event: Event, bars: impl FnOnce(usize) -> Vec<String>) {
        let event = self.without_secrets(event);
        // The record first: whoever acts on a line or on READY finds the status up to date.
        let (outcome, serving) = {
            let mut record = self.record();
            record.apply(&event, clock::now_millis());
            (record.outcome.clone(), record.is_serving())
        };
        self.save();
        self.0.outcome.send_if_modified(|known| {
            let is_news = *known != outcome;
            *known = outcome;
            is_news
        });
        self.0
            .serving
            .send_if_modified(|before| std::mem::replace(before, serving) != serving);
        // On a terminal progress moves in place; anywhere else it is a line like the others.
        if !self.0.output.progress(&event, bars) {
            journal::write(&event);
        }
        notify::send(&event);
        if let Event::Notice(notice) = &event {
            self.0.notices.told(&notice.what);
            self.desk().hand(notice);
        }
    }

    /// Notices go to this one, too, those of before included. It must not tell a notice itself.
    pub fn hand_notices(&self, name: &'static str, taker: Taker) {
        self.desk().attach(name, taker);
    }

    /// Nobody takes them under this name any more.
    pub fn keep_notices(&self, name: &'static str) {
        self.desk().detach(name);
    }

    /// What was told as it happened, and what became of it.
    pub fn notice_figures(&self) -> &figures::NoticeFigures {
        &self.0.notices
    }

    fn desk(&self) -> MutexGuard<'_, desk::Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says who runs here and on what.
    pub fn identify(&self, application: Option<&Application>, facts: Option<&InstanceFacts>) {
        let mut record = self.record();
        record.application = application.cloned().or(record.application.take());
        record.facts = facts.cloned().or(record.facts.take());
    }

    /// Where the machine stands, and when that changes.
    pub fn outcomes(&self) -> watch::Receiver<Outcome> {
        self.0.outcome.subscribe()
    }

    /// Whether others should send this machine work, as the record has it: wakes up only when that changes.
    pub fn watch_serving(&self) -> watch::Receiver<bool> {
        self.0.serving.subscribe()
    }

    /// Takes every secret known so far out of it.
    pub fn redact_json(&self, value: &mut serde_json::Value) {
        self.redactor().redact_json(value);
    }

    /// Says what the configuration opens, and what it is recognised by once its container is there.
    pub fn configured(&self, opt_outs: &[String], config_hash: Option<&str>) {
        {
            let mut record = self.record();
            record.opt_outs = opt_outs.to_vec();
            record.config_hash = config_hash.map(str::to_owned).or(record.config_hash.take());
        }
        self.save();
    }

    /// The record as anybody may see it: without the secrets known by now.
    pub fn snapshot(&self) -> BootRecord {
        status::redacted(&self.record(), &self.redactor()).into_owned()
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

    /// Takes over how the container's credentials stand; `None` where none are served.
    pub fn set_identity(&self, identity: Option<IdentityRecord>) {
        let changed = {
            let mut record = self.record();
            let changed = record.identity != identity;
            record.identity = identity;
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
        let is_news = || {
            let mut short = self.0.short.lock().unwrap_or_else(PoisonError::into_inner);
            short.insert(used_by.to_owned())
        };
        if learnt == Redactable::TooShort && is_news() {
            let text = format!(
                "the value of {used_by} is shorter than {} bytes, too short to be found and redacted in messages",
                monopod_core::redact::MIN_LENGTH
            );
            self.tell(Event::Warning { text });
        }
    }

    /// The same of values that end by themselves and that others of their kind follow.
    pub fn learn_passing<'s>(&self, kind: &'static str, secrets: impl IntoIterator<Item = &'s Secret>) {
        self.0
            .redactor
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .learn_passing(kind, secrets);
    }

    /// The same secrets, for who writes the application's own words.
    pub fn redactor_of_lines(&self) -> SharedRedactor {
        Arc::clone(&self.0.redactor)
    }

    /// The text without any secret known so far: for who has to cut it before telling it.
    pub fn redacted(&self, text: &str) -> String {
        self.redactor().redact(text).into_owned()
    }

    /// How often a long step should say how far it is.
    pub fn progress_interval(&self) -> std::time::Duration {
        self.0.output.progress_interval()
    }

    /// What came of the probes so far.
    pub fn probe_figures(&self) -> &figures::ProbeFigures {
        &self.0.probes
    }

    /// What came of pushing metrics so far.
    pub fn push_figures(&self) -> &figures::PushFigures {
        &self.0.pushes
    }

    /// What the firewall refused so far.
    pub fn denials(&self) -> &figures::Denials {
        &self.0.denials
    }

    fn record(&self) -> MutexGuard<'_, BootRecord> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn redactor(&self) -> RwLockReadGuard<'_, Redactor> {
        self.0.redactor.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn without_secrets(&self, mut event: Event) -> Event {
        let redactor = self.redactor();
        if !redactor.is_empty() {
            event.each_text(|text| redactor.redact_in(text));
        }
        event
    }

    fn save(&self) {
        let Some(path) = &self.0.status_path else { return };
        // Taken before the record is read, so that an older one never comes after a newer one.
        let saving = self.0.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let json = {
            let mut record = self.record();
            record.written_at = clock::now_millis();
            serde_json::to_string_pretty(&*status::redacted(&record, &self.redactor()))
        };
        let written = json
            .map_err(|error| error.to_string())
            .and_then(|json| files::ensure_content(path, json.as_bytes()).map_err(|error| chain(&error)));
        drop(saving);
        if let Err(error) = written {
            tracing::warn!("the boot record was not written, ignoring: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use monopod_core::plan::StepId;

    use super::testing::{TempDir, alone};
    use super::*;

    fn reporter(directory: &TempDir) -> Reporter {
        let redactor = SharedRedactor::default();
        let output = Output::new(Arc::clone(&redactor));
        Reporter::new(directory.path(), redactor, output)
    }

    fn learn(reporter: &Reporter, value: &str) {
        reporter.learn("a test", &Secret::new(value.to_owned()));
    }

    #[test]
    fn a_short_value_is_told_once_a_name() {
        let directory = TempDir::new("short");
        let reporter = reporter(&directory);
        for (name, value) in [("a", "one"), ("a", "two"), ("b", "one")] {
            reporter.learn(name, &Secret::new(value.to_owned()));
        }
        assert_eq!(status(&directory).matches("too short to be found").count(), 2);
    }

    fn status(directory: &TempDir) -> String {
        std::fs::read_to_string(directory.path().join(STATUS_FILE)).unwrap()
    }

    #[test]
    fn those_who_tell_at_once_leave_a_whole_record() {
        let directory = TempDir::new("at-once");
        let reporter = reporter(&directory);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (reporter, directory) = (&reporter, &directory);
                scope.spawn(move || {
                    for turn in 0..100 {
                        reporter.set_logs(serde_json::json!(format!("{thread} {turn}").repeat(1000)));
                        serde_json::from_str::<BootRecord>(&status(directory)).unwrap();
                    }
                });
            }
        });
        let saved: BootRecord = serde_json::from_str(&status(&directory)).unwrap();
        assert_eq!(saved, reporter.snapshot());
    }

    #[test]
    fn a_line_of_a_secret_is_in_no_record() {
        let directory = TempDir::new("line");
        let reporter = reporter(&directory);
        learn(
            &reporter,
            "{\n  \"password\": \"hunter2-hunter2\",\n  \"a\": 1\n}\n",
        );
        let reason = "it said \"password\": \"hunter2-hunter2\"".to_owned();
        reporter.tell(Event::Degraded { reason });
        assert!(!status(&directory).contains("hunter2"), "{}", status(&directory));
        assert!(!format!("{:?}", *reporter.record()).contains("hunter2"));
        assert_eq!(
            reporter.redacted("\"password\": \"hunter2-hunter2\"!"),
            "[redacted]!"
        );
    }

    #[test]
    fn what_was_told_before_the_secret_was_known_is_redacted_then() {
        let directory = TempDir::new("before");
        let reporter = reporter(&directory);
        let quote = || "it said \"hunter2\"hunter2\"".to_owned();
        reporter.tell(Event::Warning { text: quote() });
        reporter.tell(Event::StepStarted {
            step: StepId::Image,
            does: quote(),
        });
        reporter.identify(
            Some(&Application {
                id: quote(),
                version: "1".to_owned(),
            }),
            None,
        );
        learn(&reporter, "hunter2\"hunter2");
        reporter.set_logs(serde_json::json!([{ "last_error": quote() }]));
        assert!(!status(&directory).contains("hunter2"), "{}", status(&directory));
        assert_eq!(status(&directory).matches("[redacted]").count(), 4);
    }

    #[test]
    fn a_secret_that_is_a_word_of_ours_leaves_the_record_readable() {
        let directory = TempDir::new("words");
        let reporter = reporter(&directory);
        for word in ["container", "degraded", "warnings", "agent_pid", "10.0.0.12"] {
            learn(&reporter, word);
        }
        let facts = serde_json::json!({
            "instance_id": "i-1", "region": "r", "availability_zone": "z", "account_id": "1", "local_ipv4": "10.0.0.12"
        });
        reporter.identify(None, Some(&serde_json::from_value(facts).unwrap()));
        reporter.tell(Event::StepStarted {
            step: StepId::Container,
            does: "make the container".to_owned(),
        });
        reporter.tell(Event::Degraded {
            reason: "the container is degraded".to_owned(),
        });
        let record: BootRecord = serde_json::from_str(&status(&directory)).unwrap();
        assert_eq!(record, reporter.record().clone());
        assert_eq!(record.steps[0].step, StepId::Container);
        assert_eq!(record.steps[0].detail, "make the [redacted]");
    }

    #[test]
    fn systemd_hears_no_part_of_a_secret_that_is_cut() {
        let directory = TempDir::new("cut");
        let socket = directory.path().join("notify");
        if let Some(mut again) = alone("report::tests::systemd_hears_no_part_of_a_secret_that_is_cut") {
            let heard = UnixDatagram::bind(&socket).unwrap();
            heard.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            assert!(
                again
                    .env("NOTIFY_SOCKET", &socket)
                    .output()
                    .unwrap()
                    .status
                    .success()
            );
            let mut message = [0; 4096];
            let length = heard.recv(&mut message).unwrap();
            let message = String::from_utf8_lossy(&message[..length]);
            assert!(message.starts_with("STATUS=DEGRADED: "), "{message}");
            assert!(
                !message.contains("hunter2") && !message.contains("ab-1"),
                "{message}"
            );
            return;
        }
        let reporter = reporter(&directory);
        learn(&reporter, "hunter2-hunter2");
        learn(&reporter, "ab-1\ncd-2\nef-3");
        let reason = format!("ab-1\n  cd-2\n  ef-3 {:.<240} hunter2-hunter2", "");
        reporter.tell(Event::Degraded { reason });
    }
}
