//! What destinations need, and keys that have no effect without others: logs that stay away are missed too late.

use super::super::super::model::{Destination, Logging, Logrotate, Options};
use super::super::super::problem::{Code, Place, Problem};
use super::super::Checker;
use super::super::field::Field;
use super::super::read::Section;
use super::places::in_custom_logs;
use crate::logs::StreamName;
use crate::plan::logs::budget::{self, RotateDefaults};

const STREAMS: [StreamName; 4] = [
    StreamName::Applog,
    StreamName::Syslog,
    StreamName::Authlog,
    StreamName::Customlog,
];

/// The user data is the first text; what an image brings for all of its machines need not have an effect on each.
const USER_DATA: u16 = 0;

/// What is said about a service's account key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AccountKeyIs {
    There,
    /// Empty, which turns the service off.
    Off,
    Missing,
}

/// The sinks that `logging` sends streams to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sink {
    S3,
    Rsyslog,
    Scalyr,
}

impl Sink {
    const ALL: [Self; 3] = [Self::S3, Self::Rsyslog, Self::Scalyr];

    const fn is_in(self, destination: Destination) -> bool {
        match self {
            Self::S3 => destination.is_s3(),
            Self::Rsyslog => matches!(destination, Destination::Rsyslog),
            Self::Scalyr => destination.is_scalyr(),
        }
    }

    /// The key it cannot do without, and how it is written.
    const fn needs(self) -> (&'static str, &'static str) {
        match self {
            Self::S3 => ("s3_bucket", "s3_bucket: my-logs"),
            Self::Rsyslog => ("rsyslog_host", "rsyslog_host: logs.example.org"),
            Self::Scalyr => ("scalyr_account_key", "scalyr_account_key: aws:ssm:/logs/scalyr"),
        }
    }
}

impl<'c> Checker<'c> {
    /// Errors where a destination cannot be reached, warnings where a key does nothing.
    pub(super) fn needs(&mut self, logging: &Logging, options: &Options, section: Option<&Section<'c>>) {
        let custom_logs = options.mount_custom_log == Some(true);
        let streams: Vec<StreamName> = STREAMS
            .into_iter()
            .filter(|stream| custom_logs || *stream != StreamName::Customlog)
            .collect();
        if let Some(section) = section {
            for sink in Sink::ALL {
                self.destinations(logging, &streams, sink, section);
            }
            self.scalyr_agent(logging, &streams, section);
            self.transport(logging, section);
            self.fluentd(logging, section);
        }
        if !custom_logs {
            self.without_custom_logs(section);
        }
        self.idle_scalyr_key(logging, &streams, section);
        self.metadata(logging, &streams);
        self.rotations(logging, options, custom_logs);
    }

    /// Every stream's destination has what it needs.
    fn destinations(&mut self, logging: &Logging, streams: &[StreamName], sink: Sink, section: &Section<'c>) {
        let (needed, example) = sink.needs();
        let first = streams
            .iter()
            .find(|stream| sink.is_in(logging.destination_of(**stream)))
            .and_then(|stream| {
                section
                    .get(&format!("{stream}_destination"))
                    .or_else(|| section.get("log_destination"))
            });
        let Some(destination) = first else {
            // The key of a service has more uses than this one.
            if let Some(idle) = section.get(needed).filter(|_| sink != Sink::Scalyr) {
                let word = if sink == Sink::S3 { "s3" } else { "rsyslog" };
                let message = format!("`{}`: no stream has the destination {word}", idle.path);
                self.no_effect(
                    &idle,
                    message,
                    &format!("write `log_destination: {word}` in `logging`, or remove the key"),
                );
            }
            return;
        };
        let there = match sink {
            Sink::Scalyr => self.scalyr_account_key(Some(section)),
            Sink::S3 | Sink::Rsyslog => match section.stands(needed) {
                Some(field) if !field.is_null() && !says_nothing(&field) => AccountKeyIs::There,
                _ => AccountKeyIs::Missing,
            },
        };
        match there {
            AccountKeyIs::There => {}
            AccountKeyIs::Off => {
                let message = format!(
                    "`{}` sends lines to Scalyr, but `{needed}` is empty, which turns that off",
                    destination.path
                );
                self.report(
                    destination
                        .warning(Code::NoEffectHere, message)
                        .help(format!("write `{example}`, or another destination")),
                );
            }
            AccountKeyIs::Missing => {
                let message = format!("`{}` needs `logging.{needed}`", destination.path);
                self.report(
                    destination
                        .error(Code::Missing, message)
                        .help(format!("write `{example}` in `logging`")),
                );
            }
        }
    }

    /// The one in `logging` counts first, even where it is empty.
    fn scalyr_account_key(&self, section: Option<&Section<'c>>) -> AccountKeyIs {
        const NAME: &str = "scalyr_account_key";
        let inner = section.and_then(|section| section.stands(NAME));
        match inner.or_else(|| self.entry(NAME)) {
            None => AccountKeyIs::Missing,
            Some(field) if field.is_null() || says_nothing(&field) => AccountKeyIs::Off,
            Some(_) => AccountKeyIs::There,
        }
    }

    fn entry(&self, name: &str) -> Option<Field<'c>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(Field::top(entry))
    }

    /// Keys of Scalyr's agent that were set for nothing.
    fn scalyr_agent(&mut self, logging: &Logging, streams: &[StreamName], section: &Section<'c>) {
        let account_key = self.scalyr_account_key(Some(section));
        let asked = ["all"].into_iter().chain(streams.iter().map(|one| one.word()));
        for name in asked {
            let Some(field) = section.get(&format!("use_scalyr_agent_{name}")) else {
                continue;
            };
            if !matches!(field.flag(), Ok((true, _))) {
                continue;
            }
            if account_key == AccountKeyIs::Missing {
                let message = format!("`{}`: nothing goes to Scalyr without an account key", field.path);
                self.no_effect(&field, message, "write `scalyr_account_key`, or remove the key");
            } else if !logging.scalyr_agent() {
                let message = format!("`{}`: Scalyr's agent is off", field.path);
                self.no_effect(
                    &field,
                    message,
                    "write `scalyr_agent_enabled: true` in `logging`, or remove the key",
                );
            }
        }
        for stream in streams {
            let goes =
                logging.destination_of(*stream).is_scalyr() || logging.is_shipped_to_scalyr_besides(*stream);
            let field = section.get(&format!("scalyr_agent_{stream}_sampling"));
            if let Some(field) = field.filter(|_| !goes || account_key == AccountKeyIs::Missing) {
                let message = format!("`{}`: the stream does not go to Scalyr", field.path);
                self.no_effect(&field, message, "remove the key, or send the stream to Scalyr");
            }
        }
    }

    /// An account key alone sends every stream, unless other keys say that none goes.
    fn idle_scalyr_key(&mut self, logging: &Logging, streams: &[StreamName], section: Option<&Section<'c>>) {
        let Some(key) = &logging.scalyr.account_key else {
            return;
        };
        let goes = |stream: &StreamName| {
            logging.destination_of(*stream).is_scalyr() || logging.is_shipped_to_scalyr_besides(*stream)
        };
        if streams.iter().any(goes) {
            return;
        }
        let inner = section.and_then(|section| section.get("scalyr_account_key"));
        let field = inner
            .filter(|field| field.path == key.key)
            .or_else(|| self.field("scalyr_account_key"));
        if let Some(field) = field {
            let message = format!("`{}`: no stream goes to Scalyr", field.path);
            self.no_effect(
                &field,
                message,
                "write `log_destination: scalyr` in `logging`, or remove the key",
            );
        }
    }

    /// What a datagram has not, and what only TLS has.
    fn transport(&mut self, logging: &Logging, section: &Section<'c>) {
        let protocol = logging.rsyslog.protocol.as_deref().unwrap_or("tcp");
        if let Some(field) = section.get("rsyslog_framing").filter(|_| protocol == "udp") {
            let message = format!(
                "`{}`: a datagram is a message, nothing tells them apart",
                field.path
            );
            self.no_effect(
                &field,
                message,
                "remove the key, or write `rsyslog_protocol: tcp`",
            );
        }
        if let Some(field) = section.get("rsyslog_ca").filter(|_| protocol != "tls") {
            let message = format!("`{}`: only TLS asks for certificates", field.path);
            self.no_effect(
                &field,
                message,
                "write `rsyslog_protocol: tls`, or remove the key",
            );
        }
    }

    /// Fluentd sent what had no destination to a bucket named after account and region.
    fn fluentd(&mut self, logging: &Logging, section: &Section<'c>) {
        let unsaid = [&logging.applog, &logging.syslog, &logging.authlog]
            .iter()
            .any(|stream| stream.destination.is_none());
        if logging.fluentd_enabled != Some(true) || logging.destination.is_some() || !unsaid {
            return;
        }
        if let Some(field) = section.get("fluentd_enabled") {
            let message = format!(
                "`{}`: fluentd is gone, and streams without a destination stay on the machine",
                field.path
            );
            self.report(field.warning(Code::Retired, message).help(
                "write `log_destination: s3` and `s3_bucket`, or `log_destination: none`, in `logging`",
            ));
        }
    }

    /// There is no such directory.
    fn without_custom_logs(&mut self, section: Option<&Section<'c>>) {
        if self
            .entry("mount_custom_log")
            .is_some_and(|field| field.is_broken())
        {
            return;
        }
        let inner = [
            "customlog_destination",
            "customlog_filter_exclude",
            "customlog_multiline_start",
            "use_scalyr_agent_customlog",
            "scalyr_agent_customlog_sampling",
        ];
        let inner = inner
            .iter()
            .filter_map(|name| section.and_then(|section| section.get(name)))
            .filter(|field| !asks_for_none(field));
        let outer = ["size", "interval", "rotate"]
            .map(|name| self.field(&format!("customlog_logrotate_{name}")))
            .into_iter()
            .flatten();
        for field in inner.chain(outer).collect::<Vec<_>>() {
            let message = format!("`{}`: the container has no /var/log-custom", field.path);
            self.no_effect(
                &field,
                message,
                "write `mount_custom_log: true`, or remove the key",
            );
        }
        let named = self.field("cloudwatch_logs").map(|field| self.children(&field));
        for (entry, child) in named.unwrap_or_default() {
            if in_custom_logs(&entry.name).is_some() {
                let message = "a path of `cloudwatch_logs`: the container has no /var/log-custom";
                self.no_effect(
                    &child,
                    message.to_owned(),
                    "write `mount_custom_log: true`, or remove the path",
                );
            }
        }
    }

    /// Account and region stand in front of traditional lines only.
    fn metadata(&mut self, logging: &Logging, streams: &[StreamName]) {
        use super::super::super::model::LineFormat::Legacy;
        let parsed = streams.iter().any(|stream| {
            matches!(stream, StreamName::Syslog | StreamName::Authlog)
                && logging.scalyr.account_key.is_some()
                && (logging.destination_of(*stream).is_scalyr()
                    || logging.is_shipped_to_scalyr_besides(*stream))
        });
        let legacy = logging.application_log_format == Some(Legacy);
        if logging.aws_metadata != Some(true) || legacy || parsed {
            return;
        }
        if let Some(field) = self.field("rsyslog_aws_metadata") {
            let message = "`rsyslog_aws_metadata`: account and region stand in front of lines in the format `legacy` alone";
            self.no_effect(
                &field,
                message.to_owned(),
                "write `rsyslog_application_log_format: legacy`, or remove the key",
            );
        }
    }

    /// The budget is the stronger.
    fn rotations(&mut self, logging: &Logging, options: &Options, custom_logs: bool) {
        let split = budget::split(options.log_budget.unwrap_or(budget::LOG_BUDGET), custom_logs);
        let application = &logging.application_logrotate;
        self.over_budget(
            "application_logrotate",
            application,
            budget::APPLICATION,
            split.application_log,
        );
        if custom_logs {
            let custom = &logging.customlog_logrotate;
            self.over_budget("customlog_logrotate", custom, budget::CUSTOM, split.custom_logs);
        }
        if application.disable_copytruncate == Some(false)
            && let Some(field) = self.field("application_logrotate_disable_copytruncate")
        {
            let message =
                "`application_logrotate_disable_copytruncate`: application.log is renamed, never truncated";
            self.no_effect(&field, message.to_owned(), "remove the key");
        }
    }

    fn over_budget(&mut self, prefix: &str, asked: &Logrotate, defaults: RotateDefaults, total: u64) {
        if asked.size.is_none() && asked.rotate.is_none() {
            return;
        }
        let wanted = budget::wanted(asked, defaults);
        let name = if asked.size.is_some() { "size" } else { "rotate" };
        if wanted <= total {
            return;
        }
        if let Some(field) = self.field(&format!("{prefix}_{name}")) {
            let message = format!(
                "`{}`: the files would take {}, and `log_budget` leaves them {}: they are smaller, or fewer are kept",
                field.path,
                crate::text::bytes(wanted),
                crate::text::bytes(total)
            );
            self.report(
                field
                    .warning(Code::OverBudget, message)
                    .help("raise `log_budget`, where the disk has room, or ask for less"),
            );
        }
    }

    /// Said of what the user data itself asks for.
    fn no_effect(&mut self, field: &Field<'_>, message: String, help: &str) {
        let Place { source, .. } = field.key_place;
        if source == USER_DATA {
            let problem = Problem::warning(Code::NoEffectHere, format!("{message}: it has no effect"));
            self.report(problem.at(field.key_place).key(field.path.clone()).help(help));
        }
    }
}

fn says_nothing(field: &Field<'_>) -> bool {
    field.scalar().is_some_and(|scalar| scalar.text.trim().is_empty())
}

/// `none` and `false` are what holds anyway.
fn asks_for_none(field: &Field<'_>) -> bool {
    field
        .scalar()
        .is_some_and(|scalar| scalar.text == "none" || matches!(field.flag(), Ok((false, _))))
}
