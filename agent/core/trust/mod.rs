//! Whether an image may run: what the policy of the machine's image asks for, and whether what was found satisfies it.
//!
//! ```text
//! policy.yaml: images ─► rules ─┐
//!                               ├─► decide ─► Trust (in the plan) ─┐
//! source ───────────────────────┘                                  ├─► judge ─► Verified, or Refused with its reason
//! what the registry and the cryptography say, and the time ────────┘
//! ```
//!
//! Invariants: everything fails closed. Only the first rule that matches counts; an image without a rule is an error; a
//! doubt is a refusal, and each kind of refusal has a code of its own and names the rule's file and line.
//!
//! Nothing here verifies a signature: the agent says which key did, and this says what follows from it. Signatures are
//! those of cosign with a pair of keys ([`signature`]), offline: no certificates, no transparency log.

pub mod day;
pub mod header;
pub mod key;
pub mod pattern;
mod refusal;
pub mod signature;

use std::fmt;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::config::ImageRef;
use day::Day;
use key::{PublicKey, hex};
use pattern::Pattern;
pub use refusal::{Refusal, Refused, Unverified};

/// What has to be true of an image before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing.
    Nothing,
    /// `source` names the digest, so that whoever wrote it chose the bytes.
    Digest,
    /// The registry says so: Taupage's `X-Production-Ready-Taupage`, or `X-Trusted`.
    Header,
    /// A signature by one of these keys.
    Signature(Vec<TrustedKey>),
}

/// A key that signatures may be by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Its file, as the policy names it.
    pub file: String,
    /// The key itself.
    pub key: PublicKey,
    /// The last day it counts.
    pub not_after: Option<Day>,
}

impl TrustedKey {
    /// `team.pub`.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRef {
    /// The policy's file.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Its `match`.
    pub pattern: String,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.pattern, self.file, self.line)
    }
}

/// A rule of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which images it is about.
    pub pattern: Pattern,
    /// What it asks for.
    pub requirement: Requirement,
    /// Its line in the policy's file.
    pub line: usize,
}

/// What is asked of one image, and by which rule; no rule where the policy has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// What has to be true.
    pub requirement: Requirement,
    /// Who says so.
    pub rule: Option<RuleRef>,
}

impl Trust {
    /// A machine without such rules asks for nothing.
    pub const NOTHING: Self = Self {
        requirement: Requirement::Nothing,
        rule: None,
    };
}

/// The first rule that is about an image. Without one the image is refused.
pub fn decide<'r>(rules: &'r [Rule], image: &ImageRef) -> Option<&'r Rule> {
    rules.iter().find(|rule| rule.pattern.matches(image))
}

/// What was found out about an image that may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Nobody asked.
    Nothing,
    /// The digest is the one that the user data names.
    Digest,
    /// The registry said so.
    Header,
    /// A signature by the key of this name.
    Signature(String),
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing required"),
            Self::Digest => f.write_str("digest only"),
            Self::Header => f.write_str("header"),
            Self::Signature(key) => write!(f, "signature by {key}"),
        }
    }
}

/// Whether the digest that was resolved is the one in `source`, where that has one. Asked whatever the requirement is:
/// everything after it speaks of this digest.
pub fn judge_digest(image: &ImageRef, digest: &str) -> Result<(), Refusal> {
    match image.digest() {
        Some(wanted) if wanted != digest => Err(Refusal::OtherDigest),
        _ => Ok(()),
    }
}

/// For [`Requirement::Digest`]: `source` has a digest, and it is this one.
pub fn judge_pinned(image: &ImageRef, digest: &str) -> Result<Verified, Refusal> {
    match image.digest() {
        Some(wanted) if wanted == digest => Ok(Verified::Digest),
        _ => Err(Refusal::OtherDigest),
    }
}

/// Whether these bytes have this digest; false for an algorithm nobody knows.
pub fn has_digest(bytes: &[u8], digest: &str) -> bool {
    match digest.split_once(':') {
        Some(("sha256", wanted)) => hex(&Sha256::digest(bytes)) == wanted,
        Some(("sha384", wanted)) => hex(&Sha384::digest(bytes)) == wanted,
        Some(("sha512", wanted)) => hex(&Sha512::digest(bytes)) == wanted,
        _ => false,
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Digest => f.write_str("a digest in `source`"),
            Self::Header => f.write_str("a header of the registry that says the image may run"),
            Self::Signature(keys) => {
                f.write_str("a signature by ")?;
                for (index, key) in keys.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" or ")?;
                    }
                    f.write_str(key.name())?;
                    if let Some(day) = key.not_after {
                        write!(f, " (until {day})")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Requirement {
    /// Whether the registry has to be asked, and so a login may be needed even for an image that is on the machine.
    pub const fn asks_registry(&self) -> bool {
        match self {
            Self::Nothing | Self::Digest => false,
            Self::Header | Self::Signature(_) => true,
        }
    }

    /// The policy's word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Digest => "digest",
            Self::Header => "header",
            Self::Signature(_) => "signature",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, requirement: Requirement) -> Rule {
        Rule {
            pattern: Pattern::parse(pattern).unwrap(),
            requirement,
            line: 1,
        }
    }

    #[test]
    fn the_first_rule_counts_and_none_is_none() {
        let rules = [
            rule("registry.example.org/team/*", Requirement::Digest),
            rule("registry.example.org/**", Requirement::Header),
        ];
        let decided = |image: &str| {
            decide(&rules, &ImageRef::parse(image).unwrap()).map(|rule| rule.requirement.word())
        };
        assert_eq!(decided("registry.example.org/team/app:1"), Some("digest"));
        assert_eq!(decided("registry.example.org/other/app:1"), Some("header"));
        assert_eq!(decided("nginx:1"), None);
        assert_eq!(decide(&[], &ImageRef::parse("nginx:1").unwrap()), None);
    }

    #[test]
    fn a_digest_that_is_written_is_the_one() {
        let (one, other) = (
            format!("sha256:{}", "1".repeat(64)),
            format!("sha256:{}", "2".repeat(64)),
        );
        let pinned = ImageRef::parse(&format!("a:1@{one}")).unwrap();
        assert_eq!(judge_digest(&pinned, &one), Ok(()));
        assert_eq!(judge_digest(&pinned, &other), Err(Refusal::OtherDigest));
        let tag = ImageRef::parse("a:1").unwrap();
        assert_eq!(judge_digest(&tag, &other), Ok(()));
        assert_eq!(judge_pinned(&pinned, &one), Ok(Verified::Digest));
        assert_eq!(judge_pinned(&pinned, &other), Err(Refusal::OtherDigest));
        assert_eq!(judge_pinned(&tag, &other), Err(Refusal::OtherDigest));
    }

    #[test]
    fn bytes_have_their_digest() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(has_digest(b"", empty) && !has_digest(b"a", empty));
        assert!(!has_digest(b"", &empty.to_ascii_uppercase()) && !has_digest(b"", "md5:"));
        assert!(!has_digest(b"", &empty.replace("sha256", "sha512")));
    }

    #[test]
    fn words_for_people() {
        let key = |file: &str, not_after: Option<&str>| TrustedKey {
            file: file.to_owned(),
            key: PublicKey::parse(key::tests::TEAM.as_bytes()).unwrap(),
            not_after: not_after.and_then(Day::parse),
        };
        let keys = vec![
            key("/etc/monopod/keys/team.pub", None),
            key("/etc/monopod/keys/old.pub", Some("2027-06-30")),
        ];
        assert_eq!(
            Requirement::Signature(keys).to_string(),
            "a signature by team.pub or old.pub (until 2027-06-30)"
        );
        assert_eq!(
            Verified::Signature("team.pub".into()).to_string(),
            "signature by team.pub"
        );
    }
}
