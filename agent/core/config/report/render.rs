//! Problems as rustc shows them.
//!
//! ```text
//! warning[MP0201]: nobody knows the key `heath_check_path`: it has no effect
//!   --> user data:7:1
//!    |
//!  7 | heath_check_path: …
//!    | ^^^^^^^^^^^^^^^^
//!    = help: did you mean `health_check_path`?
//! ```

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use super::lines::Line;
use super::{Report, Style};
use crate::config::problem::{Place, Problem, Severity};
use crate::text;

/// Renders problems in their order, each followed by an empty line.
pub(super) fn all(report: &Report, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let source = Source {
        report,
        named: report
            .problems
            .iter()
            .filter_map(|problem| problem.key.as_deref())
            .collect(),
        lines: report
            .texts
            .iter()
            .map(|text| text::lines(&text.text).collect())
            .collect(),
    };
    let mut out: String = report
        .problems
        .iter()
        .take(MOST)
        .map(|problem| one(&source, problem, &renderer))
        .collect();
    if let Some(more) = report.problems.len().checked_sub(MOST).filter(|more| *more > 0) {
        out.push_str(&format!(
            "{} more: put these right first\n\n",
            text::count(more as u64, "problem")
        ));
    }
    out
}

/// Nobody reads more, and a text of 16 KiB can have thousands.
const MOST: usize = 200;

/// The texts, cut into lines once: a text of 16 KiB can have thousands of problems.
struct Source<'r> {
    report: &'r Report,
    named: Vec<&'r str>,
    lines: Vec<Vec<&'r str>>,
}

impl Source<'_> {
    /// What may be seen of the line at a place.
    fn line(&self, place: Place) -> Option<Line> {
        let line = self
            .lines
            .get(usize::from(place.source))?
            .get(place.line.checked_sub(1)?)?;
        let of_line = (place.source, place.line);
        let spans = &self.report.spans;
        let first = spans.partition_point(|span| (span.place.source, span.place.line) < of_line);
        let spans = spans
            .iter()
            .skip(first)
            .take_while(|span| (span.place.source, span.place.line) == of_line);
        Some(Line::new(line, place.column, spans, &self.named))
    }
}

fn one(source: &Source<'_>, problem: &Problem, renderer: &Renderer) -> String {
    let report = source.report;
    let message = printable(&problem.message);
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(&message)
        .id(problem.code.as_str())
        .elements(None::<Snippet<'_, Annotation<'_>>>);
    let primary = problem.place.map(|place| (place, source.line(place)));
    let related = problem
        .related
        .as_ref()
        .map(|related| (related, source.line(related.place)));
    let mut columns = Vec::new();
    match &primary {
        Some((place, Some(shown))) => {
            columns.push((*place, shown.column(place.column)));
            group = group.element(snippet(report, shown, *place, AnnotationKind::Primary, None));
        }
        Some((place, None)) => {
            let origin = Origin::path(report.text_name(*place)).line(place.line);
            group = group.element(origin.char_column(place.column));
        }
        None => {
            if let Some(text) = report.texts.first() {
                group = group.element(Origin::path(text.name.as_str()));
            }
        }
    }
    if let Some((related, Some(shown))) = &related {
        columns.push((related.place, shown.column(related.place.column)));
        let kind = AnnotationKind::Context;
        group = group.element(snippet(report, shown, related.place, kind, Some(&related.label)));
    }
    let help = problem.help.as_deref().map(printable);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let mut text = renderer.render(&[group]);
    for (place, shown) in columns {
        // The renderer counts in the line as it is shown; people look in the line as it is.
        let at = |column: usize| format!("{}:{}:{column}", report.text_name(place), place.line);
        text = text.replacen(&at(shown), &at(place.column), 1);
    }
    text.push_str("\n\n");
    text
}

fn snippet<'l>(
    report: &'l Report,
    shown: &'l Line,
    place: Place,
    kind: AnnotationKind,
    label: Option<&'l str>,
) -> Snippet<'l, Annotation<'l>> {
    let annotation = kind.span(shown.carets(place.column));
    let annotation = match label {
        Some(label) => annotation.label(label),
        None => annotation,
    };
    Snippet::source(shown.text.as_str())
        .line_start(place.line)
        .path(report.text_name(place))
        .annotation(annotation)
}

/// A key can hold an escape sequence, which a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
