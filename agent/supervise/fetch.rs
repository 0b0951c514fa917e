//! One more look at where a set's contents come from: all of it, or nothing.

use std::cell::Cell;

use futures_util::StreamExt as _;
use monopod_core::plan::sets::SetName;
use monopod_core::secret::{NotInThere, Secret, SecretRef, Source};
use monopod_core::supervise::refresh::Failure;

use crate::boot::steps::secrets::AT_ONCE;
use crate::host::mint::{Mint, MintError, MintFetch};
use crate::host::secret_set::Files;
use crate::host::secrets::{StoreError, Stores};
use crate::host::{Class, Classified as _};

/// Why a set could not be fetched again.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// A store.
    #[error("cannot get the value of {used_by} again")]
    Store {
        /// `secrets.db`.
        used_by: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The bucket.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The secret has not what the reference picks out of it.
    #[error("cannot get the value of {used_by} again; mend the secret, or `?key=` in the user data")]
    NotInThere {
        /// `secrets.db`.
        used_by: String,
        /// Why.
        #[source]
        source: NotInThere,
    },
}

impl FetchError {
    /// What the rhythm has to know of it.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Store { source, .. } if source.class() == Class::Throttled => Failure::Throttled,
            Self::Store { .. } | Self::Mint(_) | Self::NotInThere { .. } => Failure::Any,
        }
    }
}

/// Whole values by where they came from.
pub(super) type Got = Vec<(Source, Secret)>;

/// Who is asked for a whole value: the stores, or a test.
pub(super) trait Ask {
    /// One call.
    async fn ask(&self, source: &Source) -> Result<Secret, StoreError>;
}

impl Ask for Stores {
    async fn ask(&self, source: &Source) -> Result<Secret, StoreError> {
        self.fetch(source).await
    }
}

/// What one look brought.
pub(super) struct Round {
    /// Every file of the set.
    pub(super) files: Files,
    /// Documents of which a file is only a part: nobody may quote them either.
    pub(super) whole: Vec<Secret>,
}

/// Each source that can change is asked once, four at a time; what can't change is taken from `known`. `got` is what an
/// earlier look has of this round, and has the rest after it: nobody is asked again for one that failed beside it. After a
/// failure no other call begins.
pub(super) async fn from_stores(
    stores: &impl Ask,
    wanted: &[(String, SecretRef)],
    known: &[(String, Secret)],
    got: &mut Got,
) -> Result<Round, FetchError> {
    let known = |name: &str, source: &Source| {
        known
            .iter()
            .find(|(one, _)| one == name && !source.can_change())
            .map(|(_, value)| value.clone())
    };
    let mut sources: Vec<(&Source, &str)> = Vec::new();
    for (name, SecretRef { source, .. }) in wanted {
        let is_here = got.iter().any(|(one, _)| one == source) || known(name, source).is_some();
        if !is_here && !sources.iter().any(|(one, _)| *one == source) {
            sources.push((source, name));
        }
    }
    let failed = Cell::new(false);
    let failed = &failed;
    // Collected, as a future that borrows from a closure's argument can't be put into a box.
    let calls: Vec<_> = sources
        .into_iter()
        .map(|(source, name)| async move {
            if failed.get() {
                return None;
            }
            let asked = stores.ask(source).await;
            failed.set(failed.get() || asked.is_err());
            Some((source, name, asked))
        })
        .collect();
    let mut calls = futures_util::stream::iter(calls).buffer_unordered(AT_ONCE);
    let mut first = None;
    while let Some(call) = calls.next().await {
        match call {
            Some((source, _, Ok(value))) => got.push((source.clone(), value)),
            Some((_, name, Err(source))) => {
                let used_by = used_by(name);
                first.get_or_insert(FetchError::Store { used_by, source });
            }
            None => {}
        }
    }
    if let Some(error) = first {
        return Err(error);
    }
    // Whatever comes of it, the next look is another round.
    let got = std::mem::take(got);
    let mut files = Files::with_capacity(wanted.len());
    for (name, reference) in wanted {
        let value = match got.iter().find(|(source, _)| *source == reference.source) {
            Some((_, whole)) => reference.pick(whole).map_err(|source| FetchError::NotInThere {
                used_by: used_by(name),
                source,
            })?,
            None => known(name, &reference.source).unwrap_or_else(|| Secret::new(String::new())),
        };
        files.push((name.clone(), value));
    }
    Ok(Round {
        files,
        whole: got.into_iter().map(|(_, whole)| whole).collect(),
    })
}

/// Both files of the application, or nothing.
pub(super) async fn from_bucket(mint: &Mint, known: &[(String, Secret)]) -> Result<Round, FetchError> {
    let files = match mint.fetch(known).await? {
        MintFetch::Files(files) => files,
        MintFetch::Unchanged => known.to_vec(),
    };
    Ok(Round {
        files,
        whole: Vec::new(),
    })
}

fn used_by(name: &str) -> String {
    format!("{}.{name}", SetName::Secrets)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A store that refuses one parameter, and counts who was asked for.
    #[derive(Default)]
    struct Store {
        refused: RefCell<Option<&'static str>>,
        asked: RefCell<Vec<String>>,
    }

    impl Ask for Store {
        async fn ask(&self, source: &Source) -> Result<Secret, StoreError> {
            let Source::Parameter { name } = source else {
                panic!("{source}");
            };
            self.asked.borrow_mut().push(name.clone());
            match *self.refused.borrow() {
                Some(refused) if refused == name => Err(StoreError::Unusable {
                    source_name: name.clone(),
                    what: "is not there",
                }),
                _ => Ok(Secret::new(format!("the value of {name}"))),
            }
        }
    }

    #[tokio::test]
    async fn a_round_that_failed_asks_for_the_rest_only() {
        let wanted: Vec<(String, SecretRef)> = ["/a", "/b", "/c"]
            .iter()
            .map(|name| {
                let reference = SecretRef::parse(&format!("aws:ssm:{name}")).unwrap().unwrap();
                ((*name).to_owned(), reference)
            })
            .collect();
        let store = Store::default();
        let mut got = Got::new();
        *store.refused.borrow_mut() = Some("/b");
        let failed = from_stores(&store, &wanted, &[], &mut got).await;
        assert!(matches!(failed, Err(FetchError::Store { used_by, .. }) if used_by == "secrets./b"));
        *store.refused.borrow_mut() = None;
        store.asked.borrow_mut().clear();
        let round = from_stores(&store, &wanted, &[], &mut got).await.unwrap();
        let asked = store.asked.take();
        assert!(
            asked.contains(&"/b".to_owned()) && !asked.contains(&"/a".to_owned()),
            "{asked:?}"
        );
        let values: Vec<&str> = round.files.iter().map(|(_, value)| value.expose()).collect();
        assert_eq!(values, ["the value of /a", "the value of /b", "the value of /c"]);
        assert!(got.is_empty(), "the next round is another");
    }
}
