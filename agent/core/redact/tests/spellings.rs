//! Every spelling there is a promise about, as the programs that make them do.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::knowing;
use crate::redact::MARK;

/// How one program writes a value down.
type Write = fn(&str) -> String;

const SPELLINGS: &[(&str, Write)] = &[
    ("as it is", str::to_owned),
    ("JSON", json),
    ("JSON in JSON", |value| json(&json(value))),
    ("JSON in JSON in JSON", |value| json(&json(&json(value)))),
    ("JSON in ASCII with escaped slashes", ascii_json),
    ("Rust's Debug", |value| format!("{value:?}")),
    ("Rust's Debug of JSON", |value| format!("{:?}", json(value))),
    ("Go's %q", go),
    ("Python's repr", |value| python(value, false)),
    ("Python's ascii", |value| python(value, true)),
    ("shell, single quotes", |value| {
        format!("'{}'", value.replace('\'', r"'\''"))
    }),
    ("shell, backslashes", backslashed),
    ("shell, printf %q", ansi_c),
    ("shell, ls", ls),
    ("URL", |value| percent(value, false, "-_.~")),
    ("URL in lower case", |value| percent(value, true, "-_.~")),
    ("URL, encodeURIComponent", |value| {
        percent(value, false, "-_.~!*'()")
    }),
    ("URL twice", |value| {
        percent(&percent(value, false, "-_.~"), false, "-_.~")
    }),
    ("form", |value| percent(value, false, "-_.* ").replace(' ', "+")),
    ("URL of JSON", |value| percent(&json(value), false, "-_.~")),
    ("JSON of URL", |value| json(&percent(value, true, ""))),
    ("base64", |value| STANDARD.encode(value)),
    ("base64 behind something", |value| {
        STANDARD.encode(format!("x{value}y"))
    }),
    ("base64 behind more", |value| {
        STANDARD.encode(format!("xy{value}y"))
    }),
    ("base64 for URLs", |value| URL_SAFE_NO_PAD.encode(value)),
    ("base64 in lines of 76", |value| {
        columns(&STANDARD.encode(value), 76, "\n")
    }),
    ("base64 in lines of 64", |value| {
        columns(&STANDARD.encode(format!("x{value}")), 64, "\r\n")
    }),
    ("base64, indented", |value| {
        columns(&STANDARD.encode(value), 20, "\n      ")
    }),
    ("base64 in lines, as JSON", |value| {
        json(&columns(&STANDARD.encode(value), 64, "\n"))
    }),
    ("base64 in lines, in a journal", |value| {
        columns(&STANDARD.encode(value), 30, " | ")
    }),
    ("base64 in a URL", |value| {
        percent(&STANDARD.encode(value), true, "")
    }),
];

const BREAKS: [&str; 7] = ["\n", "\r\n", "\n    ", " \n\t", " | ", " |   ", "\n\n"];

fn json(value: &str) -> String {
    serde_json::to_string(value).unwrap()
}

fn ascii_json(value: &str) -> String {
    let mut out = String::new();
    for char in json(value).replace('/', r"\/").chars() {
        match char {
            char if char.is_ascii() => out.push(char),
            char => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

fn go(value: &str) -> String {
    let one = |char: char| match char {
        '"' => "\\\"".to_owned(),
        '\\' => r"\\".to_owned(),
        '\n' => r"\n".to_owned(),
        '\t' => r"\t".to_owned(),
        '\r' => r"\r".to_owned(),
        char if char < ' ' || char == '\u{7f}' => format!("\\x{:02x}", char as u32),
        char if char > '\u{ffff}' => format!("\\U{:08x}", char as u32),
        char => char.to_string(),
    };
    format!("\"{}\"", value.chars().map(one).collect::<String>())
}

fn python(value: &str, ascii: bool) -> String {
    let quote = if value.contains('\'') && !value.contains('"') {
        '"'
    } else {
        '\''
    };
    let one = |char: char| match char {
        char if char == quote || char == '\\' => format!("\\{char}"),
        '\n' => r"\n".to_owned(),
        '\t' => r"\t".to_owned(),
        '\r' => r"\r".to_owned(),
        char if char < ' ' || char == '\u{7f}' => format!("\\x{:02x}", char as u32),
        char if !ascii || char.is_ascii() => char.to_string(),
        char if char < '\u{100}' => format!("\\x{:02x}", char as u32),
        char if char < '\u{10000}' => format!("\\u{:04x}", char as u32),
        char => format!("\\U{:08x}", char as u32),
    };
    format!("{quote}{}{quote}", value.chars().map(one).collect::<String>())
}

fn backslashed(value: &str) -> String {
    let one = |char: char| match char {
        '\n' => "$'\\n'".to_owned(),
        char if char.is_ascii() && !char.is_ascii_alphanumeric() => format!("\\{char}"),
        char => char.to_string(),
    };
    value.chars().map(one).collect()
}

fn ansi_c(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'\n' => r"\n".to_owned(),
        b'\t' => r"\t".to_owned(),
        b'\r' => r"\r".to_owned(),
        0x1b => r"\E".to_owned(),
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        byte => format!("\\{byte:03o}"),
    };
    format!("$'{}'", value.bytes().map(one).collect::<String>())
}

fn ls(value: &str) -> String {
    let one = |char: char| match char {
        '\'' => r"'\''".to_owned(),
        '\n' => r"'$'\n''".to_owned(),
        '\t' => r"'$'\t''".to_owned(),
        char if char < ' ' || char == '\u{7f}' => format!("'$'\\{:03o}''", char as u32),
        char => char.to_string(),
    };
    format!("'{}'", value.chars().map(one).collect::<String>())
}

fn percent(value: &str, lower: bool, plain: &str) -> String {
    let one = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || plain.bytes().any(|one| one == byte) => {
            char::from(byte).to_string()
        }
        byte if lower => format!("%{byte:02x}"),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(one).collect()
}

fn columns(text: &str, width: usize, line_break: &str) -> String {
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(width)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join(line_break)
}

/// A value with something to know it by at both ends, and anything in between.
fn value() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]{2,6}([a-zA-Z0-9]|[-_+/=%&<>{},:;.#~!*()@^`?]|['\"\\\\$ |]|[\n\t\r\u{1}\u{1b}]|[éß€ÿ😀]){6,60}[a-zA-Z0-9]{2,6}"
}

/// What is left of the value: nothing but the characters at both ends that base64 shares with others, and quotes.
fn leftover(redacted: &str) -> usize {
    redacted
        .replace(MARK, "")
        .chars()
        .filter(|char| char.is_alphanumeric())
        .count()
}

/// At most the last character's bits before and the first's behind, in three alignments, and what was put around.
const SHARED: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_spelling_is_found(value in value()) {
        let redactor = knowing(&value);
        for (name, write) in SPELLINGS {
            let written = write(&value);
            let out = redactor.redact(&written);
            prop_assert!(out.contains(MARK) && leftover(&out) <= SHARED, "{name}: {written:?} gave {out:?}");
        }
    }

    #[test]
    fn every_spelling_is_found_wrapped(
        value in value(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 2..4),
        line_break in prop::sample::select(&BREAKS[..]),
    ) {
        let redactor = knowing(&value);
        // Of three levels of backslashes nobody can tell which the break is in.
        for (name, write) in SPELLINGS.iter().filter(|(name, _)| *name != "JSON in JSON in JSON") {
            let mut written = write(&value);
            // Where nothing is escaped there may be more than one.
            let most = if written.contains(['\\', '%']) { 1 } else { places.len() };
            for place in places.iter().take(most) {
                let at = written.floor_char_boundary(place.index(written.len()));
                written.insert_str(at, line_break);
            }
            let out = redactor.redact(&written);
            prop_assert!(out.contains(MARK) && leftover(&out) <= SHARED, "{name}: {written:?} gave {out:?}");
        }
    }

    #[test]
    fn what_is_around_it_stays(value in value()) {
        let redactor = knowing(&value);
        for (name, write) in SPELLINGS {
            if name.contains("behind") || name.contains("64") {
                continue;
            }
            let out = redactor.redact(&format!("first line\nbefore: {} :after\nlast line\n", write(&value))).into_owned();
            prop_assert!(out.starts_with("first line\nbefore: ") && out.ends_with(" :after\nlast line\n"), "{name}: {out:?}");
        }
    }
}

#[test]
fn the_only_escape_there_is_may_be_the_broken_one() {
    // Its base64 has one `+`.
    let value = "a00 A  a\t a^0^A\u{e9} \t\u{1b}\u{20ac}0 ^\t\u{1b}\u{20ac}\u{1b}0 aaaa0\rA\t0a 0\u{1}00Aa";
    let redactor = knowing(value);
    let written = percent(&STANDARD.encode(value), true, "");
    assert_eq!(written.matches('%').count(), 1);
    for at in 0..written.len() {
        let mut broken = written.clone();
        broken.insert(at, '\n');
        assert!(redactor.redact(&broken).contains(MARK), "{broken:?}");
    }
}
