//! A small strict reader of MIME messages, as cloud-init's users write them.
//!
//! It finds the one part whose content begins with our header. A message of one part is a message too.
//! Everything else in it belongs to cloud-init and is ignored, with a warning each that names the
//! part's number and type.
//!
//! Ours rather than a crate: mail parsers repair what they read, because mail is never sent again. A
//! machine's configuration that was cut off or mangled must be refused instead, and the part of the
//! standard that user data uses is small: header fields, `multipart/*`, five transfer encodings.
//! It deliberately knows no charsets (the text is UTF-8), no comments in fields and no nested messages.

use super::super::problem::{Code, Problem};
use super::unpack::{decode_base64, unpack_part};
use super::{HEADER, begins_with_header};

/// More parts than anybody has.
const MOST_PARTS: usize = 32;
/// The longest boundary RFC 2046 allows.
const LONGEST_BOUNDARY: usize = 70;
/// Header fields that show a text to be a message stand within so many bytes.
const FIELDS_WITHIN: usize = 4096;

/// Whether these bytes are a message: header fields first, and one of MIME's among them.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let start = start.get(..FIELDS_WITHIN).unwrap_or(start);
    let first = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    (field(first).is_some() || first.starts_with(b"From "))
        && start
            .split(|byte| *byte == b'\n')
            .take_while(|line| !line.trim_ascii().is_empty())
            .any(|line| begins_with_word(line, b"content-type:") || begins_with_word(line, b"mime-version:"))
}

/// The same for a beginning that is too short to hold all fields.
pub(super) fn begins_with_field(bytes: &[u8]) -> bool {
    begins_with_word(bytes, b"content-type:")
        || begins_with_word(bytes, b"mime-version:")
        || bytes.starts_with(b"From ")
}

fn begins_with_word(bytes: &[u8], word: &[u8]) -> bool {
    bytes
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// The content of the one part that is ours. `layers`: how often that may be packed once more.
pub(super) fn our_part(
    message: &[u8],
    layers: usize,
    problems: &mut Vec<Problem>,
) -> Result<Vec<u8>, Problem> {
    let mut parts = Vec::new();
    let start = message.trim_ascii_start();
    let skipped = message.get(..message.len() - start.len()).unwrap_or_default();
    let whole = Entity {
        bytes: start,
        line: 1 + line_breaks(skipped),
        number: String::new(),
    };
    collect(&whole, layers, &mut parts)?;
    let mut ours: Option<(String, Vec<u8>)> = None;
    for part in parts {
        match part.content {
            Some(content) if begins_with_header(&content) => {
                if let Some((first, _)) = &ours {
                    return Err(Problem::error(
                        Code::TwoParts,
                        format!(
                            "parts {first} and {} of the MIME message both begin with {HEADER}",
                            part.number
                        ),
                    )
                    .help("leave one of them: monopod does not guess which one is meant"));
                }
                ours = Some((part.number, content));
            }
            _ => problems.push(
                Problem::warning(
                    Code::PartIgnored,
                    format!(
                        "part {} of the MIME message ({}) does not begin with {HEADER} and is ignored",
                        part.number, part.content_type
                    ),
                )
                .help(
                    "monopod runs no scripts and no cloud-config; take the part out if nobody else needs it",
                ),
            ),
        }
    }
    ours.map(|(_, content)| content).ok_or_else(|| {
        Problem::error(
            Code::NoPart,
            format!("no part of the MIME message begins with {HEADER}"),
        )
        .help(format!(
            "add a part whose content has {HEADER} as its first line; its type does not matter"
        ))
    })
}

/// A message or a part of one, with the line it begins in and its number (`2.1`; empty for the whole message).
struct Entity<'m> {
    bytes: &'m [u8],
    line: usize,
    number: String,
}

/// A part that has no parts.
struct Part {
    number: String,
    content_type: String,
    /// Decoded; `None` if it is too large, and certainly not ours.
    content: Option<Vec<u8>>,
}

fn collect(entity: &Entity<'_>, layers: usize, parts: &mut Vec<Part>) -> Result<(), Problem> {
    let (fields, body) = fields(entity)?;
    let encoding = Encoding::of(&fields, entity.line)?;
    let content_type = ContentType::of(&fields, entity.line)?;
    if content_type.is_multipart() {
        if encoding != Encoding::None {
            return Err(unreadable(
                entity.line,
                "its parts are encoded as a whole, which MIME forbids",
            ));
        }
        // A part with parts of its own is one more wrapping.
        let inside = if entity.number.is_empty() {
            layers
        } else {
            layers
                .checked_sub(1)
                .ok_or_else(|| unreadable(entity.line, "its parts are nested too deeply"))?
        };
        for part in split(&body, &content_type)? {
            collect(&part, inside, parts)?;
        }
        return Ok(());
    }
    if parts.len() >= MOST_PARTS {
        let how = format!("it has more than {MOST_PARTS} parts");
        return Err(unreadable(entity.line, &how));
    }
    let number = if entity.number.is_empty() {
        "1"
    } else {
        &entity.number
    };
    let content = encoding
        .decode(body.bytes)
        .map_err(|how| unreadable(body.line, &format!("{how} (part {number})")))?;
    parts.push(Part {
        number: number.to_owned(),
        content_type: content_type.shown(),
        content: unpack_part(content, layers, &format!("part {number} of the MIME message"))?,
    });
    Ok(())
}

fn unreadable(line: usize, how: &str) -> Problem {
    Problem::error(
        Code::Encoded,
        format!("the user data is a MIME message that cannot be read: {how}, at its line {line}"),
    )
    .help("build it with `cloud-init devel make-mime`, Terraform's cloudinit_config or a MIME library, and send it whole")
}

/// Header fields with lower-case names, unfolded.
type Fields = Vec<(String, String)>;

/// The fields, and what follows the empty line after them.
fn fields<'m>(entity: &Entity<'m>) -> Result<(Fields, Entity<'m>), Problem> {
    let mut fields: Fields = Vec::new();
    let (mut rest, mut line) = (entity.bytes, entity.line);
    while let Some((text, after)) = next_line(rest) {
        rest = after;
        if text.is_empty() {
            line += 1;
            break;
        }
        let folded = matches!(text.first(), Some(b' ' | b'\t'));
        match (fields.last_mut(), field(text)) {
            (Some((_, value)), _) if folded => {
                value.push(' ');
                value.push_str(String::from_utf8_lossy(text).trim());
            }
            (_, Some(field)) if !folded => {
                if field.0.starts_with("content-") && fields.iter().any(|(name, _)| *name == field.0) {
                    return Err(unreadable(line, "a header field stands twice"));
                }
                fields.push(field);
            }
            // An mbox separator, which some tools put first.
            (None, None) if entity.number.is_empty() && text.starts_with(b"From ") => {}
            _ => {
                return Err(unreadable(
                    line,
                    "this is no header field, and no empty line stands before it",
                ));
            }
        }
        line += 1;
    }
    let body = Entity {
        bytes: rest,
        line,
        number: entity.number.clone(),
    };
    Ok((fields, body))
}

/// `Name: value`, the name in lower case.
fn field(line: &[u8]) -> Option<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once(':')?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// One line without its end, and what follows; `None` at the end.
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let line = end.map_or(bytes, |end| bytes.get(..end).unwrap_or_default());
    let rest = end.map_or(&[][..], |end| bytes.get(end + 1..).unwrap_or_default());
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest))
}

fn line_breaks(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The parts between the boundaries. What stands before the first and after the last is nobody's.
fn split<'m>(body: &Entity<'m>, content_type: &ContentType) -> Result<Vec<Entity<'m>>, Problem> {
    let boundary = content_type
        .boundary
        .as_deref()
        .filter(|boundary| (1..=LONGEST_BOUNDARY).contains(&boundary.len()))
        .ok_or_else(|| unreadable(body.line, "its Content-Type names no usable boundary"))?;
    let delimiter = format!("--{boundary}");
    let mut parts: Vec<Entity<'m>> = Vec::new();
    // Where the part that is being read begins: its offset and its line.
    let mut open: Option<(usize, usize)> = None;
    let (mut rest, mut line) = (body.bytes, body.line);
    while let Some((text, after)) = next_line(rest) {
        let at = body.bytes.len() - rest.len();
        rest = after;
        line += 1;
        let Some(tail) = text.strip_prefix(delimiter.as_bytes()) else {
            continue;
        };
        let closes = tail.starts_with(b"--");
        let padding = tail.strip_prefix(b"--").unwrap_or(tail);
        if !padding.trim_ascii().is_empty() {
            // A longer boundary that begins like ours: a nested one.
            continue;
        }
        if let Some((begin, first_line)) = open.take() {
            // The line break before a boundary belongs to the boundary.
            let content = body.bytes.get(begin..at).unwrap_or_default();
            let content = content.strip_suffix(b"\n").unwrap_or(content);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            let outer = if body.number.is_empty() {
                String::new()
            } else {
                format!("{}.", body.number)
            };
            parts.push(Entity {
                bytes: content,
                line: first_line,
                number: format!("{outer}{}", parts.len() + 1),
            });
        }
        if closes {
            return Ok(parts);
        }
        open = Some((body.bytes.len() - rest.len(), line));
    }
    Err(unreadable(
        line,
        "its last boundary is missing, so it was cut off",
    ))
}

struct ContentType {
    /// `type/subtype` in lower case; `None` when it is not one.
    kind: Option<String>,
    boundary: Option<String>,
}

impl ContentType {
    fn of(fields: &Fields, line: usize) -> Result<Self, Problem> {
        let Some((_, value)) = fields.iter().find(|(name, _)| name == "content-type") else {
            return Ok(Self {
                kind: Some("text/plain".to_owned()),
                boundary: None,
            });
        };
        let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let kind = kind.trim().to_ascii_lowercase();
        let mut boundary = None;
        while let Some((name, after)) = rest.split_once('=') {
            let after = after.trim_start();
            let (value, next) = match after.strip_prefix('"') {
                Some(quoted) => quoted_string(quoted)
                    .ok_or_else(|| unreadable(line, "a quotation mark in its Content-Type is not closed"))?,
                None => {
                    let (value, next) = after.split_once(';').unwrap_or((after, ""));
                    (value.trim().to_owned(), next)
                }
            };
            if name.trim().eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
                return Err(unreadable(line, "its Content-Type names two boundaries"));
            }
            rest = next.trim_start().trim_start_matches(';');
        }
        let is_token = |word: &str| {
            (1..=64).contains(&word.len())
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        let is_kind = kind
            .split_once('/')
            .is_some_and(|(one, two)| is_token(one) && is_token(two));
        Ok(Self {
            kind: is_kind.then_some(kind),
            boundary,
        })
    }

    fn is_multipart(&self) -> bool {
        self.kind
            .as_deref()
            .is_some_and(|kind| kind.starts_with("multipart/"))
    }

    /// For people: only types that cloud-init knows, since a mangled message may have anything here.
    fn shown(&self) -> String {
        const KNOWN: &[&str] = &[
            "text/cloud-boothook",
            "text/cloud-config",
            "text/cloud-config-archive",
            "text/cloud-config-jsonp",
            "text/jinja2",
            "text/part-handler",
            "text/plain",
            "text/x-include-once-url",
            "text/x-include-url",
            "text/x-shellscript",
            "text/x-shellscript-per-boot",
            "text/x-shellscript-per-instance",
            "text/x-shellscript-per-once",
        ];
        KNOWN
            .iter()
            .find(|known| self.kind.as_deref() == Some(**known))
            .map_or_else(|| "of another type".to_owned(), |known| (*known).to_owned())
    }
}

/// The text up to the closing mark, and what follows it.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    None,
    Base64,
    QuotedPrintable,
}

impl Encoding {
    fn of(fields: &Fields, line: usize) -> Result<Self, Problem> {
        let value = fields
            .iter()
            .find(|(name, _)| name == "content-transfer-encoding");
        match value.map(|(_, value)| value.to_ascii_lowercase()).as_deref() {
            None | Some("7bit" | "8bit" | "binary") => Ok(Self::None),
            Some("base64") => Ok(Self::Base64),
            Some("quoted-printable") => Ok(Self::QuotedPrintable),
            Some(_) => Err(unreadable(
                line,
                "a Content-Transfer-Encoding is none of 7bit, 8bit, binary, base64 and quoted-printable",
            )),
        }
    }

    fn decode(self, body: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::None => Ok(body.to_owned()),
            Self::Base64 => decode_base64(body).map_err(|how| format!("it holds base64, and {how}")),
            Self::QuotedPrintable => quoted_printable(body),
        }
    }
}

fn quoted_printable(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoded = Vec::with_capacity(body.len());
    let (mut rest, mut number) = (body, 0);
    while let Some((line, after)) = next_line(rest) {
        number += 1;
        // White space at the end of a line came with the transport.
        let mut text = line.trim_ascii_end();
        let mut joined = false;
        while let Some((first, tail)) = text.split_first() {
            text = match (first, tail) {
                (b'=', []) => {
                    joined = true;
                    tail
                }
                (b'=', [high, low, tail @ ..]) => {
                    let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low);
                    decoded.push(byte.ok_or_else(|| wrong_escape(number))?);
                    tail
                }
                (b'=', _) => return Err(wrong_escape(number)),
                (byte, tail) => {
                    decoded.push(*byte);
                    tail
                }
            };
        }
        let ended = rest
            .get(..rest.len() - after.len())
            .is_some_and(|whole| whole.ends_with(b"\n"));
        if ended && !joined {
            decoded.push(b'\n');
        }
        rest = after;
    }
    Ok(decoded)
}

fn wrong_escape(line: usize) -> String {
    format!("it holds quoted-printable text, and an = in its line {line} has no two hexadecimal digits")
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}
