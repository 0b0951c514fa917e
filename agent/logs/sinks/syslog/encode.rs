//! A line as a message for the local socket, RFC 3164 or RFC 5424.
//!
//! By RFC 5424 with the line's own time and the machine's attributes, by the same code as for a log server. By RFC 3164
//! with the crate, since daemons put the time of receipt in the place of what they are told there anyway: its formatter has no way to pass a time and always writes a process id. So the time is the time of
//! sending, in UTC, not of writing; and its header is taken once a second with the id cut off: the process we speak
//! for has none on this side of the container.
//!
//! Facility local0, so that one rule of a syslog daemon can tell the application from the host. Standard output is
//! "info". Standard error is "notice", not "error": most runtimes log everything there, and an operator's alarm on
//! errors must mean something. A gap is "warning".

use monopod_core::logs::syslog::SyslogFormatter;
use monopod_core::logs::{Attributes, Line, Stream, StreamName, SyslogFormat};
use syslog::{Facility, Formatter3164, LogFormat, Severity};

/// Makes messages.
#[derive(Debug)]
pub(super) struct Encoder {
    formatter: Formatter3164,
    /// In its place, where lines are told by RFC 5424.
    modern: Option<SyslogFormatter>,
    headers: Vec<(Stream, Vec<u8>)>,
    second: u64,
}

impl Encoder {
    pub(super) fn new(format: SyslogFormat, attributes: &Attributes) -> Self {
        let tag = &attributes.application_id;
        // A local message has no host name: the daemon puts its own.
        let formatter = Formatter3164 {
            facility: Facility::LOG_LOCAL0,
            hostname: None,
            process: tag.clone(),
            pid: 0,
        };
        let modern = (format == SyslogFormat::Rfc5424)
            .then(|| SyslogFormatter::local(format, tag, StreamName::Applog, attributes));
        Self {
            formatter,
            modern,
            headers: Vec::new(),
            second: 0,
        }
    }

    /// Writes what stands before the text over what `out` held.
    pub(super) fn begin(&mut self, second: u64, line: Line<'_>, out: &mut Vec<u8>) {
        out.clear();
        if let Some(modern) = &self.modern {
            // The crate's type is a number in a word of its own.
            modern.header(severity(line.stream) as u8, line, out);
        } else {
            out.extend_from_slice(self.header(second, line.stream));
        }
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

fn severity(stream: Stream) -> Severity {
    match stream {
        Stream::Stdout => Severity::LOG_INFO,
        Stream::Stderr => Severity::LOG_NOTICE,
        Stream::Monopod => Severity::LOG_WARNING,
    }
}

fn make_header(formatter: &Formatter3164, stream: Stream) -> Vec<u8> {
    let mut header = Vec::new();
    // Writing to a vector can't fail.
    formatter.format(&mut header, severity(stream), "").ok();
    if let Some(tagged) = header.strip_suffix(b"[0]: ") {
        header.truncate(tagged.len());
        header.extend_from_slice(b": ");
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_tag_facility_and_severity_and_no_process_id() {
        let attributes = Attributes {
            application_id: "my-app".into(),
            ..Attributes::default()
        };
        let mut traditional = Encoder::new(SyslogFormat::Rfc3164, &attributes);
        let mut modern = Encoder::new(SyslogFormat::Rfc5424, &attributes);
        let mut out = Vec::new();
        for (stream, priority) in [
            (Stream::Stdout, 134),
            (Stream::Stderr, 133),
            (Stream::Monopod, 132),
        ] {
            let line = Line {
                time: "2026-01-02T03:04:05Z",
                stream,
                text: "",
            };
            traditional.begin(1, line, &mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            assert!(text.starts_with(&format!("<{priority}>")), "{text}");
            assert!(text.ends_with(" my-app: "), "{text}");
            modern.begin(1, line, &mut out);
            let text = String::from_utf8(out.clone()).unwrap();
            let header = format!("<{priority}>1 2026-01-02T03:04:05Z - my-app - applog [monopod@32473 ");
            assert!(text.starts_with(&header), "{text}");
        }
    }
}
