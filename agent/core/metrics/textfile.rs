//! Files of teams' own with figures, as node_exporter's textfile collector takes them.
//!
//! Reading is strict: a file is taken whole or not at all, and none can spoil the scrape of the others. What is ours stays
//! ours: a file that names a metric which is served already is left out.

use std::collections::BTreeSet;

use super::samples::{self, Families};
use super::text::{Exposition, Kind, Number};

/// More are not read.
pub const MOST_FILES: usize = 64;
/// More are not read, all files together.
pub const MOST_BYTES: u64 = 1 << 20;

/// What the end of their names is.
pub const EXTENSION: &str = ".prom";

/// What was found in the directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// In the order of their names.
    pub files: Vec<File>,
    /// Why the directory, or some of it, could not be read.
    pub wrong: Vec<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Its path.
    pub path: String,
    /// When it was written, in seconds since the epoch.
    pub written: Option<f64>,
    /// What it says.
    pub text: String,
}

/// Names that begin like this are the agent's, whether it has a figure for them just now or not.
const OURS: [&str; 4] = ["monopod_", "process_", "node_scrape_", "node_textfile_"];

/// The good files' metrics, those files, and what is wrong with the others: the path, and why.
fn sorted<'f>(found: &'f Found, taken: &BTreeSet<String>) -> (Families, Vec<&'f File>, Vec<String>) {
    let (mut all, mut good, mut wrong) = (Families::new(), Vec::new(), Vec::new());
    for file in &found.files {
        let read = samples::families(&file.text)
            .map_err(|(line, why)| format!("line {line}: {why}"))
            .and_then(|families| {
                let ours = |name: &String| OURS.iter().any(|start| name.starts_with(start));
                if families.keys().any(ours) {
                    return Err("a metric has a name that is kept for the agent".to_owned());
                }
                samples::merge(&mut all, families, taken).map_err(str::to_owned)
            });
        match read {
            Ok(()) => good.push(file),
            Err(why) => wrong.push(format!("{}: {why}", file.path)),
        }
    }
    (all, good, wrong)
}

/// What is wrong, for people: nothing of a file's text is in it.
pub(super) fn write(out: &mut Exposition, found: &Found) -> Vec<String> {
    let (all, good, wrong) = sorted(found, out.names());
    let wrong: Vec<String> = found.wrong.iter().cloned().chain(wrong).collect();
    out.append(&samples::render(&all));
    let help = "Unixtime mtime of textfiles successfully read.";
    let mut metric = out.metric("node_textfile_mtime_seconds", Kind::Gauge, help);
    for file in good {
        if let Some(written) = file.written {
            metric.sample(&[("file", &file.path)], Number::Real(written));
        }
    }
    let help = "1 if there was an error opening or reading a file, 0 otherwise";
    out.single(
        "node_textfile_scrape_error",
        Kind::Gauge,
        help,
        Some(!wrong.is_empty()),
    );
    wrong
}
