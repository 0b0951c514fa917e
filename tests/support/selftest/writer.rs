//! The writer, by itself and in a container, and what is told from its lines.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monopod_core::logs::{Gap, GapReason};
use monopod_testrig::{Machine, Numbered, WriterReport, wait_until, writer_program};

use crate::{SOON, login};

fn write(args: &[&str]) -> (Vec<String>, Vec<String>) {
    let output = Command::new(writer_program()).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    (lines(output.stdout), lines(output.stderr))
}

#[test]
fn the_writer_writes_what_it_was_asked_for() {
    let (out, err) = write(&["--lines", "2000", "--length", "300", "--seed", "9"]);
    assert!(err.is_empty() && out.iter().all(|line| line.len() == 300));
    let account = Numbered::new(9, 2000).check(&out);
    assert!(account.is_perfect() && account.delivered == 2000, "{account:?}");
    assert_eq!(Numbered::new(9, 2002).check(&out).missing_lines(), 2);
    assert_eq!(
        out,
        write(&["--lines", "2000", "--length", "300", "--seed", "9"]).0
    );

    let both = [
        "--lines",
        "16",
        "--stream",
        "both",
        "--pattern",
        "stacktrace",
        "--length",
        "120",
    ];
    let (out, err) = write(&both);
    assert!(Numbered::new(1, 16).check(&out).is_perfect());
    assert!(Numbered::new(2, 16).check(&err).is_perfect());
    assert_eq!(Numbered::new(1, 16).check(&err).foreign, 16);
    assert!(out[8].starts_with("2026-") && out[9].starts_with("\tat ") && out[13].starts_with("Caused by: "));
    assert!(out.iter().all(|line| line.len() == 120));
    let joined = [out[..8].join("\n"), out[8..].join("\n")];
    assert!(Numbered::new(1, 16).check(joined).is_perfect());

    let (out, _) = write(&["--lines", "3", "--pattern", "json", "--length", "20000"]);
    for (line, number) in out.iter().zip(0..) {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((line.len(), &value["seq"]), (20_000, &serde_json::json!(number)));
    }
    assert!(Numbered::new(1, 3).check(&out).is_perfect());
    let refused = Command::new(writer_program())
        .args(["--line", "3"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn the_writer_keeps_its_rate_and_measures_its_writes() {
    let report = std::env::temp_dir().join(format!("rig-writer-{}.json", std::process::id()));
    let read = || WriterReport::parse(&std::fs::read_to_string(&report).ok()?);
    let mut writer = Command::new(writer_program())
        .args([
            "--lines", "0", "--rate", "2000", "--burst", "100", "--length", "1000",
        ])
        .arg("--report")
        .arg(&report)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody reads: the pipe is soon full, and the report is from a thread that nothing holds up.
    let stuck = wait_until(SOON, || read().filter(|report| report.blocked > 500_000.0)).unwrap();
    assert!((60..70).contains(&stuck.lines) && !stuck.done, "{stuck:?}");
    assert!(stuck.p999 < 500_000.0 && stuck.max < 500_000.0);
    let mut pipe = writer.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut pipe, &mut std::io::sink()));
    let freed = wait_until(SOON, || read().filter(|report| report.lines > 4000)).unwrap();
    assert!(freed.max > 500_000.0, "the one that was held up: {freed:?}");
    assert!(freed.over_10ms >= 1);
    assert!(freed.p50 < 10_000.0 && freed.p50 > 0.0 && freed.p50 <= freed.p99 && freed.p999 <= freed.max);
    assert_eq!(freed.bytes, freed.lines * 1001);
    let rate = freed.lines as f64 / freed.seconds;
    assert!((1000.0..2200.0).contains(&rate), "{rate} lines a second");
    writer.kill().unwrap();
    writer.wait().unwrap();
    drop(reader.join());
    drop(std::fs::remove_file(&report));
}

#[test]
fn a_writer_in_a_container_leaves_its_lines_and_its_report() {
    let machine = Machine::acquire();
    login(&machine);
    let image = machine.registry().image("writer");
    let settings = [
        "-e",
        "LINES=5000",
        "-e",
        "SEED=3",
        "-e",
        "LENGTH=20000",
        "-e",
        "STREAM=both",
    ];
    let run = [
        &["run", "-d", "--name", "writer", "-u", "999"],
        &settings[..],
        &[&image],
    ]
    .concat();
    machine.docker_ok(&run);
    let report = || WriterReport::of(&machine, "writer").filter(|report| report.done);
    let report = wait_until(Duration::from_secs(30), report).unwrap();
    assert_eq!((report.lines, report.bytes), (10_000, 10_000 * 20_001));
    let output = machine.docker(&["logs", "writer"]);
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(Numbered::new(3, 5000).check(out.lines()).is_perfect());
    assert!(Numbered::new(4, 5000).check(err.lines()).is_perfect());
    let began = Instant::now();
    machine.docker_ok(&["stop", "-t", "10", "writer"]);
    assert!(began.elapsed() < Duration::from_secs(5), "it heeds SIGTERM");
    let ends = ["run", "-e", "EXIT_CODE=4", "-e", "LINES=1", &image];
    assert_eq!(machine.docker(&ends).status.code(), Some(4));
}

#[test]
fn the_agents_own_markers_are_understood() {
    let gap = |lines, bytes, exact| Gap {
        lines,
        bytes,
        exact,
        from: Some("2026-11-21T04:00:00Z".into()),
        to: None,
        reason: GapReason::RotatedAway,
    };
    let markers = [
        gap(12, 900, true),
        gap(1, 90, true),
        gap(7, 0, false),
        gap(0, 900, false),
        Gap::unknown(GapReason::Other("the engine died".into())),
    ]
    .map(|gap| gap.marker());
    let account = Numbered::new(1, 0).check(&markers);
    let read: Vec<(u64, bool)> = account
        .markers
        .iter()
        .map(|marker| (marker.lines, marker.exact))
        .collect();
    assert_eq!(read, [(12, true), (1, true), (7, false), (0, false), (0, false)]);
    assert_eq!(account.marked(), 20);
}
