//! User data that says where the text is: `#include s3://BUCKET/KEY sha256:HEX`.
//!
//! EC2 carries 16 KiB; a text that is larger lies in S3 or behind https, and the user data names it
//! with its SHA-256. The pin is not optional: whoever can write to the bucket could otherwise run
//! anything on the machine, and a reboot could bring up something else than the boot before.
//!
//! This module reads the line and compares the hash; fetching is an effect, and somebody else's.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::super::problem::{Code, Place, Problem};
use super::unpacked_text;

/// What the first line begins with.
const WORD: &str = "#include";
/// What it looks like.
const FORM: &str = "#include s3://BUCKET/KEY sha256:HEX";
/// What S3 allows.
const LONGEST_KEY: usize = 1024;

/// Where the text is, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Where.
    pub location: Location,
    /// The hash of the bytes there, as they are there.
    pub sha256: [u8; 32],
}

/// Where a text is. Shown without what follows a `?`, for that may be a signature.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// An object in S3.
    S3 {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// A `https://` address.
    Https(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Https(url) => match url.split_once('?') {
                Some((address, _)) => write!(f, "{address}?..."),
                None => f.write_str(url),
            },
        }
    }
}

/// A derived one would show the signature.
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// Why fetched bytes are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTheText {
    /// Other bytes than the pin says.
    #[error(
        "its SHA-256 is {got}, and the user data expects {expected}: somebody changed one of them without the other"
    )]
    OtherHash {
        /// In the user data, as hexadecimal digits.
        expected: String,
        /// Of the bytes.
        got: String,
    },
    /// It says that the text is elsewhere again.
    #[error("it is an #include itself, and one has to be enough: name the text's own place in the user data")]
    IncludesAgain,
}

impl Include {
    /// Whether these are the bytes that are meant, and a text rather than another include.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), NotTheText> {
        let got: [u8; 32] = Sha256::digest(bytes).into();
        if got != self.sha256 {
            return Err(NotTheText::OtherHash {
                expected: self.hash(),
                got: hex(&got),
            });
        }
        match included(bytes) {
            Some(_) => Err(NotTheText::IncludesAgain),
            None => Ok(()),
        }
    }

    /// The pin as 64 hexadecimal digits.
    pub fn hash(&self) -> String {
        hex(&self.sha256)
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the text is, if these bytes say that it is elsewhere. `None` for all else, broken bytes among it.
pub fn included(bytes: &[u8]) -> Option<Result<Include, Problem>> {
    read(&unpacked_text(bytes, &mut Vec::new()).ok()?)
}

/// The same of a text.
pub(super) fn read(text: &str) -> Option<Result<Include, Problem>> {
    let blank = text.len() - text.trim_start().len();
    let first = 1 + text.chars().take(blank).filter(|c| *c == '\n').count();
    let mut lines = text.lines().zip(1..).skip(first - 1);
    let (line, number) = lines.next()?;
    let line = line.trim();
    let word = line.split_whitespace().next()?;
    let once = format!("{WORD}-once");
    if !word.eq_ignore_ascii_case(WORD) && !word.eq_ignore_ascii_case(&once) {
        return None;
    }
    Some(whole(line, number, lines))
}

fn whole<'t>(
    line: &str,
    number: usize,
    mut rest: impl Iterator<Item = (&'t str, usize)>,
) -> Result<Include, Problem> {
    let mut words = line.split_whitespace();
    if words.next().is_none_or(|word| word.len() != WORD.len()) {
        return Err(wrong(number, "monopod knows #include, and no #include-once"));
    }
    let more = rest.find(|(line, _)| {
        let line = line.trim_start();
        !line.is_empty() && (!line.starts_with('#') || line.starts_with(WORD))
    });
    let (Some(location), pin) = (words.next(), words.next()) else {
        return Err(wrong(number, "the address is not on the line of the #include"));
    };
    let location = address(location).map_err(|what| wrong(number, what))?;
    let pin = pin.ok_or_else(|| wrong(number, "the text's SHA-256 is missing after its address"))?;
    let sha256 = pin.strip_prefix("sha256:").and_then(digest).ok_or_else(|| {
        wrong(
            number,
            "after the address, sha256: and 64 hexadecimal digits are expected",
        )
    })?;
    if words.next().is_some() {
        return Err(wrong(number, "something follows the SHA-256"));
    }
    if let Some((_, number)) = more {
        return Err(wrong(
            number,
            "after the #include, only comments and empty lines may follow: there is one text, in one place",
        ));
    }
    Ok(Include { location, sha256 })
}

fn wrong(line: usize, what: &str) -> Problem {
    Problem::error(Code::IncludeForm, what)
        .at(Place::new(line, 1))
        .help(format!(
            "write one line, `{FORM}` or with https://; `sha256sum FILE` prints the HEX"
        ))
}

fn address(word: &str) -> Result<Location, &'static str> {
    if let Some(place) = word.strip_prefix("s3://") {
        let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
        let is_edge =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_bucket = (3..=63).contains(&bucket.len())
            && is_edge(bucket.bytes().next())
            && is_edge(bucket.bytes().last())
            && bucket
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
        return if !is_bucket {
            Err("the name of the bucket is none")
        } else if key.is_empty() || key.len() > LONGEST_KEY || key.contains(char::is_control) {
            Err("the address names no object in the bucket")
        } else {
            Ok(Location::S3 {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            })
        };
    }
    if let Some(place) = word.strip_prefix("https://") {
        let host = place.split(['/', '?']).next().unwrap_or_default();
        return if host.is_empty() || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err("the address is no URL")
        } else if host.contains('@') {
            Err("the address holds a user's name, and user data is no place for passwords")
        } else if word.contains('#') {
            Err("the address has a fragment, which no server sees")
        } else {
            Ok(Location::Https(word.to_owned()))
        };
    }
    Err(if word.starts_with("http://") {
        "the address is http://, where anybody on the way can read the text; https:// and s3:// are taken"
    } else {
        "the address begins with neither s3:// nor https://"
    })
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    (digits.len() == 64).then_some(bytes)?.try_into().ok()
}

/// What [`crate::config::parse`] says of such a text: it cannot look elsewhere.
pub(super) fn elsewhere(include: &Include) -> Problem {
    let place = match include.location {
        Location::S3 { .. } => "in S3",
        Location::Https(_) => "behind https",
    };
    Problem::error(
        Code::Elsewhere,
        format!("the text is elsewhere ({place}): `monopod run` fetches it"),
    )
    .help("validate the file itself")
}
