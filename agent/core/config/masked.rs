//! The merged configuration as it may leave the machine: every key, and of the values those that are no secret.
//!
//! Taupage masked by the key's name (pass, private, secret), which shows a secret that is called anything else. Here a
//! value is shown only where the contract says that nobody writes a secret there; a value of `environment` or of a key
//! that nobody knows is masked, whatever it is. What the names of the original hide stays hidden. A reference is no
//! secret and is shown as it is written, so that a reader sees where each value comes from.

use std::collections::BTreeSet;

use serde_json::{Map, Number, Value};

use super::contract::{self, Shape};
use super::problem::Place;
use super::report::spans::is_harmless;
use super::yaml::{Entry, Kind, Node, Resolved, Scalar};
use crate::secret::SecretRef;

/// What stands for a value, as the original wrote it.
pub(super) const MASKED: &str = "MASKED";

/// Null where there is no configuration.
pub(super) fn of(entries: &[Entry]) -> Value {
    if entries.is_empty() {
        return Value::Null;
    }
    let top = |entry: &Entry| contract::top(&entry.name).map_or(&Shape::Anything, |key| &key.shape);
    let mut walk = Walk::default();
    // An alias stands for what may be a secret where it was written, which may be further down: hidden in one place is
    // hidden in all.
    walk.map(entries, &top);
    walk.map(entries, &top)
}

#[derive(Default)]
struct Walk {
    hidden: BTreeSet<Place>,
}

impl Walk {
    fn map(&mut self, entries: &[Entry], shape: &dyn Fn(&Entry) -> &'static Shape) -> Value {
        let mut all = Map::new();
        for entry in entries {
            let value = self.value(&entry.value, shape(entry), is_sensitive(&entry.name));
            // `PASSWORD=value` where a name belongs.
            let is_name = !entry.name.contains('=') && is_harmless(&entry.name);
            let mut name = if is_name && !self.hidden.contains(&entry.place) {
                entry.name.clone()
            } else {
                MASKED.to_owned()
            };
            while all.contains_key(&name) {
                name.push('+');
            }
            all.insert(name, value);
        }
        Value::Object(all)
    }

    fn value(&mut self, node: &Node, shape: &'static Shape, sensitive: bool) -> Value {
        match &node.kind {
            Kind::Map(entries) => self.map(entries, &|entry| shape.inside(&entry.name)),
            Kind::Seq(nodes) => nodes
                .iter()
                .map(|node| self.value(node, shape.item(), sensitive))
                .collect(),
            Kind::Scalar(scalar) => {
                let is_empty = scalar.value == Resolved::Null || scalar.text.is_empty();
                let is_reference = matches!(SecretRef::parse(&scalar.text), Some(Ok(_)));
                // The query of an address may be a token.
                let has_query = scalar.text.contains("://") && scalar.text.contains('?');
                let may_be_shown =
                    is_reference || (shape.may_be_shown() && is_harmless(&scalar.text) && !has_query);
                if !is_empty && (!may_be_shown || sensitive) {
                    self.hidden.insert(node.place);
                }
                if self.hidden.contains(&node.place) {
                    MASKED.into()
                } else {
                    shown(scalar)
                }
            }
            Kind::Broken | Kind::Hole => Value::Null,
        }
    }
}

fn shown(scalar: &Scalar) -> Value {
    match &scalar.value {
        Resolved::Null => Value::Null,
        Resolved::Bool(value) => Value::Bool(*value),
        Resolved::Int(digits) => digits
            .parse::<i64>()
            .map_or_else(|_| digits.as_str().into(), |number| Value::Number(number.into())),
        Resolved::Float(value) => {
            Number::from_f64(*value).map_or_else(|| scalar.python_str().into(), Value::Number)
        }
        Resolved::Stamp(_) | Resolved::Str => scalar.text.as_str().into(),
    }
}

/// The original's rule.
fn is_sensitive(name: &str) -> bool {
    let name = name.to_lowercase();
    ["pass", "private", "secret"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ImageLayer, Text, read};

    #[test]
    fn what_may_be_a_secret_is_masked_wherever_it_stands() {
        let text = r#"#taupage-ami-config
application_id: app
application_version: "1.0"
runtime: Docker
source: registry.example.org/team/app:1
memory: 512m
ports: {8080: 8080}
environment:
  PLAIN: canary-1-in-clear
  NUMBER: 815
  EMPTY: ""
  DB_PASSWORD: aws:kms:Y2FuYXJ5
  TOKEN: aws:ssm:/app/token
secrets: {db: "aws:ssm:/app/db", private_key: "aws:ssm:/app/key"}
dockercfg: {"https://user:canary-2@registry.example.org": {auth: Y2FuYXJ5LTM6Y2FuYXJ5LTQ=, email: canary-5}}
files: {/etc/x: canary-6-in-clear}
command: [run, canary-7-in-clear]
instance_logs_url: https://logs.example.org
logsink_username: u
logsink_password: canary-8-in-clear
nobody_knows_this: canary-9-in-clear
nor_this: [{deep: canary-a-in-clear}]
sysctl: {vm.max_map_count: 262144}
"#;
        let text = Text {
            name: "user data",
            bytes: text.as_bytes(),
        };
        let image = ImageLayer {
            defaults: vec![Text {
                name: "defaults.yaml",
                bytes: b"read_only: true\nenvironment: {BELOW: canary-b-in-clear}\n",
            }],
            ..ImageLayer::default()
        };
        let report = read(text, &image);
        assert!(
            !report.masked().to_string().contains("canary-"),
            "{}",
            report.masked()
        );
        assert!(!report.masked().to_string().contains("Y2FuYXJ5LTM"));
        assert_eq!(
            *report.masked(),
            json!({
                "application_id": "app",
                "application_version": "1.0",
                "runtime": "Docker",
                "source": "registry.example.org/team/app:1",
                "memory": "512m",
                "read_only": true,
                "ports": {"8080": 8080},
                "environment": {
                    "BELOW": "MASKED",
                    "PLAIN": "MASKED",
                    "NUMBER": "MASKED",
                    "EMPTY": "",
                    "DB_PASSWORD": "MASKED",
                    "TOKEN": "aws:ssm:/app/token",
                },
                "secrets": {"db": "aws:ssm:/app/db", "private_key": "MASKED"},
                "dockercfg": {"MASKED": {"auth": "MASKED", "email": "MASKED"}},
                "files": {"/etc/x": "MASKED"},
                "command": ["MASKED", "MASKED"],
                "instance_logs_url": "https://logs.example.org",
                "logsink_username": "u",
                "logsink_password": "MASKED",
                "nobody_knows_this": "MASKED",
                "nor_this": [{"deep": "MASKED"}],
                "sysctl": {"vm.max_map_count": "MASKED"},
            })
        );
    }

    #[test]
    fn an_address_with_a_query_is_masked() {
        let text = b"#taupage-ami-config\ninstance_logs_url: https://l.example.org/x?token=canary\ntokeninfo_url: https://t.example.org/x?key=canary\nhostname: what?";
        let report = super::super::parse(text, "user data");
        assert_eq!(
            *report.masked(),
            json!({"instance_logs_url": "MASKED", "tokeninfo_url": "MASKED", "hostname": "what?"})
        );
    }

    #[test]
    fn an_alias_of_a_secret_is_masked_wherever_it_stands() {
        let text =
            b"#taupage-ami-config\napplication_id: &a canary-in-clear\nhostname: *a\nenvironment: {PW: *a}";
        let report = super::super::parse(text, "user data");
        assert!(
            !report.masked().to_string().contains("canary"),
            "{}",
            report.masked()
        );
    }

    #[test]
    fn a_text_that_cannot_be_read_shows_nothing() {
        let report = super::super::parse(b"#taupage-ami-config\na: [canary", "user data");
        assert!(report.masked().is_null());
    }
}
