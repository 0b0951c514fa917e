//! From bytes to text: size, encoding, header.
//!
//! Only text whose first line is `#taupage-ami-config` is ours, as cloud-init decided it for Taupage:
//! blank lines before it, upper case and trailing words don't matter. Anything else that user data may
//! legally be (a cloud-config, a script) is refused, so user data stays data and never becomes code.
//! Compressed and encoded forms are recognised by their looks and refused by name; a later version
//! unpacks them here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::{Code, Place, Problem};
use super::yaml::{HOLE, HOLE_END};
use crate::text;

/// The first line.
const HEADER: &str = "#taupage-ami-config";
/// What EC2 carries.
const EC2_LIMIT: usize = 16 * 1024;
/// What a file may have.
const FILE_LIMIT: usize = 64 * 1024;

/// The text, header included so that line numbers stay those of the file.
pub(super) fn text<'b>(bytes: &'b [u8], problems: &mut Vec<Problem>) -> Result<&'b str, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::error(Code::Empty, "there is no user data").help(format!(
            "begin with the line {HEADER}, followed by application_id and the other keys"
        )));
    }
    if bytes.len() > FILE_LIMIT {
        let message = format!(
            "{} KiB are too much; EC2 carries 16 KiB, monopod reads 64 KiB",
            bytes.len() / 1024
        );
        return Err(Problem::error(Code::TooLarge, message));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(encoded("gzip"));
    }
    let text = utf8(bytes)?;
    header(text)?;
    if bytes.len() > EC2_LIMIT {
        let message = format!("{} bytes: EC2 carries at most {EC2_LIMIT}", bytes.len());
        problems.push(
            Problem::warning(Code::OverEc2Limit, message)
                .help("an instance cannot be launched with this text"),
        );
    }
    problems.extend(unprintable(text));
    Ok(text)
}

/// A file of the image's: text without a header.
pub(super) fn plain(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > FILE_LIMIT {
        let message = format!("{} KiB are too much; monopod reads 64 KiB", bytes.len() / 1024);
        return Err(Problem::error(Code::TooLarge, message));
    }
    let text = utf8(bytes)?;
    match unprintable(text) {
        Some(problem) => Err(problem),
        None => Ok(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))
}

fn encoded(what: &str) -> Problem {
    Problem::error(
        Code::Encoded,
        format!("the user data is {what}, which is not available yet"),
    )
    .help("send it as plain text; EC2 takes 16 KiB")
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
    if start.starts_with("content-type:") || start.starts_with("mime-version:") {
        return Err(encoded("a MIME message"));
    }
    if is_base64_of_ours(text) {
        return Err(encoded("base64"));
    }
    let blank = text.len() - text.trim_start().len();
    let line = text.chars().take(blank).filter(|c| *c == '\n').count() + 1;
    let message = if text.starts_with('\u{feff}') {
        "a byte order mark stands before the header"
    } else if start.starts_with("#cloud-config") {
        "this is a cloud-config, which monopod never runs"
    } else if start.starts_with("#!") {
        "this is a script, which monopod never runs"
    } else if start.starts_with("#include") {
        "this is an include file, which is not available yet"
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

/// Somebody encoded the text once too often.
fn is_base64_of_ours(text: &str) -> bool {
    let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let Ok(bytes) = STANDARD.decode(compact) else {
        return false;
    };
    let text = String::from_utf8_lossy(&bytes);
    bytes.starts_with(&[0x1f, 0x8b]) || text.trim_start().to_ascii_lowercase().starts_with(HEADER)
}

/// YAML has no control characters; a terminal would obey them.
fn unprintable(text: &str) -> Option<Problem> {
    let refused = |c: char| {
        // A template's holes are put in by us alone: in user data one would be a value that never comes.
        (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || matches!(c, HOLE | HOLE_END)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8]) -> Vec<Problem> {
        let mut problems = Vec::new();
        text(bytes, &mut problems).unwrap_or_else(|problem| panic!("{bytes:?}: {problem:?}"));
        problems
    }

    fn refused(bytes: &[u8]) -> Problem {
        text(bytes, &mut Vec::new()).expect_err("must be refused")
    }

    #[test]
    fn the_header_as_cloud_init_took_it() {
        for bytes in [
            "#taupage-ami-config",
            "#taupage-ami-config\na: 1",
            "#Taupage-AMI-Config\r\na: 1",
            "\n \n#taupage-ami-config",
            "#taupage-ami-config for my team\na: 1",
        ] {
            assert!(taken(bytes.as_bytes()).is_empty(), "{bytes}");
        }
    }

    #[test]
    fn what_is_not_ours_is_named() {
        for (bytes, code, word) in [
            ("", Code::Empty, "no user data"),
            (" \n\t\n", Code::Empty, "no user data"),
            ("\u{feff}#taupage-ami-config\n", Code::Header, "byte order"),
            ("---\n#taupage-ami-config", Code::Header, "marker"),
            ("# hello\n#taupage-ami-config", Code::Header, "not the first"),
            ("a: 1", Code::Header, "missing"),
            ("#cloud-config\n", Code::Header, "cloud-config"),
            ("#!/bin/sh\n", Code::Header, "script"),
            ("Content-Type: multipart/mixed", Code::Encoded, "MIME"),
            ("MIME-Version: 1.0", Code::Encoded, "MIME"),
            ("I3RhdXBhZ2UtYW1pLWNvbmZpZwo=", Code::Encoded, "base64"),
            ("H4sIAAAAAAAA\nAwMA", Code::Encoded, "base64"),
        ] {
            let problem = refused(bytes.as_bytes());
            assert_eq!(problem.code, code, "{bytes}");
            assert!(problem.message.contains(word), "{bytes}: {}", problem.message);
            assert!(problem.help.is_some(), "{bytes}");
        }
        assert_eq!(refused(&[0x1f, 0x8b, 8, 0]).code, Code::Encoded);
    }

    #[test]
    fn bytes_that_are_no_text() {
        let problem = refused(b"#taupage-ami-config\nab\xff: 1");
        assert_eq!(
            (problem.code, problem.place),
            (Code::NotUtf8, Some(Place::new(2, 3)))
        );
        let problem = refused(b"#taupage-ami-config\n\r\xff");
        assert_eq!(problem.place, Some(Place::new(3, 1)));
        let problem = taken("#taupage-ami-config\na: \u{e000}".as_bytes()).remove(0);
        assert_eq!(problem.code, Code::Unprintable);
        let problem = taken(b"#taupage-ami-config\na: \x1b[31m").remove(0);
        assert_eq!(
            (problem.code, problem.place),
            (Code::Unprintable, Some(Place::new(2, 4)))
        );
    }

    #[test]
    fn sizes() {
        let of = |size: usize| format!("{HEADER}\n#{}", "x".repeat(size - HEADER.len() - 2));
        assert!(taken(of(EC2_LIMIT).as_bytes()).is_empty());
        assert_eq!(taken(of(EC2_LIMIT + 1).as_bytes())[0].code, Code::OverEc2Limit);
        assert_eq!(taken(of(FILE_LIMIT).as_bytes()).len(), 1);
        assert_eq!(refused(of(FILE_LIMIT + 1).as_bytes()).code, Code::TooLarge);
    }
}
