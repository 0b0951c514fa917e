//! The keys of log services: asked of a store, or read out of the user data, when a sink first needs one.
//!
//! So no boot waits for a key, and an agent that was started again beside a running container asks nobody before its
//! sinks do. Nothing is kept between starts: a key that stands in the user data is read there again.

use monopod_core::logs::LogKey;
use monopod_core::secret::Secret;

use super::late::Late;
use crate::context::{Directories, Sources};
use crate::host::{AskError, Class};
use crate::logs::Keys;
use crate::report::Reporter;

/// Where the keys of this machine's log services come from.
pub fn of(region: &str, sources: &Sources, directories: &Directories, reporter: &Reporter) -> Keys {
    let (late, reporter) = (Late::new(region, sources, directories), reporter.clone());
    Keys::new(move |key| {
        let (late, reporter) = (late.clone(), reporter.clone());
        Box::pin(async move {
            let secret = match &key {
                LogKey::Stored(reference) => late.stored(reference, "the log service's key").await?,
                LogKey::UserData(name) => literal(&late, name).await?,
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

async fn literal(late: &Late, name: &str) -> Result<Secret, AskError> {
    let what = format!("`{name}` in the user data");
    let report = late.report(&what).await?;
    let key = match name.starts_with("otlp.") {
        // How a boot went is told there, whatever else is wrong with the text.
        true => report.otlp().and_then(|otlp| otlp.literal_header(name)),
        false => report
            .config()
            .and_then(|config| config.logging().literal_key(name)),
    };
    key.ok_or_else(|| AskError {
        class: Class::Permanent,
        text: format!("cannot read {what} again: it is not there any more"),
    })
}
