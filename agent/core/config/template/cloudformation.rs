//! User data in a CloudFormation template, YAML or JSON.
//!
//! Looked for where AWS takes it: launch templates, launch configurations and instances. A script or a
//! cloud-config beside ours is another machine's business and passed over.

use super::super::problem::{Code, Problem};
use super::super::yaml::{Entry, Kind, Node};
use super::super::{On, Report};
use super::intrinsic::{Argument, Choice, Eval, Names, conditions};
use super::source::Source;
use super::text::{self, Text};
use super::{Found, Template, child, signal};

/// One resource of the template.
pub(super) struct Resource<'n> {
    pub(super) name: &'n str,
    pub(super) kind: &'n str,
    pub(super) body: &'n Node,
}

/// Whether this is a CloudFormation template at all.
pub(super) fn is_template(root: &Node) -> bool {
    !resources(root).is_empty()
}

/// The resources that say their type.
pub(super) fn resources(root: &Node) -> Vec<Resource<'_>> {
    entries(child(root, "Resources"))
        .iter()
        .filter_map(|entry| {
            let kind = child(&entry.value, "Type").and_then(|kind| Argument::of(kind).word())?;
            kind.contains("::").then_some(Resource {
                name: &entry.name,
                kind,
                body: &entry.value,
            })
        })
        .collect()
}

pub(super) fn entries(node: Option<&Node>) -> &[Entry] {
    match node.map(|node| &node.kind) {
        Some(Kind::Map(entries)) => entries,
        _ => &[],
    }
}

/// Checks every user data of the template.
pub(super) fn check(root: &Node, source: &Source, on: On<'_>, template: &mut Template) {
    let names = names(root);
    let resources = resources(root);
    let mut signalled = Vec::new();
    for resource in &resources {
        let within: &[&str] = match resource.kind {
            "AWS::EC2::LaunchTemplate" => &["LaunchTemplateData", "UserData"],
            "AWS::AutoScaling::LaunchConfiguration" | "AWS::EC2::Instance" => &["UserData"],
            _ => continue,
        };
        let Some(properties) = child(resource.body, "Properties") else {
            continue;
        };
        let path = format!("Resources.{}.Properties.{}", resource.name, within.join("."));
        for node in descend(properties, within) {
            let mut value = Value {
                path: &path,
                source,
                names: &names,
                on,
                template,
                notifies: false,
            };
            value.check(node);
            if value.notifies {
                signalled.push(resource.name);
            }
        }
    }
    signal::check(&resources, &signalled, template);
}

/// The value at a path, in both branches of an `Fn::If` on the way.
fn descend<'n>(node: &'n Node, path: &[&str]) -> Vec<&'n Node> {
    let Some((first, rest)) = path.split_first() else {
        return vec![node];
    };
    let branches = match Argument::of(node).call() {
        Some(call) if call.name == "Fn::If" => call.argument.items().and_then(|items| items.get(1..)),
        _ => None,
    };
    match branches {
        Some(branches) => branches.iter().flat_map(|branch| descend(branch, path)).collect(),
        None => child(node, first).map_or_else(Vec::new, |node| descend(node, rest)),
    }
}

fn names(root: &Node) -> Names {
    let mut names = Names {
        open: child(root, "Transform").is_some(),
        ..Names::default()
    };
    for entry in entries(child(root, "Resources")) {
        names.open |= entry.name.starts_with("Fn::");
        names.known.insert(entry.name.clone(), None);
    }
    for entry in entries(child(root, "Parameters")) {
        let kind = child(&entry.value, "Type").and_then(|kind| Argument::of(kind).word());
        names
            .known
            .insert(entry.name.clone(), Some(kind.unwrap_or("String").to_owned()));
    }
    names
}

/// One `UserData` of a resource.
struct Value<'t> {
    path: &'t str,
    source: &'t Source,
    names: &'t Names,
    on: On<'t>,
    template: &'t mut Template,
    /// Whether the stack is told about the boot.
    notifies: bool,
}

/// What a `UserData` says under one choice of conditions.
enum Said {
    Nothing,
    Foreign,
    /// All of it comes from elsewhere.
    Elsewhere,
    Ours(Box<Report>),
}

impl Value<'_> {
    fn check(&mut self, node: &Node) {
        let mut asked = Vec::new();
        conditions(Argument::of(node), &mut asked);
        let mut report: Option<Report> = None;
        let mut problems = Vec::new();
        let (mut foreign, mut elsewhere) = (false, false);
        for choice in Choice::all(&asked) {
            match self.read(node, &choice, &mut problems) {
                Said::Nothing => {}
                Said::Foreign => foreign = true,
                Said::Elsewhere => elsewhere = true,
                Said::Ours(other) => match &mut report {
                    Some(report) => text::merge(report, *other),
                    None => report = Some(*other),
                },
            }
        }
        self.template.foreign |= foreign;
        if elsewhere {
            problems.push(
                Problem::warning(
                    Code::NotInTemplate,
                    "the user data comes whole from elsewhere, and cannot be checked here",
                )
                .at(node.place)
                .key(self.path)
                .help("check the text itself with `monopod validate`"),
            );
        }
        // A script's names and shapes are as little our business as the script.
        if report.is_some() || !foreign {
            self.template.add(problems);
        }
        if let Some(report) = report {
            self.template.found.push(Found {
                path: self.path.to_owned(),
                report,
            });
        }
    }

    fn read(&mut self, node: &Node, choice: &Choice, problems: &mut Vec<Problem>) -> Said {
        let mut eval = Eval {
            source: self.source,
            names: self.names,
            choice,
            problems,
            key: self.path,
        };
        let mut argument = Argument::of(node);
        let mut encoded = false;
        while let Some(call) = argument.call() {
            match call.name.as_str() {
                "Fn::Base64" if !encoded => {
                    encoded = true;
                    argument = call.argument;
                }
                "Fn::If" => match eval.branch(call.argument) {
                    Some(branch) => argument = Argument::of(branch),
                    None => break,
                },
                _ => break,
            }
        }
        if eval.is_no_value(argument) {
            return Said::Nothing;
        }
        let place = argument.node.place;
        let mut text = Text::new(place);
        let before = eval.problems.len();
        eval.append(argument, &mut text);
        if text.is_hole() {
            let readable = problems.len() == before;
            return if readable { Said::Elsewhere } else { Said::Nothing };
        }
        if text.is_foreign() {
            return Said::Foreign;
        }
        if !encoded {
            if let Some(bytes) = text.decoded() {
                if text::is_foreign(&String::from_utf8_lossy(&bytes)) {
                    return Said::Foreign;
                }
                let report = text::check_opaque(&bytes, place, self.on);
                self.notifies |= report.notify_cfn.is_some();
                return Said::Ours(Box::new(report));
            }
            problems.push(
                Problem::error(Code::NotBase64, "the user data is not Base64, which AWS wants")
                    .at(place)
                    .key(self.path)
                    .help("put it inside `Fn::Base64`"),
            );
        }
        self.notifies |= text.has_key("notify_cfn");
        Said::Ours(Box::new(text.check(self.on)))
    }
}
