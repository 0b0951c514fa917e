//! What the record says of the credentials' endpoint: counts and times, never a value.

use serde::{Deserialize, Serialize};

use super::Served;

/// The endpoint, as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRecord {
    /// Whose credentials are served: `instance` or `role`.
    pub serves: String,
    /// Which role.
    pub role: Option<String>,
    /// Whether the endpoint listens.
    pub listening: bool,
    /// Requests that were answered with credentials since the agent started.
    pub served: u64,
    /// Requests without the right token since then.
    pub refused: u64,
    /// Requests with the right token for which there were no credentials.
    pub failed: u64,
    /// When one was answered last, in milliseconds since the epoch.
    pub last_served: Option<u64>,
    /// When AWS gave credentials last.
    pub fetched_at: Option<u64>,
    /// When those end.
    pub expires_at: Option<u64>,
    /// Why they could not be fetched again, while that is so.
    pub last_error: Option<String>,
}

impl IdentityRecord {
    /// Nothing has happened yet.
    pub fn new(serves: &Served) -> Self {
        let (serves, role) = match serves {
            Served::Instance => ("instance", None),
            Served::Role(arn) => ("role", Some(arn.to_string())),
        };
        Self {
            serves: serves.to_owned(),
            role,
            listening: false,
            served: 0,
            refused: 0,
            failed: 0,
            last_served: None,
            fetched_at: None,
            expires_at: None,
            last_error: None,
        }
    }
}
