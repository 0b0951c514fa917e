//! What may leave the container.

use super::Config;
use crate::firewall::EgressRule;

/// What the user, or the image's policy, said about the container's traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Firewall {
    pub(in crate::config) egress: Option<Vec<EgressRule>>,
    pub(in crate::config) instance_metadata: Option<bool>,
    /// `allow.instance_metadata: false`
    pub(in crate::config) metadata_forbidden: bool,
}

impl Config {
    /// All that may leave the container; everything may where nothing is said.
    pub fn egress(&self) -> Option<&[EgressRule]> {
        self.firewall.egress.as_deref()
    }
}
