//! What is known to be lost, and how it is said in the stream itself.

use serde::{Deserialize, Serialize};

/// Why lines are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The engine removed the file first.
    RotatedAway,
    /// The file got shorter than what was read of it.
    Truncated,
    /// The container was removed with its files.
    ContainerRemoved,
    /// In somebody else's words, such as "the engine died".
    Other(String),
}

/// Lines that will never come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How many lines, or at least how many.
    pub lines: u64,
    /// Bytes of records known to be missing: for a count that isn't known, a measure of the damage.
    pub bytes: u64,
    /// Whether `lines` is all of it.
    pub exact: bool,
    /// The time of the last line before it, if there was one.
    pub from: Option<String>,
    /// A time before which the gap ended.
    pub to: Option<String>,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// A gap of which nothing is known but that it may be there.
    pub fn unknown(reason: GapReason) -> Self {
        Self {
            lines: 0,
            bytes: 0,
            exact: false,
            from: None,
            to: None,
            reason,
        }
    }

    /// The marker, as a line of its own in the stream.
    pub fn marker(&self) -> String {
        let mut text = format!("monopod: {}", self.count());
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => text.push_str(&format!(" lost between {from} and {to}")),
            (Some(from), None) => text.push_str(&format!(" lost after {from}")),
            (None, Some(to)) => text.push_str(&format!(" lost before {to}")),
            (None, None) => text.push_str(" lost"),
        }
        text.push_str(": ");
        text.push_str(self.why());
        text
    }

    fn count(&self) -> String {
        let noun = if self.lines == 1 { "log line" } else { "log lines" };
        match (self.exact, self.lines, self.bytes) {
            (true, lines, _) => format!("{lines} {noun}"),
            (false, 0, 0) => "an unknown number of log lines".to_owned(),
            (false, 0, bytes) => {
                format!("an unknown number of log lines (at least {bytes} bytes of records)")
            }
            (false, lines, _) => format!("at least {lines} {noun}"),
        }
    }

    fn why(&self) -> &str {
        match &self.reason {
            GapReason::RotatedAway => "rotated away before they could be shipped",
            GapReason::Truncated => "the file was truncated before they could be shipped",
            GapReason::ContainerRemoved => "the container was removed before they could be shipped",
            GapReason::Other(reason) => reason,
        }
    }
}

/// Seconds since the epoch as the engine writes a time, but without a fraction.
pub fn rfc3339(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days to a civil date, by Howard Hinnant's method: years begin in March, so a leap day comes last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_known() {
        let gap = Gap {
            lines: 12,
            bytes: 900,
            exact: true,
            from: Some("A".into()),
            to: Some("B".into()),
            reason: GapReason::RotatedAway,
        };
        let text = "monopod: 12 log lines lost between A and B: rotated away before they could be shipped";
        assert_eq!(gap.marker(), text);
        let gap = Gap {
            exact: false,
            from: None,
            ..gap
        };
        assert!(
            gap.marker()
                .starts_with("monopod: at least 12 log lines lost before B: ")
        );
        let gap = Gap { lines: 0, ..gap };
        assert!(
            gap.marker()
                .contains("an unknown number of log lines (at least 900 bytes of records)")
        );
        let gap = Gap::unknown(GapReason::Other("the engine died".into()));
        assert_eq!(
            gap.marker(),
            "monopod: an unknown number of log lines lost: the engine died"
        );
    }

    #[test]
    fn knows_the_calendar() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(rfc3339(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
