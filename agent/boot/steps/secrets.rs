//! Secrets: each source is asked once however often it is used, at most four calls at a time.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use monopod_core::plan::sets::{Contents, FileSet, SetName};
use monopod_core::plan::{Plan, SecretUse, StepId};
use monopod_core::retry;
use monopod_core::secret::{Secret, SecretRef};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::BootError;
use crate::context::Context;
use crate::host::Verdict;
use crate::host::secret_set::Files;
use crate::host::secrets::Stores;

/// More would trip KMS's limits when many machines boot at once.
pub(crate) const AT_ONCE: usize = 4;

/// How often a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::boot) enum Patience {
    /// Until it answers or the boot budget is spent.
    Budget,
    /// Once: there is something to go on with.
    Once,
}

/// The values by reference, and the application's credentials.
#[derive(Debug, Default)]
pub(in crate::boot) struct Fetched {
    values: Vec<(SecretRef, Secret)>,
    credentials: Option<Files>,
    old: Vec<Old>,
}

/// Not from AWS but from the copy on the disk.
#[derive(Debug)]
pub(in crate::boot) struct Old {
    pub(in crate::boot) set: SetName,
    /// In milliseconds since the epoch.
    pub(in crate::boot) fetched_at: u64,
    /// Why AWS was no help.
    pub(in crate::boot) error: String,
}

impl Fetched {
    pub(in crate::boot) fn new(
        values: Vec<(SecretRef, Secret)>,
        credentials: Option<Files>,
        old: Vec<Old>,
    ) -> Self {
        Self {
            values,
            credentials,
            old,
        }
    }

    /// Whether this set came from the copy.
    pub(in crate::boot) fn old(&self, set: SetName) -> Option<&Old> {
        self.old.iter().find(|old| old.set == set)
    }

    pub(in crate::boot) fn value(&self, reference: &SecretRef) -> Option<&Secret> {
        self.values
            .iter()
            .find(|(one, _)| one == reference)
            .map(|(_, secret)| secret)
    }

    /// The files of a set, if all of them are here.
    pub(in crate::boot) fn files(&self, set: &FileSet) -> Option<Files> {
        match &set.contents {
            Contents::Stores(files) => files
                .iter()
                .map(|(name, reference)| Some((name.clone(), self.value(reference)?.clone())))
                .collect(),
            Contents::Bucket { .. } => self.credentials.clone(),
        }
    }
}

/// Shared by the step and by the pull, which waits for the registry's password alone.
pub(in crate::boot) struct Fetcher<'a> {
    context: &'a Context,
    deadline: Instant,
    stores: Stores,
    values: Vec<(SecretUse, Arc<OnceCell<Secret>>)>,
}

impl<'a> Fetcher<'a> {
    pub(in crate::boot) fn new(context: &'a Context, plan: &Plan, deadline: Instant) -> Self {
        let region = plan.facts.as_ref().map_or("", |facts| facts.region.as_str());
        let values = plan
            .every_use()
            .into_iter()
            .map(|one| (one, Arc::default()))
            .collect();
        Self {
            context,
            deadline,
            stores: Stores::new(region),
            values,
        }
    }

    /// Everything that these pick out of their sources, or nothing.
    pub(in crate::boot) async fn all(
        &self,
        uses: &[SecretUse],
        patience: Patience,
    ) -> Result<Vec<(SecretRef, Secret)>, BootError> {
        let fetches = futures_util::stream::iter(uses.iter().cloned())
            .map(async |one| {
                let mut picked = Vec::with_capacity(one.uses.len());
                for (_, reference) in one.uses {
                    let value = self.patiently(&reference, patience).await?;
                    picked.push((reference, value));
                }
                Ok::<_, BootError>(picked)
            })
            .buffer_unordered(AT_ONCE);
        collected(fetches, patience).await
    }

    /// One value, fetched now or before.
    pub(in crate::boot) async fn value(&self, reference: &SecretRef) -> Result<Secret, BootError> {
        self.patiently(reference, Patience::Budget).await
    }

    async fn patiently(&self, reference: &SecretRef, patience: Patience) -> Result<Secret, BootError> {
        let known = self.values.iter().find(|(one, _)| one.source == reference.source);
        let (used_by, cell) = match known {
            Some((one, cell)) => (one.used_by(), Arc::clone(cell)),
            None => ("the user data".to_owned(), Arc::default()),
        };
        let whole = cell
            .get_or_try_init(|| self.fetch(reference, &used_by, patience))
            .await?;
        let value = reference.pick(whole).map_err(|source| BootError::NotInSecret {
            used_by: used_by.clone(),
            source,
        })?;
        if reference.key.is_some() {
            self.context.reporter.learn(&used_by, &value);
        }
        Ok(value)
    }

    async fn fetch(
        &self,
        reference: &SecretRef,
        used_by: &str,
        patience: Patience,
    ) -> Result<Secret, BootError> {
        let failed = |source| BootError::Secret {
            used_by: used_by.to_owned(),
            source: Box::new(source),
        };
        let secret = match patience {
            Patience::Once => self.stores.fetch(&reference.source).await.map_err(failed)?,
            Patience::Budget => until_it_works(
                self.context,
                StepId::Secrets,
                retry::AWS,
                Some(self.deadline),
                async || self.stores.fetch(&reference.source).await,
            )
            .await
            .map_err(|gave_up| gave_up.into_boot_error(StepId::Secrets, failed))?,
        };
        self.context.reporter.learn(used_by, &secret);
        Ok(secret)
    }
}

/// All of it, or what went wrong. With one try each, a refusal wins over an outage whichever comes first: the one says
/// that no copy may be used, the other that one may.
async fn collected<T>(
    fetches: impl Stream<Item = Result<Vec<T>, BootError>>,
    patience: Patience,
) -> Result<Vec<T>, BootError> {
    let mut fetches = std::pin::pin!(fetches);
    let mut all = Vec::new();
    let mut failed: Option<BootError> = None;
    while let Some(one) = fetches.next().await {
        match (one, patience) {
            (Ok(some), _) => all.extend(some),
            (Err(error), Patience::Budget) => return Err(error),
            (Err(error), Patience::Once) if error.verdict() == Verdict::Refused => return Err(error),
            (Err(error), Patience::Once) => {
                let is_told = failed
                    .as_ref()
                    .is_none_or(|told| told.verdict() < error.verdict());
                if is_told {
                    failed = Some(error);
                }
            }
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use monopod_core::secret::NotInThere;

    use super::*;
    use crate::host::kms::KmsError;

    fn kms(error: KmsError) -> Result<Vec<u8>, BootError> {
        Err(BootError::Secret {
            used_by: "secrets.db".into(),
            source: Box::new(error.into()),
        })
    }

    fn away() -> Result<Vec<u8>, BootError> {
        kms(KmsError::Unreachable {
            region: String::new(),
            source: "refused".into(),
        })
    }

    fn refused() -> Result<Vec<u8>, BootError> {
        kms(KmsError::Refused {
            region: String::new(),
            code: String::new(),
            message: String::new(),
        })
    }

    fn broken() -> Result<Vec<u8>, BootError> {
        Err(BootError::NotInSecret {
            used_by: String::new(),
            source: NotInThere::NoKey { key: String::new() },
        })
    }

    async fn verdict(all: Vec<Result<Vec<u8>, BootError>>, patience: Patience) -> Verdict {
        let outcome = collected(futures_util::stream::iter(all), patience).await;
        outcome.unwrap_err().verdict()
    }

    #[tokio::test]
    async fn a_refusal_wins_over_an_outage_whichever_comes_first() {
        let once = Patience::Once;
        assert_eq!(verdict(vec![away(), refused()], once).await, Verdict::Refused);
        assert_eq!(verdict(vec![refused(), away()], once).await, Verdict::Refused);
        assert_eq!(
            verdict(vec![away(), broken(), refused()], once).await,
            Verdict::Refused
        );
        assert_eq!(
            verdict(vec![away(), broken(), away()], once).await,
            Verdict::Broken
        );
        assert_eq!(verdict(vec![Ok(vec![1]), away()], once).await, Verdict::NoAnswer);
    }

    #[tokio::test]
    async fn what_ends_a_fetch_with_patience_ends_it_at_once() {
        for patience in [Patience::Budget, Patience::Once] {
            let never = futures_util::stream::iter([refused()]).chain(futures_util::stream::pending());
            let ended = collected(never, patience).now_or_never();
            assert!(ended.is_some_and(|outcome| outcome.is_err()), "{patience:?}");
        }
        let all = vec![Ok(vec![1]), Ok(vec![2, 3])];
        let got = collected(futures_util::stream::iter(all), Patience::Once).await;
        assert_eq!(got.unwrap(), [1, 2, 3]);
    }
}
