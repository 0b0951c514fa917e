//! What names the process that sends, and the times it gives: Scalyr tells events apart by both.

use monopod_core::text::timestamp;

use crate::host::clock::now_millis;

/// A clock that was set back by more begins a new session: times never go back within one.
const SET_BACK: u64 = 60_000_000_000;

/// A session, and the last time it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    id: String,
    last: u64,
}

impl Session {
    pub(super) fn new(id: String) -> Self {
        Self { id, last: 0 }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The time of the next event: that of its line, and after every one before.
    pub(super) fn next(&mut self, time: u64) -> u64 {
        self.last = time.max(self.last.saturating_add(1));
        self.last
    }

    /// Another name; the times go on.
    pub(super) fn rename(&mut self, id: String) {
        self.id = id;
    }

    /// Whether the clock was set back so far that these times would be far from the truth.
    pub(super) fn is_ahead_of(&self, time: u64) -> bool {
        time.saturating_add(SET_BACK) < self.last
    }
}

/// A UUID by chance.
pub(super) fn new_id() -> String {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // Without the kernel's randomness the time has to do: it only has to differ from other sessions.
        bytes = u128::from(now_millis()).to_be_bytes();
    }
    let mut id = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        let byte = match index {
            6 => (byte & 0x0f) | 0x40,
            8 => (byte & 0x3f) | 0x80,
            _ => *byte,
        };
        id.push_str(&format!("{byte:02x}"));
    }
    id
}

/// Nanoseconds since the epoch of `2026-01-02T03:04:05.123456789Z`, with any number of digits behind the point.
pub(super) fn nanoseconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let in_range = (1970..2500).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !in_range {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000_000 + nanos)
}

/// The other way round.
pub(super) fn rfc3339(nanoseconds: u64) -> String {
    let second = timestamp(nanoseconds / 1_000_000_000);
    format!(
        "{}.{:09}Z",
        second.trim_end_matches('Z'),
        nanoseconds % 1_000_000_000
    )
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut numbers = text.splitn(3, between).map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// Days since the epoch, by Howard Hinnant's days-from-civil for dates after 1970.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // The year begins in March, so that its odd day is its last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_engines_and_plain_files_write_them() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59.5Z", Some(951_868_799_500_000_000)),
            ("2026-11-21T14:00:00.123Z", Some(1_795_269_600_123_000_000)),
            ("2026-11-21T14:00:00.1234567891Z", Some(1_795_269_600_123_456_789)),
            ("2026-11-21T14:00:00+01:00", None),
            ("2026-13-21T14:00:00Z", None),
            ("2026-11-21T14:00:00.xZ", None),
            ("", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn times_go_on_and_a_clock_set_back_is_noticed() {
        let mut session = Session::new("a".into());
        assert_eq!([5, 5, 3, 9].map(|time| session.next(time)), [5, 6, 7, 9]);
        session.rename("b".into());
        assert_eq!((session.next(1), session.id()), (10, "b"));
        session.next(SET_BACK + 100);
        assert!(!session.is_ahead_of(100));
        assert!(session.is_ahead_of(99));
    }

    #[test]
    fn a_name_is_a_uuid_and_new_each_time() {
        let (one, two) = (new_id(), new_id());
        assert_ne!(one, two);
        let groups: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(one.as_bytes()[14], b'4');
    }
}
