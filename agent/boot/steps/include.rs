//! The text of the user data: itself, or what it includes from elsewhere.

use std::borrow::Cow;

use monopod_core::config::{Include, included};
use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::retry;
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::BootError;
use crate::context::Context;
use crate::host::chain;
use crate::host::imds::Identity;
use crate::host::include::{Cache, Fetcher};

/// What is read as user data, and what it is called in messages.
pub(super) struct UserData<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) origin: String,
    /// Where it was fetched from, for the step's line.
    pub(super) from: Option<String>,
}

/// Fetches the text if the user data says that it is elsewhere. One fetched before is taken from the disk, so that a
/// reboot needs nobody.
pub(super) async fn resolve<'a>(
    context: &Context,
    identity: &'a Identity,
    deadline: Instant,
) -> Result<UserData<'a>, BootError> {
    let origin = context
        .sources
        .user_data
        .as_ref()
        .map_or_else(|| "user data".to_owned(), |path| path.display().to_string());
    let bytes = identity.user_data.as_deref().ok_or(BootError::NoUserData)?;
    let cache = Cache::new(&context.directories.state);
    let included = included(bytes);
    if included.is_none() {
        // What was included once may have been meant for nobody to keep.
        if let Err(error) = cache.ensure_empty() {
            warn(
                context,
                &format!("a text that is not needed any more stays: {}", chain(&error)),
            );
        }
    }
    // A line in another form is explained by the check, with everything else that is wrong.
    let Some(Ok(include)) = included else {
        return Ok(UserData {
            bytes: Cow::Borrowed(bytes),
            origin,
            from: None,
        });
    };
    let place = include.location.to_string();
    let kept = cache.get(&include).unwrap_or_else(|error| {
        warn(context, &format!("{}; fetching the text again", chain(&error)));
        None
    });
    let (bytes, from) = match kept {
        Some(bytes) => (bytes, format!("kept from {place}")),
        None => {
            let bytes = fetch(context, identity, &include, deadline).await?;
            if let Err(error) = cache.put(&include, &bytes) {
                warn(
                    context,
                    &format!("a reboot will need {place} again: {}", chain(&error)),
                );
            }
            (bytes, format!("fetched from {place}"))
        }
    };
    Ok(UserData {
        bytes: Cow::Owned(bytes),
        origin: place,
        from: Some(from),
    })
}

async fn fetch(
    context: &Context,
    identity: &Identity,
    include: &Include,
    deadline: Instant,
) -> Result<Vec<u8>, BootError> {
    context.reporter.tell(Event::StepProgress {
        step: StepId::Config,
        text: format!("fetch {}", include.location),
    });
    let fetcher = Fetcher::new(&identity.facts.region);
    until_it_works(context, StepId::Config, retry::AWS, Some(deadline), async || {
        fetcher.fetch(include).await
    })
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Config, BootError::Include))
}

fn warn(context: &Context, text: &str) {
    context.reporter.tell(Event::Warning {
        text: text.to_owned(),
    });
}
