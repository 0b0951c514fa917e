//! Sizes, times, fractions and command lines as docker and compose write them.

/// A size as docker reads it: `64m`, `1.5g`, `1 GiB`, `4096`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number_ends = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at_checked(number_ends)?;
    let shift = match unit.strip_prefix(' ').unwrap_or(unit) {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    // Nine digits are enough for a byte of a gibibyte.
    let digits: String = fraction.chars().take(9).collect();
    let fraction = (digits.parse::<u64>().ok()? << shift) / 10_u64.pow(u32::try_from(digits.len()).ok()?);
    whole
        .checked_mul(1 << shift)?
        .checked_add(fraction)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// `90`, `90s`, `15m`, `1h30m`, `2d`, in seconds.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let mut rest = text;
    let mut total: u32 = 0;
    let mut last = u32::MAX;
    while !rest.is_empty() {
        let ends = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(ends)?;
        let mut chars = tail.chars();
        let unit = match chars.next()? {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        // Units stand in their order, each once.
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        rest = chars.as_str();
    }
    (last != u32::MAX).then_some(total)
}

/// Seconds as a person writes them: `15m`, `90s`.
pub(super) fn time(seconds: u32) -> String {
    match seconds {
        0 => "0s".to_owned(),
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A plain decimal in billionths: `0.5`, `2`, `.25`.
pub(super) fn billionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) || fraction.len() > 9
    {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// A command line in words: blanks separate, quotes and backslashes keep together as in a POSIX shell, nothing is
/// expanded. `None` when a quote is never closed.
pub(super) fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            '\n' => {}
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, size) in [
            ("4096", 4096),
            ("64b", 64),
            ("64k", 65_536),
            ("64M", 67_108_864),
            ("64Mi", 67_108_864),
            ("1g", 1 << 30),
            ("1.5g", 3 << 29),
            ("1 GiB", 1 << 30),
            ("2mb", 2 << 20),
            ("0.5k", 512),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in [
            "",
            "m",
            "1x",
            "-1",
            "1.2.3k",
            "1 2",
            "99999999999g",
            ".5g",
            "1.",
            "١k",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h30m", Some(5400)),
            ("1d", Some(86_400)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-1s", None),
            ("1m1h", None),
            ("1m1m", None),
            ("1m30", None),
            ("99999999999s", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        assert_eq!(
            [0, 59, 60, 5400, 7200, 86_400].map(time),
            ["0s", "59s", "1m", "90m", "2h", "1d"]
        );
    }

    #[test]
    fn fractions() {
        for (text, wanted) in [
            ("0.5", Some(500_000_000)),
            ("2", Some(2_000_000_000)),
            (".25", Some(250_000_000)),
            ("1.", Some(1_000_000_000)),
            ("", None),
            (".", None),
            ("1e3", None),
            ("-1", None),
            ("0.1234567891", None),
            ("99999999999999", None),
        ] {
            assert_eq!(billionths(text), wanted, "{text}");
        }
    }

    #[test]
    fn command_lines() {
        let words = |text| shell_words(text).unwrap();
        assert_eq!(words(" serve  --port 8080 "), ["serve", "--port", "8080"]);
        assert_eq!(
            words(r#"a 'b c' "d \"e\" $f" g\ h ''"#),
            ["a", "b c", "d \"e\" $f", "g h", ""]
        );
        assert_eq!(words(r#""a\b""#), [r"a\b"]);
        assert!(words("").is_empty());
        for text in ["'a", "\"a", "a\\"] {
            assert_eq!(shell_words(text), None, "{text}");
        }
    }
}
