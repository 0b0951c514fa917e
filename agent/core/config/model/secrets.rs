//! What happens to secrets after the boot.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;

/// What the container finds as files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Delivered {
    /// By the files' names, in file order.
    pub(in crate::config) secrets: Vec<(String, SecretRef)>,
    /// Where the application's own credentials lie.
    pub(in crate::config) mint_bucket: Option<String>,
    pub(in crate::config) refresh: Option<Refresh>,
    /// Whether an encrypted copy is kept.
    pub(in crate::config) keep: Option<bool>,
}

/// How what is delivered as files is kept fresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// Seconds between two fetches.
    pub interval_seconds: u32,
    /// What the container is told.
    pub on_change: OnChange,
    /// Seconds after which values that could not be fetched again make the machine unhealthy.
    pub max_age_seconds: Option<u32>,
}

impl Refresh {
    /// Unless the user data says otherwise.
    pub const INTERVAL_SECONDS: u32 = 300;
}

/// What the container is told when its files have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnChange {
    /// Nothing: it reads them again by itself.
    #[default]
    None,
    /// This signal: `SIGHUP`.
    Signal(String),
    /// It is stopped as its `stop_signal` and `stop_timeout` say, and started again.
    Restart,
}

impl fmt::Display for OnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("it is not told"),
            Self::Signal(signal) => write!(f, "it gets {signal}"),
            Self::Restart => f.write_str("it is restarted"),
        }
    }
}
