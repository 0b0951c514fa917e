//! A moment as a person says it: so long ago, or a time.

use monopod_core::text;

use crate::host::clock;

const FORMS: &str =
    "say how long ago (90s, 10m, 1h30m, 2d) or a time like 2026-11-21T04:16:55Z or 2026-11-21T06:16:55+02:00";

/// Milliseconds since the epoch.
pub(in crate::cli) fn parse(words: &str) -> Result<u64, String> {
    moment(words, clock::now_millis()).ok_or_else(|| FORMS.to_owned())
}

fn moment(words: &str, now: u64) -> Option<u64> {
    match ago(words) {
        Some(millis) => Some(now.saturating_sub(millis)),
        None => time(words),
    }
}

/// `1h30m` in milliseconds: numbers, each with its unit.
fn ago(words: &str) -> Option<u64> {
    let mut rest = words;
    let mut total = 0_u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(millis)?)?;
        if behind.is_empty() {
            return Some(total);
        }
        rest = behind;
    }
}

/// RFC 3339, in UTC or with an offset.
fn time(words: &str) -> Option<u64> {
    if let Some(millis) = text::parse_timestamp_millis(words) {
        return Some(millis);
    }
    let (local, offset) = words.split_at_checked(words.len().checked_sub(6)?)?;
    let millis = text::parse_timestamp_millis(&format!("{local}Z"))?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset_millis = (hours * 60 + minutes) * 60_000;
    match offset.as_bytes().first()? {
        b'+' => millis.checked_sub(offset_millis),
        b'-' => millis.checked_add(offset_millis),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_long_ago_or_a_time() {
        let now = 1_795_234_615_000;
        let ago = |words| moment(words, now).map(|millis| now - millis);
        assert_eq!(ago("90s"), Some(90_000));
        assert_eq!(ago("1h30m"), Some(5_400_000));
        assert_eq!(ago("2d"), Some(172_800_000));
        assert_eq!(ago("250ms"), Some(250));
        assert_eq!(moment("99999999d", now), Some(0));
        for same in [
            "2026-11-21T04:16:55Z",
            "2026-11-21T06:16:55+02:00",
            "2026-11-20T23:46:55-04:30",
        ] {
            assert_eq!(moment(same, now), Some(now), "{same}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for words in [
            "",
            "10",
            "m",
            "10 m",
            "5w",
            "1h30",
            "-5m",
            "yesterday",
            "2026-11-21",
            "2026-11-21T04:16:55+0x:00",
            "ü",
            "12345678901234567890d",
            "2026-11-21T04:16:55~02:00",
        ] {
            assert_eq!(moment(words, 1_795_234_615_000), None, "{words}");
        }
    }
}
