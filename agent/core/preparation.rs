//! How far the machine is prepared: what `monopod prepare` notes, and the agent waits for.
//!
//! One file in the runtime directory, replaced whole at every change. It is of one boot: disks are found, checked and mounted anew in
//! each. Who prepares writes it, who boots reads it, and neither calls the other.

use serde::{Deserialize, Serialize};

/// The file's name in the runtime directory.
pub const FILE: &str = "prepare.json";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Of this boot of the machine, or worthless.
    pub boot_id: String,
    /// Who wrote it.
    pub agent_version: String,
    /// When this boot's first start was, in milliseconds since the kernel started.
    #[serde(default)]
    pub first_start: u64,
    /// Where it stands.
    pub state: State,
    /// What was done, for people.
    #[serde(default)]
    pub done: Vec<String>,
    /// What somebody should look at.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What is mounted for the container.
    #[serde(default)]
    pub mounts: Vec<Mounted>,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is")]
pub enum State {
    /// At work.
    Working {
        /// What is waited for, or done.
        doing: String,
    },
    /// Everything the user data asks for is there.
    Done,
    /// It is not.
    Failed {
        /// What was tried, on what, why it failed, and what to do.
        reason: String,
        /// Trying again cannot help.
        permanent: bool,
    },
}

/// A file system that was mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// On the machine: `/mounts/data`.
    pub place: String,
    /// What is mounted there: `/dev/nvme1n1`, `tmpfs`.
    pub what: String,
}

impl Prepared {
    /// Nothing is done yet.
    pub fn new(boot_id: &str, agent_version: &str, first_start: u64) -> Self {
        Self {
            boot_id: boot_id.to_owned(),
            agent_version: agent_version.to_owned(),
            first_start,
            state: State::Working {
                doing: "reading the user data".to_owned(),
            },
            done: Vec::new(),
            warnings: Vec::new(),
            mounts: Vec::new(),
        }
    }
}

/// What follows for who waits from what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Wait on; the text is what is waited for.
    Wait(String),
    /// Go on.
    Go,
    /// The boot ends with this.
    End {
        /// Prepare's own words.
        reason: String,
        /// Trying again cannot help.
        permanent: bool,
    },
}

/// Decides for who waits. `read` is what the file says, `None` where there is none or a torn one.
pub fn follows(read: Option<&Prepared>, boot_id: &str) -> Follows {
    match read {
        Some(one) if one.boot_id == boot_id => match &one.state {
            State::Working { doing } => Follows::Wait(doing.clone()),
            State::Done => Follows::Go,
            State::Failed { reason, permanent } => Follows::End {
                reason: reason.clone(),
                permanent: *permanent,
            },
        },
        // Left by an earlier boot, where the runtime directory is none.
        Some(_) | None => Follows::Wait(
            "waiting for monopod-prepare.service, which has noted nothing yet (`systemctl status monopod-prepare`)".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: State) -> Prepared {
        Prepared {
            state,
            ..Prepared::new("boot-1", "1.0", 7)
        }
    }

    #[test]
    fn only_this_boot_s_word_counts() {
        let done = at(State::Done);
        assert_eq!(follows(Some(&done), "boot-1"), Follows::Go);
        assert!(matches!(follows(Some(&done), "boot-2"), Follows::Wait(_)));
        assert!(matches!(follows(None, "boot-1"), Follows::Wait(_)));
        let begun = Prepared::new("boot-1", "1.0", 7);
        assert_eq!(
            follows(Some(&begun), "boot-1"),
            Follows::Wait("reading the user data".to_owned())
        );
    }

    #[test]
    fn a_failure_is_handed_on_in_its_words() {
        let failed = at(State::Failed {
            reason: "no such volume".to_owned(),
            permanent: true,
        });
        assert_eq!(
            follows(Some(&failed), "boot-1"),
            Follows::End {
                reason: "no such volume".to_owned(),
                permanent: true
            }
        );
    }

    #[test]
    fn it_reads_what_it_writes() {
        for state in [
            State::Done,
            State::Working {
                doing: "x".to_owned(),
            },
            State::Failed {
                reason: "y".to_owned(),
                permanent: false,
            },
        ] {
            let one = at(state);
            let text = serde_json::to_string(&one).unwrap();
            assert_eq!(serde_json::from_str::<Prepared>(&text).unwrap(), one);
        }
    }
}
