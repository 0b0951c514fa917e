//! Which pieces of a line are keys, and which values may be shown.

use std::collections::BTreeSet;

use super::super::contract::{self, Key, POLICY, Shape};
use super::super::problem::{Place, Problem};
use super::super::yaml::{Entry, Kind, Node};

/// A longer value says nothing more in a report.
const LONGEST: usize = 200;

/// A key or a value in one line of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) place: Place,
    /// The first column behind it.
    pub(super) end: usize,
    /// Whether it may be shown.
    pub(super) shown: bool,
}

/// Neither encrypted nor a login in front of a host's name.
pub(in crate::config) fn is_harmless(text: &str) -> bool {
    let login = text.matches('@').count() > text.matches("@sha256:").count();
    !text.contains("aws:kms:") && !login && text.chars().count() <= LONGEST
}

/// Those in the lines that problems are about.
pub(super) fn of(entries: &[Entry], policy: Option<&Node>, problems: &[Problem]) -> Vec<Span> {
    let lines: BTreeSet<(u16, usize)> = problems
        .iter()
        .flat_map(|problem| {
            problem
                .place
                .into_iter()
                .chain(problem.related.as_ref().map(|related| related.place))
        })
        .map(|place| (place.source, place.line))
        .collect();
    let named: BTreeSet<&str> = problems
        .iter()
        .filter_map(|problem| problem.key.as_deref())
        .collect();
    let mut walk = Walk {
        lines,
        named,
        spans: Vec::new(),
    };
    walk.entries(entries, "", &|name| contract::top(name));
    if let Some(Node {
        kind: Kind::Map(entries),
        ..
    }) = policy
    {
        walk.entries(entries, "", &|name| POLICY.iter().find(|key| key.matches(name)));
    }
    walk.spans.sort_by_key(|span| span.place);
    walk.spans.dedup();
    hide_what_is_a_secret_elsewhere(walk.spans)
}

/// An alias stands for what may be a secret where it was written: hidden in one place is hidden in all.
fn hide_what_is_a_secret_elsewhere(spans: Vec<Span>) -> Vec<Span> {
    let hidden: Vec<(Place, usize)> = spans
        .iter()
        .filter(|span| !span.shown)
        .map(|span| (span.place, span.end))
        .collect();
    let overlaps = |span: &Span| {
        let first = hidden.partition_point(|(place, _)| *place < span.place);
        let before = hidden.get(..first).and_then(<[_]>::last);
        let covers = |(place, end): &(Place, usize)| {
            (place.source, place.line) == (span.place.source, span.place.line)
                && place.column < span.end
                && span.place.column < *end
        };
        before.is_some_and(covers) || hidden.get(first).is_some_and(covers)
    };
    let mut all: Vec<Span> = spans
        .iter()
        .map(|span| Span {
            shown: span.shown && !overlaps(span),
            ..span.clone()
        })
        .collect();
    all.dedup();
    all
}

struct Walk<'p> {
    lines: BTreeSet<(u16, usize)>,
    named: BTreeSet<&'p str>,
    spans: Vec<Span>,
}

impl Walk<'_> {
    fn entries(&mut self, entries: &[Entry], path: &str, known: &dyn Fn(&str) -> Option<&'static Key>) {
        for entry in entries {
            let path = if path.is_empty() {
                entry.name.clone()
            } else {
                format!("{path}.{}", entry.name)
            };
            let key = known(&entry.name);
            let shown = key.is_some() || (self.named.contains(path.as_str()) && is_harmless(&entry.name));
            self.add(entry.place, entry.end, shown);
            self.node(
                &entry.value,
                &path,
                key.map_or(&Shape::Anything, |key| &key.shape),
            );
        }
    }

    fn node(&mut self, node: &Node, path: &str, shape: &'static Shape) {
        match &node.kind {
            Kind::Map(entries) => {
                let keys = shape.known();
                if keys.is_empty() {
                    for entry in entries {
                        let path = format!("{path}.{}", entry.name);
                        let inside = shape.inside(&entry.name);
                        // Where values are no secrets, names are none: `/data`, `8080`.
                        let shown =
                            inside.may_be_shown() || inside.is_map() || self.named.contains(path.as_str());
                        self.add(entry.place, entry.end, shown && is_harmless(&entry.name));
                        self.node(&entry.value, &path, inside);
                    }
                } else {
                    self.entries(entries, path, &|name| keys.iter().find(|key| key.matches(name)));
                }
            }
            Kind::Seq(nodes) => nodes.iter().for_each(|node| self.node(node, path, shape.item())),
            Kind::Scalar(scalar) => {
                self.add(
                    node.place,
                    node.end,
                    shape.may_be_shown() && is_harmless(&scalar.text),
                );
            }
            Kind::Broken | Kind::Hole => {}
        }
    }

    fn add(&mut self, place: Place, end: Place, shown: bool) {
        let in_one_line = place.line == end.line && end.column > place.column;
        if in_one_line && self.lines.contains(&(place.source, place.line)) {
            self.spans.push(Span {
                place,
                end: end.column,
                shown,
            });
        }
    }
}
