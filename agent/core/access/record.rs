//! What is kept of every grant, login and end: one JSON object a line.

use serde::{Deserialize, Serialize};

use super::Role;
use crate::text::{printable, shortened};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Somebody may log in.
    Granted,
    /// Somebody asked, and may not.
    Refused,
    /// Somebody logged in.
    Login,
    /// And out.
    Logout,
    /// Somebody may not log in any more, and nobody of that name is left.
    Ended,
    /// Something was not done that had to be.
    Failed,
}

impl What {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// One line of `/run/monopod-access/record.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// When, in milliseconds since the epoch, by the machine's clock.
    pub at: u64,
    /// What.
    pub what: What,
    /// Whose login it is about; empty where that could not be read.
    pub user: String,
    /// What the user may do, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Why, as whoever granted it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The end, in milliseconds since the epoch, as the clock went then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The boot it happened in.
    pub boot_id: String,
    /// Counts from one in every boot; a number that is missing is a line that is missing.
    pub seq: u64,
}

impl AccessRecord {
    /// With nothing known but what and whose; the writer numbers it.
    pub fn new(what: What, user: &str) -> Self {
        Self {
            at: 0,
            what,
            user: chosen_text(user, 64),
            role: None,
            reason: None,
            by: None,
            from: None,
            until: None,
            detail: None,
            boot_id: String::new(),
            seq: 0,
        }
    }

    /// A sentence for the journal.
    pub fn sentence(&self) -> String {
        let user = if self.user.is_empty() {
            "nobody known"
        } else {
            &self.user
        };
        let mut text = format!("access {} for {user}", self.what.word());
        let role = self.role.map(|role| role.word().to_owned());
        let until = self.until.map(|until| crate::text::timestamp(until / 1000));
        for (word, value) in [
            ("as", role.as_ref()),
            ("until", until.as_ref()),
            ("by", self.by.as_ref()),
            ("from", self.from.as_ref()),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(" {word} {value}"));
            }
        }
        if let Some(reason) = &self.reason {
            text.push_str(&format!(", reason: {reason}"));
        }
        if let Some(detail) = &self.detail {
            text.push_str(&format!(": {detail}"));
        }
        text
    }
}

/// What somebody wrote, fit for one line.
pub fn chosen_text(text: &str, limit: usize) -> String {
    shortened(&printable(text.trim()), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one() {
        let record = AccessRecord::new(What::Refused, "a\nb\u{1b}[2J");
        assert_eq!(record.user, "a·b·[2J");
        let record = AccessRecord {
            role: Some(Role::Guest),
            reason: Some(chosen_text(" a look\r\nMay 1 sshd: x ", 500)),
            by: Some("root".into()),
            from: Some("10.0.0.1".into()),
            until: Some(1_795_234_615_000),
            detail: Some("d".into()),
            ..record
        };
        assert_eq!(
            record.sentence(),
            "access refused for a·b·[2J as guest until 2026-11-21T04:16:55Z by root from 10.0.0.1, reason: a look··May 1 sshd: x: d"
        );
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<AccessRecord>(&line).unwrap(), record);
    }

    #[test]
    fn nobody_has_a_word_too() {
        let record = AccessRecord::new(What::Refused, "");
        assert_eq!(record.sentence(), "access refused for nobody known");
    }

    #[test]
    fn a_short_line_is_read() {
        let line = r#"{"at":1,"what":"login","user":"a","boot_id":"b","seq":2}"#;
        let record: AccessRecord = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
    }
}
