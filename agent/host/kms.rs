//! Decryption by AWS KMS through its SDK.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use monopod_core::secret::{Ciphertext, Secret};

use super::{Class, Classified, aws};

/// Why a value was not decrypted.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// KMS is overloaded or has a bad moment.
    #[error("KMS in {region} answered {code}: {message}{}", waiting_advice(.code))]
    Busy {
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
    /// KMS was not reached, or there are no credentials to reach it with (yet).
    #[error("KMS in {region} was not reached")]
    Unreachable {
        /// Where.
        region: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// KMS says no.
    #[error("KMS in {region} refused to decrypt: {code}: {message}{}", advice(.code))]
    Refused {
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
    /// What came out can't be an environment variable.
    #[error("the decrypted value {0}; encrypt a text without NUL bytes")]
    Unusable(&'static str),
}

impl Classified for KmsError {
    fn class(&self) -> Class {
        match self {
            Self::Busy { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::Refused { .. } | Self::Unusable(_) => Class::Permanent,
        }
    }
}

/// A KMS client for one region.
#[derive(Debug)]
pub struct Kms {
    client: Client,
    region: String,
}

impl Kms {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        Self {
            client: Client::new(&aws::config(region).await),
            region: region.to_owned(),
        }
    }

    /// One call.
    pub async fn decrypt(&self, ciphertext: &Ciphertext) -> Result<Secret, KmsError> {
        let blob = Blob::new(ciphertext.as_bytes());
        let output = match self.client.decrypt().ciphertext_blob(blob).send().await {
            Ok(output) => output,
            Err(error) => return Err(self.classify(error)),
        };
        let plaintext = output
            .plaintext
            .ok_or(KmsError::Unusable("is missing from the answer"))?;
        let text = String::from_utf8(plaintext.into_inner()).map_err(|error| {
            drop(Secret::new(
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
            ));
            KmsError::Unusable("is not UTF-8")
        })?;
        if text.contains('\0') {
            drop(Secret::new(text));
            return Err(KmsError::Unusable("holds a NUL byte"));
        }
        Ok(Secret::new(text))
    }

    fn classify(&self, error: SdkError<DecryptError>) -> KmsError {
        let region = self.region.clone();
        match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                let error = context.into_err();
                let code = error.code().unwrap_or("no error code").to_owned();
                let message = error.message().unwrap_or("no message").to_owned();
                if is_busy(&code, status) {
                    KmsError::Busy {
                        region,
                        code,
                        message,
                    }
                } else {
                    KmsError::Refused {
                        region,
                        code,
                        message,
                    }
                }
            }
            other => KmsError::Unreachable {
                region,
                source: other.into(),
            },
        }
    }
}

/// What AWS's services call throttling and their own faults; everything else it means.
pub(super) fn is_busy(code: &str, status: u16) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "KMSInternalException"
            | "KmsInternalException"
            | "DependencyTimeoutException"
            | "KeyUnavailableException"
            | "InternalFailure"
            // A clock that is not set yet, credentials that have not spread yet: first boots see them for seconds.
            | "InvalidSignatureException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "ServiceUnavailable"
    ) || status >= 500
        || status == 429
}

fn waiting_advice(code: &str) -> &'static str {
    match code {
        "UnrecognizedClientException" | "InvalidSignatureException" | "ExpiredTokenException" => {
            "; if it stays so, check the instance profile and the machine's clock"
        }
        _ => "",
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => "; grant the instance profile's role kms:Decrypt on the key",
        "InvalidCiphertextException" => {
            "; encrypt the value again, in this region and account, and put it in whole"
        }
        "IncorrectKeyException" | "NotFoundException" => {
            "; it was encrypted with a key of another region or account"
        }
        "DisabledException" | "KMSInvalidStateException" | "KmsInvalidStateException" => "; enable the key",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_tried_again_and_a_refusal_is_not() {
        assert!(is_busy("ThrottlingException", 400));
        assert!(is_busy("anything", 503));
        for code in [
            "AccessDeniedException",
            "InvalidCiphertextException",
            "DisabledException",
            "NotFoundException",
        ] {
            assert!(!is_busy(code, 400), "{code}");
            assert!(!advice(code).is_empty(), "{code} says what to do");
        }
    }

    #[test]
    fn a_refusal_says_what_to_grant() {
        let error = KmsError::Refused {
            region: "eu-central-1".into(),
            code: "AccessDeniedException".into(),
            message: "not authorized".into(),
        };
        assert_eq!(error.class(), Class::Permanent);
        assert!(
            error
                .to_string()
                .ends_with("grant the instance profile's role kms:Decrypt on the key")
        );
    }
}
