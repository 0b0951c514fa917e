//! What an agent leaves for the next one in the same boot of the machine.
//!
//! A hint, never the truth: it may be missing, torn, or written by another version, and then it is
//! as if there were none. It lies in the runtime directory (tmpfs), holds no fetched secret and no file's
//! content, and says what was looked after, so that a restarted agent needs no network to go on. What user data itself
//! has in clear for the machine's life is in it (a wait handle's URL, headers of the health check), so it is its owner's alone.

use serde::{Deserialize, Serialize};

use monopod_core::audit::AuditOrders;
use monopod_core::config::RestartPolicy;
use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::firewall::Order;
use monopod_core::identity::Identity;
use monopod_core::lifecycle::LifecyclePlan;
use monopod_core::notice::EventsPlan;
use monopod_core::plan::extras::Extras;
use monopod_core::plan::reconcile::{SCHEMA, SpecHash};
use monopod_core::plan::{Application, Gate};
use monopod_core::trace::{Trace, Verdict};

use super::BootError;
use super::sets::SetCharge;
use crate::context::{Context, ShippingOrders, Stage};
use crate::host::delivery::Delivery;
use crate::host::{chain, clock, files};

const FILE: &str = "hint.json";
/// Says which instance this disk has booted on before.
const INSTANCE_FILE: &str = "instance-id";

/// What the supervisor looks after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// Who it is.
    pub application: Application,
    /// Where.
    pub facts: InstanceFacts,
    /// The image as the user wrote it.
    pub image: String,
    /// What runs.
    pub digest: String,
    /// What it is recognised by.
    pub spec: SpecHash,
    /// The engine's id.
    pub container_id: String,
    /// When the machine counts as up.
    pub gate: Gate,
    /// It was up once in this boot: the gate is not run again.
    pub gate_passed: bool,
    /// Whoever waited for the boot knows how it ended.
    #[serde(default)]
    pub launched: bool,
    /// When the gate's time is up, in milliseconds since the kernel started: a restarted agent gets the rest of it.
    #[serde(rename = "gate_deadline_since_boot")]
    pub gate_deadline: u64,
    /// When the boot budget is spent, likewise.
    #[serde(rename = "budget_end_since_boot")]
    pub budget_end: u64,
    /// What happens when it ends.
    pub restart: RestartPolicy,
    /// Whom the machine tells how it is, and how it leaves.
    #[serde(default)]
    pub lifecycle: LifecyclePlan,
    /// The keys that open what is closed by default, for the status.
    #[serde(default)]
    pub opt_outs: Vec<String>,
    /// Where what runs comes from.
    #[serde(default)]
    pub trace: Option<Trace>,
    /// What follows from that.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// What else the machine does for it.
    #[serde(default)]
    pub extras: Extras,
    /// Who it is to AWS.
    #[serde(default)]
    pub identity: Identity,
    /// Its lines are shipped without the secrets known here.
    #[serde(default)]
    pub redact_secrets: bool,
    /// Where its lines go.
    #[serde(default)]
    pub shipping: ShippingOrders,
    /// Where audit records go.
    #[serde(default)]
    pub audit: Option<AuditOrders>,
    /// Where notices are pushed.
    #[serde(default)]
    pub events: Option<EventsPlan>,
    /// `deployment_id`, for notices.
    #[serde(default)]
    pub deployment_id: Option<String>,
    /// Its files, which have to be there whenever it is started.
    #[serde(default)]
    pub files: Delivery,
    /// Its sets of secret files.
    #[serde(default)]
    pub sets: Vec<SetCharge>,
    /// What may come to it and leave it.
    #[serde(default)]
    pub firewall: Option<Order>,
    /// Where something has to be mounted whenever it is started.
    #[serde(default)]
    pub mounts: Vec<String>,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    schema: u32,
    agent_version: String,
    boot_id: String,
    /// When the first agent of this boot started, in milliseconds since the kernel started.
    #[serde(rename = "first_start_since_boot")]
    pub first_start: u64,
    /// Whoever waited for this boot knows how it ended.
    #[serde(default)]
    pub over: bool,
    /// What is looked after, once there is something.
    pub charge: Option<Charge>,
}

impl Hint {
    fn new(first_start: u64, boot_id: String, over: bool, charge: Option<Charge>) -> Self {
        Self {
            schema: SCHEMA,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id,
            first_start,
            over,
            charge,
        }
    }
}

/// The hint of this boot, if there is a usable one.
pub fn load(context: &Context) -> Option<Hint> {
    let path = context.directories.runtime.join(FILE);
    let usable = || -> Result<Option<Hint>, String> {
        let Some(bytes) = files::read(&path).map_err(|error| chain(&error))? else {
            return Ok(None);
        };
        let boot_id = context.boot_id().map_err(|error| chain(&error))?;
        match serde_json::from_slice::<Hint>(&bytes) {
            // An agent that was replaced by a newer one still looked after the right container.
            Ok(hint) if hint.schema != SCHEMA => {
                Err(format!("monopod {} wrote it in another form", hint.agent_version))
            }
            Ok(hint) if hint.boot_id != boot_id => Err("it is from an earlier boot".to_owned()),
            Ok(hint) => Ok(Some(hint)),
            Err(error) => Err(error.to_string()),
        }
    };
    usable().unwrap_or_else(|why| {
        tracing::info!(
            "what an earlier start left in {} is of no use, ignoring: {why}",
            path.display()
        );
        None
    })
}

/// Leaves the hint for the next start; without it that one only has more to do.
pub fn save(context: &Context, first_start: u64, charge: Option<Charge>) {
    write(context, first_start, context.life().stage == Stage::Over, charge);
}

fn write(context: &Context, first_start: u64, over: bool, charge: Option<Charge>) {
    let write = || -> Result<(), BootError> {
        let json =
            serde_json::to_vec(&Hint::new(first_start, context.boot_id()?, over, charge)).unwrap_or_default();
        Ok(files::ensure_private_content(
            &context.directories.runtime.join(FILE),
            &json,
        )?)
    };
    if let Err(error) = write() {
        let text = format!(
            "a restarted agent will need the network, as it will not know what it looked after: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}

/// Notes that the gate was passed, so that it is run once a boot.
pub fn save_gate_passed(context: &Context, charge: &Charge) {
    amend(context, charge, |charge| charge.gate_passed = true);
}

/// Notes that the boot's result is out, so that it is told once.
pub fn save_launched(context: &Context, charge: &Charge) {
    amend(context, charge, |charge| charge.launched = true);
}

/// Notes that the boot's result is out, whatever is looked after.
pub fn save_over(context: &Context) {
    let noted = load(context);
    let first_start = noted
        .as_ref()
        .map_or_else(clock::since_boot_millis, |hint| hint.first_start);
    save(context, first_start, noted.and_then(|hint| hint.charge));
}

/// Notes how its sets of secret files stand.
pub fn save_sets(context: &Context, charge: &Charge, sets: &[SetCharge]) {
    amend(context, charge, |charge| charge.sets = sets.to_vec());
}

/// Changes what is noted of this charge, and nothing else of it.
fn amend(context: &Context, charge: &Charge, change: impl FnOnce(&mut Charge)) {
    let noted = load(context);
    let first_start = noted
        .as_ref()
        .map_or_else(clock::since_boot_millis, |hint| hint.first_start);
    let mut charge = noted
        .and_then(|hint| hint.charge)
        .filter(|noted| noted.container_id == charge.container_id)
        .unwrap_or_else(|| charge.clone());
    change(&mut charge);
    save(context, first_start, Some(charge));
}

/// For a machine that has left and is to serve again in the same boot: the next agent looks after nothing yet, whoever waits
/// for it waits anew, and its budget counts from its start.
pub fn begin_anew(context: &Context, instance_id: &str) {
    // This agent's stage says that all is over, which is not so for the next one.
    write(context, clock::since_boot_millis(), false, None);
    count_anew(context, instance_id);
}

/// The budget counts from the launch no more, whoever starts next in this boot.
pub(super) fn count_anew(context: &Context, instance_id: &str) {
    // Without the boot's id it is a known instance, and no first boot.
    let path = context.directories.state.join(INSTANCE_FILE);
    if let Err(error) = files::ensure_content(&path, format!("{instance_id}\n").as_bytes()) {
        let text = format!(
            "the boot budget of the next start may count from the launch: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}

/// Whether this instance boots for the first time, and notes that it has. When that can't be told, it does not: the
/// budget then counts from the agent's start.
pub fn is_first_boot(context: &Context, instance_id: &str) -> bool {
    remember_instance(context, instance_id).unwrap_or_else(|error| {
        context.reporter.tell(Event::Warning {
            text: format!("taking this for a reboot: {}", chain(&error)),
        });
        false
    })
}

fn remember_instance(context: &Context, instance_id: &str) -> Result<bool, BootError> {
    let path = context.directories.state.join(INSTANCE_FILE);
    let boot_id = context.boot_id()?;
    let known = files::read(&path)?
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let mut known = known.lines();
    if known.next() == Some(instance_id) {
        return Ok(known.next() == Some(boot_id.as_str()));
    }
    files::ensure_content(&path, format!("{instance_id}\n{boot_id}\n").as_bytes())?;
    Ok(true)
}
