//! A Senza definition: the `TaupageConfig` of each `Senza::TaupageAutoScalingGroup`.
//!
//! Senza reads the file as YAML, and only then fills in `{{Arguments.X}}`: a `{{` that begins a value has to be in
//! quotes, or Senza itself stops. Mustache is replaced by holes of the same length, so that columns stay.
//! CloudFormation's functions inside the map are holes too; Senza adds `application_id`,
//! `application_version` and `notify_cfn` where they are left out.

use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Entry, HOLE, HOLE_END, Kind, Node, Resolved, Scalar};
use super::super::{On, Report, check_tree};
use super::cloudformation::{entries, is_template};
use super::intrinsic::Argument;
use super::{Found, Template, child, signal};

const GROUP: &str = "Senza::TaupageAutoScalingGroup";

/// Whether this is a Senza definition.
pub(super) fn is_definition(root: &Node) -> bool {
    child(root, "SenzaComponents").is_some()
}

/// The text with a hole for every `{{...}}`, and the places of those that Senza cannot read.
pub(super) fn with_holes(text: &str) -> (String, Vec<Problem>) {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let mut rest = line;
        while let Some((before, inside, after)) = rest.split_once("{{").and_then(|(before, rest)| {
            rest.split_once("}}")
                .map(|(inside, after)| (before, inside, after))
        }) {
            out.push_str(before);
            let column = line.chars().count() - rest.chars().count() + before.chars().count() + 1;
            let written = before.trim_end();
            if before.ends_with(' ') && !written.starts_with('#') && written.ends_with([':', '-']) {
                problems.push(
                    Problem::error(
                        Code::Template,
                        "a value that begins with `{{` is not YAML, which Senza reads first",
                    )
                    .at(Place::new(index + 1, column))
                    .help("put the value in quotes: \"{{Arguments.X}}\""),
                );
            }
            out.push(HOLE);
            // `{{` and `}}` leave two for the digits.
            out.extend(std::iter::repeat_n('0', inside.chars().count() + 2));
            out.push(HOLE_END);
            rest = after;
        }
        out.push_str(rest);
    }
    (out, problems)
}

/// Checks every Taupage group of the definition.
pub(super) fn check(root: &Node, on: On<'_>, template: &mut Template) {
    let Some(components) = child(root, "SenzaComponents") else {
        return;
    };
    let Kind::Seq(items) = &components.kind else {
        template.add([
            Problem::error(Code::TemplateShape, "`SenzaComponents` has to be a list")
                .at(components.place)
                .key("SenzaComponents"),
        ]);
        return;
    };
    let mut others = false;
    for component in items.iter().flat_map(|item| entries(Some(item))) {
        let kind = child(&component.value, "Type").and_then(|kind| Argument::of(kind).word());
        if kind != Some(GROUP) {
            others = true;
            continue;
        }
        let path = format!("SenzaComponents.{}.TaupageConfig", component.name);
        let Some(config) = child(&component.value, "TaupageConfig") else {
            template.add([Problem::error(
                Code::Missing,
                format!("`{}` has no `TaupageConfig`", component.name),
            )
            .at(component.place)
            .key(path)]);
            continue;
        };
        let report = check_config(config, component, &path, on, template);
        let requires =
            child(&component.value, "AutoScaling").and_then(|scaling| child(scaling, "SuccessRequires"));
        let (timeout, place) = match requires {
            Some(node) => (Argument::of(node).word().and_then(signal::senza), node.place),
            None => (signal::senza(""), component.place),
        };
        let key = format!("SenzaComponents.{}.AutoScaling.SuccessRequires", component.name);
        template.add(signal::senza_group(report.boot_timeout(), timeout, place, &key));
        template.found.push(Found { path, report });
    }
    // Its groups may all be of images that bring their own configuration.
    template.foreign |= others && !is_template(root);
}

fn check_config(config: &Node, group: &Entry, path: &str, on: On<'_>, template: &mut Template) -> Report {
    let mut config = config.clone();
    let mut tags = Vec::new();
    make_holes(&mut config, &mut tags);
    template.add(tags.into_iter().map(|place| {
        Problem::error(Code::Tag, "Senza does not know CloudFormation's short tags")
            .at(place)
            .key(path)
            .help("write the long form, such as `{Ref: Bucket}` or `{\"Fn::GetAtt\": [Bucket, Arn]}`")
    }));
    let place = config.place;
    let missing = add_defaults(&mut config, group);
    // What was found when the tree was read.
    let (inside, others): (Vec<Problem>, Vec<Problem>) = std::mem::take(&mut template.problems)
        .into_iter()
        .partition(|problem| short_key(problem, path).is_some());
    template.problems = others;
    let inside = inside.into_iter().map(|problem| Problem {
        key: short_key(&problem, path),
        ..problem
    });
    let mut report = check_tree(config, inside.collect(), on);
    for problem in &mut report.problems {
        problem.place.get_or_insert(place);
        if missing
            && problem
                .key
                .as_deref()
                .is_some_and(|key| key.starts_with("notify_cfn"))
        {
            problem.help = Some("Senza adds it where it is left out".to_owned());
        }
    }
    report.problems.sort_by_key(|problem| problem.place);
    report
}

/// The key below the map, as the user data will have it.
fn short_key(problem: &Problem, path: &str) -> Option<String> {
    let key = problem.key.as_deref()?.strip_prefix(path)?.strip_prefix('.')?;
    Some(key.to_owned())
}

/// Adds what Senza adds; says whether `notify_cfn` is among it.
fn add_defaults(config: &mut Node, group: &Entry) -> bool {
    let Kind::Map(entries) = &mut config.kind else {
        return false;
    };
    // Which stack it will be is known at the launch, and so is the application, where it is the stack's name.
    let given = |name: &str, kind: Kind| Entry {
        name: name.to_owned(),
        key: Scalar {
            text: name.to_owned(),
            value: Resolved::Str,
            plain: true,
        },
        place: group.place,
        end: group.end,
        value: Node {
            place: group.place,
            end: group.end,
            tag: None,
            kind,
        },
    };
    let signal = Kind::Map(vec![given("stack", Kind::Hole), given("resource", Kind::Hole)]);
    let defaults = [
        given("application_id", Kind::Hole),
        given("application_version", Kind::Hole),
        given("notify_cfn", signal),
    ];
    let mut notifies = false;
    for default in defaults {
        if !entries.iter().any(|entry| entry.name == default.name) {
            notifies |= default.name == "notify_cfn";
            entries.push(default);
        }
    }
    notifies
}

/// What CloudFormation or Senza looks up.
fn make_holes(node: &mut Node, tags: &mut Vec<Place>) {
    if node.tag.is_some() {
        tags.push(node.place);
        node.kind = Kind::Hole;
        return;
    }
    match &mut node.kind {
        Kind::Map(entries) => {
            let function = matches!(entries.as_slice(), [entry] if entry.name == "Ref" || entry.name.starts_with("Fn::"));
            let stack_output = ["Stack", "Output"]
                .iter()
                .all(|name| entries.iter().any(|entry| entry.name == *name));
            if function || stack_output {
                node.kind = Kind::Hole;
                return;
            }
            entries
                .iter_mut()
                .for_each(|entry| make_holes(&mut entry.value, tags));
        }
        Kind::Seq(nodes) => nodes.iter_mut().for_each(|node| make_holes(node, tags)),
        Kind::Scalar(_) | Kind::Broken | Kind::Hole => {}
    }
}
