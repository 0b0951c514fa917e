//! `monopod validate`: every problem of a file, for people, programs and GitHub.

use std::path::{Path, PathBuf};

use monopod_core::config::{Report, Severity, template};
use monopod_core::text;
use serde_json::json;

use super::read::Named;
use super::{pretty, print, read};
use crate::boot::error::EXIT_PERMANENT;
use crate::host::image_layer::ImageFiles;

const EXIT_WARNINGS: u8 = 1;

/// How problems are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// Workflow commands: GitHub shows them at the lines of a pull request
    Github,
}

/// Errors and warnings.
type Counts = (u64, u64);

/// Checks files; the exit code is the worst one's.
pub(super) fn validate(paths: &[PathBuf], image: &Path, strict: bool, format: Format) -> u8 {
    let Some(image) = read::image(image) else {
        return EXIT_PERMANENT;
    };
    let mut worst = 0;
    let mut all = Vec::new();
    for path in paths {
        let Some(text) = read::named(path) else {
            worst = EXIT_PERMANENT;
            continue;
        };
        let (reports, kind) = reports(&text, &image);
        let sum = reports.iter().map(|(_, report)| counts(report)).fold((0, 0), add);
        match format {
            Format::Text => show(&text.name, kind, &reports, sum),
            Format::Github => reports.iter().for_each(|(_, report)| print(&report.to_github())),
            Format::Json => all.extend(reports.iter().map(|(what, report)| {
                let mut value = report.to_json();
                if let Some(map) = value.as_object_mut() {
                    map.insert("file".to_owned(), json!(text.name));
                    map.insert("user_data".to_owned(), json!(what));
                }
                value
            })),
        }
        worst = worst.max(match sum {
            (0, 0) => 0,
            (0, _) if strict => EXIT_WARNINGS,
            (0, _) => 0,
            _ => EXIT_PERMANENT,
        });
    }
    if format == Format::Json {
        print(&pretty(&json!({ "files": all })));
    }
    worst
}

/// Each user data in the file with its path, a template's own problems last; what kind of template it is, if it is one.
fn reports(text: &Named, image: &ImageFiles) -> (Vec<(Option<String>, Report)>, Option<&'static str>) {
    match template::templates_on(&text.bytes, &text.name, &image.layer()) {
        None => (vec![(None, read::report(text, image))], None),
        Some(template) => {
            let own = template.own();
            let kind = template.kind;
            let mut all: Vec<(Option<String>, Report)> = template
                .found
                .into_iter()
                .map(|found| (Some(found.path), found.report))
                .collect();
            all.push((None, own));
            (all, Some(kind))
        }
    }
}

fn show(name: &str, kind: Option<&str>, reports: &[(Option<String>, Report)], sum: Counts) {
    for (what, report) in reports {
        print(&report.render(read::style()));
        if let Some(what) = what {
            print(&verdict(what, counts(report)));
        }
    }
    let what = kind.map_or_else(|| name.to_owned(), |kind| format!("{name}, a {kind},"));
    print(&verdict(&what, sum));
}

fn verdict(what: &str, (errors, warnings): Counts) -> String {
    let verdict = if errors > 0 {
        "cannot be used"
    } else {
        "can be used"
    };
    format!(
        "{what} {verdict}: {}, {}\n",
        text::count(errors, "error"),
        text::count(warnings, "warning")
    )
}

fn counts(report: &Report) -> Counts {
    (report.count(Severity::Error), report.count(Severity::Warning))
}

fn add(one: Counts, other: Counts) -> Counts {
    (one.0 + other.0, one.1 + other.1)
}
