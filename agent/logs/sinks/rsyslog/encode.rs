//! A line as it travels to a log server: in a frame, or as a datagram.

use monopod_core::logs::syslog::{SyslogFormatter, WARNING, frame, framed_text, messages};
use monopod_core::logs::{Attributes, Batch, Framing, Line, RsyslogTarget, Stream, StreamName};

use crate::logs::sinks::datagrams::Datagrams;

/// rsyslog's default limit for a whole message; longer lines go in parts.
const MESSAGE_MAX: usize = 8 * 1024;
/// So much is encoded at a time: a line is read into memory once, and its message is there only while it travels.
const ROUND: usize = 64 * 1024;

/// Makes messages.
#[derive(Debug)]
pub(super) struct Encoder {
    formatter: SyslogFormatter,
    framing: Framing,
    severity: u8,
    header: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(target: &RsyslogTarget, stream: StreamName, attributes: &Attributes) -> Self {
        let hostname = target.hostname.as_deref().unwrap_or(&attributes.hostname);
        let program = target.program.as_deref().unwrap_or(&attributes.application_id);
        Self {
            formatter: SyslogFormatter::remote(target.format, hostname, program, stream, attributes),
            framing: target.framing,
            severity: target.severity.min(7),
            header: Vec::new(),
        }
    }

    fn severity(&self, line: Line<'_>) -> u8 {
        match line.stream {
            Stream::Stdout | Stream::Stderr => self.severity,
            Stream::Monopod => WARNING,
        }
    }

    /// Frames of the lines from `next` on, which moves behind them. None when there are no more.
    pub(super) fn frames(&mut self, parcel: &Batch, next: &mut usize) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for line in parcel.lines().skip(*next) {
            let severity = self.severity(line);
            let text = framed_text(self.framing, line.text);
            let (framing, line) = (self.framing, Line { text: &text, ..line });
            let put = |header: &[u8], part: &str, end: &str| {
                frame(framing, [header, part.as_bytes(), end.as_bytes()], &mut out);
            };
            messages(
                &self.formatter,
                severity,
                line,
                MESSAGE_MAX,
                &mut self.header,
                put,
            );
            *next += 1;
            if out.len() >= ROUND {
                break;
            }
        }
        (!out.is_empty()).then_some(out)
    }

    /// The same as datagrams, over what `out` held. False when there are no more.
    pub(super) fn datagrams(&mut self, parcel: &Batch, next: &mut usize, out: &mut Datagrams) -> bool {
        out.clear(2 * ROUND);
        for line in parcel.lines().skip(*next) {
            let put = |header: &[u8], part: &str, end: &str| {
                out.push([header, part.as_bytes(), end.as_bytes()]);
            };
            let severity = self.severity(line);
            messages(
                &self.formatter,
                severity,
                line,
                MESSAGE_MAX,
                &mut self.header,
                put,
            );
            *next += 1;
            if out.bytes() >= ROUND {
                break;
            }
        }
        out.len() > 0
    }
}
