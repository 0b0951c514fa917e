use super::*;
use crate::logs::testing::{EngineLog, TempDir};

/// All that is shown from here on, and the lines told to be lost.
fn read(reading: &mut Reading) -> (Vec<String>, Vec<(u64, bool)>) {
    let (mut lines, mut lost) = (Vec::new(), Vec::new());
    while reading
        .step(
            |line| {
                lines.push(line.text.to_owned());
                Ok(())
            },
            |gap| lost.push((gap.lines, gap.exact)),
        )
        .unwrap()
        == Step::More
    {}
    if !reading.is_followed() {
        reading
            .finish(|line| {
                lines.push(line.text.to_owned());
                Ok(())
            })
            .unwrap();
    }
    (lines, lost)
}

fn all(engine: &EngineLog, wanted: &Wanted) -> Vec<String> {
    let mut reading = Reading::open(engine.path(), wanted, false).unwrap().unwrap();
    let (lines, lost) = read(&mut reading);
    assert_eq!(lost, []);
    lines
}

fn last(lines: u64) -> Wanted {
    Wanted {
        last: Some(lines),
        ..Wanted::default()
    }
}

/// Lines 1 to `count`, in several files.
fn engine(dir: &TempDir, count: u64, rotate_each: u64) -> EngineLog {
    let mut engine = EngineLog::new(dir.path(), 5);
    for number in 1..=count {
        engine.write(&format!("line {number}"));
        if number % rotate_each == 0 && number != count {
            engine.rotate();
        }
    }
    engine
}

fn numbered(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

#[test]
fn every_file_oldest_first_and_nothing_where_there_is_none() {
    let dir = TempDir::new();
    let engine = engine(&dir, 40, 10);
    assert_eq!(all(&engine, &Wanted::default()), numbered(1..=40));
    let nowhere = dir.path().join("gone/x-json.log");
    assert!(
        Reading::open(&nowhere, &Wanted::default(), false)
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_last_lines_whatever_file_they_are_in() {
    let dir = TempDir::new();
    // Several windows long.
    let mut engine = engine(&dir, 4_000, 1_000);
    for count in [0, 1, 999, 1_000, 1_001, 2_500, 4_000, 9_999] {
        let from = 4_000_u64.saturating_sub(count) + 1;
        assert_eq!(all(&engine, &last(count)), numbered(from..=4_000), "{count}");
    }
    // A line of many records is one, and is never shown without its beginning.
    for _ in 0..200 {
        engine.record(&"x".repeat(1_000), "stdout");
    }
    engine.write("end");
    engine.record("no end", "stderr");
    assert_eq!(all(&engine, &last(1)), ["no end"]);
    let lines = all(&engine, &last(3));
    assert_eq!(
        (lines[0].as_str(), lines[1].len(), lines.len()),
        ("line 4000", 200_003, 3)
    );
    let of_stderr = Wanted {
        stream: Some(Stream::Stderr),
        ..last(3)
    };
    assert_eq!(all(&engine, &of_stderr), ["no end"]);
}

#[test]
fn times_choose_lines_and_whole_files() {
    let dir = TempDir::new();
    let mut engine = EngineLog::new(dir.path(), 5);
    for hour in 0..4 {
        for minute in [0, 30] {
            let text = format!("{hour}:{minute}");
            let time = format!("2026-01-02T0{hour}:{minute:02}:00Z");
            let record = serde_json::json!({"log": format!("{text}\n"), "stream": "stdout", "time": time});
            engine.raw(&format!("{record}\n"));
        }
        engine.rotate();
    }
    let at = |time: &str| text::parse_timestamp_millis(time);
    let since = Wanted {
        since: at("2026-01-02T02:15:00Z"),
        ..Wanted::default()
    };
    assert_eq!(all(&engine, &since), ["2:30", "3:0", "3:30"]);
    let between = Wanted {
        until: at("2026-01-02T03:00:00Z"),
        ..since.clone()
    };
    assert_eq!(all(&engine, &between), ["2:30", "3:0"]);
    let mut files = scan(engine.path()).unwrap();
    let position = start(&mut files, &since, false).unwrap().position.unwrap();
    assert_eq!(position.file, files[2].identity(), "two files are not read");
    assert_eq!(
        all(
            &engine,
            &Wanted {
                last: Some(1),
                ..between
            }
        ),
        ["3:0"]
    );
}

#[test]
fn rotations_meanwhile_cost_nothing_and_what_came_later_is_not_asked_for() {
    let dir = TempDir::new();
    let mut engine = engine(&dir, 40, 10);
    let mut reading = Reading::open(engine.path(), &Wanted::default(), false)
        .unwrap()
        .unwrap();
    engine.rotate();
    engine.write("later");
    assert_eq!(read(&mut reading), (numbered(1..=40), vec![]));
}

#[test]
fn what_is_removed_before_it_is_read_is_counted() {
    let dir = TempDir::new();
    let mut engine = engine(&dir, 50, 10);
    let mut reading = Reading::open(engine.path(), &Wanted::default(), true)
        .unwrap()
        .unwrap();
    for _ in 0..3 {
        engine.rotate();
    }
    engine.write("line 51");
    let mut lost = Vec::new();
    reading.look(|gap| lost.push((gap.lines, gap.exact))).unwrap();
    // Three files lost their names, and the last of them is still held.
    assert_eq!(lost, [(10, true), (10, true)]);
    assert_eq!(read(&mut reading), (numbered(21..=51), vec![]));
    engine.write("line 52");
    assert_eq!(read(&mut reading).0, ["line 52"], "each line once");
}
