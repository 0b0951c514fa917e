//! Encryption, for people who write user data: with their own credentials, on their own machine.

use aws_sdk_kms::Client;
use aws_sdk_kms::config::ProvideCredentials as _;
use aws_sdk_kms::primitives::Blob;
use monopod_core::config::edit::{Context, nearest_alias};
use monopod_core::secret::{Ciphertext, Secret};

use super::Answer;
use crate::host::{Class, Classified, aws};

/// What KMS encrypts in one call.
pub const LARGEST: usize = 4096;

/// AWS's own keys, which encrypt nothing for people.
const OF_AWS: &str = "alias/aws/";
/// More names than this are nobody's account; a page has up to 100.
const PAGES: usize = 20;

/// Why a value was not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// The SDK found none.
    #[error("no region to encrypt in; give --region, or set AWS_REGION or the region of your AWS profile")]
    NoRegion,
    /// The SDK found none, or they have expired.
    #[error("no AWS credentials to encrypt with; log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID")]
    NoCredentials {
        /// Where it looked, and what it met.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The calls a second that the account has in a region are spent, or KMS has a bad moment.
    #[error("KMS in {region} answered {code}: {message}")]
    Busy {
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
        /// Which of the two.
        class: Class,
    },
    /// KMS was not reached.
    #[error("KMS in {region} was not reached")]
    Unreachable {
        /// Where.
        region: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such key.
    #[error("KMS in {region} has no key {key_id}{hint}")]
    NoKey {
        /// Where.
        region: String,
        /// What was asked for.
        key_id: String,
        /// What there is.
        hint: String,
    },
    /// KMS says no.
    #[error("KMS in {region} refused to encrypt with {key_id}: {code}: {message}{}", advice(.code))]
    Refused {
        /// Where.
        region: String,
        /// What was asked for.
        key_id: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
    /// An answer without what was asked for.
    #[error(
        "KMS in {region} answered without a ciphertext; try again, and if it stays so, look at AWS_ENDPOINT_URL"
    )]
    NoCiphertext {
        /// Where.
        region: String,
    },
}

impl Classified for EncryptError {
    fn class(&self) -> Class {
        match self {
            Self::Busy { class, .. } => *class,
            Self::Unreachable { .. } => Class::Transient,
            Self::NoRegion
            | Self::NoCredentials { .. }
            | Self::NoKey { .. }
            | Self::Refused { .. }
            | Self::NoCiphertext { .. } => Class::Permanent,
        }
    }
}

/// A KMS client of a person's.
#[derive(Debug)]
pub struct Encryptor {
    client: Client,
    region: String,
}

impl Encryptor {
    /// Region and credentials as the SDK finds them; whoever has none is told so before anything is encrypted.
    pub async fn new(region: Option<&str>) -> Result<Self, EncryptError> {
        let config = aws::config_of_a_person(region).await;
        let region = config.region().ok_or(EncryptError::NoRegion)?.to_string();
        if let Some(provider) = config.credentials_provider() {
            // A person who is not logged in should not wait for tries that can't help.
            let found = provider.provide_credentials().await;
            found.map_err(|source| EncryptError::NoCredentials {
                source: source.into(),
            })?;
        }
        Ok(Self {
            client: Client::new(&config),
            region,
        })
    }

    /// One call; where the key is not there, some more that find out what is.
    pub async fn encrypt(
        &self,
        key_id: &str,
        plaintext: &Secret,
        context: &Context,
    ) -> Result<Ciphertext, EncryptError> {
        let call = self
            .client
            .encrypt()
            .key_id(key_id)
            .plaintext(Blob::new(plaintext.expose()))
            .set_encryption_context((!context.is_empty()).then(|| context.clone().into_iter().collect()));
        let region = self.region.clone();
        let error = match call.send().await {
            Ok(output) => {
                return output
                    .ciphertext_blob
                    .map(|blob| Ciphertext::new(blob.into_inner()))
                    .ok_or(EncryptError::NoCiphertext { region });
            }
            Err(error) => error,
        };
        Err(match Answer::of(error) {
            Answer::None(source) => EncryptError::Unreachable { region, source },
            Answer::Error {
                class: Class::Permanent,
                code,
                ..
            } if code == "NotFoundException" => EncryptError::NoKey {
                hint: self.hint(key_id).await,
                region,
                key_id: key_id.to_owned(),
            },
            Answer::Error { class, code, message } if class == Class::Permanent || is_login(&code) => {
                EncryptError::Refused {
                    region,
                    key_id: key_id.to_owned(),
                    code,
                    message,
                }
            }
            Answer::Error { class, code, message } => EncryptError::Busy {
                region,
                code,
                message,
                class,
            },
        })
    }

    /// What there is in place of a key that is not.
    async fn hint(&self, key_id: &str) -> String {
        let elsewhere = "or name its region by --region";
        if !key_id.starts_with("alias/") {
            return format!("; name one that is there, {elsewhere}");
        }
        match self.aliases().await {
            Err(code) => format!(
                "; name one that is there, {elsewhere} (to have near names shown, grant kms:ListAliases: {code})"
            ),
            Ok(names) => match nearest_alias(key_id, &names) {
                Some(near) => format!("; did you mean {near}?"),
                None if names.is_empty() => {
                    format!("; the account has no alias of its own there: make one, {elsewhere}")
                }
                None => format!("; there are {}, {elsewhere}", some_of(&names)),
            },
        }
    }

    /// The account's own aliases; the error's code where they are not to be had.
    async fn aliases(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        let mut marker = None;
        for _ in 0..PAGES {
            let call = self.client.list_aliases().set_marker(marker);
            let page = call.send().await.map_err(|error| match Answer::of(error) {
                Answer::None(_) => "no answer".to_owned(),
                Answer::Error { code, .. } => code,
            })?;
            let all = page.aliases.unwrap_or_default();
            names.extend(all.into_iter().filter_map(|alias| alias.alias_name));
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        names.retain(|name| !name.starts_with(OF_AWS));
        names.sort_unstable();
        Ok(names)
    }
}

/// A list that is short enough to read.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(String::as_str);
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// A machine that boots waits for its credentials to spread; a person has to log in.
fn is_login(code: &str) -> bool {
    matches!(
        code,
        "InvalidSignatureException" | "UnrecognizedClientException" | "ExpiredTokenException"
    )
}

fn advice(code: &str) -> &'static str {
    match code {
        _ if is_login(code) => "; log in to AWS again, and check this machine's clock",
        "AccessDeniedException" => "; grant yourself kms:Encrypt on the key, in IAM or in the key's policy",
        "DisabledException" | "KMSInvalidStateException" | "KmsInvalidStateException" => "; enable the key",
        "InvalidKeyUsageException" => "; take a symmetric key that is made for encryption",
        "ValidationException" | "InvalidArnException" => {
            "; name the key by an alias (alias/my-app), its id or its ARN"
        }
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
            "DisabledException",
            "KMSInvalidStateException",
            "InvalidKeyUsageException",
            "ValidationException",
            "ExpiredTokenException",
        ] {
            let error = EncryptError::Refused {
                region: "eu-central-1".into(),
                key_id: "alias/my-app".into(),
                code: code.into(),
                message: "no".into(),
            };
            assert_eq!(error.class(), Class::Permanent);
            assert!(error.to_string().contains(": no; "), "{error}");
        }
        assert!(
            EncryptError::NoRegion.to_string().contains("AWS_REGION")
                && EncryptError::NoRegion.class() == Class::Permanent
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<String> = (0..10).map(|n| format!("alias/{n}")).collect();
        assert!(some_of(&names).ends_with("alias/7 and 2 more"));
        assert_eq!(some_of(names.get(..1).unwrap()), "alias/0");
    }
}
