//! From parser events to the tree.
//!
//! Aliases are copied where they stand, so depth and size are counted as copies are made: a text that
//! expands beyond the limits is refused before the memory is used. What stops the whole text (syntax,
//! limits) is returned as the one problem; what breaks a single value is reported and becomes
//! [`Kind::Broken`], so that the rest is still checked.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use super::super::problem::{Code, Place, Problem};
use super::explain;
use super::resolve::{self, Unreadable};
use super::{Entry, HOLE, Kind, Node, Resolved, Scalar};
use crate::text;

/// How much a text may hold, aliases expanded.
struct Limits {
    depth: usize,
    nodes: usize,
    /// Of all scalars.
    bytes: usize,
}

/// Real files are four deep; 64 KiB without aliases stay below the nodes.
const USER_DATA: Limits = Limits {
    depth: 32,
    nodes: 70_000,
    bytes: 1 << 20,
};
/// Terraform nests a module in a module; CloudFormation takes a template of 1 MB.
const TEMPLATE: Limits = Limits {
    depth: 64,
    nodes: 300_000,
    bytes: 4 << 20,
};

/// What becomes of a template's own tags, such as `!Sub`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Tags {
    /// They mean that a template was not expanded.
    Refuse,
    /// This is the template, which may also be larger than user data.
    Keep,
}

impl Tags {
    fn limits(self) -> &'static Limits {
        match self {
            Self::Refuse => &USER_DATA,
            Self::Keep => &TEMPLATE,
        }
    }
}

/// Reads the one document of `text`, which is the `source`th text; `None` inside when there is nothing in it.
pub(in crate::config) fn load(
    text: &str,
    source: u16,
    tags: Tags,
    problems: &mut Vec<Problem>,
) -> Result<Option<Node>, Problem> {
    let mut loader = Loader {
        tags,
        lines: text::lines(text).collect(),
        has_holes: text.contains(HOLE),
        problems,
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        documents: 0,
        size: Size::default(),
    };
    let mut parser = Parser::new(StrInput::new(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = event
            .map_err(|error| explain::syntax(&loader.lines, &error, place(*error.marker()).of(source)))?;
        loader.event(event, place(span.start).of(source), place(span.end).of(source))?;
    }
    Ok(loader.root)
}

fn place(mark: Marker) -> Place {
    Place::new(mark.line().max(1), mark.col() + 1)
}

/// What a subtree costs to copy.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// A collection that is still open.
struct Frame {
    place: Place,
    anchor: usize,
    before: Size,
    broken: bool,
    tag: Option<String>,
    open: Open,
}

enum Open {
    Seq(Vec<Node>),
    Map {
        own: Vec<Entry>,
        merged: Vec<Entry>,
        key: Option<Key>,
    },
}

/// The key whose value comes next.
enum Key {
    Named(Scalar, Place, Place),
    Merge,
    Broken,
}

struct Loader<'t, 'p> {
    tags: Tags,
    lines: Vec<&'t str>,
    has_holes: bool,
    problems: &'p mut Vec<Problem>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Node, Size)>,
    root: Option<Node>,
    documents: usize,
    size: Size,
}

impl Loader<'_, '_> {
    fn event(&mut self, event: Event<'_>, at: Place, end: Place) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(at),
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text.into_owned(), style, tag.as_deref(), (at, end));
                let bytes = if let Kind::Scalar(scalar) = &node.kind {
                    scalar.text.len()
                } else {
                    0
                };
                let size = Size {
                    nodes: 1,
                    bytes,
                    depth: 0,
                };
                self.spend(size, at)?;
                self.complete(node, anchor, size)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(
                        Problem::error(Code::Alias, "this alias refers to a value that contains it").at(at),
                    );
                };
                self.spend(size, at)?;
                self.complete(node, 0, size)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Open::Seq(Vec::new()), "seq", tag.as_deref(), anchor, at)
            }
            Event::MappingStart(anchor, tag) => {
                let open = Open::Map {
                    own: Vec::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.open(open, "map", tag.as_deref(), anchor, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(end),
        }
    }

    fn document(&mut self, at: Place) -> Result<(), Problem> {
        self.documents += 1;
        if self.documents < 2 {
            return Ok(());
        }
        Err(
            Problem::error(Code::SecondDocument, "a second YAML document begins here")
                .at(at)
                .help("put everything into one document; `---` can stand right after the header only"),
        )
    }

    /// Counts what is added, copies included.
    fn spend(&mut self, size: Size, at: Place) -> Result<(), Problem> {
        self.size.nodes += size.nodes;
        self.size.bytes += size.bytes;
        let limits = self.tags.limits();
        if self.stack.len() + size.depth > limits.depth {
            return Err(explain::too_deep(at));
        }
        if self.size.nodes > limits.nodes || self.size.bytes > limits.bytes {
            return Err(
                Problem::error(Code::Limit, "the text expands to more than monopod reads")
                    .at(at)
                    .help("use fewer aliases: each one stands for a whole copy"),
            );
        }
        Ok(())
    }

    fn open(
        &mut self,
        open: Open,
        own: &str,
        tag: Option<&Tag>,
        anchor: usize,
        at: Place,
    ) -> Result<(), Problem> {
        let before = self.size;
        let kept = self.kept(tag);
        let broken = match tag {
            None => false,
            Some(_) if kept.is_some() => false,
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => false,
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == own => false,
            Some(tag) => {
                self.report_tag(tag, at);
                true
            }
        };
        self.stack.push(Frame {
            place: at,
            anchor,
            before,
            broken,
            tag: kept,
            open,
        });
        self.spend(
            Size {
                nodes: 1,
                ..Size::default()
            },
            at,
        )
    }

    /// The name of a tag that is the template's own.
    fn kept(&self, tag: Option<&Tag>) -> Option<String> {
        tag.filter(|tag| self.tags == Tags::Keep && tag.handle == "!")
            .map(|tag| tag.suffix.clone())
    }

    fn close(&mut self, end: Place) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let kind = match frame.open {
            _ if frame.broken => Kind::Broken,
            Open::Seq(nodes) => Kind::Seq(nodes),
            Open::Map { own, merged, .. } => Kind::Map(self.merge(merged, own)),
        };
        let node = Node {
            place: frame.place,
            end,
            tag: frame.tag,
            kind,
        };
        let size = Size {
            nodes: self.size.nodes - frame.before.nodes,
            bytes: self.size.bytes - frame.before.bytes,
            depth: depth(&node),
        };
        self.complete(node, frame.anchor, size)
    }

    /// A finished node goes to the collection it stands in.
    fn complete(&mut self, node: Node, anchor: usize, size: Size) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let (map_place, Open::Map { own, merged, key }) = (frame.place, &mut frame.open) else {
            if let Open::Seq(nodes) = &mut frame.open {
                nodes.push(node);
            }
            return Ok(());
        };
        match key.take() {
            Some(Key::Named(scalar, place, end)) => {
                let name = scalar.python_str();
                own.push(Entry {
                    name,
                    key: scalar,
                    place,
                    end,
                    value: at_key(node, place),
                });
            }
            Some(Key::Merge) => merged.extend(mergeable(node)?),
            Some(Key::Broken) => {}
            None => {
                let template = self
                    .lines
                    .get(map_place.line - 1)
                    .is_some_and(|line| line.chars().skip(map_place.column - 1).take(2).eq("{{".chars()));
                match as_key(node, template) {
                    Ok(taken) => *key = Some(taken),
                    Err(problem) => {
                        frame.broken |= template;
                        *key = Some(Key::Broken);
                        self.problems.extend(problem);
                    }
                }
            }
        }
        Ok(())
    }

    /// Own keys over merged ones; the last of two equal keys counts, with a warning if both are own.
    fn merge(&mut self, merged: Vec<Entry>, own: Vec<Entry>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(merged.len() + own.len());
        let mut known: HashMap<(bool, String), (usize, bool)> = HashMap::new();
        let all = merged
            .into_iter()
            .map(|entry| (entry, false))
            .chain(own.into_iter().map(|entry| (entry, true)));
        for (entry, is_own) in all {
            // `80` and `'80'` are two keys to Python.
            let identity = (entry.key.value == Resolved::Str, entry.name.clone());
            let Some((index, was_own)) = known.get_mut(&identity) else {
                known.insert(identity, (entries.len(), is_own));
                entries.push(entry);
                continue;
            };
            let both_own = is_own && *was_own;
            *was_own = is_own;
            let Some(earlier) = entries.get_mut(*index) else {
                continue;
            };
            if both_own {
                let problem = explain::duplicate(&entry, earlier, path(&self.stack, &entry.name));
                self.problems.push(problem);
            }
            *earlier = entry;
        }
        entries
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        (at, end): (Place, Place),
    ) -> Node {
        let unquoted = style == ScalarStyle::Plain;
        let kept = self.kept(tag);
        let node = |kind, tag| Node {
            place: at,
            end,
            tag,
            kind,
        };
        // Only what stands in the text itself is one: a user's escape may spell the same character.
        if self.has_holes && text.contains(HOLE) {
            return node(Kind::Hole, kept);
        }
        let value = match tag {
            Some(_) if kept.is_some() => Ok(Resolved::Str),
            // A lone `!` makes PyYAML resolve even a quoted text.
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => resolve::plain(&text),
            Some(tag) if tag.is_yaml_core_schema() => match resolve::tagged(&tag.suffix, &text) {
                Some(value) => value,
                None => return node(self.unknown_tag(tag, at), None),
            },
            Some(tag) => return node(self.unknown_tag(tag, at), None),
            None if unquoted => resolve::plain(&text),
            None => Ok(Resolved::Str),
        };
        let kind = match value {
            Ok(value) => Kind::Scalar(Scalar {
                text,
                value,
                plain: unquoted && tag.is_none(),
            }),
            Err(Unreadable(what)) => {
                let problem = Problem::error(
                    Code::Unreadable,
                    format!("this reads as {what}, but there is no such value"),
                )
                .at(at)
                .help("put it in quotes if it is meant as text");
                self.problems.push(with_path(problem, &self.stack));
                Kind::Broken
            }
        };
        node(kind, kept)
    }

    fn unknown_tag(&mut self, tag: &Tag, at: Place) -> Kind {
        self.report_tag(tag, at);
        Kind::Broken
    }

    fn report_tag(&mut self, tag: &Tag, at: Place) {
        let problem = if tag.handle == "!" {
            Problem::error(
                Code::Template,
                format!(
                    "the tag `!{}` belongs to a template that was not expanded",
                    tag.suffix
                ),
            )
            .help("render the template (CloudFormation, Senza) before the text becomes user data")
        } else {
            Problem::error(
                Code::Tag,
                format!("the YAML tag `!!{}` is not available here", tag.suffix),
            )
            .help("leave the tag out; !!str, !!int, !!float, !!bool, !!null and !!timestamp are known")
        };
        self.problems.push(with_path(problem.at(at), &self.stack));
    }
}

/// The dotted path of `name` inside the collections that are open.
fn path(stack: &[Frame], name: &str) -> String {
    let mut parts: Vec<String> = open_keys(stack);
    parts.push(name.to_owned());
    parts.join(".")
}

fn with_path(problem: Problem, stack: &[Frame]) -> Problem {
    let parts = open_keys(stack);
    if parts.is_empty() {
        problem
    } else {
        problem.key(parts.join("."))
    }
}

fn open_keys(stack: &[Frame]) -> Vec<String> {
    let key = |frame: &Frame| match &frame.open {
        Open::Map {
            key: Some(Key::Named(scalar, ..)),
            ..
        } => Some(scalar.python_str()),
        _ => None,
    };
    stack.iter().filter_map(key).collect()
}

/// A value that isn't there has no place of its own.
fn at_key(mut node: Node, key: Place) -> Node {
    if let Kind::Scalar(Scalar {
        text,
        value: Resolved::Null,
        ..
    }) = &node.kind
        && text.is_empty()
    {
        node.place = key;
        node.end = key;
    }
    node
}

fn as_key(node: Node, template_opens: bool) -> Result<Key, Option<Problem>> {
    let at = node.place;
    match node.kind {
        Kind::Scalar(scalar) if scalar.plain && scalar.text == "<<" => Ok(Key::Merge),
        Kind::Scalar(scalar) if scalar.plain && scalar.text.starts_with(char::is_whitespace) => {
            Err(Some(explain::no_break_space(at)))
        }
        Kind::Scalar(scalar) => Ok(Key::Named(scalar, at, node.end)),
        Kind::Map(_) if template_opens => Err(Some(explain::template(at))),
        Kind::Seq(_) | Kind::Map(_) => Err(Some(
            Problem::error(Code::KeyForm, "a list or a map cannot be a key").at(at),
        )),
        Kind::Broken | Kind::Hole => Err(None),
    }
}

/// What a merge key brings in, the least important first.
fn mergeable(node: Node) -> Result<Vec<Entry>, Problem> {
    let refused = |at| Err(Problem::error(Code::Alias, "`<<` takes a map or a list of maps").at(at));
    match node.kind {
        Kind::Map(entries) => Ok(entries),
        Kind::Seq(nodes) => {
            let mut all = Vec::new();
            for node in nodes.into_iter().rev() {
                match node.kind {
                    Kind::Map(entries) => all.extend(entries),
                    Kind::Broken | Kind::Hole => {}
                    Kind::Scalar(_) | Kind::Seq(_) => return refused(node.place),
                }
            }
            Ok(all)
        }
        Kind::Broken | Kind::Hole => Ok(Vec::new()),
        Kind::Scalar(_) => refused(node.place),
    }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) | Kind::Broken | Kind::Hole => 0,
        Kind::Seq(nodes) => 1 + nodes.iter().map(depth).max().unwrap_or_default(),
        Kind::Map(entries) => {
            1 + entries
                .iter()
                .map(|entry| depth(&entry.value))
                .max()
                .unwrap_or_default()
        }
    }
}
