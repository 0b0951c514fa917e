//! Maps inside keys, as Taupage's users have them.

use super::{clean, report, warned};
use crate::config::{Code, Destination, LineFormat, Severity};
use crate::secret::SecretSource;

fn codes(lines: &str) -> Vec<Code> {
    report(lines)
        .problems()
        .iter()
        .map(|problem| problem.code)
        .filter(|code| *code != Code::NoEffectYet)
        .collect()
}

#[test]
fn logging() {
    let (config, problems) = warned(
        "logging:\n  applog_destination: scalyr_s3\n  log_destination: none\n  s3_bucket: my-logs\n  s3_timekey: 1m\n  \
         rsyslog_port: '6514'\n  rsyslog_protocol: udp\n  applog_filter_exclude: ^DEBUG\n  scalyr_account_key: aws:kms:aGk=\n  \
         use_scalyr_agent_all: true\n  scalyr_agent_applog_sampling: '[{match_expression: INFO, sampling_rate: 0.1}]'\n  \
         fluentd_loglevel: error\nscalyr_region: us\ncloudwatch_logs: {/var/log/syslog: g}\n\
         rsyslog_application_log_format: legacy\napplication_logrotate_size: 10M\ncustomlog_logrotate_rotate: 3\n\
         logentries_account_key: ''\nrsyslog_max_message_size: 32k",
    );
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    assert_eq!(errors.count(), 0);
    assert_eq!(
        problems
            .iter()
            .filter(|problem| problem.code == Code::Retired)
            .count(),
        1
    );
    let logging = config.logging();
    assert_eq!(logging.applog.destination, Some(Destination::ScalyrS3));
    assert_eq!(logging.destination, Some(Destination::None));
    assert_eq!(logging.s3.timekey_seconds, Some(60));
    assert_eq!(logging.rsyslog.port, Some(6514));
    assert_eq!(logging.applog.sampling[0].keep_millionths, 100_000);
    assert!(matches!(
        logging.scalyr.account_key.as_ref().map(|key| &key.source),
        Some(SecretSource::Stored(_))
    ));
    assert_eq!(logging.scalyr.region.as_deref(), Some("us"));
    assert_eq!(logging.application_log_format, Some(LineFormat::Legacy));
    assert_eq!(logging.application_logrotate.size, Some(10 << 20));
    assert_eq!(logging.customlog_logrotate.rotate, Some(3));
    assert_eq!(logging.logentries_account_key, None);
    assert_eq!(logging.max_message_size, Some(32 << 10));
    for (bad, code) in [
        ("logging: {applog_destination: s4}", Code::BadValue),
        ("logging: {s3_buket: x}", Code::UnknownKey),
        ("logging: {rsyslog_port: 0}", Code::BadValue),
        ("logging: {s3_timekey: soon}", Code::BadValue),
        (
            "scalyr_account_key: k\nlogging: {scalyr_agent_applog_sampling: 'x: ['}",
            Code::BadValue,
        ),
        (
            "scalyr_account_key: k\nlogging: {scalyr_agent_applog_sampling: [{match_expression: a, sampling_rate: 2}]}",
            Code::BadValue,
        ),
        ("logging: []", Code::WrongType),
        ("logging: x", Code::WrongType),
        ("cloudwatch_logs: {syslog: g}", Code::BadValue),
        ("application_logrotate_interval: dayly", Code::BadValue),
    ] {
        let found = codes(bad);
        let wanted: &[Code] = if bad == "logging: []" {
            &[Code::WrongType]
        } else {
            &[code]
        };
        assert_eq!(found, wanted, "{bad}");
    }
}

#[test]
fn host_and_audit() {
    let config = clean(
        "sysctl: {fs.file-max: 8192, net.ipv4.ip_local_port_range: 1024 65000}\n\
         sysfs: {/sys/kernel/mm/transparent_hugepage/enabled: never}\nssh_ports: [22, 2222]\nssh_gateway_ports: yes\n\
         etcd_discovery_domain: disable\nlocal_planb_tokeninfo: true\ntokeninfo_url: https://t.example.org/x\n\
         instance_logs_url: https://l.example.org\nlogsink_username: u\nlogsink_password: p",
    );
    let host = config.host();
    assert_eq!(host.sysctl[0], ("fs.file-max".into(), "8192".into()));
    assert_eq!(host.ssh_ports, [22, 2222]);
    assert_eq!(host.ssh_gateway_ports.as_deref(), Some("yes"));
    assert_eq!(host.etcd_discovery_domain.as_deref(), Some("disable"));
    assert!(matches!(
        config.audit().logsink_password,
        Some(SecretSource::Literal(_))
    ));
    for (bad, code) in [
        ("sysctl: {file-max: 1}", Code::BadValue),
        ("sysctl: {../x.y: 1}", Code::BadValue),
        ("sysctl: {fs.file-max: [1]}", Code::WrongType),
        ("sysfs: {/sys/power/state: mem}", Code::BadValue),
        ("ssh_ports: 22", Code::Coerced),
        ("ssh_ports: [70000]", Code::BadValue),
        ("ssh_ports: []", Code::BadValue),
        ("ports: {2222: 80}\nssh_ports: [22, 2222]", Code::PortTaken),
        ("sysctl: {net.ipv4.ip_forward: yes}", Code::WrongType),
        ("sysctl: {vm.x: \"1\\n2\"}", Code::BadValue),
        ("sysctl: {kernel/../x: 1}", Code::BadValue),
        (
            "sysctl: {net.core.somaxconn: 1, net/core/somaxconn: 2}",
            Code::DuplicateKey,
        ),
        ("sysctl: {kernel.modprobe: /x}", Code::BadValue),
        (
            "sysfs: {/sys/kernel/mm/transparent_hugepage/enabled: often}",
            Code::BadValue,
        ),
        ("tokeninfo_url: t.example.org", Code::BadValue),
        ("etcd_discovery_domain: http://etcd.example.org", Code::BadValue),
        ("etcd_discovery_domain: etcd.example.org:2379", Code::BadValue),
    ] {
        assert_eq!(codes(bad), [code], "{bad}");
    }
}
