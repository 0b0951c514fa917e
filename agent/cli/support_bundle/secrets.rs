//! Learns the machine's secrets before anything of it is gathered.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use monopod_core::secret::Secret;

use super::Scene;
use crate::host::chain;
use crate::host::docker::{Engine, EngineError};
use crate::report::SharedRedactor;

/// Directories of the runtime directory whose files are what the container is given.
const DELIVERED: [&str; 3] = ["files", "secrets", "credentials"];
/// No secret is longer, and what is was not delivered by us.
const LONGEST: u64 = 1 << 20;
/// The engine has this long for all of it.
pub(super) const ENGINE: Duration = Duration::from_secs(12);

/// How many were learnt, or why not all of them.
pub(super) fn learn(scene: &mut Scene<'_>, redactor: &SharedRedactor) -> Result<usize, String> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for name in DELIVERED {
        collect(
            &scene.args.runtime_directory.join(name),
            &mut found,
            &mut problems,
        );
    }
    match of_environment(scene) {
        Ok(secrets) => {
            scene.all_learnt = true;
            found.extend(secrets);
        }
        Err(why) => problems.push(why),
    }
    scene.all_learnt &= problems.is_empty();
    let mut known = redactor.write().unwrap_or_else(PoisonError::into_inner);
    for secret in &found {
        known.learn(secret);
        learn_fields(secret, &mut known);
    }
    match problems.as_slice() {
        [] => Ok(found.len()),
        problems => Err(problems.join("; ")),
    }
}

/// Each value of a JSON document, too: an application prints one of them, not the whole.
fn learn_fields(secret: &Secret, known: &mut monopod_core::redact::Redactor) {
    let Ok(serde_json::Value::Object(map)) = serde_json::from_str(secret.expose()) else {
        return;
    };
    for value in map.values().filter_map(serde_json::Value::as_str) {
        known.learn(&Secret::new(value.to_owned()));
    }
}

fn collect(path: &Path, found: &mut Vec<Secret>, problems: &mut Vec<String>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return problems.push(format!("cannot read {}: {error}", path.display())),
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() {
            collect(&path, found, problems);
        } else if kind.is_file() && !kind.is_socket() {
            let is_short = entry.metadata().is_ok_and(|about| about.len() <= LONGEST);
            match fs::read(&path) {
                Ok(bytes) if is_short => found.extend(Secret::from_bytes(bytes)),
                Ok(_) => {}
                Err(error) => problems.push(format!("cannot read {}: {error}", path.display())),
            }
        }
    }
}

/// Those that the labels of our containers name.
fn of_environment(scene: &Scene<'_>) -> Result<Vec<Secret>, String> {
    let engine = scene.engine.as_ref().ok_or("DOCKER_HOST names no engine")?;
    let asked = scene
        .runtime
        .block_on(async { tokio::time::timeout(ENGINE, environment(engine)).await });
    match asked {
        Ok(Ok(secrets)) => Ok(secrets),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_late) => Err("the engine does not answer".to_owned()),
    }
}

async fn environment(engine: &Engine) -> Result<Vec<Secret>, EngineError> {
    let mut all = Vec::new();
    for container in engine.observe().await? {
        let status = engine.status(&container.id).await?;
        let secrets = status.map(|status| status.secrets).unwrap_or_default();
        all.extend(secrets.into_iter().map(|(_, secret)| secret));
    }
    Ok(all)
}
