//! From what the user data says about logs to what is shipped where.
//!
//! Design: each stream goes where its own destination says, else where `log_destination` says; to Scalyr besides where
//! Scalyr's agent did in Taupage; to CloudWatch Logs and to Logentries where their keys are there. What leaves the machine
//! passes the filters; application.log and the local syslog have every line as it came.
//!
//! Invariants: a stream goes to one place once, however many keys say so. Checks have made sure that what a
//! destination needs is there; what is not there makes no route. No key's value is in a route, only its name.

pub mod budget;
mod calls;
#[cfg(test)]
mod tests;

use super::container::CUSTOM_LOG;
use crate::config::{AccountKey, Config, LineFormat, Logging};
use crate::facts::InstanceFacts;
use crate::logs::{
    ApplicationLogPlan, Attributes, Framing, LineStyle, LogKey, LogPlan, Origin, Protocol, RedactRule, Route,
    RsyslogTarget, S3Target, SamplingRule, ScalyrTarget, StreamName, SyslogFormat, Target, Treatment,
};
use crate::otlp::{self, OtlpTarget};

/// The container's lines as a file.
pub const APPLICATION_LOG: &str = "/var/log/application.log";
/// The machine's.
const SYSLOG: &str = "/var/log/syslog";
/// Who logged in.
const AUTHLOG: &str = "/var/log/auth.log";
/// How a folder's files are named together.
const ALL_LOGS: &str = "/*.log";

/// Seconds that an object in a bucket covers unless `s3_timekey` says otherwise.
const TIMEKEY_SECONDS: u32 = 300;
/// Who may read the objects unless `s3_acl` says otherwise: whoever owns the bucket.
const ACL: &str = "bucket-owner-full-control";
/// What Scalyr reads an application's lines with unless told.
const PARSER: &str = "slf4j";

impl LogPlan {
    /// Decides where every stream goes. It is the same on every machine: what differs from one to the next is in
    /// [`Attributes`].
    pub fn new(config: &Config) -> Self {
        let logging = config.logging();
        let options = config.options();
        let custom_logs = options.mount_custom_log == Some(true);
        let budget = options.log_budget.unwrap_or(budget::LOG_BUDGET);
        let split = budget::split(budget, custom_logs);
        let mut routes = Routes {
            logging,
            otlp: otlp::of_logs(config),
            all: Vec::new(),
        };
        for (stream, origin) in [
            (StreamName::Applog, Origin::Application),
            (StreamName::Syslog, Origin::File(SYSLOG.to_owned())),
            (StreamName::Authlog, Origin::File(AUTHLOG.to_owned())),
            (
                StreamName::Customlog,
                Origin::Folder(CUSTOM_LOG.source.to_owned()),
            ),
        ] {
            if custom_logs || stream != StreamName::Customlog {
                routes.of_stream(stream, &origin);
            }
        }
        for (path, group) in &logging.cloudwatch_logs {
            let (stream, origin) = named(path);
            // No directory, no lines.
            if stream == StreamName::Customlog && !custom_logs {
                continue;
            }
            routes.add(stream, &origin, Target::CloudWatch { group: group.clone() });
        }
        Self {
            application_log: application_log(logging, split.application_log),
            routes: routes.all,
            budget,
            split,
        }
    }
}

/// What is known of each route before it is known of any.
struct Routes<'c> {
    logging: &'c Logging,
    otlp: Option<OtlpTarget>,
    all: Vec<Route>,
}

impl Routes<'_> {
    /// Where the keys in `logging` send a stream, and the services with a key of their own.
    fn of_stream(&mut self, stream: StreamName, origin: &Origin) {
        let logging = self.logging;
        let destination = logging.destination_of(stream);
        if destination.is_s3() {
            self.extend(stream, origin, s3(logging));
        }
        if destination == crate::config::Destination::Rsyslog {
            self.extend(stream, origin, rsyslog(logging));
        }
        if destination.is_scalyr() || logging.is_shipped_to_scalyr_besides(stream) {
            self.extend(stream, origin, scalyr(logging, stream));
        }
        // Custom logs never went there: the daemon followed the other three.
        if stream != StreamName::Customlog {
            let token = logging.logentries_account_key.as_ref().map(log_key);
            self.extend(stream, origin, token.map(|token| Target::Logentries { token }));
        }
        // What the application writes; who logged in to the machine is nobody's telemetry.
        if matches!(stream, StreamName::Applog | StreamName::Customlog) {
            self.extend(stream, origin, self.otlp.clone().map(Target::Otlp));
        }
    }

    fn extend(&mut self, stream: StreamName, origin: &Origin, target: Option<Target>) {
        if let Some(target) = target {
            self.add(stream, origin, target);
        }
    }

    fn add(&mut self, stream: StreamName, origin: &Origin, target: Target) {
        let same = |route: &Route| route.origin == *origin && route.target == target;
        if !self.all.iter().any(same) {
            self.all.push(Route {
                stream,
                origin: origin.clone(),
                treatment: treatment(self.logging, stream, &target),
                target,
            });
        }
    }
}

/// What a path of `cloudwatch_logs` is: one of the streams, if it is their file.
fn named(path: &str) -> (StreamName, Origin) {
    let custom = CUSTOM_LOG.source;
    match path {
        APPLICATION_LOG => (StreamName::Applog, Origin::Application),
        SYSLOG => (StreamName::Syslog, Origin::File(path.to_owned())),
        AUTHLOG => (StreamName::Authlog, Origin::File(path.to_owned())),
        _ => {
            let folder = path.strip_suffix(ALL_LOGS);
            let is_custom = folder == Some(custom)
                || path
                    .strip_prefix(custom)
                    .is_some_and(|rest| rest.starts_with('/'));
            let stream = if is_custom {
                StreamName::Customlog
            } else {
                StreamName::File
            };
            let origin = folder.map_or_else(
                || Origin::File(path.to_owned()),
                |folder| Origin::Folder(folder.to_owned()),
            );
            (stream, origin)
        }
    }
}

fn application_log(logging: &Logging, total: u64) -> ApplicationLogPlan {
    let format = match &logging.application_log_format {
        None | Some(LineFormat::Bare) => LineStyle::Bare,
        Some(LineFormat::Legacy) => LineStyle::Legacy,
        Some(LineFormat::Template(template)) => LineStyle::Template(template.clone()),
    };
    ApplicationLogPlan {
        // Taupage put them into rsyslog's own format only: bare lines and templates stayed as they were.
        aws_metadata: logging.aws_metadata.unwrap_or_default() && format == LineStyle::Legacy,
        format,
        max_line: logging.max_message_size,
        rotate: budget::rotate(&logging.application_logrotate, budget::APPLICATION, total),
    }
}

/// What is done to the lines of a stream on their way to a place.
fn treatment(logging: &Logging, stream: StreamName, target: &Target) -> Treatment {
    let own = logging.stream(stream);
    let sampling = match (target, own) {
        (Target::Scalyr(_), Some(own)) => &own.sampling[..],
        _ => &[],
    };
    Treatment {
        multiline_start: own.and_then(|own| own.multiline_start.clone()),
        exclude: own.and_then(|own| own.filter_exclude.clone()),
        sampling: sampling
            .iter()
            .map(|rule| SamplingRule {
                pattern: rule.match_expression.clone(),
                keep_millionths: rule.keep_millionths,
            })
            .collect(),
        // Whatever an application writes may hold tokens, and the machine's syslog has the container's lines too; so may
        // any other file. Who logged in is in a file that only the machine writes.
        redact_jwt: stream != StreamName::Authlog,
        redact: logging
            .redact
            .iter()
            .map(|rule| RedactRule {
                pattern: rule.pattern.clone(),
                replacement: rule.replacement.clone(),
            })
            .collect(),
        // The limit was rsyslog's, which the container's lines and the machine's passed, and no other file.
        max_line: match stream {
            StreamName::Applog | StreamName::Syslog | StreamName::Authlog => logging.max_message_size,
            StreamName::Customlog | StreamName::File => None,
        },
    }
}

fn s3(logging: &Logging) -> Option<Target> {
    let s3 = &logging.s3;
    Some(Target::S3(S3Target {
        bucket: s3.bucket.clone()?,
        region: s3.region.clone(),
        timekey_seconds: s3.timekey_seconds.unwrap_or(TIMEKEY_SECONDS),
        raw: s3.raw_log_format.unwrap_or(true),
        acl: s3.acl.clone().unwrap_or_else(|| ACL.to_owned()),
    }))
}

/// Defaults are those of Taupage, whose fluentd wrote RFC 3164 with a line feed behind each message; TLS it had not, so
/// there it is what RFC 5425 asks for.
fn rsyslog(logging: &Logging) -> Option<Target> {
    let rsyslog = &logging.rsyslog;
    let protocol = match rsyslog.protocol.as_deref() {
        Some("udp") => Protocol::Udp,
        Some("tls") => Protocol::Tls,
        _ => Protocol::Tcp,
    };
    let tls = protocol == Protocol::Tls;
    Some(Target::Rsyslog(RsyslogTarget {
        host: rsyslog.host.clone()?,
        port: rsyslog.port.unwrap_or(if tls { 6514 } else { 514 }),
        protocol,
        framing: match rsyslog.framing.as_deref() {
            Some("octet-counting") => Framing::OctetCounting,
            None if tls => Framing::OctetCounting,
            _ => Framing::Newline,
        },
        format: match rsyslog.format.as_deref() {
            Some("rfc5424") => SyslogFormat::Rfc5424,
            None if tls => SyslogFormat::Rfc5424,
            _ => SyslogFormat::Rfc3164,
        },
        severity: severity(rsyslog.severity.as_deref()),
        program: rsyslog.program.clone(),
        hostname: rsyslog.hostname.clone(),
        ca: rsyslog.ca.clone(),
    }))
}

/// As a number of the protocol; `notice` unless told.
fn severity(word: Option<&str>) -> u8 {
    match word {
        Some("emerg") => 0,
        Some("alert") => 1,
        Some("crit") => 2,
        Some("err") => 3,
        Some("warning") => 4,
        Some("info") => 6,
        Some("debug") => 7,
        _ => 5,
    }
}

fn scalyr(logging: &Logging, stream: StreamName) -> Option<Target> {
    let scalyr = &logging.scalyr;
    let parser = match stream {
        StreamName::Applog => scalyr.application_log_parser.as_deref().unwrap_or(PARSER),
        StreamName::Customlog => scalyr.custom_log_parser.as_deref().unwrap_or(PARSER),
        StreamName::Syslog | StreamName::Authlog | StreamName::File => {
            if logging.aws_metadata.unwrap_or_default() {
                "systemLogMetadata"
            } else {
                "systemLog"
            }
        }
    };
    Some(Target::Scalyr(ScalyrTarget {
        key: log_key(scalyr.account_key.as_ref()?),
        region: scalyr.region.clone().unwrap_or_else(|| "eu".to_owned()),
        parser: parser.to_owned(),
    }))
}

fn log_key(key: &AccountKey) -> LogKey {
    LogKey::new(&key.source, &key.key)
}

impl Attributes {
    /// Who the lines are from; what only the machine knows is empty where a plan is made away from any.
    pub fn new(config: &Config, facts: Option<&InstanceFacts>) -> Self {
        let of_facts = |pick: fn(&InstanceFacts) -> String| facts.map(pick).unwrap_or_default();
        Self {
            application_id: config.application_id().to_owned(),
            application_version: config.application_version().to_owned(),
            image: config.source().to_string(),
            stack: config.notify_cfn().map(|cfn| cfn.stack.clone()),
            account: of_facts(|facts| facts.account_id.clone()),
            region: of_facts(|facts| facts.region.clone()),
            instance_id: of_facts(|facts| facts.instance_id.clone()),
            hostname: of_facts(hostname),
            ami: of_facts(|facts| facts.image_id.clone().unwrap_or_default()),
            deployment_id: config.deployment_id().unwrap_or_default().to_owned(),
            commit: String::new(),
            digest: String::new(),
        }
    }
}

/// The name that EC2 gives a machine by its address, as its metadata service has it; empty without an address.
fn hostname(facts: &InstanceFacts) -> String {
    let Some(address) = facts.local_ipv4 else {
        return String::new();
    };
    let [a, b, c, d] = address.octets();
    let domain = match facts.region.as_str() {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    };
    format!("ip-{a}-{b}-{c}-{d}.{domain}")
}
