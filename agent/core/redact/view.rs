//! A text as somebody wrote it down: with escapes, percent signs, `+` for a blank, broken in the middle
//! of one of these. Each can be read, again and again, for an error that quotes a body that quotes a value
//! is escaped twice.
//!
//! Reading the text, instead of writing every value in every way, finds what each library escapes of
//! its own taste (`\/`, `\u003c`, `%7E`), and costs no memory as long as nothing is quoted.

use std::borrow::Cow;
use std::ops::Range;

use super::noise::{is_space, is_wrapped};

/// How often a text is read one into the other.
const DEPTH: u8 = 3;
/// All readings of one text together.
const MOST: usize = 16;

/// How a text was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    None,
    Escapes,
    Percent,
}

/// One reading of a text, with the way back.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Where each byte was written in the text: from and to; none for the text itself.
    origins: Option<Vec<(u32, u32)>>,
    depth: u8,
    reading: Reading,
    /// Reading percent signs gave a backslash that was not there.
    new_slash: bool,
}

impl<'a> View<'a> {
    /// The text, and every reading of it that is another one. `+` is read as a blank if `blanks`.
    pub(super) fn all(text: &'a str, blanks: bool) -> Vec<Self> {
        let plain = Self {
            bytes: Cow::Borrowed(text.as_bytes()),
            origins: None,
            depth: 0,
            reading: Reading::None,
            new_slash: false,
        };
        let mut views = vec![plain];
        let mut next = 0;
        while let Some(view) = views.get(next) {
            next += 1;
            if view.depth >= DEPTH {
                continue;
            }
            let mut more = Vec::new();
            let (slash, sign) = (view.unread(b'\\'), view.unread(b'%'));
            if slash {
                more.push(view.read(Reading::Escapes, unescape));
                if view.depth == 0 && view.bytes.windows(2).any(|two| two == b"$'") {
                    more.push(view.read(Reading::Escapes, shell));
                }
            }
            if sign {
                more.push(view.read(Reading::Percent, |bytes, out| percent(bytes, out, false)));
            }
            if blanks && view.bytes.contains(&b'+') {
                more.push(view.read(Reading::Percent, |bytes, out| percent(bytes, out, true)));
            }
            // The only escape there is may be the broken one, which no other reading sees.
            if (slash || view.bytes.contains(&b'%')) && is_broken(&view.bytes) {
                let mended = view.read(view.reading, mend);
                more.push(View {
                    depth: view.depth,
                    new_slash: view.new_slash,
                    ..mended
                });
            }
            for new in more {
                if views.len() < MOST && views.iter().all(|known| known.bytes != new.bytes) {
                    views.push(new);
                }
            }
        }
        views
    }

    /// Where these bytes are in the text.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let Some(origins) = &self.origins else {
            return range;
        };
        let start = origins.get(range.start).map_or(0, |place| place.0 as usize);
        let last = range.end.checked_sub(1).and_then(|last| origins.get(last));
        let end = last.map_or(0, |place| place.1 as usize);
        start..end.max(start)
    }

    /// Whether there is anything behind this sign that another reading of the same text does not read as well: escapes
    /// are read before percent signs, unless these bring new ones.
    fn unread(&self, sign: u8) -> bool {
        match sign {
            b'%' => self.bytes.windows(3).any(|three| {
                three.starts_with(b"%") && digits(three.get(1..).unwrap_or_default(), 16, 2).1 == 2
            }),
            sign => (self.reading != Reading::Percent || self.new_slash) && self.bytes.contains(&sign),
        }
    }

    fn read(&self, reading: Reading, read: impl FnOnce(&[u8], &mut Out)) -> View<'a> {
        let mut out = Out {
            bytes: Vec::with_capacity(self.bytes.len()),
            origins: Vec::with_capacity(self.bytes.len()),
            run: Vec::new(),
            new_slash: false,
        };
        read(&self.bytes, &mut out);
        out.end_run();
        if self.origins.is_some() {
            for place in &mut out.origins {
                let origin = self.origin(place.0 as usize..place.1 as usize);
                *place = narrow(origin);
            }
        }
        View {
            origins: Some(out.origins),
            bytes: Cow::Owned(out.bytes),
            depth: self.depth + 1,
            reading,
            new_slash: out.new_slash,
        }
    }
}

/// No text of ours has 4 GiB; were there one, its end would be shown as it is.
fn narrow(range: Range<usize>) -> (u32, u32) {
    let narrow = |at| u32::try_from(at).unwrap_or(u32::MAX);
    (narrow(range.start), narrow(range.end))
}

/// A reading in the making.
struct Out {
    bytes: Vec<u8>,
    origins: Vec<(u32, u32)>,
    /// Bytes above ASCII that were written as numbers: characters of their own or parts of one,
    /// which only the whole run tells.
    run: Vec<(u8, (u32, u32))>,
    new_slash: bool,
}

impl Out {
    fn push(&mut self, byte: u8, origin: Range<usize>) {
        self.end_run();
        self.bytes.push(byte);
        self.origins.push(narrow(origin));
    }

    /// As it was written.
    fn copy(&mut self, bytes: &[u8], at: usize) {
        if bytes.is_empty() {
            return;
        }
        self.end_run();
        self.bytes.extend_from_slice(bytes);
        self.origins
            .extend((at..at + bytes.len()).map(|at| narrow(at..at + 1)));
    }

    fn push_char(&mut self, char: char, origin: Range<usize>) {
        for byte in char.encode_utf8(&mut [0; 4]).bytes() {
            self.push(byte, origin.clone());
        }
    }

    fn push_number(&mut self, byte: u8, origin: Range<usize>) {
        if byte.is_ascii() {
            self.push(byte, origin);
        } else {
            self.run.push((byte, narrow(origin)));
        }
    }

    /// What stands behind a backslash at this place; the length of both.
    fn push_escape(&mut self, escape: &[u8], at: usize) -> usize {
        let (meant, length) = one_escape(escape);
        let origin = at..at + 1 + length;
        match meant {
            Meant::Char(char) => self.push_char(char, origin),
            Meant::Byte(byte) => self.push(byte, origin),
            Meant::Number(byte) => self.push_number(byte, origin),
        }
        1 + length
    }

    fn end_run(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let run = std::mem::take(&mut self.run);
        let bytes: Vec<u8> = run.iter().map(|(byte, _)| *byte).collect();
        let parts = std::str::from_utf8(&bytes).is_ok();
        for (byte, origin) in run {
            let mut buffer = [0; 4];
            let single = [byte];
            let bytes = if parts {
                &single[..]
            } else {
                char::from(byte).encode_utf8(&mut buffer).as_bytes()
            };
            self.bytes.extend_from_slice(bytes);
            self.origins.extend(bytes.iter().map(|_| origin));
        }
    }
}

/// Whether there is a break that [`mend`] takes out.
fn is_broken(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let text = rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len());
        let (text, rest) = rest.split_at_checked(text).unwrap_or((rest, &[]));
        let space = rest
            .iter()
            .position(|byte| !is_space(*byte))
            .unwrap_or(rest.len());
        let (space, rest) = rest.split_at_checked(space).unwrap_or((rest, &[]));
        if is_wrapped(space) && goes_on(text, rest) {
            return true;
        }
        at += text.len() + space.len();
    }
    false
}

/// Without the breaks in the middle of an escape.
fn mend(bytes: &[u8], out: &mut Out) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let text = rest.iter().position(|byte| is_space(*byte)).unwrap_or(rest.len());
        let (text, rest) = rest.split_at_checked(text).unwrap_or((rest, &[]));
        out.copy(text, at);
        at += text.len();
        let space = rest
            .iter()
            .position(|byte| !is_space(*byte))
            .unwrap_or(rest.len());
        let (space, rest) = rest.split_at_checked(space).unwrap_or((rest, &[]));
        if !is_wrapped(space) || !goes_on(text, rest) {
            out.copy(space, at);
        }
        at += space.len();
    }
}

/// Whether an escape that one of them ends in goes on in the other, or is half of a character that does.
fn goes_on(text: &[u8], rest: &[u8]) -> bool {
    const LONGEST: usize = 10;
    let end = text.get(text.len().saturating_sub(LONGEST)..).unwrap_or_default();
    let hex = |bytes: &[u8], most: usize| bytes.len() < most && digits(bytes, 16, most).1 == bytes.len();
    if end.ends_with(b"$") && rest.starts_with(b"'") {
        return true;
    }
    let sign = end
        .iter()
        .rposition(|byte| *byte == b'%')
        .and_then(|at| end.get(at + 1..));
    if sign.is_some_and(|sign| hex(sign, 2)) {
        return true;
    }
    let Some(slash) = end.iter().rposition(|byte| *byte == b'\\') else {
        return false;
    };
    // The other half of what has two, and bytes of one character.
    let half = rest.first() == Some(&b'\\');
    match end.get(slash + 1..).unwrap_or_default() {
        // A backslash that was escaped itself is whole.
        [] => end.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1,
        [b'u', b'{', number @ ..] => hex(number, 7),
        [b'u', number @ ..] => hex(number, if half { 5 } else { 4 }),
        [b'U', number @ ..] => hex(number, 8),
        [b'x', number @ ..] => hex(number, if half { 3 } else { 2 }),
        number => number.len() < if half { 4 } else { 3 } && digits(number, 8, 3).1 == number.len(),
    }
}

/// Backslash escapes of JSON, Rust, Go, Python, C and the shell's `$'...'`.
fn unescape(bytes: &[u8], out: &mut Out) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.iter().position(|byte| *byte == b'\\').unwrap_or(rest.len());
        out.copy(rest.get(..plain).unwrap_or_default(), at);
        at += plain;
        if let Some([b'\\', escape @ ..]) = bytes.get(at..) {
            at += out.push_escape(escape, at);
        }
    }
}

/// The escapes in `$'...'` alone: `ls` writes every other backslash as it is.
fn shell(bytes: &[u8], out: &mut Out) {
    let mut at = 0;
    let mut inside = false;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match rest {
            [b'\\', escape @ ..] if inside => {
                at += out.push_escape(escape, at);
                continue;
            }
            [b'\'', ..] => inside = false,
            [b'$', b'\'', ..] => {
                out.copy(b"$", at);
                at += 1;
                inside = true;
            }
            _ => {}
        }
        out.copy(bytes.get(at..=at).unwrap_or_default(), at);
        at += 1;
    }
}

/// What an escape stands for.
enum Meant {
    Char(char),
    /// Itself.
    Byte(u8),
    /// This one, or the character of this number.
    Number(u8),
}

/// Reads what stands behind a backslash, and says how long it is.
fn one_escape(escape: &[u8]) -> (Meant, usize) {
    let Some((kind, rest)) = escape.split_first() else {
        return (Meant::Byte(b'\\'), 0);
    };
    let byte = match kind {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'e' | b'E' => 0x1b,
        b'0'..=b'7' => {
            let (number, digits) = digits(escape, 8, 3);
            return (
                Meant::Number(u8::try_from(number & 0xff).unwrap_or_default()),
                digits,
            );
        }
        b'x' => match digits(rest, 16, 2) {
            (_, 0) => b'x',
            (number, digits) => {
                return (
                    Meant::Number(u8::try_from(number).unwrap_or_default()),
                    1 + digits,
                );
            }
        },
        b'u' | b'U' => match code_point(*kind, rest) {
            None => *kind,
            Some((char, length)) => return (Meant::Char(char), 1 + length),
        },
        _ => *kind,
    };
    (Meant::Byte(byte), 1)
}

/// `{1f600}`, `00e9`, `d83d\ude00`, `0001f600`: the character and the length.
fn code_point(kind: u8, rest: &[u8]) -> Option<(char, usize)> {
    if let Some((b'{', inner)) = rest.split_first() {
        let (number, digits) = digits(inner, 16, 6);
        return (inner.get(digits) == Some(&b'}')).then_some((char::from_u32(number)?, digits + 2));
    }
    let wanted = if kind == b'U' { 8 } else { 4 };
    let (number, found) = digits(rest, 16, wanted);
    if found != wanted {
        return None;
    }
    if let Some(char) = char::from_u32(number) {
        return Some((char, wanted));
    }
    // JSON has the characters beyond 16 bits in halves; escaped twice, there is more than one backslash between them.
    let behind = rest.get(wanted..)?;
    let slashes = behind.iter().take_while(|byte| **byte == b'\\').count();
    let [b'u', second @ ..] = behind.get(slashes..)? else {
        return None;
    };
    let (low, found) = digits(second, 16, 4);
    let halves = [u16::try_from(number).ok()?, u16::try_from(low).ok()?];
    let char = char::decode_utf16(halves).next()?.ok()?;
    (slashes > 0 && found == 4).then_some((char, wanted + slashes + 1 + 4))
}

/// `%41`, and for a form `+`.
fn percent(bytes: &[u8], out: &mut Out, form: bool) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let special = |byte: &u8| *byte == b'%' || (form && *byte == b'+');
        let plain = rest.iter().position(special).unwrap_or(rest.len());
        out.copy(rest.get(..plain).unwrap_or_default(), at);
        at += plain;
        let Some(byte) = bytes.get(at) else {
            continue;
        };
        let (number, found) = digits(bytes.get(at + 1..).unwrap_or_default(), 16, 2);
        let (meant, length) = match (byte, found) {
            (b'%', 2) => (u8::try_from(number).unwrap_or_default(), 3),
            (b'+', _) => (b' ', 1),
            _ => (*byte, 1),
        };
        out.new_slash |= length == 3 && meant == b'\\';
        out.push(meant, at..at + length);
        at += length;
    }
}

/// The number that so many digits at most make, and how many there are.
fn digits(bytes: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let mut number = 0_u32;
    let mut count = 0;
    for byte in bytes.iter().take(most) {
        let Some(digit) = char::from(*byte).to_digit(radix) else {
            break;
        };
        number = number.saturating_mul(radix).saturating_add(digit);
        count += 1;
    }
    (number, count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn readings(text: &str) -> Vec<String> {
        let views = View::all(text, true);
        views
            .iter()
            .skip(1)
            .map(|view| String::from_utf8_lossy(&view.bytes).into_owned())
            .collect()
    }

    #[test]
    fn every_language_s_escapes_are_read() {
        for (written, read) in [
            (r"a\nb\tc\rd", "a\nb\tc\rd"),
            (r#"\"\\\/\'\$"#, r#""\/'$"#),
            (r"\u00e9\u{e9}\xe9\U000000e9", "éééé"),
            (r"\ud83d\ude00 \u{1f600} \U0001f600", "😀 😀 😀"),
            (r"\xc3\xa9 \303\251", "é é"),
            (r"\x1b\033\e\u001b\u{1b}", "\x1b\x1b\x1b\x1b\x1b"),
            (r"\u12 \xg \ud83d \q", r"u12 xg ud83d q"),
            ("end\\", "end\\"),
        ] {
            assert!(
                readings(written).contains(&read.to_owned()) || written == read,
                "{written}: {:?}",
                readings(written)
            );
        }
    }

    #[test]
    fn twice_is_read_too() {
        assert!(readings(r"a\\nb").contains(&"a\nb".to_owned()));
        assert!(readings(r"\\ud83d\\ude00").contains(&"😀".to_owned()));
        assert!(readings("a%255Cnb").contains(&"a\nb".to_owned()));
        assert!(readings("a%22+b%2bc").contains(&"a\" b+c".to_owned()));
        assert!(readings("a%22+b%2bc").contains(&"a\"+b+c".to_owned()));
    }

    #[test]
    fn nothing_is_read_where_nothing_is_written() {
        assert!(readings("2026-01-02 ordinary text: 100").is_empty());
        assert!(View::all("a+b", false).len() == 1);
    }

    proptest! {
        #[test]
        fn whatever_is_read_has_its_place(text in "(\\\\|%|u|x|\\{|\\}|[0-9a-f]|n|é|😀|\\+| ){0,40}") {
            for view in View::all(&text, true) {
                let length = view.bytes.len();
                prop_assert!(view.origin(0..length).end <= text.len(), "{view:?}");
                let mut before = 0;
                for at in 0..length {
                    let place = view.origin(at..at + 1);
                    prop_assert!(place.start >= before && place.end >= place.start && place.end <= text.len());
                    before = place.start;
                }
            }
        }
    }
}
