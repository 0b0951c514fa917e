//! The boot's result, told once for each instance.
//!
//! Invariants
//! - What is to be told is noted before it is sent: an agent that is killed in between sends the same again, with the
//!   same id, which its receivers take for the same signal.
//! - What was told is never told otherwise, and not again: not after a restart of the agent, nor after a reboot.
//! - A disk that was copied to another instance knows nothing about that one.

use serde::{Deserialize, Serialize};

/// How the boot of an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "status")]
pub enum BootResult {
    /// The machine is up.
    Success,
    /// It is not.
    Failure {
        /// One sentence.
        reason: String,
    },
}

/// What is noted on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Whose it is.
    pub instance_id: String,
    /// What is told.
    #[serde(flatten)]
    pub result: BootResult,
    /// CloudFormation has it, or wants it no more.
    pub signalled: bool,
    /// The wait condition has it.
    pub handle_told: bool,
}

impl Mark {
    /// Nothing is told yet.
    pub fn new(instance_id: &str, result: BootResult) -> Self {
        Self {
            instance_id: instance_id.to_owned(),
            result,
            signalled: false,
            handle_told: false,
        }
    }

    /// What has to be told now, with what was noted before: the first result counts.
    pub fn decide(noted: Option<Self>, instance_id: &str, result: BootResult) -> Self {
        match noted {
            Some(mark) if mark.instance_id == instance_id => mark,
            Some(_) | None => Self::new(instance_id, result),
        }
    }

    /// Everybody knows.
    pub fn is_told(&self, has_handle: bool) -> bool {
        self.signalled && (self.handle_told || !has_handle)
    }
}

/// Whether an error that ends the agent also ends the boot. One that may pass leaves the boot to the agent's next start,
/// as long as somebody still waits for it.
pub const fn ends_boot(is_permanent: bool, now: u64, budget_end: u64) -> bool {
    is_permanent || now >= budget_end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: &str) -> BootResult {
        BootResult::Failure {
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_first_result_counts() {
        let first = Mark::decide(None, "i-1", failure("no image"));
        assert!(!first.is_told(false));
        let again = Mark::decide(Some(first.clone()), "i-1", BootResult::Success);
        assert_eq!(again, first, "a machine that failed is not told to be well later");
        let copied = Mark::decide(Some(first), "i-2", BootResult::Success);
        assert_eq!(copied, Mark::new("i-2", BootResult::Success));
    }

    #[test]
    fn all_who_wait_are_told() {
        let mut mark = Mark::new("i-1", BootResult::Success);
        mark.signalled = true;
        assert!(mark.is_told(false) && !mark.is_told(true));
        mark.handle_told = true;
        assert!(mark.is_told(true));
    }

    #[test]
    fn what_may_pass_ends_a_boot_with_its_budget_only() {
        assert!(ends_boot(true, 1, 10) && ends_boot(false, 10, 10));
        assert!(!ends_boot(false, 9, 10));
    }

    #[test]
    fn it_survives_its_file() {
        for result in [BootResult::Success, failure("no \"image\"")] {
            let mark = Mark::new("i-1", result);
            let json = serde_json::to_string(&mark).unwrap();
            assert_eq!(serde_json::from_str::<Mark>(&json).unwrap(), mark, "{json}");
        }
    }
}
