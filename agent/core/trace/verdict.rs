//! What follows from a [`Trace`], under the names that Fullstop used for it where they mean the same.
//!
//! | name | when | without a policy |
//! |---|---|---|
//! | `SCM_SOURCE_JSON_MISSING` | the image has no `/scm-source.json`, nor both labels `source` and `revision` | ignore |
//! | `SCM_SOURCE_JSON_INVALID` | it is there and cannot be used | warn |
//! | `ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY` | built with changes that no commit has | warn |
//! | `ILLEGAL_SCM_REPOSITORY` | not from one of `scm_repositories`, where the policy lists them | warn |
//! | `EC2_WITH_A_SNAPSHOT_IMAGE` | the tag of `source` says SNAPSHOT | warn |
//! | `IMAGE_TOO_OLD` | built longer ago than `max_image_age`, where the policy says one | warn |
//! | `OUTDATED_TAUPAGE` | the machine's image is past its `expires` | warn |
//!
//! Most images of the world have no `/scm-source.json`, so nobody is told of that unless a policy asks. What Fullstop
//! found out elsewhere (a key pair, a public subnet, approvals) a machine cannot know for certain of itself, and it is
//! not guessed.
//!
//! Where a rule asks for something that is not known (a list of repositories, and an image that does not say where it
//! is from), the verdict is given: whoever leaves a fact out must not fare better than who tells it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::repository::{Repository, RepositoryPattern};
use super::{LONGEST, ScmOutcome, Trace};
use crate::text;

/// A verdict's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the table above says what each is")]
pub enum VerdictName {
    ScmSourceJsonMissing,
    ScmSourceJsonInvalid,
    ArtifactBuiltFromDirtyRepository,
    IllegalScmRepository,
    #[serde(rename = "EC2_WITH_A_SNAPSHOT_IMAGE")]
    Ec2WithASnapshotImage,
    ImageTooOld,
    OutdatedTaupage,
}

impl VerdictName {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ScmSourceJsonMissing,
        Self::ScmSourceJsonInvalid,
        Self::ArtifactBuiltFromDirtyRepository,
        Self::IllegalScmRepository,
        Self::Ec2WithASnapshotImage,
        Self::ImageTooOld,
        Self::OutdatedTaupage,
    ];

    /// As policies and records have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ScmSourceJsonMissing => "SCM_SOURCE_JSON_MISSING",
            Self::ScmSourceJsonInvalid => "SCM_SOURCE_JSON_INVALID",
            Self::ArtifactBuiltFromDirtyRepository => "ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY",
            Self::IllegalScmRepository => "ILLEGAL_SCM_REPOSITORY",
            Self::Ec2WithASnapshotImage => "EC2_WITH_A_SNAPSHOT_IMAGE",
            Self::ImageTooOld => "IMAGE_TOO_OLD",
            Self::OutdatedTaupage => "OUTDATED_TAUPAGE",
        }
    }

    /// What it is without a word of the policy.
    pub const fn default_level(self) -> Level {
        match self {
            Self::ScmSourceJsonMissing => Level::Ignore,
            Self::ScmSourceJsonInvalid
            | Self::ArtifactBuiltFromDirtyRepository
            | Self::IllegalScmRepository
            | Self::Ec2WithASnapshotImage
            | Self::ImageTooOld
            | Self::OutdatedTaupage => Level::Warn,
        }
    }

    /// Whether only the image can tell; the others are known before it is pulled.
    pub const fn needs_image(self) -> bool {
        match self {
            Self::ScmSourceJsonMissing
            | Self::ScmSourceJsonInvalid
            | Self::ArtifactBuiltFromDirtyRepository
            | Self::IllegalScmRepository
            | Self::ImageTooOld => true,
            Self::Ec2WithASnapshotImage | Self::OutdatedTaupage => false,
        }
    }

    /// What to do about it.
    const fn help(self) -> &'static str {
        match self {
            Self::ScmSourceJsonMissing => {
                "let the build put /scm-source.json into the image (url, revision, author, status), or set the labels org.opencontainers.image.source and org.opencontainers.image.revision"
            }
            Self::ScmSourceJsonInvalid => {
                "let the build write /scm-source.json as a JSON map of the texts url, revision, author and status"
            }
            Self::ArtifactBuiltFromDirtyRepository => "commit everything and build the image again",
            Self::IllegalScmRepository => {
                "build the image from one of these repositories, or have its repository added"
            }
            Self::Ec2WithASnapshotImage => "release the image under a tag that is no snapshot",
            Self::ImageTooOld => {
                "build the image again (one without a date needs the label org.opencontainers.image.created)"
            }
            Self::OutdatedTaupage => "launch machines from a newer image",
        }
    }
}

impl fmt::Display for VerdictName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a verdict does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: it is not even recorded.
    Ignore,
    /// It is told and recorded.
    Warn,
    /// The container is not started.
    Deny,
}

impl Level {
    /// The policy's words.
    pub const WORDS: [&'static str; 3] = ["ignore", "warn", "deny"];

    /// From the policy's word.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "ignore" => Some(Self::Ignore),
            "warn" => Some(Self::Warn),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }

    /// The policy's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// Something the policy says, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// What.
    pub value: T,
    /// From 1.
    pub line: usize,
}

/// What the policy of the machine's image says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictPolicy {
    /// The policy's file; empty without one.
    pub file: String,
    /// `verdicts`.
    pub levels: BTreeMap<VerdictName, Said<Level>>,
    /// `max_image_age`, in seconds.
    pub max_image_age: Option<Said<u64>>,
    /// `scm_repositories`.
    pub scm_repositories: Option<Said<Vec<RepositoryPattern>>>,
}

impl VerdictPolicy {
    /// What becomes of a verdict.
    pub fn level(&self, name: VerdictName) -> Level {
        self.levels
            .get(&name)
            .map_or(name.default_level(), |said| said.value)
    }

    /// Whether the policy says anything of all this.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.max_image_age.is_none() && self.scm_repositories.is_none()
    }

    /// What it says, for people: each rule and where it stands.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let at = |line: usize| format!(" ({}:{line})", self.file);
        let levels = self
            .levels
            .iter()
            .map(|(name, said)| (name.word(), format!("{}{}", said.value.word(), at(said.line))));
        let age = self.max_image_age.iter().map(|said| {
            let most = text::duration(Duration::from_secs(said.value));
            ("max_image_age", format!("{most}{}", at(said.line)))
        });
        let from = self.scm_repositories.iter().map(|said| {
            let list: Vec<String> = said.value.iter().map(ToString::to_string).collect();
            (
                "scm_repositories",
                format!("[{}]{}", list.join(", "), at(said.line)),
            )
        });
        levels.chain(age).chain(from).collect()
    }

    /// Who says so: the line of `verdicts`, or else of what the verdict measures by.
    fn rule(&self, name: VerdictName) -> Option<VerdictRule> {
        let measure = match name {
            VerdictName::ImageTooOld => self.max_image_age.as_ref().map(|said| said.line),
            VerdictName::IllegalScmRepository => self.scm_repositories.as_ref().map(|said| said.line),
            _ => None,
        };
        let line = self.levels.get(&name).map(|said| said.line).or(measure)?;
        Some(VerdictRule {
            file: self.file.clone(),
            line,
        })
    }
}

/// Where the rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRule {
    /// The policy's file.
    pub file: String,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for VerdictRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub name: VerdictName,
    /// What follows.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// Who set the level; `None` where it is the default.
    pub rule: Option<VerdictRule>,
}

impl Verdict {
    /// Changes every text in it that others wrote.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self {
            name: _,
            level: _,
            found,
            // A file of the machine's image.
            rule: _,
        } = self;
        change(found);
    }

    /// What to do.
    pub const fn help(&self) -> &'static str {
        self.name.help()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.found)
    }
}

/// How far the boot was when the verdicts fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fell {
    /// Before anything was pulled or decrypted.
    BeforeImage,
    /// When the container was made.
    BeforeStart,
}

/// The container must not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Those that forbid it; one at least.
    pub verdicts: Vec<Verdict>,
    /// When.
    pub fell: Fell,
}

impl Denied {
    /// `None` where nothing forbids it.
    pub fn of(verdicts: &[Verdict], fell: Fell) -> Option<Self> {
        let denied = verdicts.iter().filter(|one| one.level == Level::Deny);
        let verdicts: Vec<Verdict> = denied.cloned().collect();
        (!verdicts.is_empty()).then_some(Self { verdicts, fell })
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy of the machine's image does not let this container start, and ")?;
        f.write_str(match self.fell {
            Fell::BeforeImage => "nothing was pulled for it",
            Fell::BeforeStart => "it was removed again",
        })?;
        for verdict in &self.verdicts {
            write!(f, "; {verdict}")?;
            match &verdict.rule {
                Some(rule) => write!(f, ", denied at {rule}")?,
                None => f.write_str(", denied")?,
            }
            write!(f, ": {}", verdict.help())?;
        }
        Ok(())
    }
}

impl std::error::Error for Denied {}

/// One line for those that are only told; `None` where there are none. What [`snapshot`] finds was told when the user
/// data was read.
pub fn warning(verdicts: &[Verdict]) -> Option<String> {
    line_of(verdicts.iter().filter(|one| one.level == Level::Warn))
}

/// The same for a container that exists: what is denied by now is only told.
pub fn warning_of_old(verdicts: &[Verdict]) -> Option<String> {
    line_of(verdicts.iter())
}

fn line_of<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> Option<String> {
    let told: Vec<String> = verdicts
        .filter(|one| one.name != VerdictName::Ec2WithASnapshotImage)
        .map(|one| match one.level {
            Level::Deny => format!("{one} (denied for new containers); {}", one.help()),
            Level::Ignore | Level::Warn => format!("{one}; {}", one.help()),
        })
        .collect();
    (!told.is_empty()).then(|| told.join(". "))
}

/// Whether a tag is a snapshot's, as Maven calls a build that is no release.
pub fn is_snapshot(tag: &str) -> bool {
    tag.to_ascii_uppercase().contains("SNAPSHOT")
}

/// Everything that follows; `tag` is that of `source`, `now` in seconds since the epoch. Those that are ignored are left
/// out.
pub fn verdicts(trace: &Trace, tag: Option<&str>, policy: &VerdictPolicy, now: u64) -> Vec<Verdict> {
    VerdictName::ALL
        .into_iter()
        .filter(|name| policy.level(*name) != Level::Ignore)
        .filter_map(|name| {
            Some(Verdict {
                name,
                level: policy.level(name),
                found: found(name, trace, tag, policy, now)?,
                rule: policy.rule(name),
            })
        })
        .collect()
}

/// Those of them that are known before the image is there; `trace` has nothing of it then.
pub fn before_image(trace: &Trace, tag: Option<&str>, policy: &VerdictPolicy, now: u64) -> Vec<Verdict> {
    let mut all = verdicts(trace, tag, policy, now);
    all.retain(|one| !one.name.needs_image());
    all
}

/// What speaks for it; `None` where nothing does.
fn found(
    name: VerdictName,
    trace: &Trace,
    tag: Option<&str>,
    policy: &VerdictPolicy,
    now: u64,
) -> Option<String> {
    match name {
        VerdictName::ScmSourceJsonMissing => {
            let labelled = ["source", "revision"]
                .iter()
                .all(|label| trace.labels.contains_key(*label));
            (trace.scm_source == ScmOutcome::Missing && !labelled).then(|| {
                "the image has no /scm-source.json, nor labels that say the same: nobody can tell which commit runs"
                    .to_owned()
            })
        }
        VerdictName::ScmSourceJsonInvalid => match &trace.scm_source {
            ScmOutcome::Invalid { reason } => {
                Some(format!("/scm-source.json of the image cannot be used: {reason}"))
            }
            ScmOutcome::Missing | ScmOutcome::Read => None,
        },
        VerdictName::ArtifactBuiltFromDirtyRepository => dirty(trace),
        VerdictName::IllegalScmRepository => illegal(trace, policy),
        VerdictName::Ec2WithASnapshotImage => {
            let tag = tag.filter(|tag| is_snapshot(tag))?;
            Some(format!(
                "`source` has the tag {}, which is no release",
                text::shortened(tag, LONGEST)
            ))
        }
        VerdictName::ImageTooOld => too_old(trace, policy, now),
        VerdictName::OutdatedTaupage => outdated(trace, now),
    }
}

fn dirty(trace: &Trace) -> Option<String> {
    let label = || {
        let revision = trace.labels.get("revision")?;
        revision.ends_with("-dirty").then_some("its label says so")
    };
    let what = trace
        .scm_status
        .as_deref()
        .filter(|status| !status.is_empty())
        .or_else(label)?;
    Some(format!(
        "the image was built with changes that no commit has: {what}"
    ))
}

fn illegal(trace: &Trace, policy: &VerdictPolicy) -> Option<String> {
    let allowed = policy.scm_repositories.as_ref()?;
    let list: Vec<String> = allowed.value.iter().map(ToString::to_string).collect();
    let list = match list.is_empty() {
        true => "none".to_owned(),
        false => text::shortened(&list.join(", "), LONGEST),
    };
    let Some(url) = &trace.source_url else {
        return Some(format!(
            "the image does not say which repository it is from, and the policy allows {list}"
        ));
    };
    let allows = |repository: &Repository| allowed.value.iter().any(|pattern| pattern.matches(repository));
    match Repository::parse(url) {
        Some(repository) if allows(&repository) => None,
        _ => Some(format!("the image is from {url}, and the policy allows {list}")),
    }
}

fn too_old(trace: &Trace, policy: &VerdictPolicy, now: u64) -> Option<String> {
    let most = policy.max_image_age.as_ref()?.value;
    let shown = text::duration(Duration::from_secs(most));
    let Some(created) = trace.image_created else {
        return Some(format!(
            "the image does not say when it was built, and the policy allows {shown}"
        ));
    };
    let age = now.saturating_sub(created);
    (age > most).then(|| {
        format!(
            "the image was built at {}, {} ago, and the policy allows {shown}",
            text::timestamp(created),
            text::duration(Duration::from_secs(age))
        )
    })
}

fn outdated(trace: &Trace, now: u64) -> Option<String> {
    let ami = trace.ami.as_ref()?;
    if let Some(problem) = &ami.problem {
        return Some(format!(
            "whether the machine's image has expired cannot be told from its image.json: {problem}"
        ));
    }
    ami.is_over(now)?.then(|| {
        format!(
            "the machine's image{} expired: {}",
            trace
                .ami_version()
                .map_or_else(String::new, |version| format!(" {version}")),
            ami.expires.as_deref().unwrap_or_default()
        )
    })
}
