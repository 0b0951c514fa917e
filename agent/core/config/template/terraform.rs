//! Terraform: the JSON of `terraform show -json`, and a file for `templatefile` that was not rendered.
//!
//! In JSON, user data stands in the attributes of the resources, as text or as Base64. In a template file `${...}`
//! becomes a hole; `%{...}` decides over whole lines, and only Terraform knows which: that is an error.

use super::super::On;
use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Kind, Node};
use super::intrinsic::Argument;
use super::source::{Placed, Source};
use super::text::{self, Text};
use super::{Found, Template, child};

const HEADER: &str = "#taupage-ami-config";
const RESOURCES: &[&str] = &["aws_instance", "aws_launch_template", "aws_launch_configuration"];
const ATTRIBUTES: &[&str] = &["user_data", "user_data_base64"];

/// `Terraform plan` or `Terraform state`, if that is what the tree is.
pub(super) fn kind(root: &Node) -> Option<&'static str> {
    child(root, "format_version")?;
    if child(root, "planned_values").is_some() {
        return Some("Terraform plan");
    }
    child(root, "values").map(|_| "Terraform state")
}

/// Checks the user data of every resource.
pub(super) fn check(root: &Node, source: &Source, on: On<'_>, template: &mut Template) {
    let values = child(root, "planned_values").or_else(|| child(root, "values"));
    let mut modules: Vec<&Node> = values
        .and_then(|values| child(values, "root_module"))
        .into_iter()
        .collect();
    while let Some(module) = modules.pop() {
        for resource in items(child(module, "resources")) {
            resource_data(root, resource, source, on, template);
        }
        modules.extend(items(child(module, "child_modules")).iter().rev());
    }
}

fn resource_data(root: &Node, resource: &Node, source: &Source, on: On<'_>, template: &mut Template) {
    let kind = child(resource, "type").and_then(|kind| Argument::of(kind).word());
    if !kind.is_some_and(|kind| RESOURCES.contains(&kind)) {
        return;
    }
    let address = child(resource, "address")
        .and_then(|address| Argument::of(address).word())
        .unwrap_or_default();
    for attribute in ATTRIBUTES {
        let path = format!("{address}.{attribute}");
        let value = child(resource, "values").and_then(|values| child(values, attribute));
        let text = value
            .and_then(|value| Argument::of(value).word())
            .filter(|text| !text.is_empty() && *text != "null");
        let (Some(value), Some(text)) = (value, text) else {
            if unknown(root, address, attribute) {
                template.add([elsewhere(
                    &path,
                    resource.place,
                    "it is known only after the apply",
                )]);
            }
            continue;
        };
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            template.add([elsewhere(&path, value.place, "the state holds only its hash")]);
            continue;
        }
        let report = match text::decode(text) {
            Some(bytes) if text::is_foreign(&String::from_utf8_lossy(&bytes)) => None,
            Some(bytes) => Some(text::check_opaque(&bytes, value.place, on)),
            None if text::is_foreign(text) => None,
            None => {
                let mut data = Text::new(value.place);
                if let Kind::Scalar(scalar) = &value.kind {
                    data.extend(&source.characters(value, scalar));
                }
                Some(data.check(on))
            }
        };
        match report {
            Some(report) => template.found.push(Found { path, report }),
            None => template.foreign = true,
        }
    }
}

fn elsewhere(path: &str, place: Place, why: &str) -> Problem {
    Problem::warning(
        Code::NotInTemplate,
        format!("`{path}` cannot be checked here: {why}"),
    )
    .at(place)
    .key(path)
    .help("render it with `terraform console`, or check the template file itself")
}

/// Whether the plan says that the attribute is not known yet.
fn unknown(root: &Node, address: &str, attribute: &str) -> bool {
    items(child(root, "resource_changes"))
        .iter()
        .filter(|change| {
            child(change, "address").and_then(|known| Argument::of(known).word()) == Some(address)
        })
        .filter_map(|change| child(change, "change"))
        .filter_map(|change| child(change, "after_unknown"))
        .filter_map(|after| child(after, attribute))
        .any(|known| Argument::of(known).word() == Some("true"))
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::Seq(nodes)) => nodes,
        _ => &[],
    }
}

/// Whether the file is one for `templatefile`, by its name or by its directives.
pub(super) fn is_template_file(text: &str, origin: &str) -> bool {
    let ours = text
        .trim_start()
        .get(..HEADER.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(HEADER));
    let named = |endings: &[&str]| endings.iter().any(|ending| origin.ends_with(ending));
    named(&[".tftpl"]) || (ours && (named(&[".tpl", ".tmpl"]) || directives(text).next().is_some()))
}

/// Checks a file for `templatefile`.
pub(super) fn check_file(text: &str, on: On<'_>, template: &mut Template) {
    let refused: Vec<Problem> = directives(text)
        .map(|place| {
            Problem::error(Code::Directive, "`%{` decides over whole lines, which only Terraform can do")
                .at(place)
                .help("render the file first, such as with `terraform console`, and check the result; `%%{` is `%{` itself")
        })
        .collect();
    if !refused.is_empty() {
        return template.add(refused);
    }
    let all = Source::new(text).all();
    let mut data = Text::new(Place::new(1, 1));
    expand(&all, &mut data);
    template.found.push(Found {
        path: "templatefile".to_owned(),
        report: data.check(on),
    });
}

/// Where Terraform's directives stand.
fn directives(text: &str) -> impl Iterator<Item = Place> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let mut from = 0;
        loop {
            let at = from + line.get(from..)?.find("%{")?;
            let word = line.get(at + 2..)?.trim_start_matches('~').trim_start();
            let known = ["if ", "else", "endif", "for ", "endfor"]
                .iter()
                .any(|known| word.starts_with(known));
            if known && !line.get(..at)?.ends_with('%') {
                return Some(Place::new(index + 1, line.get(..at)?.chars().count() + 1));
            }
            from = at + 2;
        }
    })
}

/// Replaces `${...}` by a hole; `$${` and `%%{` lose their first character.
fn expand(mut rest: &[Placed], out: &mut Text) {
    while let Some((first, after)) = rest.split_first() {
        let ahead = |index: usize| after.get(index).map(|(c, _)| *c);
        match (first.0, ahead(0), ahead(1)) {
            ('$', Some('$'), Some('{')) | ('%', Some('%'), Some('{')) => {
                out.extend(after.get(..2).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            ('$', Some('{'), _) => {
                out.hole(first.1);
                rest = after_interpolation(after.get(1..).unwrap_or_default());
            }
            _ => {
                out.extend(std::slice::from_ref(first));
                rest = after;
            }
        }
    }
}

/// What follows the brace that closes an expression; strings and inner braces are part of it.
fn after_interpolation(mut rest: &[Placed]) -> &[Placed] {
    let (mut depth, mut quoted, mut escaped) = (1_usize, false, false);
    while let Some(((c, _), after)) = rest.split_first() {
        rest = after;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return rest;
                }
            }
            _ => {}
        }
    }
    rest
}
