//! What all clients of the AWS SDK have in common.
//!
//! The SDK's own retries are off: ours know the boot budget. Credentials are the SDK's business (on
//! an instance, the instance profile's).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::http::HttpResponse;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use super::{Class, Classified};

/// One call may take this long.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Whoever does not even accept a connection is not there.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
pub(super) async fn config(region: &str) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .load()
        .await
}

/// Why a call to one of AWS's services gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The service is overloaded, has a bad moment, or does not know the machine's credentials yet.
    #[error("{service} answered {code} for {subject}: {message}")]
    Busy {
        /// Which one, and where.
        service: String,
        /// What was asked for.
        subject: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
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
    /// It says no.
    #[error("{service} refused {subject}: {code}: {message}{advice}")]
    Refused {
        /// Which one, and where.
        service: String,
        /// What was asked for.
        subject: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
        /// What to do.
        advice: &'static str,
    },
}

impl Classified for AwsError {
    fn class(&self) -> Class {
        match self {
            Self::Busy { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::Refused { .. } => Class::Permanent,
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
        let (service, subject) = (service.to_owned(), subject.to_owned());
        match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let error = context.into_err();
                let code = error.code().unwrap_or("no error code").to_owned();
                let message = error.message().unwrap_or("no message").to_owned();
                if is_busy(&code, status) {
                    Self::Busy {
                        service,
                        subject,
                        code,
                        message,
                    }
                } else {
                    let advice = advice(&code);
                    Self::Refused {
                        service,
                        subject,
                        code,
                        message,
                        advice,
                    }
                }
            }
            other => Self::Unreachable {
                service,
                subject,
                source: other.into(),
            },
        }
    }
}

/// What AWS's JSON services call throttling and their own faults, and what first boots see for seconds: a clock that is
/// not set yet, credentials that have not spread yet.
fn is_busy(code: &str, status: u16) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "InternalServerError"
            | "InternalServiceError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "InvalidSignatureException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
    ) || status >= 500
        || status == 429
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_tried_again_and_a_refusal_is_not() {
        assert!(is_busy("ThrottlingException", 400));
        assert!(is_busy("anything", 503));
        assert!(is_busy("UnrecognizedClientException", 400));
        for code in [
            "AccessDeniedException",
            "ParameterNotFound",
            "ResourceNotFoundException",
        ] {
            assert!(!is_busy(code, 400), "{code}");
        }
    }
}
