//! Lines as syslog messages, RFC 3164 and RFC 5424, and messages as frames of a connection, RFC 6587.
//!
//! Not with the `syslog` crate: both of its formatters write the time of formatting, and a line keeps the time at which
//! it was written, however long the log server was away.
//!
//! Pure: what a message says is the same whichever way it travels.

use std::borrow::Cow;

use super::{Attributes, Framing, Line, Stream, StreamName, SyslogFormat};

/// Facility "user", that of programs which say nothing else, as the log shipper of the Taupage image sent.
pub const USER: u8 = 1;
/// Facility "local0".
pub const LOCAL0: u8 = 16;
/// Severity "warning": our own words, such as a gap marker.
pub const WARNING: u8 = 4;

/// The end of a part that isn't the last.
pub const CONTINUES: &str = " [monopod: continues]";

/// The private enterprise number that RFC 5612 keeps for documentation: this software has none of its own, and a
/// name without a number is for what the IETF registers.
const DATA_ID: &str = "monopod@32473";

/// Lengths that RFC 5424 gives: a longer name is cut.
const HOSTNAME_MAX: usize = 255;
const PROGRAM_MAX: usize = 48;
/// What is left for a text, whatever stands before it.
const TEXT_MIN: usize = 512;

/// Makes messages.
#[derive(Clone, Debug)]
pub struct SyslogFormatter {
    format: SyslogFormat,
    facility: u8,
    /// Behind the time: host, program and, by RFC 5424, process id, message id and what is the same for all lines.
    middle: String,
}

impl SyslogFormatter {
    /// For a log server.
    pub fn remote(
        format: SyslogFormat,
        hostname: &str,
        program: &str,
        stream: StreamName,
        attributes: &Attributes,
    ) -> Self {
        let (host, program) = (word(hostname, HOSTNAME_MAX), word(program, PROGRAM_MAX));
        let middle = match format {
            SyslogFormat::Rfc3164 => format!(" {host} {}: ", tag(&program)),
            SyslogFormat::Rfc5424 => format!(" {host} {program} - {stream} {}", data(attributes)),
        };
        Self {
            format,
            facility: USER,
            middle,
        }
    }

    /// For the machine's own daemon, which knows the host: by RFC 3164 there is none in a local message.
    pub fn local(format: SyslogFormat, program: &str, stream: StreamName, attributes: &Attributes) -> Self {
        let middle = match format {
            SyslogFormat::Rfc3164 => format!(" {}: ", tag(&word(program, PROGRAM_MAX))),
            SyslogFormat::Rfc5424 => {
                Self::remote(format, &attributes.hostname, program, stream, attributes).middle
            }
        };
        Self {
            format,
            facility: LOCAL0,
            middle,
        }
    }

    /// Writes all that stands before the text, behind what `out` holds.
    pub fn header(&self, severity: u8, line: Line<'_>, out: &mut Vec<u8>) {
        out.push(b'<');
        decimal(usize::from(self.facility) * 8 + usize::from(severity), out);
        out.push(b'>');
        match self.format {
            SyslogFormat::Rfc3164 => {
                write_time_3164(line.time, out);
                out.extend_from_slice(self.middle.as_bytes());
            }
            SyslogFormat::Rfc5424 => {
                out.extend_from_slice(b"1 ");
                write_time_5424(line.time, out);
                out.extend_from_slice(self.middle.as_bytes());
                out.extend_from_slice(match line.stream {
                    Stream::Stdout => b" stream=\"stdout\"] ".as_slice(),
                    Stream::Stderr => b" stream=\"stderr\"] ",
                    Stream::Monopod => b" stream=\"monopod\"] ",
                });
            }
        }
    }
}

/// A line's messages, each at most `most` bytes long unless the header alone leaves too little, handed to `put`.
/// `header` is scratch space.
pub fn messages(
    formatter: &SyslogFormatter,
    severity: u8,
    line: Line<'_>,
    most: usize,
    header: &mut Vec<u8>,
    mut put: impl FnMut(&[u8], &str, &str),
) {
    header.clear();
    formatter.header(severity, line, header);
    let room = most.saturating_sub(header.len()).max(TEXT_MIN);
    for (part, more) in parts(line.text, room) {
        put(header, part, if more { CONTINUES } else { "" });
    }
}

/// Puts a message into a frame of its own, behind what `out` holds.
pub fn frame(framing: Framing, message: [&[u8]; 3], out: &mut Vec<u8>) {
    match framing {
        Framing::OctetCounting => {
            decimal(message.iter().map(|piece| piece.len()).sum(), out);
            out.push(b' ');
            message.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        Framing::Newline => {
            message.iter().for_each(|piece| out.extend_from_slice(piece));
            out.push(b'\n');
        }
    }
}

/// The text as it may stand in a frame: where a line feed ends the message, one inside is written `#012`, as rsyslog
/// itself writes control characters.
pub fn framed_text(framing: Framing, text: &str) -> Cow<'_, str> {
    match framing {
        Framing::Newline if text.contains('\n') => Cow::Owned(text.replace('\n', "#012")),
        _ => Cow::Borrowed(text),
    }
}

/// Cuts a text that doesn't fit into one message. All parts but the last say that more comes.
pub fn parts(text: &str, most: usize) -> impl Iterator<Item = (&str, bool)> {
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

/// Printable ASCII without a blank, as a name in a header has to be.
fn word(text: &str, most: usize) -> String {
    let name: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '-' })
        .take(most)
        .collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// A tag ends where the first of these characters stands.
fn tag(program: &str) -> String {
    program.replace([':', '[', ']'], "-")
}

/// `[monopod@32473 application_id="my-app"`: open, since each line adds what it has of its own.
fn data(attributes: &Attributes) -> String {
    let stack = attributes.stack.as_deref().unwrap_or_default();
    let mut out = format!("[{DATA_ID}");
    for (name, value) in [
        ("application_id", attributes.application_id.as_str()),
        ("application_version", attributes.application_version.as_str()),
        ("image", attributes.image.as_str()),
        ("stack", stack),
        ("account", attributes.account.as_str()),
        ("region", attributes.region.as_str()),
        ("instance_id", attributes.instance_id.as_str()),
        ("ami", attributes.ami.as_str()),
        ("deployment_id", attributes.deployment_id.as_str()),
        ("commit", attributes.commit.as_str()),
        ("digest", attributes.digest.as_str()),
    ] {
        if value.is_empty() {
            continue;
        }
        out.extend([" ", name, "=\""]);
        for c in value.chars() {
            match c {
                '"' | '\\' | ']' => out.extend(['\\', c]),
                // Allowed, but no framing by line feeds and no person wants one here.
                c if c.is_control() => out.push(' '),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out
}

/// `2026-01-02T03:04:05` of a time as the engine writes it, and what follows.
fn split_time(time: &str) -> Option<(&str, &str)> {
    let (seconds, rest) = time.split_at_checked(19)?;
    let shape = seconds.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    (shape && rest.ends_with('Z')).then_some((seconds, rest))
}

/// Six digits of a second at most, as the RFC has it. An unknown time is `-`.
fn write_time_5424(time: &str, out: &mut Vec<u8>) {
    let Some((seconds, rest)) = split_time(time) else {
        return out.push(b'-');
    };
    out.extend_from_slice(seconds.as_bytes());
    let fraction = rest.trim_end_matches('Z');
    if fraction.len() > 1 {
        out.extend(fraction.bytes().take(7));
    }
    out.push(b'Z');
}

/// `Jan  2 03:04:05`, in UTC since the format has no zone. It has no word for an unknown time either: the first day of
/// the epoch says so to everybody.
fn write_time_3164(time: &str, out: &mut Vec<u8>) {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let known = || {
        let (seconds, _) = split_time(time)?;
        let month: usize = seconds.get(5..7)?.parse().ok()?;
        let name = MONTHS.get(month.checked_sub(1)?)?;
        let day = seconds.get(8..10)?;
        Some((*name, day, seconds.get(11..)?))
    };
    let (month, day, clock) = known().unwrap_or(("Jan", "01", "00:00:00"));
    out.extend_from_slice(month.as_bytes());
    out.push(b' ');
    match day.strip_prefix('0') {
        Some(digit) => {
            out.push(b' ');
            out.extend_from_slice(digit.as_bytes());
        }
        None => out.extend_from_slice(day.as_bytes()),
    }
    out.push(b' ');
    out.extend_from_slice(clock.as_bytes());
}

fn decimal(number: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut rest, mut length) = (number, 0);
    for digit in digits.iter_mut().rev() {
        // Below ten, so it fits.
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - length));
}

#[cfg(test)]
mod tests;
