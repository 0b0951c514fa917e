//! Encrypted copies of what the container has in files, for a reboot while AWS is away.
//!
//! A value is kept under what it was fetched by (a reference, an object of a bucket), never under its file's name alone:
//! a copy that outlived a change of the user data cannot be taken for another secret. No failure here ends anything:
//! without a copy the next reboot waits for AWS, as it would have without `keep_secrets`.

use std::path::Path;

use monopod_core::event::Event;
use monopod_core::plan::Plan;
use monopod_core::plan::sets::{Contents, FileSet, SetName};
use monopod_core::secret::{Secret, SecretRef};

use super::sets::SetCharge;
use crate::context::Context;
use crate::host::sealed::{Sealed, SealedError};
use crate::host::secret_set::Files;
use crate::host::{chain, clock};
use crate::report::Reporter;

/// The copy of what is fetched for `files`.
const FILES: &str = "files";

/// What was kept, and when it was fetched, in milliseconds since the epoch.
pub(super) type Kept<T> = Option<(T, u64)>;

/// Keeps a copy of a set, or sees to it that there is none.
pub(super) fn keep_set(context: &Context, instance_id: &str, set: &SetCharge) {
    if set.wanted.keep {
        copying(context, instance_id, set)();
    } else {
        forget(context, set.wanted.name.word());
    }
}

/// Keeping the copy of a set that is to be kept, for a thread that may wait for the disk.
pub fn copying(context: &Context, instance_id: &str, set: &SetCharge) -> impl FnOnce() + Send + use<> {
    let entries = set.values.as_ref().map(|values| {
        let keyed = values
            .iter()
            .map(|(name, value)| Some((key(&set.wanted.contents, name)?, value.clone())));
        keyed.collect::<Option<Files>>().unwrap_or_default()
    });
    let fetched_at = set.fetched_at.unwrap_or_else(clock::now_millis);
    let (name, instance_id) = (set.wanted.name.word(), instance_id.to_owned());
    let (state, reporter) = (context.directories.state.clone(), context.reporter.clone());
    move || {
        if let Some(entries) = entries {
            write(&state, &reporter, name, &instance_id, &entries, fetched_at);
        }
    }
}

/// The same for what `files` got; only sets and files that the container has are kept.
pub(super) fn keep_files(context: &Context, plan: &Plan, instance_id: &str, values: &[(SecretRef, Secret)]) {
    for name in SetName::ALL {
        if !plan.sets.iter().any(|set| set.name == name) {
            forget(context, name.word());
        }
    }
    if plan.keep_secrets && plan.container.fetched_files().next().is_some() {
        let entries: Files = values
            .iter()
            .map(|(reference, value)| (reference.canonical(), value.clone()))
            .collect();
        let (state, reporter) = (&context.directories.state, &context.reporter);
        write(state, reporter, FILES, instance_id, &entries, clock::now_millis());
    } else {
        forget(context, FILES);
    }
}

/// A set as it was kept, if all of it was.
pub(super) fn set(context: &Context, instance_id: &str, wanted: &FileSet) -> Kept<Files> {
    let (kept, fetched_at) = read(context, wanted.name.word(), instance_id).filter(|_| wanted.keep)?;
    let by_key = |one: &str| {
        kept.iter()
            .find(|(key, _)| key == one)
            .map(|(_, value)| value.clone())
    };
    let files: Option<Files> = match &wanted.contents {
        Contents::Stores(files) => files
            .iter()
            .map(|(name, reference)| Some((name.clone(), by_key(&reference.canonical())?)))
            .collect(),
        Contents::Bucket { .. } => {
            let folder = key(&wanted.contents, "")?;
            kept.iter()
                .map(|(key, value)| Some((key.strip_prefix(&folder)?.to_owned(), value.clone())))
                .collect()
        }
    };
    Some((files.filter(|files| !files.is_empty())?, fetched_at))
}

/// What `files` need, if all of it was kept.
pub(super) fn files(context: &Context, plan: &Plan, instance_id: &str) -> Kept<Vec<(SecretRef, Secret)>> {
    let (kept, fetched_at) = read(context, FILES, instance_id).filter(|_| plan.keep_secrets)?;
    let values: Option<Vec<(SecretRef, Secret)>> = plan
        .container
        .fetched_files()
        .map(|(_, reference)| {
            let canonical = reference.canonical();
            let (_, value) = kept.iter().find(|(key, _)| *key == canonical)?;
            Some((reference.clone(), value.clone()))
        })
        .collect();
    Some((values?, fetched_at))
}

/// What a file was fetched by.
fn key(contents: &Contents, name: &str) -> Option<String> {
    match contents {
        Contents::Stores(files) => files
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, reference)| reference.canonical()),
        Contents::Bucket {
            bucket,
            application_id,
        } => Some(format!("s3://{bucket}/{application_id}/{name}")),
    }
}

fn write(
    state: &Path,
    reporter: &Reporter,
    name: &str,
    instance_id: &str,
    entries: &[(String, Secret)],
    fetched_at: u64,
) {
    let written =
        Sealed::open(state).and_then(|sealed| sealed.ensure_copy(name, instance_id, entries, fetched_at));
    warn(
        reporter,
        written,
        "no encrypted copy was kept, so a reboot while AWS is away will wait for it",
    );
}

fn read(context: &Context, name: &str, instance_id: &str) -> Kept<Files> {
    if !has_any(context) {
        return None;
    }
    let read = Sealed::open(&context.directories.state).and_then(|sealed| sealed.copy(name, instance_id));
    let copy = warn(&context.reporter, read, "an encrypted copy is of no use")??;
    Some((copy.files, copy.fetched_at_millis))
}

fn forget(context: &Context, name: &str) {
    if has_any(context) {
        let forgotten =
            Sealed::open(&context.directories.state).and_then(|sealed| sealed.ensure_forgotten(name));
        warn(
            &context.reporter,
            forgotten,
            "an encrypted copy that is not wanted any more is still there",
        );
    }
}

/// Opening makes the directory: not where nobody asked for a copy.
fn has_any(context: &Context) -> bool {
    Sealed::is_there(&context.directories.state)
}

fn warn<T>(reporter: &Reporter, outcome: Result<T, SealedError>, what: &str) -> Option<T> {
    outcome
        .inspect_err(|error| {
            let text = format!("{what}: {}", chain(error));
            reporter.tell(Event::Warning { text });
        })
        .ok()
}
