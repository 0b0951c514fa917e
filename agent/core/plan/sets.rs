//! Sets of files that change together: which there are, where their contents come from, how they stay fresh.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SecretUse;
use super::container::{CREDENTIALS, ContainerSpec, SECRETS};
use crate::config::{Config, OnChange, Refresh};
use crate::secret::SecretRef;

/// Seconds between two looks into the bucket of `mint_bucket`.
pub(crate) const MINT_INTERVAL: u32 = 120;

/// One of the sets a container can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetName {
    /// `secrets`.
    Secrets,
    /// `mint_bucket`.
    Credentials,
}

impl SetName {
    /// All there can be.
    pub const ALL: [Self; 2] = [Self::Secrets, Self::Credentials];

    /// Where the container finds it.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Secrets => SECRETS,
            Self::Credentials => CREDENTIALS,
        }
    }

    /// One word: the key it comes from, the directory below the runtime directory.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Credentials => "credentials",
        }
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where the contents of a set come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contents {
    /// From KMS, Parameter Store and Secrets Manager: the files' names and what stands in each.
    Stores(#[serde(with = "as_text")] Vec<(String, SecretRef)>),
    /// From the application's folder in a bucket.
    Bucket {
        /// `mint_bucket`.
        bucket: String,
        /// The folder.
        application_id: String,
    },
}

impl Contents {
    /// Whether asking again can give anything else.
    pub fn can_change(&self) -> bool {
        match self {
            Self::Stores(files) => files.iter().any(|(_, reference)| reference.source.can_change()),
            Self::Bucket { .. } => true,
        }
    }
}

/// One set, as the user data has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSet {
    /// Which.
    pub name: SetName,
    /// Where its contents come from.
    pub contents: Contents,
    /// Seconds between two fetches; `None` where it stays as it was at the boot.
    pub interval_seconds: Option<u32>,
    /// What the container is told of a change.
    pub on_change: OnChange,
    /// Seconds without a good fetch after which the machine is unhealthy.
    pub max_age_seconds: Option<u32>,
    /// Whether an encrypted copy is kept for a reboot without AWS.
    pub keep: bool,
}

impl FileSet {
    /// Those a config asks for.
    pub(super) fn all(config: &Config, container: &ContainerSpec) -> Vec<Self> {
        let refresh = config.refresh();
        let on_change = refresh
            .map(|refresh| refresh.on_change.clone())
            .unwrap_or_default();
        let max_age_seconds = refresh.and_then(|refresh| refresh.max_age_seconds);
        let set = |name, contents: Contents, interval: Option<u32>, keep| Self {
            name,
            interval_seconds: interval.filter(|_| contents.can_change()),
            contents,
            on_change: on_change.clone(),
            max_age_seconds,
            keep,
        };
        let secrets = (!container.secret_files.is_empty()).then(|| {
            let interval = refresh.map(|&Refresh { interval_seconds, .. }| interval_seconds);
            let contents = Contents::Stores(container.secret_files.clone());
            set(SetName::Secrets, contents, interval, config.keep_secrets())
        });
        let credentials = container.mint_bucket.as_ref().map(|bucket| {
            let contents = Contents::Bucket {
                bucket: bucket.clone(),
                application_id: config.application_id().to_owned(),
            };
            set(
                SetName::Credentials,
                contents,
                Some(MINT_INTERVAL),
                config.keep_credentials(),
            )
        });
        secrets.into_iter().chain(credentials).collect()
    }

    /// Time between two fetches.
    pub fn interval(&self) -> Option<Duration> {
        self.interval_seconds.map(seconds)
    }

    /// How old it may become while no fetch works.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age_seconds.map(seconds)
    }

    /// How it stays fresh, for people.
    pub(super) fn freshness_text(&self) -> String {
        use crate::text::duration;
        let kept = if self.keep {
            "; an encrypted copy is kept"
        } else {
            ""
        };
        let Some(interval) = self.interval() else {
            return format!("as they were at the boot{kept}");
        };
        let told = match &self.on_change {
            OnChange::None => "the container is not told of a change".to_owned(),
            OnChange::Signal(signal) => format!("the container gets {signal} when it has changed"),
            OnChange::Restart => "the container is restarted when it has changed".to_owned(),
        };
        let age = self.max_age().map_or_else(String::new, |age| {
            format!(", unhealthy when older than {}", duration(age))
        });
        format!(
            "fetched again every {}, up to a tenth more or less{age}; {told}{kept}",
            duration(interval)
        )
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// Of everything that has to be fetched what files are made of: a container that exists has its variables.
pub(super) fn for_files(uses: &[SecretUse]) -> Vec<SecretUse> {
    uses.iter()
        .filter_map(|one| {
            let of_files = |used_by: &str| used_by.starts_with("files.") || used_by.starts_with("secrets.");
            let uses: Vec<(String, SecretRef)> = one
                .uses
                .iter()
                .filter(|(used_by, _)| of_files(used_by))
                .cloned()
                .collect();
            (!uses.is_empty()).then(|| SecretUse {
                source: one.source.clone(),
                uses,
            })
        })
        .collect()
}

/// References as their canonical texts.
mod as_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::secret::SecretRef;

    pub(super) fn serialize<S: Serializer>(
        files: &[(String, SecretRef)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts: Vec<(&str, String)> = files
            .iter()
            .map(|(name, reference)| (name.as_str(), reference.canonical()))
            .collect();
        texts.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, SecretRef)>, D::Error> {
        Vec::<(String, String)>::deserialize(deserializer)?
            .into_iter()
            .map(|(name, text)| match SecretRef::parse(&text) {
                Some(Ok(reference)) => Ok((name, reference)),
                Some(Err(error)) => Err(D::Error::custom(error)),
                None => Err(D::Error::custom("no reference to a secret")),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::plan::Plan;

    fn plan(lines: &str) -> Plan {
        let text = format!(
            "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n{lines}\n"
        );
        let report = parse(text.as_bytes(), "user data");
        let config = report
            .planned()
            .unwrap_or_else(|| panic!("{:?}", report.problems()));
        Plan::new(config, Vec::new(), None)
    }

    #[test]
    fn what_can_t_change_is_not_asked_for_again() {
        let refresh = "refresh: {interval: 1m, on_change: SIGHUP, max_age: 5m}";
        let fixed = plan(&format!("secrets: {{a: 'aws:kms:aGk='}}\n{refresh}"));
        assert_eq!((fixed.sets.len(), fixed.sets[0].interval_seconds), (1, None));
        let mixed = plan(&format!(
            "secrets: {{a: 'aws:kms:aGk=', b: 'aws:ssm:/b'}}\n{refresh}"
        ));
        assert_eq!(mixed.sets[0].interval(), Some(Duration::from_secs(60)));
        assert_eq!(mixed.sets[0].max_age_seconds, Some(300));
        assert_eq!(plan("secrets: {b: 'aws:ssm:/b'}").sets[0].interval_seconds, None);
    }

    #[test]
    fn credentials_have_two_minutes_of_their_own_and_a_copy_unless_told() {
        let sets = plan("mint_bucket: bucket\nsecrets: {b: 'aws:ssm:/b'}\nrefresh: {interval: 1m}").sets;
        let names: Vec<SetName> = sets.iter().map(|set| set.name).collect();
        assert_eq!(names, SetName::ALL);
        assert_eq!((sets[0].keep, sets[1].keep), (false, true));
        assert_eq!(sets[1].interval_seconds, Some(120));
        assert!(!plan("mint_bucket: bucket\nkeep_secrets: false").sets[0].keep);
        assert!(plan("secrets: {b: 'aws:ssm:/b'}\nkeep_secrets: true").sets[0].keep);
    }

    #[test]
    fn a_set_survives_json_by_the_canonical_texts_of_its_references() {
        let sets =
            plan("secrets: {a: 'aws:kms:aGk=?context.b=c', b: 'aws:secretsmanager:b?key=/x/y&stage=NEXT'}")
                .sets;
        let json = serde_json::to_string(&sets).unwrap();
        assert!(json.contains("aws:kms:aGk=?context.b=c"), "{json}");
        assert_eq!(serde_json::from_str::<Vec<FileSet>>(&json).unwrap(), sets);
    }

    #[test]
    fn a_container_that_exists_needs_what_its_files_are_made_of() {
        let plan = plan(
            "environment: {A: 'aws:kms:aGk=', B: 'aws:ssm:/b'}\nsecrets: {b: 'aws:ssm:/b'}\nfiles: {/c: 'aws:ssm:/c'}",
        );
        let names: Vec<String> = for_files(&plan.secrets).iter().map(SecretUse::used_by).collect();
        assert_eq!(names, ["secrets.b", "files./c"]);
    }
}
