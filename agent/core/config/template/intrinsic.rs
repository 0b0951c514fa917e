//! CloudFormation's functions, as far as they put text together.
//!
//! `Fn::Join`, `Fn::Sub` and `Fn::If` are carried out; what any other function gives is a hole, and so is a
//! `Ref`. Both branches of an `Fn::If` are looked at: the caller goes through the [`Choice`]s.

use std::collections::BTreeMap;

use super::super::keys::nearest_of;
use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Entry, HOLE, Kind, Node};
use super::source::{Placed, Source};
use super::text::Text;

/// Of a name in `${}`; without a limit, a text full of `${` would be read again and again.
const MAX_NAME: usize = 512;

/// A node that is a call: `{Ref: X}`, `!Ref X`.
pub(super) struct Call<'n> {
    /// `Ref`, `Fn::Join`.
    pub(super) name: String,
    pub(super) argument: Argument<'n>,
}

/// What a function is given.
#[derive(Clone, Copy)]
pub(super) struct Argument<'n> {
    pub(super) node: &'n Node,
    /// The node's tag is the function itself.
    tag_spent: bool,
}

impl<'n> Argument<'n> {
    pub(super) fn of(node: &'n Node) -> Self {
        Self {
            node,
            tag_spent: false,
        }
    }

    /// The function this is a call of.
    pub(super) fn call(self) -> Option<Call<'n>> {
        if let (Some(tag), false) = (&self.node.tag, self.tag_spent) {
            let name = match tag.as_str() {
                "Ref" | "Condition" => tag.clone(),
                other => format!("Fn::{other}"),
            };
            return Some(Call {
                name,
                argument: Argument {
                    node: self.node,
                    tag_spent: true,
                },
            });
        }
        let Kind::Map(entries) = &self.node.kind else {
            return None;
        };
        let [entry] = entries.as_slice() else { return None };
        (entry.name == "Ref" || entry.name.starts_with("Fn::")).then(|| Call {
            name: entry.name.clone(),
            argument: Argument::of(&entry.value),
        })
    }

    /// The items of a list that stands here itself.
    pub(super) fn items(self) -> Option<&'n [Node]> {
        match &self.node.kind {
            Kind::Seq(nodes) if self.call().is_none() => Some(nodes),
            _ => None,
        }
    }

    /// The text of a scalar that stands here itself.
    pub(super) fn word(self) -> Option<&'n str> {
        match &self.node.kind {
            Kind::Scalar(scalar) if self.call().is_none() => Some(&scalar.text),
            _ => None,
        }
    }
}

/// The names a template defines.
#[derive(Default)]
pub(super) struct Names {
    /// With the type of a parameter; nothing for a resource.
    pub(super) known: BTreeMap<String, Option<String>>,
    /// A macro may define more.
    pub(super) open: bool,
}

/// Which branch every condition takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) others: bool,
    pub(super) flipped: Vec<String>,
}

impl Choice {
    pub(super) fn takes(&self, condition: &str) -> bool {
        self.others != self.flipped.iter().any(|flipped| flipped == condition)
    }

    /// The choices that show every branch, without trying every combination of many conditions.
    pub(super) fn all(conditions: &[String]) -> Vec<Self> {
        let choice = |others, flipped| Self { others, flipped };
        if conditions.is_empty() {
            return vec![choice(true, Vec::new())];
        }
        if conditions.len() <= 3 {
            return (0..1_usize << conditions.len())
                .map(|bits| {
                    let flipped = conditions
                        .iter()
                        .enumerate()
                        .filter(|(index, _)| bits & (1 << index) != 0)
                        .map(|(_, name)| name.clone());
                    choice(true, flipped.collect())
                })
                .collect();
        }
        let single = conditions
            .iter()
            .take(14)
            .map(|name| choice(true, vec![name.clone()]));
        [choice(true, Vec::new()), choice(false, Vec::new())]
            .into_iter()
            .chain(single)
            .collect()
    }
}

/// The conditions an `Fn::If` inside asks for.
pub(super) fn conditions(argument: Argument<'_>, found: &mut Vec<String>) {
    if let Some(call) = argument.call() {
        if call.name == "Fn::If"
            && let Some(name) = call
                .argument
                .items()
                .and_then(<[Node]>::first)
                .and_then(|first| Argument::of(first).word())
            && !found.iter().any(|known| known == name)
        {
            found.push(name.to_owned());
        }
        // The argument may be a function itself, such as `Fn::Base64: !If`.
        return conditions(call.argument, found);
    }
    inner(argument, found);
}

fn inner(argument: Argument<'_>, found: &mut Vec<String>) {
    match &argument.node.kind {
        Kind::Seq(nodes) => nodes
            .iter()
            .for_each(|node| conditions(Argument::of(node), found)),
        Kind::Map(entries) => entries
            .iter()
            .for_each(|entry| conditions(Argument::of(&entry.value), found)),
        Kind::Scalar(_) | Kind::Broken | Kind::Hole => {}
    }
}

/// Carries out the functions of one value.
pub(super) struct Eval<'t> {
    pub(super) source: &'t Source,
    pub(super) names: &'t Names,
    pub(super) choice: &'t Choice,
    pub(super) problems: &'t mut Vec<Problem>,
    pub(super) key: &'t str,
}

/// Somebody's values for `${X}`, from the map of an `Fn::Sub`.
type Values<'n> = &'n [Entry];

impl Eval<'_> {
    /// Appends what `argument` gives.
    pub(super) fn append(&mut self, argument: Argument<'_>, out: &mut Text) {
        if out.is_full() {
            return;
        }
        let at = argument.node.place;
        let Some(call) = argument.call() else {
            match &argument.node.kind {
                Kind::Scalar(scalar) => {
                    self.expand(&self.source.characters(argument.node, scalar), None, out);
                }
                Kind::Broken | Kind::Hole => out.hole(at),
                Kind::Seq(_) => self.misshapen(at, "a list stands where text is put together", out),
                Kind::Map(_) => self.misshapen(at, "a map stands where text is put together", out),
            }
            return;
        };
        match call.name.as_str() {
            "Ref" => self.reference(call.argument, at, out),
            "Fn::Join" => self.join(call.argument, at, out),
            "Fn::Sub" => self.substitute(call.argument, at, out),
            "Fn::If" => match self.branch(call.argument) {
                Some(branch) => self.append(Argument::of(branch), out),
                None => self.misshapen(at, "`Fn::If` takes a condition and two values", out),
            },
            _ => out.hole(at),
        }
    }

    /// The branch an `Fn::If` takes.
    pub(super) fn branch<'n>(&self, argument: Argument<'n>) -> Option<&'n Node> {
        let [condition, yes, no] = argument.items()? else {
            return None;
        };
        let condition = Argument::of(condition).word()?;
        Some(if self.choice.takes(condition) { yes } else { no })
    }

    fn misshapen(&mut self, at: Place, message: &str, out: &mut Text) {
        self.problems.push(
            Problem::error(Code::TemplateShape, message)
                .at(at)
                .key(self.key)
                .help("CloudFormation refuses it"),
        );
        out.hole(at);
    }

    fn reference(&mut self, argument: Argument<'_>, at: Place, out: &mut Text) {
        match argument.word() {
            Some("AWS::NoValue") => {}
            Some(name) => {
                self.resolve(name, at);
                out.hole(at);
            }
            None => out.hole(at),
        }
    }

    /// Reports a name that stands for nothing, or for what is no text.
    fn resolve(&mut self, name: &str, at: Place) {
        if name.starts_with("AWS::") || name.contains(HOLE) {
            return;
        }
        let base = name.split('.').next().unwrap_or(name);
        match self.names.known.get(base) {
            Some(Some(kind)) if kind.starts_with("List<") || kind == "CommaDelimitedList" => {
                self.problems.push(
                    Problem::error(
                        Code::TemplateShape,
                        format!("the parameter `{base}` is a list, and stands where text is put together"),
                    )
                    .at(at)
                    .key(self.key)
                    .help("join it with `Fn::Join`, or take one item with `Fn::Select`"),
                );
            }
            Some(_) => {}
            None if self.names.open => {}
            None => {
                let problem = Problem::error(
                    Code::UnknownName,
                    format!("the template defines neither a parameter nor a resource `{base}`"),
                )
                .at(at)
                .key(self.key);
                let near = nearest_of(base, self.names.known.keys().map(String::as_str));
                self.problems.push(match near {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help("write `${!NAME}` in `Fn::Sub` for text that is meant as `${NAME}`"),
                });
            }
        }
    }

    fn join(&mut self, argument: Argument<'_>, at: Place, out: &mut Text) {
        let Some([delimiter, list]) = argument.items() else {
            return self.misshapen(at, "`Fn::Join` takes a delimiter and a list", out);
        };
        let between: Vec<Placed> = match &delimiter.kind {
            Kind::Scalar(scalar) => self.source.characters(delimiter, scalar),
            _ => {
                return self.misshapen(
                    delimiter.place,
                    "the delimiter of `Fn::Join` has to be a string",
                    out,
                );
            }
        };
        let Some(items) = Argument::of(list).items() else {
            // A list that somebody else makes: `Fn::Split`, a parameter.
            return match Argument::of(list).call() {
                Some(_) => out.hole(list.place),
                None => self.misshapen(list.place, "`Fn::Join` takes a delimiter and a list", out),
            };
        };
        let mut first = true;
        for item in items {
            if self.is_no_value(Argument::of(item)) {
                continue;
            }
            if !first {
                // What is wrong between two items is best looked for where the next one begins.
                let between: Vec<Placed> = between.iter().map(|(c, _)| (*c, item.place)).collect();
                out.extend(&between);
            }
            first = false;
            self.append(Argument::of(item), out);
        }
    }

    /// Whether nothing at all comes of it, as of `Ref: AWS::NoValue`.
    pub(super) fn is_no_value(&self, argument: Argument<'_>) -> bool {
        let Some(call) = argument.call() else { return false };
        match call.name.as_str() {
            "Ref" => call.argument.word() == Some("AWS::NoValue"),
            "Fn::If" => self
                .branch(call.argument)
                .is_some_and(|branch| self.is_no_value(Argument::of(branch))),
            _ => false,
        }
    }

    fn substitute(&mut self, argument: Argument<'_>, at: Place, out: &mut Text) {
        let (pattern, values): (Argument<'_>, Values<'_>) = match argument.items() {
            Some([pattern, values]) => match &values.kind {
                Kind::Map(entries) => (Argument::of(pattern), entries),
                _ => {
                    return self.misshapen(values.place, "the second part of `Fn::Sub` has to be a map", out);
                }
            },
            Some(_) => return self.misshapen(at, "`Fn::Sub` takes a string, or a string and a map", out),
            None => (argument, &[]),
        };
        match &pattern.node.kind {
            Kind::Scalar(scalar) if pattern.call().is_none() => {
                let characters = self.source.characters(pattern.node, scalar);
                self.expand(&characters, Some(values), out);
            }
            Kind::Hole => out.hole(pattern.node.place),
            _ => self.misshapen(
                pattern.node.place,
                "`Fn::Sub` takes a string, or a string and a map",
                out,
            ),
        }
    }

    /// Puts a hole in the place of `{{resolve:...}}`. Of the text of an `Fn::Sub`, which comes with values, it replaces
    /// `${Name}` by its value or by a hole, and `${!Name}` by `${Name}`.
    fn expand(&mut self, mut characters: &[Placed], values: Option<Values<'_>>, out: &mut Text) {
        while let Some((first, rest)) = characters.split_first() {
            if first.0 == '{' && begins(rest, "{resolve:") {
                let end = rest.windows(2).position(|two| begins(two, "}}"));
                out.hole(first.1);
                characters = end.and_then(|end| rest.get(end + 2..)).unwrap_or_default();
                continue;
            }
            let opens = values.is_some() && first.0 == '$' && begins(rest, "{");
            let inside = rest.get(1..).unwrap_or_default();
            let end = inside.iter().take(MAX_NAME).position(|(c, _)| *c == '}');
            let (true, Some(end)) = (opens, end) else {
                out.extend(std::slice::from_ref(first));
                characters = rest;
                continue;
            };
            let (name, after) = inside.split_at_checked(end).unwrap_or((inside, &[]));
            characters = after.get(1..).unwrap_or_default();
            if name.first().is_some_and(|(c, _)| *c == '!') {
                out.extend(std::slice::from_ref(first));
                out.extend(rest.get(..1).unwrap_or_default());
                out.extend(name.get(1..).unwrap_or_default());
                out.extend(after.get(..1).unwrap_or_default());
                continue;
            }
            let name: String = name.iter().map(|(c, _)| *c).collect();
            let name = name.trim();
            match values.unwrap_or_default().iter().find(|entry| entry.name == name) {
                Some(entry) => self.append(Argument::of(&entry.value), out),
                None => {
                    self.resolve(name, first.1);
                    out.hole(first.1);
                }
            }
        }
    }
}

fn begins(characters: &[Placed], start: &str) -> bool {
    start
        .chars()
        .enumerate()
        .all(|(index, wanted)| characters.get(index).is_some_and(|(c, _)| *c == wanted))
}
