//! User data, from bytes to a checked [`Config`] and every problem at once.

mod canonical;
mod image;
mod model;
mod problem;

pub use image::{ImageRef, ImageRefError};
pub use model::{
    Config, EnvValue, HealthCheck, Networking, NotifyCfn, PortMapping, Protocol, RegistryAuth, RestartPolicy,
};
pub use problem::{Code, Place, Problem, Severity};

/// Reads user data. `origin` is `user data` or a file's name.
pub fn parse(_bytes: &[u8], _origin: &str) -> Report {
    Report {
        config: None,
        notify_cfn: None,
        problems: vec![
            Problem::error(Code::Syntax, "not built yet")
                .at(Place { line: 1, column: 1 })
                .key("")
                .help(""),
        ],
    }
}

/// The text a person reads.
pub fn render(problems: &[Problem], _origin: &str, _source: &[u8]) -> String {
    problems
        .iter()
        .map(|problem| format!("{}[{}]: {}\n", problem.severity, problem.code, problem.message))
        .collect()
}

/// What reading user data gave.
#[derive(Clone, Debug)]
pub struct Report {
    config: Option<Config>,
    notify_cfn: Option<NotifyCfn>,
    problems: Vec<Problem>,
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
}
