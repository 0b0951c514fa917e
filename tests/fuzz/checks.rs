//! What has to hold whatever the user data is: shared by the fuzzer and by the ordinary test of its seeds.
//!
//! Nothing panics; every problem has a place inside the text; what is shown contains no control character and no
//! value. A [`CANARY`] stands for the secret: seeds carry it, and every text is read a second time with the canary
//! as the value of one of its lines. Keys may be named, so the events of the YAML parser decide whether the
//! canary became a key or a tag before a leak is called one.
//!
//! Time and memory are measured by the [`Guard`] that each reader runs in.

use monopod_core::config::contract::{self, Shape};
use monopod_core::config::{Code, ImageLayer, Problem, Report, Severity, Style, Text, parse, read, template};
use saphyr_parser::{Event, Parser, StrInput, Tag};

/// A value that nobody may ever see.
pub(crate) const CANARY: &str = "hunter2canary";

/// Everything that reads user data. A new reader is one line here.
const READERS: &[(&str, Reader)] = &[
    ("parse", |bytes| {
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
        };
        Seen::of([&read(text, &image)])
    }),
    ("template", |bytes| {
        let read = ["fuzz.yaml", "fuzz.tftpl"].map(|name| template::templates(bytes, name));
        let own: Vec<Report> = read.iter().flatten().map(template::Template::own).collect();
        let found = read.iter().flatten().flat_map(|template| &template.found);
        Seen::of(own.iter().chain(found.map(|found| &found.report)))
    }),
];

type Reader = fn(&[u8]) -> Seen;

/// What a reader shows to people.
struct Seen {
    problems: Vec<Problem>,
    rendered: String,
}

impl Seen {
    fn of<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Self {
        let mut seen = Self {
            problems: Vec::new(),
            rendered: String::new(),
        };
        for report in reports {
            seen.problems.extend_from_slice(report.problems());
            seen.rendered.push_str(&report.render(Style::Plain));
            let lines: Vec<String> = report
                .problems()
                .iter()
                .map(|problem| report.one_line(problem))
                .collect();
            seen.rendered.push_str(&lines.join("\n"));
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
    for (reader, run) in READERS {
        let mut seen = None;
        guard(&mut || seen = Some(run(bytes)));
        let Some(seen) = seen else { continue };
        // Places in what was packed are those of the text inside, which is not at hand here.
        let packed = !text
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("#taupage-ami-config");
        for problem in seen.problems.iter().filter(|_| !packed) {
            well_formed(reader, problem, &lines);
        }
        shows_no_secret(reader, &seen, &text);
    }
}

fn well_formed(reader: &str, problem: &Problem, lines: &[usize]) {
    assert!(
        Code::ALL.contains(&problem.code) && matches!(problem.severity, Severity::Error | Severity::Warning),
        "{reader}: {problem:?} has no code"
    );
    assert!(
        !problem.message.is_empty() && problem.help.as_deref() != Some(""),
        "{reader}: {problem:?} says nothing"
    );
    // Other texts than the input have places of their own.
    let Some(place) = problem.place.filter(|place| place.source == 0) else {
        return;
    };
    let width = place.line.checked_sub(1).and_then(|index| lines.get(index));
    assert!(
        width.is_some_and(|width| (1..=width + 1).contains(&place.column)),
        "{reader}: {problem:?} stands at {place} of {} lines, where the line has {width:?} characters",
        lines.len()
    );
}

fn shows_no_secret(reader: &str, seen: &Seen, text: &str) {
    assert!(
        !seen.rendered.contains(|c: char| c.is_control() && c != '\n'),
        "{reader}: a control character is shown: {:?}",
        seen.rendered
    );
    let texts = seen.problems.iter().flat_map(|problem| {
        let texts = [
            Some(&problem.message),
            problem.help.as_ref(),
            problem.key.as_ref(),
        ];
        texts.into_iter().flatten().map(String::as_str)
    });
    let shown = texts
        .chain(seen.rendered.lines())
        .find(|shown| shown.contains(CANARY));
    assert!(
        shown.is_none() || canary_may_be_shown(text) || stands_in_the_open(text),
        "{reader}: a value is shown: {shown:?}"
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

/// Whether all values of a key of the top level are hidden.
fn is_secret(key: &str) -> bool {
    match contract::top(key).map(|key| key.shape) {
        None | Some(Shape::Secret | Shape::Scalar | Shape::Words | Shape::Anything) => true,
        Some(Shape::Map { value, .. }) => matches!(value, Shape::Scalar | Shape::Secret),
        Some(_) => false,
    }
}

/// Whether a line gives the canary to a key whose values may be shown: a template has its user data in a scalar, whose
/// keys no parser of the template sees.
fn stands_in_the_open(text: &str) -> bool {
    text.split(['\n', '\r'])
        .filter(|line| line.contains(CANARY))
        .any(|line| {
            line.split(&[' ', '\t', '"', '\'', '{', ',', '-', '\\', 'n'][..])
                .chain([line.trim_start_matches([' ', '\t', '"', '\'', '{', ',', '-'])])
                .filter_map(|word| {
                    word.split_once(':')
                        .map(|(key, _)| key.trim_end_matches(['"', '\'']))
                })
                .any(|key| contract::top(key).is_some() && !is_secret(key))
        })
}

/// Whether the canary, as the text reads, is part of a key or a tag, which may be named, or of a value that the
/// contract says is no secret.
fn canary_may_be_shown(text: &str) -> bool {
    // One flag for each open collection: `None` for a list, else whether a key comes next.
    let mut open: Vec<Option<bool>> = Vec::new();
    let mut top = String::new();
    let tagged =
        |tag: Option<&Tag>| tag.is_some_and(|tag| tag.suffix.contains(CANARY) || tag.handle.contains(CANARY));
    for event in Parser::new(StrInput::new(text)) {
        let Ok((event, _)) = event else {
            return false;
        };
        let key = open.last() == Some(&Some(true));
        if let (Event::Scalar(text, ..), [Some(true)]) = (&event, open.as_slice()) {
            top = text.to_string();
        }
        let named = match &event {
            Event::Scalar(text, _, _, tag) => {
                ((key || !is_secret(&top)) && text.contains(CANARY)) || tagged(tag.as_deref())
            }
            // A value that is used as a key again: it was named by the text's author.
            Event::Alias(_) => key,
            Event::SequenceStart(_, tag) | Event::MappingStart(_, tag) => tagged(tag.as_deref()),
            _ => false,
        };
        if named {
            return true;
        }
        if matches!(event, Event::SequenceEnd | Event::MappingEnd) {
            open.pop();
        }
        let begins = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        let whole = matches!(
            event,
            Event::Scalar(..) | Event::Alias(_) | Event::SequenceEnd | Event::MappingEnd
        );
        if whole && let Some(Some(key)) = open.last_mut() {
            *key = !*key;
        }
        if begins {
            open.push(matches!(event, Event::MappingStart(..)).then_some(true));
        }
    }
    false
}
