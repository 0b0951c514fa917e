//! The image's policy: what user data may ask for on machines made from it.
//!
//! A mistake in this file is an error, whatever it is: a rule that nobody enforces is worse than none.

use std::collections::BTreeMap;

use super::problem::Place;
use crate::trace::repository::RepositoryPattern;
use crate::trace::{Level, VerdictName};
use crate::trust;

/// The rules, each with its place, so that a refusal can name it.
#[derive(Clone, Debug, Default)]
pub(super) struct Policy {
    /// Keys only the image may set, with dots for those inside a map.
    pub(super) locked: Vec<Locked>,
    /// Unknown keys are errors.
    pub(super) deny_unknown: Option<Place>,
    /// `allow.root` and so on, where they are said.
    pub(super) allow: Allow,
    /// What images have to prove; `None` is nothing.
    pub(super) images: Option<Images>,
    /// What follows from where an image comes from.
    pub(super) verdicts: Verdicts,
    /// What the file is called.
    pub(super) file: String,
}

/// `verdicts`, and what they measure by.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    pub(super) levels: BTreeMap<VerdictName, Rule<Level>>,
    /// In seconds.
    pub(super) max_image_age: Option<Rule<u32>>,
    pub(super) scm_repositories: Option<Rule<Vec<RepositoryPattern>>>,
}

/// The list `images`.
#[derive(Clone, Debug)]
pub(super) struct Images {
    pub(super) rules: Vec<trust::Rule>,
    /// Where the `match` of each stands.
    pub(super) places: Vec<Place>,
    /// Where the list stands.
    pub(super) place: Place,
    /// Every rule could be read.
    pub(super) whole: bool,
}

/// A key that only the image may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) value: String,
    pub(super) place: Place,
    /// Whether the image has a value for it, which user data could take away.
    pub(super) in_image: bool,
}

/// What a rule says and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What may be asked for; `None` is the default of [`super::contract::POLICY`].
#[derive(Clone, Debug, Default)]
pub(super) struct Allow {
    pub(super) root: Option<Rule<bool>>,
    pub(super) privileged: Option<Rule<bool>>,
    pub(super) docker_daemon_access: Option<Rule<bool>>,
    pub(super) host_networking: Option<Rule<bool>>,
    pub(super) seccomp_unconfined: Option<Rule<bool>>,
    pub(super) undigested_tags: Option<Rule<bool>>,
    pub(super) secrets_in_environment: Option<Rule<bool>>,
    pub(super) capabilities: Option<Rule<Vec<String>>>,
    pub(super) registries: Option<Rule<Vec<String>>>,
}
