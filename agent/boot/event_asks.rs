//! What pushing notices asks for when it needs it: the headers of the webhook.
//!
//! Nothing of it is kept: an agent that was started again beside a running container asks anew.

use std::sync::Arc;

use monopod_core::config::{self, Report, Text};
use monopod_core::logs::LogKey;
use monopod_core::notice::{EventsPlan, header_key};
use monopod_core::secret::Secret;

use super::log_keys::user_data;
use crate::context::{Directories, Sources};
use crate::host::image_layer::ImageFiles;
use crate::host::secrets::Stores;
use crate::host::{Class, Classified as _, chain};
use crate::notices::{AskError, AskHeaders};
use crate::report::Reporter;

/// For one machine.
pub fn of(
    plan: &EventsPlan,
    region: &str,
    sources: &Sources,
    directories: &Directories,
    reporter: &Reporter,
) -> AskHeaders {
    let all = Arc::new((
        plan.headers.clone(),
        Stores::new(region),
        sources.clone(),
        directories.clone(),
        reporter.clone(),
    ));
    Arc::new(move || {
        let all = Arc::clone(&all);
        Box::pin(async move {
            let (headers, stores, sources, directories, reporter) = &*all;
            let mut values = Vec::new();
            for (name, key) in headers {
                let used_by = header_key(name);
                let value = match key {
                    LogKey::Stored(reference) => {
                        let failed = |class, why: String| AskError {
                            class,
                            text: format!("cannot fetch `{used_by}`: {why}"),
                        };
                        let whole = stores.fetch(&reference.source).await;
                        let whole = whole.map_err(|error| failed(error.class(), chain(&error)))?;
                        let picked = reference.pick(&whole);
                        picked.map_err(|error| failed(Class::Permanent, chain(&error)))?
                    }
                    LogKey::UserData(_) => literal(name, sources, directories).await?,
                };
                // As it is sent: without the line feed that an editor has left.
                let value = value.without_newline();
                reporter.learn(&used_by, &value);
                // `Bearer TOKEN`: the token alone is as secret.
                if let Some((_, token)) = value.expose().split_once(' ') {
                    reporter.learn(&used_by, &Secret::new(token.to_owned()));
                }
                values.push((name.clone(), value));
            }
            Ok(values)
        })
    })
}

async fn literal(name: &str, sources: &Sources, directories: &Directories) -> Result<Secret, AskError> {
    let header = report(sources, directories).await?.events().literal_header(name);
    header.ok_or_else(|| AskError {
        class: Class::Permanent,
        text: format!("`{}` is not in the user data any more", header_key(name)),
    })
}

async fn report(sources: &Sources, directories: &Directories) -> Result<Report, AskError> {
    let failed = |class, why: String| AskError {
        class,
        text: format!("cannot read the user data again: {why}"),
    };
    let bytes = user_data(sources, directories.state.clone()).await;
    let bytes = bytes.map_err(|error| failed(error.class(), chain(&error)))?;
    let image = ImageFiles::read(&directories.configuration)
        .map_err(|error| failed(Class::Permanent, chain(&error)))?;
    let text = Text {
        name: "user data",
        bytes: &bytes,
    };
    Ok(config::read(text, &image.layer()))
}
