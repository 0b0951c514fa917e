//! What an agent leaves for the next one in the same boot of the machine.
//!
//! A hint, never the truth: it may be missing, torn, or written by another version, and then it is
//! as if there were none. It lies in the runtime directory (tmpfs), holds no secret, and says what
//! was looked after, so that a restarted agent needs no network to go on.

use serde::{Deserialize, Serialize};

use monopod_core::config::RestartPolicy;
use monopod_core::facts::InstanceFacts;
use monopod_core::plan::reconcile::{SCHEMA, SpecHash};
use monopod_core::plan::{Application, Gate};

use super::BootError;
use crate::context::Context;
use crate::host::files;

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
    /// What happens when it ends.
    pub restart: RestartPolicy,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    schema: u32,
    agent_version: String,
    boot_id: String,
    /// When the first agent of this boot started, in milliseconds since the epoch.
    pub first_start: u64,
    /// What is looked after, once there is something.
    pub charge: Option<Charge>,
}

impl Hint {
    /// For this boot of the machine.
    pub fn new(first_start: u64, boot_id: String, charge: Option<Charge>) -> Self {
        Self { schema: SCHEMA, agent_version: env!("CARGO_PKG_VERSION").to_owned(), boot_id, first_start, charge }
    }
}

/// The hint of this boot, if there is a usable one.
pub fn load(context: &Context) -> Result<Option<Hint>, BootError> {
    let path = context.directories.runtime.join(FILE);
    let Some(bytes) = files::read(&path)? else { return Ok(None) };
    let boot_id = context.boot_id()?;
    let usable = match serde_json::from_slice::<Hint>(&bytes) {
        Ok(hint) if hint.schema != SCHEMA || hint.agent_version != env!("CARGO_PKG_VERSION") => {
            Err(format!("another version of monopod wrote it ({})", hint.agent_version))
        }
        Ok(hint) if hint.boot_id != boot_id => Err("it is from an earlier boot".to_owned()),
        Ok(hint) => Ok(hint),
        Err(error) => Err(error.to_string()),
    };
    match usable {
        Ok(hint) => Ok(Some(hint)),
        Err(why) => {
            tracing::info!("what an earlier start left in {} is of no use, ignoring: {why}", path.display());
            Ok(None)
        }
    }
}

/// Leaves the hint for the next start.
pub fn save(context: &Context, hint: &Hint) -> Result<(), BootError> {
    let json = serde_json::to_vec(hint).unwrap_or_default();
    Ok(files::ensure_content(&context.directories.runtime.join(FILE), &json)?)
}

/// Notes that the gate was passed, so that it is run once a boot.
pub fn save_gate_passed(context: &Context, charge: &Charge) -> Result<(), BootError> {
    let Some(mut hint) = load(context)? else { return Ok(()) };
    hint.charge = Some(Charge { gate_passed: true, ..charge.clone() });
    save(context, &hint)
}

/// Whether this instance boots for the first time, and notes that it has.
pub fn is_first_boot(context: &Context, instance_id: &str) -> Result<bool, BootError> {
    let path = context.directories.state.join(INSTANCE_FILE);
    let boot_id = context.boot_id()?;
    let known = files::read(&path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut known = known.lines();
    if known.next() == Some(instance_id) {
        return Ok(known.next() == Some(boot_id.as_str()));
    }
    files::ensure_content(&path, format!("{instance_id}\n{boot_id}\n").as_bytes())?;
    Ok(true)
}
