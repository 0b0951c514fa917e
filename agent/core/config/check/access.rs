//! What the image's policy says about logins for a time.

use super::super::problem::{Code, Problem};
use super::Checker;
use super::audit::is_this_machine;
use super::field::Field;
use crate::access::AccessRules;

impl<'c> Checker<'c> {
    /// The map `access`. Whether anybody may be root stands below `allow`.
    pub(super) fn access_rules(&mut self, field: Field<'c>) -> AccessRules {
        let mut rules = AccessRules::default();
        self.nothing_is_empty(&field);
        let place = field.key_place;
        let Some(section) = self.section(field) else {
            return rules;
        };
        rules.key_service = section
            .get("key_service")
            .and_then(|field| self.key_service(&field));
        let mut time = |name: &str| {
            let field = section.get(name)?;
            self.take(field.time()).map(u64::from)
        };
        let (default, most) = (time("default_duration"), time("max_duration"));
        rules.max_seconds = most.unwrap_or(rules.max_seconds);
        match default {
            Some(default) if default > rules.max_seconds => {
                let message = "`access.default_duration` is longer than `access.max_duration`";
                let problem = Problem::error(Code::BadValue, message)
                    .at(place)
                    .key("access.default_duration");
                self.report(problem.help("make the one shorter, or the other longer"));
            }
            Some(default) => rules.default_seconds = default,
            // Who says only how long at most has said enough.
            None => rules.default_seconds = rules.default_seconds.min(rules.max_seconds),
        }
        rules
    }

    /// Whoever is on the way could put a key of their own in the place of somebody's.
    fn key_service(&mut self, field: &Field<'_>) -> Option<String> {
        let url = self.read_url(field)?;
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next().unwrap_or_default();
        if url.contains(['?', '#', '@', '\\']) || url.chars().any(char::is_control) {
            let message = format!(
                "`{}` is an address that names go behind: without login, `?` and `#`",
                field.path
            );
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help(format!("write `{}: https://HOST/PATH`", field.path)));
            return None;
        }
        if scheme != "https" && !is_this_machine(authority) {
            let message = format!(
                "`{}` is plain http: whoever is on the way could let themselves in",
                field.path
            );
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help(format!("write `{}: https://...`", field.path)));
            return None;
        }
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{ImageLayer, Text, access_rules};
    use super::*;

    fn rules(policy: &str) -> Result<AccessRules, String> {
        access_rules(&ImageLayer {
            policy: Some(Text {
                name: "policy.yaml",
                bytes: policy.as_bytes(),
            }),
            ..ImageLayer::default()
        })
    }

    #[test]
    fn what_a_policy_says_and_what_it_leaves_out() {
        assert_eq!(access_rules(&ImageLayer::default()), Ok(AccessRules::default()));
        assert_eq!(rules("locked: [source]\n"), Ok(AccessRules::default()));
        let all = "allow: {admin_access: true}\naccess: {key_service: 'https://even.example.org/', default_duration: 30m, max_duration: 8h}\n";
        assert_eq!(
            rules(all),
            Ok(AccessRules {
                key_service: Some("https://even.example.org/".into()),
                default_seconds: 1800,
                max_seconds: 28_800,
                admin: true,
            })
        );
        let short = rules("access: {max_duration: 10m}\n").unwrap();
        assert_eq!((short.default_seconds, short.max_seconds), (600, 600));
        assert!(rules("access: {key_service: 'http://127.0.0.1:9000'}\n").is_ok());
    }

    #[test]
    fn a_mistake_lets_nobody_in() {
        for (policy, words) in [
            ("access: {key_service: 'http://even.example.org'}\n", "plain http"),
            (
                "access: {key_service: 'http://127.0.0.1.example.org'}\n",
                "plain http",
            ),
            ("access: {key_service: 'https://a@b'}\n", "without login"),
            ("access: {key_service: 'https://b/?x='}\n", "without login"),
            ("access: {key_service: even.example.org}\n", "URL"),
            (
                "access: {default_duration: 2h, max_duration: 1h}\n",
                "longer than",
            ),
            ("access: {max_duration: forever}\n", "a time from"),
            ("access: {max_duration:}\n", "empty"),
            ("access: {max_durations: 1h}\n", "nobody knows"),
            ("allow: {admin_access: 'true'}\n", "true or false"),
            ("images: [{match: 'x'}]\n", "require"),
            ("access: [\n", ""),
            ("", "no rule"),
        ] {
            let error = rules(policy).unwrap_err();
            assert!(error.contains(words), "{policy:?}: {error}");
        }
    }
}
