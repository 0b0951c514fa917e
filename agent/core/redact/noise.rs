//! What may stand between the characters of a value without making it another one: what quoting
//! adds, and what a line break brings.

/// Characters that quoting and wrapping add: the search leaves them out on both sides, and
/// [`fits`] looks at them afterwards.
pub(super) const fn is_noise(byte: u8) -> bool {
    is_quoting(byte) || is_blank(byte) || is_break(byte) || matches!(byte, b'|' | 0)
}

/// Quotes, escapes, and the `$` of the shell's `$'...'`.
pub(super) const fn is_quoting(byte: u8) -> bool {
    matches!(byte, b'\\' | b'\'' | b'"' | b'$')
}

const fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What a break is made of.
pub(super) const fn is_space(byte: u8) -> bool {
    is_white(byte) || byte == b'|'
}

/// White space of any kind.
pub(super) const fn is_white(byte: u8) -> bool {
    is_blank(byte) || is_break(byte)
}

/// `-` and `_` are `+` and `/` in the other alphabet of base64. 0 is noise.
pub(super) const fn folded(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte if is_noise(byte) => 0,
        byte => byte,
    }
}

/// Whether `seen` can stand in a text where the value has `meant`, both nothing but noise.
///
/// - Quoting only adds: every quote of the value is there, in its order.
/// - White space and bars are those of the value, or the text is wrapped here: a line break, or the
///   bar between blanks that stands for one in a journal, with whatever blanks are beside it.
/// - Lines of the value may be joined in any way.
pub(super) fn fits(meant: &[u8], seen: &[u8]) -> bool {
    if meant.is_empty() && seen.is_empty() {
        return true;
    }
    quotes_are_there(meant, seen)
        && (meant.iter().copied().any(is_break) || is_wrapped(seen) || same_space(meant, seen))
}

fn quotes_are_there(meant: &[u8], seen: &[u8]) -> bool {
    let mut seen = seen.iter();
    let mut quotes = meant.iter().filter(|byte| is_quoting(**byte));
    quotes.all(|quote| seen.any(|byte| byte == quote))
}

/// Whether a break is in it: a line's end, or the bar between blanks that stands for one in a journal.
pub(super) fn is_wrapped(seen: &[u8]) -> bool {
    let joined =
        |three: &[u8]| matches!(three, [before, b'|', after] if is_blank(*before) && is_blank(*after));
    seen.iter().copied().any(is_break) || seen.windows(3).any(joined)
}

/// Blanks are counted as one: whoever shows a text may squeeze them.
fn same_space(meant: &[u8], seen: &[u8]) -> bool {
    let space = |bytes: &[u8]| {
        let mut kinds: Vec<u8> = bytes
            .iter()
            .filter(|byte| !is_quoting(**byte))
            .map(|byte| if is_blank(*byte) { b' ' } else { *byte })
            .collect();
        kinds.dedup_by(|one, before| *one == b' ' && *before == b' ');
        kinds
    };
    space(meant) == space(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_adds_and_never_takes_away() {
        for (meant, seen) in [
            ("", "\\"),
            ("", "'\"'\"'"),
            ("'", r"'\''"),
            ("\"", r#"\""#),
            ("\"", r#"\\\""#),
            ("\\", r"\\"),
            (" ", r"\ "),
            ("$$", r"\$\$"),
            ("\n", "'$'"),
        ] {
            assert!(fits(meant.as_bytes(), seen.as_bytes()), "{meant:?} as {seen:?}");
        }
        for (meant, seen) in [("\"", ""), ("'", "\""), ("$$", "$"), ("\\", "")] {
            assert!(!fits(meant.as_bytes(), seen.as_bytes()), "{meant:?} as {seen:?}");
        }
    }

    #[test]
    fn space_is_there_or_the_text_is_wrapped() {
        for (meant, seen) in [
            ("", "\n"),
            ("", "\r\n\t  "),
            (" ", "\n"),
            ("", " | "),
            ("", " |   "),
            ("\n", ""),
            ("\n\n", " | "),
            ("  ", " "),
            (" ", "\t"),
            ("|", "|"),
        ] {
            assert!(fits(meant.as_bytes(), seen.as_bytes()), "{meant:?} as {seen:?}");
        }
        for (meant, seen) in [
            ("", " "),
            (" ", ""),
            ("", "|"),
            ("|", ""),
            (" ", "|"),
            ("", "\t\t"),
        ] {
            assert!(!fits(meant.as_bytes(), seen.as_bytes()), "{meant:?} as {seen:?}");
        }
    }
}
