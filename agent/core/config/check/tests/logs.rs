//! Destinations that can't be reached, patterns that can't be run, keys that do nothing.

use super::*;

const KEY: &str = "scalyr_account_key: aws:ssm:/logs/key\n";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n    MAMCAQE=\n    -----END CERTIFICATE-----";

/// Key and line of the one error.
fn refused(lines: &str, code: Code) -> (String, usize, Problem) {
    let problem = error(lines);
    assert_eq!(problem.code, code, "{lines}");
    let line = problem.place.unwrap().line;
    (problem.key.clone().unwrap(), line, problem)
}

/// The keys that have no effect, and nothing else to say.
fn idle(lines: &str) -> Vec<String> {
    let (_, problems) = warned(lines);
    let idle = |problem: &Problem| {
        assert_eq!(problem.code, Code::NoEffectHere, "{lines}: {problem:?}");
        assert!(problem.help.is_some() && problem.place.is_some(), "{lines}");
        problem.key.clone().unwrap()
    };
    problems.iter().map(idle).collect()
}

#[test]
fn a_destination_that_cannot_be_reached_is_an_error_where_it_stands() {
    for (lines, key, line, needed) in [
        (
            "logging:\n  log_destination: s3",
            "log_destination",
            7,
            "s3_bucket",
        ),
        (
            "logging:\n  log_destination: none\n  authlog_destination: scalyr_s3\n  scalyr_account_key: k",
            "authlog_destination",
            8,
            "s3_bucket",
        ),
        (
            "logging:\n  syslog_destination: rsyslog\n  rsyslog_host:",
            "syslog_destination",
            7,
            "rsyslog_host",
        ),
        (
            "logging:\n  applog_destination: scalyr",
            "applog_destination",
            7,
            "scalyr_account_key",
        ),
        (
            "mount_custom_log: true\nlogging:\n  customlog_destination: s3\n  s3_bucket: ' '",
            "customlog_destination",
            8,
            "s3_bucket",
        ),
    ] {
        let report = report(lines);
        let errors: Vec<&Problem> = report
            .problems()
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        let [problem] = &errors[..] else {
            panic!("{lines}: {errors:?}");
        };
        assert_eq!(problem.code, Code::Missing, "{lines}");
        assert_eq!(problem.key.as_deref(), Some(format!("logging.{key}").as_str()));
        assert_eq!(problem.place.unwrap().line, line, "{lines}");
        assert!(problem.message.ends_with(&format!("needs `logging.{needed}`")));
        assert!(problem.help.as_deref().unwrap().contains(needed), "{lines}");
    }
    // Said once, for all of the streams, and not of streams that go elsewhere.
    error("logging: {applog_destination: s3, syslog_destination: s3}");
    clean("logging: {log_destination: s3, applog_destination: none, s3_bucket: my-logs}");
    clean(&format!("{KEY}logging: {{applog_destination: scalyr}}"));
    // Empty means off; that is somebody's wish, and no mistake.
    assert_eq!(
        idle("scalyr_account_key: ''\nlogging: {applog_destination: scalyr}"),
        ["logging.applog_destination"]
    );
}

#[test]
fn patterns_are_compiled_and_never_quoted() {
    for lines in [
        "logging: {applog_filter_exclude: '(canary'}",
        "logging: {applog_multiline_start: '(?<=canary)x'}",
        "mount_custom_log: true\nlogging: {customlog_filter_exclude: '(canary)\\1'}",
        "mount_custom_log: true\nlogging: {customlog_multiline_start: '[canary'}",
        "logging: {redact: [{pattern: a, replacement: x}, {pattern: '(canary'}]}",
        "logging: {redact: [{match_expression: '(?=canary)'}]}",
        "scalyr_account_key: k\nlogging: {scalyr_agent_applog_sampling: [{match_expression: '(canary', sampling_rate: 1}]}",
        "scalyr_account_key: k\nlogging: {scalyr_agent_applog_sampling: '[{match_expression: (canary, sampling_rate: 1}]'}",
    ] {
        let (_, _, problem) = refused(lines, Code::BadValue);
        let text = format!("{} {}", problem.message, problem.help.unwrap());
        assert!(text.contains("no regular expression"), "{lines}: {text}");
        assert!(!text.contains("canary"), "{lines}: {text}");
    }
    clean("logging: {applog_filter_exclude: '^(?:DEBUG|TRACE)', applog_multiline_start: '^\\d{4}-'}");
}

#[test]
fn a_rule_of_redact_has_one_pattern() {
    let config = clean(
        "logging: {redact: [{pattern: a, replacement: '$1'}, {match_expression: b, replacement: ''}, {pattern: c}]}",
    );
    let rules: Vec<(&str, &str)> = config
        .logging()
        .redact
        .iter()
        .map(|rule| (rule.pattern.as_str(), rule.replacement.as_str()))
        .collect();
    assert_eq!(rules, [("a", "$1"), ("b", ""), ("c", "")]);
    refused("logging: {redact: [{replacement: x}]}", Code::Missing);
    refused(
        "logging: {redact: [{pattern: a, match_expression: a}]}",
        Code::BadValue,
    );
}

#[test]
fn certificates_are_read_and_a_private_key_is_refused() {
    let lines = |text: &str| {
        format!(
            "logging:\n  rsyslog_protocol: tls\n  rsyslog_host: h\n  log_destination: rsyslog\n  rsyslog_ca: |\n    {text}"
        )
    };
    let config = clean(&lines(CERTIFICATE));
    assert!(config.logging().rsyslog.ca.is_some());
    clean(&lines(&format!("# two\n    {CERTIFICATE}\n    {CERTIFICATE}")));
    for bad in [
        "canary",
        "-----BEGIN CERTIFICATE-----\n    canary!\n    -----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n    Y2FuYXJ5\n    -----END CERTIFICATE-----",
        &format!("{CERTIFICATE}\n    -----BEGIN CERTIFICATE-----\n    MIIB"),
        &format!("{CERTIFICATE}\n    -----BEGIN PRIVATE KEY-----\n    canary\n    -----END PRIVATE KEY-----"),
    ] {
        let (key, _, problem) = refused(&lines(bad), Code::BadValue);
        assert_eq!(key, "logging.rsyslog_ca");
        assert!(!format!("{problem:?}").contains("canary"));
    }
}

#[test]
fn keys_that_do_nothing_are_told() {
    for (lines, keys) in [
        ("logging: {s3_bucket: my-logs}", &["logging.s3_bucket"][..]),
        ("logging: {rsyslog_host: h}", &["logging.rsyslog_host"]),
        (
            "logging: {log_destination: rsyslog, rsyslog_host: h, rsyslog_protocol: udp, rsyslog_framing: newline, rsyslog_ca: '-----BEGIN CERTIFICATE-----MAMCAQE=-----END CERTIFICATE-----'}",
            &["logging.rsyslog_framing", "logging.rsyslog_ca"],
        ),
        (
            "logging: {customlog_filter_exclude: a, customlog_destination: none, use_scalyr_agent_customlog: false}",
            &["logging.customlog_filter_exclude"],
        ),
        (
            "logging: {use_scalyr_agent_applog: true, scalyr_agent_syslog_sampling: []}",
            &[
                "logging.use_scalyr_agent_applog",
                "logging.scalyr_agent_syslog_sampling",
            ],
        ),
        (
            "scalyr_account_key: k\nlogging: {scalyr_agent_enabled: false, use_scalyr_agent_all: true}",
            &["scalyr_account_key", "logging.use_scalyr_agent_all"],
        ),
        ("rsyslog_aws_metadata: true", &["rsyslog_aws_metadata"]),
        (
            "application_logrotate_disable_copytruncate: false",
            &["application_logrotate_disable_copytruncate"],
        ),
    ] {
        assert_eq!(idle(lines), keys, "{lines}");
    }
    for quiet in [
        "rsyslog_aws_metadata: true\nrsyslog_application_log_format: legacy",
        "rsyslog_aws_metadata: true\nscalyr_account_key: k",
        "application_logrotate_disable_copytruncate: true",
        "scalyr_account_key: ''\nlogging: {use_scalyr_agent_all: true}",
        "scalyr_account_key: k\nlogging: {scalyr_agent_applog_sampling: []}",
    ] {
        clean(quiet);
    }
}

#[test]
fn where_fluentd_was_streams_without_a_destination_stay_and_it_is_said() {
    let (_, problem) = warning("logging: {fluentd_enabled: true}");
    assert_eq!(problem.code, Code::Retired);
    assert_eq!(problem.key.as_deref(), Some("logging.fluentd_enabled"));
    clean("logging: {fluentd_enabled: true, log_destination: none}");
    clean("logging: {fluentd_enabled: false}");
    clean(
        "logging: {fluentd_enabled: true, applog_destination: none, syslog_destination: none, authlog_destination: none}",
    );
}

#[test]
fn the_budget_is_the_stronger_and_says_so() {
    for lines in [
        "application_logrotate_size: 1g",
        "log_budget: 100m\napplication_logrotate_size: 20m",
        "application_logrotate_disable_compress: true\napplication_logrotate_rotate: 10",
    ] {
        assert_eq!(warning(lines).1.code, Code::OverBudget, "{lines}");
    }
    clean("application_logrotate_size: 256M\napplication_logrotate_rotate: 4");
    clean("log_budget: 100m\napplication_logrotate_size: 18m");
    // The default is nobody's wish.
    clean("log_budget: 10m");
}

#[test]
fn what_is_named_for_cloudwatch_can_be_found_there() {
    for lines in [
        "cloudwatch_logs: {/var/log/*/x.log: g}",
        "cloudwatch_logs: {/var/log/a-*.log: g}",
        "cloudwatch_logs: {/var/log/x: 'a group'}",
        "cloudwatch_logs: {/var/log/x: 'arn:aws:logs:x'}",
    ] {
        refused(lines, Code::BadValue);
    }
    clean("mount_custom_log: true\ncloudwatch_logs: {/var/log-custom/*.log: /team/app_1.x#y}");
}

#[test]
fn all_logs_of_the_machine_together_are_refused_at_their_place() {
    let (_, line, problem) = refused("cloudwatch_logs:\n  /var/log/*.log: g", Code::BadValue);
    assert_eq!(line, 7);
    assert!(problem.message.contains("application.log"), "{problem:?}");
    assert!(problem.help.unwrap().contains("name each file"));
    clean("cloudwatch_logs: {/var/log/nginx/*.log: g, /opt/*.log: g}");
}

#[test]
fn custom_logs_are_the_files_of_one_directory_that_the_container_has() {
    for path in ["/var/log-custom/sub/x.log", "/var/log-custom/sub/*.log"] {
        let (_, line, problem) = refused(
            &format!("mount_custom_log: true\ncloudwatch_logs:\n  {path}: g"),
            Code::BadValue,
        );
        assert_eq!(line, 8);
        assert!(problem.message.contains("link"), "{problem:?}");
        clean(&format!(
            "cloudwatch_logs: {{{}: g}}",
            path.replace("log-", "log/")
        ));
    }
    for path in ["/var/log-custom/x.log", "/var/log-custom/*.log"] {
        assert_eq!(idle(&format!("cloudwatch_logs: {{{path}: g}}")).len(), 1);
        clean(&format!("mount_custom_log: true\ncloudwatch_logs: {{{path}: g}}"));
    }
    clean("cloudwatch_logs: {/var/log-customs/x.log: g}");
}

#[test]
fn names_that_no_service_takes_are_refused() {
    let rsyslog = |host: &str| format!("logging: {{log_destination: rsyslog, rsyslog_host: '{host}'}}");
    let s3 = |key: &str| format!("logging: {{log_destination: s3, s3_bucket: my-logs, {key}}}");
    for host in [
        "tcp://canary",
        "canary:6514",
        "10.0.0.1:514",
        "[::1]",
        "canary.example..org",
        "10.0.0.300",
        "canary example.org",
        "-canary.org",
        "canary/x",
        &format!("{}.org", "a".repeat(64)),
    ] {
        let (key, _, problem) = refused(&rsyslog(host), Code::BadValue);
        assert_eq!(key, "logging.rsyslog_host");
        assert!(!format!("{problem:?}").contains("canary"), "{problem:?}");
    }
    for host in [
        "h",
        "logs.example.org",
        "logs.example.org.",
        "log_server",
        "10.0.0.1",
        "2001:db8::1",
        "::1",
    ] {
        clean(&rsyslog(host));
    }
    for (key, bad) in [
        ("s3_region", "s3_region: Frankfurt"),
        ("s3_region", "s3_region: eu-central"),
        ("s3_acl", "s3_acl: bucket-owner"),
        ("s3_acl", "s3_acl: Private"),
    ] {
        let (found, _, _) = refused(&s3(bad), Code::BadValue);
        assert_eq!(found, format!("logging.{key}"));
    }
    clean(&s3("s3_region: us-gov-west-1, s3_acl: authenticated-read"));
    for bucket in ["shop..logs", "Shop", "s3://shop"] {
        refused(
            &format!("logging: {{log_destination: s3, s3_bucket: '{bucket}'}}"),
            Code::BadValue,
        );
    }
}

#[test]
fn blanks_are_no_account_key() {
    let lines = "logentries_account_key: ' '\nscalyr_account_key: ' '\nlogging: {applog_destination: scalyr}";
    assert_eq!(idle(lines), ["logging.applog_destination"]);
    let (config, _) = warned(lines);
    assert_eq!(config.logging().scalyr.account_key, None);
    assert_eq!(config.logging().logentries_account_key, None);
}

#[test]
fn half_a_certificate_is_none() {
    let lines = |der: &str| {
        format!(
            "logging: {{log_destination: rsyslog, rsyslog_host: h, rsyslog_protocol: tls, rsyslog_ca: '-----BEGIN CERTIFICATE-----{der}-----END CERTIFICATE-----'}}"
        )
    };
    // The length is too long, too short, unfinished, without end, or there is none.
    for der in ["MAQCAQE=", "MAICAQE=", "MIIB", "MIACAQE=", "MA==", "AgEB"] {
        refused(&lines(der), Code::BadValue);
    }
    for der in ["MAA=", "MAMCAQE=", "MIEDAgEB", "MIIAAwIBAQ=="] {
        clean(&lines(der));
    }
}
