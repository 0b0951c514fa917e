//! Who runs: application, version, runtime, image, and who is told.

use super::super::image::ImageRef;
use super::super::problem::{Code, Problem};
use super::Checker;
use super::fates::asks_for_nothing;
use super::field::Field;
use crate::lifecycle::{SignWith, SignalTarget};

impl Checker<'_> {
    pub(super) fn runtime(&mut self) {
        let Some(field) = self.field("runtime") else {
            return;
        };
        let Some(read) = self.take(field.text()) else {
            return;
        };
        let text = self.warned(read);
        if text == "Docker" {
            return;
        }
        let problem = if text.eq_ignore_ascii_case("docker") {
            field.warning(
                Code::Coerced,
                "`runtime` is written `Docker`, and is taken as that",
            )
        } else {
            field.error(Code::BadValue, "`runtime` has to be `Docker`")
        };
        self.report(problem.help("write `runtime: Docker`, or leave the key out"));
    }

    pub(super) fn application_id(&mut self) -> Option<String> {
        let field = self.required("application_id", "write `application_id: my-app`")?;
        let read = self.take(field.text())?;
        let text = self.warned(read);
        if is_application_id(&text) {
            return Some(text);
        }
        let message = "`application_id` is lower-case letters, digits and dashes, begins with a letter \
                       and does not end in a dash";
        self.report(unexpanded(&field, &text, field.error(Code::BadValue, message)));
        None
    }

    pub(super) fn application_version(&mut self) -> Option<String> {
        let field = self.required("application_version", "write `application_version: \"1.0\"`")?;
        let read = self.take(field.text())?;
        let text = self.warned(read);
        if is_application_version(&text) {
            return Some(text);
        }
        let message = "`application_version` is letters, digits, dots, dashes and underscores, \
                       with a letter or digit first and last";
        self.report(unexpanded(&field, &text, field.error(Code::BadValue, message)));
        None
    }

    pub(super) fn source(&mut self) -> Option<ImageRef> {
        let field = self.required("source", "write `source: registry.example.org/team/app:1.0`")?;
        let read = self.take(field.text())?;
        let text = self.warned(read);
        let image = match ImageRef::parse(&text) {
            Ok(image) => image,
            Err(error) => {
                let problem = field
                    .error(Code::ImageReference, format!("`source`: {error}"))
                    .help("write registry/repository:tag, such as registry.example.org/team/app:1.0");
                self.report(unexpanded(&field, &text, problem));
                return None;
            }
        };
        let refused = match (image.tag(), image.digest()) {
            (None, None) => Some("`source` has neither tag nor digest, which means `latest`"),
            // What is pinned cannot change, whatever its tag is called.
            (_, Some(_)) => None,
            (Some("latest"), None) => Some("`source` has the tag `latest`"),
            (Some(tag), None) if tag.contains("SNAPSHOT") => Some("`source` has a SNAPSHOT tag"),
            _ => None,
        };
        if let Some(message) = refused {
            let help = "name a tag that is never pushed twice, best with its digest: two machines have to run the same image";
            self.report(field.error(Code::MutableImage, message).help(help));
            return None;
        }
        Some(image)
    }

    /// Read and checked even where the rest is wrong: somebody waits to be told.
    pub(super) fn notify_cfn(&mut self) -> Option<SignalTarget> {
        let field = self
            .field("notify_cfn")
            .filter(|field| !asks_for_nothing(field))?;
        let section = self.section(field)?;
        let stack = section.get("stack").and_then(|field| self.word(&field));
        let resource = section.get("resource").and_then(|field| self.word(&field));
        let sign = section.get("sign").and_then(|field| self.choice(&field));
        let wait_handle = section.get("wait_handle").and_then(|field| self.read_url(&field));
        Some(SignalTarget {
            stack: stack?,
            resource: resource?,
            sign: match sign {
                Some("role") => SignWith::Role,
                _ => SignWith::Instance,
            },
            wait_handle,
        })
    }

    pub(super) fn deployment_id(&mut self) -> Option<String> {
        let field = self.field("deployment_id")?;
        self.word(&field)
    }

    /// The image's policy may say so too; the stricter of the two counts.
    pub(super) fn unknown_keys(&mut self) {
        let Some(field) = self.field("unknown_keys") else {
            return;
        };
        if self.choice(&field) == Some("deny") && self.deny_unknown.is_none() {
            self.deny_unknown = Some(Some(field.node.place));
        }
    }
}

/// Two braces tell why the text cannot be read.
fn unexpanded(field: &Field<'_>, text: &str, problem: Problem) -> Problem {
    if !text.contains("{{") && !text.contains("${") {
        return problem;
    }
    field
        .error(
            Code::Template,
            format!("`{}` holds a template that was not expanded", field.path),
        )
        .help("render the template before the text becomes user data")
}

/// `^[a-z][a-z0-9-]*[a-z0-9]$`
fn is_application_id(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$`
fn is_application_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
