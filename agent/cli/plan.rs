//! `monopod plan`: what `run` would do, and what a change of the file would change.

use std::io::Write as _;
use std::path::Path;

use monopod_core::config::{Severity, Style, template};
use monopod_core::facts::InstanceFacts;
use monopod_core::plan::{Difference, Plan};
use monopod_core::text;

use super::{pretty, print, read};
use crate::boot::error::EXIT_PERMANENT;
use crate::boot::facts_file;
use crate::host::chain;
use crate::host::image_layer::ImageFiles;

const EXIT_DIFFERENT: u8 = 1;

/// What is printed of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// The IAM policy alone.
    Iam,
}

/// Prints a plan; the file's own problems, where there is none.
pub(super) fn plan(path: &Path, facts: Option<&Path>, image: &Path, show: Show) -> u8 {
    let Some((facts, image)) = surroundings(facts, image) else {
        return EXIT_PERMANENT;
    };
    let Some(plan) = make(path, facts.as_ref(), &image, show) else {
        return EXIT_PERMANENT;
    };
    print(&match show {
        Show::Text => plan.to_text(),
        Show::Json => pretty(&plan.to_json()),
        Show::Iam => pretty(&plan.iam_policy()),
    });
    // The plan is there to be read, but no machine boots with it.
    if plan.refused.is_empty() {
        0
    } else {
        EXIT_PERMANENT
    }
}

/// Compares the plans of two files.
pub(super) fn diff(old: &Path, new: &Path, facts: Option<&Path>, image: &Path, show: Show) -> u8 {
    let Some((facts, image)) = surroundings(facts, image) else {
        return EXIT_PERMANENT;
    };
    let (old, new) = (
        make(old, facts.as_ref(), &image, show),
        make(new, facts.as_ref(), &image, show),
    );
    let (Some(old), Some(new)) = (old, new) else {
        return EXIT_PERMANENT;
    };
    let difference = Difference::new(&old, &new);
    print(&match show {
        Show::Json => pretty(&serde_json::to_value(&difference).unwrap_or_default()),
        Show::Text | Show::Iam => difference.to_text(),
    });
    if difference.is_empty() { 0 } else { EXIT_DIFFERENT }
}

fn surroundings(facts: Option<&Path>, image: &Path) -> Option<(Option<InstanceFacts>, ImageFiles)> {
    let facts = facts
        .map(facts_file)
        .transpose()
        .map_err(|error| tracing::error!("{}", chain(&error)))
        .ok()?;
    Some((facts, read::image(image)?))
}

fn make(path: &Path, facts: Option<&InstanceFacts>, image: &ImageFiles, show: Show) -> Option<Plan> {
    let text = read::named(path)?;
    if let Some(template) = template::templates(&text.bytes, &text.name) {
        tracing::error!(
            "{} is a {}, which has no plan: plan the user data that comes out of it, or check it with `monopod validate`",
            text.name,
            template.kind
        );
        return None;
    }
    let report = read::report(&text, image);
    match report.planned() {
        Some(config) => Some(Plan::new(config, report.problems().to_vec(), facts)),
        None => {
            let errors = text::count(report.count(Severity::Error), "error");
            let none = format!("{} has no plan: {errors}\n", text.name);
            match show {
                Show::Text => print(&format!("{}{none}", report.render(read::style()))),
                // A program reads standard output, and nothing but what it asked for may stand there.
                Show::Json | Show::Iam => {
                    let _nowhere_left_to_say_it = std::io::stderr()
                        .write_all(format!("{}{none}", report.render(Style::Plain)).as_bytes());
                }
            }
            None
        }
    }
}
