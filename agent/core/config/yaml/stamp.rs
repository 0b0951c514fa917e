//! Dates and times: PyYAML makes them objects, and Python prints those in its own way.

use super::resolve::Unreadable;

/// How the scalar came to be a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// By its looks: a bare date then needs two digits for month and day.
    Implicit,
    /// By a `!!timestamp` tag.
    Tagged,
}

/// The text Python prints; `None` when the form is not a timestamp's, an error when there is no such day or time.
pub(super) fn read(text: &str, form: Form) -> Option<Result<String, Unreadable>> {
    let mut cursor = Cursor(text.as_bytes());
    let year = cursor.number(4, 4)?;
    cursor.byte(b'-')?;
    let month = cursor.number(1, 2)?;
    cursor.byte(b'-')?;
    let day = cursor.number(1, 2)?;
    let date = || {
        let fits = year > 0 && (1..=12).contains(&month) && day > 0 && day <= days(year, month);
        fits.then(|| format!("{year:04}-{month:02}-{day:02}"))
            .ok_or(Unreadable("a date"))
    };
    if cursor.at_end() {
        return (form == Form::Tagged || text.len() == 10).then(date);
    }
    let time = read_time(&mut cursor)?;
    Some(date().and_then(|date| Ok(format!("{date} {}", time?))))
}

fn read_time(cursor: &mut Cursor<'_>) -> Option<Result<String, Unreadable>> {
    if cursor.byte(b'T').or_else(|| cursor.byte(b't')).is_none() && !cursor.blanks() {
        return None;
    }
    let hour = cursor.number(1, 2)?;
    cursor.byte(b':')?;
    let minute = cursor.number(2, 2)?;
    cursor.byte(b':')?;
    let second = cursor.number(2, 2)?;
    let fraction = if cursor.byte(b'.').is_some() {
        cursor.fraction()
    } else {
        0
    };
    let zone = read_zone(cursor)?;
    let fits = hour < 24 && minute < 60 && second < 60;
    let fraction = if fraction > 0 {
        format!(".{fraction:06}")
    } else {
        String::new()
    };
    Some(if fits {
        zone.map(|zone| format!("{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
    } else {
        Err(Unreadable("a time"))
    })
}

/// Nothing, `Z` or an offset, up to the end of the text.
fn read_zone(cursor: &mut Cursor<'_>) -> Option<Result<String, Unreadable>> {
    if cursor.at_end() {
        return Some(Ok(String::new()));
    }
    cursor.blanks();
    if cursor.byte(b'Z').is_some() {
        return cursor.at_end().then(|| Ok("+00:00".to_owned()));
    }
    let sign = if cursor.byte(b'-').is_some() {
        '-'
    } else {
        cursor.byte(b'+')?;
        '+'
    };
    let hours = cursor.number(1, 2)?;
    let minutes = if cursor.byte(b':').is_some() {
        cursor.number(2, 2)?
    } else {
        0
    };
    if !cursor.at_end() {
        return None;
    }
    let offset = hours * 60 + minutes;
    let sign = if offset == 0 { '+' } else { sign };
    Some(if offset < 24 * 60 {
        Ok(format!("{sign}{:02}:{:02}", offset / 60, offset % 60))
    } else {
        Err(Unreadable("a time zone"))
    })
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn digit(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first()?;
        let digit = char::from(*first).to_digit(10)?;
        self.0 = rest;
        Some(digit)
    }

    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let mut value = 0;
        let mut count = 0;
        while count < most {
            let Some(digit) = self.digit() else { break };
            value = value * 10 + digit;
            count += 1;
        }
        (count >= least).then_some(value)
    }

    /// Microseconds: six digits count, the rest is passed over.
    fn fraction(&mut self) -> u32 {
        let mut value = 0;
        let mut count = 0;
        while let Some(digit) = self.digit() {
            if count < 6 {
                value = value * 10 + digit;
                count += 1;
            }
        }
        value * 10_u32.pow(6 - count)
    }

    /// Whether there was at least one blank.
    fn blanks(&mut self) -> bool {
        let before = self.0.len();
        while self.byte(b' ').or_else(|| self.byte(b'\t')).is_some() {}
        self.0.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_prints_them() {
        for (text, printed) in [
            ("2001-12-14", "2001-12-14"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.100000-05:00"),
            ("2001-12-14 21:59:43.10 -5", "2001-12-14 21:59:43.100000-05:00"),
            ("2001-1-4 1:59:43", "2001-01-04 01:59:43"),
            ("2001-12-15T02:59:43.1Z", "2001-12-15 02:59:43.100000+00:00"),
            ("2001-12-15T02:59:43.1234567", "2001-12-15 02:59:43.123456"),
            ("2000-02-29 00:00:00.-00:00", "2000-02-29 00:00:00+00:00"),
        ] {
            assert_eq!(read(text, Form::Implicit), Some(Ok(printed.to_owned())), "{text}");
        }
        assert_eq!(read("2001-1-4", Form::Implicit), None);
        assert_eq!(read("2001-1-4", Form::Tagged), Some(Ok("2001-01-04".to_owned())));
    }

    #[test]
    fn days_that_do_not_exist() {
        for text in [
            "1900-02-29",
            "0000-01-01",
            "2001-01-01 24:00:00",
            "2001-01-01 00:00:60",
            "2001-01-01 00:00:00+24",
        ] {
            assert!(
                read(text, Form::Implicit).is_some_and(|stamp| stamp.is_err()),
                "{text}"
            );
        }
        for text in [
            "2001-01-01 00:00",
            "2001-01-01x",
            "201-01-01",
            "2001-01-01 00:00:00+1:2",
        ] {
            assert_eq!(read(text, Form::Implicit), None, "{text}");
        }
    }
}
