//! What every part of a run shares: the engine, the reporter, the shipper, the directories.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use monopod_core::audit::AuditOrders;
use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::firewall::Order;
use monopod_core::lifecycle::{LifecyclePlan, StatusAddress};
use monopod_core::logs::{Attributes, LogPlan};
use monopod_core::notice::EventsPlan;
use monopod_core::plan::Application;
use monopod_core::plan::extras::Extras;
use monopod_core::text;
use monopod_core::trace::Trace;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::audit::{self, Audit, Live};
use crate::boot::{BootError, audit_asks, event_asks, log_keys};
use crate::host::docker::Engine;
use crate::host::ecr::Ecr;
use crate::host::firewall::{Ensured, Firewall, FirewallError};
use crate::host::imds::{ENDPOINT_VARIABLE, Imds, ImdsError};
use crate::host::{chain, files};
use crate::identity::Endpoint;
use crate::logs;
use crate::notices::{self, Known, Push};
use crate::report::Reporter;
use crate::serve::Server;

/// Where files of ours lie.
#[derive(Clone, Debug)]
pub struct Directories {
    /// tmpfs, one boot: lock, hint, status.
    pub runtime: PathBuf,
    /// The disk: cursors.
    pub state: PathBuf,
    /// The image's own files: defaults and policy.
    pub configuration: PathBuf,
    /// Where the access unit writes who came in.
    pub access: PathBuf,
    /// Where the machine's own units and drop-ins lie.
    pub units: PathBuf,
}

/// Where facts and user data come from; `None` is the metadata service.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--facts`.
    pub facts: Option<PathBuf>,
    /// `--user-data`.
    pub user_data: Option<PathBuf>,
}

/// Where the container's lines go.
#[derive(Clone, Debug)]
pub struct LogTargets {
    /// Where the machine's logs lie, `audit.log` among them.
    pub directory: PathBuf,
    /// The file the agent writes; `None` for no file.
    pub application_log: Option<PathBuf>,
    /// The local syslog socket; `None` for no syslog.
    pub syslog_socket: Option<PathBuf>,
}

/// One run of the agent.
pub struct Context {
    /// The container engine.
    pub engine: Engine,
    /// Logins from ECR, kept while they last.
    pub ecr: Ecr,
    /// Who hears what happens.
    pub reporter: Reporter,
    /// Where files of ours lie.
    pub directories: Directories,
    /// Where facts and user data come from.
    pub sources: Sources,
    log_targets: LogTargets,
    redaction: logs::Redaction,
    shipping: Mutex<Shipping>,
    life: watch::Sender<Life>,
    audit: Mutex<Option<Audit>>,
    events: Mutex<Option<Push>>,
    /// What was told of this boot.
    pub known: Known,
    server: Server,
    firewall: Firewall,
    counting: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// Serves the container's AWS credentials.
    pub identity: Endpoint,
}

/// What is known so far about the machine's life: enough to tell whoever waits how the boot ended, at any moment of it.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// What the user wants; what could be read of it where the rest is wrong.
    pub plan: LifecyclePlan,
    /// What else the machine does for the application.
    pub extras: Extras,
    /// Who we are.
    pub facts: Option<InstanceFacts>,
    /// When the boot budget is spent, in milliseconds since the kernel started: what is tried is tried until then.
    pub budget_end: u64,
    /// When whoever waits gives up: before [`Self::budget_end`] where the agent started late.
    pub awaited_until: u64,
    /// `deployment_id`.
    pub deployment_id: Option<String>,
    /// Where the boot stands.
    pub stage: Stage,
    /// The launch hook was let go.
    pub hook_completed: bool,
}

/// Where the boot stands, for those who wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Its result is still to come.
    #[default]
    Booting,
    /// It waits in a warm pool, and nobody for it.
    Warm,
    /// Its result is out, or nobody waits any more.
    Over,
}

/// What is shipped, and who it is from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShippingOrders {
    /// Where lines go.
    pub plan: LogPlan,
    /// Who they are from.
    pub attributes: Attributes,
}

/// What is known about log shipping, and what has not worked yet.
#[derive(Default)]
struct Shipping {
    orders: Option<ShippingOrders>,
    shipper: Option<logs::Shipper>,
    wanted: Option<(String, PathBuf)>,
    told: Option<String>,
}

/// A gap's marker is one line: it is written or the sink is away.
const GAP_PATIENCE: Duration = Duration::from_secs(2);
/// Without an answer by then there are no figures of the firewall's.
const COUNTERS: Duration = Duration::from_secs(5);
/// Whoever waits for the lines for long lets others in so often.
const GLANCE: Duration = Duration::from_secs(2);

impl Context {
    /// Nothing is touched yet.
    pub fn new(
        engine: Engine,
        reporter: Reporter,
        directories: Directories,
        sources: Sources,
        log_targets: LogTargets,
    ) -> Self {
        let redaction = logs::Redaction::new(reporter.redactor_of_lines());
        let firewall = Firewall::new(&directories.runtime);
        Self {
            engine,
            ecr: Ecr::default(),
            redaction,
            server: Server::new(reporter.clone()),
            identity: Endpoint::new(reporter.clone(), &directories.runtime),
            reporter,
            known: Known::load(&directories.runtime),
            directories,
            sources,
            log_targets,
            shipping: Mutex::default(),
            life: watch::Sender::default(),
            audit: Mutex::default(),
            firewall,
            counting: std::sync::Mutex::default(),
            events: Mutex::default(),
        }
    }

    /// What is known about the machine's life.
    pub fn life(&self) -> Life {
        self.life.borrow().clone()
    }

    /// Adds to it.
    pub fn learn_life(&self, change: impl FnOnce(&mut Life)) {
        self.life.send_modify(change);
        let directory = self.life.borrow().extras.metrics.textfile_directory.clone();
        self.server.read_textfiles_in(directory.map(PathBuf::from));
    }

    /// Hears what is added.
    pub fn watch_life(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// The metadata service; `None` where facts come from a file, and no machine is to be asked.
    pub fn imds(&self) -> Result<Option<Imds>, ImdsError> {
        if self.sources.facts.is_some() {
            return Ok(None);
        }
        let endpoint = std::env::var(ENDPOINT_VARIABLE).ok();
        Imds::new(endpoint.as_deref()).map(Some)
    }

    /// The rules for the container's traffic.
    pub fn firewall(&self) -> Option<Order> {
        self.firewall.order()
    }

    /// The unit that loads them.
    pub(crate) fn firewall_unit(&self) -> &Firewall {
        &self.firewall
    }

    /// Sees to it that the rules are loaded that this machine was told of, if any. Where they are, nothing changes. A machine
    /// without the unit, or with one that fails, goes without where nothing was asked that only the unit can do.
    pub async fn ensure_firewall(&self, deadline: Instant) -> Result<(), FirewallError> {
        let ensured = self.firewall.ensure(deadline).await?;
        self.tell_firewall(&ensured);
        Ok(())
    }

    /// What follows from how asking for the rules ended.
    pub(crate) fn tell_firewall(&self, ensured: &Ensured) {
        if let Some(text) = self.firewall.complaint(ensured) {
            self.reporter.tell(Event::Warning { text });
        }
        if matches!(ensured, Ensured::Loaded(_)) {
            self.count_denials();
        }
    }

    /// Has the unit asked for its counters whenever somebody wants them, from the first rules on.
    fn count_denials(&self) {
        let mut counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        if counting.is_some() {
            return;
        }
        let (firewall, reporter) = (self.firewall.clone(), self.reporter.clone());
        *counting = Some(tokio::spawn(async move {
            loop {
                let denied = firewall.counters(Instant::now() + COUNTERS).await;
                reporter.denials().learn(denied.ok());
                reporter.denials().wanted().await;
            }
        }));
    }

    /// The id of this boot of the machine.
    pub fn boot_id(&self) -> Result<String, BootError> {
        Ok(files::boot_id()?)
    }

    /// Whether lines are shipped without the secrets known here, from now on: `redact_secrets`.
    pub fn redact_lines(&self, on: bool) {
        self.redaction.set(on);
    }

    /// Sees to it that status and metrics are served there, and nowhere else. A port that is taken is told and tried
    /// again; it never ends a boot.
    pub fn ensure_served(&self, address: StatusAddress) {
        self.server.ensure_at(address);
    }

    /// What a scrape of the machine's figures gets, for whoever pushes them.
    pub async fn exposition(&self) -> String {
        self.server.exposition().await
    }

    /// Sees to it that lines are shipped: starts the shipper and points it at the container, whatever of that has not
    /// worked yet. A failure is told and tried again with the next call; it never ends a boot, for the lines wait in the
    /// engine's files.
    pub async fn ensure_shipping(&self, orders: Option<&ShippingOrders>) {
        let mut shipping = self.shipping.lock().await;
        shipping.orders = orders.cloned().or(shipping.orders.take());
        if let Err(error) = self.try_shipping(&mut shipping).await {
            let text = format!(
                "log lines are not shipped yet, they wait in the engine's files: {}",
                chain(&error)
            );
            if shipping.told.as_deref() != Some(text.as_str()) {
                shipping.told = Some(text.clone());
                self.reporter.tell(Event::Warning { text });
            }
        }
    }

    /// Where the lines come from is known now; what was told of that before holds no more.
    pub async fn know_origin(&self, trace: &Trace) {
        let mut shipping = self.shipping.lock().await;
        let Some(orders) = &mut shipping.orders else {
            return;
        };
        orders.attributes.come_from(trace);
        let attributes = orders.attributes.clone();
        if let Some(shipper) = &shipping.shipper {
            shipper.learn(&attributes);
        }
    }

    async fn try_shipping(&self, shipping: &mut Shipping) -> Result<(), logs::LogsError> {
        let Some(orders) = &shipping.orders else {
            return Ok(());
        };
        let shipper = match &mut shipping.shipper {
            Some(shipper) => shipper,
            none => none.insert(
                logs::Shipper::start(logs::Options {
                    state_dir: self.directories.state.clone(),
                    application_log: self.log_targets.application_log.clone(),
                    syslog_socket: self.log_targets.syslog_socket.clone(),
                    plan: orders.plan.clone(),
                    attributes: orders.attributes.clone(),
                    keys: log_keys::of(
                        &orders.attributes.region,
                        &self.sources,
                        &self.directories,
                        &self.reporter,
                    ),
                    redaction: self.redaction.clone(),
                })
                .await?,
            ),
        };
        // It stays wanted until it is followed, should nobody wait for that to the end.
        if let Some((id, path)) = shipping.wanted.clone() {
            shipper.follow(&id, &path).await?;
            shipping.wanted = None;
        }
        shipping.told = None;
        Ok(())
    }

    /// Ships this container's lines from now on, after those of the one before. Asked again for the same container it
    /// changes nothing. The engine names no log file before the first start.
    pub async fn ensure_followed(&self, id: &str, log_path: Option<&Path>) {
        if let Some(path) = log_path {
            self.shipping.lock().await.wanted = Some((id.to_owned(), path.to_owned()));
            self.ensure_shipping(None).await;
        }
    }

    /// Before a container is removed: every line delivered, or a gap recorded in every stream.
    pub async fn ensure_drained(&self, id: &str, patience: Duration) {
        let shipping = self.shipping.lock().await;
        let short = text::short_id(id);
        let missing = match &shipping.shipper {
            None => format!("the container {short} is removed, and its lines were not shipped"),
            Some(shipper) => {
                // It is wanted still when a sink couldn't be told of it: that one is done without its lines.
                let followed = shipping.wanted.as_ref().is_none_or(|(wanted, _)| wanted != id);
                match lost_with(short, &shipper.drain(Instant::now() + patience).await, followed) {
                    Some(missing) => missing,
                    None => return,
                }
            }
        };
        if let Some(shipper) = &shipping.shipper {
            shipper.record_gap(&missing);
            // The record of the loss has to be on disk before the lines are gone.
            if shipper.drain(Instant::now() + GAP_PATIENCE).await != logs::Drained::Complete {
                tracing::debug!("the gap was not written before the removal");
            }
        }
        self.reporter.tell(Event::Warning { text: missing });
    }

    /// Sees to it that audit records are sent, where they are wanted. A failure is told; it never ends a boot.
    pub async fn ensure_audit(&self, orders: Option<&AuditOrders>, facts: &InstanceFacts) {
        let mut audit = self.audit.lock().await;
        if audit.as_ref().map(Audit::orders) == orders {
            return;
        }
        self.reporter.keep_notices("audit");
        *audit = None;
        let Some(orders) = orders else { return };
        let start = || -> Result<Audit, BootError> {
            Ok(Audit::start(audit::Options {
                orders: orders.clone(),
                facts: facts.clone(),
                boot_id: self.boot_id()?,
                directory: self.directories.state.join("audit"),
                logs: self.log_targets.directory.clone(),
                asks: audit_asks::of(
                    orders.plan.password.as_ref(),
                    &facts.region,
                    &self.sources,
                    &self.directories,
                    &self.reporter,
                ),
                reporter: self.reporter.clone(),
            })?)
        };
        match start() {
            Ok(started) => *audit = Some(started),
            Err(error) => {
                let text = format!("no audit record leaves the machine: {}", chain(&error));
                self.reporter.tell(Event::Warning { text });
            }
        }
    }

    /// Sends what waits for the audit, as far as it is taken before the deadline; the rest waits on the disk. With
    /// [`Live::Sent`] the machine's live audit log as well: for a machine that goes down.
    pub async fn flush_audit(&self, deadline: Instant, live: Live) {
        if let Some(audit) = &*self.audit.lock().await {
            audit.flush(deadline, live).await;
        }
    }

    /// Sees to it that notices are pushed, where that is wanted. A failure is told; it never ends a boot.
    pub async fn ensure_events(
        &self,
        plan: Option<&EventsPlan>,
        facts: &InstanceFacts,
        application: Option<&Application>,
    ) {
        let mut events = self.events.lock().await;
        if events.as_ref().map(Push::plan) == plan {
            return;
        }
        self.reporter.keep_notices("push");
        *events = None;
        let Some(plan) = plan else { return };
        let started = Push::start(notices::Options {
            plan: plan.clone(),
            facts: facts.clone(),
            application: application.cloned(),
            directory: self.directories.state.join("notices"),
            headers: event_asks::of(
                plan,
                &facts.region,
                &self.sources,
                &self.directories,
                &self.reporter,
            ),
            reporter: self.reporter.clone(),
        });
        match started {
            Ok(started) => *events = Some(started),
            Err(error) => {
                let text = format!("what happens here is told to nobody else: {}", chain(&error));
                self.reporter.tell(Event::Warning { text });
            }
        }
    }

    /// Tells how the boot ended, if nobody has, and sends what waits, as far as it is taken before the deadline; the rest
    /// waits on the disk.
    pub async fn flush_events(&self, deadline: Instant, boot_is_over: bool) {
        // One that is tried again has no result yet.
        if boot_is_over {
            notices::note_boot(self);
        }
        if let Some(events) = &*self.events.lock().await {
            events.flush(deadline).await;
        }
    }

    /// Before the machine goes: every line delivered to who acknowledges them, or what is missing. Others may use the
    /// shipper in between.
    pub async fn lines_out(&self, deadline: Instant) -> Result<(), String> {
        loop {
            let glance = deadline.min(Instant::now() + GLANCE);
            let missing = {
                let shipping = self.shipping.lock().await;
                match &shipping.shipper {
                    None if shipping.orders.is_none() => return Ok(()),
                    None => "its log lines were not shipped".to_owned(),
                    Some(shipper) => match shipper.drain(glance).await {
                        logs::Drained::Complete => return Ok(()),
                        logs::Drained::Behind { sink, bytes } => {
                            format!("{sink} lacks {} of its log files", text::bytes(bytes))
                        }
                    },
                }
            };
            if Instant::now() >= deadline {
                return Err(missing);
            }
            tokio::time::sleep_until(deadline.min(glance)).await;
        }
    }

    /// Writes into every stream that lines may be lost.
    pub async fn record_gap(&self, reason: &str) {
        if let Some(shipper) = &self.shipping.lock().await.shipper {
            shipper.record_gap(reason);
        }
    }

    /// Returns when the record's counters are due: some time after they changed, so that an idle machine is left alone.
    async fn logs_due(&self, at_least: Duration) {
        let changed = {
            let shipping = self.shipping.lock().await;
            let complete = shipping.wanted.is_none();
            shipping
                .shipper
                .as_ref()
                .filter(|_| complete)
                .map(logs::Shipper::changed)
        };
        // What has not worked yet is tried again.
        if let Some(changed) = changed {
            changed.notified().await;
        }
        tokio::time::sleep(at_least).await;
    }

    /// Brings the record's counters up to date when they are due. To be waited for beside everything else: somebody may
    /// have the shipper for long.
    pub async fn logs_refreshed(&self, at_least: Duration) {
        self.logs_due(at_least).await;
        self.refresh_logs().await;
    }

    /// Brings the record's counters up to date.
    pub async fn refresh_logs(&self) {
        self.ensure_shipping(None).await;
        if let Some(shipper) = &self.shipping.lock().await.shipper {
            self.reporter
                .set_logs(serde_json::to_value(shipper.status().sinks).unwrap_or_default());
        }
    }

    /// Brings out the lines that are there, as far as sinks take them before the deadline; true when nothing is left.
    pub async fn flush_shipping(&self, deadline: Instant) -> bool {
        let shipping = self.shipping.lock().await;
        match &shipping.shipper {
            None => shipping.orders.is_none(),
            Some(shipper) => shipper.flush(deadline).await == logs::Drained::Complete,
        }
    }

    /// Brings out the last lines, as far as sinks take them before the deadline, and remembers how far each is. Nobody
    /// knows here whether the machine goes away or only the agent, so it is done in either case.
    pub async fn stop_shipping(&self, deadline: Instant) {
        let Some(shipper) = self.shipping.lock().await.shipper.take() else {
            return;
        };
        if let logs::Drained::Behind { sink, bytes } = shipper.flush(deadline).await {
            tracing::warn!(
                sink,
                "{} of log files are not delivered yet: they wait there for the next start",
                text::bytes(bytes)
            );
        }
        shipper.stop(deadline).await;
    }
}

/// What to tell of the lines that go with a container, or none where every sink has them.
fn lost_with(short: &str, drained: &logs::Drained, followed: bool) -> Option<String> {
    match drained {
        logs::Drained::Complete if followed => None,
        logs::Drained::Complete => Some(format!(
            "the container {short} is removed, and not every sink could follow its log: lines of it may be lost"
        )),
        logs::Drained::Behind { sink, bytes } => Some(format!(
            "the container {short} is removed before {sink} had all of its lines; {} of its log files are lost",
            text::bytes(*bytes)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_that_never_followed_a_container_have_not_all_of_its_logs() {
        assert_eq!(lost_with("c1", &logs::Drained::Complete, true), None);
        let lost = lost_with("c1", &logs::Drained::Complete, false);
        assert!(lost.is_some_and(|lost| lost.contains("c1") && lost.contains("may be lost")));
    }
}
