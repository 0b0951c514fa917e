//! Commands for people: they read, and touch nothing.

use std::io::Read as _;
use std::path::Path;

use monopod_core::config::template::{self, Template};
use monopod_core::config::{self, Problem, Severity};
use monopod_core::plan::Plan;
use monopod_core::record::{self, Agent, BootRecord};
use monopod_core::text;

use super::print;
use super::run::LOCK_FILE;
use crate::boot::error::EXIT_PERMANENT;
use crate::boot::facts_file;
use crate::host::{chain, clock, files};
use crate::report::STATUS_FILE;

const EXIT_WARNINGS: u8 = 1;
const EXIT_NOTHING: u8 = 1;

/// Checks a file.
pub(super) fn validate(path: &Path, strict: bool) -> u8 {
    let Some((origin, bytes)) = read(path) else {
        return EXIT_PERMANENT;
    };
    let (errors, warnings) = match template::templates(&bytes, &origin) {
        Some(template) => validate_template(&template, &origin, &bytes),
        None => {
            let report = config::parse(&bytes, &origin);
            print(&config::render(report.problems(), &origin, &bytes));
            verdict(&origin, report.problems())
        }
    };
    match (errors, warnings) {
        (0, 0) => 0,
        (0, _) if strict => EXIT_WARNINGS,
        (0, _) => 0,
        _ => EXIT_PERMANENT,
    }
}

/// Shows what is wrong with each user data of a template, then with the template, then the sum.
fn validate_template(template: &Template, origin: &str, bytes: &[u8]) -> (u64, u64) {
    for found in &template.found {
        print(&config::render(found.report.problems(), origin, bytes));
        verdict(&found.path, found.report.problems());
    }
    print(&config::render(&template.problems, origin, bytes));
    verdict(
        &format!("{origin}, a {},", template.kind),
        template.all_problems(),
    )
}

/// Prints the verdict; returns the numbers of errors and warnings.
fn verdict<'p>(what: &str, problems: impl IntoIterator<Item = &'p Problem>) -> (u64, u64) {
    let (errors, warnings) =
        problems
            .into_iter()
            .fold((0, 0), |(errors, warnings), problem| match problem.severity {
                Severity::Error => (errors + 1, warnings),
                Severity::Warning => (errors, warnings + 1),
            });
    let verdict = if errors > 0 {
        "cannot be used"
    } else {
        "can be used"
    };
    print(&format!(
        "{what} {verdict}: {}, {}\n",
        text::count(errors, "error"),
        text::count(warnings, "warning")
    ));
    (errors, warnings)
}

/// Prints a plan.
pub(super) fn plan(path: &Path, facts: Option<&Path>, json: bool) -> u8 {
    let Some((origin, bytes)) = read(path) else {
        return EXIT_PERMANENT;
    };
    let facts = match facts.map(facts_file).transpose() {
        Ok(facts) => facts,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            return EXIT_PERMANENT;
        }
    };
    match config::parse(&bytes, &origin).into_config() {
        Ok((config, warnings)) => {
            let plan = Plan::new(&config, warnings, facts.as_ref());
            print(&if json {
                pretty(&plan.to_json())
            } else {
                plan.to_text()
            });
            0
        }
        Err(problems) => {
            print(&config::render(&problems, &origin, &bytes));
            EXIT_PERMANENT
        }
    }
}

/// Shows the boot record.
pub(super) fn status(runtime: &Path, json: bool) -> u8 {
    let path = runtime.join(STATUS_FILE);
    let bytes = match files::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            tracing::error!(
                "no agent has run here since the machine booted ({} is not there); see `systemctl status monopod`",
                path.display()
            );
            return EXIT_NOTHING;
        }
        Err(error) => {
            tracing::error!("{}", chain(&error));
            return EXIT_NOTHING;
        }
    };
    let record: BootRecord = match serde_json::from_slice(&bytes) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(
                "{} is not a boot record this monopod can read: {error}",
                path.display()
            );
            return EXIT_NOTHING;
        }
    };
    let agent = match files::is_locked(&runtime.join(LOCK_FILE)) {
        Ok(true) => Agent::Running,
        Ok(false) => Agent::Gone,
        Err(error) => {
            tracing::warn!("whether the agent runs is not known: {}", chain(&error));
            Agent::Gone
        }
    };
    if json {
        let mut value = serde_json::to_value(&record).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("agent_running".to_owned(), (agent == Agent::Running).into());
        }
        print(&pretty(&value));
    } else {
        print(&record::to_text(&record, agent, clock::now_millis()));
    }
    0
}

fn read(path: &Path) -> Option<(String, Vec<u8>)> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        return match std::io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => Some(("standard input".to_owned(), bytes)),
            Err(error) => {
                tracing::error!("cannot read standard input: {error}");
                None
            }
        };
    }
    match files::read(path) {
        Ok(Some(bytes)) => Some((path.display().to_string(), bytes)),
        Ok(None) => {
            tracing::error!("there is no file {}", path.display());
            None
        }
        Err(error) => {
            tracing::error!("{}", chain(&error));
            None
        }
    }
}

fn pretty(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
