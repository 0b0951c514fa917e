//! The stages together, and what holds whatever the lines are.

use proptest::prelude::*;

use super::super::record::MAX_LINE;
use super::super::route::{RedactRule, SamplingRule};
use super::*;

use Stream::{Monopod, Stderr, Stdout};

fn batch(lines: &[(Stream, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (number, (stream, text)) in lines.iter().enumerate() {
        batch.push(Line {
            time: &number.to_string(),
            stream: *stream,
            text,
        });
    }
    batch
}

fn starting(pattern: &str) -> Treatment {
    Treatment {
        multiline_start: Some(pattern.to_owned()),
        ..Treatment::default()
    }
}

fn everything() -> Treatment {
    Treatment {
        multiline_start: Some("^[AB]".to_owned()),
        exclude: Some("x".to_owned()),
        sampling: vec![SamplingRule {
            pattern: "s".to_owned(),
            keep_millionths: 400_000,
        }],
        redact_jwt: true,
        redact: vec![RedactRule {
            pattern: "r+".to_owned(),
            replacement: "\"".to_owned(),
        }],
        max_line: Some(12),
    }
}

fn treated(treatment: &Treatment, lines: &[(Stream, &str)]) -> (Vec<(String, Stream, String)>, Treated) {
    let mut treater = Treater::new(treatment, true).unwrap();
    let mut batch = batch(lines);
    let mut sum = treater.treat(&mut batch);
    sum += treater.flush(&mut batch);
    (owned(&batch), sum)
}

fn owned(batch: &Batch) -> Vec<(String, Stream, String)> {
    batch
        .lines()
        .map(|line| (line.time.to_owned(), line.stream, line.text.to_owned()))
        .collect()
}

fn texts(treatment: &Treatment, lines: &[(Stream, &str)]) -> Vec<String> {
    let (lines, _) = treated(treatment, lines);
    lines.into_iter().map(|(_, _, text)| text).collect()
}

#[test]
fn joins_each_stream_apart_and_lets_our_own_words_pass() {
    let (lines, _) = treated(
        &starting("^A"),
        &[
            (Stdout, " before any"),
            (Stdout, "A1"),
            (Stderr, "A2"),
            (Stdout, " at x"),
            (Monopod, "A gap"),
            (Stderr, ""),
            (Stdout, " at y"),
            (Stdout, "A3"),
        ],
    );
    let expected = [
        ("0", Stdout, " before any"),
        ("4", Monopod, "A gap"),
        ("1", Stdout, "A1\n at x\n at y"),
        ("2", Stderr, "A2\n"),
        ("7", Stdout, "A3"),
    ];
    assert_eq!(
        lines,
        expected.map(|(time, stream, text)| (time.to_owned(), stream, text.to_owned()))
    );
}

#[test]
fn a_json_object_is_an_event_of_its_own() {
    let lines = [
        (Stdout, "A1"),
        (Stdout, r#"{"A":1}"#),
        (Stdout, " alone"),
        (Stdout, "A2"),
        (Stdout, "{not json"),
    ];
    assert_eq!(
        texts(&starting("A|^$"), &lines),
        ["A1", r#"{"A":1}"#, " alone", "A2\n{not json"]
    );
}

#[test]
fn an_event_ends_at_500_lines() {
    let mut lines = vec![(Stdout, "A")];
    lines.resize(502, (Stdout, "b"));
    let out = texts(&starting("^A"), &lines);
    assert_eq!(out, [&format!("A{}", "\nb".repeat(499)), "b", "b"]);
}

#[test]
fn an_event_ends_before_it_is_larger_than_a_line() {
    let half = format!("A{}", "x".repeat(MAX_LINE / 2));
    let rest = "y".repeat(MAX_LINE - half.len() - 1);
    let more = format!("{rest}y");
    for (second, events) in [(&rest, 1), (&more, 2)] {
        let out = texts(&starting("^A"), &[(Stdout, &half), (Stdout, second)]);
        assert_eq!(out.len(), events);
        assert!(out.iter().all(|text| text.len() <= MAX_LINE));
    }
    let mut treater = Treater::new(&starting("^A"), true).unwrap();
    let whole = format!("{half}{rest}y");
    treater.treat(&mut batch(&[(Stdout, &whole)]));
    assert!(treater.pending().is_empty(), "nothing could be added");
}

#[test]
fn lines_are_joined_only_for_sinks_with_fields() {
    let mut treater = Treater::new(&starting("^A"), false).unwrap();
    assert!(treater.is_idle());
    let mut lines = batch(&[(Stdout, "A"), (Stdout, "b")]);
    let before = lines.clone();
    assert_eq!(treater.treat(&mut lines), Treated::default());
    assert_eq!(lines, before);
}

#[test]
fn an_event_that_was_kept_comes_out_where_nothing_is_joined_any_more() {
    let mut before = Treater::new(&starting("^A"), true).unwrap();
    before.treat(&mut batch(&[(Stdout, "A1"), (Stderr, "A2"), (Stdout, "b")]));
    let mut treater = Treater::new(&Treatment::default(), true).unwrap();
    treater.resume(before.pending().to_vec());
    assert!(!treater.is_idle());
    let mut lines = batch(&[(Stdout, "c")]);
    treater.treat(&mut lines);
    let out: Vec<_> = lines.lines().map(|line| line.text).collect();
    assert_eq!(out, ["A1\nb", "A2", "c"]);
    assert!(treater.is_idle());
}

#[test]
fn stages_go_in_their_order() {
    let treatment = Treatment {
        exclude: Some("^ drop".to_owned()),
        redact: vec![RedactRule {
            pattern: "secret".to_owned(),
            replacement: "drop".to_owned(),
        }],
        max_line: Some(6),
        ..starting("^A")
    };
    let (lines, counted) = treated(
        &treatment,
        &[
            (Stdout, "A1"),
            (Stdout, " drop"),
            (Stdout, "A2"),
            (Stdout, " secret"),
            (Monopod, " drop secret"),
        ],
    );
    let out: Vec<_> = lines.iter().map(|(_, _, text)| text.as_str()).collect();
    // The filter saw the whole event, before anything was replaced; the limit what was replaced.
    assert_eq!(out, [" drop secret", "A2\n dr [monopod: cut, 2 bytes missing]"]);
    assert_eq!(
        counted,
        Treated {
            excluded: 2,
            redacted: 1,
            cut: 1,
            cut_bytes: 2,
            excluded_bytes: 7,
            ..Treated::default()
        }
    );
}

#[test]
fn refuses_patterns_by_name() {
    let bad = || Some("(".to_owned());
    let of = |treatment: Treatment| Treater::new(&treatment, true).unwrap_err().pattern_of;
    assert_eq!(of(starting("(")), "multiline");
    assert_eq!(
        of(Treatment {
            exclude: bad(),
            ..Treatment::default()
        }),
        "exclude"
    );
    let pattern = || "(".to_owned();
    assert_eq!(
        of(Treatment {
            sampling: vec![SamplingRule {
                pattern: pattern(),
                keep_millionths: 1
            }],
            ..Treatment::default()
        }),
        "sampling"
    );
    assert_eq!(
        of(Treatment {
            redact: vec![RedactRule {
                pattern: pattern(),
                replacement: String::new()
            }],
            ..Treatment::default()
        }),
        "redact"
    );
}

#[test]
fn debug_shows_neither_lines_nor_patterns() {
    let mut treater = Treater::new(&everything(), true).unwrap();
    treater.treat(&mut batch(&[(Stdout, "Ahunter2")]));
    let shown = format!("{treater:?}");
    assert!(
        shown.contains("lines: 1") && !shown.contains("hunter2") && !shown.contains("[AB]"),
        "{shown}"
    );
}

#[test]
fn an_untouched_batch_keeps_its_memory() {
    let mut treater = Treater::new(
        &Treatment {
            multiline_start: None,
            sampling: Vec::new(),
            ..everything()
        },
        true,
    )
    .unwrap();
    let mut lines = batch(&[(Stdout, "a"), (Monopod, "x"), (Stderr, "b")]);
    let place = |batch: &Batch| batch.lines().next().map(|line| line.time.as_ptr());
    let before = place(&lines);
    assert_eq!(treater.treat(&mut lines), Treated::default());
    assert_eq!(place(&lines), before);
}

fn lines() -> impl Strategy<Value = Vec<(Stream, String)>> {
    let stream = prop::sample::select(vec![Stdout, Stdout, Stderr, Monopod]);
    let text = prop_oneof![
        "[ABab xsrü\"]{0,16}",
        Just("A eyJhbGciOi.eyJzdWIiOi.c2lnbmE".to_owned()),
        Just(r#"{"A":"rr"}"#.to_owned()),
        Just("{A".to_owned()),
    ];
    prop::collection::vec((stream, text), 0..30)
}

/// Treats the lines in batches that end at the cuts, each by a treater made anew of what a cursor would keep.
fn in_batches(treatment: &Treatment, lines: &Batch, cuts: &[usize]) -> (Batch, Treated, usize) {
    let mut out = Batch::default();
    let mut sum = Treated::default();
    let mut kept = String::from("[]");
    let mut resumed = |part: &mut Batch, last: bool| {
        let mut treater = Treater::new(treatment, true).unwrap();
        treater.resume(serde_json::from_str(&kept).unwrap());
        sum += treater.treat(part);
        if last {
            sum += treater.flush(part);
        }
        kept = serde_json::to_string(treater.pending()).unwrap();
        part.lines().for_each(|line| out.push(line));
        part.clear();
        treater.pending().len()
    };
    let mut part = Batch::default();
    let mut most = 0;
    for (number, line) in lines.lines().enumerate() {
        if cuts.contains(&number) {
            most = most.max(resumed(&mut part, false));
        }
        part.push(line);
    }
    let left = resumed(&mut part, true);
    assert_eq!(left, 0);
    (out, sum, most)
}

proptest! {
    #[test]
    fn batches_make_no_difference(lines in lines(), cuts in prop::collection::vec(0_usize..30, 0..6)) {
        let lines: Vec<_> = lines.iter().map(|(stream, text)| (*stream, text.as_str())).collect();
        let lines = batch(&lines);
        let (whole, counted, _) = in_batches(&everything(), &lines, &[]);
        let (parts, counted_in_parts, most) = in_batches(&everything(), &lines, &cuts);
        prop_assert_eq!(whole, parts);
        prop_assert_eq!(counted, counted_in_parts);
        prop_assert!(most <= 2);
    }

    #[test]
    fn nothing_is_lost_uncounted(lines in lines(), joins: bool) {
        let treatment = Treatment { redact: Vec::new(), redact_jwt: false, max_line: None, ..everything() };
        let mut treater = Treater::new(&treatment, joins).unwrap();
        let lines: Vec<_> = lines.iter().map(|(stream, text)| (*stream, text.as_str())).collect();
        let mut events = batch(&lines);
        let mut counted = treater.treat(&mut events);
        let waiting: (u64, u64) = treater
            .pending()
            .iter()
            .fold((0, 0), |(lines, bytes), one| (lines + one.lines(), bytes + one.bytes()));
        let (kept, bytes) = events.lines().fold((0, 0), |(kept, bytes), event| {
            let joints = event.text.matches('\n').count() as u64;
            (kept + 1 + joints, bytes + event.text.len() as u64 - joints)
        });
        let all: usize = lines.iter().map(|(_, text)| text.len()).sum();
        prop_assert_eq!(kept + counted.excluded + counted.sampled_out + waiting.0, lines.len() as u64);
        prop_assert_eq!(bytes + counted.excluded_bytes + waiting.1, all as u64);
        counted += treater.flush(&mut events);
        prop_assert!(treater.pending().is_empty());
        let kept: u64 = events.lines().map(|event| 1 + event.text.matches('\n').count() as u64).sum();
        prop_assert_eq!(kept + counted.excluded + counted.sampled_out, lines.len() as u64);
    }

    #[test]
    fn our_own_words_pass_in_order(lines in lines()) {
        let words = |batch: &Batch| owned(batch).into_iter().filter(|(_, stream, _)| *stream == Monopod).collect::<Vec<_>>();
        let lines: Vec<_> = lines.iter().map(|(stream, text)| (*stream, text.as_str())).collect();
        let mut out = batch(&lines);
        let before = words(&out);
        Treater::new(&everything(), true).unwrap().treat(&mut out);
        prop_assert_eq!(words(&out), before);
    }

    #[test]
    fn no_line_and_no_pattern_makes_it_fail(texts in prop::collection::vec(any::<String>(), 0..8), pattern: String, replacement: String, max_line in prop::option::of(0_u64..40)) {
        let treatment = Treatment {
            multiline_start: Some(pattern.clone()),
            exclude: None,
            sampling: vec![SamplingRule { pattern: pattern.clone(), keep_millionths: u32::MAX }],
            redact_jwt: true,
            redact: vec![RedactRule { pattern, replacement }],
            max_line,
        };
        if let Ok(mut treater) = Treater::new(&treatment, true) {
            let lines: Vec<_> = texts.iter().map(|text| (Stdout, text.as_str())).collect();
            let mut out = batch(&lines);
            treater.treat(&mut out);
            treater.flush(&mut out);
            prop_assert!(out.len() <= lines.len());
            if let Some(limit) = max_line {
                prop_assert!(out.lines().all(|line| line.text.len() as u64 <= limit + 51));
            }
        }
    }

    #[test]
    fn limits_hold(text in "[a-z🦀]{0,40}", limit in 0_u64..60) {
        let treatment = Treatment { max_line: Some(limit), ..Treatment::default() };
        let (lines, counted) = treated(&treatment, &[(Stdout, &text)]);
        let short = lines[0].2.split(" [monopod").next().unwrap();
        prop_assert!(short.len() as u64 <= limit && text.starts_with(short));
        prop_assert_eq!(short.len() as u64 + counted.cut_bytes, text.len() as u64);
    }
}
