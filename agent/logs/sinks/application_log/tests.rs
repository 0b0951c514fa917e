//! The file, with real files: what a kill at each moment leaves behind, and what comes of it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use monopod_core::logs::{Attributes, LineStyle, LineStyler, RotationPolicy};

use super::ApplicationLog;
use super::transport::{Mark, Transport};
use crate::logs::lock::Lock;
use crate::logs::sinks::{Replay, Sink};
use crate::logs::testing::TempDir;

const POLICY: RotationPolicy = RotationPolicy {
    max_size: 20,
    max_age: Duration::MAX,
    keep: 2,
    total: 1000,
    compress_from: None,
};

struct Rig {
    path: PathBuf,
    _dir: TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = TempDir::new();
        Self {
            path: dir.path().join("application.log"),
            _dir: dir,
        }
    }

    fn resume(&self, mark: Option<Mark>, replay: Replay) -> Transport {
        let mut transport = Transport::new(&self.path, POLICY);
        transport.restore(mark, replay);
        transport
    }

    fn text(&self, suffix: &str) -> String {
        std::fs::read_to_string(format!("{}{suffix}", self.path.display())).unwrap_or_default()
    }
}

fn append(transport: &mut Transport, text: &str) {
    let mut done = 0;
    transport.append(text.as_bytes(), &mut done).unwrap();
    assert_eq!(done, text.len());
}

#[test]
fn lines_written_after_the_mark_are_not_written_twice() {
    let rig = Rig::new();
    let mut transport = rig.resume(None, Replay::Exact);
    append(&mut transport, "one\n");
    let mark = transport.mark().unwrap();
    append(&mut transport, "two\nthr");
    let mut transport = rig.resume(mark, Replay::Exact);
    append(&mut transport, "two\n");
    append(&mut transport, "three\nfour\n");
    assert_eq!(rig.text(""), "one\ntwo\nthree\nfour\n");
    assert_eq!(
        std::fs::metadata(&rig.path).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn what_a_power_cut_left_is_cut_off() {
    let rig = Rig::new();
    let mut transport = rig.resume(None, Replay::Exact);
    append(&mut transport, "one\n");
    let mark = transport.mark().unwrap();
    append(&mut transport, "tw\0\0\0");
    let mut transport = rig.resume(mark, Replay::Exact);
    append(&mut transport, "two\n");
    assert_eq!(rig.text(""), "one\ntwo\n");
}

#[test]
fn nothing_is_cut_when_other_lines_come() {
    let rig = Rig::new();
    let mut transport = rig.resume(None, Replay::Exact);
    append(&mut transport, "one\n");
    let mark = transport.mark().unwrap();
    append(&mut transport, "two\nthr");
    let mut transport = rig.resume(mark, Replay::Different);
    // The old mark, saved again, would have these lines cut at the next start.
    assert_ne!(transport.mark().unwrap(), mark);
    append(&mut transport, "five\n");
    assert_eq!(rig.text(""), "one\ntwo\nthr\nfive\n");
}

#[test]
fn killed_right_after_a_rotation_it_goes_on_in_the_new_file() {
    let rig = Rig::new();
    let mut transport = rig.resume(None, Replay::Exact);
    append(&mut transport, "0123456789abcdef\n");
    assert!(transport.rotates(4));
    let mark = transport.mark().unwrap();
    append(&mut transport, "two\n");
    assert_eq!(rig.text(".1"), "0123456789abcdef\n");
    let mut transport = rig.resume(mark, Replay::Exact);
    append(&mut transport, "two\nthree\n");
    assert_eq!(rig.text(""), "two\nthree\n");
}

#[test]
fn keeps_as_many_as_it_should() {
    let rig = Rig::new();
    let mut transport = rig.resume(None, Replay::Exact);
    for number in 0..5 {
        append(&mut transport, &format!("0123456789abcde{number}\n"));
    }
    assert_eq!(rig.text(""), "0123456789abcde4\n");
    assert_eq!(rig.text(".2"), "0123456789abcde2\n");
    assert!(!PathBuf::from(format!("{}.3", rig.path.display())).exists());
}

#[test]
fn old_files_are_compressed_and_still_count() {
    use std::io::Read;

    let rig = Rig::new();
    let policy = RotationPolicy {
        keep: 3,
        compress_from: Some(2),
        ..POLICY
    };
    let mut transport = Transport::new(&rig.path, policy);
    transport.restore(None, Replay::Exact);
    for number in 0..6 {
        append(&mut transport, &format!("0123456789abcde{number}\n"));
        transport.mark().unwrap();
    }
    // Nobody renames what is being compressed, so the next rotation waits for it.
    append(&mut transport, "0123456789abcde6\n");
    assert_eq!(rig.text(".1"), "0123456789abcde5\n");
    assert_eq!(rig.text(".2"), "0123456789abcde4\n", "not before the next mark");
    let mut text = String::new();
    let packed = std::fs::File::open(format!("{}.3.gz", rig.path.display())).unwrap();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "0123456789abcde3\n");
    for name in [".2.gz", ".3", ".4", ".4.gz"] {
        assert!(
            !PathBuf::from(format!("{}{name}", rig.path.display())).exists(),
            "{name}"
        );
    }
}

#[test]
fn a_file_moved_away_by_others_is_left_to_them() {
    let rig = Rig::new();
    let mut transport = rig.resume(None, Replay::Exact);
    append(&mut transport, "one\n");
    std::fs::rename(&rig.path, rig.path.with_extension("old")).unwrap();
    assert_eq!(transport.mark().unwrap(), None);
    append(&mut transport, "two\n");
    assert_eq!(rig.text(""), "two\n");
}

#[tokio::test]
async fn half_a_batch_is_no_place_for_a_mark() {
    let rig = Rig::new();
    let lock = Arc::new(Lock::take(rig.path.parent().unwrap()).await.unwrap());
    let styler = LineStyler::new(&LineStyle::Bare, false, None, &Attributes::default()).unwrap();
    let mut sink = ApplicationLog::new(&rig.path, styler, POLICY, lock);
    let parts = sink.parts.as_mut().unwrap();
    (parts.bytes, parts.done) = (b"one\ntwo\n".to_vec(), 3);
    assert!(sink.commit().await.is_err());
}
