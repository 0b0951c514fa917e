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

    /// Whether these lines were read, and it was the sink that never took them.
    pub(super) const fn was_read(&self) -> bool {
        match &self.reason {
            GapReason::Other(_) => true,
            GapReason::RotatedAway | GapReason::Truncated | GapReason::ContainerRemoved => false,
        }
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

    /// Why, in words.
    pub fn why(&self) -> &str {
        match &self.reason {
            GapReason::RotatedAway => "rotated away before they could be shipped",
            GapReason::Truncated => "the file was truncated before they could be shipped",
            GapReason::ContainerRemoved => "the container was removed before they could be shipped",
            GapReason::Other(reason) => reason,
        }
    }
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
}
