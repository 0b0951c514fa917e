//! Secrets as files, what becomes of them after the boot, and the context they were encrypted with.

use std::collections::BTreeMap;

use super::super::model::{Delivered, EnvValue, OnChange, Options, Refresh};
use super::super::problem::{Code, Problem};
use super::Checker;
use super::field::Field;
use crate::plan::sets::MINT_INTERVAL;
use crate::secret::{SecretRef, SecretSource, Source};

/// All of them together lie in memory.
const MAX_SECRETS: usize = 64;
/// What a file system takes as a name.
const MAX_NAME: usize = 255;

impl Checker<'_> {
    /// What the container finds as files, and what becomes of it.
    pub(super) fn delivered(&mut self, options: &Options) -> Delivered {
        let delivered = Delivered {
            secrets: self.secrets(),
            refresh: self.refresh(),
            keep: self.flag("keep_secrets"),
            mint_bucket: self.mint_bucket(),
        };
        self.age(&delivered);
        self.without_effect(&delivered, options);
        delivered
    }

    fn mint_bucket(&mut self) -> Option<String> {
        let field = self.field("mint_bucket")?;
        let bucket = self.word(&field)?;
        if is_bucket(&bucket) {
            return Some(bucket);
        }
        let message =
            "`mint_bucket` is no name of a bucket: 3 to 63 lower-case letters, digits, dots and dashes";
        self.report(
            field
                .error(Code::BadValue, message)
                .help("write the name alone, without `s3://` and `arn:`"),
        );
        None
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
        Some(refresh)
    }

    /// An age that one failed fetch reaches would make the machine unhealthy for a hiccup.
    fn age(&mut self, delivered: &Delivered) {
        let Some(refresh) = &delivered.refresh else { return };
        let fetched = delivered
            .secrets
            .iter()
            .any(|(_, reference)| reference.source.can_change());
        let credentials = delivered.mint_bucket.as_ref().map(|_| MINT_INTERVAL);
        let secrets = (fetched || credentials.is_none()).then_some(refresh.interval_seconds);
        let longest = secrets.max(credentials).unwrap_or_default();
        if refresh.max_age_seconds.is_none_or(|age| age > longest) {
            return;
        }
        let of = self
            .field("refresh")
            .and_then(|field| self.section(field)?.get("max_age"));
        if let Some(field) = of {
            let message = format!(
                "`refresh.max_age` is not above the {longest} s between two fetches: one that fails would make the machine unhealthy"
            );
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help("make it three times as long, or more"));
        }
    }

    /// What somebody believes to be on, and is not. A default of the image's may well be for other applications.
    fn without_effect(&mut self, delivered: &Delivered, options: &Options) {
        let fetched = options
            .files
            .iter()
            .any(|file| matches!(file.content, EnvValue::Secret(_)));
        let can_change = delivered.mint_bucket.is_some()
            || delivered
                .secrets
                .iter()
                .any(|(_, reference)| reference.source.can_change());
        let nothing = delivered.secrets.is_empty() && delivered.mint_bucket.is_none();
        for (key, idle, why) in [
            ("refresh", nothing, "there are no `secrets` and no `mint_bucket`"),
            (
                "refresh",
                !nothing && !can_change,
                "what KMS decrypts, and a version for good, do not change",
            ),
            (
                "keep_secrets",
                delivered.keep == Some(true) && nothing && !fetched,
                "there are no `secrets`, no `mint_bucket` and no fetched `files`",
            ),
            (
                "encryption_context",
                !self.context_used,
                "there is no `aws:kms:` value without a context of its own",
            ),
        ] {
            let Some(field) = self
                .field(key)
                .filter(|field| idle && field.key_place.source == 0)
            else {
                continue;
            };
            let message = format!("`{key}` has no effect: {why}");
            self.report(field.warning(Code::NoEffectHere, message).at(field.key_place));
        }
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
            self.context_used = true;
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

pub(super) fn is_bucket(text: &str) -> bool {
    let ends = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    (3..=63).contains(&text.len())
        && bytes.iter().all(|b| ends(*b) || b".-".contains(b))
        && bytes.first().copied().is_some_and(ends)
        && bytes.last().copied().is_some_and(ends)
        && !text.contains("..")
}

const FORMS: &str = "write `aws:kms:...` (`monopod encrypt` makes it), `aws:ssm:/name` or `aws:secretsmanager:name`; a text that is no secret goes into `files`";
