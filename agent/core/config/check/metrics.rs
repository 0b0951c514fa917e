//! Figures beside those that are always told.

use super::super::problem::Code;
use super::super::yaml::Kind;
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::metrics::MetricsPlan;
use crate::metrics::relay::{self, Relay};

/// What stands in front of every namespace of AWS's own.
const OF_AWS: &str = "AWS/";

impl<'c> Checker<'c> {
    pub(super) fn metrics(&mut self) -> MetricsPlan {
        let Some(section) = self.field("metrics").and_then(|field| self.section(field)) else {
            return MetricsPlan::default();
        };
        MetricsPlan {
            textfile_directory: section
                .get("textfile_directory")
                .and_then(|field| self.directory(&field)),
            relay: section.get("cloudwatch").and_then(|field| self.relay(field)),
        }
    }

    fn directory(&mut self, field: &Field<'_>) -> Option<String> {
        let path = self.text(field)?;
        let problem = |message| field.error(Code::BadValue, message);
        self.absolute(&path, problem, &field.path).then_some(path)
    }

    fn relay(&mut self, field: Field<'c>) -> Option<Relay> {
        let key_place = field.key_place;
        let section = self.section(field.clone())?;
        let port = section
            .get("port")
            .and_then(|field| self.read_number(&field))
            .and_then(|port| u16::try_from(port).ok());
        let path = section.get("path").map(|field| self.relayed_path(&field));
        let namespace = section.get("namespace").and_then(|field| self.namespace(&field));
        let names = self.relayed_names(&section);
        let interval = section.get("interval").and_then(|field| self.take(field.time()));
        let networking = self.field("networking").and_then(|field| field.choice().ok());
        if matches!(networking, Some(("none", _))) {
            let message = "a container without a network cannot be asked for its metrics";
            let problem = field.error(Code::NoEffectHere, message).at(key_place);
            self.report(problem.help("remove `metrics.cloudwatch`, or give the container a network"));
        }
        Some(Relay {
            port: port?,
            path: path.unwrap_or_else(|| Some(relay::PATH.to_owned()))?,
            namespace: namespace?,
            names: names?,
            interval_seconds: interval.unwrap_or(relay::INTERVAL_SECONDS),
        })
    }

    fn relayed_path(&mut self, field: &Field<'_>) -> Option<String> {
        let path = self.text(field)?;
        if path.is_empty() {
            return Some(relay::PATH.to_owned());
        }
        let blank = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        if path.starts_with('/') && !path.contains(blank) {
            return Some(path);
        }
        let message = format!("`{}` has to begin with `/`, without blanks and `#`", field.path);
        let problem = field.error(Code::BadValue, message);
        self.report(problem.help("host and port are not part of the path"));
        None
    }

    fn namespace(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?;
        let is_part = |b: u8| b.is_ascii_alphanumeric() || b".-_/#:".contains(&b);
        let message = if text.starts_with(OF_AWS) {
            format!(
                "`{}` is one of AWS's own, which takes no metrics of others",
                field.path
            )
        } else if text.is_empty() || text.len() > 255 || text.starts_with(':') || !text.bytes().all(is_part) {
            format!(
                "`{}` has to be up to 255 letters, digits and characters of . - _ / # :",
                field.path
            )
        } else {
            return Some(text);
        };
        let problem = field.error(Code::BadValue, message);
        self.report(problem.help("write `namespace: my-app`"));
        None
    }

    fn relayed_names(&mut self, section: &Section<'c>) -> Option<Vec<String>> {
        let field = section.get("names")?;
        let items = self.list(&field);
        if matches!(&field.node.kind, Kind::Seq(nodes) if nodes.is_empty()) {
            let message = format!("`{}` is empty: nothing would be sent", field.path);
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help("name the metrics, or remove `cloudwatch`"));
        }
        if items.len() > relay::MOST_NAMES {
            let message = format!("`{}` has more than {} names", field.path, relay::MOST_NAMES);
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help("CloudWatch bills each metric of each machine: send what is looked at"));
            return None;
        }
        let mut names: Vec<String> = Vec::new();
        for item in items {
            let Some(name) = self.text(&item) else {
                continue;
            };
            if name.len() > 255 || !relay::is_name(&name) {
                let message = format!("`{}` holds what is no name of a metric", item.path);
                let problem = item.error(Code::BadValue, message);
                self.report(problem.help("write it as the application does, without labels: `queue_depth`"));
            } else if names.contains(&name) {
                let message = format!("`{}` names a metric twice", item.path);
                self.report(item.warning(Code::DuplicateKey, message));
            } else {
                names.push(name);
            }
        }
        (!names.is_empty()).then_some(names)
    }
}
