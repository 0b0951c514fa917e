//! What the engine has against what it should have: the decision that keeps it at exactly one.
//!
//! Invariants
//! - At most one container is kept; every other one of ours is removed before anything is created.
//! - Ours is what has our label and our name (or is the one we looked after, whatever its name is now). The label says
//!   whether it is the right one; no file of ours does.
//! - The right container, running, is never touched.
//! - A container of somebody else's is never removed: not one without our label that has our name, and not a copy with
//!   our label under another name.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::container::NAME;

/// Changes when the meaning of the labels does.
pub const SCHEMA: u32 = 1;

/// Label: the hash of what the user asked for and of the digest that runs.
pub const LABEL_SPEC: &str = "org.monopod.spec";
/// Label: the digest that the image reference was resolved to, once in the container's life.
pub const LABEL_DIGEST: &str = "org.monopod.digest";
/// Label: the image as the user wrote it, in full, so that a digest is never taken for another reference's.
pub const LABEL_SOURCE: &str = "org.monopod.source";
/// Label: the names of the variables whose values are secrets, with commas, so that an agent that adopts the container
/// knows what to redact without asking KMS.
pub const LABEL_SECRETS: &str = "org.monopod.secrets";
/// Label: the agent that made it.
pub const LABEL_VERSION: &str = "org.monopod.version";

/// Identifies what was asked for: user data (secrets as ciphertext) and digest, never a secret's
/// value, never a default of ours, so that neither a new agent nor KMS being down replaces anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecHash(String);

impl SpecHash {
    /// The hash for an intent (see [`crate::config::Config::canonical`]) and a digest.
    pub fn new(intent: &serde_json::Value, digest: &str) -> Self {
        let canonical = serde_json::json!({ "schema": SCHEMA, "digest": digest, "intent": intent });
        let hash = Sha256::digest(canonical.to_string().as_bytes());
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Sixty-four hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the engine says a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Frozen by somebody.
    Paused,
    /// It ran and ended.
    Exited,
    /// On its way out, or stuck there.
    Dead,
}

/// One container as the engine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its id.
    pub id: String,
    /// Its name, without the slash.
    pub name: String,
    /// [`LABEL_SPEC`], if it has one.
    pub spec: Option<String>,
    /// [`LABEL_DIGEST`], if it has one.
    pub digest: Option<String>,
    /// [`LABEL_SOURCE`], if it has one.
    pub source: Option<String>,
    /// What it is doing.
    pub phase: Phase,
}

/// What to do about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciliation {
    /// To be removed first, in this order, with the reason.
    pub remove: Vec<Removal>,
    /// They have our label and another name: copies that somebody made, nobody's business but worth a word.
    pub left_alone: Vec<String>,
    /// Then this.
    pub then: Then,
}

/// One container that has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: RemovalReason,
}

/// Why a container of ours is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalReason {
    /// Its label is not that of the user data as it is now.
    OtherSpec,
    /// It was created and never started: an agent died in between.
    HalfMade,
    /// There is a better one.
    Surplus,
    /// The engine calls it dead.
    Dead,
    /// It came with the disk, from another instance.
    CameAlong,
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherSpec => "it was made from other user data",
            Self::HalfMade => "it was created but never started",
            Self::Surplus => "there is more than one",
            Self::CameAlong => "it came with this disk from another instance",
            Self::Dead => "the engine could not finish removing it",
        })
    }
}

/// The last move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It runs and it is the right one: take it over, touch nothing.
    Adopt {
        /// Its id.
        id: String,
        /// The digest it runs.
        digest: String,
    },
    /// The right one exists and has ended: the restart policy decides.
    Resume {
        /// Its id.
        id: String,
        /// The digest it runs.
        digest: String,
    },
    /// There is none: make it.
    Create,
}

/// A stranger has the name we need.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a container named {NAME} exists ({id}) that monopod did not make")]
pub struct NameTaken {
    /// The stranger's id.
    pub id: String,
}

/// Decides, for what the user asked for and everything the engine lists. `known` is the id of the container that was
/// looked after before, which counts as ours whatever its name is now.
pub fn reconcile(
    intent: &serde_json::Value,
    observed: &[Observed],
    known: Option<&str>,
) -> Result<Reconciliation, NameTaken> {
    decide(observed, known, |spec, digest| {
        SpecHash::new(intent, digest).as_str() == spec
    })
}

/// Decides from a hash alone: for an agent that was restarted and knows what it looked after.
pub fn reconcile_known(
    hash: &SpecHash,
    id: &str,
    observed: &[Observed],
) -> Result<Reconciliation, NameTaken> {
    decide(observed, Some(id), |spec, _| spec == hash.as_str())
}

/// Decides on a disk that was another instance's: none of its containers is the right one, for nobody has resolved or
/// verified their images here.
pub fn reconcile_copied(observed: &[Observed], known: Option<&str>) -> Result<Reconciliation, NameTaken> {
    let mut decided = decide(observed, known, |_, _| false)?;
    for removal in &mut decided.remove {
        if removal.reason == RemovalReason::OtherSpec {
            removal.reason = RemovalReason::CameAlong;
        }
    }
    Ok(decided)
}

fn decide(
    observed: &[Observed],
    known: Option<&str>,
    is_right: impl Fn(&str, &str) -> bool,
) -> Result<Reconciliation, NameTaken> {
    let right = |one: &Observed, spec: &str| is_right(spec, one.digest.as_deref().unwrap_or_default());
    // The label alone says too little: `docker commit` copies it into an image, and from there into containers that
    // somebody runs to debug ours.
    let is_ours = |one: &Observed| one.name == NAME || known == Some(one.id.as_str());
    let (ours, others): (Vec<&Observed>, Vec<&Observed>) = observed
        .iter()
        .partition(|one| is_ours(one) && one.spec.is_some());
    let spec = |one: &Observed| one.spec.clone().unwrap_or_default();

    let keep = ours
        .iter()
        .filter(|one| right(one, &spec(one)))
        .filter_map(|one| match one.phase {
            Phase::Running | Phase::Paused => Some(((0, known != Some(one.id.as_str())), *one)),
            Phase::Exited => Some(((1, known != Some(one.id.as_str())), *one)),
            Phase::Created | Phase::Dead => None,
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, one)| one);

    let remove = ours
        .iter()
        .filter(|one| keep.is_none_or(|kept| kept.id != one.id))
        .map(|one| Removal {
            id: one.id.clone(),
            reason: match one.phase {
                Phase::Created => RemovalReason::HalfMade,
                Phase::Dead => RemovalReason::Dead,
                _ if right(one, &spec(one)) => RemovalReason::Surplus,
                _ => RemovalReason::OtherSpec,
            },
        })
        .collect();

    let left_alone = others
        .iter()
        .filter(|one| one.spec.is_some())
        .map(|one| one.id.clone())
        .collect();
    let then = match keep {
        None => match others.iter().find(|one| one.name == NAME) {
            // Only who has to create needs the name.
            Some(stranger) => {
                return Err(NameTaken {
                    id: stranger.id.clone(),
                });
            }
            None => Then::Create,
        },
        Some(one) => {
            let (id, digest) = (one.id.clone(), one.digest.clone().unwrap_or_default());
            match one.phase {
                Phase::Running | Phase::Paused => Then::Adopt { id, digest },
                Phase::Created | Phase::Exited | Phase::Dead => Then::Resume { id, digest },
            }
        }
    };
    Ok(Reconciliation {
        remove,
        left_alone,
        then,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const DIGEST: &str = "sha256:1111";

    fn one(id: &str, phase: Phase, right: bool) -> Observed {
        let intent = if right {
            json!({"source": "a"})
        } else {
            json!({"source": "b"})
        };
        Observed {
            id: id.to_owned(),
            name: NAME.to_owned(),
            spec: Some(SpecHash::new(&intent, DIGEST).to_string()),
            digest: Some(DIGEST.to_owned()),
            source: None,
            phase,
        }
    }

    fn decided(observed: &[Observed]) -> Reconciliation {
        reconcile(&json!({"source": "a"}), observed, None).unwrap()
    }

    #[test]
    fn nothing_that_came_with_a_copied_disk_is_kept() {
        let digest = "sha256:1";
        let one = |id: &str, phase| Observed {
            id: id.to_owned(),
            name: NAME.to_owned(),
            spec: Some(SpecHash::new(&json!({}), digest).as_str().to_owned()),
            digest: Some(digest.to_owned()),
            source: None,
            phase,
        };
        for phase in [Phase::Exited, Phase::Running] {
            let found = [one("a", phase)];
            assert_ne!(reconcile(&json!({}), &found, None).unwrap().then, Then::Create);
            let copied = reconcile_copied(&found, None).unwrap();
            let gone = Removal {
                id: "a".to_owned(),
                reason: RemovalReason::CameAlong,
            };
            assert_eq!((copied.remove, copied.then), (vec![gone], Then::Create));
        }
    }

    #[test]
    fn nothing_there_means_create() {
        assert_eq!(
            decided(&[]),
            Reconciliation {
                remove: vec![],
                left_alone: vec![],
                then: Then::Create
            }
        );
    }

    #[test]
    fn the_right_running_one_is_adopted_and_touched_by_nothing() {
        let adopt = Then::Adopt {
            id: "a".into(),
            digest: DIGEST.into(),
        };
        assert_eq!(
            decided(&[one("a", Phase::Running, true)]),
            Reconciliation {
                remove: vec![],
                left_alone: vec![],
                then: adopt
            }
        );
    }

    #[test]
    fn the_right_ended_one_is_resumed() {
        assert_eq!(
            decided(&[one("a", Phase::Exited, true)]).then,
            Then::Resume {
                id: "a".into(),
                digest: DIGEST.into()
            }
        );
    }

    #[test]
    fn changed_user_data_replaces() {
        let outcome = decided(&[one("a", Phase::Running, false)]);
        assert_eq!(outcome.then, Then::Create);
        assert_eq!(
            outcome.remove,
            [Removal {
                id: "a".into(),
                reason: RemovalReason::OtherSpec
            }]
        );
    }

    #[test]
    fn a_half_made_one_is_removed_even_with_the_right_label() {
        let outcome = decided(&[one("a", Phase::Created, true)]);
        assert_eq!(outcome.then, Then::Create);
        assert_eq!(
            outcome.remove,
            [Removal {
                id: "a".into(),
                reason: RemovalReason::HalfMade
            }]
        );
    }

    #[test]
    fn a_tampered_digest_label_is_not_the_right_one() {
        let mut forged = one("a", Phase::Running, true);
        forged.digest = Some("sha256:2222".into());
        assert_eq!(decided(&[forged]).then, Then::Create);
    }

    #[test]
    fn a_stranger_with_our_name_is_an_error_and_one_with_another_name_is_nobodys_business() {
        let mut stranger = one("s", Phase::Running, true);
        (stranger.spec, stranger.digest) = (None, None);
        assert_eq!(
            reconcile(&json!({}), &[stranger.clone()], None),
            Err(NameTaken { id: "s".into() })
        );
        stranger.name = "node-exporter".into();
        assert_eq!(
            decided(&[stranger]),
            Reconciliation {
                remove: vec![],
                left_alone: vec![],
                then: Then::Create
            }
        );
    }

    #[test]
    fn a_copy_with_our_label_under_another_name_is_left_alone_and_never_preferred() {
        let mut copy = one("copy", Phase::Running, true);
        copy.name = "debug".into();
        let outcome = decided(&[copy.clone(), one("real", Phase::Running, true)]);
        assert_eq!(
            outcome.then,
            Then::Adopt {
                id: "real".into(),
                digest: DIGEST.into()
            }
        );
        assert_eq!(
            (outcome.remove, outcome.left_alone),
            (vec![], vec!["copy".to_owned()])
        );
        assert_eq!(decided(&[copy]).then, Then::Create);
    }

    #[test]
    fn the_one_we_looked_after_may_have_been_renamed_even_if_a_stranger_took_the_name() {
        let mut renamed = one("ours", Phase::Running, true);
        renamed.name = "old".into();
        let mut stranger = one("s", Phase::Running, true);
        stranger.spec = None;
        let hash = SpecHash::new(&json!({"source": "a"}), DIGEST);
        let outcome = reconcile_known(&hash, "ours", &[stranger, renamed]).unwrap();
        assert_eq!(
            outcome.then,
            Then::Adopt {
                id: "ours".into(),
                digest: DIGEST.into()
            }
        );
        assert!(outcome.remove.is_empty());
    }

    #[test]
    fn the_hash_changes_with_digest_and_intent_only() {
        let hash = SpecHash::new(&json!({"a": 1}), DIGEST);
        assert_eq!(hash, SpecHash::new(&json!({"a": 1}), DIGEST));
        assert_ne!(hash, SpecHash::new(&json!({"a": 2}), DIGEST));
        assert_ne!(hash, SpecHash::new(&json!({"a": 1}), "sha256:2222"));
        assert_eq!(hash.as_str().len(), 64);
    }

    proptest! {
        /// Whatever lies around: afterwards exactly one of ours is left, or none and one is made.
        #[test]
        fn exactly_one_is_left(phases in proptest::collection::vec((0..5usize, any::<bool>()), 0..6)) {
            let all = [Phase::Created, Phase::Running, Phase::Paused, Phase::Exited, Phase::Dead];
            let observed: Vec<Observed> = phases
                .iter()
                .enumerate()
                .map(|(n, (phase, right))| one(&format!("c{n}"), all[*phase], *right))
                .collect();
            let outcome = decided(&observed);
            let left = observed.len() - outcome.remove.len();
            let running_right = phases.iter().any(|(phase, right)| *right && (*phase == 1 || *phase == 2));
            match outcome.then {
                Then::Create => prop_assert_eq!(left, 0),
                Then::Adopt { id, .. } => {
                    prop_assert_eq!(left, 1);
                    prop_assert!(outcome.remove.iter().all(|removal| removal.id != id));
                    prop_assert!(running_right);
                }
                Then::Resume { id, .. } => {
                    prop_assert_eq!(left, 1);
                    prop_assert!(outcome.remove.iter().all(|removal| removal.id != id));
                    prop_assert!(!running_right, "a running right one must be preferred");
                }
            }
        }
    }
}
