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

    /// Whether the container may reach the metadata service, where the user data says it.
    pub fn instance_metadata(&self) -> Option<bool> {
        self.firewall.instance_metadata
    }

    /// Whether the policy of the machine's image keeps containers from the metadata service.
    pub fn forbids_metadata(&self) -> bool {
        self.firewall.metadata_forbidden
    }
}
