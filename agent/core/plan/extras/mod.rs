//! What the user data asks of the machine beside the container: an entry in etcd, metrics in CloudWatch, and the two
//! variables of the container's whose values only the machine can tell.
//!
//! A [`Hole`] is left open by a plan and filled when the container is made: [`Hole::decide`] says with what. The label's
//! hash covers what the user wrote, never what a hole was filled with, so a tokeninfo service that is late once replaces
//! no container.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{AwsCall, Plan};
use crate::config::{Config, Networking, PortMapping, Probe};
use crate::lifecycle::usage;
use crate::text;

/// Where the application asks about tokens.
pub const TOKENINFO_URL: &str = "TOKENINFO_URL";
/// Where the application finds etcd.
pub const ETCD_URL: &str = "ETCD_URL";

/// Where the machine's own tokeninfo service listens.
pub const TOKENINFO_PORT: u16 = 9021;
/// How long a container that is about to be made waits for it, in seconds.
pub const TOKENINFO_PATIENCE_SECONDS: u32 = 30;

/// What means etcd on the machine itself, in place of a domain.
const DISABLE: &str = "disable";
/// Of etcd's clients.
const ETCD_PORT: u16 = 2379;

/// Everything of it that a restarted agent has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    /// The machine's entry in etcd: `etcd_discovery_domain`.
    pub etcd: Option<Registration>,
    /// Memory and disk as metrics: `enhanced_cloudwatch_metrics`.
    pub cloudwatch_metrics: bool,
}

/// An entry in etcd, as long as the machine is healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Where the agent finds etcd.
    pub endpoint: String,
    /// What others read there: JSON, by the keys of the user data.
    pub value: String,
}

impl Registration {
    /// Seconds after which etcd forgets a machine it hears nothing of.
    pub const TTL_SECONDS: u32 = 15;
    /// Seconds between two signs of life.
    pub const INTERVAL_SECONDS: u32 = 5;

    /// The entry's key.
    pub fn key(hostname: &str) -> String {
        format!("/taupage/{hostname}")
    }
}

impl Extras {
    /// What a checked config asks for.
    pub fn new(config: &Config) -> Self {
        let host = config.host();
        Self {
            etcd: host.etcd_discovery_domain.as_deref().map(|domain| Registration {
                endpoint: etcd_url(domain).unwrap_or_else(|| of_the_machine(ETCD_PORT, Ipv4Addr::LOCALHOST)),
                value: described(config).to_string(),
            }),
            cloudwatch_metrics: host.enhanced_cloudwatch_metrics == Some(true),
        }
    }

    /// For people: one row each.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let etcd = self.etcd.as_ref().map(|one| {
            let key = Registration::key("HOSTNAME");
            let text = format!(
                "{key} at {}, while the machine is healthy (every {} s, forgotten after {} s)",
                one.endpoint,
                Registration::INTERVAL_SECONDS,
                Registration::TTL_SECONDS
            );
            ("registered in etcd", text)
        });
        let metrics = self.cloudwatch_metrics.then(|| {
            let text = format!(
                "memory and disk to CloudWatch as {}, every {} s",
                usage::NAMESPACE,
                usage::INTERVAL_SECONDS
            );
            ("metrics", text)
        });
        etcd.into_iter().chain(metrics).collect()
    }
}

impl Plan {
    /// Calls that go on as long as the machine lives.
    pub(super) fn extra_calls(&self, calls: &mut Vec<AwsCall>) {
        if self.extras.cloudwatch_metrics {
            calls.push(AwsCall {
                action: PUT_METRIC_DATA,
                // Metrics belong to no resource: the policy names the namespace instead.
                resource: "*".to_owned(),
                times: 0,
                why: format!("write metrics of {}", usage::NAMESPACE),
            });
        }
    }
}

const PUT_METRIC_DATA: &str = "cloudwatch:PutMetricData";

/// What narrows an action that knows no resource.
pub(super) fn condition(action: &str) -> Option<Value> {
    (action == PUT_METRIC_DATA)
        .then(|| json!({ "StringEquals": { "cloudwatch:namespace": usage::NAMESPACE } }))
}

/// A variable whose value only the machine can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The machine's own tokeninfo service, if it answers in time.
    Tokeninfo {
        /// What the variable is if it does not: `tokeninfo_url`.
        otherwise: Option<String>,
    },
    /// etcd on the machine itself.
    Etcd,
}

impl Hole {
    /// The variable's name.
    pub const fn variable(&self) -> &'static str {
        match self {
            Self::Tokeninfo { .. } => TOKENINFO_URL,
            Self::Etcd => ETCD_URL,
        }
    }

    /// The variable's value, if it gets any, where the container finds the machine at this address; `answers` says
    /// whether the tokeninfo service there does.
    pub fn decide(&self, machine: IpAddr, answers: bool) -> Option<String> {
        match self {
            Self::Tokeninfo { .. } if answers => Some(tokeninfo_url(machine)),
            Self::Tokeninfo { .. } => self.instead(),
            Self::Etcd => Some(of_the_machine(ETCD_PORT, machine)),
        }
    }

    /// Its value where the machine can't be reached at all.
    pub fn instead(&self) -> Option<String> {
        match self {
            Self::Tokeninfo { otherwise } => otherwise.clone(),
            Self::Etcd => None,
        }
    }

    /// What follows for the container when nothing was found, as the beginning of a sentence.
    pub const fn lack(&self) -> &'static str {
        match self {
            Self::Tokeninfo { otherwise: Some(_) } => {
                "TOKENINFO_URL of this container is `tokeninfo_url`, as the machine's own tokeninfo service was not found"
            }
            Self::Tokeninfo { otherwise: None } => {
                "this container has no TOKENINFO_URL, as the machine's own tokeninfo service was not found and there is no `tokeninfo_url`"
            }
            Self::Etcd => "this container has no ETCD_URL",
        }
    }

    /// What a plan says in place of the value.
    pub(super) fn text(&self, networking: Networking) -> String {
        let machine = match networking {
            Networking::Host => Ipv4Addr::LOCALHOST.to_string(),
            Networking::Bridge | Networking::None => "[the bridge's gateway]".to_owned(),
        };
        match self {
            Self::Tokeninfo { otherwise } => {
                let otherwise = otherwise
                    .as_deref()
                    .map_or_else(|| "none".to_owned(), text::without_query);
                format!(
                    "<{} if it answers within {TOKENINFO_PATIENCE_SECONDS} s, else {otherwise}>",
                    tokeninfo_url(machine)
                )
            }
            Self::Etcd => format!("<{}>", of_the_machine(ETCD_PORT, machine)),
        }
    }
}

/// The values that are known, by their variables, and the holes. A container without a network reaches nothing of the
/// machine, so nothing is looked for there.
pub(super) fn variables(config: &Config) -> (Vec<(&'static str, String)>, Vec<Hole>) {
    let (host, networking) = (config.host(), config.networking());
    let (mut known, mut holes) = (Vec::new(), Vec::new());
    let written = |name: &str| config.environment().iter().any(|(one, _)| one == name);
    if !written(TOKENINFO_URL) {
        let global = host.tokeninfo_url.clone();
        if host.local_planb_tokeninfo == Some(true) && networking != Networking::None {
            holes.push(Hole::Tokeninfo { otherwise: global });
        } else if let Some(url) = global {
            known.push((TOKENINFO_URL, url));
        }
    }
    if let Some(domain) = host.etcd_discovery_domain.as_deref() {
        match (etcd_url(domain), networking) {
            (Some(url), _) => known.push((ETCD_URL, url)),
            (None, Networking::Bridge) => holes.push(Hole::Etcd),
            (None, Networking::Host | Networking::None) => {
                known.push((ETCD_URL, of_the_machine(ETCD_PORT, Ipv4Addr::LOCALHOST)));
            }
        }
    }
    (known, holes)
}

/// TCP ports of the machine's that a container behind the bridge was told of.
pub(crate) fn machine_ports(config: &Config) -> Vec<u16> {
    let (_, holes) = variables(config);
    let ports = holes.iter().map(|hole| match hole {
        Hole::Tokeninfo { .. } => TOKENINFO_PORT,
        Hole::Etcd => ETCD_PORT,
    });
    ports
        .filter(|_| config.networking() == Networking::Bridge)
        .collect()
}

/// The name that stups-etcd-cluster keeps in the domain; `None` means the machine itself.
fn etcd_url(domain: &str) -> Option<String> {
    let domain = domain.trim_end_matches('.');
    (domain != DISABLE).then(|| format!("http://etcd-server.{domain}:{ETCD_PORT}"))
}

fn tokeninfo_url(machine: impl std::fmt::Display) -> String {
    format!("{}/oauth2/tokeninfo", of_the_machine(TOKENINFO_PORT, machine))
}

fn of_the_machine(port: u16, machine: impl std::fmt::Display) -> String {
    format!("http://{machine}:{port}")
}

/// What others may know of the application. Taupage published the whole user data without `environment`, and with it the
/// registries' passwords and the keys of log services: here is what is known to hold none.
fn described(config: &Config) -> Value {
    let mut all = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            all.insert(key.to_owned(), value);
        }
    };
    put("application_id", json!(config.application_id()));
    put("application_version", json!(config.application_version()));
    put("runtime", json!("Docker"));
    put("source", json!(config.source().to_string()));
    put("deployment_id", json!(config.deployment_id()));
    put("networking", json!(config.networking().to_string()));
    let ports: Map<String, Value> = config.ports().iter().map(port).collect();
    put(
        "ports",
        if ports.is_empty() {
            Value::Null
        } else {
            ports.into()
        },
    );
    if let Some(check) = config.health_check()
        && let Probe::Http { port, path, .. } = check.probe
    {
        put("health_check_port", json!(port));
        put("health_check_path", json!(path));
    }
    Value::Object(all)
}

/// `"8080": 80`, or `"53/udp": 53`, as people write it.
fn port(one: &PortMapping) -> (String, Value) {
    let protocol = match one.protocol {
        crate::config::Protocol::Tcp => String::new(),
        other => format!("/{other}"),
    };
    (format!("{}{protocol}", one.host), json!(one.container))
}

#[cfg(test)]
mod tests;
