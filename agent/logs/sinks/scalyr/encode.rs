//! Lines as events of Scalyr's `addEvents`.
//!
//! A body has at most [`BODY`] bytes of events, where Scalyr takes 6 MB: one that has to be sent again costs little, and
//! none has to be taken apart. Nor is it compressed: the public documentation names no encoding that has to be taken.
//!
//! An event is its time and its text. What is the same for all of them stands once behind them: the session, what is
//! known about machine and file ([`About`]), and at last the key.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use monopod_core::logs::syslog::{CONTINUES, parts};
use monopod_core::logs::{Gap, GapReason, Line, Stream};
use monopod_core::secret::Secret;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::about::About;
use super::session::{Session, rfc3339};

/// Longer texts go in parts, as the original's agent sent them (its `max_line_size`).
const MESSAGE: usize = 49_900;
/// A body is closed before it grows larger.
pub(super) const BODY: usize = 1_000_000;
/// `sev` of our own words: warning. Those of the application have none, which means info, whichever stream they came
/// by: most runtimes log everything to standard error.
const WARNING: u8 = 4;
const HEAD: &[u8] = b"{\"events\":[";
/// Between two events, and nowhere else: inside of a text a quotation mark has a backslash before it.
const BETWEEN: &[u8] = b"}},{\"ts\":\"";

/// What we wrote ourselves, read again.
#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    ts: &'a str,
    #[serde(borrow)]
    attrs: Attrs<'a>,
}

#[derive(Deserialize)]
struct Attrs<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// Events that leave in one request.
pub(super) struct Body {
    /// The same for every attempt, unless Scalyr insists on another.
    session: String,
    /// An attempt had no answer: Scalyr may have it.
    pub(super) uncertain: bool,
    /// It was refused, and the key may have been to blame: if that is not it, the events are.
    pub(super) suspect: bool,
    /// The events; elsewhere once they are sealed.
    bytes: Vec<u8>,
    sealed: Option<Sealed>,
    /// Its first event is not the first part of its line.
    goes_on: bool,
    lines: u64,
    text_bytes: u64,
    first: Option<String>,
    last: Option<String>,
}

/// The bytes of a request.
struct Sealed {
    bytes: Bytes,
    /// How many of them are events.
    events: usize,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its bytes hold the key.
        write!(f, "Body({} lines)", self.lines)
    }
}

impl Body {
    fn new(session: &Session, goes_on: bool) -> Self {
        Self {
            session: session.id().to_owned(),
            uncertain: false,
            suspect: false,
            bytes: HEAD.to_vec(),
            sealed: None,
            goes_on,
            lines: 0,
            text_bytes: 0,
            first: None,
            last: None,
        }
    }

    /// How large it is by now.
    pub(super) fn len(&self) -> usize {
        self.sealed
            .as_ref()
            .map_or(self.bytes.len(), |sealed| sealed.bytes.len())
    }

    /// The name of its session.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// The same times in another session.
    pub(super) fn move_to(&mut self, session: &str) {
        self.unseal();
        self.session = session.to_owned();
        self.uncertain = false;
    }

    /// Its lines as a gap, when they will never be taken.
    pub(super) fn lost(&self, why: String) -> Gap {
        Gap {
            lines: self.lines,
            bytes: self.text_bytes,
            exact: true,
            from: self.first.clone(),
            to: self.last.clone(),
            reason: GapReason::Other(why),
        }
    }

    /// All of the request, the key in it. The same bytes again for the next attempt, until [`unseal`](Self::unseal).
    pub(super) fn seal(&mut self, about: &About, key: &Secret) -> Bytes {
        if let Some(sealed) = &self.sealed {
            return sealed.bytes.clone();
        }
        let mut bytes = Zeroizing::new(std::mem::take(&mut self.bytes));
        let events = bytes.len();
        let texts = about.info.len() + about.logs.len() + 6 * (self.session.len() + key.expose().len());
        // At once, or growing would leave a copy of the key behind.
        bytes.reserve_exact(texts + 100);
        bytes.extend_from_slice(b"],\"session\":");
        put_text(&self.session, &mut bytes);
        bytes.extend_from_slice(b",\"sessionInfo\":");
        bytes.extend_from_slice(&about.info);
        bytes.extend_from_slice(b",\"logs\":");
        bytes.extend_from_slice(&about.logs);
        bytes.extend_from_slice(b",\"token\":");
        put_text(key.expose(), &mut bytes);
        bytes.push(b'}');
        let bytes = Bytes::from_owner(bytes);
        self.sealed = Some(Sealed {
            bytes: bytes.clone(),
            events,
        });
        bytes
    }

    /// Takes key and session out again.
    pub(super) fn unseal(&mut self) {
        if let Some(sealed) = self.sealed.take() {
            self.bytes = sealed.bytes.get(..sealed.events).unwrap_or_default().to_vec();
        }
    }

    /// Keeps the first half of its events and gives the second; none if there is but one.
    pub(super) fn split(&mut self) -> Option<Self> {
        self.unseal();
        let middle = self.bytes.len() / 2;
        let mut cut = None;
        for (at, bytes) in self.bytes.windows(BETWEEN.len()).enumerate() {
            if bytes == BETWEEN {
                cut = Some(at + 2);
                if at >= middle {
                    break;
                }
            }
        }
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(self.bytes.get(cut? + 1..)?);
        self.bytes.truncate(cut?);
        let mut second = Self {
            session: self.session.clone(),
            bytes,
            sealed: None,
            first: None,
            last: None,
            ..*self
        };
        second.goes_on = self.recount();
        second.recount();
        Some(second)
    }

    /// Counts what it holds; true if the next one goes on with its last line.
    fn recount(&mut self) -> bool {
        (self.lines, self.text_bytes, self.first, self.last) = (0, 0, None, None);
        let mut goes_on = self.goes_on;
        let whole = [self.bytes.as_slice(), b"]}"].concat();
        let events =
            serde_json::from_slice::<Events<'_>>(&whole).map_or_else(|_| Vec::new(), |read| read.events);
        for Event { ts, attrs } in events {
            let time = ts.parse().map(rfc3339).ok();
            let text = attrs.message.strip_suffix(CONTINUES);
            self.lines += u64::from(!goes_on);
            self.text_bytes += text.unwrap_or(&attrs.message).len() as u64;
            self.first = self.first.take().or_else(|| time.clone());
            self.last = time;
            goes_on = text.is_some();
        }
        goes_on
    }

    /// An event of ours with the time of the first one here, to find out whether anything is taken.
    pub(super) fn stand_in(&self, text: &str) -> Self {
        let digits = self.bytes.get(HEAD.len() + 7..).unwrap_or_default();
        let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
        let time = digits.fold(0, |time: u64, digit| {
            time.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
        });
        let mut bytes = HEAD.to_vec();
        write_event(Stream::Monopod, time, text, false, &mut bytes);
        Self {
            session: self.session.clone(),
            bytes,
            sealed: None,
            first: None,
            last: None,
            ..*self
        }
    }

    /// It begins in the middle of a line.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    fn count(&mut self, line: Line<'_>) {
        self.lines += 1;
        self.text_bytes += line.text.len() as u64;
        if self.first.is_none() {
            self.first = Some(line.time.to_owned());
        }
        self.last = Some(line.time.to_owned());
    }
}

/// Puts the line behind the last body, or into new ones where it has no room.
pub(super) fn put(line: Line<'_>, time: u64, session: &mut Session, bodies: &mut VecDeque<Body>) {
    let mut event = Vec::new();
    for (index, (part, more)) in parts(line.text, MESSAGE).enumerate() {
        event.clear();
        write_event(line.stream, session.next(time), part, more, &mut event);
        let fits = |body: &Body| {
            let length = body.bytes.len() + 1 + event.len();
            body.sealed.is_none() && body.session == session.id() && length <= BODY
        };
        if !bodies.back().is_some_and(fits) {
            bodies.push_back(Body::new(session, index > 0));
        }
        if let Some(body) = bodies.back_mut() {
            if body.bytes.len() > HEAD.len() {
                body.bytes.push(b',');
            }
            body.bytes.extend_from_slice(&event);
            if index == 0 {
                body.count(line);
            }
        }
    }
}

fn write_event(stream: Stream, ts: u64, text: &str, more: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":\"");
    out.extend_from_slice(ts.to_string().as_bytes());
    out.extend_from_slice(b"\",\"log\":\"1\",");
    if stream == Stream::Monopod {
        out.extend_from_slice(format!("\"sev\":{WARNING},").as_bytes());
    }
    out.extend_from_slice(b"\"attrs\":{\"message\":");
    if more {
        put_text(&format!("{text}{CONTINUES}"), out);
    } else {
        put_text(text, out);
    }
    out.extend_from_slice(b"}}");
}

/// As a string of JSON.
fn put_text(text: &str, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    serde_json::to_writer(out, text).ok();
}

#[cfg(test)]
mod tests {
    use monopod_core::logs::{Attributes, LogKey, ScalyrTarget, StreamName};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::logs::sinks::scalyr::session::nanoseconds;

    fn about() -> About {
        let target = ScalyrTarget {
            key: LogKey::UserData("scalyr_account_key".into()),
            region: "eu".into(),
            parser: "slf4j".into(),
        };
        let attributes = Attributes {
            application_id: "my-app".into(),
            ..Attributes::default()
        };
        About::new(&target, StreamName::Applog, None, &attributes)
    }

    fn text(body: &mut Body) -> String {
        let key = Secret::new("k\"ey".into());
        String::from_utf8(body.seal(&about(), &key).to_vec()).unwrap()
    }

    fn line(stream: Stream, text: &str) -> Line<'_> {
        Line {
            time: "2026-01-02T03:04:05.000000001Z",
            stream,
            text,
        }
    }

    #[test]
    fn a_request_word_for_word() {
        let mut session = Session::new("s-1".into());
        let mut bodies = VecDeque::new();
        for line in [
            line(Stream::Stdout, "a \"quoted\" ü\nsecond line"),
            line(Stream::Stderr, ""),
            line(Stream::Monopod, "monopod: 1 log line lost"),
        ] {
            let time = nanoseconds(line.time).unwrap();
            put(line, time, &mut session, &mut bodies);
        }
        let expected = concat!(
            r#"{"events":["#,
            r#"{"ts":"1767323045000000001","log":"1","attrs":{"message":"a \"quoted\" ü\nsecond line"}},"#,
            r#"{"ts":"1767323045000000002","log":"1","attrs":{"message":""}},"#,
            r#"{"ts":"1767323045000000003","log":"1","sev":4,"attrs":{"message":"monopod: 1 log line lost"}}],"#,
            r#""session":"s-1","sessionInfo":{"application_id":"my-app","serverHost":"my-app"},"#,
            r#""logs":[{"id":"1","attrs":{"logfile":"/var/log/application.log","parser":"slf4j"}}],"#,
            r#""token":"k\"ey"}"#,
        );
        let body = &mut bodies[0];
        assert_eq!(text(body), expected);
        assert_eq!(text(body), expected, "the next attempt has the same bytes");
        body.move_to("s-2");
        assert_eq!(text(body), expected.replace("s-1", "s-2"));
        assert!(!format!("{body:?}").contains("ey"), "no key in {body:?}");
        let gap = body.lost("why".into());
        assert_eq!((gap.lines, gap.bytes, gap.exact), (3, 49, true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn halves_are_the_whole(
            texts in prop::collection::vec(
                prop_oneof![
                    Just(String::new()),
                    "[}{\"ts:,\\\\]{0,30}",
                    ("[a\"]", 49_000..60_000_usize).prop_map(|(unit, times)| unit.repeat(times)),
                ],
                1..9,
            ),
        ) {
            let mut session = Session::new("s".into());
            let mut bodies = VecDeque::new();
            for text in &texts {
                put(line(Stream::Stdout, text), 1_767_323_045_000_000_000, &mut session, &mut bodies);
            }
            let read = |body: &mut Body| -> Vec<Value> {
                let request: Value = serde_json::from_str(&self::text(body)).unwrap();
                request["events"].as_array().unwrap().clone()
            };
            for mut body in bodies {
                let (events, lines, bytes) = (read(&mut body), body.lines, body.text_bytes);
                let Some(mut second) = body.split() else {
                    prop_assert_eq!(events.len(), 1);
                    continue;
                };
                let (front, back) = (read(&mut body), read(&mut second));
                prop_assert!(!front.is_empty() && !back.is_empty());
                prop_assert!([front, back].concat() == events);
                prop_assert_eq!(body.lines + second.lines, lines);
                // Of a line that goes on in the next body the parts are counted where they are.
                prop_assert!(texts.iter().any(|text| text.len() > MESSAGE) || body.text_bytes + second.text_bytes == bytes);
                prop_assert!(body.first.as_deref() >= Some("2026-01-02T03:04:05.000000000Z"));
                prop_assert!(second.first > body.last);
            }
        }

        #[test]
        fn requests_are_valid_and_within_limits_and_lose_nothing(
            texts in prop::collection::vec(
                prop_oneof![
                    any::<String>(),
                    Just(String::new()),
                    ("[\u{0}-\u{1f}\"\\\\ü€]", 1..90_000_usize).prop_map(|(unit, times)| unit.repeat(times)),
                ],
                1..12,
            ),
            times in prop::collection::vec(0..10_u64, 12),
        ) {
            let mut session = Session::new("s".into());
            let mut bodies = VecDeque::new();
            for (text, time) in texts.iter().zip(times) {
                put(line(Stream::Stdout, text), time, &mut session, &mut bodies);
            }
            let (mut last, mut messages, mut lines) = (None, String::new(), 0);
            for body in &mut bodies {
                prop_assert!(body.len() <= BODY);
                lines += body.lines;
                let request: Value = serde_json::from_str(&text(body)).unwrap();
                prop_assert_eq!(&request["session"], "s");
                for event in request["events"].as_array().unwrap() {
                    let ts = event["ts"].as_str().unwrap().parse::<u64>().unwrap();
                    prop_assert!(Some(ts) > last);
                    last = Some(ts);
                    let message = event["attrs"]["message"].as_str().unwrap();
                    prop_assert!(message.len() <= MESSAGE);
                    messages.push_str(message.strip_suffix(CONTINUES).unwrap_or(message));
                }
            }
            prop_assert!(messages == texts.concat(), "texts differ");
            prop_assert_eq!(lines, texts.len() as u64);
        }
    }
}
