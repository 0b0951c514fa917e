//! What a scalar's text means in YAML 1.1, as PyYAML's safe loader reads it.
//!
//! The rules are PyYAML's own regular expressions, written out by hand: `yes` is a boolean, `0755` is
//! octal, `22:30` is 1350, `1e5` and `08` are strings. A text that looks like a number or a date but
//! stops PyYAML (`0b_`, `2001-13-01`) is [`Unreadable`], for there is no value it could have had.

use super::number::{Big, MAX_DIGITS};
use super::stamp;

/// What a scalar is.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum Resolved {
    /// Nothing, `~` or `null`.
    Null,
    /// `yes`, `off`, `True`, ...
    Bool(bool),
    /// Any size, in decimal.
    Int(String),
    /// A float.
    Float(f64),
    /// A date or a time, as Python prints it.
    Stamp(String),
    /// The text itself.
    Str,
}

/// The text looks like a value that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Unreadable(
    /// What it looks like.
    pub(in crate::config) &'static str,
);

/// Resolves an unquoted scalar without a tag.
pub(in crate::config) fn plain(text: &str) -> Result<Resolved, Unreadable> {
    if let Some(value) = boolean(text) {
        return Ok(Resolved::Bool(value));
    }
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Resolved::Null);
    }
    if let Some(value) = float(text) {
        return Ok(Resolved::Float(value));
    }
    if let Some(digits) = integer(text) {
        return digits.map(Resolved::Int);
    }
    match stamp::read(text, stamp::Form::Implicit) {
        Some(stamp) => stamp.map(Resolved::Stamp),
        None => Ok(Resolved::Str),
    }
}

/// Resolves a scalar with a tag of the core schema; `None` when no scalar has this tag.
pub(super) fn tagged(tag: &str, text: &str) -> Option<Result<Resolved, Unreadable>> {
    Some(match tag {
        "str" => Ok(Resolved::Str),
        "null" => Ok(Resolved::Null),
        "bool" => boolean(&text.to_ascii_lowercase())
            .map(Resolved::Bool)
            .ok_or(Unreadable("a boolean")),
        "int" => integer(text)
            .unwrap_or(Err(Unreadable("an integer")))
            .map(Resolved::Int),
        "float" => tagged_float(text)
            .map(Resolved::Float)
            .ok_or(Unreadable("a float")),
        "timestamp" => stamp::read(text, stamp::Form::Tagged)
            .unwrap_or(Err(Unreadable("a date or a time")))
            .map(Resolved::Stamp),
        _ => return None,
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// Splits off a sign.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn all(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(fits)
}

fn starts_with_digit(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_digit())
}

/// Digits and underscores, a digit first.
fn is_number(text: &str) -> bool {
    starts_with_digit(text) && all(text, |b| b.is_ascii_digit() || b == b'_')
}

/// One or two digits below sixty.
fn is_sixtieth(text: &str) -> bool {
    all(text, |b| b.is_ascii_digit()) && (text.len() == 1 || (text.len() == 2 && text < "60"))
}

fn integer(text: &str) -> Option<Result<String, Unreadable>> {
    let (negative, body) = signed(text);
    let value = magnitude(body)?;
    Some(match value {
        Some(digits) if digits.len() > MAX_DIGITS => Err(Unreadable("an integer of more than 4300 digits")),
        Some(digits) if negative && digits != "0" => Ok(format!("-{digits}")),
        Some(digits) => Ok(digits),
        None => Err(Unreadable("an integer without digits")),
    })
}

/// `None`: not an integer. `Some(None)`: an integer's form without digits.
fn magnitude(body: &str) -> Option<Option<String>> {
    if let Some(digits) = body
        .strip_prefix("0b")
        .filter(|text| all(text, |b| matches!(b, b'0' | b'1' | b'_')))
    {
        return Some(Big::from_digits(digits, 2));
    }
    if let Some(digits) = body
        .strip_prefix("0x")
        .filter(|text| all(text, |b| b.is_ascii_hexdigit() || b == b'_'))
    {
        return Some(Big::from_digits(digits, 16));
    }
    if let Some(digits) = body.strip_prefix('0') {
        let octal = digits.bytes().all(|b| (b'0'..=b'7').contains(&b) || b == b'_');
        return octal.then(|| Some(Big::from_digits(digits, 8).unwrap_or_else(|| "0".to_owned())));
    }
    let (head, sixtieths) = match body.split_once(':') {
        Some((head, rest)) => (head, Some(rest)),
        None => (body, None),
    };
    if !is_number(head) {
        return None;
    }
    let Some(rest) = sixtieths else {
        return Some(Some(head.replace('_', "")));
    };
    let mut value = Big::from_decimal(head);
    for part in rest.split(':') {
        if !is_sixtieth(part) {
            return None;
        }
        value.multiply_add(60, part.parse().ok()?);
    }
    Some(Some(value.to_decimal()))
}

fn float(text: &str) -> Option<f64> {
    let (negative, body) = signed(text);
    let sign = if negative { -1.0 } else { 1.0 };
    match body {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        // Without a sign only: PyYAML's expression has none here.
        ".nan" | ".NaN" | ".NAN" => return (body.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    if let Some((head, last)) = body.rsplit_once(':') {
        return sexagesimal(head, last).map(|value| sign * value);
    }
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|digits| all(digits, |b| b.is_ascii_digit()))
    });
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let fits = if whole.is_empty() {
        body.len() == text.len() && is_number(fraction)
    } else {
        is_number(whole) && digits(fraction)
    };
    if !(fits && exponent_fits) {
        return None;
    }
    body.replace('_', "")
        .parse::<f64>()
        .ok()
        .map(|value| sign * value)
}

/// `1:30.5`: hours or minutes before, seconds with a fraction last.
fn sexagesimal(head: &str, last: &str) -> Option<f64> {
    let (seconds, fraction) = last.split_once('.')?;
    let mut parts = head.split(':');
    let first = parts.next().filter(|first| is_number(first))?;
    let middle: Vec<&str> = parts.collect();
    let fits = is_sixtieth(seconds)
        && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && middle.iter().all(|part| is_sixtieth(part));
    if !fits {
        return None;
    }
    // From the right, as Python adds them up: the order decides the last bit.
    let mut base = 1.0;
    let mut value = 0.0;
    for part in std::iter::once(last)
        .chain(middle.into_iter().rev())
        .chain(std::iter::once(first))
    {
        value += part.replace('_', "").parse::<f64>().ok()? * base;
        base *= 60.0;
    }
    Some(value)
}

/// An explicit `!!float` takes whatever Python's `float()` takes, `1e5` and integers among it.
fn tagged_float(text: &str) -> Option<f64> {
    if let Some(value) = float(text) {
        return Some(value);
    }
    let cleaned = text.trim().replace('_', "");
    let lower = cleaned.to_ascii_lowercase();
    let word = matches!(signed(&lower).1, "inf" | "infinity" | "nan");
    let number = all(&lower, |b| {
        b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e')
    });
    if word || number { lower.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> String {
        match plain(text) {
            Ok(Resolved::Int(digits)) => digits,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn integers_in_every_base() {
        for (text, value) in [
            ("0", "0"),
            ("-0", "0"),
            ("+12", "12"),
            ("-12", "-12"),
            ("1_000", "1000"),
            ("0755", "493"),
            ("-0755", "-493"),
            ("0_7", "7"),
            ("0_", "0"),
            ("00", "0"),
            ("0b101", "5"),
            ("0x1F", "31"),
            ("0x_f", "15"),
            ("22:30", "1350"),
            ("-1:00:00", "-3600"),
            ("1_0:05", "605"),
            ("012345670123", "1402433619"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("0xffffffffffffffffffffffff", "79228162514264337593543950335"),
        ] {
            assert_eq!(int(text), value, "{text}");
        }
    }

    #[test]
    fn strings_that_others_take_for_numbers() {
        for text in [
            "08",
            "0o755",
            "1e5",
            "6478e18",
            "22:60",
            "0:30",
            "1:2:x",
            "_1",
            "1__x",
            "0b2",
            "0xg",
            "+",
            "-",
            "+.nan",
            "-.5",
            "1.5e3",
            "1.2.3",
            "y",
            "n",
            "Y",
            "yEs",
            "nULL",
            "2001-1-1",
            "2001-01-01T",
            ".",
            "._1",
            "1.0:30",
        ] {
            assert_eq!(plain(text), Ok(Resolved::Str), "{text}");
        }
    }

    #[test]
    fn floats() {
        for (text, value) in [
            ("1.", 1.0),
            ("1.5", 1.5),
            ("-1.5e+3", -1500.0),
            (".5", 0.5),
            ("1_0.2_5", 10.25),
            ("1:30.5", 90.5),
            ("-1:00.", -60.0),
            (".inf", f64::INFINITY),
            ("-.INF", f64::NEG_INFINITY),
            ("08.5", 8.5),
        ] {
            assert_eq!(plain(text), Ok(Resolved::Float(value)), "{text}");
        }
        assert!(matches!(plain(".NaN"), Ok(Resolved::Float(value)) if value.is_nan()));
    }

    #[test]
    fn forms_that_stop_pyyaml() {
        for text in ["0b_", "0x_", "2001-13-01", "2001-02-30", "2001-01-01 25:00:00"] {
            assert!(plain(text).is_err(), "{text}");
        }
        assert!(plain(&"9".repeat(4301)).is_err());
    }

    #[test]
    fn tags_decide() {
        assert_eq!(tagged("str", "0755"), Some(Ok(Resolved::Str)));
        assert_eq!(tagged("int", "0755"), Some(Ok(Resolved::Int("493".into()))));
        assert_eq!(tagged("float", "1e5"), Some(Ok(Resolved::Float(100_000.0))));
        assert_eq!(tagged("float", "3"), Some(Ok(Resolved::Float(3.0))));
        assert_eq!(tagged("bool", "YeS"), Some(Ok(Resolved::Bool(true))));
        assert_eq!(tagged("null", "anything"), Some(Ok(Resolved::Null)));
        assert!(tagged("int", "x").is_some_and(|value| value.is_err()));
        assert!(tagged("binary", "aGk=").is_none());
    }
}
