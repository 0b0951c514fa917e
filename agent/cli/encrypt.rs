//! `monopod encrypt`: `aws:kms:` values, one from standard input, or those of a file in place.
//!
//! A value in clear is never an argument, where every process of the machine could read it, and is never printed. A file
//! is written once everything is encrypted, and only if it then reads as before but for these values.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use monopod_core::config::edit::{self, Context, Editable, Standing, Target};
use monopod_core::retry::{AWS, THROTTLED};
use monopod_core::secret::{Ciphertext, Secret};
use monopod_core::text;
use tokio::time::Instant;

use super::print;
use crate::boot::error::{EXIT_PERMANENT, EXIT_TRANSIENT};
use crate::host::kms::encrypt::{EncryptError, Encryptor, LARGEST};
use crate::host::rewrite::{RewriteError, ensure_rewritten};
use crate::host::terminal::{self, InputError};
use crate::host::{Class, Classified, chain, clock, files};
use crate::report::SharedRedactor;

/// As clap ends for wrong usage.
const EXIT_USAGE: u8 = 2;

/// A person waits: busy moments are waited out this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where larger secrets belong.
const ELSEWHERE: &str = "put it into Secrets Manager or Parameter Store and refer to it from there";

/// Everything the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct EncryptArgs {
    /// The KMS key: an alias (`alias/my-app`, or `my-app`), a key id or an ARN
    #[arg(long, value_name = "KEY-ID")]
    key_id: String,
    /// Where the key is, and where the machines will be [default: as the AWS SDK finds it]
    #[arg(long)]
    region: Option<String>,
    /// Bind the value to this; the value carries it, and KMS asks for it when it decrypts. May be given more than once
    /// [default: with --file the file's `encryption_context`, else none]
    #[arg(long = "encryption-context", value_name = "NAME=VALUE")]
    context: Vec<String>,
    /// Keep a newline at the end of standard input
    #[arg(long)]
    keep_newline: bool,
    /// Encrypt values of this file in place instead; all else in it stays byte for byte as it is
    #[arg(long, value_name = "FILE", requires = "keys")]
    file: Option<PathBuf>,
    /// Take the one KEY's value from standard input, not from the file; a new key is put into a map that is there
    #[arg(long, requires = "file")]
    stdin: bool,
    /// The values to encrypt: environment.DB_PASSWORD, dockercfg.https://registry.example.org.auth
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
}

/// What ends the command without its result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Content(String),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    #[error("{key} was not encrypted, and {file} was left as it was")]
    Value {
        key: String,
        file: String,
        #[source]
        source: Box<EncryptError>,
    },
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    #[error("cannot start the asynchronous runtime")]
    Runtime(#[source] std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Content(_) | Self::Rewrite(_) => EXIT_PERMANENT,
            Self::Input(error) => match error {
                InputError::TooLong(_) | InputError::NotText | InputError::Stopped => EXIT_USAGE,
                InputError::Read(_) => EXIT_PERMANENT,
            },
            Self::Encrypt(source) => exit_code_of(source),
            Self::Value { source, .. } => exit_code_of(source),
            Self::Runtime(_) => EXIT_TRANSIENT,
        }
    }
}

fn exit_code_of(error: &EncryptError) -> u8 {
    match error.class() {
        Class::Permanent => EXIT_PERMANENT,
        Class::Transient | Class::Throttled => EXIT_TRANSIENT,
    }
}

/// Encrypts, and says how it ended.
pub(super) fn encrypt(args: &EncryptArgs, redactor: &SharedRedactor) -> u8 {
    let ended = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| {
            let ended = runtime.block_on(Command::new(args, redactor)?.run(args));
            // A look for credentials that never ends must not hold up the exit.
            runtime.shutdown_timeout(Duration::from_millis(100));
            ended
        });
    match ended {
        Ok(()) => 0,
        Err(failure) => {
            tracing::error!("{}", chain(&failure));
            failure.exit_code()
        }
    }
}

/// What all values of one call have in common.
struct Command<'a> {
    key_id: String,
    context: Context,
    redactor: &'a SharedRedactor,
    deadline: Instant,
}

impl<'a> Command<'a> {
    fn new(args: &EncryptArgs, redactor: &'a SharedRedactor) -> Result<Self, Failure> {
        let key_id = edit::key_id(&args.key_id).map_err(|error| Failure::Usage(error.to_string()))?;
        let context = edit::context(args.context.iter().map(String::as_str))
            .map_err(|error| Failure::Usage(error.to_string()))?;
        if args.file.is_none() && !args.keys.is_empty() {
            return Err(Failure::Usage(
                "a value is no argument, where every process of the machine can read it: give it on standard input (KEYs belong to --file)"
                    .to_owned(),
            ));
        }
        if args.stdin && args.keys.len() != 1 {
            return Err(Failure::Usage(
                "--stdin is the value of one KEY; encrypt the others in calls of their own".to_owned(),
            ));
        }
        Ok(Self {
            key_id,
            context,
            redactor,
            deadline: Instant::now() + PATIENCE,
        })
    }

    async fn run(mut self, args: &EncryptArgs) -> Result<(), Failure> {
        match &args.file {
            Some(file) => self.rewrite(file, args).await,
            None => {
                let value = self.input(args)?;
                let encryptor = Encryptor::new(args.region.as_deref()).await?;
                let ciphertext = self.encrypted(&encryptor, &value).await?;
                print(&format!("{}\n", edit::written(&ciphertext, &self.context)));
                Ok(())
            }
        }
    }

    async fn rewrite(&mut self, file: &Path, args: &EncryptArgs) -> Result<(), Failure> {
        let name = text::printable(&file.display().to_string());
        let content = |what: String| Failure::Content(format!("{name}: {what}"));
        let before = files::read(file)
            .map_err(|error| Failure::Content(chain(&error)))?
            .ok_or_else(|| Failure::Content(format!("there is no file {name}")))?;
        let editable = Editable::read(&before).map_err(|error| content(error.to_string()))?;
        let targets = targets(&editable, &name, args)?;
        let mut values = Vec::new();
        for target in targets {
            if args.stdin {
                values.push((target, self.input(args)?));
            } else if let Some(value) = self.standing(&target, &name)? {
                values.push((target, value));
            }
        }
        if values.is_empty() {
            tracing::info!("{name} was left as it is: there is nothing to encrypt");
            return Ok(());
        }
        let planned: Vec<Target> = values.iter().map(|(target, _)| target.clone()).collect();
        editable
            .can_replace(&planned)
            .map_err(|error| content(error.to_string()))?;
        let carried = self.context.clone();
        if carried.is_empty() {
            // A machine decrypts with the file's context what carries none.
            self.context = editable.encryption_context();
        }
        let encryptor = Encryptor::new(args.region.as_deref()).await?;
        let mut changes = Vec::new();
        for (target, value) in values {
            let ciphertext = self
                .encrypted(&encryptor, &value)
                .await
                .map_err(|source| Failure::Value {
                    key: target.key.clone(),
                    file: name.clone(),
                    source: source.into(),
                })?;
            changes.push((target, edit::written(&ciphertext, &carried)));
        }
        let after = editable
            .replaced(&changes)
            .map_err(|error| content(error.to_string()))?;
        ensure_rewritten(file, &before, after.as_bytes())?;
        for (target, _) in &changes {
            tracing::info!("{}", done(target, &name));
        }
        Ok(())
    }

    /// The value that stands in the file, if there is one to encrypt.
    fn standing(&mut self, target: &Target, name: &str) -> Result<Option<Secret>, Failure> {
        let key = &target.key;
        match &target.standing {
            Standing::Clear { value, is_as_written } => {
                self.learn(value);
                if value.expose().len() > LARGEST {
                    return Err(Failure::Content(format!(
                        "{name}: `{key}` has more than the {LARGEST} bytes that KMS encrypts; {ELSEWHERE}"
                    )));
                }
                if !is_as_written {
                    tracing::warn!(
                        "`{key}` is no text to YAML without quotes: what is encrypted is what the container got so far, which is not what stands in {name}"
                    );
                }
                Ok(Some(value.clone()))
            }
            Standing::Reference => {
                tracing::info!("`{key}` in {name} is a reference already and was left alone");
                Ok(None)
            }
            Standing::Empty | Standing::Absent => Err(Failure::Content(format!(
                "{name}: `{key}` is empty; write the value there first, or give it on standard input with --stdin"
            ))),
        }
    }

    /// The value on standard input.
    fn input(&mut self, args: &EncryptArgs) -> Result<Secret, Failure> {
        // The newline that is cut does not count.
        let most = LARGEST + 2;
        let value = if std::io::stdin().is_terminal() {
            terminal::asked("The value to encrypt, one line (it is not shown): ", most)
        } else {
            terminal::piped(most)
        };
        let value = value.map_err(|error| match error {
            InputError::TooLong(_) => too_long(),
            other => other.into(),
        })?;
        let value = if args.keep_newline {
            value
        } else {
            value.without_newline()
        };
        let plain = value.expose();
        if plain.is_empty() {
            return Err(Failure::Usage(
                "nothing came from standard input; give the value there: printf %s \"$VALUE\" | monopod encrypt ..."
                    .to_owned(),
            ));
        }
        if plain.len() > LARGEST {
            return Err(too_long());
        }
        if plain.contains('\0') {
            return Err(Failure::Usage(
                "the value holds a NUL byte, which no environment variable can; encode it first (base64)"
                    .to_owned(),
            ));
        }
        self.learn(&value);
        Ok(value)
    }

    /// Whatever is said from now on, this is not in it.
    fn learn(&self, value: &Secret) {
        let _too_short = self
            .redactor
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .learn(value);
    }

    /// One value; busy moments are waited out.
    async fn encrypted(&self, encryptor: &Encryptor, value: &Secret) -> Result<Ciphertext, EncryptError> {
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            let error = match encryptor.encrypt(&self.key_id, value, &self.context).await {
                Ok(ciphertext) => return Ok(ciphertext),
                Err(error) => error,
            };
            failures += 1;
            let left = self.deadline.saturating_duration_since(Instant::now());
            let wait = match error.class() {
                Class::Permanent => None,
                Class::Transient => Some(AWS.delay(failures, clock::chance())).filter(|wait| *wait < left),
                Class::Throttled => THROTTLED.delay(failures, begun.elapsed(), Some(left), clock::chance()),
            };
            let Some(wait) = wait else {
                return Err(error);
            };
            tracing::info!("{}; trying again in {}", chain(&error), text::duration(wait));
            tokio::time::sleep(wait).await;
        }
    }
}

/// Every key of the command line in the file, each once; what can't be changed is said of all of them.
fn targets(editable: &Editable<'_>, name: &str, args: &EncryptArgs) -> Result<Vec<Target>, Failure> {
    let mut targets: Vec<Target> = Vec::new();
    let mut last = None;
    for key in &args.keys {
        let found = if args.stdin {
            editable.find_or_place(key)
        } else {
            editable.find(key)
        };
        match found {
            Ok(target) if targets.iter().any(|known| known.key == target.key) => {}
            Ok(target) => targets.push(target),
            Err(error) => {
                let text = format!("{name}: {error}");
                let failure = if error.is_usage() {
                    Failure::Usage(text)
                } else {
                    Failure::Content(text)
                };
                if let Some(earlier) = last.replace(failure) {
                    tracing::error!("{}", chain(&earlier));
                }
            }
        }
    }
    match last {
        Some(failure) => Err(failure),
        None => Ok(targets),
    }
}

fn done(target: &Target, name: &str) -> String {
    let key = &target.key;
    match target.standing {
        Standing::Clear { .. } => format!(
            "`{key}` in {name} is encrypted; where the old text was shared or is in a repository's history, change the secret itself"
        ),
        Standing::Absent => format!("`{key}` is new in {name}, encrypted"),
        Standing::Reference | Standing::Empty => format!("`{key}` in {name} has its new value, encrypted"),
    }
}

fn too_long() -> Failure {
    Failure::Usage(format!(
        "the value has more than the {LARGEST} bytes that KMS encrypts; {ELSEWHERE}"
    ))
}
