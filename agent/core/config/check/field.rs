//! One value with its path, and the readings that many keys share.
//!
//! No message here quotes the value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Entry, Kind, Node, Resolved, Scalar};
use crate::secret::Ciphertext;

/// What stands before a KMS ciphertext.
pub(super) const KMS_PREFIX: &str = "aws:kms:";

/// A value, where its key stands, and the key's dotted path.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) key_place: Place,
    pub(super) node: &'n Node,
}

impl<'n> Field<'n> {
    pub(super) fn top(entry: &'n Entry) -> Self {
        Self {
            path: entry.name.clone(),
            key_place: entry.place,
            node: &entry.value,
        }
    }

    pub(super) fn child(&self, entry: &'n Entry) -> Self {
        Self {
            path: format!("{}.{}", self.path, entry.name),
            key_place: entry.place,
            node: &entry.value,
        }
    }

    pub(super) fn item(&self, node: &'n Node) -> Self {
        Self {
            path: self.path.clone(),
            key_place: self.key_place,
            node,
        }
    }

    pub(super) fn error(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::error(code, message)
            .at(self.node.place)
            .key(self.path.clone())
    }

    pub(super) fn warning(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::warning(code, message)
            .at(self.node.place)
            .key(self.path.clone())
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(
            &self.node.kind,
            Kind::Scalar(Scalar {
                value: Resolved::Null,
                ..
            })
        )
    }

    /// Whether there is nothing to check: already reported, or filled in later.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.node.kind, Kind::Broken | Kind::Hole)
    }

    /// A list's items, a scalar or a map being of the wrong type.
    pub(super) fn items(&self) -> Result<Vec<Field<'n>>, Problem> {
        match &self.node.kind {
            Kind::Seq(nodes) => Ok(nodes.iter().map(|node| self.item(node)).collect()),
            Kind::Broken | Kind::Hole => Ok(Vec::new()),
            _ => Err(self
                .wrong_type("a list")
                .help(format!("write `{}: [FIRST, SECOND]`", self.path))),
        }
    }

    /// A map's entries.
    pub(super) fn entries(&self) -> Result<&'n [Entry], Problem> {
        match &self.node.kind {
            Kind::Map(entries) => Ok(entries),
            Kind::Broken | Kind::Hole => Ok(&[]),
            _ => Err(self.wrong_type("a map")),
        }
    }

    pub(super) fn wrong_type(&self, wanted: &str) -> Problem {
        self.error(
            Code::WrongType,
            format!("`{}` has to be {wanted}, but is {}", self.path, self.what()),
        )
    }

    /// The value's type in words.
    pub(super) fn what(&self) -> &'static str {
        match &self.node.kind {
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Broken | Kind::Hole => "unreadable",
            Kind::Scalar(scalar) => match scalar.value {
                Resolved::Null => "empty",
                Resolved::Bool(_) => "a boolean",
                Resolved::Int(_) => "a number",
                Resolved::Float(_) => "a fraction",
                Resolved::Stamp(_) => "a date",
                Resolved::Str => "a string",
            },
        }
    }

    pub(super) fn scalar(&self) -> Option<&'n Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Seq(_) | Kind::Map(_) | Kind::Broken | Kind::Hole => None,
        }
    }

    /// A word: a string, or another scalar by the text it was written as, with a warning. No KMS value.
    pub(super) fn text(&self) -> Result<(String, Option<Problem>), Problem> {
        let scalar = self.scalar().filter(|scalar| scalar.value != Resolved::Null);
        let Some(scalar) = scalar else {
            return Err(self.wrong_type("a string"));
        };
        if scalar.text.starts_with(KMS_PREFIX) {
            let message = format!("a KMS value is not available for `{}` yet", self.path);
            let help = "KMS values can stand in `environment` and in the `auth` of `dockercfg`";
            return Err(self.error(Code::SecretNotHere, message).help(help));
        }
        let as_meant = match &scalar.value {
            Resolved::Str => true,
            Resolved::Int(digits) => *digits == scalar.text,
            _ => false,
        };
        let warning = (!as_meant).then(|| {
            self.warning(
                Code::SourceText,
                format!(
                    "`{}` reads as {} in YAML; it is taken as it is written",
                    self.path,
                    self.what()
                ),
            )
            .help("put it in quotes")
        });
        Ok((scalar.text.clone(), warning))
    }

    /// A boolean; a string that says one is taken with a warning.
    pub(super) fn flag(&self) -> Result<(bool, Option<Problem>), Problem> {
        let Some(scalar) = self.scalar() else {
            return Err(self.wrong_type("true or false"));
        };
        let value = match (&scalar.value, scalar.text.to_ascii_lowercase().as_str()) {
            (Resolved::Bool(value), _) => return Ok((*value, None)),
            (Resolved::Str, "true" | "yes" | "on") => true,
            (Resolved::Str, "false" | "no" | "off") => false,
            _ => return Err(self.wrong_type("true or false")),
        };
        let message = format!(
            "`{}` is a string that says {value}, and is taken as that",
            self.path
        );
        Ok((
            value,
            Some(self.warning(Code::Coerced, message).help("leave out the quotes")),
        ))
    }

    /// A boolean where a string is too dangerous to guess about.
    pub(super) fn strict_flag(&self) -> Result<bool, Problem> {
        match self.scalar().map(|scalar| &scalar.value) {
            Some(Resolved::Bool(value)) => Ok(*value),
            Some(Resolved::Str) => Err(self
                .wrong_type("true or false")
                .help("leave out the quotes; any string counted as true once, `\"false\"` included")),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A whole number in a range; a string of digits is one.
    pub(super) fn number(&self, least: u32, most: u32) -> Result<u32, Problem> {
        let digits = match self.scalar() {
            Some(Scalar {
                value: Resolved::Int(digits),
                ..
            }) => digits.as_str(),
            Some(Scalar {
                value: Resolved::Str,
                text,
                ..
            }) if is_digits(text) => text.as_str(),
            _ => return Err(self.wrong_type("a number")),
        };
        digits
            .parse()
            .ok()
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| {
                self.error(
                    Code::BadValue,
                    format!("`{}` has to be from {least} to {most}", self.path),
                )
            })
    }

    /// What follows `aws:kms:`; `None` when the text does not begin so.
    pub(super) fn ciphertext(&self, text: &str) -> Option<Result<Ciphertext, Problem>> {
        let encoded: String = text.strip_prefix(KMS_PREFIX)?.split_ascii_whitespace().collect();
        Some(match STANDARD.decode(encoded) {
            Ok(blob) if !blob.is_empty() => Ok(Ciphertext::new(blob)),
            Ok(_) => Err(self.bad_ciphertext("nothing follows `aws:kms:`")),
            Err(_) => Err(self.bad_ciphertext("what follows `aws:kms:` is not base64")),
        })
    }

    fn bad_ciphertext(&self, what: &str) -> Problem {
        self.error(Code::BadCiphertext, format!("`{}`: {what}", self.path))
            .help("paste the CiphertextBlob of `aws kms encrypt` whole, with its `=` at the end")
    }
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
