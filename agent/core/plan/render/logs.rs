//! What is shipped where, for people and for programs. Keys of services are named, never shown.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::container::{fingerprint, secret_text};
use crate::logs::{
    ApplicationLogPlan, Framing, LineStyle, LogKey, LogPlan, Protocol, Rotate, Route, RsyslogTarget,
    SyslogFormat, Target, Treatment,
};
use crate::otlp::Signal;
use crate::plan::VALUE_WIDTH;
use crate::plan::container::LOG_MAX_FILES;
use crate::plan::logs::{APPLICATION_LOG, budget};
use crate::text;

impl LogPlan {
    /// The section of a plan.
    pub(super) fn write_text(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\nLogs, {} of the disk for all of them",
            text::bytes(self.budget)
        )?;
        let row = |out: &mut String, key: &str, value: &str| {
            writeln!(out, "  {key:<18} {}", text::printable(value))
        };
        let engine = format!(
            "{} in {LOG_MAX_FILES} files of {}: what a destination that is away does not miss",
            text::bytes(self.split.engine),
            text::bytes(budget::engine_file(&self.split))
        );
        row(out, "the engine's", &engine)?;
        row(out, "application.log", &application_text(&self.application_log))?;
        if self.split.custom_logs > 0 {
            let room = format!(
                "{} left for its files, which the agent does not rotate",
                text::bytes(self.split.custom_logs)
            );
            row(out, "/var/log-custom", &room)?;
        }
        let machine = format!(
            "{} left for the journal and rsyslog, which keep their own limits",
            text::bytes(self.split.machine)
        );
        row(out, "the machine's", &machine)?;
        if self.routes.is_empty() {
            row(out, "shipped", "nothing: all of it stays on the machine")?;
        }
        for route in &self.routes {
            row(out, route.stream.word(), &route.to_string())?;
        }
        Ok(())
    }

    /// For programs. Routes are named by origin and place, so that two plans can be compared.
    pub(super) fn to_json(&self) -> Value {
        let routes: Map<String, Value> = self
            .routes
            .iter()
            .map(|route| {
                (
                    format!("{} to {}", route.origin, place(&route.target)),
                    route_json(route),
                )
            })
            .collect();
        json!({
            "budget_bytes": self.budget,
            "split_bytes": self.split,
            "application_log": {
                "at": APPLICATION_LOG,
                "format": self.application_log.format,
                "aws_metadata": self.application_log.aws_metadata,
                "max_line_bytes": self.application_log.max_line,
                "rotate": self.application_log.rotate,
            },
            "routes": routes,
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.origin, place(&self.target))?;
        for part in target_parts(&self.target)
            .into_iter()
            .chain(treatment_parts(&self.treatment))
        {
            write!(f, ", {part}")?;
        }
        Ok(())
    }
}

/// Where lines go, in a word or two.
fn place(target: &Target) -> String {
    match target {
        Target::CloudWatch { group } => format!("the log group {group}"),
        Target::S3(s3) => format!("s3://{}", s3.bucket),
        Target::Rsyslog(rsyslog) => {
            let protocol = match rsyslog.protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp => "tcp",
                Protocol::Tls => "tls",
            };
            format!("{protocol}://{}:{}", rsyslog.host, rsyslog.port)
        }
        Target::Scalyr(scalyr) => format!("Scalyr in {}", scalyr.region),
        Target::Logentries { .. } => "Logentries".to_owned(),
        Target::Otlp(otlp) => otlp.url(Signal::Logs),
    }
}

/// How they look there.
fn target_parts(target: &Target) -> Vec<String> {
    match target {
        Target::CloudWatch { .. } => vec!["a stream for each instance".to_owned()],
        Target::S3(s3) => {
            let mut parts = vec![
                if s3.raw { "as they are" } else { "each as JSON" }.to_owned(),
                format!(
                    "an object every {}",
                    text::duration(Duration::from_secs(s3.timekey_seconds.into()))
                ),
            ];
            parts.extend(s3.region.as_ref().map(|region| format!("in {region}")));
            parts.push(format!("ACL {}", s3.acl));
            parts
        }
        Target::Rsyslog(rsyslog) => rsyslog_parts(rsyslog),
        Target::Scalyr(scalyr) => vec![format!("parser {}", scalyr.parser), key_text(&scalyr.key, "key")],
        Target::Logentries { token } => vec![key_text(token, "key")],
        Target::Otlp(otlp) => otlp.header_texts(),
    }
}

fn rsyslog_parts(rsyslog: &RsyslogTarget) -> Vec<String> {
    let format = match rsyslog.format {
        SyslogFormat::Rfc3164 => "RFC 3164",
        SyslogFormat::Rfc5424 => "RFC 5424",
    };
    let mut parts = vec![format.to_owned()];
    if rsyslog.protocol != Protocol::Udp {
        let framing = match rsyslog.framing {
            Framing::OctetCounting => "the length in front of each message",
            Framing::Newline => "a line feed behind each message",
        };
        parts.push(framing.to_owned());
    }
    parts.push(format!("severity {}", rsyslog.severity));
    if rsyslog.protocol == Protocol::Tls {
        let ca = if rsyslog.ca.is_some() {
            "`rsyslog_ca`"
        } else {
            "the machine's authorities"
        };
        parts.push(format!("trusting {ca}"));
    } else {
        parts.push("not encrypted".to_owned());
    }
    parts
}

/// Where a key comes from, never the key.
pub(crate) fn key_text(key: &LogKey, what: &str) -> String {
    match key {
        LogKey::Stored(reference) => format!("{what} from {}", secret_text(reference)),
        LogKey::UserData(name) => format!("{what} from `{name}` of the user data"),
    }
}

/// What is done to lines, in the order it is done.
fn treatment_parts(treatment: &Treatment) -> Vec<String> {
    let pattern = |text: &str| text::one_line(text, VALUE_WIDTH);
    let mut parts = Vec::new();
    if let Some(start) = &treatment.multiline_start {
        parts.push(format!("events begin at /{}/", pattern(start)));
    }
    if let Some(exclude) = &treatment.exclude {
        parts.push(format!("without /{}/", pattern(exclude)));
    }
    for rule in &treatment.sampling {
        let percent = f64::from(rule.keep_millionths) / 10_000.0;
        parts.push(format!("{percent} % of /{}/", pattern(&rule.pattern)));
    }
    if treatment.redact_jwt {
        parts.push("JSON Web Tokens taken out".to_owned());
    }
    for rule in &treatment.redact {
        parts.push(format!("/{}/ taken out", pattern(&rule.pattern)));
    }
    if let Some(bytes) = treatment.max_line {
        parts.push(format!("lines cut at {}", text::bytes(bytes)));
    }
    parts
}

fn application_text(plan: &ApplicationLogPlan) -> String {
    let format = match &plan.format {
        LineStyle::Bare => "bare lines",
        LineStyle::Legacy if plan.aws_metadata => "time, account, region, host and tag in front",
        LineStyle::Legacy => "time, host and tag in front",
        LineStyle::Template(_) => "lines by a template",
    };
    let cut = plan
        .max_line
        .map_or_else(String::new, |bytes| format!(", cut at {}", text::bytes(bytes)));
    format!("{}; {format}{cut}", rotate_text(&plan.rotate))
}

fn rotate_text(rotate: &Rotate) -> String {
    let old = match (rotate.keep, rotate.compress, rotate.delay_compress) {
        (0, _, _) => "no old one kept".to_owned(),
        (keep, false, _) => format!("{keep} old ones at most"),
        (keep, true, false) => format!("{keep} old ones at most, compressed"),
        (keep, true, true) => format!("{keep} old ones at most, compressed but for the newest"),
    };
    format!(
        "{}; a new file at {} or after {}, {old}",
        text::bytes(rotate.total),
        text::bytes(rotate.size),
        text::duration(Duration::from_secs(rotate.interval_seconds))
    )
}

fn route_json(route: &Route) -> Value {
    let mut map = Map::new();
    map.insert("stream".to_owned(), json!(route.stream));
    map.insert("origin".to_owned(), json!(route.origin.to_string()));
    map.insert("sink".to_owned(), route.target.sink().into());
    let more = match &route.target {
        Target::CloudWatch { group } => json!({ "group": group }),
        Target::S3(s3) => json!(s3),
        Target::Rsyslog(rsyslog) => {
            let mut all = json!(rsyslog);
            // Enough to tell one from another; nobody reads a certificate here.
            if let (Some(ca), Some(map)) = (&rsyslog.ca, all.as_object_mut()) {
                map.insert("ca".to_owned(), fingerprint(ca.as_bytes()).into());
            }
            all
        }
        Target::Scalyr(scalyr) => json!({
            "region": scalyr.region,
            "parser": scalyr.parser,
            "key": key_text(&scalyr.key, "key"),
        }),
        Target::Logentries { token } => json!({ "key": key_text(token, "key") }),
        Target::Otlp(otlp) => json!({ "url": otlp.url(Signal::Logs), "headers": otlp.header_texts() }),
    };
    map.insert("target".to_owned(), more);
    map.insert("treatment".to_owned(), json!(route.treatment));
    Value::Object(map)
}
