//! Why an image may not run: one code and one sentence for each way to fail.

use std::fmt;

use thiserror::Error;

use super::RuleRef;
use super::day::Day;
use crate::config::Code;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The resolver and the user data disagree.
    #[error("what was resolved is not the digest that `source` names")]
    OtherDigest,
    /// No signature at all.
    #[error("it has no signature: there is none under the tag {tag}")]
    Unsigned {
        /// Where signatures would be.
        tag: String,
    },
    /// Signed, by somebody else.
    #[error("none of its signatures is by a key that the rule names ({keys})")]
    WrongKey {
        /// The rule's keys.
        keys: String,
    },
    /// A true signature, of something else.
    #[error("the signature by {key} that lies beside it is for another image, {signed}")]
    WrongDigest {
        /// Whose signature.
        key: String,
        /// The digest that was signed.
        signed: String,
    },
    /// A true signature of the same bytes under another name.
    #[error("the signature by {key} is for an image of another name")]
    WrongName {
        /// Whose signature.
        key: String,
    },
    /// The key does not count any more.
    #[error("it is signed by {key} alone, which counted until {not_after}")]
    KeyExpired {
        /// Which.
        key: String,
        /// Its last day.
        not_after: Day,
    },
    /// Not what cosign writes.
    #[error("its signature cannot be read: {what}")]
    BadSignature {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The registry says nothing.
    #[error(
        "the registry does not say that it may run: the answer has neither X-Production-Ready-Taupage nor X-Trusted"
    )]
    NoHeader,
    /// The registry says no.
    #[error("the registry says that it may not run: {}", .reason.as_deref().unwrap_or("it gives no reason"))]
    HeaderRefused {
        /// `X-Production-Ready-Reason`.
        reason: Option<String>,
    },
    /// The headers of the tag are those of another image.
    #[error(
        "the registry says nothing about the digest that was resolved, and the tag in `source` names another one by now"
    )]
    TagMoved,
    /// The registry has forgotten it.
    #[error("the registry has no such image any more")]
    Gone,
}

impl Refusal {
    /// Its stable code; `monopod explain` knows more.
    pub const fn code(&self) -> Code {
        match self {
            Self::OtherDigest => Code::OtherDigest,
            Self::Unsigned { .. } => Code::Unsigned,
            Self::WrongKey { .. } => Code::WrongKey,
            Self::WrongDigest { .. } => Code::WrongDigest,
            Self::WrongName { .. } => Code::WrongName,
            Self::KeyExpired { .. } => Code::KeyExpired,
            Self::BadSignature { .. } => Code::BadSignature,
            Self::NoHeader => Code::NoHeader,
            Self::HeaderRefused { .. } => Code::HeaderRefused,
            Self::TagMoved => Code::TagMoved,
            Self::Gone => Code::ImageGone,
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::OtherDigest => "nothing runs; if it happens again, ask who answers for the registry",
            Self::Unsigned { .. } | Self::WrongKey { .. } => {
                "sign the digest with such a key (`cosign sign --key`), or use an image that is signed"
            }
            Self::WrongDigest { .. } => {
                "somebody copied a signature: find out who, and sign this digest if it is the right one"
            }
            Self::WrongName { .. } => {
                "sign it again under the name in `source`, or use the name it was signed under"
            }
            Self::KeyExpired { .. } => {
                "sign it again with a key that counts, or launch from a machine image with a later `not_after`"
            }
            Self::BadSignature { .. } => "sign it again with `cosign sign --key`",
            Self::NoHeader => "have it approved there, or use an image that is",
            Self::HeaderRefused { .. } => "use an image that the registry approves",
            Self::TagMoved => {
                "name the image's digest in `source`, or launch again for what the tag names now"
            }
            Self::Gone => "push it again, or use one that is there",
        }
    }
}

/// Nothing is known, so nothing runs.
#[derive(Debug)]
pub struct Unverified {
    /// As the user wrote it.
    pub image: String,
    /// The rule.
    pub rule: Option<RuleRef>,
    /// Why it could not be found out.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, image) = (Code::Unverifiable, &self.image);
        write!(
            f,
            "{code} whether the image {image} may run cannot be found out, so it does not run"
        )?;
        match &self.rule {
            Some(rule) => write!(f, " (the rule {rule})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unverified {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source: &(dyn std::error::Error + 'static) = self.source.as_ref();
        Some(source)
    }
}

/// Which image was refused, why, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Refused {
    /// As the user wrote it.
    pub image: String,
    /// What it was resolved to.
    pub digest: String,
    /// The rule; none where the policy has none.
    pub rule: Option<RuleRef>,
    /// What is wrong.
    pub why: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            digest,
            rule,
            why,
        } = self;
        write!(f, "{} the image {image} ({digest}) is refused: {why}", why.code())?;
        if let Some(rule) = rule {
            write!(f, " (the rule {rule})")?;
        }
        write!(f, "; {}", why.help())
    }
}
