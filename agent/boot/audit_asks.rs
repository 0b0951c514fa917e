//! What the audit's courier asks for when it needs it: the password of its receiver, and the user data, masked.
//!
//! Nothing of it is kept: an agent that was started again beside a running container asks anew.

use std::sync::Arc;

use monopod_core::config::{self, Report, Text};
use monopod_core::logs::LogKey;
use monopod_core::secret::Secret;

use super::log_keys::user_data;
use crate::audit::{AskError, Asks};
use crate::context::{Directories, Sources};
use crate::host::image_layer::ImageFiles;
use crate::host::secrets::Stores;
use crate::host::{Class, Classified, chain};
use crate::report::Reporter;

const PASSWORD: &str = "logsink_password";

/// For one machine.
pub fn of(
    password: Option<&LogKey>,
    region: &str,
    sources: &Sources,
    directories: &Directories,
    reporter: &Reporter,
) -> Asks {
    let from = Arc::new(From {
        sources: sources.clone(),
        directories: directories.clone(),
    });
    let (stores, reporter, password) = (Arc::new(Stores::new(region)), reporter.clone(), password.cloned());
    let for_password = Arc::clone(&from);
    Asks {
        password: Arc::new(move || {
            let (from, stores) = (Arc::clone(&for_password), Arc::clone(&stores));
            let (reporter, password) = (reporter.clone(), password.clone());
            Box::pin(async move {
                let secret = match &password {
                    Some(LogKey::Stored(reference)) => {
                        let failed = |class, why: String| AskError {
                            class,
                            text: format!("cannot fetch `{PASSWORD}`: {why}"),
                        };
                        let whole = stores.fetch(&reference.source).await;
                        let whole = whole.map_err(|error| failed(error.class(), chain(&error)))?;
                        let picked = reference.pick(&whole);
                        picked.map_err(|error| failed(Class::Permanent, chain(&error)))?
                    }
                    Some(LogKey::UserData(_)) | None => from.literal().await?,
                };
                // As it is sent: without the line feed that an editor has left.
                let secret = secret.without_newline();
                reporter.learn(PASSWORD, &secret);
                Ok(secret)
            })
        }),
        user_data: Arc::new(move || {
            let from = Arc::clone(&from);
            Box::pin(async move { Ok(from.report().await?.masked().clone()) })
        }),
    }
}

struct From {
    sources: Sources,
    directories: Directories,
}

impl From {
    async fn literal(&self) -> Result<Secret, AskError> {
        let password = self.report().await?.audit().literal_password();
        password.ok_or_else(|| AskError {
            class: Class::Permanent,
            text: format!("`{PASSWORD}` is not in the user data any more"),
        })
    }

    async fn report(&self) -> Result<Report, AskError> {
        let failed = |class, why: String| AskError {
            class,
            text: format!("cannot read the user data again: {why}"),
        };
        let bytes = user_data(&self.sources, self.directories.state.clone()).await;
        let bytes = bytes.map_err(|error| failed(error.class(), chain(&error)))?;
        let image = ImageFiles::read(&self.directories.configuration)
            .map_err(|error| failed(Class::Permanent, chain(&error)))?;
        let text = Text {
            name: "user data",
            bytes: &bytes,
        };
        Ok(config::read(text, &image.layer()))
    }
}
