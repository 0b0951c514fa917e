//! The unit that holds the rules for the container's traffic, over its socket.
//!
//! The agent has no capability: it says what is wanted, and the unit makes rules of it. Asked again for what is loaded, the unit
//! changes nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monopod_core::firewall::{Denied, Order, UNIT};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::local::{self, LocalError};
use super::{Class, Classified, chain};

/// Rules are not loaded.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// Nobody is there who could, and it was asked for.
    #[error(
        "the machine has no firewall, and {keys} needs one: install the package `monopod` whole, `nftables` with it"
    )]
    NotThere {
        /// What asks for it.
        keys: String,
        /// The socket.
        #[source]
        source: LocalError,
    },
    /// The unit does not answer.
    #[error("the firewall's unit was not reached")]
    Local(#[source] LocalError),
    /// It tried.
    #[error("the firewall's rules were not loaded: {reason}")]
    Refused {
        /// Its words.
        reason: String,
        /// Trying again does not help.
        permanent: bool,
    },
}

impl Classified for FirewallError {
    fn class(&self) -> Class {
        match self {
            Self::NotThere { .. } | Self::Refused { permanent: true, .. } => Class::Permanent,
            Self::Local(error) => error.class(),
            Self::Refused { permanent: false, .. } => Class::Transient,
        }
    }
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Loaded {
    /// The names that stand for no address yet.
    #[serde(default)]
    pub unresolved: Vec<String>,
}

/// How asking for the rules ended.
#[derive(Debug)]
pub enum Ensured {
    /// They are in force.
    Loaded(Loaded),
    /// None are wanted, or there is no unit and nothing needs one.
    Nothing,
    /// They are not in force, and nothing was asked that only they can do.
    Without(FirewallError),
}

/// Rules that nobody asked for are tried once, for so long: they must not delay a container. A unit that is only slow loads them
/// after that.
const UNASKED: Duration = Duration::from_secs(3);

/// Only what was asked for can fail.
fn judged(answer: Result<Loaded, FirewallError>, keys: Option<String>) -> Result<Ensured, FirewallError> {
    match (answer, keys) {
        (Ok(loaded), _) => Ok(Ensured::Loaded(loaded)),
        (Err(FirewallError::Local(LocalError::Absent { .. })), None) => Ok(Ensured::Nothing),
        (Err(error), None) => Ok(Ensured::Without(error)),
        (Err(FirewallError::Local(source @ LocalError::Absent { .. })), Some(keys)) => {
            Err(FirewallError::NotThere { keys, source })
        }
        (Err(error), Some(_)) => Err(error),
    }
}

/// What the unit says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Refused {
        error: String,
        #[serde(default)]
        permanent: bool,
    },
    Done(T),
}

#[derive(Deserialize)]
struct Counted {
    denied: Denied,
}

/// The unit, and what it is told.
#[derive(Clone, Debug)]
pub struct Firewall {
    socket: PathBuf,
    order: Arc<Mutex<Option<Order>>>,
    /// It was told that the machine goes without rules.
    told: Arc<AtomicBool>,
}

impl Firewall {
    /// The unit's socket lies beside the agent's runtime directory: `/run/monopod-firewall.sock`, and `/run/monopod`.
    pub fn new(runtime: &Path) -> Self {
        let mut path = OsString::from(runtime);
        path.push("-firewall.sock");
        Self {
            socket: PathBuf::from(path),
            order: Arc::default(),
            told: Arc::default(),
        }
    }

    /// Whether there is a unit to ask.
    pub fn is_there(&self) -> bool {
        self.socket.exists()
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What is wanted from now on.
    pub fn set_order(&self, order: Option<Order>) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = order;
    }

    /// What is wanted.
    pub fn order(&self) -> Option<Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has the rules loaded that are wanted. Where nothing was asked that only they can do, this is no error, and short.
    pub async fn ensure(&self, deadline: Instant) -> Result<Ensured, FirewallError> {
        let Some(order) = self.order() else {
            return Ok(Ensured::Nothing);
        };
        let keys = order.plan.is_asked().then(|| order.plan.keys());
        let deadline = match keys {
            Some(_) => deadline,
            None => deadline.min(Instant::now() + UNASKED),
        };
        let question = json!({ "op": "apply", "plan": order.plan, "surroundings": order.surroundings });
        judged(self.ask(&question, deadline).await, keys)
    }

    /// What has to be said of it, if anything: that the machine goes without rules is said once, until it has them again.
    pub fn complaint(&self, ensured: &Ensured) -> Option<String> {
        let error = match ensured {
            Ensured::Without(error) => error,
            Ensured::Loaded(_) => {
                self.told.store(false, Ordering::Relaxed);
                return None;
            }
            Ensured::Nothing => return None,
        };
        let before = self.told.swap(true, Ordering::Relaxed);
        (!before).then(|| {
            format!(
                "the firewall's rules are not in force, only the engine's own are, and people who are let in reach the metadata service; the container runs all the same, as nothing in its user data needs them: {}; look at `journalctl -u monopod-firewall`, and whether `nftables` and `iproute2` are installed",
                chain(error)
            )
        })
    }

    /// What was refused so far.
    pub async fn counters(&self, deadline: Instant) -> Result<Denied, FirewallError> {
        let counted: Counted = self.ask(&json!({ "op": "counters" }), deadline).await?;
        Ok(counted.denied)
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        question: &serde_json::Value,
        deadline: Instant,
    ) -> Result<T, FirewallError> {
        let answer = local::ask(&self.socket, UNIT, question, deadline)
            .await
            .map_err(FirewallError::Local)?;
        match serde_json::from_value(answer) {
            Ok(Answer::Done(done)) => Ok(done),
            Ok(Answer::Refused { error, permanent }) => Err(FirewallError::Refused {
                reason: error,
                permanent,
            }),
            Err(error) => Err(FirewallError::Refused {
                reason: format!("its answer is of another version: {error}"),
                permanent: true,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> FirewallError {
        FirewallError::Refused {
            reason: "cannot run nft".to_owned(),
            permanent: true,
        }
    }

    #[test]
    fn only_rules_that_were_asked_for_can_fail() {
        let asked = || Some("`egress`".to_owned());
        assert!(matches!(judged(Err(refused()), None), Ok(Ensured::Without(_))));
        assert!(matches!(
            judged(Err(refused()), asked()),
            Err(FirewallError::Refused { .. })
        ));
        for keys in [None, asked()] {
            assert!(matches!(
                judged(Ok(Loaded::default()), keys),
                Ok(Ensured::Loaded(_))
            ));
        }
    }

    #[test]
    fn a_machine_that_goes_without_is_told_of_once_until_it_has_rules_again() {
        let firewall = Firewall::new(Path::new("/nonexistent/monopod"));
        let without = Ensured::Without(refused());
        let said = firewall.complaint(&without).unwrap();
        assert!(
            said.contains("not in force") && said.contains("cannot run nft"),
            "{said}"
        );
        assert_eq!(firewall.complaint(&without), None);
        assert_eq!(firewall.complaint(&Ensured::Loaded(Loaded::default())), None);
        assert!(firewall.complaint(&without).is_some());
    }
}
