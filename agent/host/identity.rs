//! Credentials for the container: the instance's own, or a role's that the instance's may assume.
//!
//! Both come from the SDK's own providers, asked once a call; when they are asked again is decided elsewhere. What AWS
//! said of a refusal is kept, so that whoever reads the journal knows which of two policies lacks the permission.

use std::error::Error as _;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_ssm::error::ErrorMetadata;
use monopod_core::identity::protocol::SessionCredentials;
use monopod_core::identity::{Served, refresh};
use monopod_core::secret::Secret;

use super::aws::{self, Answer, AwsError};
use super::{Class, clock};

/// Instance metadata and STS together.
const PATIENCE: Duration = Duration::from_secs(20);
/// Credentials that never end (a person's own, from a variable) are asked for again after this.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Gives credentials, asking AWS each time.
#[derive(Clone, Debug)]
pub struct Provider {
    service: String,
    subject: String,
    /// `None`: there is nobody to ask on this machine.
    provider: Option<SharedCredentialsProvider>,
}

impl Provider {
    /// Asks nobody yet.
    pub async fn new(served: &Served, region: &str, instance_id: &str) -> Self {
        match served {
            Served::Instance => Self {
                service: "the metadata service".to_owned(),
                subject: "the credentials of the instance's role".to_owned(),
                provider: aws::config(region).await.credentials_provider(),
            },
            Served::Role(role) => Self {
                service: format!("STS in {region}"),
                subject: format!("the role {role}"),
                provider: Some(
                    aws::role_provider(region, role.as_str(), &refresh::session_name(instance_id)).await,
                ),
            },
        }
    }

    /// One try.
    pub async fn fetch(&self) -> Result<SessionCredentials, AwsError> {
        let Some(provider) = &self.provider else {
            return Err(self.unreachable("nobody gives credentials on this machine".into()));
        };
        match tokio::time::timeout(PATIENCE, provider.provide_credentials()).await {
            Err(late) => Err(self.unreachable(late.into())),
            Ok(Err(error)) => {
                let answer = answer(error);
                Err(AwsError::from_answer(
                    &self.service,
                    &self.subject,
                    answer,
                    advice,
                ))
            }
            Ok(Ok(credentials)) => {
                let end = credentials
                    .expiry()
                    .and_then(|end| end.duration_since(UNIX_EPOCH).ok())
                    .and_then(|end| u64::try_from(end.as_millis()).ok());
                let endless = || clock::now_millis() + u64::try_from(ENDLESS.as_millis()).unwrap_or_default();
                Ok(SessionCredentials {
                    access_key_id: Secret::new(credentials.access_key_id().to_owned()),
                    secret_access_key: Secret::new(credentials.secret_access_key().to_owned()),
                    session_token: credentials
                        .session_token()
                        .map(|token| Secret::new(token.to_owned())),
                    expires_at: end.unwrap_or_else(endless),
                })
            }
        }
    }

    fn unreachable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> AwsError {
        AwsError::from_answer(&self.service, &self.subject, Answer::None(source), advice)
    }
}

/// STS's own words, where there are any: the SDK hides them behind its own error.
fn answer(error: CredentialsError) -> Answer {
    let mut cause = error.source();
    while let Some(one) = cause {
        if let Some(said) = one.downcast_ref::<ErrorMetadata>()
            && let Some(code) = said.code()
        {
            let message = said.message().unwrap_or("no message").to_owned();
            return Answer::Error {
                class: aws::class_of(code, &message, 400),
                code: code.to_owned(),
                message,
            };
        }
        cause = one.source();
    }
    match error {
        // A region that is switched off, most likely.
        CredentialsError::InvalidConfiguration(_) => Answer::Error {
            class: Class::Permanent,
            code: "InvalidConfiguration".to_owned(),
            message: super::chain(&error),
        },
        error => Answer::None(error.into()),
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" => {
            "; the instance's role needs sts:AssumeRole on it (`monopod plan --iam`), and its trust policy has to name the instance's role"
        }
        "RegionDisabledException" | "InvalidConfiguration" => "; switch STS on in this region",
        _ => "",
    }
}
