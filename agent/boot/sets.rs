//! A set of secret files as it is looked after: what it is made of, where it lies, how fresh it is.

use monopod_core::plan::Plan;
use monopod_core::plan::reconcile::SpecHash;
use monopod_core::plan::sets::{Contents, FileSet, SetName};
use monopod_core::record::{FileRecord, SetRecord};
use monopod_core::redact::MIN_LENGTH;
use monopod_core::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::host::clock;
use crate::host::delivery::DeliveryError;
use crate::host::mint;
use crate::host::secret_set::{Delivered, Files, SecretSet};

/// One set. In the hint without its values: those are read back from where they lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetCharge {
    /// As the user data has it.
    pub wanted: FileSet,
    /// Where it lies.
    pub place: SecretSet,
    /// When a fetch worked last, in milliseconds since the epoch.
    pub fetched_at: Option<u64>,
    /// Since when fetches have not worked.
    pub stale_since: Option<u64>,
    /// Why the last one did not, without secrets.
    pub last_error: Option<String>,
    /// It has changed, or is about to, and the container was not told yet.
    #[serde(default)]
    pub untold: bool,
    /// What is in it, once that is known.
    #[serde(skip)]
    pub values: Option<Files>,
}

impl SetCharge {
    /// For the container of this spec; nothing is known of its values yet.
    pub(super) fn new(context: &Context, wanted: &FileSet, spec: &SpecHash) -> Self {
        Self {
            place: SecretSet::new(&context.directories.runtime, wanted.name, spec),
            wanted: wanted.clone(),
            fetched_at: None,
            stale_since: None,
            last_error: None,
            untold: false,
            values: None,
        }
    }

    /// Reads back what the container has, and makes it known to whoever redacts. Whether it was there.
    pub(super) fn recall(&mut self, context: &Context) -> bool {
        self.values = self.recalled();
        self.learn(context);
        self.values.is_some()
    }

    /// What lies there, if it is whole.
    pub(super) fn recalled(&self) -> Option<Files> {
        self.place.recall(&names(&self.wanted.contents))
    }

    /// These came from where its contents come from, just now.
    pub fn fetched_now(&mut self, mut values: Files) {
        values.sort_by(|one, other| one.0.cmp(&other.0));
        self.values = Some(values);
        self.fetched_at = Some(clock::now_millis());
        self.stale_since = None;
        self.last_error = None;
    }

    /// These lie there, and nobody remembers since when: an agent ended before it could note it. What equals the copy may
    /// have come from it, so it is as old as the copy, and is asked for soon.
    pub(super) fn found(&mut self, values: Option<Files>, copy: Option<(Files, u64)>) {
        let copied_at = copy.and_then(|(mut files, fetched_at)| {
            files.sort_by(|one, other| one.0.cmp(&other.0));
            (Some(&files) == values.as_ref()).then_some(fetched_at)
        });
        self.stale_since = copied_at.map(|_| clock::now_millis());
        self.fetched_at = copied_at.or_else(|| self.place.delivered_at());
        self.values = values;
    }

    /// No value of it is told from now on.
    pub fn learn(&self, context: &Context) {
        for (name, value) in self.values.iter().flatten() {
            context
                .reporter
                .learn(&format!("{}.{name}", self.wanted.name), value);
            if matches!(self.wanted.contents, Contents::Bucket { .. }) {
                learn_document(context, value);
            }
        }
    }

    /// The container finds it when it is started. `None` where the values are not known and not there.
    pub fn ensure(&self) -> Result<Option<Delivered>, DeliveryError> {
        match &self.values {
            Some(values) => self.place.ensure(values).map(Some),
            None => Ok(self.recalled().map(|_| Delivered::Unchanged)),
        }
    }

    /// As the status shows it.
    pub fn record(&self, unhealthy: bool) -> SetRecord {
        let files = match &self.wanted.contents {
            Contents::Stores(files) => files
                .iter()
                .map(|(name, reference)| FileRecord {
                    name: name.clone(),
                    source: match &reference.key {
                        Some(key) => format!("{}, key {key}", reference.source),
                        None => reference.source.to_string(),
                    },
                })
                .collect(),
            Contents::Bucket { bucket, .. } => self
                .values
                .iter()
                .flatten()
                .map(|(name, _)| FileRecord {
                    name: name.clone(),
                    source: format!("the bucket {bucket}"),
                })
                .collect(),
        };
        SetRecord {
            set: self.wanted.name,
            files,
            delivered_at: self.place.delivered_at(),
            fetched_at: self.fetched_at,
            last_error: self.last_error.clone(),
            stale_since: self.stale_since,
            unhealthy,
        }
    }
}

/// The files that a set of these contents has.
fn names(contents: &Contents) -> Vec<&str> {
    match contents {
        Contents::Stores(files) => files.iter().map(|(name, _)| name.as_str()).collect(),
        Contents::Bucket { .. } => mint::FILES.to_vec(),
    }
}

/// A password is quoted without the document it stands in. What is too short to be found is no password of mint's.
fn learn_document(context: &Context, document: &Secret) {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(document.expose()) else {
        return;
    };
    for (_, member) in members {
        if let serde_json::Value::String(text) = member {
            let value = Secret::new(text);
            if value.expose().len() >= MIN_LENGTH {
                context.reporter.learn(SetName::Credentials.word(), &value);
            }
        }
    }
}

/// Sets that this container has not are gone.
pub(super) fn ensure_no_others(context: &Context, plan: &Plan) {
    for name in SetName::ALL {
        if !plan.sets.iter().any(|set| set.name == name) {
            SecretSet::ensure_none(&context.directories.runtime, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use monopod_core::config::OnChange;
    use monopod_core::secret::SecretRef;
    use serde_json::json;

    use super::*;

    fn set() -> SetCharge {
        let reference = SecretRef::parse("aws:ssm:/db").unwrap().unwrap();
        let contents = Contents::Stores(vec![
            ("a".to_owned(), reference.clone()),
            ("b".to_owned(), reference),
        ]);
        SetCharge {
            place: SecretSet::new(
                std::path::Path::new("/nowhere"),
                SetName::Secrets,
                &SpecHash::new(&json!(1), "sha256:1"),
            ),
            wanted: FileSet {
                name: SetName::Secrets,
                contents,
                interval_seconds: None,
                on_change: OnChange::default(),
                max_age_seconds: None,
                keep: true,
            },
            fetched_at: None,
            stale_since: None,
            last_error: None,
            untold: false,
            values: None,
        }
    }

    fn files(all: [(&str, &str); 2]) -> Files {
        all.map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())))
            .to_vec()
    }

    #[test]
    fn what_may_have_come_from_the_copy_is_as_old_as_the_copy() {
        let there = files([("a", "1"), ("b", "2")]);
        let mut same = set();
        same.found(Some(there.clone()), Some((files([("b", "2"), ("a", "1")]), 7)));
        assert_eq!((same.fetched_at, same.values.as_ref()), (Some(7), Some(&there)));
        assert!(same.stale_since.is_some(), "asked for soon, and copied no more");
        for copy in [None, Some((files([("a", "1"), ("b", "3")]), 7))] {
            let mut newer = set();
            newer.found(Some(there.clone()), copy);
            assert_eq!(
                (newer.fetched_at, newer.stale_since),
                (newer.place.delivered_at(), None)
            );
        }
        let mut gone = set();
        gone.found(None, Some((there, 7)));
        assert_eq!(
            (gone.fetched_at, gone.stale_since, gone.values),
            (None, None, None)
        );
    }
}
