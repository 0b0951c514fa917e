//! Messages, by example and by a reader of its own.

use proptest::prelude::*;

use super::*;

fn attributes() -> Attributes {
    Attributes {
        application_id: "my-app".into(),
        application_version: "1.0\"]\\".into(),
        image: "registry/team/app:1".into(),
        instance_id: "i-1".into(),
        hostname: "ip-10-0-0-1".into(),
        ..Attributes::default()
    }
}

fn line<'a>(time: &'a str, text: &'a str) -> Line<'a> {
    Line {
        time,
        stream: Stream::Stderr,
        text,
    }
}

const TIME: &str = "2026-01-02T03:04:05.123456789Z";

fn one(formatter: &SyslogFormatter, time: &str, text: &str) -> String {
    let mut out = String::new();
    messages(
        formatter,
        5,
        line(time, text),
        8192,
        &mut Vec::new(),
        |header, part, end| {
            out = format!("{}{part}{end}", std::str::from_utf8(header).unwrap());
        },
    );
    out
}

#[test]
fn where_the_lines_come_from_is_said_by_rfc_5424_alone() {
    let known = Attributes {
        ami: "ami-1".into(),
        deployment_id: "d-1".into(),
        commit: "7f8b6ad".into(),
        digest: "sha256:feed".into(),
        ..attributes()
    };
    let of = |format, attributes: &Attributes| {
        let formatter = SyslogFormatter::remote(format, "h", "p", StreamName::Applog, attributes);
        one(&formatter, TIME, "hello")
    };
    let told = of(SyslogFormat::Rfc5424, &known);
    assert!(
        told.contains(
            r#" ami="ami-1" deployment_id="d-1" commit="7f8b6ad" digest="sha256:feed" stream="stderr"]"#
        ),
        "{told}"
    );
    let plain = |attributes| of(SyslogFormat::Rfc3164, attributes);
    assert_eq!(plain(&known), plain(&attributes()));
}

#[test]
fn the_traditional_form() {
    let stream = StreamName::Applog;
    let formatter =
        SyslogFormatter::remote(SyslogFormat::Rfc3164, "host 1", "my app:x", stream, &attributes());
    assert_eq!(
        one(&formatter, TIME, "hello"),
        "<13>Jan  2 03:04:05 host-1 my-app-x: hello"
    );
    let december = one(&formatter, "2026-12-31T23:59:59Z", "");
    assert_eq!(december, "<13>Dec 31 23:59:59 host-1 my-app-x: ");
    assert!(one(&formatter, "2026-13-31T23:59:59Z", "x").starts_with("<13>Jan  1 00:00:00 "));
    assert!(one(&formatter, "noon", "x").starts_with("<13>Jan  1 00:00:00 "));
    let local = SyslogFormatter::local(SyslogFormat::Rfc3164, "my-app", stream, &attributes());
    assert_eq!(one(&local, TIME, "hello"), "<133>Jan  2 03:04:05 my-app: hello");
}

#[test]
fn the_form_with_structured_data() {
    let stream = StreamName::Customlog;
    let formatter = SyslogFormatter::remote(SyslogFormat::Rfc5424, "", "", stream, &attributes());
    assert_eq!(
        one(&formatter, TIME, "hello"),
        "<13>1 2026-01-02T03:04:05.123456Z - - - customlog [monopod@32473 application_id=\"my-app\" \
         application_version=\"1.0\\\"\\]\\\\\" image=\"registry/team/app:1\" instance_id=\"i-1\" \
         stream=\"stderr\"] hello"
    );
    assert!(one(&formatter, "2026-01-02T03:04:05Z", "x").starts_with("<13>1 2026-01-02T03:04:05Z - "));
    assert!(one(&formatter, "2026-01-02T03:04:05.5Z", "x").starts_with("<13>1 2026-01-02T03:04:05.5Z - "));
    assert!(one(&formatter, "2026-01-02 03:04:05", "x").starts_with("<13>1 - - "));
    let local = SyslogFormatter::local(SyslogFormat::Rfc5424, "my-app", stream, &attributes());
    assert!(
        one(&local, TIME, "x")
            .starts_with("<133>1 2026-01-02T03:04:05.123456Z ip-10-0-0-1 my-app - customlog [")
    );
}

#[test]
fn parts_lose_nothing_and_fit() {
    let text = "aü€".repeat(50);
    for most in [1, 24, 30, 31, 32, 299, 300, 1000] {
        let cut: Vec<_> = parts(&text, most).collect();
        assert_eq!(cut.iter().map(|(part, _)| *part).collect::<String>(), text);
        assert!(cut.iter().rev().skip(1).all(|(_, more)| *more));
        if most > 30 {
            assert!(
                cut.iter()
                    .all(|(part, more)| part.len() + if *more { CONTINUES.len() } else { 0 } <= most)
            );
        }
    }
    assert_eq!(parts("", 10).collect::<Vec<_>>(), [("", false)]);
}

/// Reads what a log server would, and nothing else: independent of how it was written.
fn read_frames(mut stream: &[u8], framing: Framing) -> Vec<String> {
    let mut messages = Vec::new();
    while !stream.is_empty() {
        let (message, rest) = match framing {
            Framing::OctetCounting => {
                let blank = stream.iter().position(|byte| *byte == b' ').unwrap();
                let length: usize = std::str::from_utf8(&stream[..blank]).unwrap().parse().unwrap();
                stream[blank + 1..].split_at(length)
            }
            Framing::Newline => {
                let end = stream.iter().position(|byte| *byte == b'\n').unwrap();
                (&stream[..end], &stream[end + 1..])
            }
        };
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        stream = rest;
    }
    messages
}

/// Time, host, program, message id, parameters and text.
fn read_5424(message: &str) -> (Vec<String>, Vec<(String, String)>, String) {
    let rest = message.strip_prefix('<').unwrap();
    let (pri, mut rest) = rest.split_once(">1 ").unwrap();
    assert!(pri.parse::<u8>().unwrap() < 192);
    let mut fields = Vec::new();
    for _ in 0..5 {
        let (field, behind) = rest.split_once(' ').unwrap();
        assert!(
            !field.is_empty() && field.chars().all(|c| c.is_ascii_graphic()),
            "{field:?}"
        );
        fields.push(field.to_owned());
        rest = behind;
    }
    let mut rest = rest.strip_prefix("[monopod@32473").unwrap();
    let mut parameters = Vec::new();
    while let Some(behind) = rest.strip_prefix(' ') {
        let (name, behind) = behind.split_once("=\"").unwrap();
        let (mut value, mut chars) = (String::new(), behind.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (_, '\\') => value.push(chars.next().unwrap().1),
                (at, '"') => break at,
                (_, ']') => panic!("a bracket that ends the element"),
                (_, c) => value.push(c),
            }
        };
        parameters.push((name.to_owned(), value));
        rest = behind.get(end + 1..).unwrap_or_default();
    }
    (fields, parameters, rest.strip_prefix("] ").unwrap().to_owned())
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        texts in prop::collection::vec("(?s).{0,40}|[\n\r#ü0-9 ]{0,3000}", 1..8),
        hostname in "(?s).{0,40}", program in "(?s).{0,80}", version in "(?s).{0,20}",
        time in "(?s).{0,30}|2026-1[0-2]-[0-3][0-9]T12:00:00(\\.[0-9]{1,9})?Z",
        counting in any::<bool>(), modern in any::<bool>(), most in 700_usize..2000,
    ) {
        let framing = if counting { Framing::OctetCounting } else { Framing::Newline };
        let format = if modern { SyslogFormat::Rfc5424 } else { SyslogFormat::Rfc3164 };
        let attributes = Attributes { application_version: version.clone(), ..attributes() };
        let formatter = SyslogFormatter::remote(format, &hostname, &program, StreamName::Applog, &attributes);
        let mut stream = Vec::new();
        for text in &texts {
            let text = framed_text(framing, text);
            messages(&formatter, 6, line(&time, &text), most, &mut Vec::new(), |header, part, end| {
                frame(framing, [header, part.as_bytes(), end.as_bytes()], &mut stream);
            });
        }
        let mut read = vec![String::new()];
        for message in read_frames(&stream, framing) {
            prop_assert!(message.len() <= most.max(TEXT_MIN + 600));
            let text = if modern {
                let (fields, parameters, text) = read_5424(&message);
                prop_assert_eq!(fields[3].as_str(), "-");
                let told = parameters.iter().find(|(name, _)| name == "application_version");
                let clean: String = version.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                prop_assert_eq!(told.map_or("", |(_, value)| value), clean);
                text
            } else {
                prop_assert!(message.starts_with("<14>"));
                // The time has blanks of its own and always the same length.
                let (_, rest) = message.split_at(19).1.split_at(1);
                let (_, rest) = rest.split_once(' ').unwrap();
                rest.split_once(": ").unwrap().1.to_owned()
            };
            match text.strip_suffix(CONTINUES) {
                Some(part) => read.last_mut().unwrap().push_str(part),
                None => {
                    read.last_mut().unwrap().push_str(&text);
                    read.push(String::new());
                }
            }
        }
        read.pop();
        let expected: Vec<String> = texts
            .iter()
            .map(|text| if counting { text.clone() } else { text.replace('\n', "#012") })
            .collect();
        prop_assert_eq!(read, expected);
    }
}
