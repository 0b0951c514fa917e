//! What became of the lines that the writer (`programs/writer.rs`, the image `writer`) wrote: told from what arrived.

use std::ops::Range;
use std::path::PathBuf;

use serde_json::Value;

use crate::machine::Machine;

#[path = "programs/frame.rs"]
#[expect(dead_code, reason = "the writer, which stands alone, uses the other half")]
mod frame;

/// The program itself, for whoever runs it outside of a container. It is static.
#[must_use]
pub fn writer_program() -> PathBuf {
    PathBuf::from(env!("RIG_WRITER"))
}

/// What a writer was asked for: how many lines, and which seed.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    seed: u64,
    lines: u64,
}

/// A line in the stream that says what is missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// How many lines it says are lost; 0 where it does not know.
    pub lines: u64,
    /// Whether these are all.
    pub exact: bool,
    /// All of it.
    pub text: String,
}

/// What arrived, and what did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Lines that arrived as they were written, each counted once.
    pub delivered: u64,
    /// Lines that arrived again.
    pub duplicates: u64,
    /// Lines that never did, or only damaged.
    pub missing: Vec<Range<u64>>,
    /// Lines that were cut or changed, or never written like that.
    pub corrupt: u64,
    /// Lines that came, for the first time, after a later one.
    pub out_of_order: u64,
    /// Lines that are neither the writer's nor markers, those of another seed among them.
    pub foreign: u64,
    /// The gaps that are marked, in the order of the stream.
    pub markers: Vec<Marker>,
}

impl Numbered {
    /// Lines 0 to `lines` - 1 of this seed.
    #[must_use]
    pub fn new(seed: u64, lines: u64) -> Self {
        Self { seed, lines }
    }

    /// Looks at everything that arrived. A line may have something before and after what was written (a header, a
    /// JSON object around it), and several of the written ones may have been joined into one.
    pub fn check<S: AsRef<str>>(&self, lines: impl IntoIterator<Item = S>) -> Account {
        let room = usize::try_from(self.lines).expect("rig: the lines of a test fit into memory");
        let mut seen = vec![false; room];
        let mut account = Account::default();
        let mut latest = None;
        for line in lines {
            let mut rest = line.as_ref();
            let mut ours = false;
            while let Some((frame, after)) = frame::next(rest) {
                rest = after;
                let other = frame.intact && frame.seed != self.seed;
                if !other {
                    ours = true;
                    self.count(&frame, &mut seen, &mut latest, &mut account);
                }
            }
            if ours {
                continue;
            }
            match Marker::read(line.as_ref()) {
                Some(marker) => account.markers.push(marker),
                None => account.foreign += 1,
            }
        }
        account.missing = gaps(&seen);
        account
    }

    fn count(
        &self,
        frame: &frame::Frame,
        seen: &mut [bool],
        latest: &mut Option<u64>,
        account: &mut Account,
    ) {
        let place = usize::try_from(frame.sequence)
            .ok()
            .filter(|_| frame.intact)
            .and_then(|index| seen.get_mut(index));
        match place {
            None => account.corrupt += 1,
            Some(true) => account.duplicates += 1,
            Some(new) => {
                *new = true;
                account.delivered += 1;
                if latest.is_some_and(|latest| frame.sequence < latest) {
                    account.out_of_order += 1;
                }
                *latest = (*latest).max(Some(frame.sequence));
            }
        }
    }
}

fn gaps(seen: &[bool]) -> Vec<Range<u64>> {
    let mut gaps: Vec<Range<u64>> = Vec::new();
    for (index, seen) in (0_u64..).zip(seen) {
        match gaps.last_mut() {
            _ if *seen => {}
            Some(gap) if gap.end == index => gap.end += 1,
            _ => gaps.push(index..index + 1),
        }
    }
    gaps
}

impl Account {
    /// How many lines are missing.
    #[must_use]
    pub fn missing_lines(&self) -> u64 {
        self.missing.iter().map(|gap| gap.end - gap.start).sum()
    }

    /// How many lines the markers say are lost, at least.
    #[must_use]
    pub fn marked(&self) -> u64 {
        self.markers.iter().map(|marker| marker.lines).sum()
    }

    /// Whether all markers know how many.
    #[must_use]
    pub fn marked_exactly(&self) -> bool {
        self.markers.iter().all(|marker| marker.exact)
    }

    /// Lines that are missing and not accounted for. A marker that does not know how many covers all that are missing:
    /// ask [`Self::marked_exactly`] where there should be none.
    #[must_use]
    pub fn unaccounted(&self) -> u64 {
        if self.marked_exactly() {
            self.missing_lines().saturating_sub(self.marked())
        } else {
            0
        }
    }

    /// Every line once, whole, in order, and nothing marked.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.missing.is_empty()
            && self.duplicates + self.corrupt + self.out_of_order == 0
            && self.markers.is_empty()
    }
}

impl Marker {
    /// Finds a marker in a line, as the agent writes it.
    fn read(line: &str) -> Option<Self> {
        line.match_indices("monopod: ").find_map(|(at, lead)| {
            let text = &line[at + lead.len()..];
            let (lines, exact, rest) = if let Some(rest) = text.strip_prefix("an unknown number of") {
                (0, false, rest)
            } else {
                let least = text.strip_prefix("at least ");
                let (digits, rest) = least.unwrap_or(text).split_once(' ')?;
                (digits.parse().ok()?, least.is_none(), rest)
            };
            let rest = rest.trim_start().strip_prefix("log line")?;
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            let rest = match rest.strip_prefix(" (") {
                Some(aside) => aside.split_once(')')?.1,
                None => rest,
            };
            rest.starts_with(" lost").then(|| Self {
                lines,
                exact,
                text: line[at..].to_owned(),
            })
        })
    }
}

/// What a writer measured of its own writes, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WriterReport {
    /// How many lines were written.
    pub lines: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Since the writer began.
    pub seconds: f64,
    /// Half of the writes were as fast as this.
    pub p50: f64,
    /// 99 % were.
    pub p99: f64,
    /// 99.9 % were.
    pub p999: f64,
    /// The longest one that has ended.
    pub max: f64,
    /// How many took longer than 10 ms.
    pub over_10ms: u64,
    /// How long the one under way has been at it; 0 when there is none.
    pub blocked: f64,
    /// All lines are written.
    pub done: bool,
}

impl WriterReport {
    /// Reads a report.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let float = |key: &str| value[key].as_f64();
        Some(Self {
            lines: value["lines"].as_u64()?,
            bytes: value["bytes"].as_u64()?,
            seconds: float("seconds")?,
            p50: float("p50_us")?,
            p99: float("p99_us")?,
            p999: float("p999_us")?,
            max: float("max_us")?,
            over_10ms: value["over_10ms"].as_u64()?,
            blocked: float("blocked_us")?,
            done: value["done"].as_bool()?,
        })
    }

    /// The last report of the image `writer` in this container, at most a second old; None when there is none yet, or
    /// the container has ended.
    #[must_use]
    pub fn of(machine: &Machine, container: &str) -> Option<Self> {
        Self::at(machine.host_pid(container)?)
    }

    /// The same by the pid of a process in the container, as the host sees it: for when the engine can't be asked.
    #[must_use]
    pub fn at(host_pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{host_pid}/root/tmp/report.json")).ok()?;
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sequence: u64, length: usize) -> String {
        let mut out = Vec::new();
        frame::write(&mut out, 7, sequence, length);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_perfect_stream_is_perfect_whatever_is_around_its_lines() {
        let account = Numbered::new(7, 4).check([
            format!("<30>Nov 21 04:00:00 h app[1]: {}", line(0, 100)),
            format!("{{\"message\":\"{}\"}}", line(1, 0)),
            format!("{}\n\tat {}", line(2, 20), line(3, 8)),
        ]);
        assert!(account.is_perfect(), "{account:?}");
        assert_eq!((account.delivered, account.foreign), (4, 0));
    }

    #[test]
    fn every_kind_of_damage_is_counted() {
        let mut cut = line(4, 50);
        cut.truncate(70);
        let changed = line(5, 50).replace(" ", " x");
        let stream = [
            line(0, 50),
            line(2, 50),
            line(1, 50),
            line(0, 50),
            cut,
            changed,
            line(99, 50),
            "somebody else".to_owned(),
            "w1:".to_owned(),
            line(8, 50),
        ];
        let account = Numbered::new(7, 10).check(stream);
        assert_eq!(account.missing, [3..8, 9..10]);
        assert_eq!(
            (account.delivered, account.duplicates, account.out_of_order),
            (4, 1, 1)
        );
        assert_eq!((account.corrupt, account.foreign), (4, 1));
        assert_eq!((account.missing_lines(), account.unaccounted()), (6, 6));
        let account = Numbered::new(8, 10).check([line(0, 50)]);
        assert_eq!((account.delivered, account.corrupt, account.foreign), (0, 0, 1));
    }

    #[test]
    fn markers_say_what_is_missing() {
        let stream = [
            line(0, 9),
            "app: monopod: 2 log lines lost between A and B: rotated away".to_owned(),
            line(3, 9),
            "monopod: 1 log line lost: the file was truncated".to_owned(),
            line(5, 9),
        ];
        let account = Numbered::new(7, 6).check(&stream);
        assert_eq!(
            (account.missing_lines(), account.marked(), account.unaccounted()),
            (3, 3, 0)
        );
        assert!(account.marked_exactly() && !account.is_perfect());
        let account = Numbered::new(7, 8).check(&stream);
        assert_eq!(account.unaccounted(), 2);
        for open in [
            "monopod: at least 1 log line lost after A: why",
            "monopod: an unknown number of log lines lost: the engine died",
            "monopod: an unknown number of log lines (at least 900 bytes of records) lost before B: why",
        ] {
            let account = Numbered::new(7, 8).check(stream.iter().map(String::as_str).chain([open]));
            assert!(!account.marked_exactly(), "{open}");
            assert_eq!((account.unaccounted(), account.foreign), (0, 0));
        }
        let account = Numbered::new(7, 0).check(["monopod: 3 log lines of no interest", "monopod: hello"]);
        assert_eq!((account.markers.len(), account.foreign), (0, 2));
    }
}
