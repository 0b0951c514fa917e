//! A line as Logentries takes it: the token of its log, a space, the text, a line feed. Line feeds inside of a text
//! become U+2028, which Logentries' own libraries use and its pages show as line feeds.

use monopod_core::logs::Batch;
use monopod_core::logs::syslog::{CONTINUES, parts};
use monopod_core::secret::Secret;

use super::bytes::Wiped;

/// Longer texts go in parts: Logentries takes lines of 65,536 characters.
const TEXT: usize = 65_000;
const LINE_SEPARATOR: &str = "\u{2028}";

/// Puts the lines behind what is there.
pub(super) fn encode(lines: &Batch, token: &Secret, out: &mut Wiped) {
    let token = token.expose().trim();
    for line in lines.lines() {
        for (part, more) in parts(line.text, TEXT) {
            // A line feed grows to three bytes.
            let feeds = part.bytes().filter(|byte| *byte == b'\n').count();
            out.reserve(token.len() + part.len() + 2 * feeds + CONTINUES.len() + 2);
            out.push(token.as_bytes());
            out.push(b" ");
            for (index, piece) in part.split('\n').enumerate() {
                if index > 0 {
                    out.push(LINE_SEPARATOR.as_bytes());
                }
                out.push(piece.as_bytes());
            }
            if more {
                out.push(CONTINUES.as_bytes());
            }
            out.push(b"\n");
        }
    }
}

/// The same lines with another token.
pub(super) fn restamp(lines: &Wiped, old: &Secret, new: &Secret) -> Wiped {
    let (old, new) = (old.expose().trim().as_bytes(), new.expose().trim().as_bytes());
    let mut out = Wiped::default();
    for line in lines.as_slice().split_inclusive(|byte| *byte == b'\n') {
        out.push(new);
        out.push(line.strip_prefix(old).unwrap_or(line));
    }
    out
}

#[cfg(test)]
mod tests {
    use monopod_core::logs::{Line, Stream};
    use proptest::prelude::*;

    use super::*;

    fn encoded(texts: &[String]) -> String {
        let mut batch = Batch::default();
        for text in texts {
            let (time, stream) = ("", Stream::Stdout);
            batch.push(Line { time, stream, text });
        }
        let mut out = Wiped::default();
        encode(&batch, &Secret::new("to-ken\n".into()), &mut out);
        String::from_utf8(out.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn lines_word_for_word() {
        let texts = ["a b", "", "Exception\n\tat x\r\n\tat ü"].map(str::to_owned);
        assert_eq!(
            encoded(&texts),
            "to-ken a b\nto-ken \nto-ken Exception\u{2028}\tat x\r\u{2028}\tat ü\n"
        );
    }

    #[test]
    fn another_token_stands_before_every_line() {
        let mut lines = Wiped::default();
        lines.push(b"old old\nold \nold two\n");
        let key = |text: &str| Secret::new(text.into());
        let again = restamp(&lines, &key("old\n"), &key("newer"));
        assert_eq!(again.as_slice(), b"newer old\nnewer \nnewer two\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_text_is_a_line_with_its_token_and_within_the_limit(
            texts in prop::collection::vec(
                prop_oneof![
                    any::<String>(),
                    ("[\n ü€x]", 1..150_000_usize).prop_map(|(unit, times)| unit.repeat(times)),
                ],
                1..8,
            ),
        ) {
            let encoded = encoded(&texts);
            let mut whole = String::new();
            let mut rest = encoded.as_str();
            while let Some((line, behind)) = rest.split_once('\n') {
                prop_assert!(line.chars().count() < 65_536);
                let text = line.strip_prefix("to-ken ").unwrap();
                whole.push_str(text.strip_suffix(CONTINUES).unwrap_or(text));
                rest = behind;
            }
            prop_assert_eq!(rest, "");
            prop_assert!(whole == texts.concat().replace('\n', LINE_SEPARATOR), "texts differ");
        }
    }
}
