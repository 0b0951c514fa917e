//! User data inside a template: what somebody fills in later is a hole, the rest is checked at its place.
//!
//! ```text
//!                 ┌─► cloudformation ─ intrinsic ─┐
//! bytes ─► yaml ──┼─► terraform (JSON) ───────────┼─► text: user data with holes ─► parse ─► places moved back
//!          tree   │        template file ─────────┘      (source: where each character stands)
//!                 └─► senza ─► the map itself is checked
//! ```
//!
//! JSON is read as the YAML it is. What a template's function gives is not known here, so a value it stands in
//! counts as given; only what cannot be right whatever is filled in is an error.
//!
//! Invariants: every place in a [`Template`] is one of the template. As everywhere, no problem quotes a value.
//!
//! It deliberately checks no more of a template than its user data and how long the stack waits for it:
//! cfn-lint and `terraform validate` do the rest.

mod cloudformation;
mod intrinsic;
mod senza;
mod signal;
mod source;
mod terraform;
#[cfg(test)]
mod tests;
mod text;

use super::problem::{Code, Problem, Severity};
use super::yaml::{self, Kind, Node, Tags};
use super::{ImageLayer, On, Report};
use source::Source;

/// CloudFormation takes 1 MB.
const MAX_BYTES: usize = 1 << 20;

/// A template and the user data in it.
#[derive(Clone, Debug)]
pub struct Template {
    /// `CloudFormation template`, `Senza definition`, `Terraform plan`, `Terraform state` or `Terraform template file`.
    pub kind: &'static str,
    /// Every user data that is ours, in the order of the template.
    pub found: Vec<Found>,
    /// What concerns the template itself.
    pub problems: Vec<Problem>,
    /// There are scripts and the like, which are not ours.
    foreign: bool,
    /// The file's name and its text.
    name: String,
    text: String,
}

/// One user data of a template.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is: `Resources.AppServer.Properties.UserData`.
    pub path: String,
    /// What is wrong with it, at places of the template. There is no configuration if there are holes.
    pub report: Report,
}

impl Template {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            found: Vec::new(),
            problems: Vec::new(),
            foreign: false,
            name: String::new(),
            text: String::new(),
        }
    }

    /// What concerns the template itself, to be shown.
    pub fn own(&self) -> Report {
        Report::of(self.problems.clone(), &self.name, &self.text)
    }

    /// Adds what is not known yet: the branches of a condition share most of their text.
    fn add(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    fn finish(mut self, name: &str, text: &str) -> Self {
        name.clone_into(&mut self.name);
        text.clone_into(&mut self.text);
        for found in &mut self.found {
            found.report.now_in(name, text);
        }
        if self.found.is_empty() && self.problems.is_empty() {
            let problem = Problem::error(
                Code::NoUserData,
                format!("there is no user data for monopod in this {}", self.kind),
            );
            self.problems.push(problem.help(if self.foreign {
                "what it has is for machines of another kind; begin user data with the line #taupage-ami-config"
            } else {
                "user data is looked for in launch templates, launch configurations and instances, and in Senza's TaupageConfig"
            }));
        }
        self.problems.sort_by_key(|problem| problem.place);
        self
    }

    /// Every problem: the template's own, then those of each user data.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems
            .iter()
            .chain(self.found.iter().flat_map(|found| found.report.problems()))
    }

    /// Whether the template or any user data in it is refused.
    pub fn has_errors(&self) -> bool {
        self.all_problems()
            .any(|problem| problem.severity == Severity::Error)
    }
}

/// Reads a template; `None` when the bytes are none, so that they are read as user data. `origin` is the file's
/// name, which tells a file for Terraform's `templatefile` from user data.
pub fn templates(bytes: &[u8], origin: &str) -> Option<Template> {
    templates_on(bytes, origin, &ImageLayer::default())
}

/// The same, for machines of an image with defaults and a policy.
pub fn templates_on(bytes: &[u8], origin: &str, image: &ImageLayer<'_>) -> Option<Template> {
    let on = On { origin, image };
    let text = std::str::from_utf8(bytes).ok()?;
    if terraform::is_template_file(text, origin) {
        return Some(checked("Terraform template file", origin, text, |template| {
            if too_large(text, template) {
                return;
            }
            terraform::check_file(text, on, template);
        }));
    }
    let likely = likely(text)?;
    let mut early = Template::new(likely);
    if too_large(text, &mut early) {
        return Some(early.finish(origin, ""));
    }
    let (readable, unreadable) = if likely == SENZA {
        senza::with_holes(text)
    } else {
        (plain_json(text), Vec::new())
    };
    let mut problems = Vec::new();
    let root = match yaml::load(&readable, 0, Tags::Keep, &mut problems) {
        Ok(Some(root)) => root,
        Ok(None) => return None,
        Err(problem) => {
            early.add(unreadable.into_iter().chain([problem]));
            return Some(early.finish(origin, text));
        }
    };
    let source = Source::new(text);
    let kind = if senza::is_definition(&root) {
        SENZA
    } else if let Some(kind) = terraform::kind(&root) {
        kind
    } else if cloudformation::is_template(&root) {
        CLOUDFORMATION
    } else {
        return None;
    };
    Some(checked(kind, origin, text, |template| {
        template.add(unreadable.into_iter().chain(problems.into_iter().filter(is_ours)));
        if kind == SENZA {
            senza::check(&root, on, template);
        }
        if kind == SENZA || kind == CLOUDFORMATION {
            cloudformation::check(&root, &source, on, template);
        } else {
            terraform::check(&root, &source, on, template);
        }
    }))
}

const SENZA: &str = "Senza definition";
const CLOUDFORMATION: &str = "CloudFormation template";

fn checked(kind: &'static str, name: &str, text: &str, check: impl FnOnce(&mut Template)) -> Template {
    let mut template = Template::new(kind);
    check(&mut template);
    template.finish(name, text)
}

/// What the text looks like, so that a template with a mistake in its YAML is still called one. User data is none,
/// whatever its values say.
fn likely(text: &str) -> Option<&'static str> {
    let start: String = text.trim_start().chars().take(HEADER_START.len()).collect();
    if start.eq_ignore_ascii_case(HEADER_START) {
        return None;
    }
    let has = |word: &str| text.contains(word);
    if has("SenzaComponents") {
        Some(SENZA)
    } else if has("Resources") && (has("AWS::") || has("AWSTemplateFormatVersion")) {
        Some(CLOUDFORMATION)
    } else if has("\"format_version\"") && has("\"root_module\"") {
        Some("Terraform plan")
    } else {
        None
    }
}

const HEADER_START: &str = "#taupage-ami-config";

fn too_large(text: &str, template: &mut Template) -> bool {
    if text.len() <= MAX_BYTES {
        return false;
    }
    let message = format!(
        "{} KiB are too much; monopod reads templates of 1 MiB",
        text.len() / 1024
    );
    template.add([Problem::error(Code::TemplateTooLarge, message)]);
    true
}

/// Whether a problem of reading the tree is about user data; the rest of a template is not our business.
fn is_ours(problem: &Problem) -> bool {
    let inside = |key: &str| {
        ["UserData", "TaupageConfig", "user_data"]
            .iter()
            .any(|word| key.contains(word))
    };
    problem.key.as_deref().is_some_and(inside)
}

/// JSON where YAML reads it differently: a character beyond the first plane may be two escapes, which become blanks.
/// Nothing moves.
fn plain_json(text: &str) -> String {
    if !text.trim_start().starts_with('{') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let surrogate = found
            .get(..6)
            .and_then(|escape| escape.strip_prefix("\\u"))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .is_some_and(|code| (0xd800..=0xdfff).contains(&code));
        let (put, length) = if surrogate {
            ("\\u0020", 6)
        } else {
            // An escaped backslash begins no escape of its own.
            let length = 1 + found.chars().nth(1).map_or(0, char::len_utf8);
            (found.get(..length).unwrap_or(found), length)
        };
        out.push_str(put);
        rest = found.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The value of a map's key.
fn child<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    entries
        .iter()
        .find(|entry| entry.name == name)
        .map(|entry| &entry.value)
}
