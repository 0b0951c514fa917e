//! The cursors of all sinks, and the files they speak of, looked at and not touched.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use monopod_core::logs::verify::{Account, Handover, Present, SinkReport, ranges, verify};
use monopod_core::logs::{Cursor, Name, Source};
use sha2::{Digest, Sha256};

use super::files::{LogFile, numbered, scan, scan_plain};
use super::read::whole;

/// Sinks that only know what they wrote to a socket. The agent's status says it of each; this is for when there is none.
const BEST_EFFORT: [&str; 3] = ["syslog", "rsyslog", "logentries"];
/// The engine may rotate while files are looked at, and then they are looked at again.
const LOOKS: usize = 5;

/// A cursor and its file.
#[derive(Clone, Debug)]
pub struct CursorSeen {
    /// Its name, without the ending: `applog.application-log`.
    pub name: String,
    path: PathBuf,
    modified: SystemTime,
    cursor: Cursor,
}

/// Every cursor in the directory, by name. What can't be used is told and left out.
pub fn cursors(directory: &Path) -> io::Result<Vec<CursorSeen>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(name) = name.filter(|_| path.extension().is_some_and(|ending| ending == "cursor")) else {
            continue;
        };
        if let Some(seen) = load(name, &path)? {
            found.push(seen);
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn load(name: &str, path: &Path) -> io::Result<Option<CursorSeen>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    match Cursor::from_json(&bytes) {
        Ok(cursor) => Ok(Some(CursorSeen {
            name: name.to_owned(),
            path: path.to_owned(),
            modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
            cursor,
        })),
        Err(error) => {
            tracing::warn!("{}: {error}, leaving it out", path.display());
            Ok(None)
        }
    }
}

/// Whether the source is a container's log and no plain file.
fn is_container(source: &Source) -> bool {
    source.container.is_some()
}

/// The newest file of the newest container's log: what the cursor written last names last, of those whose log is there.
pub fn container_log(cursors: &[CursorSeen]) -> Option<PathBuf> {
    let mut logs: Vec<(bool, SystemTime, PathBuf)> = cursors
        .iter()
        .filter_map(|seen| {
            let newest = seen.cursor.sources.last().filter(|source| is_container(source))?;
            let path = PathBuf::from(&newest.path);
            // What may not be looked at is there: why not is said when it is opened.
            let is_gone = path.try_exists().is_ok_and(|there| !there);
            Some((!is_gone, seen.modified, path))
        })
        .collect();
    logs.sort();
    logs.pop().map(|(_, _, path)| path)
}

/// The report on every sink. `rows` are the sinks of the agent's status, which knows where lines go.
pub fn prove(cursors: Vec<CursorSeen>, rows: &serde_json::Value) -> io::Result<Vec<SinkReport>> {
    cursors.into_iter().map(|seen| prove_one(seen, rows)).collect()
}

fn prove_one(mut seen: CursorSeen, rows: &serde_json::Value) -> io::Result<SinkReport> {
    for look in 1.. {
        let files = open_all(&seen.cursor)?;
        let account = account(&seen, rows);
        let present: Vec<Present> = files.iter().map(|(present, _)| present.clone()).collect();
        let mut sums = Vec::new();
        for range in ranges(&seen.cursor.ledger, &present) {
            let file = files.get(range.file).map(|(_, file)| file);
            sums.push(match file {
                Some(file) => checksum(file, range.from, range.to)?,
                None => None,
            });
        }
        let report = verify(&account, &present, &sums);
        // A cursor that moved on while its files were looked at would show gaps where there are none.
        match load(&seen.name, &seen.path)? {
            Some(now) if now.cursor != seen.cursor && look < LOOKS => seen = now,
            _ => return Ok(report),
        }
    }
    Err(io::Error::other("the cursor does not hold still"))
}

/// The files of all the cursor's sources, each source's oldest first.
fn open_all(cursor: &Cursor) -> io::Result<Vec<(Present, LogFile)>> {
    let mut all = Vec::new();
    for (source, log) in cursor.sources.iter().enumerate() {
        let path = Path::new(&log.path);
        if !is_container(log) {
            open_plain(source, path, &mut all)?;
            continue;
        }
        let files = scan(path)?;
        let count = files.len();
        for (at, mut file) in files.into_iter().enumerate() {
            let present = Present {
                source,
                // By its order: that is how the engine numbers them.
                name: numbered(path, count - 1 - at).display().to_string(),
                identity: file.identity(),
                size: file.len()?,
                whole: whole(&file)?,
            };
            all.push((present, file));
        }
    }
    Ok(all)
}

/// A plain file and what rotation made of it.
fn open_plain(source: usize, path: &Path, all: &mut Vec<(Present, LogFile)>) -> io::Result<()> {
    for (mut file, name) in scan_plain(path)? {
        let name = match name {
            Name::Current => path.display().to_string(),
            Name::Rotated | Name::Gone => format!("{}, rotated", path.display()),
        };
        let present = Present {
            source,
            name,
            identity: file.identity(),
            size: file.len()?,
            whole: file.len()?,
        };
        all.push((present, file));
    }
    Ok(())
}

/// None if the file ends before.
fn checksum(file: &LogFile, from: u64, to: u64) -> io::Result<Option<u32>> {
    let mut buffer = vec![0; 256 * 1024];
    let (mut sum, mut offset) = (monopod_core::logs::ledger::checksum(&[]), from);
    while offset < to {
        let wanted = usize::try_from(to - offset).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let read = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), offset)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        let piece = monopod_core::logs::ledger::checksum(bytes);
        sum = monopod_core::logs::ledger::joined(sum, piece, read as u64);
        offset += read as u64;
    }
    Ok(Some(sum))
}

fn account(seen: &CursorSeen, rows: &serde_json::Value) -> Account {
    let mut parts = seen.name.splitn(3, '.');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (stream, sink, distinct) = (part(), part(), part());
    let row = rows.as_array().into_iter().flatten().find(|row| {
        let is = |key: &str, value: &str| row.get(key).and_then(|it| it.as_str()) == Some(value);
        let said = |key: &str| row.get(key).and_then(|it| it.as_str());
        is("stream", &stream)
            && is("name", &sink)
            && (distinct.is_empty() || {
                let origin = said("origin").unwrap_or("the container");
                distinct == distinction(origin, said("target").unwrap_or_default())
            })
    });
    let said = |key: &str| {
        row.and_then(|row| row.get(key))
            .and_then(|it| it.as_str())
            .map(str::to_owned)
    };
    let is_best_effort = said("guarantee").map_or_else(
        || BEST_EFFORT.contains(&sink.as_str()),
        |guarantee| guarantee == "best-effort",
    );
    let first = seen.cursor.sources.first();
    let engine_files = first.is_none_or(is_container);
    Account {
        name: seen.name.clone(),
        handover: if is_best_effort {
            Handover::BestEffort
        } else {
            Handover::Acknowledged
        },
        origin: first.filter(|_| !engine_files).map(|source| source.path.clone()),
        target: said("target"),
        engine_files,
        cursor: seen.cursor.clone(),
        stream,
        sink,
    }
}

/// The end of the name of a cursor whose stream and sink have several.
pub(super) fn distinction(origin: &str, target: &str) -> String {
    let hash = Sha256::digest(format!("{origin}\0{target}"));
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
