//! A line as an RFC 3164 message for the local socket.
//!
//! The crate's formatter has no way to pass a time and always writes a process id. So the time is the time of
//! sending, in UTC, not of writing; and its header is taken once a second with the id cut off: the process we speak
//! for has none on this side of the container.
//!
//! Facility local0, so that one rule of a syslog daemon can tell the application from the host. Standard output is
//! "info". Standard error is "notice", not "error": most runtimes log everything there, and an operator's alarm on
//! errors must mean something. A gap is "warning".

use monopod_core::logs::Stream;
use syslog::{Facility, Formatter3164, LogFormat, Severity};

/// Makes messages.
#[derive(Debug)]
pub(super) struct Encoder {
    formatter: Formatter3164,
    headers: Vec<(Stream, Vec<u8>)>,
    second: u64,
}

impl Encoder {
    pub(super) fn new(tag: &str) -> Self {
        // A local message has no host name: the daemon puts its own.
        let formatter = Formatter3164 {
            facility: Facility::LOG_LOCAL0,
            hostname: None,
            process: tag.to_owned(),
            pid: 0,
        };
        Self {
            formatter,
            headers: Vec::new(),
            second: 0,
        }
    }

    /// Writes the message over what `out` held.
    pub(super) fn encode(&mut self, second: u64, stream: Stream, text: &str, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.header(second, stream));
        out.extend_from_slice(text.as_bytes());
    }

    fn header(&mut self, second: u64, stream: Stream) -> &[u8] {
        if self.second != second {
            self.headers.clear();
            self.second = second;
        }
        if !self.headers.iter().any(|(known, _)| *known == stream) {
            self.headers.push((stream, make_header(&self.formatter, stream)));
        }
        self.headers
            .iter()
            .find(|(known, _)| *known == stream)
            .map_or(&[], |(_, header)| header)
    }
}

fn make_header(formatter: &Formatter3164, stream: Stream) -> Vec<u8> {
    let severity = match stream {
        Stream::Stdout => Severity::LOG_INFO,
        Stream::Stderr => Severity::LOG_NOTICE,
        Stream::Monopod => Severity::LOG_WARNING,
    };
    let mut header = Vec::new();
    // Writing to a vector can't fail.
    formatter.format(&mut header, severity, "").ok();
    if let Some(tagged) = header.strip_suffix(b"[0]: ") {
        header.truncate(tagged.len());
        header.extend_from_slice(b": ");
    }
    header
}

/// Cuts a text that doesn't fit into one message. All parts but the last say that more comes.
pub(in crate::logs::sinks) fn parts(text: &str, most: usize) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= most {
            return Some((text, false));
        }
        // At least a byte and then up to the next boundary, or it would never end.
        let cut = match text.floor_char_boundary(most.saturating_sub(CONTINUES.len())) {
            0 => text.ceil_char_boundary(1),
            cut => cut,
        };
        let (part, more) = text.split_at_checked(cut)?;
        rest = Some(more);
        Some((part, true))
    })
}

/// The end of a part that isn't the last.
pub(in crate::logs::sinks) const CONTINUES: &str = " [monopod: continues]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_tag_facility_and_severity_and_no_process_id() {
        let mut encoder = Encoder::new("my-app");
        let mut out = Vec::new();
        for (stream, priority) in [
            (Stream::Stdout, 134),
            (Stream::Stderr, 133),
            (Stream::Monopod, 132),
        ] {
            encoder.encode(1, stream, "hello: [world]", &mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            assert!(text.starts_with(&format!("<{priority}>")), "{text}");
            assert!(text.ends_with(" my-app: hello: [world]"), "{text}");
        }
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
}
