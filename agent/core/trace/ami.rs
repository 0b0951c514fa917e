//! `/etc/monopod/image.json`: what the machine's image says about itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clean;
use crate::text;
use crate::trust::day::Day;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AmiFile {
    /// The image has none.
    #[default]
    Missing,
    /// It is there and could not be read.
    Unreadable(String),
    /// What it holds.
    Content(Vec<u8>),
}

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ami {
    /// `monopod-debian-12-amd64-20261121-205824`.
    pub name: Option<String>,
    /// A version, where whoever builds images counts them.
    pub version: Option<String>,
    /// When it was built, as it says.
    pub built: Option<String>,
    /// From which commit.
    pub commit: Option<String>,
    /// Until when it may be used, as it says: a day, which counts to its end, or a moment.
    pub expires: Option<String>,
    /// Why the file, or its `expires`, could not be used.
    pub problem: Option<String>,
}

impl Ami {
    /// Changes every text in it.
    pub(super) fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self {
            name,
            version,
            built,
            commit,
            expires,
            problem,
        } = self;
        for text in [name, version, built, commit, expires, problem] {
            text.iter_mut().for_each(&mut change);
        }
    }

    /// Whether its time was over at a moment, in seconds since the epoch; `None` where it has no end that can be read.
    pub(super) fn is_over(&self, now: u64) -> Option<bool> {
        end(self.expires.as_deref()?).map(|end| end.is_over(now))
    }
}

enum End {
    Day(Day),
    Moment(u64),
}

impl End {
    fn is_over(&self, now: u64) -> bool {
        match self {
            Self::Day(day) => day.is_over(now),
            Self::Moment(moment) => now >= *moment,
        }
    }
}

fn end(text: &str) -> Option<End> {
    match Day::parse(text) {
        Some(day) => Some(End::Day(day)),
        None => text::parse_timestamp_millis(text).map(|millis| End::Moment(millis / 1000)),
    }
}

pub(super) fn read(file: &AmiFile) -> Option<Ami> {
    let broken = |problem: String| {
        Some(Ami {
            problem: Some(clean(&problem)),
            ..Ami::default()
        })
    };
    let bytes = match file {
        AmiFile::Missing => return None,
        AmiFile::Unreadable(why) => return broken(why.clone()),
        AmiFile::Content(bytes) => bytes,
    };
    let map: Map<String, Value> = match serde_json::from_slice(bytes) {
        Ok(map) => map,
        Err(error) => return broken(format!("it is no map as JSON ({error})")),
    };
    let text = |name: &str| {
        map.get(name)
            .and_then(Value::as_str)
            .map(clean)
            .filter(|text| !text.is_empty())
    };
    let expires = text("expires");
    let problem = match (&expires, map.get("expires")) {
        (None, None | Some(Value::Null)) => None,
        (Some(text), _) if end(text).is_some() => None,
        _ => Some("`expires` is neither a day (2027-06-30) nor a time (2027-06-30T12:00:00Z)".to_owned()),
    };
    Some(Ami {
        name: text("name"),
        version: text("version"),
        built: text("built"),
        commit: text("commit"),
        expires,
        problem,
    })
}
