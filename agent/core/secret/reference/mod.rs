//! References: what stands in the user data in the place of a secret.
//!
//! ```text
//! aws:kms:<base64>                     [?context.NAME=VALUE&...][&key=KEY]
//! aws:ssm:<name>[:version or label]    [?key=KEY]
//! aws:secretsmanager:<name or ARN>     [?key=KEY&stage=STAGE&version=ID]
//! ```
//!
//! What follows the question mark is percent-encoded as in an address. A key picks one value out of a secret that is a
//! JSON document: a name of its top level, or a JSON pointer when it begins with a slash. A reference is no secret: it
//! is hashed, shown and written down.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::{Ciphertext, Secret};

const KMS: &str = "aws:kms:";
const SSM: &str = "aws:ssm:";
const SECRETS_MANAGER: &str = "aws:secretsmanager:";

/// Where a value is fetched from: one call, however many references pick something out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Decrypted by KMS.
    Kms {
        /// What KMS gets.
        ciphertext: Ciphertext,
        /// The encryption context it was encrypted with.
        context: BTreeMap<String, String>,
    },
    /// A parameter of Systems Manager's Parameter Store.
    Parameter {
        /// Its name or ARN, with `:version` or `:label` as the service takes it.
        name: String,
    },
    /// A secret of Secrets Manager.
    SecretsManager {
        /// Its name or ARN.
        id: String,
        /// `AWSCURRENT` unless said.
        stage: Option<String>,
        /// One version for good.
        version: Option<String>,
    },
}

/// One reference: a source, and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// Where it comes from.
    pub source: Source,
    /// What is picked out of a JSON document; all of it when `None`.
    pub key: Option<String>,
}

/// Why a text that begins like a reference is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAReference {
    /// `aws:kms:` alone.
    #[error("nothing follows `aws:kms:`")]
    NoCiphertext,
    /// The ciphertext can't be read.
    #[error("what follows `aws:kms:` is not base64")]
    Ciphertext,
    /// A name the service could not have given.
    #[error(
        "what follows `aws:ssm:` is no parameter's name: letters, digits and . _ - / for a name, then `:` and a version or a label"
    )]
    ParameterName,
    /// A name the service could not have given.
    #[error(
        "what follows `aws:secretsmanager:` is no secret's name: letters, digits and / _ + = . @ ! - , or an ARN"
    )]
    SecretName,
    /// After the question mark.
    #[error("what follows the `?` is not `NAME=VALUE` with `&` between them, percent-encoded")]
    Query,
    /// A name after the question mark.
    #[error("after the `?` can stand {0}")]
    Option(&'static str),
    /// Twice the same.
    #[error("a name stands twice after the `?`")]
    Twice,
    /// A stage and a version.
    #[error("`stage` and `version` exclude each other")]
    StageAndVersion,
}

/// Why nothing could be picked out of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotInThere {
    /// Only a document has keys.
    #[error("the secret is no JSON document, so the key `{key}` cannot be picked out of it")]
    NotJson {
        /// The key.
        key: String,
    },
    /// Nothing of this name.
    #[error("the secret's JSON document has no key `{key}`")]
    NoKey {
        /// The key.
        key: String,
    },
}

impl SecretRef {
    /// Reads a text; `None` when it does not begin as a reference does.
    pub fn parse(text: &str) -> Option<Result<Self, NotAReference>> {
        type Read = fn(&str, Query) -> Result<Source, NotAReference>;
        let readers: [(&str, Read); 3] = [(KMS, kms), (SSM, parameter), (SECRETS_MANAGER, secret)];
        let (rest, read) = readers
            .into_iter()
            .find_map(|(prefix, read)| Some((text.strip_prefix(prefix)?, read)))?;
        let (name, query) = match rest.split_once('?') {
            Some((name, query)) => (name, Query::read(query.trim_end())),
            None => (rest, Ok(Query::default())),
        };
        Some(query.and_then(|mut query| {
            let key = query.take("key");
            let source = read(name, query)?;
            Ok(Self { source, key })
        }))
    }

    /// The value meant by this reference, out of the whole secret.
    pub fn pick(&self, secret: &Secret) -> Result<Secret, NotInThere> {
        let Some(key) = &self.key else {
            return Ok(secret.clone());
        };
        let not_json = || NotInThere::NotJson { key: key.clone() };
        let document: serde_json::Value = serde_json::from_str(secret.expose()).map_err(|_| not_json())?;
        let found = match document {
            _ if key.starts_with('/') => document.pointer(key),
            serde_json::Value::Object(ref map) => map.get(key),
            _ => return Err(not_json()),
        };
        let found = found.ok_or_else(|| NotInThere::NoKey { key: key.clone() })?;
        Ok(Secret::new(match found {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        }))
    }

    /// As it would be written, the same for the same reference: to compare, to hash, to write down.
    pub fn canonical(&self) -> String {
        let mut options: Vec<(String, &str)> = Vec::new();
        let base = match &self.source {
            Source::Kms { ciphertext, context } => {
                options.extend(
                    context
                        .iter()
                        .map(|(name, value)| (format!("context.{}", encoded(name)), value.as_str())),
                );
                format!("{KMS}{}", STANDARD.encode(ciphertext.as_bytes()))
            }
            Source::Parameter { name } => format!("{SSM}{name}"),
            Source::SecretsManager { id, stage, version } => {
                options.extend(stage.iter().map(|stage| ("stage".to_owned(), stage.as_str())));
                options.extend(
                    version
                        .iter()
                        .map(|version| ("version".to_owned(), version.as_str())),
                );
                format!("{SECRETS_MANAGER}{id}")
            }
        };
        options.extend(self.key.iter().map(|key| ("key".to_owned(), key.as_str())));
        let query: Vec<String> = options
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        if query.is_empty() {
            base
        } else {
            format!("{base}?{}", query.join("&"))
        }
    }
}

impl Source {
    /// Whether asking again can give another value: what KMS decrypts stays what it is.
    pub fn can_change(&self) -> bool {
        match self {
            Self::Kms { .. } => false,
            Self::Parameter { .. } => true,
            Self::SecretsManager { version, .. } => version.is_none(),
        }
    }

    /// The region an ARN names; the instance's own when `None`.
    pub fn region(&self) -> Option<&str> {
        let name = match self {
            Self::Kms { .. } => return None,
            Self::Parameter { name } => name,
            Self::SecretsManager { id, .. } => id,
        };
        let mut parts = name.split(':');
        (parts.next() == Some("arn"))
            .then(|| parts.nth(2))
            .flatten()
            .filter(|region| !region.is_empty())
    }
}

/// For people: what is asked of whom, without a ciphertext.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kms { .. } => f.write_str("a value encrypted by KMS"),
            Self::Parameter { name } => write!(f, "the parameter {name}"),
            Self::SecretsManager { id, stage, version } => {
                write!(f, "the secret {id}")?;
                match (stage, version) {
                    (Some(stage), _) => write!(f, " at {stage}"),
                    (None, Some(version)) => write!(f, " at version {version}"),
                    (None, None) => Ok(()),
                }
            }
        }
    }
}

fn kms(text: &str, query: Query) -> Result<Source, NotAReference> {
    let blob: String = text.split_ascii_whitespace().collect();
    let blob = STANDARD.decode(blob).map_err(|_| NotAReference::Ciphertext)?;
    if blob.is_empty() {
        return Err(NotAReference::NoCiphertext);
    }
    let context = query
        .0
        .into_iter()
        .map(|(name, value)| match name.strip_prefix("context.") {
            Some(name) if !name.is_empty() => Ok((name.to_owned(), value)),
            _ => Err(NotAReference::Option("`context.NAME=VALUE` and `key=KEY`")),
        })
        .collect::<Result<_, _>>()?;
    Ok(Source::Kms {
        ciphertext: Ciphertext::new(blob),
        context,
    })
}

fn parameter(name: &str, query: Query) -> Result<Source, NotAReference> {
    query.nothing_left("`key=KEY`")?;
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b));
    let bare = name.strip_prefix("arn:").map_or(name, |arn| {
        arn.split_once(":parameter/").map_or("", |(_, name)| name)
    });
    if !letters
        || bare.is_empty()
        || bare.starts_with(':')
        || bare.ends_with(':')
        || bare.matches(':').count() > 1
    {
        return Err(NotAReference::ParameterName);
    }
    Ok(Source::Parameter {
        name: name.to_owned(),
    })
}

fn secret(id: &str, mut query: Query) -> Result<Source, NotAReference> {
    let (stage, version) = (query.take("stage"), query.take("version"));
    query.nothing_left("`key=KEY`, `stage=STAGE` and `version=ID`")?;
    if stage.is_some() && version.is_some() {
        return Err(NotAReference::StageAndVersion);
    }
    let is_arn = id.starts_with("arn:");
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@!-".contains(&b) || (is_arn && b == b':');
    // An ARN is arn:partition:secretsmanager:region:account:secret:name and nothing after it.
    if id.is_empty() || !id.bytes().all(letters) || (is_arn && id.split(':').count() != 7) {
        return Err(NotAReference::SecretName);
    }
    Ok(Source::SecretsManager {
        id: id.to_owned(),
        stage,
        version,
    })
}

/// What stands after the question mark.
#[derive(Default)]
struct Query(BTreeMap<String, String>);

impl Query {
    fn read(text: &str) -> Result<Self, NotAReference> {
        let mut query = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').ok_or(NotAReference::Query)?;
            let (name, value) = (decoded(name)?, decoded(value)?);
            if name.is_empty() || value.is_empty() {
                return Err(NotAReference::Query);
            }
            if query.0.insert(name, value).is_some() {
                return Err(NotAReference::Twice);
            }
        }
        Ok(query)
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn nothing_left(&self, known: &'static str) -> Result<(), NotAReference> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(NotAReference::Option(known))
        }
    }
}

fn decoded(text: &str) -> Result<String, NotAReference> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| {
        byte.and_then(|b| char::from(b).to_digit(16))
            .and_then(|d| u8::try_from(d).ok())
    };
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(NotAReference::Query),
            },
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| NotAReference::Query)?;
    if text.chars().any(char::is_control) {
        return Err(NotAReference::Query);
    }
    Ok(text)
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-._~/:@".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
