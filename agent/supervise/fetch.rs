//! One more look at where a set's contents come from: all of it, or nothing.

use futures_util::{StreamExt as _, TryStreamExt as _};
use monopod_core::plan::sets::SetName;
use monopod_core::secret::{NotInThere, Secret, SecretRef, Source};

use crate::boot::steps::secrets::AT_ONCE;
use crate::host::mint::{Mint, MintError, MintFetch};
use crate::host::secret_set::Files;
use crate::host::secrets::{StoreError, Stores};

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

/// What one look brought.
pub(super) struct Round {
    /// Every file of the set.
    pub(super) files: Files,
    /// Documents of which a file is only a part: nobody may quote them either.
    pub(super) whole: Vec<Secret>,
}

/// Each source that can change is asked once, four at a time; what can't change is taken from `known`.
pub(super) async fn from_stores(
    stores: &Stores,
    wanted: &[(String, SecretRef)],
    known: &[(String, Secret)],
) -> Result<Round, FetchError> {
    let known = |name: &str, source: &Source| {
        known
            .iter()
            .find(|(one, _)| one == name && !source.can_change())
            .map(|(_, value)| value.clone())
    };
    let mut sources: Vec<(&Source, &str)> = Vec::new();
    for (name, SecretRef { source, .. }) in wanted {
        if known(name, source).is_none() && !sources.iter().any(|(one, _)| *one == source) {
            sources.push((source, name));
        }
    }
    // Collected, as a future that borrows from a closure's argument can't be put into a box.
    let calls: Vec<_> = sources
        .into_iter()
        .map(|(source, name)| async move {
            let fetched = stores.fetch(source).await;
            let value = fetched.map_err(|error| FetchError::Store {
                used_by: used_by(name),
                source: error,
            })?;
            Ok::<_, FetchError>((source, value))
        })
        .collect();
    let fetched: Vec<(&Source, Secret)> = futures_util::stream::iter(calls)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut files = Files::with_capacity(wanted.len());
    for (name, reference) in wanted {
        let value = match fetched.iter().find(|(source, _)| **source == reference.source) {
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
        whole: fetched.into_iter().map(|(_, whole)| whole).collect(),
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
