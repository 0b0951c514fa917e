//! Where lines go.

use crate::logs::StreamName;
use crate::secret::{Secret, SecretSource};

/// Everything the user data says about logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logging {
    /// Where streams go that have no destination of their own.
    pub destination: Option<Destination>,
    /// The container's output.
    pub applog: Stream,
    /// `/var/log/syslog`.
    pub syslog: Stream,
    /// `/var/log/auth.log`.
    pub authlog: Stream,
    /// `/var/log-custom`.
    pub customlog: Stream,
    /// CloudWatch Logs: file and group.
    pub cloudwatch_logs: Vec<(String, String)>,
    /// S3.
    pub s3: S3,
    /// Remote syslog.
    pub rsyslog: Rsyslog,
    /// Scalyr.
    pub scalyr: Scalyr,
    /// Logentries; `None` means off.
    pub logentries_account_key: Option<AccountKey>,
    /// What is taken out of every line that leaves the machine.
    pub redact: Vec<Redact>,
    /// Whether fluentd shipped lines in Taupage; Scalyr's agent then did not, unless told.
    pub fluentd_enabled: Option<bool>,
    /// How a line in application.log looks.
    pub application_log_format: Option<LineFormat>,
    /// Bytes of one line.
    pub max_message_size: Option<u64>,
    /// Account and region in front of each line.
    pub aws_metadata: Option<bool>,
    /// Known secrets are taken out of the container's lines.
    pub redact_secrets: Option<bool>,
    /// application.log.
    pub application_logrotate: Logrotate,
    /// `/var/log-custom/*.log`.
    pub customlog_logrotate: Logrotate,
}

impl Logging {
    /// The settings of one of the streams that have some.
    pub const fn stream(&self, name: StreamName) -> Option<&Stream> {
        match name {
            StreamName::Applog => Some(&self.applog),
            StreamName::Syslog => Some(&self.syslog),
            StreamName::Authlog => Some(&self.authlog),
            StreamName::Customlog => Some(&self.customlog),
            StreamName::File => None,
        }
    }

    /// A log service's key that stands in the user data as it is, by its own name: `logging.scalyr_account_key`.
    pub fn literal_key(&self, name: &str) -> Option<Secret> {
        let keys = [&self.scalyr.account_key, &self.logentries_account_key];
        let key = keys.into_iter().flatten().find(|key| key.key == name)?;
        match &key.source {
            SecretSource::Literal(secret) => Some(secret.clone()),
            SecretSource::Stored(_) => None,
        }
    }

    /// Where a stream goes: its own destination, or the one of all.
    pub fn destination_of(&self, name: StreamName) -> Destination {
        let own = self.stream(name).and_then(|stream| stream.destination);
        own.or(self.destination).unwrap_or(Destination::None)
    }

    /// Whether what Scalyr's agent was told counts: in Taupage it did not run beside fluentd unless told.
    pub fn scalyr_agent(&self) -> bool {
        let beside = !self.fluentd_enabled.unwrap_or_default();
        self.scalyr.agent_enabled.unwrap_or(beside)
    }

    /// Whether a stream goes to Scalyr besides its destination.
    pub fn is_shipped_to_scalyr_besides(&self, name: StreamName) -> bool {
        let Some(stream) = self.stream(name) else {
            return false;
        };
        let all = self.scalyr.use_agent_for_all;
        let all = all.unwrap_or_else(|| !self.fluentd_enabled.unwrap_or_default());
        self.scalyr_agent() && stream.use_scalyr_agent.unwrap_or(all)
    }
}

/// One stream's own settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stream {
    /// Where it goes.
    pub destination: Option<Destination>,
    /// Matching lines are dropped.
    pub filter_exclude: Option<String>,
    /// The pattern of a line that begins an event.
    pub multiline_start: Option<String>,
    /// Shipped by the Scalyr agent of the original.
    pub use_scalyr_agent: Option<bool>,
    /// Scalyr's sampling rules.
    pub sampling: Vec<Sampling>,
}

/// Keep only a part of the lines that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// A regular expression.
    pub match_expression: String,
    /// Millionths of the lines that are kept.
    pub keep_millionths: u32,
}

/// Something that is taken out of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redact {
    /// A regular expression.
    pub pattern: String,
    /// What stands there instead.
    pub replacement: String,
}

/// A key that a log service asks for, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey {
    /// `logging.scalyr_account_key`.
    pub key: String,
    /// The key itself, or where it is.
    pub source: SecretSource,
}

/// The kinds of places for lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Objects in a bucket.
    S3,
    /// Remote syslog.
    Rsyslog,
    /// Scalyr.
    Scalyr,
    /// Both.
    ScalyrS3,
    /// Nowhere.
    None,
}

impl Destination {
    /// Whether lines go to a bucket.
    pub const fn is_s3(self) -> bool {
        matches!(self, Self::S3 | Self::ScalyrS3)
    }

    /// Whether lines go to Scalyr.
    pub const fn is_scalyr(self) -> bool {
        matches!(self, Self::Scalyr | Self::ScalyrS3)
    }
}

/// Objects in a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3 {
    /// Its name.
    pub bucket: Option<String>,
    /// Seconds an object covers.
    pub timekey_seconds: Option<u32>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Lines as they are instead of JSON.
    pub raw_log_format: Option<bool>,
    /// A canned ACL.
    pub acl: Option<String>,
}

/// Remote syslog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rsyslog {
    /// Its name or address.
    pub host: Option<String>,
    /// 514 unless told; 6514 in TLS.
    pub port: Option<u16>,
    /// `tcp` unless told.
    pub protocol: Option<String>,
    /// `notice` unless told.
    pub severity: Option<String>,
    /// The tag.
    pub program: Option<String>,
    /// The host name in each line.
    pub hostname: Option<String>,
    /// `rfc3164` unless told; `rfc5424` in TLS.
    pub format: Option<String>,
    /// `newline` unless told; `octet-counting` in TLS.
    pub framing: Option<String>,
    /// Certificates of authorities as PEM.
    pub ca: Option<String>,
}

/// Scalyr.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scalyr {
    /// `None` means off.
    pub account_key: Option<AccountKey>,
    /// `eu` or `us`.
    pub region: Option<String>,
    /// Parser of the container's output.
    pub application_log_parser: Option<String>,
    /// Parser of `/var/log-custom`.
    pub custom_log_parser: Option<String>,
    /// All streams by the Scalyr agent of the original.
    pub use_agent_for_all: Option<bool>,
    /// Whether the original ran that agent at all.
    pub agent_enabled: Option<bool>,
}

/// How a line in application.log looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// The message alone.
    Bare,
    /// Timestamp, host, tag.
    Legacy,
    /// A template of rsyslog's.
    Template(String),
}

/// When a file is rotated and how many are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logrotate {
    /// Bytes.
    pub size: Option<u64>,
    /// `hourly`, `daily`, `weekly`, `monthly`, `yearly`.
    pub interval: Option<String>,
    /// Files kept.
    pub rotate: Option<u32>,
    /// Old files stay as they are.
    pub disable_compress: Option<bool>,
    /// The newest old file is compressed at once.
    pub disable_delaycompress: Option<bool>,
    /// Renamed instead of copied and truncated.
    pub disable_copytruncate: Option<bool>,
}
