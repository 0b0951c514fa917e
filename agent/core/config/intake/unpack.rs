//! gzip and base64, in any order, a few times over.
//!
//! What a form is, is told by its beginning: gzip by its two magic bytes, MIME by its header fields,
//! base64 by what its first characters stand for. A text that is none of them is handed on as it is,
//! so that the header's check names what it is instead.

use std::borrow::Cow;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::GzDecoder;

use super::super::problem::{Code, Problem};
use super::{FILE_LIMIT, begins_with_header, mime, too_large};

/// How often a text may be packed: base64 of gzip of MIME is three times.
const LAYERS: usize = 3;
/// What begins every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// So many base64 characters tell what they stand for, even a few times over.
const TELLING: usize = 128;
/// Fewer could be a word.
const LEAST_TELLING: usize = 16;

/// The text inside; the bytes themselves when they are not packed.
pub(super) fn unpack<'b>(bytes: &'b [u8], problems: &mut Vec<Problem>) -> Result<Cow<'b, [u8]>, Problem> {
    let mut bytes = Cow::Borrowed(bytes);
    for layers_left in (0..=LAYERS).rev() {
        let Some(form) = Form::of(&bytes) else {
            return Ok(bytes);
        };
        if layers_left == 0 {
            break;
        }
        bytes = Cow::Owned(match form {
            Form::Gzip => gunzip(&bytes).map_err(|failure| failure.problem("the user data"))?,
            Form::Base64 => base64(&bytes)?,
            Form::Mime => return mime::our_part(&bytes, layers_left - 1, problems).map(Cow::Owned),
        });
    }
    Err(too_often())
}

/// A part of a message may be gzip; what else it is does not matter here. `None`: it is too large, and not ours.
pub(super) fn unpack_part(bytes: Vec<u8>, layers: usize, what: &str) -> Result<Option<Vec<u8>>, Problem> {
    let mut bytes = bytes;
    for layers_left in (0..=layers).rev() {
        if !bytes.starts_with(&GZIP) {
            return Ok(Some(bytes));
        }
        if layers_left == 0 {
            break;
        }
        bytes = match gunzip(&bytes) {
            Ok(bytes) => bytes,
            // Somebody else's part may be as large as it likes: its beginning tells that it is not ours.
            Err(GunzipError::TooLarge { begin }) if !begins_with_header(&begin) => return Ok(None),
            Err(failure) => return Err(failure.problem(what)),
        };
    }
    Err(too_often())
}

enum Form {
    Gzip,
    Base64,
    Mime,
}

impl Form {
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&GZIP) {
            Some(Self::Gzip)
        } else if mime::begins(bytes) {
            Some(Self::Mime)
        } else if begins_as_base64(bytes) {
            Some(Self::Base64)
        } else {
            None
        }
    }
}

fn too_often() -> Problem {
    Problem::error(
        Code::Nesting,
        format!("the user data is packed more than {LAYERS} times (gzip, base64 and MIME each count)"),
    )
    .help("gzip once is enough; EC2's API adds and removes its own base64")
}

/// Whether the first characters are base64 of something we would read.
fn begins_as_base64(bytes: &[u8]) -> bool {
    let mut start: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take(TELLING)
        // What comes before a damaged character still tells.
        .take_while(is_base64)
        .collect();
    start.truncate(start.len() / 4 * 4);
    if start.len() < LEAST_TELLING {
        return false;
    }
    let Ok(inside) = STANDARD.decode(start) else {
        return false;
    };
    let word = inside.trim_ascii_start();
    inside.starts_with(&GZIP)
        || begins_with_header(&inside)
        || word.starts_with(b"#include")
        || mime::begins_with_field(word)
        // Each round is shorter by a quarter.
        || begins_as_base64(&inside)
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(byte)
}

/// Strict about what it takes, so that a text that was cut or mangled is noticed here; line breaks are allowed.
fn base64(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    decode_base64(bytes).map_err(|failure| {
        Problem::error(Code::Encoded, format!("the user data is base64, and {failure}"))
            .help("encode it again with `base64 FILE`, or leave it plain")
    })
}

/// The bytes, or where it goes wrong: `its line 3 has something else in column 7`.
pub(super) fn decode_base64(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let compact: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD.decode(&compact).map_err(|_| {
        let stranger = bytes.split(|byte| *byte == b'\n').zip(1..).find_map(|(line, number)| {
            let column = line.trim_ascii_end().iter().position(|byte| {
                !is_base64(byte) && !byte.is_ascii_whitespace()
            })?;
            Some(format!("its line {number} has something else in column {}", column + 1))
        });
        stranger.unwrap_or_else(|| {
            format!(
                "its {} characters do not end where a group of four ends: it was cut off, or two texts were joined",
                compact.len()
            )
        })
    })
}

/// Why gzip was not unpacked.
#[derive(Debug)]
pub(super) enum GunzipError {
    /// It holds more than we read; this much was read.
    TooLarge {
        /// Its beginning.
        begin: Vec<u8>,
    },
    /// It is not whole.
    Broken {
        /// A sentence's second half.
        how: String,
    },
}

impl GunzipError {
    fn problem(self, what: &str) -> Problem {
        match self {
            Self::TooLarge { .. } => too_large(),
            Self::Broken { how } => Problem::error(Code::Encoded, format!("{what} is gzip, and {how}"))
                .help("compress it again with `gzip -9 FILE`, and see that it is sent as bytes, not as text"),
        }
    }
}

/// All members of a gzip file, checksums compared. Stops one byte after the limit, whatever the file claims to hold.
pub(super) fn gunzip(packed: &[u8]) -> Result<Vec<u8>, GunzipError> {
    // Room for the byte too many and one more, so that reading to the end never has to grow it.
    let mut text = Vec::with_capacity(FILE_LIMIT + 2);
    let mut rest = packed;
    loop {
        let mut member = GzDecoder::new(rest);
        let room = (FILE_LIMIT + 1).saturating_sub(text.len()) as u64;
        let outcome = member.by_ref().take(room).read_to_end(&mut text);
        if text.len() > FILE_LIMIT {
            return Err(GunzipError::TooLarge { begin: text });
        }
        if let Err(error) = outcome {
            let at = packed.len() - member.get_ref().len();
            return Err(broken(&error, at, packed.len(), text.len()));
        }
        rest = member.into_inner();
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(text);
        }
        if !rest.starts_with(&GZIP) {
            let at = packed.len() - rest.len();
            let how = format!(
                "after its end, at byte {at} of {}, something else follows",
                packed.len()
            );
            return Err(GunzipError::Broken { how });
        }
    }
}

fn broken(error: &io::Error, at: usize, packed: usize, unpacked: usize) -> GunzipError {
    let how = if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("it is cut off after {packed} bytes (they held {unpacked} bytes of the text)")
    } else {
        // The crate's own words: they never quote data.
        format!("it is damaged at byte {at} of {packed} (after {unpacked} bytes of the text): {error}")
    };
    GunzipError::Broken { how }
}
