//! How numbers are shown to people: one place, so that the plan, the journal and the status agree.

use std::time::Duration;

/// `850 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(value: Duration) -> String {
    let millis = value.as_millis();
    let seconds = value.as_secs();
    match seconds {
        0 => format!("{millis} ms"),
        1..=59 => match value.subsec_millis() / 100 {
            0 => format!("{seconds} s"),
            tenths => format!("{seconds}.{tenths} s"),
        },
        60..=3599 => joined(seconds / 60, "min", seconds % 60, "s"),
        3600..=86_399 => joined(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => joined(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn joined(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// `512 B`, `12.3 MiB`, `1.5 GiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (name, size) in UNITS {
        if value >= size {
            let tenths = u128::from(value) * 10 / u128::from(size);
            return match tenths % 10 {
                0 => format!("{} {name}", tenths / 10),
                tenth => format!("{}.{tenth} {name}", tenths / 10),
            };
        }
    }
    format!("{value} B")
}

/// Cuts a text after at most `limit` characters, saying so; never in the middle of a character.
pub fn shortened(value: &str, limit: usize) -> String {
    match value.char_indices().nth(limit) {
        None => value.to_owned(),
        Some((at, _)) => format!("{}…", value.get(..at).unwrap_or(value)),
    }
}

/// The lines as YAML counts them: a carriage return ends one, with a newline behind it or alone.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

/// What others wrote, fit for one line of a terminal: `·` for every control character, an escape or a
/// carriage return of which would let them write over ours.
pub fn printable(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

/// A value as one line of at most about `limit` characters: as it is, or as a JSON string where it would break the line
/// or the terminal.
pub fn one_line(value: &str, limit: usize) -> String {
    if value.chars().any(char::is_control) {
        // JSON leaves DEL and the C1 controls as they are.
        printable(&shortened(&serde_json::Value::from(value).to_string(), limit))
    } else {
        value.to_owned()
    }
}

/// An address as others may see it: without its query, which may be a token, and the fragment behind it.
pub fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?..."),
        None => url.to_owned(),
    }
}

/// The first twelve digits of a container id, a digest or a hash: what `docker ps` shows.
pub fn short_id(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// `1 restart`, `2 restarts`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Seconds since the epoch as RFC 3339 in UTC, to the second.
pub fn timestamp(epoch_seconds: u64) -> String {
    let (days, rest) = (epoch_seconds / 86_400, epoch_seconds % 86_400);
    // Howard Hinnant's civil-from-days, for dates after 1970.
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

/// Reads an RFC 3339 time as the engine and the metadata service write it (`2026-11-21T04:16:55.123456789Z`),
/// in milliseconds since the epoch; `None` for anything else, the engine's "never" (year 1) included.
pub fn parse_timestamp_millis(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * m + 2) / 5 + day - 1;
    let days = (era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy).checked_sub(719_468)?;
    let digits: String = fraction.chars().take(3).collect();
    let millis = digits.parse::<u64>().ok()? * 10u64.pow(3 - u32::try_from(digits.len()).ok()?);
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_yaml_counts_them() {
        assert_eq!(
            lines("a\nb\r\nc\rd\n\re").collect::<Vec<_>>(),
            ["a", "b", "c", "d", "", "e"]
        );
        assert_eq!(lines("a\n").count(), 1);
        assert_eq!(lines("").count(), 0);
    }

    #[test]
    fn an_address_is_shown_without_its_query() {
        for (url, shown) in [
            ("https://l.example.org/x", "https://l.example.org/x"),
            ("https://l.example.org/x?a=b?c#d", "https://l.example.org/x?..."),
            ("https://l.example.org?", "https://l.example.org?..."),
        ] {
            assert_eq!(without_query(url), shown);
        }
    }

    #[test]
    fn durations_read_like_speech() {
        let shown: Vec<String> = [850, 2450, 5000, 60_000, 200_000, 7_500_000, 273_600_000]
            .map(|ms| duration(Duration::from_millis(ms)))
            .to_vec();
        assert_eq!(
            shown,
            [
                "850 ms",
                "2.4 s",
                "5 s",
                "1 min",
                "3 min 20 s",
                "2 h 5 min",
                "3 d 4 h"
            ]
        );
    }

    #[test]
    fn sizes_use_binary_units() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(256 << 20), "256 MiB");
        assert_eq!(bytes((3 << 30) / 2), "1.5 GiB");
    }

    #[test]
    fn shortening_respects_characters() {
        assert_eq!(shortened("größe", 3), "grö…");
        assert_eq!(shortened("abc", 3), "abc");
    }

    #[test]
    fn control_characters_are_shown_as_dots() {
        assert_eq!(printable("a\r\0b\x1b[2Jc\u{9b}\n\tö"), "a··b·[2Jc···ö");
    }

    #[test]
    fn times_survive_the_round_trip() {
        for seconds in [0, 951_782_399, 951_782_400, 1_795_234_615, 4_102_444_800] {
            assert_eq!(
                parse_timestamp_millis(&timestamp(seconds)),
                Some(seconds * 1000),
                "{seconds}"
            );
        }
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(timestamp(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(timestamp(1_795_234_615), "2026-11-21T04:16:55Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(parse_timestamp_millis("1970-01-01T00:00:01.25Z"), Some(1250));
        assert_eq!(parse_timestamp_millis("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_timestamp_millis("yesterday"), None);
        assert_eq!(
            parse_timestamp_millis("18446744073709551615-01-01T00:00:00Z"),
            None
        );
    }
}
