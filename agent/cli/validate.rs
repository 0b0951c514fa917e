//! `monopod validate`: every problem of a file, for people, programs and GitHub.

use std::path::{Path, PathBuf};

use monopod_core::config::Severity;
use monopod_core::text;
use serde_json::json;

use super::{pretty, print, read};
use crate::boot::error::EXIT_PERMANENT;

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
        let report = read::report(&text, &image);
        let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
        match format {
            Format::Text => {
                print(&report.render(read::style()));
                let verdict = if errors > 0 {
                    "cannot be used"
                } else {
                    "can be used"
                };
                print(&format!(
                    "{} {verdict}: {}, {}\n",
                    text.name,
                    text::count(errors, "error"),
                    text::count(warnings, "warning")
                ));
            }
            Format::Json => {
                let mut value = report.to_json();
                if let Some(map) = value.as_object_mut() {
                    map.insert("file".to_owned(), json!(text.name));
                }
                all.push(value);
            }
            Format::Github => print(&report.to_github()),
        }
        worst = worst.max(match (errors, warnings) {
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
