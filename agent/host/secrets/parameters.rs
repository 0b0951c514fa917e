//! Systems Manager's Parameter Store.

use aws_sdk_ssm::Client;
use monopod_core::secret::Secret;

use crate::host::aws::{self, AwsError};

#[derive(Clone, Debug)]
pub(super) struct Parameters {
    client: Client,
    service: String,
}

impl Parameters {
    pub(super) async fn new(region: &str) -> Self {
        Self {
            client: Client::new(&aws::config(region).await),
            service: format!("Parameter Store in {region}"),
        }
    }

    /// A SecureString comes decrypted; the other types as they are.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Secret>, AwsError> {
        let call = self.client.get_parameter().name(name).with_decryption(true);
        let answer = call
            .send()
            .await
            .map_err(|error| AwsError::new(&self.service, &format!("the parameter {name}"), error, advice))?;
        Ok(answer
            .parameter
            .and_then(|parameter| parameter.value)
            .map(Secret::new))
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => {
            "; grant the instance profile's role ssm:GetParameter on it, and kms:Decrypt on its key if that is one of yours"
        }
        "ParameterNotFound" => "; make it in this region and account, or mend its name in the user data",
        "ParameterVersionNotFound" => "; it has no such version or label",
        "InvalidKeyId" => {
            "; the key it is encrypted with is disabled, deleted, or not allowed to the instance's role"
        }
        _ => "",
    }
}
