//! A grant from its beginning to its end, by the clock that counts from the machine's boot.

use serde::{Deserialize, Serialize};

use super::{Host, PublicKey, Role, UserName};

/// One login for a time, as it is kept on tmpfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub user: UserName,
    /// The user's number, in this boot.
    pub uid: u32,
    /// What it may do.
    pub role: Role,
    /// Why, as whoever granted it said.
    pub reason: String,
    /// Who granted it.
    pub by: String,
    /// Where it was granted from: an address.
    pub from: Option<String>,
    /// Where the login leads on to.
    pub remote_host: Option<Host>,
    /// What it is proved with.
    pub keys: Vec<PublicKey>,
    /// The boot in which it holds: it does not survive one.
    pub boot_id: String,
    /// Milliseconds since that boot when it began.
    pub from_ms: u64,
    /// And when it ends.
    pub until_ms: u64,
    /// The record says that it was granted: only then is there a key.
    pub recorded: bool,
    /// How far it is.
    pub phase: Phase,
}

/// How far a grant is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The user may log in.
    Live,
    /// Nobody logs in any more, and who is there is being sent away.
    Ending {
        /// Why.
        why: Why,
        /// Who said so; nobody where time did.
        by: Option<String>,
    },
}

/// Why a grant ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its time is up.
    Expired,
    /// Somebody took it back.
    Revoked,
    /// The machine booted since.
    AnotherBoot,
    /// It could not be made whole.
    Failed,
}

impl Why {
    /// For the record.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Expired => "its time was up",
            Self::Revoked => "it was revoked",
            Self::AnotherBoot => "the machine was booted since",
            Self::Failed => "it could not be made whole",
        }
    }
}

/// What has to be done about a grant now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing for as many milliseconds; see that it is whole.
    Hold {
        /// What is left.
        left_ms: u64,
    },
    /// Begin its end.
    End(Why),
    /// Go on with its end.
    GoOn,
}

impl Grant {
    /// Milliseconds that are left.
    pub const fn left_ms(&self, now_ms: u64) -> u64 {
        self.until_ms.saturating_sub(now_ms)
    }
}

/// Decides by the boot and the time since it alone: a clock that is set has no say.
pub fn next(grant: &Grant, boot_id: &str, now_ms: u64) -> Next {
    match grant.phase {
        Phase::Ending { .. } => Next::GoOn,
        Phase::Live if grant.boot_id != boot_id => Next::End(Why::AnotherBoot),
        // Nobody can have granted it later than now: such a file was not written by us in this boot.
        Phase::Live if grant.from_ms > now_ms => Next::End(Why::AnotherBoot),
        Phase::Live if grant.until_ms <= now_ms => Next::End(Why::Expired),
        Phase::Live => Next::Hold {
            left_ms: grant.left_ms(now_ms),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::access) fn grant() -> Grant {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
        Grant {
            user: UserName::parse("alice").unwrap(),
            uid: 60_706,
            role: Role::Guest,
            reason: "a look".into(),
            by: "root".into(),
            from: None,
            remote_host: None,
            keys: vec![PublicKey::parse(key).unwrap()],
            boot_id: "b".into(),
            from_ms: 1000,
            until_ms: 6000,
            recorded: true,
            phase: Phase::Live,
        }
    }

    #[test]
    fn it_ends_at_its_time_and_in_its_boot() {
        let live = grant();
        assert_eq!(next(&live, "b", 1000), Next::Hold { left_ms: 5000 });
        assert_eq!(next(&live, "b", 5999), Next::Hold { left_ms: 1 });
        assert_eq!(next(&live, "b", 6000), Next::End(Why::Expired));
        assert_eq!(next(&live, "b", u64::MAX), Next::End(Why::Expired));
        assert_eq!(next(&live, "b", 999), Next::End(Why::AnotherBoot));
        assert_eq!(next(&live, "c", 1000), Next::End(Why::AnotherBoot));
        let ending = Grant {
            phase: Phase::Ending {
                why: Why::Revoked,
                by: Some("root".into()),
            },
            ..live
        };
        assert_eq!(next(&ending, "b", 1000), Next::GoOn, "there is no way back");
    }

    #[test]
    fn it_survives_its_file() {
        let text = serde_json::to_string(&grant()).unwrap();
        assert_eq!(serde_json::from_str::<Grant>(&text).unwrap(), grant());
        let other = text.replace("\"alice\"", "\"../alice\"");
        assert!(serde_json::from_str::<Grant>(&other).is_err());
    }

    proptest! {
        #[test]
        fn nobody_is_held_past_the_end(from in 0_u64..1 << 40, length in 0_u64..1 << 30, now in 0_u64..1 << 41) {
            let grant = Grant { from_ms: from, until_ms: from + length, ..grant() };
            match next(&grant, "b", now) {
                Next::Hold { left_ms } => prop_assert_eq!(now + left_ms, from + length),
                Next::End(_) => prop_assert!(now < from || now >= from + length),
                Next::GoOn => prop_assert!(false),
            }
        }
    }
}
