mod ordinary;
mod spellings;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

fn knowing(value: &str) -> Redactor {
    let mut redactor = Redactor::default();
    assert_eq!(redactor.learn(&Secret::new(value.to_owned())), Redactable::Yes);
    redactor
}

#[test]
fn a_short_value_is_refused() {
    assert_eq!(
        Redactor::default().learn(&Secret::new("hunter2".into())),
        Redactable::TooShort
    );
}

#[test]
fn every_spelling_is_found() {
    let value = "p@ss \"word\"\nsecond line/+=";
    let redactor = knowing(value);
    for text in [
        format!("got {value}!"),
        "only the second line/+= leaked".to_owned(),
        format!("url {}", url_escaped(value)),
        format!("json {}", serde_json::json!({ "v": value })),
    ] {
        let out = redactor.redact(&text);
        assert!(out.contains(MARK), "{text:?} gave {out:?}");
        assert!(!out.contains("word") && !out.contains("second"), "{out:?}");
    }
}

#[test]
fn a_longer_value_is_not_half_replaced_by_a_shorter_one() {
    let mut redactor = knowing("password");
    redactor.learn(&Secret::new("password-and-more".into()));
    assert_eq!(redactor.redact("x password-and-more y"), "x [redacted] y");
}

#[test]
fn debug_shows_a_count_only() {
    assert!(!format!("{:?}", knowing("canary-canary")).contains("canary"));
}

#[test]
fn a_line_of_a_secret_is_found_in_every_spelling() {
    let line = r#""password": "hunter2-hunter2""#;
    let redactor = knowing(&format!("{{\n  {line},\n  \"user\": 1\n}}"));
    for text in [
        line.to_owned(),
        serde_json::json!({ "detail": format!("it said {line}") }).to_string(),
        url_escaped(line),
        STANDARD.encode(line),
    ] {
        let out = redactor.redact(&text);
        assert!(
            out.contains(MARK) && !out.contains("hunter2"),
            "{text:?} gave {out:?}"
        );
    }
}

#[test]
fn the_newline_that_echo_appends_is_no_part_of_it() {
    let redactor = knowing("hunter2-hunter2\n");
    for text in [
        "hunter2-hunter2".to_owned(),
        STANDARD.encode("hunter2-hunter2"),
        STANDARD.encode("x:hunter2-hunter2"),
    ] {
        assert!(redactor.redact(&text).contains(MARK), "{text}");
    }
    assert_eq!(redactor.redact("it is hunter2-hunter2!"), "it is [redacted]!");
    assert_eq!(redactor.redact(&STANDARD.encode("hunter2-hunter2")), MARK);
    assert_eq!(
        redactor.redact(r#"{"v":"hunter2-hunter2\n"}"#),
        r#"{"v":"[redacted]"}"#
    );
}

#[test]
fn a_value_is_too_short_without_the_space_around_it() {
    assert_eq!(
        Redactor::default().learn(&Secret::new("hunter2\n".into())),
        Redactable::TooShort
    );
    assert_eq!(
        Redactor::default().learn(&Secret::new("  \t\r\n    \n".into())),
        Redactable::TooShort
    );
}

#[test]
fn short_lines_are_found_however_they_were_joined() {
    let lines = ["ab-1", "cd-2", "", "ef-3"];
    for value in [lines.join("\n"), lines.join("\r\n") + "\r\n"] {
        let redactor = knowing(&value);
        for text in [
            lines.join("\n"),
            lines.join("\r\n"),
            lines.join(" | "),
            lines.join("\n  "),
            lines.join("\n  ").replace('\n', " | "),
            lines.join(r"\n"),
        ] {
            assert_eq!(
                redactor.redact(&format!("said {text}.")),
                "said [redacted].",
                "{text:?}"
            );
        }
    }
}

#[test]
fn two_secrets_that_overlap_leave_nothing_of_either() {
    let mut redactor = knowing("left-middle");
    redactor.learn(&Secret::new("middle-right".into()));
    assert_eq!(
        redactor.redact("a left-middle-right b left-middle c"),
        "a [redacted] b [redacted] c"
    );
}

#[test]
fn nothing_is_copied_when_nothing_is_found() {
    assert!(matches!(
        Redactor::default().redact("it is hunter2-hunter2"),
        Cow::Borrowed(_)
    ));
    assert!(matches!(
        knowing("hunter2-hunter2").redact("it is hunter3-hunter3"),
        Cow::Borrowed(_)
    ));
    let mut text = "it is hunter2-hunter2".to_owned();
    knowing("hunter2-hunter2").redact_in(&mut text);
    assert_eq!(text, "it is [redacted]");
}

#[test]
fn of_a_json_value_the_strings_are_redacted_and_never_the_keys() {
    let mut value = serde_json::json!({ "container": ["a container", { "deeper": "container" }], "n": 1 });
    knowing("container").redact_json(&mut value);
    assert_eq!(
        value,
        serde_json::json!({ "container": ["a [redacted]", { "deeper": "[redacted]" }], "n": 1 })
    );
}

proptest! {
    /// Taking needles out one after the other is slower and easier to get right.
    #[test]
    fn whatever_is_known_is_not_there_afterwards(
        values in proptest::collection::vec("[ab]{8,10}", 1..6),
        text in "[ab]{0,60}",
    ) {
        let mut redactor = Redactor::default();
        for value in &values {
            redactor.learn(&Secret::new(value.clone()));
        }
        let out = redactor.redact(&text);
        let known = values.iter().any(|value| text.contains(value));
        prop_assert_eq!(out.contains(MARK), known);
        // Every byte in no occurrence of a value stays, every other goes.
        let mut hidden = vec![false; text.len()];
        for value in &values {
            for at in (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(value.as_bytes())) {
                hidden[at..at + value.len()].fill(true);
            }
        }
        let kept: String = text.chars().zip(&hidden).filter(|(_, hidden)| !**hidden).map(|(c, _)| c).collect();
        prop_assert_eq!(out.replace(MARK, ""), kept);
    }

    #[test]
    fn base64_is_found_in_every_alignment(value in "[ -~]{12,64}", before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
        let redactor = knowing(&value);
        let encoded = STANDARD.encode(format!("{before}{value}{after}"));
        let out = redactor.redact(&encoded);
        prop_assert!(out.contains(MARK), "{} gave {}", encoded, out);
    }

    #[test]
    fn raw_is_always_found(value in "\\PC{8,64}", around in "\\PC{0,20}") {
        prop_assume!(value.len() >= MIN_LENGTH);
        let redactor = knowing(&value);
        let text = format!("{around}{value}{around}");
        prop_assert!(!redactor.redact(&text).contains(&value));
    }
}

fn url_escaped(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

#[test]
fn what_is_known_is_not_kept_again() {
    let mut redactor = Redactor::default();
    let secret = Secret::new("one-of-two-lines\nthe-other-of-them\n".to_owned());
    redactor.learn(&secret);
    let (buffers, needles) = (redactor.needles.buffers(), redactor.needles.len());
    for _ in 0..3 {
        assert_eq!(redactor.learn(&secret), Redactable::Yes);
    }
    assert_eq!(
        (redactor.needles.buffers(), redactor.needles.len()),
        (buffers, needles)
    );
    redactor.learn(&Secret::new("the-other-of-them".to_owned()));
    assert_eq!(
        redactor.needles.buffers(),
        buffers * 2,
        "a part is a value of its own"
    );
}

#[test]
fn what_passes_is_found_with_what_follows_it_and_forgotten_then() {
    let secrets = |number: u32| {
        ["key", "token of the session"].map(|name| Secret::new(format!("{name}-canary-{number}")))
    };
    let mut redactor = knowing("stays-for-ever");
    for number in 0..4 {
        redactor.learn_passing("keys", &secrets(number));
        // The same again is no news, and forgets nothing.
        redactor.learn_passing("keys", &secrets(number));
        let is_found = |number: u32| {
            secrets(number)
                .iter()
                .all(|secret| redactor.redact(secret.expose()) == MARK)
        };
        assert!(is_found(number) && (number == 0 || is_found(number - 1)));
        assert!(number < 2 || !is_found(number - 2));
        let encoded = STANDARD.encode(format!("a{}", secrets(number)[1].expose()));
        assert!(redactor.redact(&encoded).contains(MARK));
        assert_eq!(redactor.redact("stays-for-ever"), MARK);
    }
    for number in 4..8 {
        redactor.learn_passing("others", &secrets(number));
        let stays = secrets(3)[0].expose().to_owned();
        assert_eq!(redactor.redact(&stays), MARK, "others take none of these along");
    }
    let mut passing = Redactor::default();
    passing.learn_passing("keys", &secrets(7));
    assert!(!passing.is_empty());
    assert_eq!(passing.redact("key-canary-7"), MARK);
}
