//! The policy's rules about where what runs comes from: read here, and decided where the user data alone is enough.

use std::collections::BTreeMap;

use super::super::image::ImageRef;
use super::super::policy::{Rule, Verdicts};
use super::super::problem::{Code, Place, Problem};
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::trace::repository::RepositoryPattern;
use crate::trace::verdict::{Said, is_snapshot};
use crate::trace::{Level, VerdictName, VerdictPolicy};

impl<'c> Checker<'c> {
    /// `verdicts`, `max_image_age` and `scm_repositories`.
    pub(super) fn verdict_rules(&mut self, section: &Section<'c>) -> Verdicts {
        Verdicts {
            levels: self.levels(section),
            max_image_age: section.get("max_image_age").and_then(|field| {
                let value = self.take(field.time())?;
                let place = field.key_place;
                Some(Rule { value, place })
            }),
            scm_repositories: section.get("scm_repositories").map(|field| Rule {
                value: self.repositories(&field),
                place: field.key_place,
            }),
        }
    }

    fn levels(&mut self, section: &Section<'c>) -> BTreeMap<VerdictName, Rule<Level>> {
        let mut levels = BTreeMap::new();
        let Some(field) = section.get("verdicts") else {
            return levels;
        };
        self.nothing_is_empty(&field);
        let Some(inside) = self.section(field) else {
            return levels;
        };
        for name in VerdictName::ALL {
            if let Some(field) = inside.get(name.word())
                && let Some(value) = self.choice(&field).and_then(Level::of)
            {
                let place = field.key_place;
                levels.insert(name, Rule { value, place });
            }
        }
        levels
    }

    /// An empty list allows none, as elsewhere in the policy.
    fn repositories(&mut self, field: &Field<'c>) -> Vec<RepositoryPattern> {
        let items = self.list(field);
        items.iter().filter_map(|item| self.repository(item)).collect()
    }

    fn repository(&mut self, item: &Field<'_>) -> Option<RepositoryPattern> {
        let text = self.text(item)?;
        let read = RepositoryPattern::parse(&text).map_err(|error| {
            let message = format!("the rule can never match: {error}");
            item.error(Code::RuleNeverMatches, message)
                .help("write `github.com/my-org/*`: host and path, without `https://` and `git@`")
        });
        self.take(read)
    }

    /// As the machine needs them.
    pub(super) fn verdict_policy(&self) -> VerdictPolicy {
        let rules = &self.policy.verdicts;
        let said = |place: &Place| place.line;
        VerdictPolicy {
            file: self.policy.file.clone(),
            levels: rules
                .levels
                .iter()
                .map(|(name, rule)| {
                    let line = said(&rule.place);
                    (
                        *name,
                        Said {
                            value: rule.value,
                            line,
                        },
                    )
                })
                .collect(),
            max_image_age: rules.max_image_age.as_ref().map(|rule| Said {
                value: u64::from(rule.value),
                line: said(&rule.place),
            }),
            scm_repositories: rules.scm_repositories.as_ref().map(|rule| Said {
                value: rule.value.clone(),
                line: said(&rule.place),
            }),
        }
    }

    /// What the tag alone says. A snapshot without a digest is refused whatever the policy says.
    pub(super) fn snapshot(&mut self, image: &ImageRef) {
        if !image.tag().is_some_and(is_snapshot) {
            return;
        }
        let name = VerdictName::Ec2WithASnapshotImage;
        let rule = self.policy.verdicts.levels.get(&name).cloned();
        let message = format!("{name}: `source` has the tag of a snapshot, which is no release");
        let problem = match rule.as_ref().map_or(name.default_level(), |rule| rule.value) {
            Level::Ignore => return,
            Level::Warn => Problem::warning(Code::Snapshot, message),
            Level::Deny => Problem::error(Code::Snapshot, message),
        };
        let problem = problem.help("release the image under a tag that is no snapshot");
        match rule {
            Some(rule) => self.refuse("source", problem, &format!("verdicts.{name}"), rule.place),
            None => {
                let at = self.field("source").map(|field| field.node.place);
                self.report(Problem { place: at, ..problem }.key("source"));
            }
        }
    }
}
