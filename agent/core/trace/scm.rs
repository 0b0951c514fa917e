//! `/scm-source.json`, as the build tools of Taupage's users put it into an image:
//!
//! ```json
//! {"url": "git:git@github.com:org/app.git", "revision": "7f8b6ad...", "author": "jane", "status": ""}
//! ```
//!
//! `status` is what `git status --porcelain` prints. The script that many copied writes ` (locally modified)` behind a
//! dirty revision and puts the lines of the status into the text as they are, which no JSON allows: that is read, too,
//! since a control character can mean nothing else in JSON than a blank.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clean;
use crate::text;

/// Where it lies.
pub const FILE: &str = "/scm-source.json";
/// The most that is read of it.
pub const MOST_BYTES: u64 = 64 << 10;

/// Behind a revision with changes.
const MODIFIED: &str = "(locally modified)";

/// What lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ScmFile {
    /// Nothing.
    #[default]
    Missing,
    /// Something that is no file.
    NotAFile {
        /// `a symbolic link`.
        what: &'static str,
    },
    /// More than [`MOST_BYTES`].
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The engine's answer ended within it.
    Torn,
    /// The engine would not show it.
    Unreadable {
        /// Its words.
        why: String,
    },
    /// What it holds.
    Content(Vec<u8>),
}

/// What came of reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum ScmOutcome {
    /// The image has none.
    #[default]
    Missing,
    /// It is there and cannot be used, or not all of it.
    Invalid {
        /// Why.
        reason: String,
    },
    /// It was read.
    Read,
}

/// What it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scm {
    pub(super) outcome: ScmOutcome,
    pub(super) url: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) author: Option<String>,
    pub(super) status: Option<String>,
}

impl Scm {
    fn invalid(reason: impl Into<String>) -> Self {
        Self {
            outcome: ScmOutcome::Invalid {
                reason: reason.into(),
            },
            ..Self::default()
        }
    }
}

pub(super) fn read(file: &ScmFile) -> Scm {
    let bytes = match file {
        ScmFile::Missing => return Scm::default(),
        ScmFile::NotAFile { what } => return Scm::invalid(format!("it is {what}, and has to be a file")),
        ScmFile::TooLarge { bytes } => {
            return Scm::invalid(format!(
                "it has {}, and {} are read at most",
                text::bytes(*bytes),
                text::bytes(MOST_BYTES)
            ));
        }
        ScmFile::Torn => return Scm::invalid("the engine gave a part of it only"),
        ScmFile::Unreadable { why } => return Scm::invalid(clean(why)),
        ScmFile::Content(bytes) => bytes,
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Scm::invalid("it is not UTF-8");
    };
    // Between the tokens a control character is a blank, and within them it is not allowed.
    let text: String = text
        .chars()
        .map(|c| if c.is_ascii_control() { ' ' } else { c })
        .collect();
    let text = text.trim_start_matches('\u{feff}');
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(map)) => fields(&map),
        Ok(_) => Scm::invalid("it is JSON, and not a map"),
        // The parser's words name a place, never a value.
        Err(error) => Scm::invalid(format!("it is not JSON ({error})")),
    }
}

/// What can be read is kept even where the rest is wrong.
fn fields(map: &Map<String, Value>) -> Scm {
    let mut wrong = Vec::new();
    let mut field = |name: &str, may_be_empty: bool| match map.get(name) {
        Some(Value::String(text)) if may_be_empty || !text.trim().is_empty() => Some(text.as_str()),
        Some(Value::String(_)) => {
            wrong.push(format!("`{name}` is empty"));
            None
        }
        Some(_) => {
            wrong.push(format!("`{name}` is no text"));
            None
        }
        None => {
            wrong.push(format!("`{name}` is missing"));
            None
        }
    };
    let url = field("url", false);
    let revision = field("revision", false);
    let author = field("author", true);
    let status = field("status", true);
    let (commit, modified) = revision.map(split_modified).unzip();
    let mut status = status.map(clean);
    if modified == Some(true) && status.as_ref().is_none_or(String::is_empty) {
        status = Some("locally modified".to_owned());
    }
    Scm {
        outcome: match wrong.is_empty() {
            true => ScmOutcome::Read,
            false => ScmOutcome::Invalid {
                reason: wrong.join(", "),
            },
        },
        url: url.map(without_login),
        commit: commit.map(clean),
        author: author.map(clean).filter(|author| !author.is_empty()),
        status,
    }
}

/// The commit, and whether it was built with changes.
fn split_modified(revision: &str) -> (&str, bool) {
    match revision.trim().strip_suffix(MODIFIED) {
        Some(commit) => (commit.trim_end(), true),
        None => (revision, false),
    }
}

/// An address as it may be shown: `https://user:token@host/` happens in builds, and a query may be a token too.
pub(super) fn without_login(url: &str) -> String {
    let url = text::without_query(url.trim());
    let shown = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            match authority.rsplit_once('@') {
                // The user of a key is a name that everybody shares.
                Some(("git", host)) => format!("{scheme}://git@{host}{path}"),
                Some((_, host)) => format!("{scheme}://{host}{path}"),
                None => url,
            }
        }
        None => url,
    };
    clean(&shown)
}
