//! Secrets as files, what becomes of them after the boot, and the context they were encrypted with.

use std::collections::BTreeMap;

use super::super::model::{Delivered, OnChange, Refresh};
use super::super::problem::{Code, Problem};
use super::Checker;
use super::field::Field;
use crate::secret::{SecretRef, SecretSource, Source};

/// All of them together lie in memory.
const MAX_SECRETS: usize = 64;
/// What a file system takes as a name.
const MAX_NAME: usize = 255;

impl Checker<'_> {
    /// What the container finds as files, and what becomes of it.
    pub(super) fn delivered(&mut self) -> Delivered {
        Delivered {
            secrets: self.secrets(),
            refresh: self.refresh(),
            keep: self.flag("keep_secrets"),
            mint_bucket: self.mint_bucket(),
        }
    }

    fn mint_bucket(&mut self) -> Option<String> {
        let field = self.field("mint_bucket")?;
        self.word(&field)
    }

    /// `secrets`, in file order.
    fn secrets(&mut self) -> Vec<(String, SecretRef)> {
        let Some(field) = self.field("secrets") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            let named = self.secret_name(&entry.name, &child);
            let Some(scalar) = child.scalar() else {
                let problem = child.wrong_type("a reference to a secret");
                self.report(problem.help(FORMS));
                continue;
            };
            match child.reference(&scalar.text) {
                Some(reference) => {
                    let reference = self.take_reference(reference);
                    all.extend(
                        reference
                            .filter(|_| named)
                            .map(|reference| (entry.name.clone(), reference)),
                    );
                }
                None => {
                    let message = format!(
                        "`{}` is no reference to a secret, but a text in clear",
                        child.path
                    );
                    let near = child
                        .nearly_a_reference(&scalar.text)
                        .and_then(|problem| problem.help);
                    let problem = child.error(Code::SecretReference, message);
                    self.report(problem.help(near.as_deref().unwrap_or(FORMS)));
                }
            }
        }
        if all.len() > MAX_SECRETS {
            let message = format!("`secrets` holds more than {MAX_SECRETS}");
            let problem = field.error(Code::BadValue, message).at(field.key_place);
            self.report(
                problem.help("put several values into one JSON document and let the application pick"),
            );
        }
        all
    }

    fn secret_name(&mut self, name: &str, field: &Field<'_>) -> bool {
        let fits = !name.is_empty()
            && name.len() <= MAX_NAME
            && !name.starts_with(['.', '-'])
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !fits {
            let message = "a secret's name is the name of its file: letters, digits, dots, dashes and underscores, none of . and - in front";
            let problem = Problem::error(Code::BadValue, message)
                .at(field.key_place)
                .key(field.path.clone());
            self.report(
                problem.help("write it like `db_password`; the container finds /run/secrets/db_password"),
            );
        }
        fits
    }

    /// `refresh`; an empty map is one with its defaults.
    fn refresh(&mut self) -> Option<Refresh> {
        let field = self.field("refresh")?;
        let section = self.section(field)?;
        let interval = section.get("interval").and_then(|field| self.take(field.time()));
        let max_age = section.get("max_age").and_then(|field| self.take(field.time()));
        let on_change = section.get("on_change").and_then(|field| self.on_change(&field));
        let refresh = Refresh {
            interval_seconds: interval.unwrap_or(Refresh::INTERVAL_SECONDS),
            on_change: on_change.unwrap_or_default(),
            max_age_seconds: max_age,
        };
        if max_age.is_some_and(|age| age <= refresh.interval_seconds)
            && let Some(field) = section.get("max_age")
        {
            let message = "`refresh.max_age` is not above `refresh.interval`: one failed fetch would make the machine unhealthy";
            self.report(
                field
                    .error(Code::BadValue, message)
                    .help("make it three intervals or more"),
            );
        }
        Some(refresh)
    }

    fn on_change(&mut self, field: &Field<'_>) -> Option<OnChange> {
        let text = self.word(field)?;
        match text.as_str() {
            "none" => Some(OnChange::None),
            "restart" => Some(OnChange::Restart),
            _ => self.read_signal(field).map(OnChange::Signal),
        }
    }

    /// `encryption_context`: for every KMS value that names none of its own.
    pub(super) fn read_encryption_context(&mut self) {
        let Some(field) = self.field("encryption_context") else {
            return;
        };
        let mut context = BTreeMap::new();
        for (entry, child) in self.children(&field) {
            if let Some(value) = self.word(&child) {
                context.insert(entry.name.clone(), value);
            }
        }
        self.encryption_context = context;
    }

    /// A reference in the file's encryption context.
    pub(super) fn take_reference(&mut self, reference: Result<SecretRef, Problem>) -> Option<SecretRef> {
        let mut reference = self.take(reference)?;
        if let Source::Kms { context, .. } = &mut reference.source
            && context.is_empty()
        {
            context.clone_from(&self.encryption_context);
        }
        Some(reference)
    }

    pub(super) fn take_secret(&mut self, secret: Result<SecretSource, Problem>) -> Option<SecretSource> {
        match self.take(secret)? {
            SecretSource::Stored(reference) => self.take_reference(Ok(reference)).map(SecretSource::Stored),
            literal @ SecretSource::Literal(_) => Some(literal),
        }
    }
}

const FORMS: &str = "write `aws:kms:...` (`monopod encrypt` makes it), `aws:ssm:/name` or `aws:secretsmanager:name`; a text that is no secret goes into `files`";
