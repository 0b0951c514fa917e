//! What has to hold whatever the user data is: shared by the fuzzer and by the ordinary test of its seeds.
//!
//! Nothing panics; every problem has a place inside the text; what is shown contains no control character and no
//! secret. A [`CANARY`] stands for the secret: seeds carry it, and every text is read a second time with the canary
//! as the value of one of its lines. Messages never quote a value, and a line that is shown along with them has only
//! such values as the contract allows. Keys may be named. So [`Fate`] asks the YAML parser what the canary became in
//! this text before anything is called a leak.
//!
//! Time and memory are measured by the [`Guard`] that each reader runs in.

use monopod_core::config::{Code, ImageLayer, Problem, Report, Severity, Style, Text, contract, parse, read};
use saphyr_parser::{Event, Parser, StrInput, Tag};

/// A value that nobody may ever see.
pub(crate) const CANARY: &str = "hunter2canary";

/// A file that everything is well with.
const GOOD: &[u8] = b"#taupage-ami-config\napplication_id: good\napplication_version: '1'\nsource: a/b:1\n";

/// Something that reads what others wrote.
struct Reader {
    name: &'static str,
    /// Which of the texts the input is, as places count them.
    source: u16,
    run: fn(&[u8]) -> Seen,
}

/// All of them. A new one is one line here.
const READERS: &[Reader] = &[
    Reader {
        name: "user data",
        source: 0,
        run: |bytes| Seen::of(&parse(bytes, "fuzz")),
    },
    Reader {
        name: "defaults",
        source: 1,
        run: |bytes| Seen::of(&read(GOOD_TEXT, &defaults(bytes))),
    },
];

const GOOD_TEXT: Text<'_> = Text {
    name: "good",
    bytes: GOOD,
};

fn defaults(bytes: &[u8]) -> ImageLayer<'_> {
    ImageLayer {
        defaults: vec![Text { name: "fuzz", bytes }],
        policy: Some(Text {
            name: "policy",
            bytes: b"locked: [hostname]\nallow: {root: false}\n",
        }),
    }
}

/// What a reader shows.
struct Seen {
    problems: Vec<Problem>,
    /// Lines of the texts along with the problems.
    rendered: String,
    /// The problems alone, for programs and for GitHub.
    listed: String,
}

impl Seen {
    fn of(report: &Report) -> Self {
        assert_eq!(
            report.config().is_none(),
            report.has_errors(),
            "a configuration exists exactly if there is no error"
        );
        let lines = report.problems().iter().map(|problem| report.one_line(problem));
        Self {
            problems: report.problems().to_vec(),
            rendered: report.render(Style::Plain),
            listed: lines
                .chain([report.to_json().to_string(), report.to_github()])
                .collect(),
        }
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
    for reader in READERS {
        let mut seen = None;
        guard(&mut || seen = Some((reader.run)(bytes)));
        let Some(seen) = seen else { continue };
        for problem in &seen.problems {
            well_formed(reader, problem, &lines);
        }
        shows_no_secret(reader, &seen, &text);
    }
}

fn well_formed(reader: &Reader, problem: &Problem, lines: &[usize]) {
    let name = reader.name;
    assert!(
        Code::ALL.contains(&problem.code) && matches!(problem.severity, Severity::Error | Severity::Warning),
        "{name}: {problem:?} has no code"
    );
    assert!(
        !problem.message.is_empty() && problem.help.as_deref() != Some(""),
        "{name}: {problem:?} says nothing"
    );
    let related = problem.related.as_ref().map(|related| related.place);
    // The other texts have places of their own.
    for place in problem
        .place
        .into_iter()
        .chain(related)
        .filter(|place| place.source == reader.source)
    {
        let width = place.line.checked_sub(1).and_then(|index| lines.get(index));
        assert!(
            width.is_some_and(|width| (1..=width + 1).contains(&place.column)),
            "{name}: {problem:?} stands at {place} of {} lines, where the line has {width:?} characters",
            lines.len()
        );
    }
}

fn shows_no_secret(reader: &Reader, seen: &Seen, text: &str) {
    let name = reader.name;
    let odd = seen.rendered.lines().find(|line| line.contains(char::is_control));
    assert!(odd.is_none(), "{name}: a control character is shown: {odd:?}");
    let texts = seen.problems.iter().flat_map(|problem| {
        let texts = [
            Some(&problem.message),
            problem.help.as_ref(),
            problem.key.as_ref(),
        ];
        texts.into_iter().flatten().map(String::as_str)
    });
    let quoted = texts
        .chain(seen.listed.lines())
        .find(|shown| shown.contains(CANARY));
    let shown = seen.rendered.lines().find(|shown| shown.contains(CANARY));
    if quoted.or(shown).is_none() {
        return;
    }
    let fate = Fate::of(text);
    assert!(
        fate.named || quoted.is_none(),
        "{name}: a value is quoted: {quoted:?}"
    );
    assert!(
        fate.named || fate.open || shown.is_none(),
        "{name}: a secret is shown: {shown:?}"
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

/// Whether the contract may allow a value below these keys to be shown.
fn is_open(open: &[Frame]) -> bool {
    const SECRET: &[&str] = &[
        "environment",
        "dockercfg",
        "files",
        "sysctl",
        "sysfs",
        "entrypoint",
        "command",
        "args",
    ];
    let path: Vec<&str> = open
        .iter()
        .filter_map(|frame| frame.key.as_deref())
        .filter(|key| *key != "<<")
        .collect();
    let Some(top) = path.first() else { return false };
    let is_secret = |key: &&str| key.ends_with("_password") || key.ends_with("account_key");
    contract::top(top).is_some() && !SECRET.contains(top) && !path.iter().any(is_secret)
}
