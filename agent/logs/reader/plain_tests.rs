//! Plain files through the reader, with real files: each way to rotate.

use std::fs::OpenOptions;
use std::io::Write;

use super::*;
use crate::logs::testing::{PlainLog, TempDir};

pub(super) struct Rig {
    pub(super) dir: TempDir,
    pub(super) log: PlainLog,
    pub(super) reader: Reader,
    pub(super) cursor: Cursor,
    pub(super) gaps: Vec<Gap>,
}

fn source(log: &PlainLog) -> Source {
    Source {
        container: None,
        path: log.path().to_str().unwrap().to_owned(),
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        let dir = TempDir::new();
        let log = PlainLog::new(dir.path());
        let reader = Reader::new(&source(&log));
        let (cursor, gaps) = (Cursor::default(), Vec::new());
        Self {
            dir,
            log,
            reader,
            cursor,
            gaps,
        }
    }

    pub(super) fn survey(&mut self) {
        self.gaps.extend(self.reader.survey(&self.cursor).unwrap());
    }

    pub(super) fn fill(&mut self) -> Vec<String> {
        let mut batch = Batch::default();
        for _ in 0..10_000 {
            let filled = self.reader.fill(&mut batch, "now").unwrap();
            self.gaps.extend(filled.gaps);
            if filled.at_end {
                return batch.lines().map(|line| line.text.to_owned()).collect();
            }
        }
        panic!("never at the end");
    }

    /// Looks and reads all there is.
    fn read(&mut self) -> Vec<String> {
        self.survey();
        self.fill()
    }

    pub(super) fn save(&mut self) {
        if !self.reader.resumed {
            // Nothing is saved before the first look.
            return;
        }
        self.cursor.position = self.reader.position().or(self.cursor.position.take());
        self.cursor.ahead = self.reader.ahead();
        self.cursor = Cursor::from_json(&self.cursor.to_json()).unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.reader = Reader::new(&source(&self.log));
    }

    fn told(&mut self) -> Vec<(GapReason, u64, bool)> {
        let told = std::mem::take(&mut self.gaps).into_iter();
        told.map(|gap| (gap.reason, gap.bytes, gap.exact)).collect()
    }
}

const TRUNCATED: (GapReason, u64, bool) = (GapReason::Truncated, 0, false);

#[test]
fn begins_with_the_current_file_whenever_it_comes() {
    let mut rig = Rig::new();
    rig.log.write("old");
    rig.log.rename_to("x.log.1");
    assert!(rig.read().is_empty());
    rig.log.write("a");
    rig.log.shift(3);
    rig.log.rename_to("x.log.1");
    rig.log.write("b");
    assert_eq!(rig.read(), ["a", "b"]);
    assert!(rig.told().is_empty());
}

#[test]
fn follows_renames_and_a_writer_that_is_late() {
    let mut rig = Rig::new();
    rig.log.write("a");
    assert_eq!(rig.read(), ["a"]);
    let mut late = OpenOptions::new().append(true).open(rig.log.path()).unwrap();
    rig.log.rename_to("x.log-20261121");
    rig.log.raw(b"");
    assert!(rig.read().is_empty());
    late.write_all(b"b\nno end").unwrap();
    assert_eq!(rig.read(), ["b"]);
    rig.save();
    rig.restart();
    rig.log.write("c");
    assert_eq!(rig.read(), ["no end", "c"]);
    assert!(rig.told().is_empty());
}

#[test]
fn a_copy_is_not_shipped_again_but_its_rest_is() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        rig.log.write("a");
        assert_eq!(rig.read(), ["a"]);
        rig.save();
        rig.log.write("b");
        rig.log.copy_to("x.log.1");
        if !restart {
            rig.survey();
        }
        rig.log.truncate();
        rig.log.write("c");
        if restart {
            rig.restart();
        }
        assert_eq!(rig.read(), ["b", "c"], "restart: {restart}");
        assert_eq!(rig.told(), [TRUNCATED], "restart: {restart}");
        rig.log.write("d");
        assert_eq!(rig.read(), ["d"]);
        assert!(rig.told().is_empty());
    }
}

#[test]
fn a_truncated_file_that_has_grown_is_found_by_its_beginning() {
    let mut rig = Rig::new();
    rig.log.write("a");
    assert_eq!(rig.read(), ["a"]);
    rig.log.write("not read");
    rig.reader.ahead();
    rig.log.truncate();
    rig.log.write("b, and longer");
    assert_eq!(rig.fill(), ["b, and longer"]);
    assert_eq!(rig.told(), [TRUNCATED]);
}

#[test]
fn removed_and_made_again_is_another_file() {
    let mut rig = Rig::new();
    rig.log.write("a");
    assert_eq!(rig.read(), ["a"]);
    rig.save();
    rig.log.write("b");
    rig.log.delete();
    assert_eq!(rig.read(), ["b"], "it is still open");
    rig.log.write("c");
    assert_eq!(rig.read(), ["c"]);
    assert!(rig.told().is_empty(), "each was seen");
    rig.restart();
    assert_eq!(rig.read(), ["c"]);
    assert_eq!(rig.told(), [(GapReason::RotatedAway, 0, false)]);
}

#[test]
fn a_long_line_goes_on_after_a_restart() {
    let mut rig = Rig::new();
    rig.log.raw("x".repeat(100_000).as_bytes());
    assert!(rig.read().is_empty());
    rig.save();
    assert_eq!(rig.cursor.position.as_ref().unwrap().offset, 100_000);
    rig.restart();
    rig.log.write("end");
    let lines = rig.read();
    assert_eq!((lines.len(), lines[0].len()), (1, 100_003));
}

#[test]
fn a_flush_ends_the_last_line_and_it_comes_once() {
    let mut rig = Rig::new();
    rig.log.raw(b"a\nno end");
    assert_eq!(rig.read(), ["a"]);
    let mut batch = Batch::default();
    rig.reader.flush(&mut batch);
    assert_eq!(
        batch.last().map(|line| (line.text, line.time)),
        Some(("no end", "now"))
    );
    assert!(rig.read().is_empty());
}

#[test]
fn of_two_files_without_a_name_the_first_is_given_up() {
    let mut rig = Rig::new();
    rig.log.write("a");
    assert_eq!(rig.read(), ["a"]);
    for text in ["b", "c", "d"] {
        rig.log.write(text);
        rig.log.delete();
        rig.log.write(text);
        rig.survey();
    }
    // The file with a and b; the one with b and c.
    let lost: u64 = rig.gaps.iter().map(|gap| gap.lines).sum();
    assert_eq!(lost, 3);
    assert_eq!(rig.fill(), ["c", "d", "d"]);
}
