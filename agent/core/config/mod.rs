//! User data, from bytes to a checked [`Config`] and every problem at once.
//!
//! ```text
//! bytes ─► intake: text ─► yaml: tree with places ─► check: Config + problems ─► render: text for people
//!                                                      │
//!                                                      └─ keys: what becomes of each key
//! ```
//!
//! Users of Taupage wrote their files for PyYAML, so what it read is read alike here, down to
//! `22:30` being 1350 in an environment value. What Taupage swallowed is reported.
//!
//! Invariants: a [`Config`] exists only if there is no error. No problem quotes a value, since any
//! value may be a secret; [`render`] shows only the keys of the lines it points at.
//! [`Config::canonical`] holds intent, no default and no secret.
//!
//! It deliberately reads no file, decrypts nothing, and knows nothing of the machine it is on. Layers,
//! policy and compressed text come with later versions.

mod canonical;
mod check;
mod image;
mod intake;
mod keys;
mod model;
mod problem;
mod render;
pub mod template;
#[cfg(test)]
mod tests;
mod yaml;

pub use image::{ImageRef, ImageRefError};
pub use model::{
    Config, EnvValue, HealthCheck, Networking, NotifyCfn, PortMapping, Protocol, RegistryAuth, RestartPolicy,
};
pub use problem::{Code, Place, Problem, Severity};
pub use render::render;

/// Reads user data. `origin` is `user data` or a file's name, for [`Report::render`].
pub fn parse(bytes: &[u8], origin: &str) -> Report {
    let mut problems = Vec::new();
    let tree = intake::text(bytes, &mut problems)
        .and_then(|text| yaml::load(text, 0, yaml::Tags::Refuse, &mut problems));
    check_tree(tree, problems, origin)
}

/// Checks a tree, or says why there is none; `problems` are those of reading it.
fn check_tree(tree: Result<Option<yaml::Node>, Problem>, mut problems: Vec<Problem>, origin: &str) -> Report {
    let outcome = match tree {
        Ok(root) => check::check(root, &mut problems),
        Err(problem) => {
            problems.push(problem);
            check::Outcome {
                config: None,
                notify_cfn: None,
            }
        }
    };
    // What concerns the whole text comes first, the rest in the order of the text.
    problems.sort_by_key(|problem| problem.place);
    let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
    Report {
        config: outcome.config.filter(|_| !failed),
        notify_cfn: outcome.notify_cfn,
        problems,
        origin: origin.to_owned(),
    }
}

/// What reading user data gave.
#[derive(Clone, Debug)]
pub struct Report {
    config: Option<Config>,
    notify_cfn: Option<NotifyCfn>,
    problems: Vec<Problem>,
    origin: String,
}

impl Report {
    /// The configuration, unless there is an error.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// The configuration with its warnings, or every problem.
    pub fn into_config(self) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
        match self.config {
            Some(config) => Ok((config, self.problems)),
            None => Err(self.problems),
        }
    }

    /// Errors and warnings in the order of the text.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether the text is refused.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Whether anything is doubtful.
    pub fn has_warnings(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Warning)
    }

    /// Who wants to be told about the boot, as far as the text could be read, errors or not.
    pub fn notify_cfn(&self) -> Option<&NotifyCfn> {
        self.notify_cfn.as_ref()
    }

    /// The problems as text, against the bytes that were read.
    pub fn render(&self, source: &[u8]) -> String {
        render(&self.problems, &self.origin, source)
    }
}
