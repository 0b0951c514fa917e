//! From config and facts to everything that will be done, as data.
//!
//! Design: [`Plan::new`] is a pure function; `monopod plan` prints exactly what `monopod run` will
//! do. A step is an enum variant with its payload, so plans can be compared, printed and tested. What
//! can only be known on the machine is a hole that a step fills: the secrets' values, the image's
//! digest, and whether the container is adopted, resumed or created ([`reconcile`]).
//!
//! Invariants: a plan holds no secret's value; its text and JSON can be shown to anybody who may see
//! the user data. The executor makes no choices: [`Plan::steps`] says which steps there are for a
//! [`Then`], and [`StepId::after`] what each waits for.

mod audit;
mod aws;
pub mod container;
mod diff;
mod events;
pub mod extras;
mod lifecycle;
pub mod logs;
mod preparation;
pub mod reconcile;
mod render;
pub mod sets;
#[cfg(test)]
mod tests;
mod uses;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audit::AuditPlan;
use crate::config::{
    Config, HealthCheck, ImageRef, Mirror, Origin, Probe, Problem, RegistryAuth, RegistryHost, RestartPolicy,
    Severity, Storage,
};
use crate::facts::InstanceFacts;
use crate::firewall::{FirewallPlan, Surroundings};
use crate::lifecycle::{Balancers, LifecyclePlan, SignalTarget};
use crate::logs::{Attributes, LogPlan};
use crate::machine::MachinePlan;
use crate::notice::EventsPlan;
use crate::text;
use crate::trace::VerdictPolicy;
use crate::trust::Trust;
pub use aws::{AwsCall, partition};
use container::ContainerSpec;
pub use diff::{Change, Difference};
use extras::Extras;
pub use preparation::Preparation;
use reconcile::Then;
pub(crate) use render::key_text;
use sets::FileSet;
pub use uses::SecretUse;

/// Characters of a value that a text for people shows when it has to be escaped.
const VALUE_WIDTH: usize = 100;

/// Who the container is: goes with every line and every report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// `application_id`.
    pub id: String,
    /// `application_version`.
    pub version: String,
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.version)
    }
}

/// What has to be true before the machine counts as up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// What is asked.
    pub probe: Probe,
    /// The whole time it may take, in seconds.
    pub timeout_seconds: u32,
    /// Between two probes, in seconds.
    pub interval_seconds: u32,
    /// How long one probe may take, in seconds.
    pub probe_timeout_seconds: u32,
    /// Good answers in a row that are enough.
    pub healthy_threshold: u32,
    /// Failures in a row that make it unhealthy, once the machine is up.
    #[serde(default = "unhealthy_threshold")]
    pub unhealthy_threshold: u32,
    /// Between two probes once the machine is up, in seconds.
    #[serde(default = "watch_interval_seconds")]
    pub watch_interval_seconds: u32,
    /// After a start failures don't count for so long, in seconds.
    #[serde(default)]
    pub start_period_seconds: u32,
}

fn unhealthy_threshold() -> u32 {
    Gate::RUNNING.unhealthy_threshold
}

fn watch_interval_seconds() -> u32 {
    Gate::RUNNING.watch_interval_seconds
}

impl Gate {
    /// Nothing was asked for. An image's own HEALTHCHECK then has a minute to say healthy.
    pub const RUNNING: Self = Self {
        probe: Probe::Running,
        timeout_seconds: 60,
        interval_seconds: 2,
        probe_timeout_seconds: 5,
        healthy_threshold: 1,
        unhealthy_threshold: 3,
        watch_interval_seconds: 10,
        start_period_seconds: 60,
    };

    /// The whole time the gate may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }

    /// Time between two probes.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval_seconds))
    }

    /// How long one probe may take.
    pub fn probe_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.probe_timeout_seconds))
    }

    /// Whether the application itself is asked anything.
    pub fn asks(&self) -> bool {
        self.probe != Probe::Running
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.probe {
            Probe::Running => {
                return f
                    .write_str("the container has run for 3 s, or is healthy if its image says how to tell");
            }
            Probe::Http {
                port,
                path,
                statuses,
                headers: _,
            } => {
                write!(f, "GET http://127.0.0.1:{port}{path} answers ")?;
                match statuses.as_slice() {
                    [] => f.write_str("200")?,
                    [first, rest @ ..] => {
                        write!(f, "{first}")?;
                        rest.iter().try_for_each(|status| write!(f, " or {status}"))?;
                    }
                }
            }
            Probe::Tcp { port } => write!(f, "port {port} of the container takes a connection")?,
            Probe::Exec { .. } => f.write_str("the health check's command ends with 0 in the container")?,
        }
        if self.healthy_threshold > 1 {
            write!(f, ", {} times in a row", self.healthy_threshold)?;
        }
        write!(
            f,
            ", every {} s, for {} at most",
            self.interval_seconds,
            text::duration(self.timeout())
        )
    }
}

/// Names a step in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepId {
    /// Ask the engine what it has.
    Engine,
    /// Ask the metadata service who we are.
    Facts,
    /// Read and check the user data.
    Config,
    /// Wait for disks and the machine's settings.
    Prepare,
    /// Have the firewall's rules loaded.
    Firewall,
    /// Decrypt and fetch.
    Secrets,
    /// Resolve and pull.
    Image,
    /// Remove, create, start or adopt.
    Container,
    /// Wait for health.
    Health,
    /// Let the Auto Scaling group go on with this machine.
    Hook,
    /// Wait for the load balancers.
    Balancer,
    /// Tell CloudFormation.
    Signal,
    /// Tell systemd.
    Ready,
}

impl StepId {
    /// In the order of the timeline.
    pub const ALL: [Self; 13] = [
        Self::Engine,
        Self::Facts,
        Self::Config,
        Self::Prepare,
        Self::Firewall,
        Self::Secrets,
        Self::Image,
        Self::Container,
        Self::Health,
        Self::Hook,
        Self::Balancer,
        Self::Signal,
        Self::Ready,
    ];

    /// What has to be done before.
    pub const fn after(self) -> &'static [Self] {
        match self {
            Self::Engine | Self::Facts => &[],
            Self::Config => &[Self::Facts],
            // Disks are there while the image comes: only the container needs them.
            Self::Prepare => &[Self::Config],
            // The rules know no container: they are there before its first packet.
            Self::Firewall => &[Self::Config],
            Self::Secrets => &[Self::Engine, Self::Config],
            // A registry password may be a KMS value, but the pull waits for that value alone, not for the step.
            Self::Image => &[Self::Engine, Self::Config],
            Self::Container => &[Self::Prepare, Self::Firewall, Self::Secrets, Self::Image],
            Self::Health => &[Self::Container],
            // A target is unused until the hook completes, and a stack that is told goes on with the next machine.
            Self::Hook => &[Self::Health],
            Self::Balancer => &[Self::Hook],
            Self::Signal => &[Self::Balancer],
            Self::Ready => &[Self::Signal],
        }
    }

    /// One word, as it stands in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Facts => "facts",
            Self::Config => "config",
            Self::Prepare => "prepare",
            Self::Firewall => "firewall",
            Self::Secrets => "secrets",
            Self::Image => "image",
            Self::Container => "container",
            Self::Health => "health",
            Self::Hook => "hook",
            Self::Balancer => "balancer",
            Self::Signal => "signal",
            Self::Ready => "ready",
        }
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One step with everything it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetch these, each once, at most four at a time.
    FetchSecrets {
        /// From KMS, Parameter Store and Secrets Manager.
        uses: Vec<SecretUse>,
        /// The bucket with the application's credentials.
        mint_bucket: Option<String>,
    },
    /// Wait until disks are mounted and the machine's settings made.
    Prepare(Preparation),
    /// Load these rules.
    Firewall(FirewallPlan),
    /// Resolve the reference to a digest, pull it unless it is there.
    ObtainImage(ImageRef),
    /// End with this container running, alone.
    EnsureContainer(Then),
    /// Wait until it is healthy.
    AwaitHealth(Gate),
    /// CONTINUE for the launch hook of this name.
    CompleteLaunchHook(String),
    /// Wait until load balancers send requests.
    AwaitBalancers(Balancers),
    /// SUCCESS to CloudFormation.
    Signal(SignalTarget),
    /// READY=1.
    NotifyReady,
}

impl Step {
    /// Its place in the timeline.
    pub const fn id(&self) -> StepId {
        match self {
            Self::Prepare(_) => StepId::Prepare,
            Self::Firewall(_) => StepId::Firewall,
            Self::FetchSecrets { .. } => StepId::Secrets,
            Self::ObtainImage(_) => StepId::Image,
            Self::EnsureContainer(_) => StepId::Container,
            Self::AwaitHealth(_) => StepId::Health,
            Self::CompleteLaunchHook(_) => StepId::Hook,
            Self::AwaitBalancers(_) => StepId::Balancer,
            Self::Signal(_) => StepId::Signal,
            Self::NotifyReady => StepId::Ready,
        }
    }
}

/// Everything that will be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who it is for.
    pub application: Application,
    /// On which machine; `None` where a plan is made away from any.
    pub facts: Option<InstanceFacts>,
    /// What the engine is asked for.
    pub container: ContainerSpec,
    /// What has to be fetched, each source once.
    pub secrets: Vec<SecretUse>,
    /// What only mirrors' logins are made of: fetched for the pull, and done without where that fails.
    pub mirror_secrets: Vec<SecretUse>,
    /// The sets of files that change together.
    pub sets: Vec<FileSet>,
    /// Whether encrypted copies are kept of what is fetched for `files`, too.
    pub keep_secrets: bool,
    /// The login for the registry of the image, and for no other.
    pub registry_auth: Option<RegistryAuth>,
    /// What the image has to prove before it is pulled.
    pub trust: Trust,
    /// What follows from where it comes from.
    pub verdicts: VerdictPolicy,
    /// Where else its images are, in the order they are asked.
    pub mirrors: Vec<Mirror>,
    /// Credentials for those of them that have their own.
    pub mirror_auths: Vec<RegistryAuth>,
    /// When the machine counts as up.
    pub gate: Gate,
    /// What happens when the container ends.
    pub restart: RestartPolicy,
    /// Whom the machine tells how it is, and how it leaves.
    pub lifecycle: LifecyclePlan,
    /// What may come to it and what may leave it.
    pub firewall: FirewallPlan,
    /// What is set on the machine around it.
    pub machine: MachinePlan,
    /// What else the machine does for it.
    pub extras: Extras,
    /// Lines are shipped without the secrets that are known.
    pub redact_secrets: bool,
    /// What is shipped where, and how much of the disk logs take.
    pub logs: LogPlan,
    /// Who the lines are from.
    pub log_attributes: Attributes,
    /// Where audit records go, if anywhere.
    pub audit: Option<AuditPlan>,
    /// Where notices are pushed, if anywhere.
    pub events: Option<EventsPlan>,
    /// How long all of it may take.
    pub budget: Duration,
    /// What the container's identity is computed from, together with the digest.
    pub intent: serde_json::Value,
    /// Volumes and mounts, as far as the user data says.
    pub storage: Storage,
    /// Values that the machine's image brought.
    pub from_image: Vec<Origin>,
    /// What the user should know.
    pub warnings: Vec<Problem>,
    /// Why this version boots no machine with it; empty where it does.
    pub refused: Vec<Problem>,
}

impl Plan {
    /// Decides everything that can be decided without touching the machine.
    pub fn new(config: &Config, problems: Vec<Problem>, facts: Option<&InstanceFacts>) -> Self {
        let (refused, warnings) = problems
            .into_iter()
            .partition(|problem| problem.severity == Severity::Error);
        let firewall = firewall(config);
        let mut container = ContainerSpec {
            cgroup_parent: firewall.needs_control_group().then_some(Surroundings::SLICE),
            ..ContainerSpec::new(config)
        };
        if let Some(facts) = facts {
            container.fill(facts);
        }
        let registry_auth = config.registry_auth();
        let mirrors = mirrors(config);
        let mirror_auths = mirror_auths(config, &mirrors);
        Self {
            application: Application {
                id: config.application_id().to_owned(),
                version: config.application_version().to_owned(),
            },
            facts: facts.cloned(),
            secrets: uses::needed(&container, registry_auth.as_ref()),
            mirror_secrets: uses::of_mirrors(&mirror_auths),
            sets: FileSet::all(config, &container),
            keep_secrets: config.keep_secrets(),
            registry_auth,
            trust: config.trust().clone(),
            verdicts: config.verdicts().clone(),
            mirrors,
            mirror_auths,
            gate: gate(config.health_check()),
            restart: config.restart(),
            lifecycle: config.lifecycle().clone(),
            firewall,
            machine: MachinePlan::new(config),
            extras: Extras::new(config),
            redact_secrets: config.logging().redact_secrets.unwrap_or_default(),
            logs: LogPlan::new(config),
            log_attributes: Attributes::new(config, facts),
            audit: AuditPlan::new(config.audit()),
            events: EventsPlan::new(config.events()),
            budget: config.boot_timeout(),
            intent: config.canonical(),
            container,
            storage: config.storage().clone(),
            from_image: config
                .origins()
                .iter()
                .filter(|origin| origin.from_image)
                .cloned()
                .collect(),
            warnings,
            refused,
        }
    }

    /// What the container's files are made of, of all that has to be fetched.
    pub fn file_uses(&self) -> Vec<SecretUse> {
        sets::for_files(&self.secrets)
    }

    /// Whether a mirror may say which image a tag means. Where a rule of the policy lets the image run without any proof, the
    /// word of its own registry is all there is, and a mirror that user data names would put its own in that place.
    pub const fn mirrors_may_resolve(&self) -> bool {
        self.trust.rule.is_none() || self.trust.requirement.asks_registry()
    }

    /// The steps for what was found on the engine: a container that exists needs no registry, and no secrets but those
    /// in files, which went with the memory they lay in.
    pub fn steps(&self, then: &Then) -> Vec<Step> {
        let mut steps = Vec::new();
        if *then == Then::Create {
            // The pull first: it takes longest, and the engine works on it while we set up the rest.
            steps.push(Step::ObtainImage(self.container.image.clone()));
        }
        // A container that runs has its mounts; one that is started, for the first time or again, would lose data without them.
        if !matches!(then, Then::Adopt { .. }) {
            steps.extend(self.preparation().map(Step::Prepare));
        }
        steps.push(Step::Firewall(self.firewall.clone()));
        let uses = match then {
            Then::Create => self.secrets.clone(),
            Then::Adopt { .. } | Then::Resume { .. } => self.file_uses(),
        };
        let mint_bucket = self.container.mint_bucket.clone();
        if *then == Then::Create || !uses.is_empty() || mint_bucket.is_some() {
            steps.push(Step::FetchSecrets { uses, mint_bucket });
        }
        steps.push(Step::EnsureContainer(then.clone()));
        steps.push(Step::AwaitHealth(self.gate.clone()));
        let life = &self.lifecycle;
        steps.extend(life.hooks.launch.clone().map(Step::CompleteLaunchHook));
        if !life.balancers.all.is_empty() {
            steps.push(Step::AwaitBalancers(life.balancers.clone()));
        }
        steps.extend(life.signal.clone().map(Step::Signal));
        steps.push(Step::NotifyReady);
        steps
    }
}

fn firewall(config: &Config) -> FirewallPlan {
    let identity = config.identity();
    FirewallPlan::new(config, identity.blocks_metadata(), identity.served().is_some())
}

fn gate(check: Option<HealthCheck>) -> Gate {
    check.map_or(Gate::RUNNING, |check| Gate {
        probe: check.probe,
        timeout_seconds: check.timeout_seconds,
        interval_seconds: check.interval_seconds,
        probe_timeout_seconds: check.probe_timeout_seconds,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        watch_interval_seconds: check.watch_interval_seconds,
        start_period_seconds: check.start_period_seconds,
    })
}

fn mirrors(config: &Config) -> Vec<Mirror> {
    let registry = RegistryHost::new(config.source().registry()).to_string();
    let of_registry = config
        .registry_mirrors()
        .iter()
        .find(|one| one.registry == registry);
    of_registry.map(|one| one.mirrors.clone()).unwrap_or_default()
}

/// Each host's own; the registry's own is not among them.
fn mirror_auths(config: &Config, mirrors: &[Mirror]) -> Vec<RegistryAuth> {
    let mut auths: Vec<RegistryAuth> = Vec::new();
    for host in mirrors.iter().map(Mirror::registry) {
        if host != config.source().registry() && !auths.iter().any(|auth| auth.registry == host) {
            auths.extend(config.registry_auth_of(host));
        }
    }
    auths
}
