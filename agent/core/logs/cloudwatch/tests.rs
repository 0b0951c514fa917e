use proptest::prelude::*;

use super::*;

/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045_000;

fn push(parcel: &mut Parcel, stream: Stream, time: u64, text: &str) {
    let time = &rfc3339(time);
    parcel.push(Line { time, stream, text }, NOW);
}

fn parcel(lines: &[(Stream, u64, &str)]) -> Parcel {
    let mut parcel = Parcel::default();
    for (stream, time, text) in lines {
        push(&mut parcel, *stream, *time, text);
    }
    parcel
}

/// What goes with each call, if AWS takes all of it.
fn calls(parcel: &mut Parcel) -> Vec<Vec<(u64, String)>> {
    let mut calls = Vec::new();
    loop {
        let count = parcel.next(NOW, BATCH_EVENTS);
        if count == 0 {
            return calls;
        }
        let events = parcel.events().take(count);
        calls.push(events.map(|(time, text)| (time, text.to_owned())).collect());
        parcel.delivered(count, Rejected::default());
    }
}

fn texts(parcel: &mut Parcel) -> Vec<Vec<String>> {
    let texts = |call: Vec<(u64, String)>| call.into_iter().map(|(_, text)| text).collect();
    calls(parcel).into_iter().map(texts).collect()
}

use Stream::{Monopod, Stderr, Stdout};

#[test]
fn streams_are_merged_by_time_and_each_stays_in_order() {
    let mut both = parcel(&[
        (Stdout, NOW - 5, "out 1"),
        (Stderr, NOW - 8, "err 1"),
        (Stdout, NOW - 5, "out 2"),
        (Stderr, NOW - 5, "err 2"),
    ]);
    assert_eq!(texts(&mut both), [["err 1", "out 1", "out 2", "err 2"]]);
    // The clock was set back by an hour, and is right now.
    let mut back = parcel(&[
        (Stdout, NOW, "1"),
        (Stdout, NOW - HOUR, "2"),
        (Stderr, NOW - HOUR, "other"),
    ]);
    let events = |text: &str, time| (time, text.to_owned());
    assert_eq!(
        calls(&mut back),
        [[events("other", NOW - HOUR), events("1", NOW), events("2", NOW)]]
    );
}

#[test]
fn a_clock_that_was_far_ahead_takes_no_line_behind_it_along() {
    let mut set = parcel(&[(Stdout, NOW + AHEAD + 1, "ahead"), (Stdout, NOW, "right")]);
    assert_eq!(texts(&mut set), [["right"]]);
    let gaps = set.gaps();
    assert_eq!((gaps.len(), gaps[0].lines, gaps[0].bytes), (1, 1, 5));
    assert_eq!(
        gaps[0].marker(),
        format!(
            "monopod: 1 log line lost between 2026-01-02T05:04:05.001Z and 2026-01-02T05:04:05.001Z: {TOO_NEW}"
        )
    );
    let mut edge = parcel(&[(Stdout, NOW + AHEAD, "new"), (Stdout, NOW - PAST, "old")]);
    // The later one of the same stream is not taken for an earlier one.
    assert_eq!(texts(&mut edge), [["new", "old"]]);
}

#[test]
fn too_old_ones_are_left_out_and_counted() {
    let mut old = parcel(&[
        (Stdout, NOW - PAST - 2, "one\ntwo"),
        (Stdout, NOW - PAST - 1, "three"),
        (Stdout, NOW - PAST, "kept"),
    ]);
    assert_eq!(texts(&mut old), [["kept"]]);
    let gaps = old.gaps();
    assert_eq!((gaps.len(), gaps[0].lines, gaps[0].bytes), (1, 3, 12));
    // A day passes between two attempts.
    let mut waits = parcel(&[(Stdout, NOW - PAST, "waits")]);
    assert_eq!(waits.next(NOW, BATCH_EVENTS), 1);
    assert_eq!(waits.next(NOW + 24 * HOUR, BATCH_EVENTS), 0);
    assert_eq!(waits.gaps()[0].lines, 1);
}

#[test]
fn our_own_words_are_never_too_old() {
    let mut marker = parcel(&[(Monopod, NOW - PAST - 5, "monopod: 5 log lines lost")]);
    assert_eq!(marker.next(NOW, BATCH_EVENTS), 1);
    assert_eq!(marker.events().next().unwrap().0, NOW);
    assert_eq!(marker.next(NOW + PAST + 1, BATCH_EVENTS), 1);
    assert_eq!(marker.events().next().unwrap().0, NOW + PAST + 1);
    let rejected = Rejected {
        too_old_end: Some(1),
        ..Rejected::default()
    };
    marker.delivered(1, rejected);
    assert_eq!((marker.gaps(), marker.next(NOW, BATCH_EVENTS)), (Vec::new(), 0));
    // A group may keep events for a day.
    let mut others = parcel(&[
        (Monopod, NOW - 30 * HOUR, "old"),
        (Monopod, NOW + 3 * HOUR, "new"),
    ]);
    assert!(calls(&mut others)[0].iter().all(|(time, _)| *time == NOW));
    let mut young = parcel(&[(Monopod, NOW - HOUR, "in its place")]);
    assert_eq!(calls(&mut young), [[(NOW - HOUR, "in its place".to_owned())]]);
}

#[test]
fn what_the_answer_leaves_out_is_counted() {
    let lines: Vec<_> = (0..10).map(|n| (Stdout, NOW + n, "12345")).collect();
    let mut some = parcel(&lines);
    let rejected = Rejected {
        too_old_end: Some(1),
        expired_end: Some(3),
        too_new_start: Some(8),
    };
    some.delivered(some.events().count(), rejected);
    let gaps = some.gaps();
    assert_eq!([gaps[0].lines, gaps[1].lines], [3, 2]);
    assert_eq!(gaps[0].to.as_deref(), Some("2026-01-02T03:04:05.002Z"));
    assert_eq!(gaps[1].from.as_deref(), Some("2026-01-02T03:04:05.008Z"));
    // Nonsense leaves out what there is and no more.
    let mut all = parcel(&lines);
    let rejected = Rejected {
        too_old_end: Some(99),
        expired_end: None,
        too_new_start: Some(0),
    };
    all.delivered(99, rejected);
    assert_eq!((all.gaps().len(), all.gaps()[0].lines), (1, 10));
}

#[test]
fn a_refused_line_is_counted_with_the_reason() {
    let mut parcel = parcel(&[(Stdout, NOW, "bad"), (Stdout, NOW, "good")]);
    parcel.refused("it is bad");
    assert_eq!(texts(&mut parcel), [["good"]]);
    assert!(
        parcel.gaps()[0]
            .marker()
            .ends_with("CloudWatch Logs refused them: it is bad")
    );
}

#[test]
fn no_message_is_empty_or_too_long() {
    let long = format!("{}{}", "x".repeat(MESSAGE_MAX - 50), "ü".repeat(100));
    let mut odd = parcel(&[
        (Stdout, NOW, ""),
        (Stdout, NOW, &"x".repeat(MESSAGE_MAX)),
        (Stdout, NOW, &long),
    ]);
    let calls = texts(&mut odd);
    assert_eq!((calls.len(), calls[0][0].as_str()), (3, " "));
    assert_eq!(calls[1][0].len(), MESSAGE_MAX);
    let cut = &calls[2][0];
    let (kept, marker) = cut.split_once(" [monopod: cut, ").unwrap();
    let missing: usize = marker.trim_end_matches(" bytes missing]").parse().unwrap();
    assert_eq!(kept.len() + missing, long.len());
    assert!(cut.len() <= MESSAGE_MAX && cut.len() > MESSAGE_MAX - 5);
}

#[test]
fn a_line_without_a_time_has_that_of_the_line_before() {
    let mut parcel = Parcel::default();
    let line = |time, text| Line {
        time,
        stream: Stdout,
        text,
    };
    parcel.push(line("", "first"), NOW);
    parcel.push(line("2026-01-02T03:00:00.5Z", "second"), NOW);
    parcel.push(line("noon", "third"), NOW);
    let times: Vec<u64> = parcel.events().map(|(time, _)| time).collect();
    assert_eq!(times, [NOW, NOW - 244_500, NOW - 244_500]);
}

#[test]
fn a_parcel_is_full_before_it_is_two_calls() {
    let mut parcel = Parcel::default();
    assert!(parcel.is_empty() && !parcel.is_full());
    while !parcel.is_full() {
        push(&mut parcel, Stdout, NOW, &"x".repeat(200));
    }
    assert_eq!(calls(&mut parcel).len(), 1);
    let mut parcel = Parcel::default();
    while !parcel.is_full() {
        push(&mut parcel, Stdout, NOW, "");
    }
    assert_eq!(calls(&mut parcel).len(), 1);
    for _ in 0..20_000 {
        push(&mut parcel, Stdout, NOW, "");
    }
    assert_eq!(parcel.next(NOW, usize::MAX), BATCH_EVENTS);
}

/// AWS, with a clock and a retention of its own.
struct Aws {
    ahead: i64,
    retention: u64,
}

impl Aws {
    fn put(&self, events: &[(u64, String)]) -> (Vec<String>, Rejected) {
        let bytes: usize = events.iter().map(|(_, text)| text.len() + 26).sum();
        assert!(!events.is_empty() && events.len() <= 10_000 && bytes <= 1_048_576);
        assert!(events.is_sorted_by_key(|(time, _)| time), "in order");
        assert!(events.last().unwrap().0 - events[0].0 <= 24 * 3_600_000);
        assert!(events.iter().all(|(_, text)| !text.is_empty()));
        let now = NOW.saturating_add_signed(self.ahead);
        let before = |limit: u64| events.iter().filter(|(time, _)| *time < now - limit).count();
        let (old, expired) = (before(14 * 24 * HOUR), before(self.retention));
        let new = events.iter().filter(|(time, _)| *time <= now + 2 * HOUR).count();
        let some = |index: usize, is: bool| is.then_some(index);
        let rejected = Rejected {
            too_old_end: some(old, old > 0),
            expired_end: some(expired, expired > old),
            too_new_start: some(new, new < events.len()),
        };
        let range = old.max(expired).min(new)..new;
        (
            events[range].iter().map(|(_, text)| text.clone()).collect(),
            rejected,
        )
    }
}

fn streams() -> impl Strategy<Value = Stream> {
    prop_oneof![4 => Just(Stdout), 3 => Just(Stderr), 1 => Just(Monopod)]
}

/// Milliseconds from one line to the next: mostly a few, sometimes a clock is set.
fn steps() -> impl Strategy<Value = i64> {
    let hours = |hours: i64| -hours * 3_600_000..=hours * 3_600_000;
    prop_oneof![20 => -3..50_i64, 2 => hours(2), 1 => hours(30), 1 => hours(400)]
}

fn paddings() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..300_usize, 2 => 0..70_000_usize, 1 => 0..500_000_usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_line_is_taken_or_counted_in_order_and_within_the_limits(
        lines in prop::collection::vec((streams(), steps(), paddings(), any::<bool>()), 0..60),
        again in prop_oneof![9 => Just(1_usize), 1 => Just(300)],
        ahead in prop_oneof![3 => Just(0_i64), 1 => -900_000_000_000..900_000_000_000_i64],
        retention in 1_u64..40,
        most in 1_usize..20_000,
    ) {
        let (mut parcel, mut time, mut own) = (Parcel::default(), NOW, 0_u64);
        for (number, (stream, step, padding, wide)) in lines.iter().cycle().take(lines.len() * again).enumerate() {
            time = time.saturating_add_signed(*step).max(1);
            let padding = if again > 1 { padding % 300 } else { *padding };
            let letter = if *wide { "ü" } else { "x" };
            push(&mut parcel, *stream, time, &format!("{stream:?} {number} {}", letter.repeat(padding)));
            own += u64::from(*stream != Monopod);
        }
        let aws = Aws { ahead, retention: retention * 24 * HOUR };
        let (mut taken, mut calls) = (Vec::new(), 0);
        loop {
            let count = parcel.next(NOW, most);
            if count == 0 {
                break;
            }
            prop_assert!(count <= most);
            let events: Vec<_> = parcel.events().take(count).map(|(time, text)| (time, text.to_owned())).collect();
            // An attempt that fails changes nothing.
            prop_assert_eq!(parcel.next(NOW, most), count);
            let (kept, rejected) = aws.put(&events);
            parcel.delivered(count, rejected);
            taken.extend(kept);
            calls += 1;
        }
        prop_assert!(calls <= lines.len() * again);
        let gaps = parcel.gaps();
        let lost: u64 = gaps.iter().map(|gap| gap.lines).sum();
        let lines_taken = taken.iter().filter(|text| !text.starts_with("Monopod")).count() as u64;
        prop_assert_eq!(lines_taken + lost, own);
        prop_assert!(gaps.iter().all(|gap| gap.exact && gap.from <= gap.to));
        for stream in ["Stdout", "Stderr"] {
            let numbers: Vec<usize> = taken
                .iter()
                .filter(|text| text.starts_with(stream))
                .map(|text| text.split(' ').nth(1).unwrap().parse().unwrap())
                .collect();
            prop_assert!(numbers.is_sorted(), "{}: {:?}", stream, numbers);
        }
    }
}
