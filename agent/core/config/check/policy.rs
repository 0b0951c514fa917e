//! The image's policy: read, and held against what the user data asks for.

use super::super::contract::{POLICY, Shape};
use super::super::image::ImageRef;
use super::super::model::{Networking, Seccomp};
use super::super::policy::{Allow, Policy, Rule};
use super::super::problem::{Code, Place, Problem};
use super::super::yaml::Node;
use super::Checker;
use super::field::Field;
use super::read::Section;

const SHAPE: Shape = Shape::Object(POLICY);
/// Where the image's files lie, for the helps.
const FILE: &str = "/etc/monopod/policy.yaml";

/// Reads a policy file's tree.
pub(in crate::config) fn read(root: &Node, problems: &mut Vec<Problem>) -> Policy {
    let mut checker = Checker::new(&[], Policy::default(), problems);
    // Whoever writes a rule wants it enforced.
    checker.deny_unknown = Some(None);
    checker.policy_file(Field::root(root, &SHAPE)).unwrap_or_default()
}

impl<'c> Checker<'c> {
    fn policy_file(&mut self, root: Field<'c>) -> Option<Policy> {
        let section = self.section(root)?;
        let mut policy = Policy::default();
        if let Some(field) = section.get("locked") {
            for item in self.list(&field) {
                if let Some(value) = self.word(&item) {
                    policy.locked.push(Rule {
                        value,
                        place: item.node.place,
                    });
                }
            }
        }
        if let Some(field) = section.get("unknown_keys")
            && self.choice(&field) == Some("deny")
        {
            policy.deny_unknown = Some(field.key_place);
        }
        if let Some(section) = section.get("allow").and_then(|field| self.section(field)) {
            policy.allow = Allow {
                root: self.rule(&section, "root"),
                privileged: self.rule(&section, "privileged"),
                docker_daemon_access: self.rule(&section, "docker_daemon_access"),
                host_networking: self.rule(&section, "host_networking"),
                seccomp_unconfined: self.rule(&section, "seccomp_unconfined"),
                undigested_tags: self.rule(&section, "undigested_tags"),
                capabilities: self.capability_names(&section),
                registries: self.names(&section, "registries"),
            };
        }
        Some(policy)
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
                asked.seccomp == Some(&Seccomp::Unconfined),
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
        self.enforce_socket(asked.docker_daemon_access, allow.docker_daemon_access.as_ref());
        if let Some(image) = asked.source {
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
            let mut parts = rule.value.split('.');
            let Some(entry) = parts
                .next()
                .and_then(|name| self.entries.iter().find(|entry| entry.name == name))
            else {
                continue;
            };
            let mut field = Field::top(entry);
            let mut place = entry.place;
            let mut found = true;
            for part in parts {
                let below = field
                    .entries()
                    .unwrap_or_default()
                    .iter()
                    .find(|entry| entry.name == part);
                match below {
                    Some(entry) => {
                        place = entry.place;
                        field = field.child(entry);
                    }
                    None => found = false,
                }
            }
            // A merged map stands in the user data and may hold only the image's keys below.
            let from_user = place.source == 0
                || (field
                    .entries()
                    .is_ok_and(|all| all.iter().any(|one| one.place.source == 0)));
            if found && from_user {
                let problem = Problem::error(
                    Code::Locked,
                    format!(
                        "`{}` is set by the machine's image, and user data may not change it",
                        rule.value
                    ),
                )
                .at(place)
                .key(rule.value.clone())
                .because("locked here", rule.place);
                self.report(problem.help("remove it, or use an image that leaves the key to you"));
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
        if let Some(rule) = &allow.registries
            && !rule
                .value
                .iter()
                .any(|pattern| registry_matches(pattern, image.registry()))
        {
            let message = "`source` names a registry that the image's policy does not allow";
            let problem = Problem::error(Code::Forbidden, message)
                .help(format!("the policy allows {}", listed(&rule.value)));
            self.refuse("source", problem, "allow.registries", rule.place);
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

    fn forbid(&mut self, key: &str, rule: &str, place: Place) {
        let message = format!("the policy of the machine's image does not allow what `{key}` asks for");
        self.refuse(
            key,
            Problem::error(Code::Forbidden, message),
            &format!("allow.{rule}"),
            place,
        );
    }

    fn refuse(&mut self, key: &str, problem: Problem, rule: &str, place: Place) {
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

/// `registry.example.org`, or `*.example.org` for what lies below a domain.
fn registry_matches(pattern: &str, registry: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => registry
            .strip_suffix(domain)
            .is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        None => pattern == registry,
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
        ] {
            assert_eq!(
                registry_matches(pattern, registry),
                wanted,
                "{pattern} {registry}"
            );
        }
    }
}
