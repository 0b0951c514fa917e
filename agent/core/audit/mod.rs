//! What the audit's receiver is told: the envelope, the payloads, and which files of the machine's audit log are whose
//! turn.
//!
//! | `log_type` | `log_data` | when |
//! |---|---|---|
//! | `USER_DATA` | the merged configuration, masked, as a YAML map | once a boot of the machine |
//! | `BOOT_RECORD` | the boot record as JSON | once a boot and outcome |
//! | `RUNTIME_EVENT` | a notice about security as JSON, see [`crate::notice`] | as they happen |
//! | `AUDIT_LOG` | a rotated `audit.log`, gzip; the live one at shutdown | as they come |
//!
//! The receiver reads USER_DATA as a YAML map, so the boot record, which Taupage did not have, is a type of its own.
//! Names and times are the original's: `instance_boot_time` in UTC to the second, with a `Z`; the account's number as a
//! string. base64 has no line breaks here: the receiver's decoder skips those that the original wrote, and a strict one
//! would not.
//!
//! It deliberately knows no clock, no file and no network.

mod files;
mod record;

use serde::{Deserialize, Serialize};

use crate::facts::InstanceFacts;
use crate::logs::LogKey;
use crate::text;

pub use files::{Name, left_name};
pub use record::{boot_record, is_told, outcome_word};

/// Where audit records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPlan {
    /// The whole address.
    pub url: String,
    /// Basic auth; `None` is without a login.
    pub username: Option<String>,
    /// Where the password comes from.
    pub password: Option<LogKey>,
}

/// What is sent where, and what of the plan goes into the boot record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOrders {
    /// Where it goes.
    pub plan: AuditPlan,
    /// A hash over what the user data and the image's layers ask for; `None` where they could not be read.
    pub config_hash: Option<String>,
    /// The keys that open something that is shut otherwise.
    pub opt_outs: Vec<String>,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// The masked configuration.
    UserData,
    /// How the boot ended.
    BootRecord,
    /// The kernel's audit log.
    AuditLog,
    /// Something that happened on the machine.
    RuntimeEvent,
}

impl LogType {
    /// As the receiver knows it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UserData => "USER_DATA",
            Self::BootRecord => "BOOT_RECORD",
            Self::AuditLog => "AUDIT_LOG",
            Self::RuntimeEvent => "RUNTIME_EVENT",
        }
    }
}

/// Which boot of which machine a payload is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Twelve digits.
    pub account_id: String,
    /// `eu-central-1`.
    pub region: String,
    /// `i-0123456789abcdef0`.
    pub instance_id: String,
    /// When the machine booted, in seconds since the epoch.
    pub booted_at: u64,
}

impl Sender {
    /// This machine, booted then.
    pub fn new(facts: &InstanceFacts, booted_at: u64) -> Self {
        Self {
            account_id: facts.account_id.clone(),
            region: facts.region.clone(),
            instance_id: facts.instance_id.clone(),
            booted_at,
        }
    }

    /// What stands before and behind the base64 of `log_data`: large files are encoded right into the body.
    pub fn envelope(&self, log_type: LogType) -> (String, String) {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let before = format!(
            "{{\"account_id\":{},\"region\":{},\"instance_boot_time\":{},\"instance_id\":{},\"log_data\":\"",
            quoted(&self.account_id),
            quoted(&self.region),
            quoted(&text::timestamp(self.booted_at)),
            quoted(&self.instance_id),
        );
        (before, format!("\",\"log_type\":{}}}", quoted(log_type.word())))
    }
}

/// What the receiver's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Accepted,
    /// Not now.
    Busy,
    /// It does not know us, or not any more.
    Unknown,
    /// It will never take this.
    Refused,
}

impl Answer {
    /// Only 201 is a yes: a proxy's page comes with 200, and whoever takes that for one removes logs nobody has.
    pub const fn of(status: u16) -> Self {
        match status {
            201 => Self::Accepted,
            408 | 425 | 429 | 500..=599 => Self::Busy,
            401 | 403 | 407 => Self::Unknown,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_receivers() {
        let sender = Sender {
            account_id: "123456789012".into(),
            region: "eu-central-1".into(),
            instance_id: "i-0123456789abcdef0".into(),
            booted_at: 1_471_085_103,
        };
        let (before, behind) = sender.envelope(LogType::UserData);
        assert_eq!(
            format!("{before}eA=={behind}"),
            r#"{"account_id":"123456789012","region":"eu-central-1","instance_boot_time":"2016-08-13T10:45:03Z","instance_id":"i-0123456789abcdef0","log_data":"eA==","log_type":"USER_DATA"}"#
        );
        let types = [LogType::UserData, LogType::BootRecord, LogType::AuditLog].map(LogType::word);
        assert_eq!(types, ["USER_DATA", "BOOT_RECORD", "AUDIT_LOG"]);
    }

    #[test]
    fn only_created_is_a_yes() {
        for (status, answer) in [
            (201, Answer::Accepted),
            (200, Answer::Refused),
            (204, Answer::Refused),
            (302, Answer::Refused),
            (400, Answer::Refused),
            (401, Answer::Unknown),
            (403, Answer::Unknown),
            (413, Answer::Refused),
            (408, Answer::Busy),
            (429, Answer::Busy),
            (500, Answer::Busy),
            (503, Answer::Busy),
        ] {
            assert_eq!(Answer::of(status), answer, "{status}");
        }
    }
}
