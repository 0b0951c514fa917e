//! What all clients of the AWS SDK have in common.
//!
//! The SDK's own retries are off: ours know the boot budget. Credentials are the SDK's business (on
//! an instance, the instance profile's).

use std::time::{Duration, SystemTime};

pub(super) use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ssm::config::http::HttpResponse;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::primitives::{DateTime, DateTimeFormat};

use super::{Class, Classified};

/// One call may take this long.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Whoever does not even accept a connection is not there.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
pub(crate) async fn config(region: &str) -> SdkConfig {
    common().region(Region::new(region.to_owned())).load().await
}

/// The same for a person's machine: without a region of its own, the one the SDK finds (environment, profile, metadata).
pub(super) async fn config_of_a_person(region: Option<&str>) -> SdkConfig {
    match region {
        Some(region) => config(region).await,
        None => common().load().await,
    }
}

/// Who gives credentials of a role that is assumed with the machine's own. The SDK's provider: it asks for those anew each
/// time, and keeps none.
pub(super) async fn role_provider(region: &str, role: &str, session: &str) -> SharedCredentialsProvider {
    let config = config(region).await;
    let provider = AssumeRoleProvider::builder(role)
        .session_name(session)
        .configure(&config)
        .build()
        .await;
    SharedCredentialsProvider::new(provider)
}

fn common() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
}

/// Why a call to one of AWS's services gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// It was not reached, or there are no credentials to reach it with (yet).
    #[error("{service} was not reached for {subject}")]
    Unreachable {
        /// Which one, and where.
        service: String,
        /// What was asked for.
        subject: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered with an error.
    #[error(transparent)]
    Answered(Box<Answered>),
}

/// An answer that is an error.
#[derive(Debug, thiserror::Error)]
#[error("{service} {} {subject}: {code}: {message}{advice}", if *.class == Class::Permanent { "refused" } else { "has no answer yet for" })]
pub struct Answered {
    /// Which service, and where.
    service: String,
    /// What was asked for.
    subject: String,
    /// AWS's error code.
    code: String,
    /// AWS's text.
    message: String,
    /// What to do.
    advice: &'static str,
    /// What the code means.
    class: Class,
}

impl Classified for AwsError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Transient,
            Self::Answered(answered) => answered.class,
        }
    }
}

impl AwsError {
    /// From the SDK's error; `advice` says what to do about a code.
    pub(super) fn new<E>(
        service: &str,
        subject: &str,
        error: SdkError<E, HttpResponse>,
        advice: fn(&str) -> &'static str,
    ) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        Self::from_answer(service, subject, Answer::of(error), advice)
    }

    /// The same, of an answer that is read already.
    pub(super) fn from_answer(
        service: &str,
        subject: &str,
        answer: Answer,
        advice: fn(&str) -> &'static str,
    ) -> Self {
        let (service, subject) = (service.to_owned(), subject.to_owned());
        match answer {
            Answer::None(source) => Self::Unreachable {
                service,
                subject,
                source,
            },
            Answer::Error { class, code, message } => Self::Answered(Box::new(Answered {
                service,
                subject,
                advice: if class == Class::Permanent {
                    advice(&code)
                } else {
                    waiting_advice(&code)
                },
                code,
                message,
                class,
            })),
        }
    }
}

/// Whether an error is this one.
pub(super) fn is<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, code: &str) -> bool {
    matches!(error, SdkError::ServiceError(context) if context.err().code() == Some(code))
}

/// Whether an error's text holds these words.
pub(super) fn says<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, words: &str) -> bool {
    matches!(error, SdkError::ServiceError(context) if context.err().message().is_some_and(|text| text.contains(words)))
}

/// The time in a `Date` header: the clock of who answered.
pub(super) fn server_time(date: &str) -> Option<SystemTime> {
    SystemTime::try_from(DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?).ok()
}

/// Whether a signature was refused for its time. The SDK's clients learn from every answer's `Date` how wrong our clock is,
/// and sign the next call with the right time: so it is tried again.
pub(super) fn is_about_time(code: &str, message: &str) -> bool {
    match code {
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => true,
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "AuthFailure" | "AccessDenied" => {
            message.contains("Signature expired") || message.contains("Signature not yet current")
        }
        _ => false,
    }
}

/// How a call failed, whichever it was.
pub(crate) enum Answer {
    /// There was no answer.
    None(Box<dyn std::error::Error + Send + Sync>),
    /// The service said so.
    Error {
        class: Class,
        code: String,
        message: String,
    },
}

impl Answer {
    pub(crate) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let error = context.into_err();
                // A success that could not be read is no word of AWS's: somebody in between answered.
                if (200..300).contains(&status) && error.code().is_none() {
                    return Self::Error {
                        class: Class::Transient,
                        code: format!("status {status}"),
                        message: "something that is no answer of AWS's; if it stays so, look for a proxy in between".to_owned(),
                    };
                }
                let code = error.code().unwrap_or("no error code").to_owned();
                let message = error.message().unwrap_or("no message").to_owned();
                Self::Error {
                    class: class_of(&code, &message, status),
                    message,
                    code,
                }
            }
            other => Self::None(other.into()),
        }
    }
}

/// The limit of all calls of the account, then what AWS calls its own faults; everything else it means.
pub(super) fn class_of(code: &str, message: &str, status: u16) -> Class {
    match code {
        _ if is_about_time(code, message) => Class::Transient,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => Class::Throttled,
        _ if status == 429 => Class::Throttled,
        "LimitExceededException"
        | "KMSInternalException"
        | "KmsInternalException"
        | "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "InternalServerError"
        | "InternalServiceError"
        | "InternalFailure"
        | "ServerException"
        // A clock that is not set yet, credentials that have not spread yet: first boots see them for seconds.
        | "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken"
        // Several machines make the same thing at once.
        | "OperationAbortedException"
        | "ServiceUnavailable" => Class::Transient,
        _ if status >= 500 => Class::Transient,
        _ => Class::Permanent,
    }
}

pub(crate) fn waiting_advice(code: &str) -> &'static str {
    match code {
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "ExpiredTokenException"
        | "ExpiredToken" => "; if it stays so, check the instance profile and the machine's clock",
        _ => "",
    }
}

#[cfg(test)]
#[path = "aws_tests.rs"]
pub(super) mod tests;
