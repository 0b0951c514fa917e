//! What the tests of this module share: a directory that goes away, and an engine that writes and rotates.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use monopod_core::logs::{ApplicationLogPlan, Attributes, LogPlan, Rotate};
use tokio::time::Instant;

use super::files::{highest_number, numbered};
use super::{Keys, Options, Redaction, Shipper, SinkState, SinkStatus};

/// A directory of its own, removed when dropped.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "monopod-logs-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Writes records and rotates as Docker 20.10 does: close, remove the last, rename the chain, open a new file.
#[derive(Debug)]
pub(crate) struct EngineLog {
    path: PathBuf,
    file: Option<File>,
    keep: usize,
    pub(crate) written: u64,
}

impl EngineLog {
    pub(crate) fn new(directory: &Path, keep: usize) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        Self {
            path: directory.join("x-json.log"),
            file: None,
            keep,
            written: 0,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.record(&format!("{text}\n"), "stdout");
    }

    pub(crate) fn record(&mut self, log: &str, stream: &str) {
        self.written += 1;
        let time = format!("2026-01-02T03:04:05.{:09}Z", self.written);
        let record = serde_json::json!({"log": log, "stream": stream, "time": time});
        self.raw(&format!("{record}\n"));
    }

    pub(crate) fn raw(&mut self, bytes: &str) {
        let open = || {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(&self.path)
                .unwrap()
        };
        self.file
            .get_or_insert_with(open)
            .write_all(bytes.as_bytes())
            .unwrap();
    }

    pub(crate) fn rotate(&mut self) {
        self.file = None;
        let name = |number| numbered(&self.path, number);
        std::fs::remove_file(name(self.keep - 1)).ok();
        for number in (1..self.keep - 1).rev() {
            std::fs::rename(name(number), name(number + 1)).ok();
        }
        std::fs::rename(&self.path, name(1)).ok();
        self.raw("");
    }

    pub(crate) fn len(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}

/// A plain file, written and rotated as programs and logrotate do.
#[derive(Debug)]
pub(crate) struct PlainLog {
    path: PathBuf,
}

impl PlainLog {
    pub(crate) fn new(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        Self {
            path: directory.join("x.log"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.raw(format!("{text}\n").as_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).open(&self.path).unwrap();
        file.write_all(bytes).unwrap();
    }

    /// To another name in the same directory.
    pub(crate) fn rename_to(&mut self, name: &str) {
        std::fs::rename(&self.path, self.path.with_file_name(name)).ok();
    }

    /// `.1` to `.2` and so on, as many as are kept.
    pub(crate) fn shift(&mut self, keep: usize) {
        std::fs::remove_file(numbered(&self.path, keep)).ok();
        for number in (1..keep).rev() {
            std::fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1)).ok();
        }
    }

    pub(crate) fn copy_to(&mut self, name: &str) {
        std::fs::copy(&self.path, self.path.with_file_name(name)).ok();
    }

    pub(crate) fn truncate(&mut self) {
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&self.path)
            .ok();
    }

    pub(crate) fn delete(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

/// Asks until the answer is yes, at most ten seconds.
pub(crate) async fn until(what: &str, mut yes: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !yes() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn small() -> Rotate {
    Rotate {
        size: 20_000,
        keep: 1_000,
        total: 1 << 30,
        ..Rotate::default()
    }
}

/// A container's log, and where its lines go.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) engine: EngineLog,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new();
        let engine = EngineLog::new(&dir.path().join("container"), 4);
        Self { dir, engine }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("application.log")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            state_dir: self.dir.path().join("state"),
            application_log: Some(self.log()),
            syslog_socket: None,
            plan: LogPlan {
                application_log: ApplicationLogPlan {
                    rotate: small(),
                    ..ApplicationLogPlan::default()
                },
                ..LogPlan::default()
            },
            attributes: Attributes {
                application_id: "my-app".into(),
                ..Attributes::default()
            },
            keys: Keys::new(|_| panic!("no key is asked for")),
            redaction: Redaction::default(),
        }
    }

    pub(crate) fn options_with_syslog(&self) -> Options {
        Options {
            syslog_socket: Some(self.socket()),
            ..self.options()
        }
    }

    pub(crate) async fn start(&self, options: Options) -> Shipper {
        let shipper = Shipper::start(options).await.unwrap();
        shipper.follow("c1", self.engine.path()).await.unwrap();
        shipper
    }

    /// All of application.log, oldest first.
    pub(crate) fn shipped(&self) -> Vec<String> {
        let highest = highest_number(&self.log()).unwrap().unwrap();
        let texts = (0..=highest)
            .rev()
            .map(|n| std::fs::read(numbered(&self.log(), n)).unwrap_or_default());
        let text = String::from_utf8(texts.collect::<Vec<_>>().concat()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn numbered_lines(&self) -> Vec<String> {
        (1..=self.engine.written)
            .map(|number| format!("line {number}"))
            .collect()
    }

    pub(crate) fn write(&mut self, count: usize) {
        for _ in 0..count {
            self.engine.write(&format!("line {}", self.engine.written + 1));
        }
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) fn sink(shipper: &Shipper, name: &str) -> SinkStatus {
    shipper
        .status()
        .sinks
        .into_iter()
        .find(|sink| sink.name == name)
        .unwrap()
}

pub(crate) fn retrying(shipper: &Shipper, name: &str) -> bool {
    sink(shipper, name).state != SinkState::Ok
}
