//! Where lines go: read whole, though most of it takes effect in a later version.

use super::super::model::{
    Destination, LineFormat, Logging, Logrotate, Rsyslog, S3, Sampling, Scalyr, Stream,
};
use super::super::problem::Code;
use super::super::yaml::{self, Kind, Node};
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::secret::SecretSource;

/// A rate is kept in millionths, so that a config can be compared.
const MILLION: f64 = 1_000_000.0;

impl<'c> Checker<'c> {
    pub(super) fn logging(&mut self) -> Logging {
        let section = self.field("logging").and_then(|field| self.section(field));
        let mut logging = Logging {
            cloudwatch_logs: self.cloudwatch_logs(),
            logentries_account_key: self
                .field("logentries_account_key")
                .and_then(|field| self.account_key(&field)),
            application_log_format: self
                .field("rsyslog_application_log_format")
                .and_then(|field| self.word(&field))
                .map(|text| match text.as_str() {
                    "bare" => LineFormat::Bare,
                    "legacy" => LineFormat::Legacy,
                    _ => LineFormat::Template(text),
                }),
            max_message_size: self.size("rsyslog_max_message_size"),
            aws_metadata: self.flag("rsyslog_aws_metadata"),
            redact_secrets: self.flag("redact_secrets"),
            application_logrotate: self.logrotate("application_logrotate"),
            customlog_logrotate: self.logrotate("customlog_logrotate"),
            ..Logging::default()
        };
        if let Some(section) = &section {
            logging.destination = self.destination(section, "log_destination");
            logging.applog = self.stream(section, "applog");
            logging.syslog = self.stream(section, "syslog");
            logging.authlog = self.stream(section, "authlog");
            logging.customlog = self.stream(section, "customlog");
            logging.s3 = self.s3(section);
            logging.rsyslog = self.rsyslog(section);
        }
        logging.scalyr = self.scalyr(section.as_ref());
        logging
    }

    fn destination(&mut self, section: &Section<'c>, name: &str) -> Option<Destination> {
        let field = section.get(name)?;
        self.choice(&field).map(|word| match word {
            "s3" => Destination::S3,
            "rsyslog" => Destination::Rsyslog,
            "scalyr" => Destination::Scalyr,
            "scalyr_s3" => Destination::ScalyrS3,
            _ => Destination::None,
        })
    }

    fn stream(&mut self, section: &Section<'c>, name: &str) -> Stream {
        let part = |before: &str, after: &str| section.get(&format!("{before}{name}{after}"));
        Stream {
            destination: self.destination(section, &format!("{name}_destination")),
            filter_exclude: part("", "_filter_exclude").and_then(|field| self.word(&field)),
            use_scalyr_agent: part("use_scalyr_agent_", "").and_then(|field| self.read_flag(&field)),
            sampling: part("scalyr_agent_", "_sampling")
                .map(|field| self.sampling(&field))
                .unwrap_or_default(),
        }
    }

    /// A list, or the text of one: Taupage's files have it in a string.
    fn sampling(&mut self, field: &Field<'_>) -> Vec<Sampling> {
        let wrong = field
            .error(
                Code::BadValue,
                format!("`{}` is no list of sampling rules", field.path),
            )
            .help("write `- {match_expression: REGEX, sampling_rate: 0.1}`");
        let loaded = match &field.node.kind {
            Kind::Scalar(scalar) => {
                // What is wrong inside the text has no place of its own.
                let mut inner = Vec::new();
                match yaml::load(&scalar.text, 0, yaml::Tags::Refuse, &mut inner) {
                    Ok(Some(node)) if inner.is_empty() => Some(node),
                    _ => None,
                }
            }
            _ => Some(field.node.clone()),
        };
        let Some(Node {
            kind: Kind::Seq(nodes),
            ..
        }) = loaded
        else {
            self.report(wrong);
            return Vec::new();
        };
        let rules: Option<Vec<Sampling>> = nodes.iter().map(sampling_rule).collect();
        rules.unwrap_or_else(|| {
            self.report(wrong);
            Vec::new()
        })
    }

    fn s3(&mut self, section: &Section<'c>) -> S3 {
        S3 {
            bucket: section.get("s3_bucket").and_then(|field| self.word(&field)),
            timekey_seconds: section
                .get("s3_timekey")
                .and_then(|field| self.take(field.time())),
            region: section.get("s3_region").and_then(|field| self.word(&field)),
            raw_log_format: section
                .get("s3_raw_log_format")
                .and_then(|field| self.read_flag(&field)),
            acl: section.get("s3_acl").and_then(|field| self.word(&field)),
        }
    }

    fn rsyslog(&mut self, section: &Section<'c>) -> Rsyslog {
        Rsyslog {
            host: section.get("rsyslog_host").and_then(|field| self.word(&field)),
            port: section
                .get("rsyslog_port")
                .and_then(|field| self.read_number(&field))
                .and_then(|port| u16::try_from(port).ok()),
            protocol: section
                .get("rsyslog_protocol")
                .and_then(|field| self.choice(&field))
                .map(str::to_owned),
            severity: section
                .get("rsyslog_severity")
                .and_then(|field| self.choice(&field))
                .map(str::to_owned),
            program: section.get("rsyslog_program").and_then(|field| self.word(&field)),
            hostname: section
                .get("rsyslog_hostname")
                .and_then(|field| self.word(&field)),
        }
    }

    /// Each key may stand in `logging` or at the top; the one in `logging` counts.
    fn scalyr(&mut self, section: Option<&Section<'c>>) -> Scalyr {
        let account_key = self.either(section, "scalyr_account_key", Self::account_key);
        let region = self.either(section, "scalyr_region", Self::choice);
        let application_log_parser = self.either(section, "scalyr_application_log_parser", Self::word);
        let custom_log_parser = self.either(section, "scalyr_custom_log_parser", Self::word);
        let field = section.and_then(|section| section.get("use_scalyr_agent_all"));
        Scalyr {
            account_key,
            region: region.map(str::to_owned),
            application_log_parser,
            custom_log_parser,
            use_agent_for_all: field.and_then(|field| self.read_flag(&field)),
        }
    }

    /// Both are read, so that a mistake in either is seen.
    fn either<T>(
        &mut self,
        section: Option<&Section<'c>>,
        name: &str,
        read: impl Fn(&mut Self, &Field<'_>) -> Option<T>,
    ) -> Option<T> {
        let (inner, outer) = (section.and_then(|section| section.get(name)), self.field(name));
        if let (Some(_), Some(outer)) = (&inner, &outer) {
            let message = format!("`{name}` stands in `logging` too, and that one counts");
            self.report(outer.warning(Code::NoEffectHere, message).at(outer.key_place));
        }
        let outer = outer.and_then(|field| read(self, &field));
        inner.and_then(|field| read(self, &field)).or(outer)
    }

    /// Empty means off.
    fn account_key(&mut self, field: &Field<'_>) -> Option<SecretSource> {
        if field.scalar().is_some_and(|scalar| scalar.text.is_empty()) {
            return None;
        }
        self.read_secret(field)
    }

    fn cloudwatch_logs(&mut self) -> Vec<(String, String)> {
        let Some(field) = self.field("cloudwatch_logs") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            let at_key = |message: String| child.error(Code::BadValue, message).at(child.key_place);
            let absolute = self.absolute(&entry.name, at_key, "cloudwatch_logs");
            if let Some(group) = self.word(&child).filter(|_| absolute) {
                all.push((entry.name.clone(), group));
            }
        }
        all
    }

    fn logrotate(&mut self, prefix: &str) -> Logrotate {
        let key = |name: &str| format!("{prefix}_{name}");
        let interval = self.field(&key("interval"));
        let rotate = self.field(&key("rotate"));
        Logrotate {
            size: self.size(&key("size")),
            interval: interval.and_then(|field| self.choice(&field)).map(str::to_owned),
            rotate: rotate.and_then(|field| self.read_number(&field)),
            disable_compress: self.flag(&key("disable_compress")),
            disable_delaycompress: self.flag(&key("disable_delaycompress")),
            disable_copytruncate: self.flag(&key("disable_copytruncate")),
        }
    }
}

fn sampling_rule(node: &Node) -> Option<Sampling> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    let value = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.name == name)
            .and_then(|entry| match &entry.value.kind {
                Kind::Scalar(scalar) => Some(scalar.text.clone()),
                _ => None,
            })
    };
    let rate: f64 = value("sampling_rate")?.parse().ok()?;
    if !(0.0..=1.0).contains(&rate) {
        return None;
    }
    Some(Sampling {
        match_expression: value("match_expression")?,
        // Between 0 and a million, as was just made sure of.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        keep_millionths: (rate * MILLION).round() as u32,
    })
}
