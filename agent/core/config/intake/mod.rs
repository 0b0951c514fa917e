//! From bytes to text: packing, size, header.
//!
//! ```text
//! bytes ─► unpack: gzip, base64 ─► mime: the one part that is ours ─► text: UTF-8, header ─► yaml
//!                                                                      │
//!                                                                      └─ include: the text is elsewhere
//! ```
//!
//! Only text whose first line is `#taupage-ami-config` is ours, as cloud-init decided it for Taupage:
//! blank lines before it, upper case and trailing words don't matter. Anything else that user data may
//! legally be (a cloud-config, a script) is refused, so user data stays data and never becomes code.
//!
//! Invariants: nothing is unpacked beyond [`FILE_LIMIT`], whatever it claims to hold. What EC2 carries
//! is the bytes as they were sent, so its limit is compared with those. Places are those of the
//! unpacked text, and no message quotes what was packed.

mod include;
mod mime;
#[cfg(test)]
mod tests;
mod unpack;

use std::borrow::Cow;

pub use self::include::{Include, Location, NotTheText, included};
use super::problem::{Code, Place, Problem};
use super::yaml::{HOLE, HOLE_END};
use crate::text;

/// The first line.
const HEADER: &str = "#taupage-ami-config";
/// What EC2 carries.
const EC2_LIMIT: usize = 16 * 1024;
/// What a text may have, and every form it is packed in.
const FILE_LIMIT: usize = 64 * 1024;

/// Whether the text was cut out of a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Holes {
    /// User data as a machine gets it: in it a hole would be a value that never comes.
    #[default]
    Refused,
    /// Put in by the reader of the template.
    Expected,
}

/// The text, header included so that line numbers stay those of the file.
pub(super) fn text<'b>(
    bytes: &'b [u8],
    holes: Holes,
    problems: &mut Vec<Problem>,
) -> Result<Cow<'b, str>, Problem> {
    let text = unpacked_text(bytes, problems)?;
    if let Some(include) = include::read(&text) {
        return Err(match include {
            Ok(include) => include::elsewhere(&include),
            Err(problem) => problem,
        });
    }
    header(&text)?;
    if bytes.len() > EC2_LIMIT {
        let message = format!("{} bytes: EC2 carries at most {EC2_LIMIT}", bytes.len());
        problems.push(Problem::warning(Code::OverEc2Limit, message).help(
            "an instance cannot be launched with this text: compress it with gzip, or keep it in S3 and `#include` it",
        ));
    }
    problems.extend(unprintable(&text, holes));
    Ok(text)
}

/// A file of the image's: plain text without a header.
pub(super) fn plain(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > FILE_LIMIT {
        let message = format!("{} KiB are too much; monopod reads 64 KiB", bytes.len() / 1024);
        return Err(Problem::error(Code::TooLarge, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    match unprintable(text, Holes::Refused) {
        Some(problem) => Err(problem),
        None => Ok(text),
    }
}

/// The text that places are in; the bytes as they are, where they cannot be unpacked.
pub(super) fn readable(bytes: &[u8]) -> Cow<'_, str> {
    unpacked_text(bytes, &mut Vec::new()).unwrap_or_else(|_| String::from_utf8_lossy(bytes))
}

fn unpacked_text<'b>(bytes: &'b [u8], problems: &mut Vec<Problem>) -> Result<Cow<'b, str>, Problem> {
    if bytes.len() > FILE_LIMIT {
        let message = format!(
            "{} KiB are too much; EC2 carries 16 KiB, monopod reads 64 KiB",
            bytes.len() / 1024
        );
        return Err(Problem::error(Code::TooLarge, message));
    }
    let unpacked = unpack::unpack(bytes, problems)?;
    if unpacked.trim_ascii().is_empty() {
        return Err(Problem::error(Code::Empty, "there is no user data").help(format!(
            "begin with the line {HEADER}, followed by application_id and the other keys"
        )));
    }
    match unpacked {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|error| not_utf8(bytes, error.valid_up_to())),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|error| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to())),
    }
}

/// Whether cloud-init would have called these bytes ours.
fn begins_with_header(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    start
        .get(..HEADER.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(HEADER.as_bytes()))
}

fn too_large() -> Problem {
    Problem::error(
        Code::TooLarge,
        "unpacked, the user data is over 64 KiB, which is all that monopod reads",
    )
    .help("make it smaller; large files belong into the image")
}

fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    // Something stands behind, so that text that ends with its line counts the next one.
    let marked = format!("{before}.");
    let line = text::lines(&marked).count();
    let column = text::lines(&marked).last().map_or(1, |last| last.chars().count());
    Problem::error(Code::NotUtf8, "the user data is not UTF-8 text")
        .at(Place::new(line, column))
        .help("save the file as UTF-8")
}

fn header(text: &str) -> Result<(), Problem> {
    let start = text.trim_start().to_ascii_lowercase();
    if start.starts_with(HEADER) && !text.starts_with('\u{feff}') {
        return Ok(());
    }
    let blank = text.len() - text.trim_start().len();
    let line = text.chars().take(blank).filter(|c| *c == '\n').count() + 1;
    let message = if text.starts_with('\u{feff}') {
        "a byte order mark stands before the header"
    } else if start.starts_with("#cloud-config") {
        "this is a cloud-config, which monopod never runs"
    } else if start.starts_with("#!") {
        "this is a script, which monopod never runs"
    } else if start.starts_with("---") || start.starts_with("%yaml") {
        "a YAML marker stands before the header"
    } else if text
        .lines()
        .take(20)
        .any(|line| line.trim().eq_ignore_ascii_case(HEADER))
    {
        "the header is not the first line"
    } else {
        "the header is missing"
    };
    Err(Problem::error(Code::Header, message)
        .at(Place::new(line, 1))
        .help(format!("make {HEADER} the first line")))
}

/// YAML has no control characters; a terminal would obey them.
fn unprintable(text: &str, holes: Holes) -> Option<Problem> {
    let refused = |c: char| {
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}'))
            || (holes == Holes::Refused && matches!(c, HOLE | HOLE_END))
    };
    let (index, line) = text::lines(text)
        .enumerate()
        .find(|(_, line)| line.contains(refused))?;
    let column = line.chars().take_while(|c| !refused(*c)).count() + 1;
    Some(
        Problem::error(Code::Unprintable, "a control character stands here")
            .at(Place::new(index + 1, column))
            .help("remove it, or write it as an escape in double quotes, such as \"\\x1b\""),
    )
}
