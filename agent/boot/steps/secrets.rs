//! Decryption: each ciphertext once however often it is used, at most four calls at a time.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use monopod_core::plan::{Plan, SecretUse, Step, StepId};
use monopod_core::secret::{Ciphertext, Secret};
use monopod_core::{retry, text};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::kms::Kms;

/// More would trip KMS's limits when many machines boot at once.
const AT_ONCE: usize = 4;

/// The values, by ciphertext.
#[derive(Debug, Default)]
pub(in crate::boot) struct Decrypted(Vec<(Ciphertext, Secret)>);

impl Decrypted {
    pub(in crate::boot) fn value(&self, ciphertext: &Ciphertext) -> Option<&Secret> {
        self.0
            .iter()
            .find(|(one, _)| one == ciphertext)
            .map(|(_, secret)| secret)
    }
}

/// Shared by the step and by the pull, which waits for the registry's password alone.
pub(in crate::boot) struct Decryptor<'a> {
    context: &'a Context,
    deadline: Instant,
    region: String,
    kms: OnceCell<Kms>,
    values: Vec<(SecretUse, Arc<OnceCell<Secret>>)>,
}

impl<'a> Decryptor<'a> {
    pub(in crate::boot) fn new(context: &'a Context, plan: &Plan, deadline: Instant) -> Self {
        let region = plan
            .facts
            .as_ref()
            .map(|facts| facts.region.clone())
            .unwrap_or_default();
        let values = plan
            .secrets
            .iter()
            .map(|one| (one.clone(), Arc::default()))
            .collect();
        Self {
            context,
            deadline,
            region,
            kms: OnceCell::new(),
            values,
        }
    }

    /// The step.
    pub(in crate::boot) async fn run(&self, uses: &[SecretUse]) -> Result<Decrypted, BootError> {
        let does = Step::DecryptSecrets(uses.to_vec()).to_string();
        timed(self.context, StepId::Secrets, does, async {
            let values: Vec<(Ciphertext, Secret)> = futures_util::stream::iter(uses.iter().cloned())
                .map(async |one| {
                    let value = self.value(&one.ciphertext).await?;
                    Ok::<_, BootError>((one.ciphertext, value))
                })
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            let detail = match values.len() {
                0 => "nothing to decrypt".to_owned(),
                count => format!("{} decrypted", text::count(count as u64, "value")),
            };
            Ok((Decrypted(values), detail))
        })
        .await
    }

    /// One value, decrypted now or before.
    pub(in crate::boot) async fn value(&self, ciphertext: &Ciphertext) -> Result<Secret, BootError> {
        let known = self.values.iter().find(|(one, _)| one.ciphertext == *ciphertext);
        let (used_by, cell) = match known {
            Some((one, cell)) => (one.used_by.join(", "), Arc::clone(cell)),
            None => ("the user data".to_owned(), Arc::default()),
        };
        let secret = cell
            .get_or_try_init(|| self.decrypt(ciphertext, &used_by))
            .await?;
        Ok(secret.clone())
    }

    async fn decrypt(&self, ciphertext: &Ciphertext, used_by: &str) -> Result<Secret, BootError> {
        let kms = self.kms.get_or_init(|| Kms::new(&self.region)).await;
        let secret = until_it_works(
            self.context,
            StepId::Secrets,
            retry::AWS,
            Some(self.deadline),
            async || kms.decrypt(ciphertext).await,
        )
        .await
        .map_err(|gave_up| {
            let used_by = used_by.to_owned();
            gave_up.into_boot_error(StepId::Secrets, |source| BootError::Kms { used_by, source })
        })?;
        self.context.reporter.learn(used_by, &secret);
        Ok(secret)
    }
}
