//! Where lines go.

use super::Fate::{Later, Read};
use super::Shape::{Anything, Choice, Either, Flag, Map, Number, Object, Secret, Size, Text, Time};
use super::{Grammar, Key, Shape};

const NOT_SHIPPED: &str = "lines go to /var/log/application.log and to the local syslog only";
const NOT_ROTATED: &str = "application.log is rotated by the agent at 64 MiB";
const INTERVAL: Shape = Choice(&["hourly", "daily", "weekly", "monthly", "yearly"]);
const FILES: Shape = Number {
    least: 0,
    most: 1000,
    unit: "files",
};
const DESTINATION: Shape = Choice(&["s3", "rsyslog", "scalyr", "scalyr_s3", "none"]);
const SAMPLING: Shape = Anything;

const fn destination(name: &'static str, summary: &'static str) -> Key {
    Key::new(name, DESTINATION, Read, summary)
        .default("`log_destination`")
        .example("applog_destination: s3")
}

const fn agent(name: &'static str) -> Key {
    Key::new(
        name,
        Flag,
        Read,
        "Ships the stream to Scalyr without going through the others.",
    )
    .example("use_scalyr_agent_applog: true")
}

const fn sampling(name: &'static str) -> Key {
    Key::new(name, SAMPLING, Read, "Scalyr's sampling rules, as a list or as a string that holds one: match_expression and sampling_rate.")
        .example("scalyr_agent_applog_sampling: '[{match_expression: INFO, sampling_rate: 0.1}]'")
}

const LOGGING: &[Key] = &[
    destination(
        "log_destination",
        "Where streams go that have no destination of their own.",
    )
    .default("none"),
    destination("applog_destination", "Where the container's output goes."),
    destination("syslog_destination", "Where /var/log/syslog goes."),
    destination("authlog_destination", "Where /var/log/auth.log goes."),
    destination("customlog_destination", "Where /var/log-custom goes."),
    Key::new(
        "applog_filter_exclude",
        Text(Grammar::Regex),
        Read,
        "Lines of the container that match are dropped.",
    )
    .example("applog_filter_exclude: ^DEBUG"),
    Key::new(
        "customlog_filter_exclude",
        Text(Grammar::Regex),
        Read,
        "Lines of /var/log-custom that match are dropped.",
    )
    .example("customlog_filter_exclude: ^DEBUG"),
    Key::new("s3_bucket", Text(Grammar::NotEmpty), Read, "The bucket's name.").example("s3_bucket: my-logs"),
    Key::new(
        "s3_timekey",
        Time {
            least: 1,
            most: 86_400,
        },
        Read,
        "How much time an object covers.",
    )
    .default("5m")
    .example("s3_timekey: 1m"),
    Key::new("s3_region", Text(Grammar::NotEmpty), Read, "The bucket's region.")
        .default("the instance's")
        .example("s3_region: eu-central-1"),
    Key::new(
        "s3_raw_log_format",
        Flag,
        Read,
        "Lines as they are instead of JSON.",
    )
    .default("false")
    .example("s3_raw_log_format: true"),
    Key::new("s3_acl", Text(Grammar::NotEmpty), Read, "A canned ACL.")
        .default("bucket-owner-full-control")
        .example("s3_acl: private"),
    Key::new(
        "rsyslog_host",
        Text(Grammar::NotEmpty),
        Read,
        "The remote log server.",
    )
    .example("rsyslog_host: logs.example.org"),
    Key::new(
        "rsyslog_port",
        Number {
            least: 1,
            most: 65_535,
            unit: "",
        },
        Read,
        "Its port.",
    )
    .default("514")
    .example("rsyslog_port: 6514"),
    Key::new(
        "rsyslog_protocol",
        Choice(&["tcp", "udp"]),
        Read,
        "How lines travel.",
    )
    .default("tcp")
    .example("rsyslog_protocol: udp"),
    Key::new(
        "rsyslog_severity",
        Choice(&[
            "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
        ]),
        Read,
        "Severity of the lines.",
    )
    .default("notice")
    .example("rsyslog_severity: info"),
    Key::new(
        "rsyslog_program",
        Text(Grammar::NotEmpty),
        Read,
        "The tag of the lines.",
    )
    .default("`application_id`")
    .example("rsyslog_program: my-app"),
    Key::new(
        "rsyslog_hostname",
        Text(Grammar::NotEmpty),
        Read,
        "The host name in the lines.",
    )
    .default("the machine's")
    .example("rsyslog_hostname: my-host"),
    Key::new(
        "scalyr_account_key",
        Secret,
        Read,
        "Scalyr's write key; empty means off.",
    )
    .example("scalyr_account_key: aws:kms:AQICAHh..."),
    Key::new("scalyr_region", Choice(&["eu", "us"]), Read, "Scalyr's region.")
        .default("eu")
        .example("scalyr_region: us"),
    Key::new(
        "scalyr_application_log_parser",
        Text(Grammar::NotEmpty),
        Read,
        "Scalyr's parser of the container's lines.",
    )
    .default("slf4j")
    .example("scalyr_application_log_parser: json"),
    Key::new(
        "scalyr_custom_log_parser",
        Text(Grammar::NotEmpty),
        Read,
        "Scalyr's parser of /var/log-custom.",
    )
    .default("slf4j")
    .example("scalyr_custom_log_parser: json"),
    agent("use_scalyr_agent_all"),
    agent("use_scalyr_agent_applog"),
    agent("use_scalyr_agent_syslog"),
    agent("use_scalyr_agent_authlog"),
    agent("use_scalyr_agent_customlog"),
    sampling("scalyr_agent_applog_sampling"),
    sampling("scalyr_agent_syslog_sampling"),
    sampling("scalyr_agent_authlog_sampling"),
    sampling("scalyr_agent_customlog_sampling"),
    Key::new(
        "fluentd_*",
        Anything,
        super::Fate::Retired("the other `logging` keys"),
        "Fluentd's own tuning.",
    ),
    Key::new(
        "scalyr_agent_enabled",
        Anything,
        super::Fate::Retired("the other `logging` keys"),
        "Whether Scalyr's agent ran.",
    ),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("logging", Object(LOGGING), Later(NOT_SHIPPED), "Where lines are shipped to, stream by stream.")
        .taupage("Fluentd and Scalyr's agent shipped them; what they lost nobody knew.")
        .example("logging:\n  applog_destination: s3\n  s3_bucket: my-logs"),
    Key::new("cloudwatch_logs", Map { key: "the file", value: &Text(Grammar::NotEmpty) }, Later(NOT_SHIPPED), "Files and their log groups in CloudWatch Logs; one stream for each instance.")
        .taupage("The same.")
        .example("cloudwatch_logs:\n  /var/log/application.log: my-group"),
    Key::new("rsyslog_application_log_format", Text(Grammar::NotEmpty), Later("application.log has bare lines"), "How a line in application.log looks: `bare`, `legacy` (timestamp, host, tag), or a template of rsyslog's.")
        .default("bare")
        .taupage("The same.")
        .example("rsyslog_application_log_format: legacy"),
    Key::new("rsyslog_max_message_size", Size { least: 256 }, Later("lines are not cut"), "The longest line.")
        .taupage("The same, for rsyslog.")
        .example("rsyslog_max_message_size: 32k"),
    Key::new("rsyslog_aws_metadata", Flag, Later("lines carry no account and region"), "Account and region in front of each line.")
        .default("false")
        .taupage("The same.")
        .example("rsyslog_aws_metadata: true"),
    Key::new("application_logrotate_size", Size { least: 1 }, Later(NOT_ROTATED), "Bytes at which application.log is rotated.").default("256M").taupage("The same.").example("application_logrotate_size: 100M"),
    Key::new("application_logrotate_interval", INTERVAL, Later(NOT_ROTATED), "How often application.log is rotated.").default("weekly").taupage("The same.").example("application_logrotate_interval: daily"),
    Key::new("application_logrotate_rotate", FILES, Later(NOT_ROTATED), "Old files that are kept.").default("4").taupage("The same.").example("application_logrotate_rotate: 2"),
    Key::new("application_logrotate_disable_compress", Flag, Later(NOT_ROTATED), "Old files stay as they are.").default("false").taupage("The same.").example("application_logrotate_disable_compress: true"),
    Key::new("application_logrotate_disable_delaycompress", Flag, Later(NOT_ROTATED), "The newest old file is compressed at once.").default("false").taupage("The same.").example("application_logrotate_disable_delaycompress: true"),
    Key::new("application_logrotate_disable_copytruncate", Flag, Later(NOT_ROTATED), "Renamed instead of copied and truncated.").default("false").taupage("The same.").example("application_logrotate_disable_copytruncate: true"),
    Key::new("customlog_logrotate_size", Size { least: 1 }, Later("/var/log-custom is not rotated"), "Bytes at which a file below /var/log-custom is rotated.").default("256M").taupage("The same.").example("customlog_logrotate_size: 100M"),
    Key::new("customlog_logrotate_interval", INTERVAL, Later("/var/log-custom is not rotated"), "How often files below /var/log-custom are rotated.").default("daily").taupage("The same.").example("customlog_logrotate_interval: weekly"),
    Key::new("customlog_logrotate_rotate", FILES, Later("/var/log-custom is not rotated"), "Old files that are kept.").default("5").taupage("The same.").example("customlog_logrotate_rotate: 2"),
    Key::new("scalyr_account_key", Secret, Later(NOT_SHIPPED), "Scalyr's write key; empty means off. May stand in `logging` too.").taupage("The same.").example("scalyr_account_key: aws:kms:AQICAHh..."),
    Key::new("scalyr_region", Choice(&["eu", "us"]), Later(NOT_SHIPPED), "Scalyr's region.").default("eu").taupage("The same.").example("scalyr_region: us"),
    Key::new("scalyr_application_log_parser", Text(Grammar::NotEmpty), Later(NOT_SHIPPED), "Scalyr's parser of the container's lines.").default("slf4j").taupage("The same.").example("scalyr_application_log_parser: json"),
    Key::new("scalyr_custom_log_parser", Text(Grammar::NotEmpty), Later(NOT_SHIPPED), "Scalyr's parser of /var/log-custom.").default("slf4j").taupage("The same.").example("scalyr_custom_log_parser: json"),
    Key::new("logentries_account_key", Either(&[Secret]), Later(NOT_SHIPPED), "Logentries' token; empty means off.").taupage("The same.").example("logentries_account_key: aws:kms:AQICAHh..."),
];
