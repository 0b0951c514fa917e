//! The record of who may come in and who came: lines of JSON that another unit writes.

use serde::Deserialize;

use super::{Access, Notice, What};

/// Which lines were told: those of this boot up to this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Position {
    /// Of which boot.
    pub boot_id: String,
    /// The last one that was told.
    pub seq: u64,
}

/// One line, as far as it is told. What it does not say is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    at: u64,
    what: String,
    user: String,
    role: Option<String>,
    reason: Option<String>,
    by: Option<String>,
    from: Option<String>,
    until: Option<u64>,
    detail: Option<String>,
    boot_id: String,
    seq: u64,
}

/// What is new in the texts of the record, the older file first, and where that leaves off. A line without its end is
/// still being written. What is no line of the record is counted.
pub fn news(texts: &[&str], position: &Position) -> (Vec<Notice>, Position, usize) {
    let (mut lines, mut broken) = (Vec::new(), 0);
    for text in texts {
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else {
                continue;
            };
            if line.trim().is_empty() {
                continue;
            }
            match serde_json::from_str::<Line>(line) {
                Ok(line) if !line.boot_id.is_empty() => lines.push(line),
                _ => broken += 1,
            }
        }
    }
    let mut position = position.clone();
    let mut notices = Vec::new();
    for line in lines {
        if line.boot_id == position.boot_id && line.seq <= position.seq {
            continue;
        }
        position = Position {
            boot_id: line.boot_id.clone(),
            seq: line.seq,
        };
        notices.push(notice(line));
    }
    (notices, position, broken)
}

fn notice(line: Line) -> Notice {
    let id = format!("a-{}-{}", line.boot_id, line.seq);
    let access = Access {
        what: line.what,
        user: line.user,
        role: line.role.unwrap_or_default(),
        reason: line.reason.unwrap_or_default(),
        by: line.by.unwrap_or_default(),
        from: line.from.unwrap_or_default(),
        detail: line.detail.unwrap_or_default(),
        until: line.until,
    };
    Notice::new(id, line.at, What::Access(Box::new(access)))
}
