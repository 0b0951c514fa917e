//! One outside system per file; only that file imports the system's crate.
//!
//! What is here acts and reports, it never decides: decisions are pure functions of `monopod-core`.
//! Every error says whether trying again can help ([`Class`]), in an exhaustive match beside it.

pub mod accept;
pub mod accounts;
pub mod autoscaling;
pub(crate) mod aws;
pub mod balancers;
pub mod block;
pub mod changes;
pub mod clock;
pub mod cloudformation;
pub mod cloudwatch;
pub mod command;
pub mod delivery;
pub mod docker;
pub mod ec2;
pub mod ecr;
pub mod etcd;
pub mod event_bus;
pub mod files;
pub mod firewall;
pub mod hostname;
pub mod identity;
pub mod image_layer;
pub mod imds;
pub mod include;
pub mod key_service;
pub mod kms;
pub mod limits;
pub mod local;
pub mod log_sink;
pub mod logrotate;
pub mod mint;
pub mod probe;
pub mod registry;
pub mod rewrite;
pub(crate) mod s3;
pub(crate) mod scrape;
pub mod sealed;
pub mod secret_set;
pub mod secrets;
pub mod signature;
mod sigv4;
pub mod sshd;
pub mod surroundings;
pub mod sysctl;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod tokeninfo;
pub mod usage;
pub(crate) mod web;
pub mod webhook;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It can: somebody is not up yet, is overloaded, or the network hiccuped.
    Transient,
    /// It can, but a limit that others share is spent: every call that comes too soon takes one from another machine.
    Throttled,
    /// It cannot: somebody has to change something.
    Permanent,
}

/// What a failed fetch of a value says, and with it whether a copy that was kept may stand in. In ascending order of
/// what is told first where several failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nobody said anything about it.
    NoAnswer,
    /// It came and is of no use: its content has to be mended where it is kept.
    Broken,
    /// Somebody took it, or the permission, away: a disk must not give it back.
    Refused,
}

impl Verdict {
    /// Of an error that is about asking, not about what came.
    pub fn of(class: Class) -> Self {
        match class {
            Class::Transient | Class::Throttled => Self::NoAnswer,
            Class::Permanent => Self::Refused,
        }
    }

    /// Whether a copy that was kept may stand in.
    pub fn allows_copy(self) -> bool {
        match self {
            Self::NoAnswer | Self::Broken => true,
            Self::Refused => false,
        }
    }
}

/// An error that knows its class.
pub trait Classified: std::error::Error {
    /// Whether trying again can help.
    fn class(&self) -> Class;
}

/// Why something that is needed is not there.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct AskError {
    /// Whether asking again can help.
    pub class: Class,
    /// What was asked, of whom, and what came.
    pub text: String,
}

/// The whole chain of causes on one line. Called once, at the edge.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some crates repeat their source in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
