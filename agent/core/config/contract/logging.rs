//! Where lines go.

use super::Fate::Read;
use super::Shape::{
    Anything, Choice, Decimal, Either, Flag, List, Map, Number, Object, Secret, Size, Text, Time,
};
use super::{Grammar, Key, Shape};

const INTERVAL: Shape = Choice(&["hourly", "daily", "weekly", "monthly", "yearly"]);
const FILES: Shape = Number {
    least: 0,
    most: 1000,
    unit: "files",
};
/// Those that S3 knows for an object.
const ACL: Shape = Choice(&[
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
]);
const DESTINATION: Shape = Choice(&["s3", "rsyslog", "scalyr", "scalyr_s3", "none"]);
const RULES: &[Key] = &[
    Key::new(
        "match_expression",
        Text(Grammar::Regex),
        Read,
        "The lines the rule is for.",
    )
    .required()
    .example("match_expression: INFO"),
    Key::new(
        "sampling_rate",
        Decimal {
            least_thousandths: 0,
            most: 1,
            unit: "",
        },
        Read,
        "The part of them that is kept.",
    )
    .required()
    .example("sampling_rate: 0.1"),
];
const REDACT: &[Key] = &[
    Key::new("pattern", Text(Grammar::Regex), Read, "What is taken out.").example("pattern: '[0-9]{16}'"),
    Key::new(
        "match_expression",
        Text(Grammar::Regex),
        Read,
        "The same, as Scalyr names it.",
    )
    .example("match_expression: '[0-9]{16}'"),
    Key::new(
        "replacement",
        Text(Grammar::Any),
        Read,
        "What stands there instead; `$1` is what the first group matched.",
    )
    .default("nothing")
    .example("replacement: '+++CARD+++'"),
];
const SAMPLING: Shape = Either(&[List(&Object(RULES)), Text(Grammar::Rules)]);

const fn multiline(name: &'static str, summary: &'static str, example: &'static str) -> Key {
    Key::new(name, Text(Grammar::Regex), Read, summary)
        .default("each line is an event")
        .example(example)
}

const fn destination(name: &'static str, summary: &'static str, example: &'static str) -> Key {
    Key::new(name, DESTINATION, Read, summary)
        .default("`log_destination`")
        .example(example)
}

const fn agent(name: &'static str, summary: &'static str, example: &'static str) -> Key {
    Key::new(name, Flag, Read, summary)
        .default("`use_scalyr_agent_all`")
        .example(example)
}

const fn sampling(name: &'static str, summary: &'static str, example: &'static str) -> Key {
    Key::new(name, SAMPLING, Read, summary)
        .default("every line is kept")
        .example(example)
}

const LOGGING: &[Key] = &[
    destination(
        "log_destination",
        "Where streams go that have no destination of their own.",
        "log_destination: s3",
    )
    .default("none")
    .taupage("s3, into a bucket named after account and region."),
    destination("applog_destination", "Where the container's output goes.", "applog_destination: s3"),
    destination("syslog_destination", "Where /var/log/syslog goes.", "syslog_destination: none"),
    destination("authlog_destination", "Where /var/log/auth.log goes.", "authlog_destination: rsyslog"),
    destination("customlog_destination", "Where the files in /var/log-custom go.", "customlog_destination: s3"),
    Key::new(
        "applog_filter_exclude",
        Text(Grammar::Regex),
        Read,
        "A pattern: lines of the container that match it do not leave the machine.",
    )
    .example("applog_filter_exclude: ^DEBUG"),
    Key::new(
        "customlog_filter_exclude",
        Text(Grammar::Regex),
        Read,
        "A pattern: lines in /var/log-custom that match it do not leave the machine.",
    )
    .example("customlog_filter_exclude: ^DEBUG"),
    multiline(
        "applog_multiline_start",
        "A pattern: a line of the container that matches it begins an event, and the lines after it belong to it. Stack traces then leave the machine whole.",
        "applog_multiline_start: '^[0-9]{4}-'",
    ),
    multiline(
        "customlog_multiline_start",
        "A pattern: a line in /var/log-custom that matches it begins an event, and the lines after it belong to it.",
        "customlog_multiline_start: '^[0-9]{4}-'",
    ),
    Key::new(
        "redact",
        List(&Object(REDACT)),
        Read,
        "What is taken out of every line that leaves the machine. JSON Web Tokens always are, but for those in /var/log/auth.log; the files on the machine keep all of it.",
    )
    .example("redact: [{pattern: 'card=[0-9]+', replacement: 'card=+++CARD+++'}]"),
    Key::new("s3_bucket", Text(Grammar::Bucket), Read, "The bucket of the destination s3, which needs it.")
        .taupage("A bucket named after account and region, where none was given.")
        .example("s3_bucket: my-logs"),
    Key::new(
        "s3_timekey",
        Time {
            least: 1,
            most: 86_400,
        },
        Read,
        "How much time one object in the bucket covers.",
    )
    .default("5m")
    .example("s3_timekey: 1m"),
    Key::new("s3_region", Text(Grammar::Region), Read, "The region the bucket is in.")
        .default("the instance's")
        .example("s3_region: eu-central-1"),
    Key::new(
        "s3_raw_log_format",
        Flag,
        Read,
        "Writes lines to the bucket as they are, instead of each as JSON.",
    )
    .default("true")
    .taupage("The same; any string counted as true.")
    .example("s3_raw_log_format: false"),
    Key::new("s3_acl", ACL, Read, "The canned ACL of each object in the bucket.")
        .default("bucket-owner-full-control")
        .example("s3_acl: private"),
    Key::new(
        "rsyslog_host",
        Text(Grammar::Server),
        Read,
        "The log server of the destination rsyslog, which needs it.",
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
        "The log server's port.",
    )
    .default("514, and 6514 with `rsyslog_protocol: tls`")
    .example("rsyslog_port: 6514"),
    Key::new(
        "rsyslog_protocol",
        Choice(&["tcp", "udp", "tls"]),
        Read,
        "How lines travel to the log server.",
    )
    .default("tcp")
    .taupage("tcp or udp.")
    .example("rsyslog_protocol: tls"),
    Key::new(
        "rsyslog_format",
        Choice(&["rfc3164", "rfc5424"]),
        Read,
        "What a message to the log server looks like: the traditional form, or the one with a full time and fields.",
    )
    .default("rfc3164, and rfc5424 with `rsyslog_protocol: tls`")
    .taupage("fluentd wrote RFC 3164.")
    .example("rsyslog_format: rfc5424"),
    Key::new(
        "rsyslog_framing",
        Choice(&["octet-counting", "newline"]),
        Read,
        "How the log server tells messages in one connection apart (RFC 6587): by the length in front, or by the line feed behind. A datagram needs neither.",
    )
    .default("newline, and octet-counting with `rsyslog_protocol: tls`, as RFC 5425 has it")
    .taupage("fluentd wrote a line feed.")
    .example("rsyslog_framing: octet-counting"),
    Key::new(
        "rsyslog_ca",
        Text(Grammar::Certificates),
        Read,
        "Certificates of authorities, as PEM, that the log server's may be signed by instead of the machine's own.",
    )
    .default("those of the machine")
    .example("rsyslog_ca: |\n  -----BEGIN CERTIFICATE-----\n  MAMCAQE=\n  -----END CERTIFICATE-----"),
    Key::new(
        "rsyslog_severity",
        Choice(&[
            "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
        ]),
        Read,
        "The severity lines are sent with.",
    )
    .default("notice")
    .example("rsyslog_severity: info"),
    Key::new(
        "rsyslog_program",
        Text(Grammar::NotEmpty),
        Read,
        "The program name lines are sent with.",
    )
    .default("`application_id`")
    .taupage("fluentd, unless given.")
    .example("rsyslog_program: my-app"),
    Key::new(
        "rsyslog_hostname",
        Text(Grammar::NotEmpty),
        Read,
        "The host name lines are sent with.",
    )
    .default("the machine's")
    .example("rsyslog_hostname: my-host"),
    Key::new(
        "scalyr_account_key",
        Secret,
        Read,
        "The key that lets lines be written to Scalyr; empty means off.",
    )
    .default("the one at the top level")
    .example("scalyr_account_key: aws:kms:AQICAHhFeGFtcGxl"),
    Key::new("scalyr_region", Choice(&["eu", "us"]), Read, "The region of Scalyr that lines go to.")
        .default("eu")
        .example("scalyr_region: us"),
    Key::new(
        "scalyr_application_log_parser",
        Text(Grammar::NotEmpty),
        Read,
        "The parser Scalyr uses for the container's output.",
    )
    .default("slf4j")
    .example("scalyr_application_log_parser: json"),
    Key::new(
        "scalyr_custom_log_parser",
        Text(Grammar::NotEmpty),
        Read,
        "The parser Scalyr uses for /var/log-custom.",
    )
    .default("slf4j")
    .example("scalyr_custom_log_parser: json"),
    agent(
        "use_scalyr_agent_all",
        "Whether streams are shipped to Scalyr besides their destination, where the stream's own key says nothing.",
        "use_scalyr_agent_all: true",
    )
    .default("true where `scalyr_account_key` is given and `fluentd_enabled` is not true"),
    agent(
        "use_scalyr_agent_applog",
        "Ships the container's output to Scalyr besides its destination.",
        "use_scalyr_agent_applog: true",
    ),
    agent(
        "use_scalyr_agent_syslog",
        "Ships /var/log/syslog to Scalyr besides its destination.",
        "use_scalyr_agent_syslog: true",
    ),
    agent(
        "use_scalyr_agent_authlog",
        "Ships /var/log/auth.log to Scalyr besides its destination.",
        "use_scalyr_agent_authlog: true",
    ),
    agent(
        "use_scalyr_agent_customlog",
        "Ships /var/log-custom to Scalyr besides its destination.",
        "use_scalyr_agent_customlog: true",
    ),
    sampling(
        "scalyr_agent_applog_sampling",
        "How much of the container's output Scalyr gets: rules as a list, or as a string that holds one.",
        "scalyr_agent_applog_sampling: '[{match_expression: INFO, sampling_rate: 0.1}]'",
    ),
    sampling(
        "scalyr_agent_syslog_sampling",
        "How much of /var/log/syslog Scalyr gets: rules as a list, or as a string that holds one.",
        "scalyr_agent_syslog_sampling: '[{match_expression: INFO, sampling_rate: 0.1}]'",
    ),
    sampling(
        "scalyr_agent_authlog_sampling",
        "How much of /var/log/auth.log Scalyr gets: rules as a list, or as a string that holds one.",
        "scalyr_agent_authlog_sampling: '[{match_expression: INFO, sampling_rate: 0.1}]'",
    ),
    sampling(
        "scalyr_agent_customlog_sampling",
        "How much of /var/log-custom Scalyr gets: rules as a list, or as a string that holds one.",
        "scalyr_agent_customlog_sampling: '[{match_expression: INFO, sampling_rate: 0.1}]'",
    ),
    Key::new(
        "fluentd_enabled",
        Flag,
        Read,
        "Whether fluentd shipped lines. There is no fluentd here: the key only says that Scalyr's agent did not run beside it, so that nothing goes to Scalyr that did not before.",
    )
    .default("false")
    .ours("Streams without a destination went to a bucket; here they stay on the machine, which a warning says.")
    .example("fluentd_enabled: true"),
    Key::new(
        "scalyr_agent_enabled",
        Flag,
        Read,
        "Whether the keys `use_scalyr_agent_*` count.",
    )
    .default("true unless `fluentd_enabled` is")
    .example("scalyr_agent_enabled: true"),
    Key::new(
        "fluentd_*",
        Anything,
        super::Fate::Retired("the other `logging` keys"),
        "Tuning of fluentd itself.",
    ),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("log_budget", Size { least: 3 << 20 }, Read, "How much of the disk all logs together may take: the engine's files of the container's output, application.log with its old files, and room for /var/log-custom and for what the journal and rsyslog keep of the same lines. Half of it is the engine's, three eighths are application.log's, an eighth is left for the machine; with `mount_custom_log` it is three, two and one, and two are left for /var/log-custom. What is left for others is not enforced: nobody but the application keeps /var/log-custom small. It is the stronger where other keys ask for more. Output that is rotated away before it is shipped is counted as lost.")
        .default("2g")
        .taupage("No budget: full disks were its most frequent outage.")
        .example("log_budget: 1g"),
    Key::new("logging", Object(LOGGING), Read, "Where lines are shipped, stream by stream.")
        .taupage("Fluentd and Scalyr's agent shipped them; what they lost nobody knew.")
        .example("logging:\n  applog_destination: s3\n  s3_bucket: my-logs"),
    Key::new("cloudwatch_logs", Map { key: "the file", names: Grammar::LogPath, value: &Text(Grammar::LogGroup) }, Read, "Files that are shipped to CloudWatch Logs, and their log groups; each instance has a stream of its own. /var/log/application.log stands for the container's output, from the first line to the last; `*.log` at the end of a path for every such file of a directory. Below /var/log-custom, which needs `mount_custom_log`, only files of that directory itself are read.")
        .taupage("The same; stars stood anywhere in a path, for the newest file that matched.")
        .example("cloudwatch_logs:\n  /var/log/application.log: my-group"),
    Key::new("rsyslog_application_log_format", Text(Grammar::NotEmpty), Read, "What a line in application.log looks like: `bare`, `legacy` (timestamp, host and tag in front), or a template of rsyslog's.")
        .default("bare")
        .taupage("The same.")
        .example("rsyslog_application_log_format: legacy"),
    Key::new("rsyslog_max_message_size", Size { least: 256 }, Read, "The longest line that is passed on whole; a longer one is cut. It holds for the container's output and for the machine's own logs.")
        .default("no limit")
        .taupage("rsyslog's own, 8k unless given.")
        .example("rsyslog_max_message_size: 32k"),
    Key::new("rsyslog_aws_metadata", Flag, Read, "Puts account and region in front of each line that application.log has in the format `legacy`, and has Scalyr read /var/log/syslog and /var/log/auth.log with the parser systemLogMetadata.")
        .default("false")
        .taupage("The same; any value, \"false\" included, counted as true.")
        .example("rsyslog_aws_metadata: true"),
    Key::new("redact_secrets", Flag, Read, "Takes the secrets that are known (decrypted values) out of the container's lines before they are written to application.log or sent anywhere: as they are, escaped, in base64, and over several lines. A line that may be the beginning of one waits a second for the next. The engine's own log files on the machine, and so `docker logs`, keep them.")
        .default("false")
        .taupage("There was none: what an application printed was shipped.")
        .example("redact_secrets: true"),
    Key::new("application_logrotate_size", Size { least: 1 }, Read, "How large application.log becomes before it is rotated. `log_budget` is the stronger: where a file and an old one of this size do not fit into it, files are smaller.").default("256M").taupage("The same.").example("application_logrotate_size: 100M"),
    Key::new("application_logrotate_interval", INTERVAL, Read, "How often application.log is rotated at least.").default("weekly").taupage("The same.").example("application_logrotate_interval: daily"),
    Key::new("application_logrotate_rotate", FILES, Read, "How many old files of application.log are kept.").default("4").taupage("The same.").example("application_logrotate_rotate: 2"),
    Key::new("application_logrotate_disable_compress", Flag, Read, "Leaves old files of application.log uncompressed.").default("false").taupage("The same.").example("application_logrotate_disable_compress: true"),
    Key::new("application_logrotate_disable_delaycompress", Flag, Read, "Compresses the newest old file at once.").default("false").taupage("The same.").example("application_logrotate_disable_delaycompress: true"),
    Key::new("application_logrotate_disable_copytruncate", Flag, Read, "application.log is always renamed, never copied and truncated: its writer is the agent, which follows.").default("true").taupage("Whether logrotate renamed it.").example("application_logrotate_disable_copytruncate: true"),
    Key::new("customlog_logrotate_size", Size { least: 1 }, Read, "How large a `*.log` file in /var/log-custom becomes before it is rotated, by logrotate, which looks every hour. The file is copied and truncated, since its writer keeps it open: lines that are written between the two are lost, and what goes to the container's output is not. `log_budget` is the stronger.").default("256M").taupage("The same; with a size the interval had no effect.").example("customlog_logrotate_size: 100M"),
    Key::new("customlog_logrotate_interval", INTERVAL, Read, "How often files in /var/log-custom are rotated at least.").default("daily").taupage("The same.").example("customlog_logrotate_interval: weekly"),
    Key::new("customlog_logrotate_rotate", FILES, Read, "How many old files are kept of each in /var/log-custom.").default("5").taupage("The same.").example("customlog_logrotate_rotate: 2"),
    Key::new("scalyr_account_key", Secret, Read, "The key that lets lines be written to Scalyr; empty means off. The one in `logging` counts first.").default("nothing goes to Scalyr").taupage("The same.").example("scalyr_account_key: aws:kms:AQICAHhFeGFtcGxl"),
    Key::new("scalyr_region", Choice(&["eu", "us"]), Read, "The region of Scalyr that lines go to.").default("eu").taupage("Read, and not used: lines went to eu.").example("scalyr_region: us"),
    Key::new("scalyr_application_log_parser", Text(Grammar::NotEmpty), Read, "The parser Scalyr uses for the container's output.").default("slf4j").taupage("The same.").example("scalyr_application_log_parser: json"),
    Key::new("scalyr_custom_log_parser", Text(Grammar::NotEmpty), Read, "The parser Scalyr uses for /var/log-custom.").default("slf4j").taupage("The same.").example("scalyr_custom_log_parser: json"),
    Key::new("logentries_account_key", Secret, Read, "The token that lets lines be written to Logentries, which then gets the container's output, /var/log/syslog and /var/log/auth.log; empty means off.").default("nothing goes to Logentries").taupage("The same, with a key of the account that made a token for each; later versions did not read it.").example("logentries_account_key: aws:kms:AQICAHhFeGFtcGxl"),
];
