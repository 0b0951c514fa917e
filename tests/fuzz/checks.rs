//! What has to hold whatever the user data is: shared by the fuzzer and by the ordinary test of its seeds.
//!
//! Nothing panics; every problem has a place inside the text; what is shown contains no control character and no
//! secret. A [`CANARY`] stands for the secret: seeds carry it, and every text is read a second time with the canary
//! as the value of one of its lines. Messages never quote a value, and a line that is shown along with them has only
//! such values as the contract allows. Keys may be named. So [`Fate`] asks the YAML parser what the canary became in
//! this text before anything is called a leak.
//!
//! Time and memory are measured by the [`Guard`] that each reader runs in.

use monopod_core::config::contract::{self, Shape};
use monopod_core::config::{Code, ImageLayer, Problem, Report, Severity, Style, Text, parse, read, template};
use saphyr_parser::{Event, Parser, StrInput, Tag};

/// A value that nobody may ever see.
pub(crate) const CANARY: &str = "hunter2canary";

/// Everything that reads user data. A new reader is one line here.
const READERS: &[(&str, Reader)] = &[
    ("user data", |bytes| {
        let report = parse(bytes, "fuzz");
        assert_eq!(
            report.config().is_none(),
            report.has_errors(),
            "a configuration exists exactly if there is no error"
        );
        Seen::of([&report])
    }),
    ("layers", |bytes| {
        let text = Text { name: "fuzz", bytes };
        let image = ImageLayer {
            defaults: vec![text],
            policy: Some(text),
            ..ImageLayer::default()
        };
        Seen::of([&read(text, &image)])
    }),
    (TEMPLATE, |bytes| {
        let read = ["fuzz.yaml", "fuzz.tftpl"].map(|name| template::templates(bytes, name));
        let own: Vec<Report> = read.iter().flatten().map(template::Template::own).collect();
        let found = read.iter().flatten().flat_map(|template| &template.found);
        Seen::of(own.iter().chain(found.map(|found| &found.report)))
    }),
];

/// Its user data is text inside a text, so the keys that decide what may be shown are not those of the text.
const TEMPLATE: &str = "template";

type Reader = fn(&[u8]) -> Seen;

/// What a reader shows: of each output only what is wrong with it, since nobody holds all of them at a time.
#[derive(Default)]
struct Seen {
    problems: Vec<Problem>,
    /// A line with the canary where problems are shown with the lines they are about.
    shown: Option<String>,
    /// The same where problems are listed alone: in words, for programs, for GitHub.
    quoted: Option<String>,
    /// A line with a control character in it.
    odd: Option<String>,
}

impl Seen {
    fn of<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let mut seen = Self::default();
        let line =
            |text: &str, wrong: fn(&str) -> bool| text.lines().find(|line| wrong(line)).map(str::to_owned);
        let has_canary = |line: &str| line.contains(CANARY);
        for report in reports {
            seen.problems.extend_from_slice(report.problems());
            let rendered = report.render(Style::Plain);
            seen.shown = seen.shown.or_else(|| line(&rendered, has_canary));
            seen.odd = seen
                .odd
                .or_else(|| line(&rendered, |line| line.contains(char::is_control)));
            drop(rendered);
            for problem in report.problems() {
                seen.quoted = seen
                    .quoted
                    .or_else(|| line(&report.one_line(problem), has_canary));
            }
            seen.quoted = seen
                .quoted
                .or_else(|| line(&report.to_json().to_string(), has_canary));
            seen.quoted = seen.quoted.or_else(|| line(&report.to_github(), has_canary));
        }
        seen
    }
}

/// Runs one reader, and may measure it.
pub(crate) type Guard = fn(&mut dyn FnMut());

/// Gives the input, and the same with a planted canary, to every reader; panics when something doesn't hold.
pub(crate) fn check(bytes: &[u8], guard: Guard) {
    one(bytes, guard);
    if let Some(planted) = planted(bytes) {
        one(planted.as_bytes(), guard);
    }
}

fn one(bytes: &[u8], guard: Guard) {
    let text = String::from_utf8_lossy(bytes);
    let lines = widths(&text);
    let packed = is_packed(bytes, &text);
    let ours = text
        .trim_start()
        .to_ascii_lowercase()
        .starts_with("#taupage-ami-config");
    for (reader, run) in READERS {
        let mut seen = None;
        guard(&mut || seen = Some(run(bytes)));
        let Some(seen) = seen else { continue };
        for problem in &seen.problems {
            well_formed(reader, problem);
        }
        // Of what was packed, the text inside is not at hand here: neither its lines nor its keys.
        if ours || (*reader == TEMPLATE && !packed) {
            for problem in &seen.problems {
                stands_inside(reader, problem, &lines);
            }
            shows_no_secret(reader, &seen, &text);
        }
    }
}

/// Whether a reader may find another text in this one: gzip, a mail, base64.
fn is_packed(bytes: &[u8], text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    bytes.starts_with(&[0x1f, 0x8b])
        || lower.contains("content-type:")
        || lower.contains("mime-version:")
        || !text.contains(':')
}

fn well_formed(reader: &str, problem: &Problem) {
    assert!(
        Code::ALL.contains(&problem.code) && matches!(problem.severity, Severity::Error | Severity::Warning),
        "{reader}: {problem:?} has no code"
    );
    assert!(
        !problem.message.is_empty() && problem.help.as_deref() != Some(""),
        "{reader}: {problem:?} says nothing"
    );
}

/// All texts of a reader are the input, so their places are alike.
fn stands_inside(reader: &str, problem: &Problem, lines: &[usize]) {
    let related = problem.related.as_ref().map(|related| related.place);
    for place in problem.place.into_iter().chain(related) {
        let width = place.line.checked_sub(1).and_then(|index| lines.get(index));
        assert!(
            width.is_some_and(|width| (1..=width + 1).contains(&place.column)),
            "{reader}: {problem:?} stands at {place} of {} lines, where the line has {width:?} characters",
            lines.len()
        );
    }
}

fn shows_no_secret(reader: &str, seen: &Seen, text: &str) {
    let Seen {
        odd, shown, quoted, ..
    } = seen;
    assert!(odd.is_none(), "{reader}: a control character is shown: {odd:?}");
    if quoted.is_none() && shown.is_none() {
        return;
    }
    let fate = Fate::of(text);
    assert!(
        fate.named || quoted.is_none(),
        "{reader}: a value is quoted: {quoted:?}"
    );
    assert!(
        fate.named || fate.open || shown.is_none() || (reader == TEMPLATE && stands_in_the_open(text)),
        "{reader}: a secret is shown: {shown:?}"
    );
}

/// How long each line is, counted as YAML does: a carriage return alone ends a line too.
fn widths(text: &str) -> Vec<usize> {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    unified.split('\n').map(|line| line.chars().count()).collect()
}

/// The same text with the canary as the value of one line, which the text itself chooses.
fn planted(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let values: Vec<(usize, usize)> = text
        .split_inclusive('\n')
        .scan(0, |start, line| {
            let begin = *start;
            *start += line.len();
            Some((begin, line))
        })
        .filter_map(|(begin, line)| {
            let value = line.find(": ")? + 2;
            let rest = line.get(value..)?;
            Some((begin + value, begin + value + rest.trim_end().len()))
        })
        .collect();
    // FNV-1a: the same input has to choose the same line again.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let index = usize::try_from(hash % u64::try_from(values.len()).ok()?.max(1)).ok()?;
    let (start, end) = *values.get(index)?;
    Some(format!("{}{CANARY}{}", text.get(..start)?, text.get(end..)?))
}

/// What the canary is in a text.
#[derive(Default)]
struct Fate {
    /// Part of a key or a tag, which may be named.
    named: bool,
    /// A value that may be shown in its line.
    open: bool,
}

/// A collection that the parser is inside of: a list has no keys.
struct Frame {
    is_map: bool,
    key: Option<String>,
}

impl Fate {
    fn of(text: &str) -> Self {
        let mut fate = Self::default();
        let mut open: Vec<Frame> = Vec::new();
        for event in Parser::new(StrInput::new(text)) {
            let Ok((event, _)) = event else {
                // Nothing is known of a text that is no YAML, so nothing of it may be shown.
                fate.open = false;
                break;
            };
            let is_key = open
                .last()
                .is_some_and(|frame| frame.is_map && frame.key.is_none());
            let tagged = |tag: Option<&Tag>| {
                tag.is_some_and(|tag| tag.suffix.contains(CANARY) || tag.handle.contains(CANARY))
            };
            let mut whole = None;
            match &event {
                Event::Scalar(text, _, _, tag) => {
                    let has = text.contains(CANARY);
                    fate.named |= (is_key && has) || tagged(tag.as_deref());
                    fate.open |= !is_key && has && is_open(&open);
                    whole = Some(text.to_string());
                }
                // Used a second time it is what its author made of it there.
                Event::Alias(_) => {
                    fate.named |= is_key;
                    fate.open = true;
                    whole = Some(String::new());
                }
                Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => {
                    fate.named |= tagged(tag.as_deref());
                    let is_map = matches!(event, Event::MappingStart(..));
                    open.push(Frame { is_map, key: None });
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                    whole = Some(String::new());
                }
                _ => {}
            }
            if let (Some(name), Some(frame)) = (whole, open.last_mut()) {
                frame.key = if frame.is_map && frame.key.is_none() {
                    Some(name)
                } else {
                    None
                };
            }
        }
        fate
    }
}

/// Whether a line gives the canary to a key whose values may be shown: a template has its user data in a scalar, whose
/// keys no parser of the template sees. A line without any key may belong to such a one.
fn stands_in_the_open(text: &str) -> bool {
    text.split(['\n', '\r'])
        .filter(|line| line.contains(CANARY))
        .any(|line| {
            let mut keys = line
                .split(&[' ', '\t', '"', '\'', '{', ',', '-', '\\', 'n'][..])
                .chain([line.trim_start_matches([' ', '\t', '"', '\'', '{', ',', '-'])])
                .filter_map(|word| word.split_once(':'))
                .map(|(key, _)| key.trim_end_matches(['"', '\'']))
                .peekable();
            keys.peek().is_none() || keys.any(is_shown)
        })
}

/// Whether values below a key of the top level may be shown.
fn is_shown(top: &str) -> bool {
    // The policy's own keys; the rest of its values stand below `allow`.
    const POLICY: &[&str] = &["locked", "allow", "images"];
    match contract::top(top).map(|key| key.shape) {
        None => POLICY.contains(&top),
        Some(Shape::Secret | Shape::Scalar | Shape::Words | Shape::Anything) => false,
        Some(Shape::Map { value, .. }) => !matches!(value, Shape::Scalar | Shape::Secret),
        Some(_) => true,
    }
}

/// Whether the contract may allow a value below these keys to be shown.
fn is_open(open: &[Frame]) -> bool {
    let mut path = open
        .iter()
        .filter_map(|frame| frame.key.as_deref())
        .filter(|key| *key != "<<");
    path.next().is_some_and(is_shown) && !path.any(|key| key == "auth" || key.ends_with("_key"))
}
