//! Events that don't leave the machine: those that match the filter, and those that are one too many of their kind.

use regex::Regex;

use super::super::batch::{Line, Stream};
use super::super::route::Treatment;
use super::pattern::{PatternError, compile_for};

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Kept,
    /// It matched the filter.
    Excluded,
    /// A sampling rule gave it up.
    SampledOut,
}

/// The filter and the sampling rules.
pub(super) struct Drops {
    exclude: Option<Regex>,
    sampling: Vec<(Regex, u32)>,
}

impl Drops {
    pub(super) fn new(treatment: &Treatment) -> Result<Self, PatternError> {
        let exclude = treatment.exclude.as_deref();
        let rules = treatment.sampling.iter();
        Ok(Self {
            exclude: exclude
                .map(|pattern| compile_for("exclude", pattern))
                .transpose()?,
            sampling: rules
                .map(|rule| Ok((compile_for("sampling", &rule.pattern)?, rule.keep_millionths)))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.exclude.is_none() && self.sampling.is_empty()
    }

    /// Decides by the event alone: what is read again after a crash is decided alike.
    pub(super) fn fate(&self, event: &Line<'_>) -> Fate {
        if let Some(exclude) = &self.exclude
            && exclude.is_match(event.text)
        {
            return Fate::Excluded;
        }
        let mut rules = self.sampling.iter();
        match rules.find(|(pattern, _)| pattern.is_match(event.text)) {
            Some((_, keep)) if millionth(event) >= *keep => Fate::SampledOut,
            Some(_) | None => Fate::Kept,
        }
    }
}

/// Where in a million the event stands, by its stream, time and text.
///
/// A checksum that carries on from machine to machine and release to release. Its bits are linear in the text's, so
/// they are mixed: counting in the text would be counting in the places otherwise.
fn millionth(event: &Line<'_>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(match event.stream {
        Stream::Stdout => b"o",
        Stream::Stderr => b"e",
        Stream::Monopod => b"m",
    });
    hasher.update(event.time.as_bytes());
    hasher.update(&[0]);
    hasher.update(event.text.as_bytes());
    // SplitMix64's finalizer.
    let mut mixed = u64::from(hasher.finalize()).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let place = ((mixed ^ (mixed >> 31)) >> 32) * 1_000_000;
    (place >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::super::super::route::SamplingRule;
    use super::*;

    fn drops(exclude: Option<&str>, sampling: &[(&str, u32)]) -> Drops {
        let rule = |(pattern, keep): &(&str, u32)| SamplingRule {
            pattern: (*pattern).to_owned(),
            keep_millionths: *keep,
        };
        Drops::new(&Treatment {
            exclude: exclude.map(str::to_owned),
            sampling: sampling.iter().map(rule).collect(),
            ..Treatment::default()
        })
        .unwrap()
    }

    fn line<'a>(time: &'a str, text: &'a str) -> Line<'a> {
        Line {
            time,
            stream: Stream::Stdout,
            text,
        }
    }

    #[test]
    fn the_filter_matches_anywhere_and_goes_first() {
        let drops = drops(Some("health|^DEBUG"), &[("health", 1_000_000), ("", 0)]);
        assert_eq!(drops.fate(&line("t", "GET /health")), Fate::Excluded);
        assert_eq!(drops.fate(&line("t", "INFO\nDEBUG x")), Fate::Excluded);
        assert_eq!(drops.fate(&line("t", "a DEBUG")), Fate::SampledOut);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let drops = drops(None, &[("keep", 1_000_000), ("drop", 0), ("keep|other", 0)]);
        assert_eq!(drops.fate(&line("t", "drop, no: keep")), Fate::Kept);
        assert_eq!(drops.fate(&line("t", "drop")), Fate::SampledOut);
        assert_eq!(drops.fate(&line("t", "other")), Fate::SampledOut);
        assert_eq!(drops.fate(&line("t", "no rule")), Fate::Kept);
    }

    #[test]
    fn keeps_about_as_many_as_it_is_told() {
        for keep in [1_000_u32, 100_000, 333_333, 990_000] {
            let drops = drops(None, &[("", keep)]);
            for same_time in [true, false] {
                let kept = (0..100_000)
                    .filter(|number| {
                        let counted = format!("2026-01-02T03:04:05.{number:09}Z");
                        let (time, text) = if same_time {
                            ("t", counted.as_str())
                        } else {
                            (counted.as_str(), "the same")
                        };
                        drops.fate(&line(time, text)) == Fate::Kept
                    })
                    .count() as f64;
                let share = f64::from(keep) / 1_000_000.0;
                let expected = share * 100_000.0;
                // Five standard deviations: the lines are the same in each run, so this holds or it doesn't.
                let room = 5.0 * (expected * (1.0 - share)).sqrt();
                assert!((kept - expected).abs() < room, "{keep}: {kept}");
            }
        }
    }

    #[test]
    fn what_was_decided_stays_so_in_later_releases() {
        let at = |time, stream, text| millionth(&Line { time, stream, text });
        assert_eq!(
            [
                at("t", Stream::Stdout, "text"),
                at("t", Stream::Stderr, "text"),
                at("", Stream::Stdout, "t"),
                at("t", Stream::Stdout, ""),
            ],
            [449_055, 983_306, 962_986, 381_173]
        );
    }

    #[test]
    fn rates_are_exact() {
        let (none, all) = (drops(None, &[("", 0)]), drops(None, &[("", 1_000_000)]));
        for number in 0..100_000 {
            let text = number.to_string();
            assert_eq!(none.fate(&line("t", &text)), Fate::SampledOut);
            assert_eq!(all.fate(&line("t", &text)), Fate::Kept);
        }
        // This one stands at 449,055.
        assert_eq!(
            drops(None, &[("", 449_055)]).fate(&line("t", "text")),
            Fate::SampledOut
        );
        assert_eq!(drops(None, &[("", 449_056)]).fate(&line("t", "text")), Fate::Kept);
    }
}
