//! A receiver of OTLP.

use crate::secret::{Secret, SecretSource};

/// What is sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Otlp {
    /// What stands before `/v1/logs`.
    pub endpoint: String,
    /// Headers of every request.
    pub headers: Vec<OtlpHeader>,
    /// Whether lines are sent.
    pub logs: bool,
    /// Whether metrics are.
    pub metrics: bool,
    /// Whether the boot is told as a trace.
    pub traces: bool,
    /// Seconds between two pushes of metrics.
    pub interval_seconds: Option<u32>,
}

/// A header, whose value may be a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpHeader {
    /// `Authorization`.
    pub name: String,
    /// `otlp.headers.Authorization`.
    pub key: String,
    /// The value itself, or where it is.
    pub source: SecretSource,
}

impl Otlp {
    /// A header's value that stands in the user data as it is, by its own name: `otlp.headers.Authorization`.
    pub fn literal_header(&self, key: &str) -> Option<Secret> {
        let header = self.headers.iter().find(|header| header.key == key)?;
        match &header.source {
            SecretSource::Literal(secret) => Some(secret.clone()),
            SecretSource::Stored(_) => None,
        }
    }
}
