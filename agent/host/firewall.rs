//! The unit that holds the rules for the container's traffic, over its socket.
//!
//! The agent has no capability: it says what is wanted, and the unit makes rules of it. Asked again for what is loaded, the unit
//! changes nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use monopod_core::firewall::{Denied, Order, UNIT};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::local::{self, LocalError};
use super::{Class, Classified};

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
}

impl Firewall {
    /// The unit's socket lies beside the agent's runtime directory: `/run/monopod-firewall.sock`, and `/run/monopod`.
    pub fn new(runtime: &Path) -> Self {
        let mut path = OsString::from(runtime);
        path.push("-firewall.sock");
        Self {
            socket: PathBuf::from(path),
            order: Arc::default(),
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

    /// Has the rules loaded that are wanted; `None` where none are, or where there is no unit and nothing needs it.
    pub async fn ensure(&self, deadline: Instant) -> Result<Option<Loaded>, FirewallError> {
        let Some(order) = self.order() else {
            return Ok(None);
        };
        let question = json!({ "op": "apply", "plan": order.plan, "surroundings": order.surroundings });
        match self.ask(&question, deadline).await {
            Ok(loaded) => Ok(Some(loaded)),
            Err(FirewallError::Local(LocalError::Absent { .. })) if !order.plan.is_asked() => Ok(None),
            Err(FirewallError::Local(source @ LocalError::Absent { .. })) => Err(FirewallError::NotThere {
                keys: order.plan.keys(),
                source,
            }),
            Err(error) => Err(error),
        }
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
