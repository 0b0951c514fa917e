//! What is shipped where, and what is done to it on the way: the part of a plan that log shipping obeys.
//!
//! Plain values, no secret among them: a key is named, never held. So the whole of it can lie in the hint that a
//! restarted agent finds, and be shown to anybody.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::otlp::OtlpTarget;
use crate::secret::{SecretRef, SecretSource};
use crate::trace::Trace;

/// Everything log shipping is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// How application.log looks and how much of the disk it takes.
    pub application_log: ApplicationLogPlan,
    /// Everything that leaves the machine, and how.
    pub routes: Vec<Route>,
    /// Bytes of disk that everything logs occupy may take: the engine's files, application.log, custom logs.
    pub budget: u64,
    /// Who gets how much of it.
    #[serde(default)]
    pub split: Split,
}

/// Who gets how much of the budget, in bytes. None of it is ever exceeded for a key that asks for more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The engine's own files, which are the spool.
    pub engine: u64,
    /// application.log with its old files.
    pub application_log: u64,
    /// All of `/var/log-custom`; nothing where the container does not have it.
    pub custom_logs: u64,
    /// Left for what the machine keeps of the same lines: the journal and rsyslog's files.
    pub machine: u64,
}

/// How application.log looks and how much of the disk it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationLogPlan {
    /// What a line looks like.
    pub format: LineStyle,
    /// Account and region in front of each line.
    pub aws_metadata: bool,
    /// Longer lines are cut at so many bytes.
    pub max_line: Option<u64>,
    /// When a file is put aside, and how many are kept.
    pub rotate: Rotate,
}

/// What a line of application.log looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineStyle {
    /// The text alone.
    #[default]
    Bare,
    /// Time, host and tag in front, as rsyslog's traditional file format has it.
    Legacy,
    /// A template of rsyslog's.
    Template(String),
}

/// When a file is put aside, and how many are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// A file that would grow beyond so many bytes.
    pub size: u64,
    /// A file that is this old, in seconds.
    pub interval_seconds: u64,
    /// Files put aside that are kept.
    pub keep: usize,
    /// Whether files put aside are compressed.
    pub compress: bool,
    /// Whether the newest of them stays as it is until the next one comes.
    pub delay_compress: bool,
    /// Bytes of all of them together.
    pub total: u64,
}

/// A stream of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// The container's output.
    Applog,
    /// `/var/log/syslog`.
    Syslog,
    /// `/var/log/auth.log`.
    Authlog,
    /// `/var/log-custom/*.log`.
    Customlog,
    /// Another file, named by `cloudwatch_logs`.
    File,
}

impl StreamName {
    /// One word: in keys, in status, in cursor files' names and in the layout of a bucket.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Applog => "applog",
            Self::Syslog => "syslog",
            Self::Authlog => "authlog",
            Self::Customlog => "customlog",
            Self::File => "file",
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The container.
    Application,
    /// A plain file, with what rotation makes of it.
    File(String),
    /// Every `*.log` of a directory, each a file of its own.
    Folder(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application => f.write_str("the container"),
            Self::File(path) => f.write_str(path),
            Self::Folder(path) => write!(f, "{path}/*.log"),
        }
    }
}

/// Lines of one origin on their way to one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Which stream.
    pub stream: StreamName,
    /// Where its lines come from.
    pub origin: Origin,
    /// Where they go.
    pub target: Target,
    /// What is done to them on the way.
    pub treatment: Treatment,
}

/// Where lines go, off the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// CloudWatch Logs; the stream is the instance's id.
    CloudWatch {
        /// The log group.
        group: String,
    },
    /// Objects in a bucket.
    S3(S3Target),
    /// A log server.
    Rsyslog(RsyslogTarget),
    /// Scalyr.
    Scalyr(ScalyrTarget),
    /// Logentries.
    Logentries {
        /// The token that every line begins with.
        token: LogKey,
    },
    /// A receiver of OTLP.
    Otlp(OtlpTarget),
}

impl Target {
    /// The name of the sink: in status and in cursor files' names.
    pub const fn sink(&self) -> &'static str {
        match self {
            Self::CloudWatch { .. } => "cloudwatch",
            Self::S3(_) => "s3",
            Self::Rsyslog(_) => "rsyslog",
            Self::Scalyr(_) => "scalyr",
            Self::Logentries { .. } => "logentries",
            Self::Otlp(_) => "otlp",
        }
    }
}

/// A key that a log service asks for. A literal is not kept: it is read out of the user data when it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogKey {
    /// Asked of a store.
    Stored(#[serde(with = "reference_as_text")] SecretRef),
    /// In the user data, under this key: `logging.scalyr_account_key`.
    UserData(String),
}

impl LogKey {
    /// Of a value that the user data has, or names the place of, under this key.
    pub(crate) fn new(source: &SecretSource, key: &str) -> Self {
        match source {
            SecretSource::Stored(reference) => Self::Stored(reference.clone()),
            SecretSource::Literal(_) => Self::UserData(key.to_owned()),
        }
    }
}

mod reference_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::secret::SecretRef;

    pub(super) fn serialize<S: Serializer>(reference: &SecretRef, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&reference.canonical())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretRef, D::Error> {
        let text = String::deserialize(from)?;
        match SecretRef::parse(&text) {
            Some(Ok(reference)) => Ok(reference),
            _ => Err(D::Error::custom("not a reference to a secret")),
        }
    }
}

/// Objects in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Target {
    /// The bucket.
    pub bucket: String,
    /// Its region; the instance's unless told.
    pub region: Option<String>,
    /// Seconds that an object covers at most.
    pub timekey_seconds: u32,
    /// Lines as they are; else each as JSON.
    pub raw: bool,
    /// A canned ACL.
    pub acl: String,
}

/// How lines travel to a log server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A datagram each.
    Udp,
    /// One connection in the clear.
    Tcp,
    /// One connection in TLS.
    Tls,
}

/// How lines are told apart in a connection (RFC 6587).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// The length in front.
    OctetCounting,
    /// A line feed behind.
    Newline,
}

/// What a syslog message looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFormat {
    /// The traditional one.
    Rfc3164,
    /// The one with a full time and structured data.
    Rfc5424,
}

/// A log server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RsyslogTarget {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How lines travel.
    pub protocol: Protocol,
    /// How they are told apart.
    pub framing: Framing,
    /// What a message looks like.
    pub format: SyslogFormat,
    /// 0 (emergency) to 7 (debug).
    pub severity: u8,
    /// The program name in each message; the application's id unless told.
    pub program: Option<String>,
    /// The host name in each message; the machine's unless told.
    pub hostname: Option<String>,
    /// Certificates of authorities, as PEM, that are trusted instead of the system's.
    pub ca: Option<String>,
}

/// Scalyr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalyrTarget {
    /// The key that lets lines be written.
    pub key: LogKey,
    /// `eu` or `us`.
    pub region: String,
    /// What Scalyr reads the lines with.
    pub parser: String,
}

/// What is done to lines on their way, in this order: lines are joined to events, some are dropped, tokens are taken
/// out, what is too long is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Treatment {
    /// The pattern of a line that begins an event; the lines after it belong to it.
    pub multiline_start: Option<String>,
    /// Lines that match are dropped, and counted.
    pub exclude: Option<String>,
    /// The first rule that matches a line says how many of its kind are kept.
    pub sampling: Vec<SamplingRule>,
    /// JSON Web Tokens are taken out.
    pub redact_jwt: bool,
    /// What else is taken out.
    pub redact: Vec<RedactRule>,
    /// Longer lines are cut at so many bytes, with a marker.
    pub max_line: Option<u64>,
}

/// How many of the lines that match are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplingRule {
    /// Which lines.
    pub pattern: String,
    /// Millionths of them.
    pub keep_millionths: u32,
}

/// Something that is taken out of lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactRule {
    /// What.
    pub pattern: String,
    /// What stands there instead; `$1` is what the first group matched.
    pub replacement: String,
}

/// Who lines are from: what sinks that have fields send with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// `application_id`.
    pub application_id: String,
    /// `application_version`.
    pub application_version: String,
    /// `source`, as the user data has it.
    pub image: String,
    /// CloudFormation's stack, where the user data names one.
    pub stack: Option<String>,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The instance.
    pub instance_id: String,
    /// Its host name.
    pub hostname: String,
    /// The image that the machine was launched from.
    #[serde(default)]
    pub ami: String,
    /// Names the deployment.
    #[serde(default)]
    pub deployment_id: String,
    /// The commit that the container's image was built from; empty until that is known.
    #[serde(default)]
    pub commit: String,
    /// The digest that runs; empty until that is known.
    #[serde(default)]
    pub digest: String,
}

impl Attributes {
    /// Adds what is known once the container is made.
    pub fn come_from(&mut self, trace: &Trace) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.commit = text(&trace.commit);
        self.digest = text(&trace.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_in_a_hint_and_comes_back() {
        let plan = LogPlan {
            routes: vec![Route {
                stream: StreamName::Applog,
                origin: Origin::Application,
                target: Target::Scalyr(ScalyrTarget {
                    key: LogKey::Stored(SecretRef::parse("aws:ssm:/logs/key").unwrap().unwrap()),
                    region: "eu".into(),
                    parser: "slf4j".into(),
                }),
                treatment: Treatment::default(),
            }],
            ..LogPlan::default()
        };
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<LogPlan>(&json).unwrap(), plan);
    }
}
