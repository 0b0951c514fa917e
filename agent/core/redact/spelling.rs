//! How a value is spelled elsewhere.
//!
//! Invariant: each spelling is made in one piece, because a string that grows leaves its old bytes
//! behind unwiped.

use std::fmt::Write as _;

use base64::Engine;
use zeroize::Zeroizing;

/// Its lines with another break between them.
pub(super) fn joined(value: &str, line_break: &str) -> Zeroizing<String> {
    let room = value.len() + value.lines().count() * line_break.len();
    let mut out = Zeroizing::new(String::with_capacity(room));
    for (number, line) in value.lines().enumerate() {
        if number > 0 {
            out.push_str(line_break);
        }
        out.push_str(line);
    }
    out
}

/// Base64 of the value after `shift` bytes of something else: of a longer text's base64 the value
/// determines all characters but those it shares with its neighbours, and these are left out.
pub(super) fn base64_shifted(engine: &impl Engine, value: &[u8], shift: usize) -> Zeroizing<String> {
    const BITS_OF_BYTE: usize = 8;
    const BITS_OF_CHARACTER: usize = 6;
    let mut shifted = Zeroizing::new(Vec::with_capacity(shift + value.len()));
    shifted.resize(shift, 0);
    shifted.extend_from_slice(value);
    let encoded = Zeroizing::new(engine.encode(&*shifted));
    let from = (shift * BITS_OF_BYTE).div_ceil(BITS_OF_CHARACTER);
    let to = shifted.len() * BITS_OF_BYTE / BITS_OF_CHARACTER;
    Zeroizing::new(encoded.get(from..to).unwrap_or_default().to_owned())
}

pub(super) fn url_escaped(value: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(value.len() * 3));
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            other => _ = write!(out, "%{other:02X}"),
        }
    }
    out
}

pub(super) fn json_escaped(value: &str) -> Zeroizing<String> {
    // The longest escape of one byte is that of a control character, \u0000.
    let mut out = Zeroizing::new(Vec::with_capacity(value.len() * 6 + 2));
    // Writing a string to a Vec cannot fail.
    let _written = serde_json::to_writer(&mut *out, value).is_ok();
    let quoted = std::str::from_utf8(&out).unwrap_or_default();
    let bare = quoted
        .strip_prefix('"')
        .and_then(|quoted| quoted.strip_suffix('"'));
    Zeroizing::new(bare.unwrap_or_default().to_owned())
}
