//! What reading user data gave, and how it is shown: to people, to programs, to GitHub.
//!
//! Invariant: of a line only keys are shown, and values that the contract says are no secrets ([`lines`]).

mod lines;
mod render;
pub(super) mod spans;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::model::{Audit, Config, Events, Origin, Otlp};
use super::problem::{Code, Place, Problem, Severity};
use super::yaml::{Entry, Kind, Node};
use crate::lifecycle::{LifecyclePlan, SignalTarget};
use spans::Span;

/// A text that was read, as its places count it.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) text: String,
}

/// A text may hold secrets.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({}, {} bytes)", self.name, self.text.len())
    }
}

/// Whether a terminal reads along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No colours.
    Plain,
    /// Colours.
    Coloured,
}

/// What reading user data gave.
#[derive(Clone, Debug)]
pub struct Report {
    config: Option<Config>,
    pub(super) notify_cfn: Option<SignalTarget>,
    pub(super) boot_timeout: Option<Duration>,
    pub(super) audit: Audit,
    pub(super) otlp: Option<Otlp>,
    pub(super) events: Events,
    pub(super) lifecycle: LifecyclePlan,
    pub(super) masked: serde_json::Value,
    pub(super) problems: Vec<Problem>,
    texts: Vec<Text>,
    spans: Vec<Span>,
}

impl Report {
    /// Problems of one text, and nothing else.
    pub(super) fn of(problems: Vec<Problem>, name: &str, text: &str) -> Self {
        let mut report = Self::new(None, problems, Vec::new(), &[], None);
        report.now_in(name, text);
        report
    }

    /// The places in the user data are those of this text from now on.
    pub(super) fn now_in(&mut self, name: &str, text: &str) {
        let text = Text {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        match self.texts.first_mut() {
            Some(first) => *first = text,
            None => self.texts.push(text),
        }
    }

    /// Moves the pieces of lines that are known; one that has no place there is forgotten.
    pub(super) fn move_spans(&mut self, to: impl Fn(Place) -> Option<Place>) {
        let moved = |span: &Span| {
            if span.place.source > 0 {
                return Some(span.clone());
            }
            let place = to(span.place)?;
            let last = to(Place {
                column: span.end.saturating_sub(1),
                ..span.place
            })?;
            let straight = last.line == place.line
                && last.column - place.column.min(last.column) + 1 == span.end - span.place.column;
            straight.then(|| Span {
                place,
                end: last.column + 1,
                ..span.clone()
            })
        };
        self.spans = self.spans.iter().filter_map(moved).collect();
        self.spans.sort_by_key(|span| span.place);
    }

    /// Takes over what another reading of the same text found.
    pub(super) fn absorb(&mut self, other: Self) {
        self.config = self.config.take().or(other.config);
        for span in other.spans {
            if !self.spans.contains(&span) {
                self.spans.push(span);
            }
        }
        self.spans.sort_by_key(|span| span.place);
    }

    pub(super) fn new(
        config: Option<Config>,
        mut problems: Vec<Problem>,
        texts: Vec<Text>,
        entries: &[Entry],
        policy: Option<&Node>,
    ) -> Self {
        problems.iter_mut().for_each(Problem::shorten);
        let spans = spans::of(entries, policy, &problems);
        Self {
            config,
            notify_cfn: None,
            boot_timeout: None,
            audit: Audit::default(),
            otlp: None,
            events: Events::default(),
            lifecycle: LifecyclePlan::default(),
            masked: serde_json::Value::Null,
            problems,
            texts,
            spans,
        }
    }

    /// The configuration, unless there is an error.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref().filter(|_| !self.has_errors())
    }

    /// The configuration with its warnings, or every problem.
    pub fn into_config(self) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        if self.has_errors() {
            return Err(self.problems);
        }
        match self.config {
            Some(config) => Ok((config, self.problems)),
            None => Err(self.problems),
        }
    }

    /// The configuration of a text in which nothing is wrong, even if this version refuses to boot with it.
    pub fn planned(&self) -> Option<&Config> {
        self.config.as_ref().filter(|_| {
            self.problems
                .iter()
                .all(|problem| problem.severity != Severity::Error || problem.code == Code::NotAvailable)
        })
    }

    /// Errors and warnings in the order of the texts.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many of them there are.
    pub fn count(&self, severity: Severity) -> u64 {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count() as u64
    }

    /// Whether the text is refused.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether anything is doubtful.
    pub fn has_warnings(&self) -> bool {
        self.count(Severity::Warning) > 0
    }

    /// Who wants to be told about the boot, as far as the text could be read, errors or not: of a text that is no YAML the
    /// lines that say it are looked for by themselves.
    pub fn notify_cfn(&self) -> Option<&SignalTarget> {
        self.notify_cfn.as_ref()
    }

    /// What becomes of the machine, as far as the text could be read, errors or not. A value that is wrong is the default;
    /// of a text that is no YAML, `on_boot_failure` and `lifecycle_hooks` are looked for by themselves, and the rest is the
    /// image's.
    pub fn lifecycle(&self) -> LifecyclePlan {
        LifecyclePlan {
            signal: self.notify_cfn.clone(),
            ..self.lifecycle.clone()
        }
    }

    /// The receiver of OTLP, as far as that could be read.
    pub fn otlp(&self) -> Option<&Otlp> {
        self.otlp.as_ref()
    }

    /// Whom audit records are for, as far as that could be read.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Whom notices are pushed to, as far as that could be read.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Every key over all layers, and those of their values that are no secret for certain; null without a text.
    pub fn masked(&self) -> &serde_json::Value {
        &self.masked
    }

    /// How long the boot may take, as far as the text could be read.
    pub fn boot_timeout(&self) -> Duration {
        self.boot_timeout.unwrap_or(crate::budget::DEFAULT)
    }

    /// What the text at a place is called.
    pub fn text_name(&self, place: Place) -> &str {
        self.texts
            .get(usize::from(place.source))
            .map_or("user data", |text| text.name.as_str())
    }

    /// The problems as people read them.
    pub fn render(&self, style: Style) -> String {
        render::all(self, style)
    }

    /// One problem in one line: `user data:7:1: MP0201 nobody knows ...; did you mean ...?`
    pub fn one_line(&self, problem: &Problem) -> String {
        let place = problem.place.map_or_else(String::new, |place| {
            format!("{}:{place}: ", self.text_name(place))
        });
        let related = problem.related.as_ref().map_or_else(String::new, |related| {
            format!(
                " ({}: {}:{})",
                related.label,
                self.text_name(related.place),
                related.place.line
            )
        });
        let help = problem
            .help
            .as_deref()
            .map_or_else(String::new, |help| format!("; {help}"));
        render::printable(&format!(
            "{place}{} {}{related}{help}",
            problem.code, problem.message
        ))
    }

    /// The problems for programs.
    pub fn to_json(&self) -> serde_json::Value {
        let at = |place: Place| At {
            file: self.text_name(place).to_owned(),
            line: place.line,
            column: place.column,
        };
        let problems: Vec<Shown<'_>> = self
            .problems
            .iter()
            .map(|problem| Shown {
                severity: problem.severity.to_string(),
                code: problem.code.as_str(),
                at: problem.place.map(at),
                key: problem.key.as_deref(),
                message: &problem.message,
                help: problem.help.as_deref(),
                suggestion: problem.suggestion(),
                related: problem
                    .related
                    .as_ref()
                    .map(|related| (at(related.place), related.label.as_str())),
            })
            .collect();
        serde_json::json!({
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": problems,
        })
    }

    /// The problems as GitHub's workflow commands, one a line, which it shows at the lines of a pull request.
    pub fn to_github(&self) -> String {
        let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
        self.problems
            .iter()
            .map(|problem| {
                let place = problem.place.unwrap_or(Place::new(1, 1));
                let help = problem
                    .help
                    .as_deref()
                    .map_or_else(String::new, |help| format!("; {help}"));
                format!(
                    "::{} file={},line={},col={},title={}::{}\n",
                    problem.severity,
                    property(self.text_name(place)),
                    place.line,
                    place.column,
                    problem.code,
                    data(&render::printable(&format!("{}{help}", problem.message))),
                )
            })
            .collect()
    }
}

#[derive(Serialize)]
struct At {
    file: String,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct Shown<'p> {
    severity: String,
    code: &'static str,
    #[serde(flatten)]
    at: Option<At>,
    key: Option<&'p str>,
    message: &'p str,
    help: Option<&'p str>,
    suggestion: Option<&'p str>,
    related: Option<(At, &'p str)>,
}

/// Where each key came from; the inner keys of merged maps too.
pub(super) fn origins(entries: &[Entry], texts: &[Text]) -> Vec<Origin> {
    let origin = |key: String, place: Place| Origin {
        key,
        text: texts
            .get(usize::from(place.source))
            .map(|text| text.name.clone())
            .unwrap_or_default(),
        line: place.line,
        from_image: place.source > 0,
    };
    let mut all: Vec<(Place, Origin)> = Vec::new();
    for entry in entries {
        match &entry.value.kind {
            Kind::Map(inner) if inner.iter().any(|one| one.place.source != entry.place.source) => {
                for one in inner {
                    let key = format!("{}.{}", entry.name, one.name);
                    all.push((one.place, origin(key, one.place)));
                }
            }
            _ => all.push((entry.place, origin(entry.name.clone(), entry.place))),
        }
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, origin)| origin).collect()
}
