use super::super::cursor::{AheadFile, Planned, Position, Source};
use super::super::gap::GapReason;
use super::super::ledger::{Span, checksum};
use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The files of a log, each with its content, oldest first.
struct Log(Vec<Vec<u8>>);

impl Log {
    fn new(files: &[&str]) -> Self {
        Self(files.iter().map(|text| text.as_bytes().to_vec()).collect())
    }

    fn identity(&self, at: usize) -> FileIdentity {
        FileIdentity {
            device: 1,
            inode: at as u64,
            birth: Some(at as u64),
            first_record: Some(FileIdentity::hash(
                self.0[at].split(|b| *b == b'\n').next().unwrap(),
            )),
        }
    }

    fn span(&self, at: usize, from: usize, to: usize) -> Span {
        let bytes = &self.0[at][from..to];
        Span {
            file: self.identity(at),
            from: from as u64,
            to: to as u64,
            checksum: checksum(bytes),
            lines: bytes.iter().filter(|byte| **byte == b'\n').count() as u64,
        }
    }

    fn position(&self, at: usize, offset: u64) -> Option<Position> {
        Some(Position {
            file: self.identity(at),
            offset,
            partials: Vec::new(),
        })
    }

    fn present(&self, first: usize) -> Vec<Present> {
        let count = self.0.len();
        let name = |at: usize| match count - 1 - at {
            0 => format!("/var/lib/docker/containers/{ID}/{ID}-json.log"),
            number => format!("/var/lib/docker/containers/{ID}/{ID}-json.log.{number}"),
        };
        (first..count)
            .map(|at| Present {
                source: 0,
                name: name(at),
                identity: self.identity(at),
                size: self.0[at].len() as u64,
                whole: self.0[at]
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at as u64 + 1),
            })
            .collect()
    }

    fn report(&self, cursor: Cursor, first: usize) -> SinkReport {
        self.report_of(&account(cursor), first)
    }

    fn report_of(&self, account: &Account, first: usize) -> SinkReport {
        let present = self.present(first);
        let sums: Vec<Option<u32>> = ranges(&account.cursor.ledger, &present)
            .into_iter()
            .map(|range| {
                let bytes = &self.0[range.file + first];
                bytes.get(range.from as usize..range.to as usize).map(checksum)
            })
            .collect();
        verify(account, &present, &sums)
    }
}

fn account(cursor: Cursor) -> Account {
    Account {
        name: "applog.application-log".into(),
        stream: "applog".into(),
        sink: "application-log".into(),
        handover: Handover::Acknowledged,
        origin: None,
        target: Some("/var/log/application.log".into()),
        engine_files: true,
        cursor,
    }
}

fn cursor(log: &Log, spans: &[Span], at: usize, offset: u64) -> Cursor {
    let mut cursor = Cursor::default();
    cursor.sources = vec![Source {
        path: "/x".into(),
        ..source()
    }];
    cursor.position = log.position(at, offset);
    cursor.ledger.add(spans);
    cursor
}

fn source() -> Source {
    serde_json::from_value(serde_json::json!({"container": "c", "path": "/x"})).unwrap()
}

fn rotated(lines: u64, bytes: u64) -> Gap {
    Gap {
        lines,
        bytes,
        exact: true,
        ..Gap::unknown(GapReason::RotatedAway)
    }
}

#[test]
fn all_delivered_and_some_that_waits() {
    let log = Log::new(&["aaaa\nb\n", "cccc\nd\neeee\n"]);
    let spans = [log.span(0, 0, 7), log.span(1, 0, 7)];
    let report = log.report(cursor(&log, &spans, 1, 7), 0);
    assert_eq!(report.verdict, Verdict::Complete, "{report:#?}");
    assert_eq!(report.behind_bytes, 5);
    assert_eq!(
        (report.lines.read, report.lines.delivered, report.lines.lost),
        (4, 4, 0)
    );
    let report = log.report(Cursor::default(), 0);
    assert_eq!((report.verdict, report.behind_bytes), (Verdict::Complete, 19));
}

#[test]
fn what_is_gone_is_a_sum() {
    let log = Log::new(&["aaaa\nb\n", "cccc\n"]);
    let spans = [log.span(0, 0, 7), log.span(1, 0, 5)];
    let report = log.report(cursor(&log, &spans, 1, 5), 1);
    let gone = Gone {
        files: 1,
        bytes: 7,
        lines: 2,
    };
    assert_eq!(
        (report.gone, report.files.len(), report.verdict),
        (gone, 1, Verdict::Complete)
    );
}

#[test]
fn another_content_is_seen() {
    let mut log = Log::new(&["aaaa\nb\n", "cccc\nd\n"]);
    let spans = [log.span(0, 0, 7), log.span(1, 0, 7)];
    let cursor = cursor(&log, &spans, 1, 7);
    log.0[1][5] = b'X';
    let report = log.report(cursor.clone(), 0);
    assert_eq!(report.files[1].checksum, Check::Differs);
    assert_eq!(report.verdict, Verdict::Differs);
    log.0[1].truncate(5);
    let report = log.report(cursor, 0);
    assert_eq!(report.files[1].checksum, Check::Shorter);
    assert_eq!(report.verdict, Verdict::Differs);
}

#[test]
fn another_beginning_is_a_difference_only_where_nobody_may_write_anew() {
    let mut log = Log::new(&["aaaa\nb\n"]);
    let mut account = account(cursor(&log, &[log.span(0, 0, 7)], 0, 7));
    log.0[0][0] = b'X';
    let report = log.report_of(&account, 0);
    assert_eq!(report.files[0].checksum, Check::Differs);
    account.engine_files = false;
    let report = log.report_of(&account, 0);
    assert_eq!(
        (report.files.len(), report.gone.files),
        (0, 1),
        "a plain file may be truncated"
    );
}

#[test]
fn holes_are_seen_wherever_they_are() {
    let log = Log::new(&["aaaa\nb\n", "cccc\nd\neeee\n"]);
    let whole = log.span(0, 0, 7);
    let cases: [(&[Span], (u64, u64)); 3] = [
        (&[whole.clone(), log.span(1, 5, 12)], (0, 5)),
        (&[whole.clone(), log.span(1, 0, 5), log.span(1, 7, 12)], (5, 7)),
        (&[whole.clone(), log.span(1, 0, 7)], (7, 12)),
    ];
    for (spans, hole) in cases {
        let report = log.report(cursor(&log, spans, 1, 12), 0);
        let found: Vec<(u64, u64)> = report.holes.iter().map(|hole| (hole.from, hole.to)).collect();
        assert_eq!((found, report.verdict), (vec![hole], Verdict::Lost));
    }
    let report = log.report(cursor(&log, &[log.span(1, 0, 12)], 1, 12), 0);
    assert_eq!((report.holes[0].from, report.holes[0].to), (0, 7), "a whole file");
}

#[test]
fn a_gap_explains_a_hole_and_a_torn_end_is_none() {
    let log = Log::new(&["aaaa\nb\ntorn", "cccc\nd\neeee\n"]);
    let spans = [log.span(0, 0, 7), log.span(1, 0, 5), log.span(1, 7, 12)];
    let mut cursor = cursor(&log, &spans, 1, 12);
    cursor.ledger.tell([rotated(1, 2)]);
    let report = log.report(cursor, 0);
    assert_eq!(report.holes, []);
    assert_eq!(report.verdict, Verdict::Lost, "it is a gap all the same");
    assert_eq!((report.lines.lost, report.lines.lost_exact), (1, true));
}

#[test]
fn pieces_that_became_a_sum_are_no_holes() {
    let log = Log::new(&["aaaa\nb\n", "cccc\nd\neeee\n"]);
    let mut cursor = cursor(&log, &[log.span(1, 5, 12)], 1, 12);
    cursor.ledger.older.files = 2;
    assert_eq!(log.report(cursor, 0).verdict, Verdict::Complete);
}

#[test]
fn what_is_lost_and_not_noticed_yet_is_a_gap() {
    let log = Log::new(&["aaaa\nb\n", "cccc\nd\n", "eeee\n"]);
    let mut cursor = cursor(&log, &[log.span(0, 0, 5)], 0, 5);
    cursor.ahead = (0..2)
        .map(|at| AheadFile {
            file: log.identity(at),
            size: 7,
        })
        .collect();
    cursor.last_time = Some("A".into());
    let report = log.report(cursor.clone(), 2);
    assert_eq!(report.gaps.len(), 1);
    let gap = &report.gaps[0];
    assert_eq!(
        (gap.gap.bytes, gap.told, gap.gap.from.as_deref()),
        (9, false, Some("A"))
    );
    assert_eq!((report.verdict, report.behind_bytes), (Verdict::Lost, 5));
    // Once it is found it is the same one.
    cursor.gaps.push(gap.gap.clone());
    assert_eq!(log.report(cursor, 2).gaps.len(), 1);
}

#[test]
fn lines_that_a_sink_refused_were_not_delivered() {
    let log = Log::new(&["aaaa\nb\nc\n"]);
    let mut cursor = cursor(&log, &[log.span(0, 0, 9)], 0, 9);
    cursor.ledger.excluded = 1;
    cursor.ledger.tell([Gap {
        reason: GapReason::Other("too old for it".into()),
        ..rotated(1, 2)
    }]);
    let lines = log.report(cursor, 0).lines;
    assert_eq!(
        (lines.read, lines.delivered, lines.excluded, lines.lost),
        (3, 1, 1, 1)
    );
}

#[test]
fn the_table() {
    let mut log = Log::new(&["gone\n", "aaaa\nb\n", "cccc\nd\neeee\nffff\n"]);
    let spans = [
        log.span(0, 0, 5),
        log.span(1, 0, 7),
        log.span(2, 0, 5),
        log.span(2, 7, 12),
    ];
    let mut first = cursor(&log, &spans, 2, 12);
    first.ledger.tell([
        rotated(12, 900),
        Gap::unknown(GapReason::Other("the engine\x1b died".into())),
    ]);
    first.ledger.excluded = 2;
    first.ledger.older_gaps = 3;
    first.planned = Some(Planned {
        end: log.position(2, 17).unwrap(),
        parcel: serde_json::Value::Null,
    });
    let second = Account {
        sink: "syslog".into(),
        handover: Handover::BestEffort,
        target: None,
        origin: Some("/var/log/auth.log".into()),
        ..account(cursor(&log, &[log.span(1, 0, 7), log.span(2, 0, 17)], 2, 17))
    };
    log.0[1][5] = b'X';
    let reports = [
        log.report(first, 1),
        log.report_of(&second, 1),
        log.report(Cursor::default(), 3),
    ];
    let expected = "\
applog to application-log, /var/log/application.log
  file                     from  to  lines  checksum
  (1 file gone)                   5      1  -
  0123456789ab-json.log.1     0   7      2  DIFFERS
  0123456789ab-json.log       0   5      1  match
  0123456789ab-json.log       7  12      1  match
  HOLE in 0123456789ab-json.log: bytes 5 to 7, and no gap tells of them
  gap: 12 log lines lost: rotated away before they could be shipped
  gap: an unknown number of log lines lost: the engine· died
  gap: 3 before those
  a parcel was about to leave, with the lines up to byte 17 of 0123456789ab-json.log
  3 lines delivered, 2 excluded, at least 12 lost, 5 B of the log wait

applog of /var/log/auth.log to syslog
  file                     from  to  lines  checksum
  0123456789ab-json.log.1     0   7      2  DIFFERS
  0123456789ab-json.log       0  17      4  match
  6 lines handed over, 0 lost, nothing waits

applog to application-log, /var/log/application.log
  nothing yet
  0 lines delivered, 0 lost, nothing waits

A file is not what was delivered of it: somebody has changed it, or a crash took its end.
";
    let text = to_text(&reports);
    assert_eq!(text, expected, "{text}");
}

#[test]
fn for_programs() {
    let log = Log::new(&["aaaa\nb\n"]);
    let mut cursor = cursor(&log, &[log.span(0, 0, 7)], 0, 7);
    cursor.ledger.tell([rotated(2, 9)]);
    let json = serde_json::to_value(log.report(cursor, 0)).unwrap();
    assert_eq!(json["guarantee"], "acknowledged");
    assert_eq!(json["files"][0]["checksum"], "match");
    assert_eq!(
        json["gaps"][0]["why"],
        "rotated away before they could be shipped"
    );
    assert_eq!(json["gaps"][0]["told"], true);
    assert_eq!(json["verdict"], "lost");
}
