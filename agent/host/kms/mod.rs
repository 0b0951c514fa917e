//! Decryption by AWS KMS through its SDK, and encryption ([`encrypt`]) for people who write user data.

pub mod encrypt;

use std::collections::BTreeMap;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use monopod_core::secret::{Ciphertext, Secret};

use super::aws::{self, Answer, waiting_advice};
use super::{Class, Classified, Verdict};

/// Why a value was not decrypted.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// The calls a second that the account has in a region are spent.
    #[error("KMS in {region} answered {code}: {message}")]
    Throttled {
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
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
            Self::Throttled { .. } => Class::Throttled,
            Self::Busy { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::Refused { .. } | Self::Unusable(_) => Class::Permanent,
        }
    }
}

impl KmsError {
    /// What it says of the value.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Throttled { .. } | Self::Busy { .. } | Self::Unreachable { .. } | Self::Refused { .. } => {
                Verdict::of(self.class())
            }
            Self::Unusable(_) => Verdict::Broken,
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
    pub async fn decrypt(
        &self,
        ciphertext: &Ciphertext,
        context: &BTreeMap<String, String>,
    ) -> Result<Secret, KmsError> {
        let context = (!context.is_empty()).then(|| context.clone().into_iter().collect());
        let call = self
            .client
            .decrypt()
            .ciphertext_blob(Blob::new(ciphertext.as_bytes()))
            .set_encryption_context(context);
        let output = match call.send().await {
            Ok(output) => output,
            Err(error) => return Err(self.classify(error)),
        };
        let plaintext = output
            .plaintext
            .ok_or(KmsError::Unusable("is missing from the answer"))?;
        usable(plaintext.into_inner())
    }

    fn classify(&self, error: SdkError<DecryptError>) -> KmsError {
        let region = self.region.clone();
        match Answer::of(error) {
            Answer::None(source) => KmsError::Unreachable { region, source },
            Answer::Error { class, code, message } => match class {
                Class::Throttled => KmsError::Throttled {
                    region,
                    code,
                    message,
                },
                Class::Transient => KmsError::Busy {
                    region,
                    code,
                    message,
                },
                Class::Permanent => KmsError::Refused {
                    region,
                    code,
                    message,
                },
            },
        }
    }
}

/// As a text that a variable can hold; what is none is wiped.
fn usable(plaintext: Vec<u8>) -> Result<Secret, KmsError> {
    let secret = Secret::from_bytes(plaintext).ok_or(KmsError::Unusable("is not UTF-8"))?;
    if secret.expose().contains('\0') {
        return Err(KmsError::Unusable("holds a NUL byte"));
    }
    Ok(secret)
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => "; grant the instance profile's role kms:Decrypt on the key",
        "InvalidCiphertextException" => {
            "; encrypt the value again, in this region and account, and put it in whole; with an encryption context, name the same one"
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
    fn every_refusal_says_what_to_do() {
        for code in [
            "AccessDeniedException",
            "InvalidCiphertextException",
            "DisabledException",
            "NotFoundException",
        ] {
            assert!(!advice(code).is_empty(), "{code} says what to do");
        }
    }

    #[test]
    fn only_a_text_without_nul_is_of_use() {
        assert_eq!(usable("é".into()).unwrap().expose(), "é");
        for (bytes, what) in [(b"canary\xff", "is not UTF-8"), (b"canary\0", "holds a NUL byte")] {
            let error = usable(bytes.to_vec()).unwrap_err();
            assert!(
                matches!(error, KmsError::Unusable(said) if said == what),
                "{error}"
            );
            assert!(!error.to_string().contains("canary"));
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
