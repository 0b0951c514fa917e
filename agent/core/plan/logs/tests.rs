use super::budget::LOG_BUDGET;
use super::*;
use crate::config::parse;

fn config(lines: &str) -> Config {
    let text = format!(
        "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n{lines}\n"
    );
    let report = parse(text.as_bytes(), "user data");
    report
        .planned()
        .unwrap_or_else(|| panic!("{lines}: {:?}", report.problems()))
        .clone()
}

fn plan(lines: &str) -> LogPlan {
    LogPlan::new(&config(lines))
}

/// `applog the container -> s3`.
fn lines_of(plan: &LogPlan) -> Vec<String> {
    let line = |route: &Route| format!("{} {} -> {}", route.stream, route.origin, route.target.sink());
    plan.routes.iter().map(line).collect()
}

fn routes(lines: &str) -> Vec<String> {
    lines_of(&plan(lines))
}

const BUCKET: &str = "  s3_bucket: my-logs\n";

#[test]
fn without_a_word_nothing_leaves_the_machine() {
    let plan = plan("");
    assert!(plan.routes.is_empty());
    assert_eq!(plan.budget, LOG_BUDGET);
    assert_eq!(plan.application_log.rotate.total, plan.split.application_log);
    assert_eq!(plan.application_log.rotate.size, 256 << 20);
}

#[test]
fn a_stream_goes_where_its_own_key_says_else_where_all_go() {
    assert_eq!(
        routes(&format!(
            "logging:\n{BUCKET}  log_destination: s3\n  authlog_destination: none"
        )),
        ["applog the container -> s3", "syslog /var/log/syslog -> s3"]
    );
    assert_eq!(
        routes(&format!(
            "mount_custom_log: true\nlogging:\n{BUCKET}  customlog_destination: s3\n  syslog_destination: rsyslog\n  rsyslog_host: h"
        )),
        [
            "syslog /var/log/syslog -> rsyslog",
            "customlog /var/log-custom/*.log -> s3"
        ]
    );
    // No directory, no lines.
    assert_eq!(
        routes(&format!("logging:\n{BUCKET}  log_destination: s3")).len(),
        3
    );
}

#[test]
fn an_account_key_ships_everything_to_scalyr_as_its_agent_did() {
    let key = "scalyr_account_key: aws:kms:aGk=\n";
    let all = [
        "applog the container -> scalyr",
        "syslog /var/log/syslog -> scalyr",
        "authlog /var/log/auth.log -> scalyr",
    ];
    assert_eq!(routes(key), all);
    // Told twice, shipped once.
    assert_eq!(routes(&format!("{key}logging: {{log_destination: scalyr}}")), all);
    assert_eq!(routes(&format!("{key}mount_custom_log: true")).len(), 4);
    assert_eq!(
        routes(&format!(
            "{key}logging:\n{BUCKET}  applog_destination: scalyr_s3\n  use_scalyr_agent_all: false\n  use_scalyr_agent_authlog: true"
        )),
        [
            "applog the container -> s3",
            "applog the container -> scalyr",
            "authlog /var/log/auth.log -> scalyr",
        ]
    );
    // Beside fluentd the agent did not run: nothing goes where it did not before.
    let fluentd = format!("{key}logging:\n{BUCKET}  fluentd_enabled: true\n  applog_destination: scalyr\n");
    assert_eq!(routes(&fluentd), all[..1]);
    assert_eq!(
        routes(&format!("{fluentd}  use_scalyr_agent_syslog: true")),
        all[..1],
        "the agent is off as a whole"
    );
    assert_eq!(
        routes(&format!(
            "{fluentd}  use_scalyr_agent_syslog: true\n  scalyr_agent_enabled: true"
        )),
        all[..2]
    );
    assert!(routes(&format!("{key}logging: {{scalyr_agent_enabled: false}}")).is_empty());
    for off in ["scalyr_account_key: ''", "scalyr_account_key:"] {
        assert!(routes(off).is_empty());
        // The one in `logging` counts, even where it says nothing.
        assert!(routes(&format!("{key}logging: {{{off}}}").replace("key:}", "key: null}")).is_empty());
    }
}

#[test]
fn keys_are_named_and_never_held() {
    let literal = "canary-of-an-account";
    let of = |lines: &str| match plan(lines).routes.first().map(|route| route.target.clone()) {
        Some(Target::Scalyr(scalyr)) => scalyr.key,
        Some(Target::Logentries { token }) => token,
        other => panic!("{lines}: {other:?}"),
    };
    assert_eq!(
        of(&format!("scalyr_account_key: {literal}")),
        LogKey::UserData("scalyr_account_key".to_owned())
    );
    assert_eq!(
        of(&format!("logging: {{scalyr_account_key: {literal}}}")),
        LogKey::UserData("logging.scalyr_account_key".to_owned())
    );
    assert_eq!(
        of(&format!("logentries_account_key: {literal}")),
        LogKey::UserData("logentries_account_key".to_owned())
    );
    assert!(matches!(
        of("scalyr_account_key: aws:ssm:/logs/key"),
        LogKey::Stored(_)
    ));
    let all = plan(&format!(
        "logentries_account_key: {literal}\nscalyr_account_key: {literal}"
    ));
    assert_eq!(all.routes.len(), 6);
    let shown = format!("{all:?}{}", serde_json::to_string(&all).unwrap());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn cloudwatch_knows_the_streams_by_their_files() {
    let plan = plan(
        "mount_custom_log: true\ncloudwatch_logs:\n  /var/log/application.log: a\n  /var/log/syslog: b\n  /var/log/auth.log: b\n  /var/log-custom/*.log: c\n  \
         /var/log-custom/gc.log: d\n  /var/log-customs/x.log: d\n  /opt/db/*.log: e\n  /var/log/nginx.log: f",
    );
    assert_eq!(
        lines_of(&plan),
        [
            "applog the container -> cloudwatch",
            "syslog /var/log/syslog -> cloudwatch",
            "authlog /var/log/auth.log -> cloudwatch",
            "customlog /var/log-custom/*.log -> cloudwatch",
            "customlog /var/log-custom/gc.log -> cloudwatch",
            "file /var/log-customs/x.log -> cloudwatch",
            "file /opt/db/*.log -> cloudwatch",
            "file /var/log/nginx.log -> cloudwatch",
        ]
    );
    let jwt: Vec<bool> = plan
        .routes
        .iter()
        .map(|route| route.treatment.redact_jwt)
        .collect();
    assert_eq!(jwt, [true, true, false, true, true, true, true, true]);
}

#[test]
fn what_leaves_the_machine_is_treated_by_its_stream_and_its_place() {
    let plan = plan(
        "mount_custom_log: true\nrsyslog_max_message_size: 8k\nscalyr_account_key: aws:ssm:/k\ncloudwatch_logs: {/var/log/application.log: g, /x: g}\n\
         logging:\n  applog_filter_exclude: ^DEBUG\n  customlog_filter_exclude: ^TRACE\n  applog_multiline_start: '^[0-9]'\n  \
         customlog_multiline_start: '^\\S'\n  redact: [{match_expression: 'card=\\d+', replacement: card=X}]\n  \
         scalyr_agent_applog_sampling: [{match_expression: INFO, sampling_rate: 0.25}]",
    );
    let of = |stream: StreamName, sink: &str| {
        let found = plan
            .routes
            .iter()
            .find(|route| route.stream == stream && route.target.sink() == sink);
        &found.unwrap().treatment
    };
    let redact = vec![RedactRule {
        pattern: "card=\\d+".to_owned(),
        replacement: "card=X".to_owned(),
    }];
    let applog = Treatment {
        multiline_start: Some("^[0-9]".to_owned()),
        exclude: Some("^DEBUG".to_owned()),
        sampling: vec![SamplingRule {
            pattern: "INFO".to_owned(),
            keep_millionths: 250_000,
        }],
        redact_jwt: true,
        redact: redact.clone(),
        max_line: Some(8192),
    };
    assert_eq!(of(StreamName::Applog, "scalyr"), &applog);
    assert_eq!(
        of(StreamName::Applog, "cloudwatch"),
        &Treatment {
            sampling: Vec::new(),
            ..applog
        },
        "sampling is Scalyr's"
    );
    assert_eq!(
        of(StreamName::Customlog, "scalyr"),
        &Treatment {
            multiline_start: Some("^\\S".to_owned()),
            exclude: Some("^TRACE".to_owned()),
            redact_jwt: true,
            redact: redact.clone(),
            ..Treatment::default()
        }
    );
    let plain = Treatment {
        redact,
        ..Treatment::default()
    };
    assert_eq!(
        of(StreamName::File, "cloudwatch"),
        &Treatment {
            redact_jwt: true,
            ..plain.clone()
        }
    );
    assert_eq!(
        of(StreamName::Authlog, "scalyr"),
        &Treatment {
            max_line: Some(8192),
            ..plain
        }
    );
    // The file on the machine is cut alike, and nothing is taken out of it.
    assert_eq!(plan.application_log.max_line, Some(8192));
}

#[test]
fn scalyr_reads_with_the_parsers_of_the_original() {
    let parsers = |lines: &str| -> Vec<String> {
        let parser = |route: &Route| match &route.target {
            Target::Scalyr(scalyr) => format!("{} {}", scalyr.region, scalyr.parser),
            other => panic!("{other:?}"),
        };
        plan(&format!("mount_custom_log: true\nscalyr_account_key: k\n{lines}"))
            .routes
            .iter()
            .map(parser)
            .collect()
    };
    assert_eq!(
        parsers(""),
        ["eu slf4j", "eu systemLog", "eu systemLog", "eu slf4j"]
    );
    assert_eq!(
        parsers(
            "rsyslog_aws_metadata: true\nscalyr_region: us\nscalyr_application_log_parser: a\nlogging: {scalyr_custom_log_parser: c}"
        ),
        ["us a", "us systemLogMetadata", "us systemLogMetadata", "us c"]
    );
}

#[test]
fn a_log_server_gets_what_taupage_sent_and_in_tls_what_the_standard_says() {
    let of = |lines: &str| {
        let lines = format!("logging:\n  rsyslog_host: h\n  applog_destination: rsyslog\n{lines}");
        match plan(&lines).routes.first().map(|route| route.target.clone()) {
            Some(Target::Rsyslog(target)) => target,
            other => panic!("{lines}: {other:?}"),
        }
    };
    let tcp = RsyslogTarget {
        host: "h".to_owned(),
        port: 514,
        protocol: Protocol::Tcp,
        framing: Framing::Newline,
        format: SyslogFormat::Rfc3164,
        severity: 5,
        program: None,
        hostname: None,
        ca: None,
    };
    assert_eq!(of(""), tcp);
    assert_eq!(
        of("  rsyslog_protocol: tls"),
        RsyslogTarget {
            port: 6514,
            protocol: Protocol::Tls,
            framing: Framing::OctetCounting,
            format: SyslogFormat::Rfc5424,
            ..tcp.clone()
        }
    );
    let told = of(
        "  rsyslog_protocol: tls\n  rsyslog_port: 10514\n  rsyslog_format: rfc3164\n  rsyslog_framing: newline\n  rsyslog_severity: debug",
    );
    assert_eq!(
        (told.port, told.format, told.framing, told.severity),
        (10_514, SyslogFormat::Rfc3164, Framing::Newline, 7)
    );
    let told = of("  rsyslog_format: rfc5424\n  rsyslog_framing: octet-counting");
    assert_eq!(
        (told.format, told.framing),
        (SyslogFormat::Rfc5424, Framing::OctetCounting)
    );
}

#[test]
fn a_bucket_has_the_defaults_of_the_original() {
    let of = |lines: &str| {
        let lines = format!("logging:\n{BUCKET}  applog_destination: s3\n{lines}");
        match plan(&lines).routes.first().map(|route| route.target.clone()) {
            Some(Target::S3(target)) => target,
            other => panic!("{lines}: {other:?}"),
        }
    };
    let default = S3Target {
        bucket: "my-logs".to_owned(),
        region: None,
        timekey_seconds: 300,
        raw: true,
        acl: "bucket-owner-full-control".to_owned(),
    };
    assert_eq!(of(""), default);
    assert_eq!(
        of("  s3_timekey: 1m\n  s3_region: eu-west-1\n  s3_raw_log_format: false\n  s3_acl: private"),
        S3Target {
            region: Some("eu-west-1".to_owned()),
            timekey_seconds: 60,
            raw: false,
            acl: "private".to_owned(),
            ..default
        }
    );
}

#[test]
fn logentries_gets_what_its_daemon_followed() {
    assert_eq!(
        routes("mount_custom_log: true\nlogentries_account_key: aws:ssm:/k"),
        [
            "applog the container -> logentries",
            "syslog /var/log/syslog -> logentries",
            "authlog /var/log/auth.log -> logentries",
        ]
    );
}

#[test]
fn one_budget_is_for_all_of_it() {
    let plan = plan(
        "log_budget: 80m\nmount_custom_log: true\napplication_logrotate_size: 100M\napplication_logrotate_rotate: 2\n\
         application_logrotate_interval: hourly\napplication_logrotate_disable_compress: true",
    );
    assert_eq!(plan.budget, 80 << 20);
    assert_eq!(
        plan.split,
        crate::logs::Split {
            engine: 30 << 20,
            application_log: 20 << 20,
            custom_logs: 20 << 20,
            machine: 10 << 20,
        }
    );
    assert_eq!(
        plan.application_log.rotate,
        crate::logs::Rotate {
            size: 10 << 20,
            interval_seconds: 3600,
            keep: 2,
            compress: false,
            delay_compress: true,
            total: 20 << 20,
        }
    );
    assert_eq!(plan.split.custom_logs, 20 << 20);
    // The engine's files follow from the same number.
    let config = config("log_budget: 80m\nmount_custom_log: true");
    let container = crate::plan::container::ContainerSpec::new(&config);
    assert_eq!(container.log_max_size(), (30 << 20) / 8);
}

#[test]
fn account_and_region_are_for_traditional_lines() {
    let of = |lines: &str| plan(lines).application_log;
    assert!(!of("rsyslog_aws_metadata: true").aws_metadata);
    let legacy = of("rsyslog_aws_metadata: true\nrsyslog_application_log_format: legacy");
    assert_eq!((legacy.format, legacy.aws_metadata), (LineStyle::Legacy, true));
    assert_eq!(
        of("rsyslog_application_log_format: '%msg%'").format,
        LineStyle::Template("%msg%".to_owned())
    );
}

#[test]
fn lines_say_who_they_are_from() {
    let config = config("notify_cfn: {stack: my-stack, resource: AppServer}");
    let away = Attributes::new(&config, None);
    assert_eq!(
        away,
        Attributes {
            application_id: "my-app".to_owned(),
            application_version: "1".to_owned(),
            image: "registry.example.org/a:1".to_owned(),
            stack: Some("my-stack".to_owned()),
            ..Attributes::default()
        }
    );
    let mut facts = InstanceFacts {
        instance_id: "i-1".to_owned(),
        region: "eu-central-1".to_owned(),
        availability_zone: "eu-central-1a".to_owned(),
        account_id: "123456789012".to_owned(),
        image_id: None,
        instance_type: None,
        local_ipv4: Some([10, 0, 0, 1].into()),
        public_ipv4: None,
        pending_time: None,
    };
    let here = Attributes::new(&config, Some(&facts));
    assert_eq!(
        here,
        Attributes {
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            instance_id: "i-1".to_owned(),
            hostname: "ip-10-0-0-1.eu-central-1.compute.internal".to_owned(),
            ..away
        }
    );
    facts.region = "us-east-1".to_owned();
    assert_eq!(
        Attributes::new(&config, Some(&facts)).hostname,
        "ip-10-0-0-1.ec2.internal"
    );
    facts.local_ipv4 = None;
    assert_eq!(Attributes::new(&config, Some(&facts)).hostname, "");
}

/// A plan with everything there is.
const EVERYTHING: &str = "mount_custom_log: true\nscalyr_account_key: aws:ssm:/logs/scalyr\nlogentries_account_key: canary-token\n\
     rsyslog_max_message_size: 8k\ncloudwatch_logs: {/var/log/application.log: my-group, /var/log/syslog: my-group}\nlogging:\n  \
     log_destination: scalyr_s3\n  s3_bucket: my-logs\n  authlog_destination: rsyslog\n  rsyslog_host: h\n  rsyslog_protocol: tls\n  \
     rsyslog_ca: '-----BEGIN CERTIFICATE-----MAMCAQE=-----END CERTIFICATE-----'\n  applog_filter_exclude: ^DEBUG\n  \
     applog_multiline_start: '^[0-9]'\n  redact: [{pattern: card, replacement: x}]\n  \
     scalyr_agent_applog_sampling: [{match_expression: INFO, sampling_rate: 0.125}]";

fn whole(lines: &str) -> crate::plan::Plan {
    crate::plan::Plan::new(&config(lines), Vec::new(), None)
}

#[test]
fn a_plan_shows_each_route_in_a_line_and_no_key() {
    let plan = whole(EVERYTHING);
    let text = plan.to_text();
    for row in [
        "\nLogs, 2 GiB of the disk for all of them\n",
        "  the engine's       768 MiB in 8 files of 96 MiB: what a destination that is away does not miss\n",
        "  application.log    512 MiB; a new file at 256 MiB or after 7 d 0 h, 4 old ones at most, compressed but for the newest; bare lines, cut at 8 KiB\n",
        "  /var/log-custom    512 MiB left for its files, which the agent does not rotate\n",
        "  the machine's      256 MiB left for the journal and rsyslog, which keep their own limits\n",
        "  applog             the container to s3://my-logs, as they are, an object every 5 min, ACL bucket-owner-full-control, events begin at /^[0-9]/, without /^DEBUG/, JSON Web Tokens taken out, /card/ taken out, lines cut at 8 KiB\n",
        "  applog             the container to Scalyr in eu, parser slf4j, key from <the parameter /logs/scalyr>, events begin at /^[0-9]/, without /^DEBUG/, 12.5 % of /INFO/, ",
        "  authlog            /var/log/auth.log to tls://h:6514, RFC 5424, the length in front of each message, severity 5, trusting `rsyslog_ca`, /card/ taken out, lines cut at 8 KiB\n",
        "  applog             the container to Logentries, key from `logentries_account_key` of the user data, ",
        "  syslog             /var/log/syslog to the log group my-group, a stream for each instance, JSON Web Tokens taken out, /card/ taken out, lines cut at 8 KiB\n",
    ] {
        assert!(
            text.contains(&row.replace("7 d 0 h", "7 d").replace("1 d 0 h", "1 d")),
            "{row}\n{text}"
        );
    }
    let json = plan.to_json();
    let route = &json["logs"]["routes"]["/var/log/auth.log to tls://h:6514"];
    assert_eq!(route["target"]["protocol"], "tls");
    assert!(!json.to_string().contains("canary") && !text.contains("canary"));
    assert!(!json.to_string().contains("MIIB") && !text.contains("MIIB"));
    assert_eq!(json["logs"]["split_bytes"]["engine"], 768 << 20);
    // What is fetched by whoever ships lines is nothing that a boot waits for.
    assert!(plan.secrets.is_empty() && json["secrets"] == serde_json::json!([]));
    assert!(
        whole("")
            .to_text()
            .contains("  shipped            nothing: all of it stays on the machine\n")
    );
}

#[test]
fn a_role_may_ship_what_the_plan_ships() {
    let calls = |lines: &str| -> Vec<String> {
        whole(lines)
            .aws_calls()
            .iter()
            .map(|call| format!("{} {} {}", call.times, call.action, call.resource))
            .collect()
    };
    assert_eq!(
        calls(EVERYTHING),
        [
            "0 s3:PutObject arn:aws:s3:::my-logs/taupage/my-app/1/*",
            "0 s3:PutObjectAcl arn:aws:s3:::my-logs/taupage/my-app/1/*",
            "1 ssm:GetParameter arn:aws:ssm:*:*:parameter/logs/scalyr",
            "0 logs:CreateLogStream arn:aws:logs:*:*:log-group:my-group:*",
            "0 logs:PutLogEvents arn:aws:logs:*:*:log-group:my-group:*",
            "0 logs:CreateLogGroup arn:aws:logs:*:*:log-group:my-group:*",
        ]
    );
    // In China the partition is another one; a key that the application has too is fetched twice.
    assert_eq!(
        calls(
            "scalyr_account_key: aws:ssm:/k\nenvironment: {K: 'aws:ssm:/k'}\nlogging:\n  log_destination: s3\n  s3_bucket: my-logs\n  \
             s3_region: cn-north-1\n  use_scalyr_agent_all: false\n  use_scalyr_agent_applog: true"
        ),
        [
            "2 ssm:GetParameter arn:aws:ssm:*:*:parameter/k",
            "0 s3:PutObject arn:aws-cn:s3:::my-logs/taupage/my-app/1/*",
            "0 s3:PutObjectAcl arn:aws-cn:s3:::my-logs/taupage/my-app/1/*",
        ]
    );
    assert!(calls("").is_empty());
}

#[test]
fn logs_are_no_part_of_the_container() {
    let (plain, shipped) = (whole("mount_custom_log: true"), whole(EVERYTHING));
    assert_eq!(plain.intent, shipped.intent);
    assert!(!crate::plan::Difference::new(&plain, &shipped).replaces_container);
    // A budget of the user's own is intent, as ever; ours is none.
    assert_ne!(whole("log_budget: 1g").intent, whole("").intent);
}
