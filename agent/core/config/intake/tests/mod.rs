use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

mod included;
mod messages;
mod packed;

use super::super::{Severity, Style, parse};
use super::*;

const OURS: &str = "#taupage-ami-config\na: 1\n";
/// Never quoted, however broken the text is.
const CANARY: &str = "hunter2canary";

fn read(bytes: &[u8]) -> (String, Vec<Problem>) {
    let mut problems = Vec::new();
    let text = text(bytes, Holes::Refused, &mut problems)
        .unwrap_or_else(|problem| panic!("{:?}: {problem:?}", String::from_utf8_lossy(bytes)));
    (text.into_owned(), problems)
}

/// Read without a word, and unpacked to this.
fn gives(bytes: &[u8], expected: &str) {
    let (text, problems) = read(bytes);
    assert_eq!(text, expected);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(readable(bytes), expected);
}

fn taken(bytes: &[u8]) -> Vec<Problem> {
    read(bytes).1
}

fn refused(bytes: &[u8]) -> Problem {
    let problem = text(bytes, Holes::Refused, &mut Vec::new()).expect_err("must be refused");
    assert_eq!(problem.severity, Severity::Error);
    problem
}

/// Refused under this code, with these words, and without the canary.
fn refused_as(bytes: &[u8], code: Code, word: &str) {
    let problem = refused(bytes);
    assert_eq!(problem.code, code, "{problem:?}");
    assert!(problem.message.contains(word), "{word:?} is not in {problem:?}");
    let shown = parse(bytes, "user data").render(Style::Plain);
    assert!(
        !shown.contains(CANARY) && !format!("{problem:?}").contains(CANARY),
        "{shown}"
    );
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// As `base64` prints it.
fn base64(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let text = STANDARD.encode(bytes);
    let lines: String = text
        .as_bytes()
        .chunks(76)
        .map(|line| format!("{}\n", std::str::from_utf8(line).unwrap()))
        .collect();
    lines.into_bytes()
}

/// A multipart message as Python writes it.
fn multipart(parts: &[&[u8]]) -> Vec<u8> {
    let mut message =
        b"Content-Type: multipart/mixed; boundary=\"===12==\"\nMIME-Version: 1.0\n\nfor old readers\n"
            .to_vec();
    for part in parts {
        message.extend_from_slice(b"--===12==\n");
        message.extend_from_slice(part);
        message.push(b'\n');
    }
    message.extend_from_slice(b"--===12==--\nnobody reads this\n");
    message
}

fn part(fields: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut part = format!("{fields}\n\n").into_bytes();
    part.extend_from_slice(content.as_ref());
    part
}
