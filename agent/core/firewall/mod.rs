//! What may come to the container and what may leave it, and the rules of nftables that see to it.
//!
//! Design: a [`FirewallPlan`] says what is wanted, [`Surroundings`] what the machine is like, and [`ruleset`] is the whole table
//! that follows, as text for `nft -f`. It replaces the table of before in one transaction. A unit with the capability for it loads
//! the text; nothing here does.
//!
//! Invariants
//! - Everything is in a table of its own, `inet monopod`: whoever changes the engine's rules changes none of these, and the other
//!   way round. An `accept` here lets nothing past the engine's rules; a refusal holds whatever they say.
//! - Rules go by the bridge's name, or by the control group, and never by the container's address: they are complete before there
//!   is a container.
//! - The metadata service is decided first, for connections that are open as well.
//! - People who are let in for a time reach neither the metadata service nor the container's credentials from the machine, whatever
//!   the container's network: every table says so.
//!
//! Where the container is on the machine's own network its packets are the machine's: only the control group tells them apart, and
//! nftables knows those of version 2 alone. What comes in is not restricted there: `ports` has no meaning on that network, so nothing
//! was declared that could be held to.

mod egress;
mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Networking, Protocol};
use crate::plan::extras;
pub use egress::{EgressRule, NotADestination, To, Transport};
pub use rules::{refresh, ruleset};

/// The name of our table; its family is `inet`.
pub const TABLE: &str = "monopod";
/// The socket of the unit that loads the rules.
pub const SOCKET: &str = "/run/monopod-firewall.sock";
/// The unit that makes the socket.
pub const UNIT: &str = "monopod-firewall.socket";
/// The instance metadata service, where every machine of EC2 finds it.
pub const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];
/// Where the container finds its credentials: SDKs take this address without TLS.
pub const ENDPOINT: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// The port of the credentials.
pub const ENDPOINT_PORT: u16 = 51_680;
/// Seconds between two looks at the names.
pub const REFRESH_SECONDS: u64 = 30;
/// Seconds for which an address stays open after the last answer that had it: whoever was given it may still use it.
pub const KEEP_SECONDS: u64 = 600;
/// Addresses of one name that are kept.
pub const MOST_ADDRESSES: usize = 512;

/// The addresses that names stand for.
pub type Resolved = BTreeMap<String, BTreeSet<IpAddr>>;

/// What the user data and the policy want.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallPlan {
    /// The container's network.
    pub networking: Networking,
    /// The container does not reach the metadata service.
    pub metadata_blocked: bool,
    /// Ports of the container that others may come to.
    pub ports: Vec<(Protocol, u16)>,
    /// All that may leave; `None` is everything.
    pub egress: Option<Vec<EgressRule>>,
    /// The machine serves credentials at [`ENDPOINT`].
    pub credentials_endpoint: bool,
    /// TCP ports of services that the machine itself has for the container.
    #[serde(default)]
    pub machine_ports: Vec<u16>,
}

/// What the machine is like, as far as the rules depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The engine's bridge.
    pub bridge: String,
    /// The machine has control groups of version 2.
    pub cgroup2: bool,
    /// Whom the container asks for names.
    pub resolvers: Vec<IpAddr>,
    /// The control group of containers, from the root.
    pub slice: String,
}

impl Surroundings {
    /// The engine's bridge, unless somebody renamed it.
    pub const BRIDGE: &str = "docker0";
    /// What our package tells the engine.
    pub const SLICE: &str = "application.slice";
}

/// What the rules are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What is wanted.
    pub plan: FirewallPlan,
    /// Where.
    pub surroundings: Surroundings,
}

/// Packets that were refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Denied {
    /// On their way to the metadata service, or to credentials that are not theirs.
    pub metadata: u64,
    /// On their way out.
    pub egress: u64,
    /// On their way in.
    pub ingress: u64,
}

impl Denied {
    /// By their kinds.
    pub const fn each(self) -> [(&'static str, u64); 3] {
        [
            ("metadata", self.metadata),
            ("egress", self.egress),
            ("ingress", self.ingress),
        ]
    }

    /// The figure of a kind, to be changed.
    pub fn of(&mut self, kind: &str) -> Option<&mut u64> {
        match kind {
            "metadata" => Some(&mut self.metadata),
            "egress" => Some(&mut self.egress),
            "ingress" => Some(&mut self.ingress),
            _ => None,
        }
    }
}

/// The machine has no means for what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// Only control groups of version 2 tell the container's packets from the machine's.
    #[error(
        "{keys} cannot be kept with `networking: host` on this machine: only control groups of version 2 tell the container's packets from the machine's own, and it has version 1; use `networking: bridge`, or an image with version 2"
    )]
    NoControlGroups {
        /// What asks for it.
        keys: String,
    },
    /// It could say something else to nft.
    #[error("{what} of the order is no name")]
    NoName {
        /// What it is.
        what: &'static str,
    },
}

impl FirewallPlan {
    /// What follows from a checked config.
    pub fn new(config: &Config, metadata_blocked: bool, credentials_endpoint: bool) -> Self {
        let networking = config.networking();
        let has_network = networking != Networking::None;
        let mut ports: Vec<(Protocol, u16)> = config
            .ports()
            .iter()
            .filter(|_| networking == Networking::Bridge)
            .map(|port| (port.protocol, port.container))
            .collect();
        ports.sort_unstable();
        ports.dedup();
        Self {
            networking,
            metadata_blocked: metadata_blocked && has_network,
            ports,
            egress: config.egress().filter(|_| has_network).map(<[_]>::to_vec),
            credentials_endpoint: credentials_endpoint && has_network,
            machine_ports: extras::machine_ports(config),
        }
    }

    /// Whether the user data or the policy asks for something that only the firewall can do.
    pub fn is_asked(&self) -> bool {
        self.metadata_blocked || self.egress.is_some() || self.credentials_endpoint
    }

    /// Whether its control group has to tell the container's packets from the machine's.
    pub fn needs_control_group(&self) -> bool {
        self.networking == Networking::Host && self.restricts_outgoing()
    }

    pub(crate) fn restricts_outgoing(&self) -> bool {
        self.metadata_blocked || self.egress.is_some()
    }

    /// The names that have to be resolved, each once.
    pub fn names(&self) -> BTreeSet<&str> {
        let rules = self.egress.iter().flatten();
        rules.filter_map(|rule| rule.to.name()).collect()
    }

    /// What asks for it, for whoever reads an error.
    pub fn keys(&self) -> String {
        let all = [
            (self.metadata_blocked, "the block of the metadata service"),
            (self.egress.is_some(), "`egress`"),
            (self.credentials_endpoint, "the credentials of `aws_credentials`"),
        ];
        let asked: Vec<&str> = all.iter().filter(|(on, _)| *on).map(|(_, key)| *key).collect();
        asked.join(" and ")
    }
}

/// The name servers of a resolv.conf that a container can reach: not those on the machine's loopback, which the engine leaves out
/// of the container's copy, too.
pub fn resolvers(text: &str) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        // `fe80::1%eth0` is of one link alone.
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        if let Some(address) = address.filter(|address| !address.is_loopback() && !all.contains(address)) {
            all.push(address);
        }
    }
    all
}
