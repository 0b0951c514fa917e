//! Secrets Manager.

use aws_sdk_secretsmanager::Client;
use monopod_core::secret::Secret;

use crate::host::aws::{self, AwsError};

#[derive(Clone, Debug)]
pub(super) struct SecretsManager {
    client: Client,
    service: String,
}

impl SecretsManager {
    pub(super) async fn new(region: &str) -> Self {
        Self {
            client: Client::new(&aws::config(region).await),
            service: format!("Secrets Manager in {region}"),
        }
    }

    /// The text, or the bytes where they are text.
    pub(super) async fn get(
        &self,
        id: &str,
        stage: Option<&str>,
        version: Option<&str>,
    ) -> Result<Option<Secret>, AwsError> {
        let call = self
            .client
            .get_secret_value()
            .secret_id(id)
            .set_version_stage(stage.map(str::to_owned))
            .set_version_id(version.map(str::to_owned));
        let answer = call
            .send()
            .await
            .map_err(|error| AwsError::new(&self.service, &format!("the secret {id}"), error, advice))?;
        let bytes = || Secret::from_bytes(answer.secret_binary?.into_inner());
        Ok(answer.secret_string.map(Secret::new).or_else(bytes))
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => {
            "; grant the instance profile's role secretsmanager:GetSecretValue on it, and kms:Decrypt on its key if that is one of yours"
        }
        "ResourceNotFoundException" => {
            "; make it in this region and account, with this stage or version, or mend its name in the user data"
        }
        "InvalidRequestException" => {
            "; it is marked for deletion or has no value yet: restore it, or put one in"
        }
        "DecryptionFailure" => {
            "; the key it is encrypted with is disabled, deleted, or not allowed to the instance's role"
        }
        _ => "",
    }
}
