//! What the machine says about itself, as values.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// What the instance metadata service says. Never guessed: a fact that is missing is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceFacts {
    /// `i-0123456789abcdef0`.
    pub instance_id: String,
    /// Taken from the identity document, never cut out of the zone's name.
    pub region: String,
    /// `eu-central-1a`.
    pub availability_zone: String,
    /// Twelve digits.
    pub account_id: String,
    /// The image the instance was launched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// `t3.micro`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The primary private address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_ipv4: Option<Ipv4Addr>,
    /// The public address, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_ipv4: Option<Ipv4Addr>,
    /// When the instance was last launched or started, in seconds since the epoch: the boot budget counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_time: Option<u64>,
}
