//! The names of places that lines come from and go to. What is no name would be found out by the first line, long after
//! the boot; here it is found by whoever writes it.

use std::net::IpAddr;

use super::super::super::model::is_region;
use super::super::super::problem::Code;
use super::super::Checker;
use super::super::field::Field;
use super::super::secrets::is_bucket;
use crate::plan::container::CUSTOM_LOG;

/// application.log lies there, and what the machine writes.
const ALL_OF_THE_MACHINE: &str = "/var/log/*.log";
/// How the files of a directory are named together.
const ALL_LOGS: &str = "/*.log";

impl<'c> Checker<'c> {
    pub(super) fn log_bucket(&mut self, field: &Field<'_>) -> Option<String> {
        let bucket = self.word(field)?;
        if is_bucket(&bucket) {
            return Some(bucket);
        }
        let message = format!(
            "`{}` is no name of a bucket: 3 to 63 lower-case letters, digits, dots and dashes, no two dots together",
            field.path
        );
        let problem = field.error(Code::BadValue, message);
        self.report(problem.help("write the name alone, without `s3://` and `arn:`"));
        None
    }

    pub(super) fn bucket_region(&mut self, field: &Field<'_>) -> Option<String> {
        let region = self.word(field)?;
        if is_region(&region) {
            return Some(region);
        }
        let message = format!("`{}` has to be the name of a region", field.path);
        let problem = field.error(Code::BadValue, message);
        self.report(problem.help("write it like `eu-central-1`"));
        None
    }

    pub(super) fn log_host(&mut self, field: &Field<'_>) -> Option<String> {
        let host = self.word(field)?;
        if is_host(&host) {
            return Some(host);
        }
        let message = format!(
            "`{}` has to be a DNS name or an IP address, and nothing else",
            field.path
        );
        let help = if host.contains(':') {
            "write the name alone, such as `logs.example.org`: `rsyslog_protocol` says how lines travel, `rsyslog_port` where to"
        } else {
            "write it like `logs.example.org`"
        };
        self.report(field.error(Code::BadValue, message).help(help));
        None
    }

    pub(super) fn cloudwatch_logs(&mut self) -> Vec<(String, String)> {
        let Some(field) = self.field("cloudwatch_logs") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            let named = self.log_path(&entry.name, &child);
            let group = self.log_group(&child);
            if let Some(group) = group.filter(|_| named) {
                all.push((entry.name.clone(), group));
            }
        }
        all
    }

    /// Whether it can be followed; what is wrong with it is told at its place.
    fn log_path(&mut self, path: &str, child: &Field<'_>) -> bool {
        let at_key = |message: String| child.error(Code::BadValue, message).at(child.key_place);
        if !self.absolute(path, at_key, "cloudwatch_logs") {
            return false;
        }
        let Some((message, help)) = misplaced(path) else {
            return true;
        };
        self.report(at_key(message.to_owned()).help(help));
        false
    }

    fn log_group(&mut self, field: &Field<'_>) -> Option<String> {
        let group = self.word(field)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/#".contains(&b);
        if group.len() <= 512 && group.bytes().all(fits) {
            return Some(group);
        }
        let message = "a log group has up to 512 letters, digits and characters of . _ - / #";
        let problem = field.error(Code::BadValue, message);
        self.report(problem.help("write its name alone, without `arn:`"));
        None
    }
}

/// What is wrong with a path, and what to write instead.
fn misplaced(path: &str) -> Option<(&'static str, &'static str)> {
    if path.strip_suffix(ALL_LOGS).unwrap_or(path).contains('*') {
        return Some((
            "a path of `cloudwatch_logs` has a star inside",
            "write one path for each file, or `/*.log` at the end for every such file of a directory",
        ));
    }
    if path == ALL_OF_THE_MACHINE {
        return Some((
            "`/var/log/*.log` names application.log too, which has the container's lines as they came: nothing is taken out of them",
            "name each file: /var/log/application.log for the container's lines, /var/log/syslog, /var/log/auth.log, others by their names",
        ));
    }
    if in_custom_logs(path).is_some_and(|rest| rest.contains('/')) {
        return Some((
            "a path of `cloudwatch_logs` is in a directory inside /var/log-custom: the container can put a link there that leads anywhere",
            "have the application write its files to /var/log itself, which is /var/log-custom of the machine",
        ));
    }
    None
}

/// The part of a path below the directory that the container writes to.
pub(super) fn in_custom_logs(path: &str) -> Option<&str> {
    path.strip_prefix(CUSTOM_LOG.source)?.strip_prefix('/')
}

/// A name as DNS has it, underscores taken as resolvers take them, or an address.
pub(in super::super) fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // Numbers at the end are an address that is none: 10.0.0.300.
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(is_label) && !name.rsplit('.').next().is_some_and(is_number)
}
