//! A sink's place in a log, as it is written to disk.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::batch::{Line, Stream};
use super::gap::Gap;
use super::ledger::Ledger;
use super::record::MAX_LINE;
use super::treatment::Pending;

/// The version of the format. A reader of another version starts over: lines twice rather than lines lost.
const VERSION: u32 = 1;

/// Which file, whatever its name is by now. Rotation renames files and recycles their inodes, so one number
/// isn't enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// The file system it's on. It can change with a reboot, so it only breaks ties.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// Nanoseconds since the epoch at which the inode was made, where the file system knows.
    pub birth: Option<u64>,
    /// SHA-256 of the whole first record, once there is one. It holds a time in nanoseconds.
    pub first_record: Option<String>,
}

impl FileIdentity {
    /// The hash of a first record.
    pub fn hash(record: &[u8]) -> String {
        Sha256::digest(record)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether `other`, seen now, is the file this identity was taken of.
    pub fn is(&self, other: &Self) -> bool {
        let births_agree = match (self.birth, other.birth) {
            (Some(mine), Some(theirs)) => mine == theirs,
            (None, _) | (_, None) => true,
        };
        let content_agrees = match (&self.first_record, &other.first_record) {
            (Some(mine), Some(theirs)) => mine == theirs,
            // Taken of an empty file, which may have its first record by now.
            (None, _) => self.device == other.device,
            // It had a record and has none any more: truncated, or another file.
            (Some(_), None) => false,
        };
        self.inode == other.inode && births_agree && content_agrees
    }
}

/// The beginning of a line whose end hasn't been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Which stream it belongs to.
    pub stream: Stream,
    time: String,
    text: String,
    cut: u64,
}

impl Partial {
    pub(super) fn new(stream: Stream, time: &str) -> Self {
        Self {
            stream,
            time: time.to_owned(),
            text: String::new(),
            cut: 0,
        }
    }

    /// Adds what fits; the rest is counted.
    pub(super) fn push(&mut self, text: &str) {
        if self.cut == 0 {
            let room = text.floor_char_boundary(MAX_LINE.saturating_sub(self.text.len()));
            self.text.push_str(text.get(..room).unwrap_or_default());
            self.cut = (text.len() - room) as u64;
        } else {
            self.cut += text.len() as u64;
        }
    }

    /// The line so far. Only `finish` adds the marker of a cut line.
    pub(super) fn line(&self) -> Line<'_> {
        Line {
            time: &self.time,
            stream: self.stream,
            text: &self.text,
        }
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> Self {
        if self.cut > 0 {
            self.text
                .push_str(&format!(" [monopod: cut, {} bytes missing]", self.cut));
        }
        self
    }
}

/// A place between two records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// In this file.
    pub file: FileIdentity,
    /// After so many bytes.
    pub offset: u64,
    /// Lines that began before it and haven't ended.
    #[serde(default)]
    pub partials: Vec<Partial>,
}

/// A file that was there, and how long it was, when the cursor was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AheadFile {
    /// Which.
    pub file: FileIdentity,
    /// Its length.
    pub size: u64,
}

/// A container's log, or a plain file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The container whose records these are; none for a plain file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The newest file.
    pub path: String,
}

/// A parcel that was about to leave: after a kill it is made again, of the same lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its lines are those from the cursor's place to this one.
    pub end: Position,
    /// What the sink wants to know of it.
    pub parcel: serde_json::Value,
}

/// All that a sink has to know after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    version: u32,
    /// The log being read first, then those to read after it.
    pub sources: Vec<Source>,
    /// Where in the first source; none before anything was read.
    pub position: Option<Position>,
    /// The files at and behind the position, oldest first, to know what is missing if they go away.
    #[serde(default)]
    pub ahead: Vec<AheadFile>,
    /// Gaps known but not told in the stream yet.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// The time of the last line delivered.
    #[serde(default)]
    pub last_time: Option<String>,
    /// Events begun before the position and not ended.
    #[serde(default)]
    pub pending: Vec<Pending>,
    /// A parcel that was about to leave.
    #[serde(default)]
    pub planned: Option<Planned>,
    /// What the sink has.
    #[serde(default)]
    pub ledger: Ledger,
    /// What the sink itself wants to keep, such as the length of its own file.
    #[serde(default)]
    pub sink: Option<serde_json::Value>,
}

/// Why a cursor can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// It's torn, or isn't one.
    #[error("not a cursor")]
    Unreadable(#[source] serde_json::Error),
    /// Another release wrote it.
    #[error("a cursor of format {found}, this release knows {VERSION}")]
    Version {
        /// Its format.
        found: u32,
    },
}

impl Cursor {
    /// Reads one.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CursorError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(CursorError::Unreadable)?;
        if head.version != VERSION {
            return Err(CursorError::Version { found: head.version });
        }
        serde_json::from_slice(bytes).map_err(CursorError::Unreadable)
    }

    /// Writes it, with this release's version.
    pub fn to_json(&self) -> Vec<u8> {
        let current = Self {
            version: VERSION,
            ..self.clone()
        };
        // A struct of strings and numbers always serializes; an empty file would be read as torn.
        serde_json::to_vec(&current).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64, record: Option<&str>) -> FileIdentity {
        let first_record = record.map(|record| FileIdentity::hash(record.as_bytes()));
        FileIdentity {
            device: 1,
            inode,
            birth: Some(5),
            first_record,
        }
    }

    #[test]
    fn tells_files_apart() {
        let old = identity(7, Some("a"));
        assert!(old.is(&old));
        assert!(!old.is(&identity(7, Some("b"))), "a recycled inode");
        assert!(!old.is(&identity(8, Some("a"))));
        assert!(!old.is(&identity(7, None)), "truncated");
        assert!(!old.is(&FileIdentity {
            birth: Some(6),
            ..old.clone()
        }));
        assert!(old.is(&FileIdentity {
            birth: None,
            ..old.clone()
        }));
        assert!(
            old.is(&FileIdentity {
                device: 2,
                ..old.clone()
            }),
            "renumbered by a reboot"
        );
        assert!(identity(7, None).is(&old), "was empty, has a record now");
    }

    #[test]
    fn survives_its_way_through_json() {
        let cursor = Cursor {
            version: VERSION,
            sources: vec![Source {
                container: Some("c".into()),
                path: "/x".into(),
            }],
            position: Some(Position {
                file: identity(7, Some("a")),
                offset: 12,
                partials: vec![Partial::new(Stream::Stderr, "t")],
            }),
            sink: Some(serde_json::json!({"length": 3})),
            ..Cursor::default()
        };
        assert_eq!(Cursor::from_json(&cursor.to_json()).unwrap(), cursor);
    }

    #[test]
    fn refuses_torn_and_newer_ones() {
        let json = Cursor::default().to_json();
        assert!(matches!(
            Cursor::from_json(&json[..json.len() / 2]),
            Err(CursorError::Unreadable(_))
        ));
        let newer = br#"{"version": 99, "sources": "in another form"}"#;
        assert!(matches!(
            Cursor::from_json(newer),
            Err(CursorError::Version { found: 99 })
        ));
    }
}
