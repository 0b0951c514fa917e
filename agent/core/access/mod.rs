//! Who may log in to the machine, until when, and what of it is recorded: logins that end by themselves.
//!
//! ```text
//!  monopod access grant ─┐                      ┌─► user record, home, key (all on tmpfs)
//!  forced command ───────┼─► Request ─► may() ──┤
//!  monopod access revoke ┘     who asks: kernel └─► AccessRecord
//!
//!            ┌──────┐  its time by CLOCK_BOOTTIME, revoked, another boot  ┌────────┐  nobody is left
//!  granted ─►│ Live │ ───────────────────────────────────────────────────►│ Ending │ ────────────────► gone
//!            └──────┘                                                     └────────┘
//! ```
//!
//! Invariants: whatever comes from outside (a name, a key, a host, a forced command) is parsed into a type that can hold
//! nothing else before anything is done with it. A grant has an end, the end is counted by a clock that nobody sets, and
//! only ever comes nearer by a revocation. No user is root, and none has an account of the machine's own.
//!
//! It deliberately knows no file, no clock and no process: the daemon in `agent/access` does.

mod account;
mod command;
mod grant;
mod key;
mod name;
mod record;
mod request;

pub use account::{Account, authorized_keys};
pub use command::{CommandError, ForcedCommand, LONGEST_COMMAND};
pub use grant::{Grant, Next, Phase, Why, next};
pub use key::{KeyError, LONGEST_KEYS, PublicKey, public_keys};
pub use name::{Host, NameError, UserName, duration};
pub use record::{AccessRecord, What, chosen_text};
pub use request::{AccessRules, Asker, Granted, Order, Proof, Refusal, Request, SessionEnd, may};

use serde::{Deserialize, Serialize};

/// The user whose only program is the forced command.
pub const GRANTING_SERVICE: &str = "granting-service";
/// The group of everybody who was let in.
pub const GUEST_GROUP: &str = "monopod-guest";
/// The group that sudo lets through.
pub const ADMIN_GROUP: &str = "monopod-admin";
/// The group that reads logs.
pub const LOG_GROUP: &str = "adm";

/// The numbers that users get, each once a boot: no range of Debian's, nor of systemd's (homed ends at 60513, display
/// managers' at 60705, DynamicUser begins at 61184).
pub const UIDS: std::ops::RangeInclusive<u32> = 60_706..=60_999;

/// What somebody may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look: `monopod status`, `monopod logs`, the machine's logs. No root, no engine.
    Guest,
    /// Everything, by sudo. Only where the image's policy allows it.
    Admin,
}

impl Role {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Admin => "admin",
        }
    }

    /// The groups beside the user's own.
    pub const fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Guest => &[GUEST_GROUP, LOG_GROUP],
            Self::Admin => &[GUEST_GROUP, LOG_GROUP, ADMIN_GROUP],
        }
    }
}
