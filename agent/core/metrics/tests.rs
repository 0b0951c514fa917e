use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::lifecycle::DrainPhase;
use crate::record::Outcome;
use crate::record::sample::{LATER, full};

fn all(record: &BootRecord) -> String {
    render(&Figures {
        record,
        container: Some(Usage {
            memory: Some(1 << 20),
            memory_limit: Some(64 << 20),
            cpu: Some(Duration::from_millis(1_500)),
            oom_kills: Some(1),
            working_set: Some(3 << 18),
            anonymous: Some(1 << 19),
            file: Some(1 << 18),
            throttling: Throttling {
                periods: Some(100),
                throttled: Some(10),
                time: Some(Duration::from_millis(750)),
            },
            pids: Some(5),
            pids_limit: Some(4096),
            io: Io {
                read: Some(4096),
                written: Some(8192),
                reads: Some(1),
                writes: Some(2),
            },
            pressure: [1, 2, 3].map(|seconds| host::Pressure {
                some: Some(Duration::from_secs(seconds)),
                full: Some(Duration::from_millis(seconds)),
            }),
        }),
        notices: None,
        probes: Some(Probes {
            asked: 10,
            failed: 2,
            last_seconds: Some(0.003),
        }),
        denied: None,
        process: Some(Process {
            cpu: Some(Duration::from_millis(250)),
            resident: Some(8 << 20),
            open_descriptors: Some(20),
            max_descriptors: Some(1024),
            started: Some(1_000.5),
        }),
        host: None,
        textfiles: None,
        pushes: Some(Pushes { sent: 3, failed: 1 }),
    })
}

/// Name and labels of each series, with its value.
fn series(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let before = series.insert(name.to_owned(), value.parse().unwrap());
        assert_eq!(before, None, "{name} comes twice");
    }
    series
}

#[test]
#[expect(clippy::too_many_lines, reason = "a line a figure")]
fn what_the_machine_is_and_does() {
    let series = series(&all(&full()));
    for (name, value) in [
        (
            concat!(
                "monopod_build_info{version=\"0.1.0\",application_id=\"shop\",application_version=\"1.2\",deployment_id=\"d-1\",",
                "commit=\"7f8b6ad\",digest=\"sha256:feed\",ami=\"ami-1\",ami_version=\"7\"}"
            ),
            1.0,
        ),
        ("monopod_opt_out{key=\"root\"}", 1.0),
        (
            "monopod_verdict{name=\"ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY\",level=\"warn\"}",
            1.0,
        ),
        ("monopod_application_info{id=\"shop\",version=\"1.2\"}", 1.0),
        ("monopod_up", 1.0),
        ("monopod_ready", 1.0),
        ("monopod_healthy", 1.0),
        ("monopod_outcome{state=\"ready\"}", 1.0),
        ("monopod_outcome{state=\"booting\"}", 0.0),
        ("monopod_boot_step_duration_seconds{step=\"image\"}", 8.0),
        ("monopod_boot_step_retries_total{step=\"image\"}", 1.0),
        ("monopod_boot_step_failed{step=\"image\"}", 0.0),
        ("monopod_container_running", 1.0),
        ("monopod_container_restarts_total", 1.0),
        ("monopod_container_last_exit_code", 137.0),
        ("monopod_container_last_exit_oom", 1.0),
        ("monopod_container_start_time_seconds", 1_060.0),
        ("monopod_container_memory_usage_bytes", 1_048_576.0),
        ("monopod_container_cpu_seconds_total", 1.5),
        ("monopod_container_memory_working_set_bytes", 786_432.0),
        ("monopod_container_memory_anon_bytes", 524_288.0),
        ("monopod_container_memory_file_bytes", 262_144.0),
        ("monopod_container_cpu_periods_total", 100.0),
        ("monopod_container_cpu_throttled_periods_total", 10.0),
        ("monopod_container_cpu_throttled_seconds_total", 0.75),
        ("monopod_container_pids", 5.0),
        ("monopod_container_pids_limit", 4096.0),
        ("monopod_container_io_read_bytes_total", 4096.0),
        ("monopod_container_io_written_bytes_total", 8192.0),
        ("monopod_container_io_reads_total", 1.0),
        ("monopod_container_io_writes_total", 2.0),
        ("monopod_container_pressure_cpu_waiting_seconds_total", 1.0),
        ("monopod_container_pressure_memory_stalled_seconds_total", 0.002),
        ("monopod_container_pressure_io_waiting_seconds_total", 3.0),
        ("monopod_probe_asked_total", 10.0),
        ("monopod_probe_failed_total", 2.0),
        ("monopod_probe_duration_seconds", 0.003),
        ("monopod_probe_healthy", 1.0),
        (
            "monopod_secrets_fetched_timestamp_seconds{set=\"secrets\"}",
            1_010.0,
        ),
        ("monopod_secrets_stale{set=\"secrets\"}", 1.0),
        ("monopod_secrets_expired{set=\"secrets\"}", 0.0),
        ("monopod_credentials_served_total", 7.0),
        ("monopod_credentials_refused_total", 1.0),
        ("monopod_credentials_failed_total", 2.0),
        ("monopod_credentials_expire_timestamp_seconds", 4_660.0),
        ("monopod_drain_phase{phase=\"leave\"}", 0.0),
        ("monopod_otlp_pushes_total", 3.0),
        ("monopod_otlp_push_failures_total", 1.0),
        ("process_cpu_seconds_total", 0.25),
        ("process_start_time_seconds", 1_000.5),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name} in {series:#?}");
    }
    let sink = |name: &str| {
        series
            .get(&format!(
                "monopod_sink_{name}{{sink=\"s3\",stream=\"application\",source=\"/var/log/app.log\"}}"
            ))
            .copied()
    };
    for (name, value) in [
        ("up", 0.0),
        ("lines_total", 7.0),
        ("bytes_total", 700.0),
        ("lag_bytes", 4096.0),
        ("lost_lines_total", 3.0),
        ("lost_lines_exact", 0.0),
        ("excluded_lines_total", 2.0),
        ("cut_lines_total", 1.0),
        ("garbage_records_total", 0.0),
        ("failures_total", 5.0),
        ("last_line_timestamp_seconds", 1_795_234_615.5),
    ] {
        assert_eq!(sink(name), Some(value), "{name}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let record = BootRecord::new("0.1.0", 1, 2);
    let text = render(&Figures {
        record: &record,
        container: None,
        probes: None,
        denied: None,
        notices: None,
        process: None,
        host: None,
        textfiles: None,
        pushes: None,
    });
    for absent in [
        "container",
        "probe",
        "sink",
        "secrets",
        "process",
        "boot",
        "credentials",
        "otlp",
    ] {
        let there = text.lines().any(|line| {
            line.starts_with(&format!("monopod_{absent}_")) || line.starts_with(&format!("{absent}_"))
        });
        assert!(!there, "{absent} in {text}");
    }
    assert_eq!(series(&text).get("monopod_ready"), Some(&0.0));
}

#[test]
fn a_machine_that_leaves_says_how_far_it_is() {
    let mut record = full();
    record.outcome = Outcome::Draining {
        since: LATER,
        phase: DrainPhase::Flush,
        reason: "asked".to_owned(),
    };
    let series = series(&all(&record));
    assert_eq!(series.get("monopod_drain_phase{phase=\"flush\"}"), Some(&1.0));
    assert_eq!(series.get("monopod_drain_phase{phase=\"stop\"}"), Some(&0.0));
    assert_eq!(series.get("monopod_up"), Some(&0.0));
    assert_eq!(series.get("monopod_ready"), Some(&0.0));
}

/// Prometheus' conventions: what linters complain about.
#[test]
fn names_follow_the_conventions() {
    let text = all(&full());
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help] => {
                assert!(help.ends_with('.') && helped.insert(*name), "{line}");
            }
            ["#", "TYPE", name, kind] => {
                assert!(
                    helped.contains(name) && kinds.insert(*name, *kind).is_none(),
                    "{line}"
                );
            }
            _ => {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(kinds.contains_key(name), "{line} has no TYPE before it");
            }
        }
    }
    assert!(kinds.len() > 40, "{}", kinds.len());
    for (name, kind) in kinds {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(
            name.starts_with("monopod_") || name.starts_with("process_"),
            "{name}"
        );
        for unit in ["_ms", "_millis", "_minutes", "_mb", "_kb", "_percent", "_count"] {
            assert!(!name.ends_with(unit), "{name} is in no base unit");
        }
    }
}

#[test]
fn rows_alike_make_one_series() {
    let mut record = full();
    let row = record.logs[0].clone();
    record.logs = serde_json::json!([row, row]);
    series(&all(&record));
}
