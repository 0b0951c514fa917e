//! What is asked for after the boot, when somebody needs it: of a store, or of the user data.
//!
//! Nothing of it is kept: an agent that was started again beside a running container asks anew.

use std::sync::Arc;

use monopod_core::config::{self, Report, Text, included};
use monopod_core::logs::LogKey;
use monopod_core::secret::{Secret, SecretRef};

use super::error::BootError;
use crate::context::{Directories, Sources};
use crate::host::image_layer::ImageFiles;
use crate::host::imds::{ENDPOINT_VARIABLE, Imds};
use crate::host::include::Cache;
use crate::host::secrets::Stores;
use crate::host::{AskError, Class, Classified, chain, files};

/// Whom one machine asks.
#[derive(Clone)]
pub(super) struct Late(Arc<Places>);

struct Places {
    stores: Stores,
    sources: Sources,
    directories: Directories,
}

impl Late {
    pub(super) fn new(region: &str, sources: &Sources, directories: &Directories) -> Self {
        Self(Arc::new(Places {
            stores: Stores::new(region),
            sources: sources.clone(),
            directories: directories.clone(),
        }))
    }

    /// A secret as it is sent: without the line feed that an editor has left. What is in no store is found by `literal` in
    /// the user data, which calls it `name`.
    pub(super) async fn secret(
        &self,
        key: Option<&LogKey>,
        name: &str,
        literal: impl FnOnce(&Report) -> Option<Secret>,
    ) -> Result<Secret, AskError> {
        let secret = match key {
            Some(LogKey::Stored(reference)) => self.stored(reference, &format!("`{name}`")).await?,
            Some(LogKey::UserData(_)) | None => {
                let report = self.report("the user data").await?;
                literal(&report).ok_or_else(|| AskError {
                    class: Class::Permanent,
                    text: format!("`{name}` is not in the user data any more"),
                })?
            }
        };
        Ok(secret.without_newline())
    }

    /// `what` it is, for people.
    pub(super) async fn stored(&self, reference: &SecretRef, what: &str) -> Result<Secret, AskError> {
        let failed = |class, why: String| AskError {
            class,
            text: format!("cannot fetch {what}: {why}"),
        };
        let whole = self.0.stores.fetch(&reference.source).await;
        let whole = whole.map_err(|error| failed(error.class(), chain(&error)))?;
        let picked = reference.pick(&whole);
        picked.map_err(|error| failed(Class::Permanent, chain(&error)))
    }

    /// What is read for `what`, whatever is wrong with it.
    pub(super) async fn report(&self, what: &str) -> Result<Report, AskError> {
        let failed = |class, why: String| AskError {
            class,
            text: format!("cannot read {what} again: {why}"),
        };
        let bytes = self.user_data().await;
        let bytes = bytes.map_err(|error| failed(error.class(), chain(&error)))?;
        let image = ImageFiles::read(&self.0.directories.configuration)
            .map_err(|error| failed(Class::Permanent, chain(&error)))?;
        let text = Text {
            name: "user data",
            bytes: &bytes,
        };
        Ok(config::read(text, &image.layer()))
    }

    /// As it is now, or what it included when the machine booted.
    async fn user_data(&self) -> Result<Vec<u8>, BootError> {
        let bytes = match &self.0.sources.user_data {
            Some(path) => files::read(path)?,
            None => {
                let imds = Imds::new(std::env::var(ENDPOINT_VARIABLE).ok().as_deref())?;
                imds.identity().await.map_err(BootError::Imds)?.user_data
            }
        };
        let bytes = bytes.ok_or(BootError::NoUserData)?;
        match included(&bytes) {
            Some(Ok(include)) => {
                let cache = Cache::new(&self.0.directories.state);
                Ok(cache.get(&include)?.unwrap_or(bytes))
            }
            _ => Ok(bytes),
        }
    }
}
