//! The image's policy: read, and held against what the user data asks for.

use super::super::KeyFile;
use super::super::contract::{self, POLICY, Shape};
use super::super::image::ImageRef;
use super::super::keys;
use super::super::mirror::Mirror;
use super::super::model::{Networking, Seccomp};
use super::super::policy::{Allow, Locked, Policy, Rule};
use super::super::problem::{Code, Place, Problem};
use super::super::registry::RegistryHost;
use super::super::yaml::{Entry, Kind, Node};
use super::Checker;
use super::field::Field;
use super::read::Section;
use super::registries::registry_host;
use crate::secret::SecretRef;

const SHAPE: Shape = Shape::Object(POLICY);
/// Where the image's files lie, for the helps.
const FILE: &str = "/etc/monopod/policy.yaml";
/// Profiles that whoever wrote the policy put there.
const PROFILES: &str = "/etc/monopod/seccomp/";

/// Whether a policy file holds nothing but a null, written out or not.
pub(in crate::config) fn is_null(root: &Node) -> bool {
    Field::root(root, &SHAPE).is_null()
}

/// Reads a policy file's tree.
pub(in crate::config) fn read(
    root: &Node,
    name: &str,
    keys: &[KeyFile<'_>],
    problems: &mut Vec<Problem>,
) -> Policy {
    let mut checker = Checker::new(&[], Policy::default(), problems);
    // Whoever writes a rule wants it enforced.
    checker.deny_unknown = Some(None);
    let policy = checker.policy_file(Field::root(root, &SHAPE), keys);
    Policy {
        file: name.to_owned(),
        ..policy.unwrap_or_default()
    }
}

impl<'c> Checker<'c> {
    fn policy_file(&mut self, root: Field<'c>, keys: &[KeyFile<'_>]) -> Option<Policy> {
        self.nothing_is_empty(&root);
        let section = self.section(root)?;
        let mut policy = Policy::default();
        if let Some(field) = section.get("locked") {
            for item in self.list(&field) {
                if let Some(value) = self.word(&item)
                    && self.is_key(&value, &item)
                {
                    policy.locked.push(Locked {
                        value,
                        place: item.node.place,
                        in_image: false,
                    });
                }
            }
        }
        if let Some(field) = section.get("unknown_keys")
            && self.choice(&field) == Some("deny")
        {
            policy.deny_unknown = Some(field.key_place);
        }
        if let Some(field) = section.get("allow") {
            self.nothing_is_empty(&field);
        }
        let verdicts = self.verdict_rules(&section);
        let root_images = section.get("images");
        if let Some(section) = section.get("allow").and_then(|field| self.section(field)) {
            policy.allow = Allow {
                root: self.rule(&section, "root"),
                privileged: self.rule(&section, "privileged"),
                docker_daemon_access: self.rule(&section, "docker_daemon_access"),
                host_networking: self.rule(&section, "host_networking"),
                seccomp_unconfined: self.rule(&section, "seccomp_unconfined"),
                undigested_tags: self.rule(&section, "undigested_tags"),
                secrets_in_environment: self.rule(&section, "secrets_in_environment"),
                capabilities: self.capability_names(&section),
                registries: self.names(&section, "registries"),
            };
        }
        policy.verdicts = verdicts;
        policy.images = root_images.map(|field| self.images(&field, keys));
        Some(policy)
    }

    /// A lock on a key that nobody knows keeps nothing.
    fn is_key(&mut self, path: &str, item: &Field<'_>) -> bool {
        let (top, inner) = split(path);
        let wrong = |message: &str, near: Option<&str>| {
            let problem = item.error(Code::BadValue, message);
            match near {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("write the name of a key, as `monopod explain` lists them"),
            }
        };
        let Some(key) = contract::top(top) else {
            self.report(wrong(
                "`locked` names a key that nobody knows",
                keys::nearest(top),
            ));
            return false;
        };
        let known = key.shape.known();
        let unknown = inner
            .map(|inner| split(inner).0)
            .filter(|inner| !known.iter().any(|key| key.matches(inner)));
        match (unknown, known.is_empty(), key.shape.is_map()) {
            (None, ..) | (Some(_), true, true) => true,
            (Some(inner), ..) => {
                let names = known
                    .iter()
                    .map(|key| key.name)
                    .filter(|name| !name.ends_with('*'));
                self.report(wrong(
                    "`locked` names an inner key that nobody knows",
                    keys::nearest_of(inner, names),
                ));
                false
            }
        }
    }

    /// A rule that says nothing would allow what its writer meant to forbid.
    pub(super) fn nothing_is_empty(&mut self, field: &Field<'c>) {
        for entry in field.entries().unwrap_or_default() {
            let child = field.child(entry);
            if child.is_null() {
                let problem = child.error(Code::Missing, format!("`{}` is empty", child.path));
                self.report(
                    problem
                        .at(child.key_place)
                        .help("write a value, or leave the rule out; `[]` allows none"),
                );
            }
        }
    }

    /// A string is as dangerous here as in the user data.
    fn rule(&mut self, section: &Section<'c>, name: &str) -> Option<Rule<bool>> {
        let field = section.get(name)?;
        let value = self.take(field.strict_flag())?;
        Some(Rule {
            value,
            place: field.key_place,
        })
    }

    /// A name that no kernel has would allow nothing in silence.
    fn capability_names(&mut self, section: &Section<'c>) -> Option<Rule<Vec<String>>> {
        let field = section.get("capabilities")?;
        let items = self.list(&field);
        let value = items.iter().filter_map(|item| self.capability(item)).collect();
        Some(Rule {
            value,
            place: field.key_place,
        })
    }

    fn names(&mut self, section: &Section<'c>, name: &str) -> Option<Rule<Vec<String>>> {
        let field = section.get(name)?;
        let items = self.list(&field);
        let value = items.iter().filter_map(|item| self.word(item)).collect();
        Some(Rule {
            value,
            place: field.key_place,
        })
    }

    /// Everything the policy has to say about these keys.
    pub(super) fn enforce(&mut self, asked: &Asked<'_>) {
        self.enforce_locks();
        let allow = self.policy.allow.clone();
        let uid_zero = self.field("user").is_some_and(|field| {
            field.scalar().is_some_and(|scalar| {
                scalar
                    .text
                    .split(':')
                    .next()
                    .is_some_and(|uid| uid.trim_start_matches('0').is_empty())
            })
        });
        for (asks, key, rule, name) in [
            (asked.root || uid_zero, "root", &allow.root, "root"),
            (asked.privileged, "privileged", &allow.privileged, "privileged"),
            (
                asked.networking == Some(Networking::Host),
                "networking",
                &allow.host_networking,
                "host_networking",
            ),
            (
                match asked.seccomp {
                    Some(Seccomp::Unconfined) => true,
                    // Whoever writes user data could have written any other file, one that allows everything among them.
                    Some(Seccomp::Profile(path)) => !path.starts_with(PROFILES),
                    Some(Seccomp::Default) | None => false,
                },
                "seccomp",
                &allow.seccomp_unconfined,
                "seccomp_unconfined",
            ),
        ] {
            if let Some(Rule { value: false, place }) = rule
                && asks
            {
                self.forbid(key, name, *place);
            }
        }
        self.enforce_environment(allow.secrets_in_environment.as_ref());
        self.enforce_socket(asked.docker_daemon_access, allow.docker_daemon_access.as_ref());
        if let Some(image) = asked.source {
            self.snapshot(image);
            self.enforce_image(image, &allow);
        }
        if let Some(rule) = &allow.capabilities
            && asked
                .capabilities_add
                .iter()
                .any(|name| !rule.value.contains(name))
        {
            let message = "`capabilities_add` holds one that the image's policy does not allow";
            let problem = Problem::error(Code::Forbidden, message)
                .help(format!("the policy allows {}", listed(&rule.value)));
            self.refuse("capabilities_add", problem, "allow.capabilities", rule.place);
        }
    }

    fn enforce_locks(&mut self) {
        for rule in self.policy.locked.clone() {
            for path in spellings(&rule.value) {
                let (top, inner) = split(&path);
                let Some(entry) = self.entries.iter().find(|entry| entry.name == top) else {
                    continue;
                };
                let touched = entry.place.source == 0;
                let place = match inner {
                    None if touched => Some(entry.place),
                    None => None,
                    Some(inner) => match find(&entry.value, inner) {
                        Some(found) if found.place.source == 0 => Some(found.place),
                        Some(_) => None,
                        // Taken away by a null, or by a map in the place of the image's.
                        None if touched && rule.in_image => Some(entry.place),
                        None => None,
                    },
                };
                if let Some(place) = place {
                    let problem = Problem::error(
                        Code::Locked,
                        format!(
                            "`{}` is set by the machine's image, and user data may not change it",
                            rule.value
                        ),
                    )
                    .at(place)
                    .key(path.clone())
                    .because("locked here", rule.place);
                    self.report(problem.help("remove it, or use an image that leaves the key to you"));
                }
            }
        }
    }

    /// Each variable at its own place: all of them have to move.
    fn enforce_environment(&mut self, rule: Option<&Rule<bool>>) {
        let Some(Rule { value: false, place }) = rule else {
            return;
        };
        let Some(field) = self.field("environment") else {
            return;
        };
        for entry in field.entries().unwrap_or_default() {
            let child = field.child(entry);
            if child
                .scalar()
                .is_some_and(|scalar| SecretRef::parse(&scalar.text).is_some())
            {
                let message = format!(
                    "`{}` is a secret, and the policy of the machine's image allows none in the environment",
                    child.path
                );
                let problem = child.error(Code::Forbidden, message);
                self.report(
                    problem
                        .because("the rule `allow.secrets_in_environment`", *place)
                        .help("move it to `secrets`, and let the application read /run/secrets"),
                );
            }
        }
    }

    fn enforce_socket(&mut self, asks: bool, rule: Option<&Rule<bool>>) {
        match rule {
            _ if !asks => {}
            Some(Rule { value: true, .. }) => {}
            Some(Rule { value: false, place }) => {
                self.forbid("docker_daemon_access", "docker_daemon_access", *place)
            }
            None => {
                let Some(field) = self.field("docker_daemon_access") else {
                    return;
                };
                let message =
                    "`docker_daemon_access` is given only where the policy of the machine's image allows it";
                self.report(field.error(Code::NotAllowed, message).help(format!(
                    "build an image whose {FILE} says `allow: {{docker_daemon_access: true}}`, or do without: it is root on the machine"
                )));
            }
        }
    }

    fn enforce_image(&mut self, image: &ImageRef, allow: &Allow) {
        if let Some(rule) = &allow.registries {
            if !allows_registry(rule, image.registry()) {
                let message = "`source` names a registry that the image's policy does not allow";
                let problem = Problem::error(Code::Forbidden, message)
                    .help(format!("the policy allows {}", listed(&rule.value)));
                self.refuse("source", problem, "allow.registries", rule.place);
            }
            self.enforce_mirrors(image, rule);
        }
        if let Some(Rule { value: false, place }) = allow.undigested_tags
            && image.digest().is_none()
        {
            let problem = Problem::error(
                Code::Forbidden,
                "`source` names its image by a tag alone, which the image's policy does not allow",
            )
            .help("add the digest: `registry/repository:tag@sha256:...`");
            self.refuse("source", problem, "allow.undigested_tags", place);
        }
    }

    /// A mirror gives the image and may say what its tag means: the rule would keep nothing out without it.
    fn enforce_mirrors(&mut self, image: &ImageRef, rule: &Rule<Vec<String>>) {
        let registry = RegistryHost::new(image.registry()).to_string();
        let Some(field) = self.field("registry_mirrors") else {
            return;
        };
        // What cannot be read was told when it was read.
        for entry in field.entries().unwrap_or_default() {
            if registry_host(&entry.name).as_ref() != Some(&registry) {
                continue;
            }
            for item in field.child(entry).items().unwrap_or_default() {
                let mirror = item.scalar().and_then(|scalar| Mirror::parse(&scalar.text).ok());
                if mirror.is_some_and(|mirror| !allows_registry(rule, mirror.registry())) {
                    let message =
                        "`registry_mirrors` names a mirror whose host the image's policy does not allow";
                    let problem = item
                        .error(Code::Forbidden, message)
                        .because("the rule `allow.registries`", rule.place);
                    self.report(problem.help(format!("the policy allows {}", listed(&rule.value))));
                }
            }
        }
    }

    fn forbid(&mut self, key: &str, rule: &str, place: Place) {
        let message = format!("the policy of the machine's image does not allow what `{key}` asks for");
        self.refuse(
            key,
            Problem::error(Code::Forbidden, message),
            &format!("allow.{rule}"),
            place,
        );
    }

    pub(super) fn refuse(&mut self, key: &str, problem: Problem, rule: &str, place: Place) {
        let at = self.field(key).map(|field| field.node.place);
        let problem = Problem { place: at, ..problem }
            .key(key)
            .because(format!("the rule `{rule}`"), place);
        self.report(match problem.help {
            Some(_) => problem,
            None => problem.help("change the user data, or use an image whose policy allows it"),
        });
    }
}

/// Two names for one thing are locked together.
fn spellings(path: &str) -> Vec<String> {
    match path {
        "command" | "args" => vec!["command".to_owned(), "args".to_owned()],
        path => vec![path.to_owned()],
    }
}

/// The key of the top level, and what is behind the first dot: names that users choose have dots of their own.
fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.')
        .map_or((path, None), |(top, inner)| (top, Some(inner)))
}

fn find<'n>(node: &'n Node, path: &str) -> Option<&'n Entry> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    if let Some(entry) = entries.iter().find(|entry| entry.name == path) {
        return Some(entry);
    }
    entries.iter().find_map(|entry| {
        let rest = path.strip_prefix(entry.name.as_str())?.strip_prefix('.')?;
        find(&entry.value, rest)
    })
}

/// Which of the locked keys the image has a value for.
pub(in crate::config) fn note_image(policy: &mut Policy, layers: &[Vec<Entry>]) {
    for rule in &mut policy.locked {
        let (top, inner) = split(&rule.value);
        let has = |entries: &Vec<Entry>| {
            entries
                .iter()
                .find(|entry| entry.name == top)
                .is_some_and(|entry| inner.is_none_or(|inner| find(&entry.value, inner).is_some()))
        };
        rule.in_image = layers.iter().any(has);
    }
}

/// What a rule allows, for people.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// What the policy has rules for, as far as it could be read.
pub(super) struct Asked<'a> {
    pub(super) source: Option<&'a ImageRef>,
    pub(super) root: bool,
    pub(super) privileged: bool,
    pub(super) docker_daemon_access: bool,
    pub(super) networking: Option<Networking>,
    pub(super) seccomp: Option<&'a Seccomp>,
    pub(super) capabilities_add: &'a [String],
}

fn allows_registry(rule: &Rule<Vec<String>>, registry: &str) -> bool {
    rule.value
        .iter()
        .any(|pattern| registry_matches(pattern, registry))
}

/// `registry.example.org`, or `*.example.org` for what lies below a domain.
fn registry_matches(pattern: &str, registry: &str) -> bool {
    let registry = RegistryHost::new(registry);
    match pattern.strip_prefix("*.") {
        Some(domain) => registry.is_below(&RegistryHost::new(domain)),
        None => RegistryHost::new(pattern) == registry,
    }
}

#[cfg(test)]
mod tests {
    use super::registry_matches;

    #[test]
    fn a_pattern_means_a_domain_and_nothing_that_looks_like_it() {
        for (pattern, registry, wanted) in [
            ("registry.example.org", "registry.example.org", true),
            ("registry.example.org", "registry.example.org.evil.net", false),
            ("*.example.org", "registry.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "evilexample.org", false),
            ("*.example.org", ".example.org", false),
            ("example.org:5000", "example.org", false),
            ("Example.org:443", "example.org", true),
            ("*.Example.org", "registry.example.org:443", true),
            ("*.example.org", "registry.example.org:5000", false),
            ("docker.io", "registry-1.docker.io", true),
        ] {
            assert_eq!(
                registry_matches(pattern, registry),
                wanted,
                "{pattern} {registry}"
            );
        }
    }
}
