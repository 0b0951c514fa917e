//! Why the machine leaves, and how far it is: heard by whoever drives the drain and whoever follows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use monopod_core::lifecycle::TargetState;
use monopod_core::lifecycle::drain::Cause;
use tokio::sync::watch;

/// A drain tells some ten lines; whatever goes wrong again and again must not fill the memory.
const MOST_LINES: usize = 500;

/// What is heard.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Each cause with the end it sets, in milliseconds since the epoch.
    pub causes: BTreeMap<Cause, Option<u64>>,
    /// What the group wants, as far as anybody has asked.
    pub target: Option<TargetState>,
    /// What was told of the drain.
    pub lines: Vec<String>,
    /// The container is stopped, the lines are out, the hook is completed.
    pub drained: bool,
}

/// A handle on all of it; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Causes(Arc<watch::Sender<Heard>>);

impl Causes {
    /// Adds a cause, or an earlier end of one; anything else changes nothing.
    pub fn add(&self, cause: Cause, end: Option<u64>) {
        self.0.send_if_modified(|heard| {
            let known = heard.causes.get(&cause).copied();
            let earliest = match (known.flatten(), end) {
                (Some(known), Some(end)) => Some(known.min(end)),
                (known, end) => known.or(end),
            };
            heard.causes.insert(cause, earliest);
            known != Some(earliest)
        });
    }

    /// What the group wants now.
    pub fn set_target(&self, target: Option<TargetState>) {
        self.0.send_if_modified(|heard| {
            let changed = heard.target != target;
            heard.target = target;
            changed
        });
    }

    /// A line for whoever follows.
    pub(super) fn tell(&self, line: String) {
        self.0.send_if_modified(|heard| {
            let fits = heard.lines.len() < MOST_LINES;
            if fits {
                heard.lines.push(line);
            }
            fits
        });
    }

    pub(super) fn set_drained(&self, drained: bool) {
        self.0
            .send_if_modified(|heard| std::mem::replace(&mut heard.drained, drained) != drained);
    }

    /// Whether there is any.
    pub fn is_leaving(&self) -> bool {
        !self.0.borrow().causes.is_empty()
    }

    /// Returns when there is one.
    pub async fn begun(&self) {
        // The sender lives as long as this handle.
        let _closed = self
            .0
            .subscribe()
            .wait_for(|heard| !heard.causes.is_empty())
            .await
            .is_err();
    }

    /// Hears everything from now on.
    pub fn subscribe(&self) -> watch::Receiver<Heard> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_earliest_end_is_kept() {
        let causes = Causes::default();
        let mut heard = causes.subscribe();
        assert!(!causes.is_leaving());
        for (end, changes) in [
            (None, true),
            (Some(9), true),
            (Some(7), true),
            (Some(8), false),
            (None, false),
        ] {
            causes.add(Cause::Spot, end);
            assert_eq!(heard.has_changed().unwrap(), changes, "{end:?}");
            heard.mark_unchanged();
        }
        assert_eq!(heard.borrow().causes.get(&Cause::Spot), Some(&Some(7)));
        causes.begun().await;
    }

    #[test]
    fn lines_have_a_limit() {
        let causes = Causes::default();
        for n in 0..2 * MOST_LINES {
            causes.tell(n.to_string());
        }
        assert_eq!(causes.subscribe().borrow().lines.len(), MOST_LINES);
    }
}
