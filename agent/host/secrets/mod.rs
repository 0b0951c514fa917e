//! Where secrets come from: KMS, Parameter Store, Secrets Manager. One call gives one whole value.
//!
//! A client is made for a region when it is first needed; an ARN may name another region than the instance's.

mod parameters;
mod secrets_manager;

use monopod_core::secret::{Secret, Source};
use tokio::sync::Mutex;

use super::aws::AwsError;
use super::kms::{Kms, KmsError};
use super::{Class, Classified, Verdict};
use parameters::Parameters;
use secrets_manager::SecretsManager;

/// Why a value was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// KMS.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// Another service.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// What came can't be handed to an application as text.
    #[error("the value of {source_name} {what}")]
    Unusable {
        /// What was asked for.
        source_name: String,
        /// What is wrong with it, and what to do.
        what: &'static str,
    },
}

impl Classified for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Kms(error) => error.class(),
            Self::Aws(error) => error.class(),
            Self::Unusable { .. } => Class::Permanent,
        }
    }
}

impl StoreError {
    /// What it says of the value.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Kms(error) => error.verdict(),
            Self::Aws(error) => Verdict::of(error.class()),
            Self::Unusable { .. } => Verdict::Broken,
        }
    }
}

/// The stores as seen from one instance.
#[derive(Debug)]
pub struct Stores {
    region: String,
    clients: Mutex<Vec<(String, Client)>>,
}

/// Cheap to clone: the SDK's clients are handles.
#[derive(Clone, Debug)]
enum Client {
    Kms(std::sync::Arc<Kms>),
    Parameters(Parameters),
    SecretsManager(SecretsManager),
}

impl Stores {
    /// For an instance in this region; asks nobody yet.
    pub fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            clients: Mutex::default(),
        }
    }

    /// One call.
    pub async fn fetch(&self, source: &Source) -> Result<Secret, StoreError> {
        let text = match (self.client(source).await, source) {
            (Client::Kms(kms), Source::Kms { ciphertext, context }) => {
                return Ok(kms.decrypt(ciphertext, context).await?);
            }
            (Client::Parameters(store), Source::Parameter { name }) => store.get(name).await?,
            (Client::SecretsManager(store), Source::SecretsManager { id, stage, version }) => {
                store.get(id, stage.as_deref(), version.as_deref()).await?
            }
            // `client` makes the one that belongs to the source.
            _ => None,
        };
        let unusable = |what| StoreError::Unusable {
            source_name: source.to_string(),
            what,
        };
        let secret = text.ok_or_else(|| {
            unusable("is not UTF-8 text; store it as base64, and let the application decode it")
        })?;
        if secret.expose().contains('\0') {
            return Err(unusable(
                "holds a NUL byte; store it as base64, and let the application decode it",
            ));
        }
        Ok(secret)
    }

    async fn client(&self, source: &Source) -> Client {
        let region = source.region().unwrap_or(&self.region);
        let mut clients = self.clients.lock().await;
        let known = clients
            .iter()
            .find(|(of, client)| of == region && client.serves(source));
        if let Some((_, client)) = known {
            return client.clone();
        }
        let client = match source {
            Source::Kms { .. } => Client::Kms(std::sync::Arc::new(Kms::new(region).await)),
            Source::Parameter { .. } => Client::Parameters(Parameters::new(region).await),
            Source::SecretsManager { .. } => Client::SecretsManager(SecretsManager::new(region).await),
        };
        clients.push((region.to_owned(), client.clone()));
        client
    }
}

impl Client {
    fn serves(&self, source: &Source) -> bool {
        match self {
            Self::Kms(_) => matches!(source, Source::Kms { .. }),
            Self::Parameters(_) => matches!(source, Source::Parameter { .. }),
            Self::SecretsManager(_) => matches!(source, Source::SecretsManager { .. }),
        }
    }
}
