//! A day in UTC, as `not_after` has it.

use std::fmt;

use crate::text;

/// `2027-06-30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// When it begins, in seconds since the epoch.
    begins: u64,
}

const SECONDS: u64 = 86_400;

impl Day {
    /// Reads `YYYY-MM-DD`, from 1970 on.
    pub fn parse(text: &str) -> Option<Self> {
        let form = |(index, c): (usize, char)| match index {
            4 | 7 => c == '-',
            _ => c.is_ascii_digit(),
        };
        if text.len() != 10 || !text.chars().enumerate().all(form) {
            return None;
        }
        let begins = text::parse_timestamp_millis(&format!("{text}T00:00:00Z"))? / 1000;
        let day = Self { begins };
        // The 31st of June would be the 1st of July.
        (day.to_string() == text).then_some(day)
    }

    /// Whether a moment, in seconds since the epoch, lies behind the day's end.
    pub fn is_over(self, now: u64) -> bool {
        now >= self.begins + SECONDS
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text::timestamp(self.begins).split('T').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_to_its_end() {
        let day = Day::parse("2027-06-30").unwrap();
        assert_eq!(day.to_string(), "2027-06-30");
        let end = text::parse_timestamp_millis("2027-07-01T00:00:00Z").unwrap() / 1000;
        assert!(!day.is_over(0) && !day.is_over(end - 1) && day.is_over(end));
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in [
            "",
            "2027-6-30",
            "2027-06-31",
            "2027-02-29",
            "2027-13-01",
            "2027-00-10",
            "1969-12-31",
            "30.06.2027",
            "2027-06-30 ",
            "+027-06-30",
            "2027-06-30T00:00:00Z",
            "2027-06-3ö",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
        assert!(Day::parse("2028-02-29").is_some());
    }
}
