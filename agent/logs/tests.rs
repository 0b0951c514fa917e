//! The whole of it, with real files, real rotation and real kills. Syslog's side is with the sink.

use std::path::Path;
use std::time::Duration;

use super::testing::{EngineLog, Rig, retrying, sink, soon, until};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_once_over_rotations_and_kills() {
    let mut rig = Rig::new();
    for round in 0..12_usize {
        let shipper = rig.start(rig.options()).await;
        // A rotation before the first look would take away what the kill left unread.
        assert_eq!(shipper.drain(soon()).await, Drained::Complete);
        for _ in 0..3 {
            rig.write(700 + 131 * round);
            rig.engine.rotate();
            // Not more than what the engine keeps may be unread, or there'd be a gap.
            let most = rig.engine.written - 700;
            until("lines of older files", || rig.shipped().len() as u64 >= most).await;
            rig.write(97 * round % 300);
        }
        if round % 3 == 1 {
            // Past a commit, so that kills happen on both sides of one.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            rig.write(400);
        }
        drop(shipper);
        rig.write(50);
    }
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(sink(&shipper, "application-log").behind_bytes, 0);
    shipper.stop(soon()).await;
    let (shipped, expected) = (rig.shipped(), rig.numbered_lines());
    let differs = shipped
        .iter()
        .zip(&expected)
        .position(|(shipped, expected)| shipped != expected);
    let around = differs.map(|at| &shipped[at.saturating_sub(2)..shipped.len().min(at + 3)]);
    assert_eq!((around, shipped.len()), (None, expected.len()));
}

#[tokio::test]
async fn a_stop_saves_the_cursor_and_a_new_start_repeats_nothing() {
    let mut rig = Rig::new();
    rig.write(100);
    let shipper = rig.start(rig.options()).await;
    until("lines", || rig.shipped().len() == 100).await;
    shipper.stop(soon()).await;
    rig.write(100);
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(sink(&shipper, "application-log").delivered, 100);
    assert_eq!(rig.shipped(), rig.numbered_lines());
}

#[tokio::test]
async fn killed_before_the_first_commit_nothing_comes_twice() {
    let mut rig = Rig::new();
    rig.write(100);
    let shipper = rig.start(rig.options()).await;
    until("lines", || rig.shipped().len() == 100).await;
    drop(shipper);
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(rig.shipped(), rig.numbered_lines());
}

#[tokio::test]
async fn the_torn_end_of_a_rotated_file_is_counted() {
    let mut rig = Rig::new();
    rig.write(1);
    rig.engine.raw("{\"log\":\"the engine died he");
    rig.engine.rotate();
    rig.write(1);
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(rig.shipped(), rig.numbered_lines());
    assert_eq!(sink(&shipper, "application-log").garbage, 1);
}

#[tokio::test]
async fn lost_lines_are_counted_exactly_while_we_live() {
    let mut rig = Rig::new();
    let away = rig.dir.path().join("not/there/yet");
    let options = Options {
        application_log: Some(away.join("application.log")),
        ..rig.options()
    };
    rig.write(1);
    let shipper = rig.start(options).await;
    until("an outage", || retrying(&shipper, "application-log")).await;
    let seen = |shipper: &Shipper| {
        let status = sink(shipper, "application-log");
        (status.behind_bytes, status.lost)
    };
    for _ in 0..8 {
        let before = seen(&shipper);
        rig.write(100);
        rig.engine.rotate();
        // Two rotations between two looks may hide a file.
        until("a look", || seen(&shipper) != before).await;
    }
    assert!(matches!(
        shipper.drain(Instant::now()).await,
        Drained::Behind { bytes: 1.., .. }
    ));
    std::fs::create_dir_all(&away).unwrap();
    rig.write(10);
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let status = sink(&shipper, "application-log");
    assert_eq!(
        (status.delivered + status.lost, status.lost_exact),
        (rig.engine.written, true)
    );
    let text = std::fs::read_to_string(away.join("application.log")).unwrap();
    let marker = format!("monopod: {} log lines lost between ", status.lost);
    assert_eq!(
        text.lines().filter(|line| line.starts_with(&marker)).count(),
        1,
        "{text}"
    );
    assert_eq!(text.lines().count() as u64, status.delivered + 1);
    assert!(status.lost >= 300, "{status:?}");
}

#[tokio::test]
async fn lost_lines_of_our_absence_are_a_gap_of_unknown_size() {
    let mut rig = Rig::new();
    rig.write(100);
    let shipper = rig.start(rig.options()).await;
    until("lines", || rig.shipped().len() == 100).await;
    shipper.stop(soon()).await;
    for _ in 0..9 {
        rig.write(10);
        rig.engine.rotate();
    }
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let shipped = rig.shipped();
    let marker =
        "monopod: an unknown number of log lines lost after 2026-01-02T03:04:05.000000100Z: rotated away";
    assert!(shipped[100].starts_with(marker), "{}", shipped[100]);
    assert_eq!(shipped[101..], rig.numbered_lines()[160..]);
    assert!(!sink(&shipper, "application-log").lost_exact);
}

#[tokio::test]
async fn a_torn_cursor_means_lines_twice_and_none_lost() {
    let mut rig = Rig::new();
    rig.write(10);
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    shipper.stop(soon()).await;
    let path = rig.dir.path().join("state/applog.application-log.cursor");
    let cursor = std::fs::read(&path).unwrap();
    std::fs::write(&path, &cursor[..cursor.len() / 2]).unwrap();
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(
        rig.shipped(),
        [rig.numbered_lines(), rig.numbered_lines()].concat()
    );
}

#[tokio::test]
async fn cut_lines_are_joined_over_a_kill_and_torn_records_wait() {
    let mut rig = Rig::new();
    let shipper = rig.start(rig.options()).await;
    rig.engine.record("first half, ", "stdout");
    rig.engine.record("other\n", "stderr");
    until("a line", || rig.shipped().len() == 1).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    drop(shipper);
    let shipper = rig.start(rig.options()).await;
    rig.engine.record("second half\n", "stdout");
    rig.engine.raw("{\"log\":\"torn, ");
    until("the joined line", || rig.shipped().len() == 2).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    rig.engine
        .raw("not lost\\n\",\"stream\":\"stdout\",\"time\":\"t\"}\n");
    until("the torn line", || rig.shipped().len() == 3).await;
    assert_eq!(
        rig.shipped(),
        ["other", "first half, second half", "torn, not lost"]
    );
}

#[tokio::test]
async fn another_container_begins_when_the_first_is_read() {
    let mut rig = Rig::new();
    rig.write(500);
    let mut second = EngineLog::new(&rig.dir.path().join("second"), 4);
    let shipper = rig.start(rig.options()).await;
    rig.engine.record("no end", "stdout");
    shipper.follow("c2", second.path()).await.unwrap();
    second.write("second begins");
    until("both", || rig.shipped().len() == 502).await;
    assert_eq!(rig.shipped()[500..], ["no end", "second begins"]);
    // Its restart is nothing new.
    shipper.follow("c2", second.path()).await.unwrap();
    drop(shipper);
    std::fs::remove_dir_all(rig.engine.path().parent().unwrap()).unwrap();
    let shipper = Shipper::start(rig.options()).await.unwrap();
    shipper.follow("c2", second.path()).await.unwrap();
    second.write("still there");
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    let shipped = rig.shipped();
    assert_eq!(shipped.last().unwrap(), "still there");
    assert_eq!(shipper.status().container.as_deref(), Some("c2"));
}

#[tokio::test]
async fn a_recorded_gap_is_in_the_stream() {
    let mut rig = Rig::new();
    rig.write(3);
    let shipper = rig.start(rig.options()).await;
    until("lines", || rig.shipped().len() == 3).await;
    shipper.record_gap("the engine died");
    until("the marker", || rig.shipped().len() == 4).await;
    let marker = rig.shipped().pop().unwrap();
    assert!(
        marker.starts_with("monopod: an unknown number of log lines lost between 2026-01-02T"),
        "{marker}"
    );
    assert!(marker.ends_with(": the engine died"), "{marker}");
}

#[tokio::test]
async fn a_full_disk_makes_lines_wait() {
    let mut rig = Rig::new();
    rig.write(3);
    let shipper = rig
        .start(Options {
            application_log: Some("/dev/full".into()),
            ..rig.options()
        })
        .await;
    until("an outage", || retrying(&shipper, "application-log")).await;
    let status = sink(&shipper, "application-log");
    assert!(status.last_error.unwrap().contains("No space left"));
    assert_eq!((status.delivered, status.lost), (0, 0));
    let drained = shipper.drain(Instant::now() + Duration::from_millis(50)).await;
    assert_eq!(
        drained,
        Drained::Behind {
            sink: "application-log",
            bytes: rig.engine.len()
        }
    );
    shipper.stop(Instant::now() + Duration::from_millis(50)).await;
    let shipper = rig.start(rig.options()).await;
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(rig.shipped(), rig.numbered_lines());
}

#[tokio::test]
async fn only_one_ships_at_a_time() {
    let rig = Rig::new();
    let first = rig.start(rig.options()).await;
    let second = tokio::spawn(Shipper::start(rig.options()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    first.stop(soon()).await;
    second.await.unwrap().unwrap();
}

#[test]
fn the_state_directory_is_said_when_it_fails() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = Options {
        state_dir: Path::new("/proc/nothing").into(),
        ..Rig::new().options()
    };
    let error = runtime.block_on(Shipper::start(options)).unwrap_err();
    assert!(error.to_string().contains("/proc/nothing"), "{error}");
}

#[tokio::test]
async fn a_task_that_ended_is_not_kept() {
    let rig = Rig::new();
    let shipper = rig.start(rig.options()).await;
    let kept = || locked(&shipper.shared.tasks).len();
    let before = kept();
    let ended = Arc::new(());
    let held = Arc::clone(&ended);
    locked(&shipper.shared.tasks).spawn(async move { drop(held) });
    until("its end", || Arc::strong_count(&ended) == 1).await;
    assert_eq!(kept(), before + 1);
    let sink = sinks::syslog::Syslog::new(
        &rig.socket(),
        monopod_core::logs::SyslogFormat::Rfc3164,
        &Attributes::default(),
    );
    routes::attach(&shipper, sink, monopod_core::logs::Treatment::default());
    assert_eq!(kept(), before + 1);
}

#[tokio::test]
async fn a_task_that_ended_or_is_stuck_keeps_no_other_from_a_container() {
    let rig = Rig::new();
    let shipper = Shipper::start(rig.options()).await.unwrap();
    let like = shipper.shared.feeds_of(|_| true).remove(0);
    let feed = |orders| Feed {
        orders,
        ..like.clone()
    };
    let (ended, commands) = mpsc::channel(1);
    drop(commands);
    let (stuck, _commands) = mpsc::channel(1);
    stuck
        .try_send(Command::Gap(Gap::unknown(GapReason::Other("x".into()))))
        .unwrap();
    let (well, mut orders) = mpsc::channel(1);
    let feeds = [stuck, ended, well].map(feed);
    *locked(&shipper.shared.feeds) = feeds.into();
    let followed = shipper.follow("c1", rig.engine.path());
    let followed = tokio::time::timeout_at(soon(), followed)
        .await
        .expect("a deadline");
    assert!(matches!(followed, Err(LogsError::Stuck)));
    assert!(matches!(orders.try_recv(), Ok(Command::Follow(_))));
}
