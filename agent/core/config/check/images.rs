//! The policy's list `images`: what images have to prove. Read here, and decided for the image that `source` names.

use super::super::KeyFile;
use super::super::image::ImageRef;
use super::super::policy::Images;
use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Entry, Kind, Node};
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::trust::day::Day;
use crate::trust::key::PublicKey;
use crate::trust::pattern::Pattern;
use crate::trust::{self, Requirement, Rule, RuleRef, Trust, TrustedKey};

/// Below it lie the keys: only the image build writes there.
const BELOW: &str = "/etc/monopod/";

/// The key files that a policy names, in the form a machine can read.
pub(in crate::config) fn key_files(root: &Node) -> Vec<String> {
    let child = |node: &'_ Node, name: &str| -> Option<Node> {
        let Kind::Map(entries) = &node.kind else {
            return None;
        };
        let entry: &Entry = entries.iter().find(|entry| entry.name == name)?;
        Some(entry.value.clone())
    };
    let items = |node: Option<Node>| match node.map(|node| node.kind) {
        Some(Kind::Seq(nodes)) => nodes,
        _ => Vec::new(),
    };
    let mut files: Vec<String> = items(child(root, "images"))
        .iter()
        .flat_map(|rule| items(child(rule, "keys")))
        .filter_map(|key| child(&key, "file").or(Some(key)))
        .filter_map(|file| match file.kind {
            Kind::Scalar(scalar) if is_key_file(&scalar.text) => Some(scalar.text),
            _ => None,
        })
        .collect();
    files.sort();
    files.dedup();
    files
}

/// Written in one way only, and not up and away again.
fn is_key_file(path: &str) -> bool {
    path.strip_prefix(BELOW).is_some_and(|rest| {
        !rest.chars().any(char::is_control) && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
    })
}

impl<'c> Checker<'c> {
    /// The rules, in their order.
    pub(super) fn images(&mut self, field: &Field<'c>, keys: &[KeyFile<'_>]) -> Images {
        let mut rules: Vec<(Place, Rule)> = Vec::new();
        let mut whole = matches!(field.node.kind, Kind::Seq(_));
        for mut item in self.list(field) {
            item.key_place = item.node.place;
            let Some((place, rule)) = self.image_rule(item, keys) else {
                whole = false;
                continue;
            };
            let wider = rules
                .iter()
                .find(|(_, earlier)| earlier.pattern.covers(&rule.pattern));
            if let Some((earlier, _)) = wider {
                let message = "the rule can never match: an earlier one is about all of its images";
                let problem = Problem::error(Code::RuleNeverMatches, message)
                    .at(place)
                    .key("images")
                    .because("the earlier rule", *earlier);
                self.report(problem.help("put the narrower rule first, or remove it"));
            }
            rules.push((place, rule));
        }
        let (places, rules) = rules.into_iter().unzip();
        Images {
            rules,
            places,
            place: field.key_place,
            whole,
        }
    }

    fn image_rule(&mut self, item: Field<'c>, keys: &[KeyFile<'_>]) -> Option<(Place, Rule)> {
        self.nothing_is_empty(&item);
        let section = self.section(item.clone())?;
        let pattern = section
            .get("match")
            .map(|field| (field.node.place, self.pattern(&field)));
        let required = section.get("require").and_then(|field| self.choice(&field));
        let key_files = section.get("keys");
        let requirement = match (required?, key_files) {
            ("signature", Some(field)) => Requirement::Signature(self.trusted_keys(&field, keys)?),
            ("signature", None) => {
                self.no_keys(item.node.place);
                return None;
            }
            (_, Some(field)) => {
                let message = "`images.keys` has no effect beside anything but `require: signature`";
                let problem = Problem::error(Code::NoEffectHere, message).at(field.key_place);
                self.report(
                    problem
                        .key(field.path)
                        .help("require a signature, or remove the keys"),
                );
                return None;
            }
            ("digest", None) => Requirement::Digest,
            ("header", None) => Requirement::Header,
            (_, None) => Requirement::Nothing,
        };
        let (place, pattern) = pattern?;
        let rule = Rule {
            pattern: pattern?,
            requirement,
            line: place.line,
        };
        Some((place, rule))
    }

    fn pattern(&mut self, field: &Field<'_>) -> Option<Pattern> {
        let text = self.text(field)?;
        let read = Pattern::parse(&text).map_err(|error| {
            let message = format!("the rule can never match: {error}");
            field
                .error(Code::RuleNeverMatches, message)
                .help("write `match: registry.example.org/team/*`; images of Docker Hub are `docker.io/library/nginx`")
        });
        self.take(read)
    }

    fn no_keys(&mut self, place: Place) {
        let problem = Problem::error(Code::Missing, "the rule requires a signature and names no keys");
        self.report(
            problem
                .at(place)
                .key("images.keys")
                .help("write `keys: [/etc/monopod/keys/team.pub]` below it"),
        );
    }

    /// `None` if there is none that could be read: a signature that nobody can verify would be a rule that refuses all.
    fn trusted_keys(&mut self, field: &Field<'c>, keys: &[KeyFile<'_>]) -> Option<Vec<TrustedKey>> {
        let items = self.list(field);
        if items.is_empty() {
            self.no_keys(field.key_place);
        }
        let read: Vec<TrustedKey> = items
            .iter()
            .filter_map(|item| self.trusted_key(item, keys))
            .collect();
        (!read.is_empty()).then_some(read)
    }

    fn trusted_key(&mut self, item: &Field<'c>, keys: &[KeyFile<'_>]) -> Option<TrustedKey> {
        let (file, not_after) = if matches!(item.node.kind, Kind::Map(_)) {
            self.nothing_is_empty(item);
            let section = self.section(item.clone())?;
            let not_after = match section.get("not_after") {
                // A day that cannot be read would let the key count for ever.
                Some(field) => Some(self.day(&field)?),
                None => None,
            };
            (self.key_file(&section)?, not_after)
        } else {
            (item.clone(), None)
        };
        let path = self.text(&file)?;
        if !is_key_file(&path) {
            let problem = file.error(Code::BadValue, "a key's file has to lie below /etc/monopod");
            self.report(
                problem.help("write `/etc/monopod/keys/team.pub`, without `.`, `..` and double slashes"),
            );
            return None;
        }
        let content = keys
            .iter()
            .find(|key| key.path == path)
            .map_or(Err("the machine's image has no such file".to_owned()), |key| {
                key.content.map_err(str::to_owned)
            });
        let key = content.and_then(|pem| PublicKey::parse(pem).map_err(|error| error.to_string()));
        let key = self.take(key.map_err(|why| {
            file.error(Code::TrustKey, format!("the key cannot be used: {why}"))
                .help("put a P-256 public key there, as PEM: `cosign generate-key-pair` writes one, and `openssl ec -pubout`")
        }))?;
        Some(TrustedKey {
            file: path,
            key,
            not_after,
        })
    }

    fn key_file(&mut self, section: &Section<'c>) -> Option<Field<'c>> {
        section.get("file")
    }

    /// A day is a date to YAML, and a string to whoever puts it in quotes.
    fn day(&mut self, field: &Field<'_>) -> Option<Day> {
        let day = field.scalar().and_then(|scalar| Day::parse(&scalar.text));
        self.take(day.ok_or_else(|| {
            field
                .error(Code::BadValue, format!("`{}` has to be a day", field.path))
                .help("write `not_after: 2027-06-30`, the last day on which the key counts")
        }))
    }

    /// What the image that `source` names has to prove; `None` where it may not run at all.
    pub(super) fn trust(&mut self, source: &ImageRef) -> Option<Trust> {
        let Some(images) = self.policy.images.clone() else {
            return Some(Trust::NOTHING);
        };
        let Some(rule) = trust::decide(&images.rules, source) else {
            // One of those that could not be read may be its rule.
            if images.whole {
                let message = "no rule of the image's policy is about the image that `source` names";
                let problem = Problem::error(Code::NoRule, message).help(
                    "use an image that a rule is about, or a machine image whose policy has a rule for it",
                );
                self.refuse("source", problem, "images", images.place);
            }
            return None;
        };
        if rule.requirement == Requirement::Digest && source.digest().is_none() {
            let message = "`source` names its image by a tag alone, and the image's policy wants a digest";
            let problem = Problem::error(Code::DigestNeeded, message)
                .help("add the digest: `registry/repository:tag@sha256:...`");
            let at = images.rules.iter().position(|one| std::ptr::eq(one, rule));
            let place = at.and_then(|at| images.places.get(at));
            self.refuse("source", problem, "images", *place.unwrap_or(&images.place));
            return None;
        }
        Some(Trust {
            requirement: rule.requirement.clone(),
            rule: Some(RuleRef {
                file: self.policy.file.clone(),
                line: rule.line,
                pattern: rule.pattern.to_string(),
            }),
        })
    }
}
