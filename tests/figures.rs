//! The machine's own figures on /metrics: under node_exporter's names, with files of teams' own beside them, and metrics
//! of the application's on their way to CloudWatch.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use monopod_testrig::{AwsFault, Machine, wait_until};

use crate::common::*;

/// What node_exporter serves; the file says how it was made.
const THEIRS: &str = include_str!("../agent/core/metrics/host/collectors.txt");

/// Metrics whose names have the kernel's own words in them, which differ from version to version.
const BY_THE_KERNEL: [&str; 3] = ["node_memory_", "node_vmstat_", "node_sockstat_"];

/// The first reading comes up to 10 s after the boot, and the next one 10 s later.
const RELAYED: Duration = Duration::from_secs(45);

fn scrape(machine: &Machine) -> String {
    let answer = machine.http_get(9180, "/metrics").unwrap();
    assert_eq!(answer.status, 200);
    answer.text()
}

/// The value of one series, by its name and labels as they are written.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = values.next()?.parse().unwrap();
    assert_eq!(values.next(), None, "{series} comes twice");
    Some(value)
}

fn labels(line: &str) -> Vec<&str> {
    let Some((_, rest)) = line.split_once('{') else {
        return Vec::new();
    };
    let mut names: Vec<&str> = rest
        .split("\",")
        .filter_map(|part| Some(part.split_once("=\"")?.0))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_served_has_the_names_types_and_labels_of_node_exporter() {
    let machine = Machine::acquire();
    let user_data = UserData::new(&machine, "web").web();
    user_data
        .line("cpus: 0.5")
        .line("environment: {OTEL_SERVICE_NAME: mine}")
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    let text = scrape(&machine);
    let theirs: BTreeMap<&str, (&str, Vec<&str>)> = THEIRS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let labels = words.get(2).map(|labels| labels.split(',').collect());
            (words[0], (words[1], labels.unwrap_or_default()))
        })
        .collect();
    let mut count = 0;
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            let known = theirs.get(name);
            let by_the_kernel = BY_THE_KERNEL.iter().any(|start| name.starts_with(start));
            if name.starts_with("node_") && !(known.is_none() && by_the_kernel) {
                assert_eq!(known.map(|(kind, _)| *kind), Some(kind), "{name}");
                count += 1;
            }
        } else if let Some((_, wanted)) = theirs.get(line.split(['{', ' ']).next().unwrap()) {
            assert_eq!(labels(line), *wanted, "{line}");
        }
    }
    assert!(count > 100, "{count} in {text}");
    for series in [
        "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}",
        "node_load1",
        "node_memory_MemAvailable_bytes",
        "node_vmstat_pgmajfault",
        "node_network_receive_bytes_total{device=\"lo\"}",
        "node_filefd_allocated",
        "node_boot_time_seconds",
        "node_scrape_collector_success{collector=\"meminfo\"}",
        "monopod_container_memory_anon_bytes",
        "monopod_container_memory_working_set_bytes",
        "monopod_container_pids",
        "monopod_container_pids_limit",
        "monopod_container_cpu_periods_total",
    ] {
        assert!(value(&text, series).is_some(), "{series} in {text}");
    }
    let root = text
        .lines()
        .find(|line| line.starts_with("node_filesystem_size_bytes") && line.contains("mountpoint=\"/\""));
    assert!(root.is_some(), "{text}");
    assert_eq!(
        value(&text, "node_textfile_scrape_error"),
        None,
        "nobody asked for any"
    );

    // Who the application is, as OpenTelemetry takes it.
    let all = the_container(&machine)["Config"]["Env"]
        .as_array()
        .unwrap()
        .clone();
    let attributes = all
        .iter()
        .find_map(|one| one.as_str()?.strip_prefix("OTEL_RESOURCE_ATTRIBUTES="))
        .unwrap();
    let id = machine.imds().instance_id();
    for part in [
        "service.name=app",
        "service.version=1.0",
        &format!("service.instance.id={id}"),
        "cloud.provider=aws",
        "cloud.region=",
        &format!("host.id={id}"),
    ] {
        assert!(attributes.contains(part), "{part} in {attributes}");
    }
}

fn directory(machine: &Machine) -> PathBuf {
    let path = machine.dirs().base.join("figures");
    fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn figures_of_teams_own_are_added_and_a_bad_file_spoils_nothing() {
    let machine = Machine::acquire();
    let path = directory(&machine);
    fs::write(
        path.join("backup.prom"),
        "# HELP backup_age_seconds How old.\n# TYPE backup_age_seconds gauge\nbackup_age_seconds{db=\"a\"} 12.5\n",
    )
    .unwrap();
    UserData::new(&machine, "web")
        .web()
        .line(&format!("metrics: {{textfile_directory: {}}}", path.display()))
        .line("environment: {OTEL_RESOURCE_ATTRIBUTES: team=mine}")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let text = scrape(&machine);
    assert_eq!(value(&text, "backup_age_seconds{db=\"a\"}"), Some(12.5));
    assert_eq!(value(&text, "node_textfile_scrape_error"), Some(0.0));
    let mtime = format!(
        "node_textfile_mtime_seconds{{file=\"{}\"}}",
        path.join("backup.prom").display()
    );
    assert!(value(&text, &mtime).is_some_and(|at| at > 1e9), "{text}");
    let all = the_container(&machine)["Config"]["Env"].to_string();
    assert!(all.contains("OTEL_RESOURCE_ATTRIBUTES=team=mine"), "{all}");
    assert!(!all.contains("cloud.provider"), "the user's own: {all}");

    // A pipe, a link, half a file, one of ours: none keeps anybody waiting, and none is believed.
    nix::unistd::mkfifo(&path.join("pipe.prom"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/etc/hostname", path.join("link.prom")).unwrap();
    fs::write(path.join("torn.prom"), "torn 1\ntorn_b ").unwrap();
    fs::write(path.join("ours.prom"), "node_load1 99\n").unwrap();
    fs::write(path.join("late.prom"), "late 1\n").unwrap();
    let text = scrape(&machine);
    assert_eq!(value(&text, "node_textfile_scrape_error"), Some(1.0));
    assert_eq!(
        value(&text, "node_scrape_collector_success{collector=\"textfile\"}"),
        Some(0.0)
    );
    assert_eq!(value(&text, "late"), Some(1.0));
    assert_eq!(value(&text, "backup_age_seconds{db=\"a\"}"), Some(12.5));
    assert!(value(&text, "node_load1").is_some_and(|load| load < 99.0));
    assert_eq!(value(&text, "torn"), None);
    for (file, why) in [
        ("pipe.prom", "it is no plain file"),
        ("link.prom", "it is a link"),
        ("torn.prom", "line 2: the last line does not end"),
        ("ours.prom", "a metric has the name of one that is served already"),
    ] {
        let line = agent.wait_for_line(&format!("{file}: {why}"), SOON);
        assert!(line.text.contains("metrics.textfile_directory"), "{}", line.text);
    }
    scrape(&machine);
    let told = agent.output().matches("pipe.prom").count();
    assert_eq!(told, 1, "told once:\n{}", agent.output());

    for name in ["pipe.prom", "link.prom", "torn.prom", "ours.prom"] {
        fs::remove_file(path.join(name)).unwrap();
    }
    assert_eq!(value(&scrape(&machine), "node_textfile_scrape_error"), Some(0.0));

    // A restarted agent knows the directory without asking anybody.
    agent.kill9();
    agent.wait_exit(SOON);
    machine.imds().down();
    let _again = run_until_ready(&machine);
    let seen = wait_until(SOON, || value(&scrape(&machine), "late"));
    assert_eq!(seen, Some(1.0));
}

/// A container whose port 9102 serves one gauge of two series, and a counter that grows by one each second.
fn serving(machine: &Machine) -> UserData {
    UserData::new(machine, "sleeper").line(
        r#"entrypoint: [/bin/sh, -c, "nc -ll -p 9102 -e /bin/sh /etc/answer"]
files:
  /etc/answer: |
    while read -r line && [ "${#line}" -gt 1 ]; do :; done
    printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'
    printf '# TYPE queue_depth gauge\nqueue_depth{queue="a"} 2\nqueue_depth{queue="b"} 40\n'
    printf 'jobs_total %s\n' "$(date +%s)"
lifecycle_hooks: {group: shop, terminate: leave}"#,
    )
}

#[test]
fn metrics_of_the_application_reach_cloudwatch() {
    let machine = Machine::acquire();
    serving(&machine)
        .line("metrics: {cloudwatch: {port: 9102, namespace: shop, names: [queue_depth, jobs_total, nobody_has_it], interval: 10s}}")
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("PutMetricData", "AccessDenied").times(1)]);
    let agent = run_until_ready(&machine);
    let line = agent.wait_for_line("metrics of the application were not written", RELAYED);
    assert!(line.text.contains("cloudwatch:PutMetricData"), "{}", line.text);
    agent.wait_for_line("the application has no metric nobody_has_it", RELAYED);

    let sent = wait_until(RELAYED, || {
        let sent = machine.aws().metrics();
        sent.iter().any(|one| one.name == "jobs_total").then_some(sent)
    });
    let sent = sent.unwrap_or_else(|| panic!("nothing was sent:\n{}", agent.output()));
    let id = machine.imds().instance_id();
    for one in &sent {
        assert_eq!((&*one.namespace, one.unit.as_deref()), ("shop", Some("None")));
        assert_eq!(one.dimensions.len(), 1);
        match one.dimensions.iter().next().unwrap() {
            (name, group) if name == "AutoScalingGroupName" => assert_eq!(group, "shop"),
            (name, instance) => assert_eq!((&**name, instance), ("InstanceId", &id)),
        }
        let value = one.value.unwrap();
        match &*one.name {
            "queue_depth" => assert_eq!(value, 42.0),
            "jobs_total" => assert!((5.0..60.0).contains(&value), "{value} in an interval"),
            other => panic!("{other} was not asked for"),
        }
    }
    let warned = agent.output().matches("nobody_has_it").count();
    assert_eq!(warned, 1, "told once:\n{}", agent.output());
}
