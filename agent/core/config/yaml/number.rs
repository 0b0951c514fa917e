//! Numbers as Python prints them.
//!
//! Integers have no bound in Python, so they are carried as decimal text; floats print as `repr` does.

/// Python refuses to print an integer longer than this.
pub(super) const MAX_DIGITS: usize = 4300;

const LIMB: u64 = 1_000_000_000;

/// An integer of any size: limbs of nine decimal digits, the lowest first.
pub(super) struct Big(Vec<u64>);

impl Big {
    /// Digits in a base up to 16, underscores passed over; `None` when there are no digits.
    pub(super) fn from_digits(text: &str, base: u32) -> Option<String> {
        let mut value = Self(vec![0]);
        let mut any = false;
        for digit in text.chars().filter_map(|c| c.to_digit(base)) {
            any = true;
            value.multiply_add(base.into(), digit.into());
            if value.0.len() > MAX_DIGITS / 9 + 1 {
                // Longer than can be printed: the caller refuses it, so the rest needs no work.
                break;
            }
        }
        any.then(|| value.to_decimal())
    }

    /// Decimal digits, underscores passed over.
    pub(super) fn from_decimal(text: &str) -> Self {
        let mut value = Self(vec![0]);
        for digit in text.chars().filter_map(|c| c.to_digit(10)).take(MAX_DIGITS + 10) {
            value.multiply_add(10, digit.into());
        }
        value
    }

    /// `self * factor + term`, for small factors.
    pub(super) fn multiply_add(&mut self, factor: u64, term: u64) {
        let mut carry = term;
        for limb in &mut self.0 {
            let value = *limb * factor + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    /// In decimal, without leading zeros.
    pub(super) fn to_decimal(&self) -> String {
        let text: String = self.0.iter().rev().map(|limb| format!("{limb:09}")).collect();
        let trimmed = text.trim_start_matches('0');
        if trimmed.is_empty() {
            "0".to_owned()
        } else {
            trimmed.to_owned()
        }
    }
}

/// Python's `repr` of a float: the shortest digits that read back, positional from 1e-4 up to 1e16.
pub(in crate::config) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}inf");
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.replace('.', "");
    let body = if (-4..16).contains(&exponent) {
        positional(&digits, exponent)
    } else {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{exponent_sign}{:02}", exponent.abs())
    };
    format!("{sign}{body}")
}

fn positional(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
    };
    match digits.split_at_checked(whole) {
        Some(("", fraction)) => format!("0.{fraction}"),
        Some((head, "")) => format!("{head}.0"),
        Some((head, fraction)) => format!("{head}.{fraction}"),
        None => format!("{digits}{}.0", "0".repeat(whole - digits.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (10.0, "10.0"),
            (0.5, "0.5"),
            (0.1, "0.1"),
            (0.01, "0.01"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456.789, "123456.789"),
            (1.25e100, "1.25e+100"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (5e-324, "5e-324"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(float_repr(value), text);
        }
    }

    #[test]
    fn big_integers_are_exact() {
        assert_eq!(
            Big::from_digits("f".repeat(32).as_str(), 16).unwrap(),
            u128::MAX.to_string()
        );
        assert_eq!(Big::from_digits("_", 2), None);
        assert_eq!(Big::from_digits("0_0", 8).unwrap(), "0");
    }
}
