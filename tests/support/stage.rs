//! A container that writes when it is told to: one container, many measurements, and nothing of its start in them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::machine::Machine;
use crate::numbered::WriterReport;
use crate::wait::wait_until;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Tells the lines of this piece from those of all others: never the same twice on one stage.
    pub seed: u64,
    /// How many lines.
    pub lines: u64,
    /// Lines a second; 0 is as fast as it can.
    pub rate: u64,
    /// The length of a line in bytes.
    pub length: u64,
}

/// A running container of the image `stage`.
#[derive(Clone, Debug)]
pub struct Stage {
    root: PathBuf,
}

impl Stage {
    /// Waits until the container takes orders.
    #[must_use]
    pub fn of(machine: &Machine, container: &str) -> Self {
        let ready = wait_until(Duration::from_secs(30), || {
            let pid = machine.host_pid(container)?;
            let root = PathBuf::from(format!("/proc/{pid}/root/tmp"));
            root.join("go").exists().then_some(root)
        });
        let root = ready.unwrap_or_else(|| panic!("rig: {container} is no stage: it has no pipe /tmp/go"));
        Self { root }
    }

    /// Has it write, after what it was told before.
    pub fn begin(&self, piece: Piece) {
        let Piece {
            seed,
            lines,
            rate,
            length,
        } = piece;
        let path = self.root.join("go");
        // Opened as it is: made by us it would be a file, which nobody reads.
        let told = OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut orders| orders.write_all(format!("{seed} {lines} {rate} {length}\n").as_bytes()));
        told.unwrap_or_else(|e| panic!("rig: writing to {}: {e}", path.display()));
    }

    /// What the writer of this seed has measured so far, at most a second old.
    #[must_use]
    pub fn report(&self, seed: u64) -> Option<WriterReport> {
        let text = fs::read_to_string(self.root.join(format!("report-{seed}.json"))).ok()?;
        WriterReport::parse(&text)
    }

    /// Waits until all lines of this seed are written.
    #[must_use = "it holds how long the writes took"]
    pub fn wait(&self, seed: u64, within: Duration) -> WriterReport {
        let done = wait_until(within, || self.report(seed).filter(|report| report.done));
        done.unwrap_or_else(|| {
            let so_far = self.report(seed);
            panic!("rig: the writer of seed {seed} is not done within {within:?}: {so_far:?}")
        })
    }
}
