//! The keys of log services: asked of a store, or read out of the user data, when a sink first needs one.
//!
//! So no boot waits for a key, and an agent that was started again beside a running container asks nobody before its
//! sinks do. Nothing is kept between starts: a key that stands in the user data is read there again.

use std::path::PathBuf;
use std::sync::Arc;

use monopod_core::config::{self, Text, included};
use monopod_core::logs::LogKey;
use monopod_core::secret::Secret;

use super::error::BootError;
use crate::context::{Directories, Sources};
use crate::host::image_layer::ImageFiles;
use crate::host::imds::{ENDPOINT_VARIABLE, Imds};
use crate::host::include::Cache;
use crate::host::secrets::Stores;
use crate::host::{Class, Classified, chain, files};
use crate::logs::{KeyError, Keys};
use crate::report::Reporter;

/// Where the keys of this machine's log services come from.
pub fn of(region: &str, sources: &Sources, directories: &Directories, reporter: &Reporter) -> Keys {
    let stores = Arc::new(Stores::new(region));
    let (sources, directories, reporter) = (sources.clone(), directories.clone(), reporter.clone());
    Keys::new(move |key| {
        let (stores, reporter) = (Arc::clone(&stores), reporter.clone());
        let (sources, directories) = (sources.clone(), directories.clone());
        Box::pin(async move {
            let secret = match &key {
                LogKey::Stored(reference) => {
                    let failed = |class, why: String| KeyError {
                        class,
                        text: format!("cannot fetch the log service's key: {why}"),
                    };
                    let whole = stores.fetch(&reference.source).await;
                    let whole = whole.map_err(|error| failed(error.class(), chain(&error)))?;
                    let picked = reference.pick(&whole);
                    picked.map_err(|error| failed(Class::Permanent, chain(&error)))?
                }
                LogKey::UserData(name) => literal(name, &sources, &directories).await?,
            };
            // As it is sent: without blanks around it.
            reporter.learn(
                "a log service's key",
                &Secret::new(secret.expose().trim().to_owned()),
            );
            Ok(secret)
        })
    })
}

async fn literal(name: &str, sources: &Sources, directories: &Directories) -> Result<Secret, KeyError> {
    let failed = |class, why: String| KeyError {
        class,
        text: format!("cannot read `{name}` in the user data again: {why}"),
    };
    let bytes = user_data(sources, directories.state.clone()).await;
    let bytes = bytes.map_err(|error| failed(error.class(), chain(&error)))?;
    let image = ImageFiles::read(&directories.configuration)
        .map_err(|error| failed(Class::Permanent, chain(&error)))?;
    let text = Text {
        name: "user data",
        bytes: &bytes,
    };
    let report = config::read(text, &image.layer());
    let key = match name.starts_with("otlp.") {
        // How a boot went is told there, whatever else is wrong with the text.
        true => report.otlp().and_then(|otlp| otlp.literal_header(name)),
        false => report
            .config()
            .and_then(|config| config.logging().literal_key(name)),
    };
    key.ok_or_else(|| failed(Class::Permanent, "it is not there any more".to_owned()))
}

/// As it is now, or what it included when the machine booted.
pub(super) async fn user_data(sources: &Sources, state: PathBuf) -> Result<Vec<u8>, BootError> {
    let bytes = match &sources.user_data {
        Some(path) => files::read(path)?,
        None => {
            let imds = Imds::new(std::env::var(ENDPOINT_VARIABLE).ok().as_deref())?;
            imds.identity().await.map_err(BootError::Imds)?.user_data
        }
    };
    let bytes = bytes.ok_or(BootError::NoUserData)?;
    match included(&bytes) {
        Some(Ok(include)) => Ok(Cache::new(&state).get(&include)?.unwrap_or(bytes)),
        _ => Ok(bytes),
    }
}
