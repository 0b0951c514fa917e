//! Lines that are too long for a sink.

const BEFORE: &str = " [monopod: cut, ";
const AFTER: &str = " bytes missing]";
/// As many as the largest count has.
const DIGITS: usize = 20;

/// Cuts a text after at most `limit` bytes, at a character, and says how many are missing; none if it is short
/// enough. Returns how many were cut here.
///
/// A marker at the end is no part of the text: what is cut twice says once how much is missing of what there was,
/// and is not cut again for what the marker added.
pub(super) fn cut(text: &str, limit: usize) -> Option<(String, u64)> {
    if text.len() <= limit {
        return None;
    }
    let (body, missing) = split(text);
    if body.len() <= limit {
        return None;
    }
    let kept = body.get(..body.floor_char_boundary(limit))?;
    let cut = (body.len() - kept.len()) as u64;
    let out = format!("{kept}{BEFORE}{}{AFTER}", missing.saturating_add(cut));
    Some((out, cut))
}

/// The text without its marker, and what the marker says.
fn split(text: &str) -> (&str, u64) {
    let marked = || {
        let (body, count) = text.strip_suffix(AFTER)?.rsplit_once(BEFORE)?;
        let number = count.len() <= DIGITS && count.bytes().all(|byte| byte.is_ascii_digit());
        Some((body, number.then(|| count.parse().ok())??))
    };
    marked().unwrap_or((text, 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::{Batch, Joiner, MAX_LINE};
    use super::*;

    #[test]
    fn cuts_at_a_character_and_says_so() {
        assert_eq!(
            cut("aüüü", 4),
            Some(("aü [monopod: cut, 4 bytes missing]".to_owned(), 4))
        );
        assert_eq!(cut("aüüü", 7), None);
        assert_eq!(
            cut("ü", 0),
            Some((" [monopod: cut, 2 bytes missing]".to_owned(), 2))
        );
        assert_eq!(cut("", 0), None);
    }

    #[test]
    fn what_is_cut_twice_says_once_how_much_is_missing() {
        let (once, _) = cut("0123456789", 8).unwrap();
        assert_eq!(cut(&once, 8), None);
        assert_eq!(
            cut(&once, 3),
            Some(("012 [monopod: cut, 7 bytes missing]".to_owned(), 5))
        );
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        for count in ["", "+1", "x", "18446744073709551616", &"0".repeat(40)] {
            let text = format!("01234{BEFORE}{count}{AFTER}");
            let (_, bytes) = cut(&text, 5).unwrap();
            assert_eq!(bytes as usize, text.len() - 5, "{count}");
        }
        let most = format!("01234{BEFORE}{}{AFTER}", u64::MAX);
        assert_eq!(
            cut(&most, 4),
            Some((format!("0123{BEFORE}{}{AFTER}", u64::MAX), 1))
        );
    }

    #[test]
    fn says_it_as_lines_cut_by_the_reader_do() {
        let text = "x".repeat(MAX_LINE + 7);
        let record = serde_json::json!({"log": format!("{text}\n"), "stream": "stdout", "time": "t"});
        let mut batch = Batch::default();
        Joiner::default().decode(format!("{record}\n").as_bytes(), usize::MAX, &mut batch);
        let line = record["log"].as_str().unwrap().trim_end();
        // The reader finds the beginning of a record by `log` being first.
        assert_eq!(batch.last().unwrap().text, cut(line, MAX_LINE).unwrap().0);
    }

    proptest! {
        #[test]
        fn nothing_is_uncounted(text in "[a-z🦀ü \\[\\]]{0,40}", limit in 0_usize..50) {
            match cut(&text, limit) {
                None => prop_assert!(text.len() <= limit),
                Some((out, bytes)) => {
                    let (body, missing) = split(&out);
                    prop_assert!(text.starts_with(body) && body.len() <= limit && limit - body.len() < 4);
                    prop_assert_eq!(body.len() as u64 + missing, text.len() as u64);
                    prop_assert_eq!(bytes, missing);
                }
            }
        }
    }
}
