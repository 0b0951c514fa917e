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

use std::collections::HashMap;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

use super::lines::Line;
use super::spans::Span;
use super::{Report, Style};
use crate::config::problem::{Place, Severity};
use crate::text;

/// A line that was shown as often says no more: thousands of problems may stand in one line of 16 KiB.
const MOST_TIMES: usize = 20;

/// Renders problems in their order, each followed by an empty line.
pub(super) fn all(report: &Report, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let named: Vec<&str> = report
        .problems
        .iter()
        .filter_map(|problem| problem.key.as_deref())
        .collect();
    let lines = shown(report, &named);
    let mut times: HashMap<(u16, usize), usize> = HashMap::new();
    let mut line = |place: Place| {
        let times = times.entry((place.source, place.line)).or_default();
        *times += 1;
        lines
            .get(&(place.source, place.line))
            .filter(|_| *times <= MOST_TIMES)
    };
    let mut out = String::new();
    for problem in &report.problems {
        let message = printable(&problem.message);
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level
            .primary_title(&message)
            .id(problem.code.as_str())
            .elements(None::<Snippet<'_, Annotation<'_>>>);
        let primary = problem.place.map(|place| (place, line(place)));
        let related = problem
            .related
            .as_ref()
            .map(|related| (related, line(related.place)));
        let mut columns = Vec::new();
        match &primary {
            Some((place, Some(shown))) => {
                columns.push((*place, shown.column(place.column)));
                group = group.element(snippet(report, shown, *place, AnnotationKind::Primary, None));
            }
            Some((place, None)) => {
                group = group.element(
                    Origin::path(report.text_name(*place))
                        .line(place.line)
                        .char_column(place.column),
                );
            }
            None => {
                if let Some(text) = report.texts.first() {
                    group = group.element(Origin::path(text.name.as_str()));
                }
            }
        }
        if let Some((related, Some(shown))) = &related {
            columns.push((related.place, shown.column(related.place.column)));
            group = group.element(snippet(
                report,
                shown,
                related.place,
                AnnotationKind::Context,
                Some(&related.label),
            ));
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
        out.push_str(&text);
        out.push_str("\n\n");
    }
    out
}

/// The lines that problems are about, each made once: thousands of problems may stand in one.
fn shown(report: &Report, named: &[&str]) -> HashMap<(u16, usize), Line> {
    let mut spans: HashMap<(u16, usize), Vec<Span>> = HashMap::new();
    for span in &report.spans {
        let key = (span.place.source, span.place.line);
        spans.entry(key).or_default().push(span.clone());
    }
    let texts: Vec<Vec<&str>> = report
        .texts
        .iter()
        .map(|text| text::lines(&text.text).collect())
        .collect();
    let mut lines = HashMap::new();
    for problem in &report.problems {
        let related = problem.related.as_ref().map(|related| related.place);
        for place in problem.place.into_iter().chain(related) {
            let key = (place.source, place.line);
            let text = texts.get(usize::from(place.source));
            let index = place.line.checked_sub(1);
            let Some(line) = text.zip(index).and_then(|(text, index)| text.get(index)) else {
                continue;
            };
            lines
                .entry(key)
                .or_insert_with(|| Line::new(line, spans.get(&key).map_or(&[], Vec::as_slice), named));
        }
    }
    lines
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
