//! One value with its path, and the readings that many keys share.
//!
//! No message here quotes the value.

use std::borrow::Cow;

use super::super::contract::{self, Shape};
use super::super::keys::nearest_of;
use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{Entry, Kind, Node, Resolved, Scalar};
use super::units;
use crate::secret::{NotAReference, Secret, SecretRef, SecretSource};

/// What stands between `aws:` and the next colon of a reference.
const STORES: &[&str] = &["kms", "ssm", "secretsmanager"];

/// A value, where its key stands, the key's dotted path, and what the contract says it may be.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) key_place: Place,
    pub(super) node: &'n Node,
    pub(super) shape: &'static Shape,
}

impl<'n> Field<'n> {
    pub(super) fn top(entry: &'n Entry) -> Self {
        Self {
            path: entry.name.clone(),
            key_place: entry.place,
            node: &entry.value,
            shape: contract::top(&entry.name).map_or(&Shape::Anything, |key| &key.shape),
        }
    }

    /// A whole text whose keys are those of `shape`.
    pub(super) fn root(node: &'n Node, shape: &'static Shape) -> Self {
        Self {
            path: String::new(),
            key_place: node.place,
            node,
            shape,
        }
    }

    pub(super) fn child(&self, entry: &'n Entry) -> Self {
        let name = shown_name(&entry.name);
        let path = if self.path.is_empty() {
            name.into_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self {
            path,
            key_place: entry.place,
            node: &entry.value,
            shape: self.shape.inside(&entry.name),
        }
    }

    pub(super) fn item(&self, node: &'n Node) -> Self {
        Self {
            path: self.path.clone(),
            key_place: self.key_place,
            node,
            shape: self.shape.item(),
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

    /// A word: a string, or another scalar by the text it was written as, with a warning. No secret.
    pub(super) fn text(&self) -> Result<(String, Option<Problem>), Problem> {
        let scalar = self.scalar().filter(|scalar| scalar.value != Resolved::Null);
        let Some(scalar) = scalar else {
            return Err(self.wrong_type("a string"));
        };
        if SecretRef::parse(&scalar.text).is_some() {
            return Err(self.no_secret_here());
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
            _ => return Err(self.no_flag(&scalar.text)),
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
            Some(Resolved::Str) => {
                let problem = self.no_flag(self.scalar().map_or("", |scalar| scalar.text.as_str()));
                Err(match problem.help {
                    Some(_) => problem,
                    None => problem
                        .help("leave out the quotes; any string counted as true once, `\"false\"` included"),
                })
            }
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// A word that is no boolean, and perhaps a slip of one.
    fn no_flag(&self, text: &str) -> Problem {
        const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off"];
        let problem = self.wrong_type("true or false");
        match nearest_of(text, WORDS.iter().copied()).filter(|near| *near != text) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        }
    }

    /// A whole number in the contract's range; a string of digits is one.
    pub(super) fn number(&self) -> Result<u32, Problem> {
        let (least, most) = self.shape.range();
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

    /// Bytes, as docker reads them.
    pub(super) fn size(&self) -> Result<u64, Problem> {
        let Some(text) = self.numeral() else {
            return Err(self.wrong_type("a size"));
        };
        let least = if let Shape::Size { least } = self.shape {
            *least
        } else {
            0
        };
        let wrong = |message: String| {
            self.error(Code::BadValue, message)
                .help(format!("write `{}: 256m`", self.path))
        };
        match units::bytes(&text) {
            Some(bytes) if bytes >= least => Ok(bytes),
            Some(_) => Err(wrong(format!(
                "`{}` has to be at least {}",
                self.path,
                crate::text::bytes(least)
            ))),
            None => Err(wrong(format!(
                "`{}` has to be a number of bytes, or one with b, k, m or g",
                self.path
            ))),
        }
    }

    /// Seconds, or a time with units.
    pub(super) fn time(&self) -> Result<u32, Problem> {
        let Some(text) = self.numeral() else {
            return Err(self.wrong_type("a time"));
        };
        let (least, most) = self.shape.range();
        units::seconds(&text)
            .filter(|seconds| (least..=most).contains(seconds))
            .ok_or_else(|| {
                self.error(
                    Code::BadValue,
                    format!(
                        "`{}` has to be a time from {} to {}",
                        self.path,
                        units::time(least),
                        units::time(most)
                    ),
                )
                .help(format!(
                    "write seconds, or a unit: `{}: 90s`, `15m`, `1h30m`",
                    self.path
                ))
            })
    }

    /// A number with a fraction, in billionths.
    pub(super) fn billionths(&self) -> Result<u64, Problem> {
        let Shape::Decimal {
            least_thousandths,
            most,
            ..
        } = self.shape
        else {
            return Err(self.wrong_type("a number"));
        };
        let Some(text) = self.numeral() else {
            return Err(self.wrong_type("a number"));
        };
        let least = u64::from(*least_thousandths) * 1_000_000;
        units::billionths(&text)
            .filter(|value| (least..=u64::from(*most) * 1_000_000_000).contains(value))
            .ok_or_else(|| {
                let message = format!(
                    "`{}` has to be a number from {} to {most}",
                    self.path,
                    f64::from(*least_thousandths) / 1000.0
                );
                self.error(Code::BadValue, message)
                    .help(format!("write `{}: 1.5`", self.path))
            })
    }

    /// A number as it is written, or the text of a string.
    fn numeral(&self) -> Option<String> {
        let scalar = self.scalar()?;
        match &scalar.value {
            Resolved::Int(digits) => Some(digits.clone()),
            Resolved::Float(_) | Resolved::Str => Some(scalar.text.clone()),
            Resolved::Null | Resolved::Bool(_) | Resolved::Stamp(_) => None,
        }
    }

    /// One of the contract's words.
    pub(super) fn choice(&self) -> Result<(&'static str, Option<Problem>), Problem> {
        let (text, warning) = self.text()?;
        let words = self.shape.words();
        match words.iter().find(|word| **word == text) {
            Some(word) => Ok((word, warning)),
            None => Err(self.no_choice(&text)),
        }
    }

    /// Says what the words are, and which of them is closest.
    pub(super) fn no_choice(&self, text: &str) -> Problem {
        let words = self.shape.words();
        let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let all = match all.split_last() {
            Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
            _ => all.join(""),
        };
        let problem = self.error(Code::BadValue, format!("`{}` has to be {all}", self.path));
        match nearest_of(text, words.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("write one of {all}")),
        }
    }

    /// A secret, encrypted or in clear.
    pub(super) fn secret(&self) -> Result<SecretSource, Problem> {
        let Some(scalar) = self.scalar().filter(|scalar| scalar.value != Resolved::Null) else {
            return Err(self.wrong_type("a string"));
        };
        match self.reference(&scalar.text) {
            Some(reference) => reference.map(SecretSource::Stored),
            None => Ok(SecretSource::Literal(Secret::new(scalar.text.clone()))),
        }
    }

    /// A list of strings, or one string that is split as a shell would.
    pub(super) fn words(&self) -> Result<Vec<String>, Problem> {
        let refuse = |text: &str, field: &Field<'_>| {
            if SecretRef::parse(text).is_some() {
                Err(field.no_secret_here())
            } else if text.contains('\0') {
                Err(field.error(Code::BadValue, format!("`{}` holds a NUL character", self.path)))
            } else {
                Ok(())
            }
        };
        if let Kind::Seq(nodes) = &self.node.kind {
            let mut words = Vec::with_capacity(nodes.len());
            for node in nodes {
                let item = self.item(node);
                let Some(scalar) = item.scalar().filter(|scalar| scalar.value != Resolved::Null) else {
                    return Err(item.error(
                        Code::WrongType,
                        format!("`{}` holds {}, not a string", item.path, item.what()),
                    ));
                };
                refuse(&scalar.text, &item)?;
                words.push(scalar.text.clone());
            }
            return Ok(words);
        }
        let Some(scalar) = self.scalar().filter(|scalar| scalar.value != Resolved::Null) else {
            return Err(self
                .wrong_type("a list of strings")
                .help(format!("write `{}: [PROGRAM, ARGUMENT]`", self.path)));
        };
        refuse(&scalar.text, self)?;
        let words = units::shell_words(&scalar.text).ok_or_else(|| {
            self.error(
                Code::BadValue,
                format!("a quote in `{}` is never closed", self.path),
            )
            .help(format!("write a list: `{}: [PROGRAM, ARGUMENT]`", self.path))
        })?;
        words.iter().try_for_each(|word| refuse(word, self))?;
        Ok(words)
    }

    /// It would be seen: in labels, in `docker inspect`, in the arguments that `ps` shows.
    fn no_secret_here(&self) -> Problem {
        let message = format!("`{}` is no place for a secret: it would be seen there", self.path);
        self.error(Code::SecretNotHere, message).help(
            "let the application read it from a file of `secrets` or `files`, or from a variable of `environment`",
        )
    }

    /// A reference to a secret; `None` when the text does not begin like one.
    pub(super) fn reference(&self, text: &str) -> Option<Result<SecretRef, Problem>> {
        Some(SecretRef::parse(text)?.map_err(|error| {
            let problem = |code| self.error(code, format!("`{}`: {error}", self.path));
            match error {
                NotAReference::NoCiphertext | NotAReference::Ciphertext => problem(Code::BadCiphertext).help(
                    "paste what `monopod encrypt` prints, or the CiphertextBlob of `aws kms encrypt`, whole, with its `=` at the end",
                ),
                NotAReference::ParameterName => {
                    problem(Code::SecretReference).help("write it like `aws:ssm:/my-app/db-password`")
                }
                NotAReference::SecretName
                | NotAReference::Query
                | NotAReference::Option(_)
                | NotAReference::Twice
                | NotAReference::StageAndVersion => problem(Code::SecretReference)
                    .help("write it like `aws:secretsmanager:my-app/db?key=password&stage=AWSCURRENT`"),
            }
        }))
    }

    /// A text that was perhaps meant as a reference: the application would get it as it stands.
    pub(super) fn nearly_a_reference(&self, text: &str) -> Option<Problem> {
        let (store, _) = text.strip_prefix("aws:")?.split_once(':')?;
        let near = nearest_of(store, STORES.iter().copied())?;
        let message = format!(
            "`{}` begins almost like a reference to a secret; it is taken as it stands",
            self.path
        );
        let problem = self.warning(Code::SecretReference, message);
        Some(problem.help(format!("did you mean `aws:{near}:`?")))
    }
}

/// A key as it may be named: without a login in front of a host, and without a value behind an equals sign.
fn shown_name(name: &str) -> Cow<'_, str> {
    let name = name.split_once('=').map_or(Cow::Borrowed(name), |(before, _)| {
        if before.is_empty() {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(format!("{before}=…"))
        }
    });
    match name.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("…@{host}")),
        None => name,
    }
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
