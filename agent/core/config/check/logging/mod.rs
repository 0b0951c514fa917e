//! Where lines go.

mod needs;
mod places;
mod rules;

use super::super::model::{
    AccountKey, Destination, LineFormat, Logging, Logrotate, Options, Rsyslog, S3, Scalyr, Stream,
};
use super::super::problem::Code;
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::logs::LineStyler;
pub(super) use places::is_host;

impl<'c> Checker<'c> {
    pub(super) fn logging(&mut self, options: &Options) -> Logging {
        let section = self.field("logging").and_then(|field| self.section(field));
        let mut logging = Logging {
            cloudwatch_logs: self.cloudwatch_logs(),
            logentries_account_key: self
                .field("logentries_account_key")
                .and_then(|field| self.account_key(&field)),
            application_log_format: self.application_log_format(),
            max_message_size: self.size("rsyslog_max_message_size"),
            aws_metadata: self.flag("rsyslog_aws_metadata"),
            redact_secrets: self.flag("redact_secrets"),
            application_logrotate: self.logrotate("application_logrotate"),
            customlog_logrotate: self.custom_logrotate(),
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
            logging.redact = section
                .get("redact")
                .map(|field| self.redact(&field))
                .unwrap_or_default();
            logging.fluentd_enabled = section
                .get("fluentd_enabled")
                .and_then(|field| self.read_flag(&field));
        }
        logging.scalyr = self.scalyr(section.as_ref());
        self.needs(&logging, options, section.as_ref());
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
            filter_exclude: part("", "_filter_exclude").and_then(|field| self.regex(&field)),
            multiline_start: part("", "_multiline_start").and_then(|field| self.regex(&field)),
            use_scalyr_agent: part("use_scalyr_agent_", "").and_then(|field| self.read_flag(&field)),
            sampling: part("scalyr_agent_", "_sampling")
                .map(|field| self.sampling(&field))
                .unwrap_or_default(),
        }
    }

    fn s3(&mut self, section: &Section<'c>) -> S3 {
        S3 {
            bucket: section.get("s3_bucket").and_then(|field| self.log_bucket(&field)),
            timekey_seconds: section
                .get("s3_timekey")
                .and_then(|field| self.take(field.time())),
            region: section
                .get("s3_region")
                .and_then(|field| self.bucket_region(&field)),
            raw_log_format: section
                .get("s3_raw_log_format")
                .and_then(|field| self.read_flag(&field)),
            acl: section
                .get("s3_acl")
                .and_then(|field| self.choice(&field))
                .map(str::to_owned),
        }
    }

    fn rsyslog(&mut self, section: &Section<'c>) -> Rsyslog {
        Rsyslog {
            host: section
                .get("rsyslog_host")
                .and_then(|field| self.log_host(&field)),
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
            format: section
                .get("rsyslog_format")
                .and_then(|field| self.choice(&field))
                .map(str::to_owned),
            framing: section
                .get("rsyslog_framing")
                .and_then(|field| self.choice(&field))
                .map(str::to_owned),
            ca: section
                .get("rsyslog_ca")
                .and_then(|field| self.certificates(&field)),
        }
    }

    /// Each key may stand in `logging` or at the top; the one in `logging` counts.
    fn scalyr(&mut self, section: Option<&Section<'c>>) -> Scalyr {
        let account_key = self.scalyr_key(section);
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
            agent_enabled: section
                .and_then(|section| section.get("scalyr_agent_enabled"))
                .and_then(|field| self.read_flag(&field)),
        }
    }

    /// The one in `logging` counts even where it is empty, which turns it off.
    fn scalyr_key(&mut self, section: Option<&Section<'c>>) -> Option<AccountKey> {
        const NAME: &str = "scalyr_account_key";
        let key = self.either(section, NAME, Self::account_key);
        let inner = section.and_then(|section| section.stands(NAME));
        match inner {
            Some(inner) => key.filter(|key| key.key == inner.path),
            None => key,
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

    /// Empty means off, and so do blanks: no service has such a key.
    fn account_key(&mut self, field: &Field<'_>) -> Option<AccountKey> {
        if field.scalar().is_some_and(|scalar| scalar.text.trim().is_empty()) {
            return None;
        }
        Some(AccountKey {
            key: field.path.clone(),
            source: self.read_secret(field)?,
        })
    }

    fn logrotate(&mut self, prefix: &str) -> Logrotate {
        let key = |name: &str| format!("{prefix}_{name}");
        let rotate = self.rotation(prefix);
        Logrotate {
            disable_compress: self.flag(&key("disable_compress")),
            disable_delaycompress: self.flag(&key("disable_delaycompress")),
            disable_copytruncate: self.flag(&key("disable_copytruncate")),
            ..rotate
        }
    }

    /// A template is tried here: what of it is not known must not be found by the first line.
    fn application_log_format(&mut self) -> Option<LineFormat> {
        let field = self.field("rsyslog_application_log_format")?;
        let format = match self.word(&field)?.as_str() {
            "bare" => LineFormat::Bare,
            "legacy" => LineFormat::Legacy,
            template => match LineStyler::check(template) {
                Ok(()) => LineFormat::Template(template.to_owned()),
                Err(reason) => {
                    let problem = field.error(
                        Code::BadValue,
                        format!("the template in `rsyslog_application_log_format` can't be used: {reason}"),
                    );
                    self.report(problem.help(
                        "properties are msg, timestamp, hostname, syslogtag, programname, pri and their like; `legacy` is rsyslog's own format",
                    ));
                    return None;
                }
            },
        };
        Some(format)
    }

    /// Custom logs have no other keys: their writer keeps its file open, and what is old is compressed.
    fn custom_logrotate(&mut self) -> Logrotate {
        self.rotation("customlog_logrotate")
    }

    fn rotation(&mut self, prefix: &str) -> Logrotate {
        let key = |name: &str| format!("{prefix}_{name}");
        let interval = self.field(&key("interval"));
        let rotate = self.field(&key("rotate"));
        Logrotate {
            size: self.size(&key("size")),
            interval: interval.and_then(|field| self.choice(&field)).map(str::to_owned),
            rotate: rotate.and_then(|field| self.read_number(&field)),
            ..Logrotate::default()
        }
    }
}
