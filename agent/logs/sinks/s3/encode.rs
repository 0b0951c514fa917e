//! Lines as gzip, compressed as they come.
//!
//! Raw is the text and a line feed: an event of many lines is those lines again, and a line of JSON is one. That was the
//! original's default.
//!
//! Otherwise each line or event is one JSON object. The original wrote `time<TAB>tag<TAB>{"message": ...}`, which no
//! reader of JSON takes; the names of the fields are its own, and what it gave to Scalyr as attributes. A line that is a
//! JSON object becomes the field `json`, byte for byte; any other text is `message`. Two fields, so that each has one
//! type: a table over the bucket would fail on a field that is now a string and now an object.
//!
//! The fastest compression: measured on lines of JSON it is five to seven times as fast as the default, for objects a
//! sixth larger, and a busy machine's core is dearer than a bucket.
//!
//! The header has no time and no system in it: the same lines are the same bytes.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use monopod_core::logs::{Attributes, Batch, Line, Stream, StreamName};
use serde::de::IgnoredAny;

/// RFC 1952's word for "unknown".
const SYSTEM_UNKNOWN: u8 = 255;

/// What lines look like.
#[derive(Debug)]
pub(super) enum Format {
    Raw,
    /// With this at the end of each line: what is the same in all of them.
    Json {
        own_streams: bool,
        tail: String,
    },
}

impl Format {
    pub(super) fn json(stream: StreamName, attributes: &Attributes) -> Self {
        let mut tail = String::new();
        let fields = [
            ("log", stream.word()),
            ("host", &attributes.hostname),
            ("application_id", &attributes.application_id),
            ("application_version", &attributes.application_version),
            ("image", &attributes.image),
            ("stack", attributes.stack.as_deref().unwrap_or_default()),
            ("aws_account", &attributes.account),
            ("aws_region", &attributes.region),
            ("instance_id", &attributes.instance_id),
            ("ami", &attributes.ami),
            ("deployment_id", &attributes.deployment_id),
            ("commit", &attributes.commit),
            ("digest", &attributes.digest),
        ];
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            tail.push_str(&format!(",\"{name}\":{}", quoted(value)));
        }
        tail.push_str("}\n");
        Self::Json {
            // Only a container has two.
            own_streams: stream == StreamName::Applog,
            tail,
        }
    }

    fn write(&self, line: Line<'_>, out: &mut String) {
        let (own_streams, tail) = match self {
            Self::Raw => {
                out.push_str(line.text);
                out.push('\n');
                return;
            }
            Self::Json { own_streams, tail } => (*own_streams, tail),
        };
        out.push_str("{\"time\":");
        out.push_str(&quoted(line.time));
        match line.stream {
            Stream::Stdout if own_streams => out.push_str(",\"stream\":\"stdout\""),
            Stream::Stderr if own_streams => out.push_str(",\"stream\":\"stderr\""),
            Stream::Stdout | Stream::Stderr => {}
            Stream::Monopod => out.push_str(",\"stream\":\"monopod\""),
        }
        if is_json_object(line.text) {
            out.push_str(",\"json\":");
            out.push_str(line.text.trim());
        } else {
            out.push_str(",\"message\":");
            out.push_str(&quoted(line.text));
        }
        out.push_str(tail);
    }
}

fn quoted(text: &str) -> String {
    // A string always serializes.
    serde_json::to_string(text).unwrap_or_default()
}

/// One on one line: what has a line feed in it would end ours.
fn is_json_object(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.starts_with('{')
        && trimmed.ends_with('}')
        && !trimmed.contains(['\n', '\r'])
        && serde_json::from_str::<IgnoredAny>(trimmed).is_ok()
}

/// A gzip file that grows.
#[derive(Debug)]
pub(super) struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    pub(super) fn new() -> Self {
        Self::behind(Vec::new())
    }

    /// As a further member of a file.
    pub(super) fn behind(file: Vec<u8>) -> Self {
        let builder = GzBuilder::new().mtime(0).operating_system(SYSTEM_UNKNOWN);
        Self(builder.write(file, Compression::fast()))
    }

    /// Adds lines. `scratch` is empty before and after; its memory is kept.
    pub(super) fn add(&mut self, format: &Format, batch: &Batch, scratch: &mut String) {
        for line in batch.lines() {
            format.write(line, scratch);
        }
        // Writing to a vector can't fail.
        self.0.write_all(scratch.as_bytes()).ok();
        scratch.clear();
    }

    /// Bytes that came out already; some tens of thousands may still be inside.
    pub(super) fn len(&self) -> u64 {
        self.0.get_ref().len() as u64
    }

    pub(super) fn finish(self) -> Vec<u8> {
        // Nor can this.
        self.0.finish().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn encoded(format: &Format, lines: &[(Stream, &str)]) -> Vec<u8> {
        let mut batch = Batch::default();
        for (stream, text) in lines {
            batch.push(Line {
                time: "2026-01-02T03:04:05.000000001Z",
                stream: *stream,
                text,
            });
        }
        let mut gzip = Gzip::new();
        gzip.add(format, &batch, &mut String::new());
        gzip.finish()
    }

    fn text(format: &Format, lines: &[(Stream, &str)]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*encoded(format, lines))
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    fn attributes() -> Attributes {
        Attributes {
            application_id: "my-app".into(),
            hostname: "a \"host\"".into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn raw_is_the_lines_again_and_joined_ones_too() {
        let lines = [
            (Stream::Stdout, "one\n  two"),
            (Stream::Stderr, "{\"a\":1}"),
            (Stream::Monopod, ""),
        ];
        assert_eq!(text(&Format::Raw, &lines), "one\n  two\n{\"a\":1}\n\n");
    }

    #[test]
    fn the_same_lines_are_the_same_bytes_with_no_time_in_them() {
        let bytes = encoded(&Format::Raw, &[(Stream::Stdout, "one")]);
        assert_eq!(bytes, encoded(&Format::Raw, &[(Stream::Stdout, "one")]));
        assert_eq!(bytes.get(..10).unwrap(), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
    }

    #[test]
    fn each_line_of_json_is_one_object_and_json_stays_json() {
        let json = " {\"a\": 12345678901234567890123, \"a\": \"\\u00fc\"}";
        let lines = [
            (Stream::Stdout, json),
            (Stream::Stderr, "a \"text\"\n\tat b"),
            (Stream::Monopod, "[1]"),
        ];
        let text = text(&Format::json(StreamName::Applog, &attributes()), &lines);
        let tail = r#","log":"applog","host":"a \"host\"","application_id":"my-app"}"#;
        let time = r#"{"time":"2026-01-02T03:04:05.000000001Z","stream":"#;
        let expected = [
            format!("{time}\"stdout\",\"json\":{}{tail}\n", json.trim()),
            format!("{time}\"stderr\",\"message\":\"a \\\"text\\\"\\n\\tat b\"{tail}\n"),
            format!("{time}\"monopod\",\"message\":\"[1]\"{tail}\n"),
        ];
        assert_eq!(text, expected.concat());
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn where_the_lines_come_from_is_a_field_once_it_is_known() {
        let known = Attributes {
            ami: "ami-1".into(),
            deployment_id: "d-1".into(),
            commit: "7f8b6ad".into(),
            digest: "sha256:feed".into(),
            ..attributes()
        };
        let text = text(
            &Format::json(StreamName::Applog, &known),
            &[(Stream::Stdout, "x")],
        );
        let tail = r#""ami":"ami-1","deployment_id":"d-1","commit":"7f8b6ad","digest":"sha256:feed"}"#;
        assert!(text.trim_end().ends_with(tail), "{text}");
    }

    #[test]
    fn what_only_looks_like_json_is_text() {
        for text in [
            "{",
            "{}}",
            "{a}",
            "{\"a\":1} {}",
            "{\"a\":\n1}",
            "[1]",
            "1",
            "",
            "{\"a\":1",
        ] {
            assert!(!is_json_object(text), "{text}");
        }
        assert!(is_json_object("{}"));
    }

    #[test]
    fn a_file_has_no_streams_but_our_own() {
        let format = Format::json(StreamName::Syslog, &attributes());
        assert!(!text(&format, &[(Stream::Stdout, "x")]).contains("\"stream\""));
        assert!(text(&format, &[(Stream::Monopod, "x")]).contains("\"stream\":\"monopod\""));
    }
}
