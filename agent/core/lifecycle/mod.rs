//! The machine's life beyond its container, as values: whom it tells how the boot ended, who is asked before it counts
//! as up, and what happens when it fails or has to go.
//!
//! Nothing here talks to anybody. [`LifecyclePlan`] says what the user wants; the state machines decide; the agent
//! carries inputs in and actions out.

pub mod drain;
pub mod replace;
pub mod signal;
pub mod usage;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// Everything the user says about the machine's life; also what a restarted agent has to know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecyclePlan {
    /// Who waits for the boot's result: `notify_cfn`.
    pub signal: Option<SignalTarget>,
    /// The hooks of the Auto Scaling group: `lifecycle_hooks`.
    pub hooks: Hooks,
    /// The load balancers that have to call the machine healthy: `healthcheck`.
    pub balancers: Balancers,
    /// What becomes of a machine whose boot failed.
    pub on_boot_failure: OnBootFailure,
    /// What becomes of a container that is not healthy.
    pub on_unhealthy: OnUnhealthy,
    /// What holds `replace` back.
    pub brakes: Brakes,
    /// Whether the machine goes with its container.
    pub shutdown: Shutdown,
    /// How the machine leaves.
    pub drain: DrainPlan,
    /// Where status and metrics are served.
    pub status_address: StatusAddress,
}

/// The resource of a stack that waits for the boot's result.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalTarget {
    /// The stack's name or ARN.
    pub stack: String,
    /// The logical id of the resource.
    pub resource: String,
    /// Who signs.
    #[serde(default)]
    pub sign: SignWith,
    /// The URL of a wait condition's handle, which takes a reason, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_handle: Option<String>,
}

impl SignalTarget {
    /// Whose wait handle it is: of the URL, whoever has it being able to answer, only this may be shown.
    pub fn wait_handle_host(&self) -> Option<&str> {
        let (_, rest) = self.wait_handle.as_deref()?.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        authority.rsplit('@').next()
    }
}

impl fmt::Debug for SignalTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalTarget")
            .field("stack", &self.stack)
            .field("resource", &self.resource)
            .field("sign", &self.sign)
            .field("wait_handle_host", &self.wait_handle_host())
            .finish()
    }
}

impl fmt::Display for SignalTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the stack {}", self.resource, self.stack)
    }
}

/// Whose signature CloudFormation gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignWith {
    /// The instance's identity document, which needs no permission.
    #[default]
    Instance,
    /// The instance's role, which needs `cloudformation:SignalResource`.
    Role,
}

/// Hooks of an Auto Scaling group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// The group's name; asked of the metadata service's tags, then of Auto Scaling, when `None`.
    pub group: Option<String>,
    /// The hook that keeps a new machine waiting.
    pub launch: Option<String>,
    /// The hook that keeps a leaving machine waiting.
    pub terminate: Option<String>,
}

/// Load balancers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balancers {
    /// Each of them.
    pub all: Vec<Balancer>,
    /// How many of them have to call the machine healthy.
    pub require: Require,
    /// Healthy answers in a row that are believed; 2 unless told.
    pub healthy_threshold: u32,
    /// How long they may take, in seconds; 300 unless told.
    pub timeout_seconds: u32,
}

impl Balancers {
    /// How long they may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }

    /// Whether the machine counts as in service, by what each of them says.
    pub fn satisfied(&self, healthy: impl IntoIterator<Item = bool>) -> bool {
        let mut healthy = healthy.into_iter();
        match self.require {
            Require::Any => healthy.any(|one| one),
            Require::All => healthy.all(|one| one),
        }
    }
}

impl fmt::Display for Balancers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.all.as_slice(), self.require) {
            ([one], _) => write!(f, "{one} calls this machine healthy")?,
            (all, require) => {
                let which = match require {
                    Require::Any => "one of",
                    Require::All => "each of",
                };
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "{which} {} calls this machine healthy", all.join(", "))?;
            }
        }
        if self.healthy_threshold > 1 {
            write!(f, ", {} times in a row", self.healthy_threshold)?;
        }
        write!(f, ", for {} at most", text::duration(self.timeout()))
    }
}

/// One load balancer, as far as one machine is concerned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balancer {
    /// A classic load balancer's name.
    Classic(String),
    /// The ARN of a target group of an application, network or gateway load balancer.
    TargetGroup(String),
}

impl fmt::Display for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic(name) => write!(f, "the load balancer {name}"),
            // arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID
            Self::TargetGroup(arn) => {
                write!(f, "the target group {}", arn.split('/').nth(1).unwrap_or(arn))
            }
        }
    }
}

/// How many load balancers have to agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// One: a standby is out of service behind the leader's endpoint, and well.
    #[default]
    Any,
    /// Each.
    All,
}

/// What becomes of a machine whose boot failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBootFailure {
    /// It stays for inspection.
    #[default]
    Stay,
    /// It is powered off; a group replaces it.
    Poweroff,
    /// Its group is asked to replace it.
    Replace,
}

/// What becomes of a container that is not healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUnhealthy {
    /// It is restarted, and tried again from time to time when that did not help.
    #[default]
    Restart,
    /// It is restarted, and when that did not help the group is asked to replace the machine.
    Replace,
    /// It is reported.
    Ignore,
}

/// What keeps a machine from asking for its own replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brakes {
    /// Seconds since the launch before which it never asks.
    pub min_uptime_seconds: u32,
    /// If more of the group than this share is unhealthy, the cause is not this machine.
    pub max_unhealthy_percent: u32,
}

impl Default for Brakes {
    fn default() -> Self {
        Self {
            min_uptime_seconds: 600,
            max_unhealthy_percent: 20,
        }
    }
}

/// Whether the machine goes with its container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shutdown {
    /// It stays.
    #[default]
    Never,
    /// Off when the container ends.
    OnExit,
    /// Off when the container ends with 0.
    OnSuccess,
}

/// How the machine leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainPlan {
    /// Whether a rebalance recommendation begins a drain; otherwise it is only told.
    pub on_rebalance: bool,
    /// Seconds for the whole drain where nobody sets an earlier end.
    pub timeout_seconds: u32,
    /// Seconds the container gets between its stop signal and SIGKILL.
    pub stop_timeout_seconds: u32,
}

impl Default for DrainPlan {
    fn default() -> Self {
        Self {
            on_rebalance: false,
            timeout_seconds: 600,
            stop_timeout_seconds: crate::plan::container::STOP_TIMEOUT,
        }
    }
}

/// Where status and metrics are served; `None` nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAddress(pub Option<SocketAddr>);

impl Default for StatusAddress {
    fn default() -> Self {
        Self(Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9180))))
    }
}

/// What the Auto Scaling group wants this machine to become, as the metadata service says it
/// (`autoscaling/target-lifecycle-state`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetState {
    /// It is to serve.
    InService,
    /// It is to wait in a warm pool: `Warmed:Stopped`, `Warmed:Running`, `Warmed:Hibernated`.
    Warmed,
    /// It is to go.
    Terminated,
    /// `Standby`, `Detached`, and what AWS may add: nobody asks it to stop.
    Other(String),
}

impl TargetState {
    /// From the metadata service's text.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "InService" => Self::InService,
            "Terminated" => Self::Terminated,
            warmed if warmed.starts_with("Warmed:") => Self::Warmed,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What the metadata service says about the machine's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// What the group wants; `None` outside of any.
    pub target: Option<TargetState>,
    /// A spot interruption: what will be done (`terminate`, `stop`, `hibernate`), and when, in milliseconds since the epoch.
    pub spot: Option<(String, u64)>,
    /// A rebalance recommendation, and since when, in milliseconds since the epoch.
    pub rebalance: Option<u64>,
}

/// How far a machine that leaves has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainPhase {
    /// Out of the load balancers.
    Leave,
    /// The container gets its stop signal.
    Stop,
    /// Lines in flight go out.
    Flush,
    /// The group's hook is completed.
    Hook,
    /// All of it is over.
    Done,
}

impl fmt::Display for DrainPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leave => "leave",
            Self::Stop => "stop",
            Self::Flush => "flush",
            Self::Hook => "hook",
            Self::Done => "done",
        })
    }
}
