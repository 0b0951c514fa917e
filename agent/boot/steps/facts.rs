//! Who we are, from the metadata service or from files given for local use.

use std::path::Path;

use monopod_core::facts::InstanceFacts;
use monopod_core::plan::StepId;
use monopod_core::{retry, text};

use super::until_it_works;
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::files;
use crate::host::imds::{ENDPOINT_VARIABLE, Identity, Imds};

pub(crate) async fn run(context: &Context) -> Result<Identity, BootError> {
    let sources = &context.sources;
    let does = match (&sources.facts, &sources.user_data) {
        (Some(facts), Some(user_data)) => format!("read {} and {}", facts.display(), user_data.display()),
        _ => "ask the instance metadata service".to_owned(),
    };
    timed(context, StepId::Facts, does, async {
        let facts = sources.facts.as_deref().map(facts_file).transpose()?;
        let user_data = sources.user_data.as_deref().map(user_data_file).transpose()?;
        let identity = match (facts, user_data) {
            (Some(facts), Some(user_data)) => Identity {
                facts,
                user_data: Some(user_data),
            },
            (facts, user_data) => {
                let found = ask(context).await?;
                Identity {
                    facts: facts.unwrap_or(found.facts),
                    user_data: user_data.or(found.user_data),
                }
            }
        };
        let facts = &identity.facts;
        let size = identity.user_data.as_ref().map_or_else(
            || "no user data".to_owned(),
            |bytes| format!("{} of user data", text::bytes(bytes.len() as u64)),
        );
        let detail = format!(
            "{} in {}, account {}, {size}",
            facts.instance_id, facts.availability_zone, facts.account_id
        );
        Ok((identity, detail))
    })
    .await
}

/// Waits for as long as it takes: without it there is no region, no user data, nothing to run.
async fn ask(context: &Context) -> Result<Identity, BootError> {
    let imds = Imds::new(std::env::var(ENDPOINT_VARIABLE).ok().as_deref())?;
    until_it_works(context, StepId::Facts, retry::LOCAL, None, async || {
        imds.identity().await
    })
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Facts, BootError::Imds))
}

fn user_data_file(path: &Path) -> Result<Vec<u8>, BootError> {
    files::read(path)?.ok_or_else(|| BootError::NoUserDataFile {
        path: path.display().to_string(),
    })
}

/// YAML or JSON, as `monopod status --json` shows them under `facts`.
pub(crate) fn facts_file(path: &Path) -> Result<InstanceFacts, BootError> {
    let unusable = |what: String| BootError::FactsFile {
        path: path.display().to_string(),
        what,
    };
    let bytes = files::read(path)?.ok_or_else(|| unusable("there is no such file".to_owned()))?;
    serde_yaml::from_slice(&bytes).map_err(|error| unusable(error.to_string()))
}
