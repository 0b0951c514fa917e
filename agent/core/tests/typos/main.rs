//! Five hundred mistyped files: each slip is reported in its line, and nearly always with what was meant.
//!
//! Run with `--nocapture` to see the rates; `TYPOS_SEED` draws other files.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]
#![expect(clippy::print_stderr, reason = "the rates are for people")]

mod generator;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use generator::{Kind, Random, Site, Slip, Typo, sites, typos};
use monopod_core::config::{Problem, parse};
use table::NOT_YET;

const SEED: u64 = 20_261_121;
const COUNT: usize = 500;
/// Of a hundred.
const RIGHT: usize = 95;

/// The samples people start from, and a file with most keys.
fn files() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder.join("../../config-samples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    paths.push(folder.join("tests/typos/base.yaml"));
    paths
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .filter(|text| text.starts_with("#taupage-ami-config"))
        .collect()
}

/// What became of a slip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    /// Reported in its line, but without what was meant.
    Reported,
    Unseen,
}

/// Problems that the good file does not have count only: a line may be warned about anyway.
fn outcome(typo: &Typo, good: &[Problem]) -> Outcome {
    let report = parse(typo.text.as_bytes(), "typo.yaml");
    let new: Vec<&Problem> = report
        .problems()
        .iter()
        .filter(|problem| problem.place.is_some_and(|place| place.line == typo.site.line))
        .filter(|problem| !good.contains(problem))
        .collect();
    let suggests = |problem: &&Problem| {
        let help = problem.help.as_deref().unwrap_or_default();
        let word = help
            .split_once("did you mean `")
            .and_then(|(_, rest)| rest.split_once("`?"))
            .map(|(word, _)| word.trim_start_matches('/'));
        word == Some(typo.site.word)
    };
    if new.iter().any(suggests) {
        Outcome::Right
    } else if new.is_empty() {
        Outcome::Unseen
    } else {
        Outcome::Reported
    }
}

/// Whether a name of the list means this place.
fn is_named(name: &str, site: &Site) -> bool {
    match name.strip_prefix('=') {
        Some(kind) => site.kind.name() == kind,
        None if matches!(site.kind, Kind::Key | Kind::InnerKey) => {
            site.path == name || (name.ends_with('.') && site.path.starts_with(name))
        }
        None => name.strip_suffix('=') == Some(site.path.as_str()),
    }
}

fn judged(files: &[String], sites: &[Site], count: usize, seed: u64) -> Vec<(Typo, Outcome)> {
    let good: Vec<Vec<Problem>> = files
        .iter()
        .map(|text| parse(text.as_bytes(), "good.yaml").problems().to_vec())
        .collect();
    typos(files, sites, count, &mut Random(seed))
        .into_iter()
        .map(|typo| {
            let outcome = outcome(&typo, &good[typo.site.file]);
            (typo, outcome)
        })
        .collect()
}

fn is_right(judged: &[(Typo, Outcome)]) -> bool {
    let right = judged
        .iter()
        .filter(|(_, outcome)| *outcome == Outcome::Right)
        .count();
    right * 100 >= judged.len() * RIGHT && judged.iter().all(|(_, outcome)| *outcome != Outcome::Unseen)
}

/// The rates by kind and by slip, then every miss.
fn table(judged: &[(Typo, Outcome)], seed: u64) -> String {
    let mut rows: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for (typo, outcome) in judged {
        let slip = Slip::ALL.iter().position(|slip| *slip == typo.slip).unwrap();
        for row in [
            format!("1 {}", typo.site.kind.name()),
            format!("2{slip} {:?}", typo.slip),
            "3 all".to_owned(),
        ] {
            rows.entry(row).or_default()[*outcome as usize] += 1;
        }
    }
    let mut out = format!(
        "seed {seed}\n{:<12} {:>5} {:>5} {:>8} {:>6}\n",
        "", "files", "right", "reported", "unseen"
    );
    for (row, [right, reported, unseen]) in rows {
        let all = right + reported + unseen;
        let name = row.split_once(' ').unwrap().1;
        let rate = right as f64 * 100.0 / all as f64;
        writeln!(
            out,
            "{name:<12} {all:>5} {right:>5} {reported:>8} {unseen:>6}  {rate:5.1} %"
        )
        .unwrap();
    }
    for (typo, outcome) in judged.iter().filter(|(_, outcome)| *outcome != Outcome::Right) {
        let Site { path, word, line, .. } = &typo.site;
        writeln!(
            out,
            "{outcome:?}: {path}: `{word}` typed as `{}` in line {line}",
            typo.typed
        )
        .unwrap();
    }
    out
}

fn all_sites(files: &[String]) -> Vec<Site> {
    files
        .iter()
        .enumerate()
        .flat_map(|(file, text)| sites(file, text))
        .collect()
}

#[test]
fn a_typo_is_reported_in_its_line_with_what_was_meant() {
    let seed = std::env::var("TYPOS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(SEED);
    let files = files();
    let mut sites = all_sites(&files);
    sites.retain(|site| !NOT_YET.iter().any(|name| is_named(name, site)));
    let judged = judged(&files, &sites, COUNT, seed);
    let table = table(&judged, seed);
    eprintln!("{table}");
    assert_eq!(judged.len(), COUNT);
    assert!(is_right(&judged), "\n{table}");
}

/// The list of what is not known yet only gets shorter.
#[test]
fn nothing_is_skipped_that_works() {
    let files = files();
    let sites = all_sites(&files);
    for name in NOT_YET {
        let skipped: Vec<Site> = sites
            .iter()
            .filter(|site| is_named(name, site))
            .cloned()
            .collect();
        assert!(!skipped.is_empty(), "{name} stands in no file");
        let judged = judged(&files, &skipped, 30, SEED);
        assert!(!is_right(&judged), "{name} works: take it out of NOT_YET");
    }
}

/// A key that no file has would never be mistyped.
#[test]
fn the_files_have_what_the_table_names() {
    let sites = all_sites(&files());
    for (map, keys) in table::KEYS {
        for key in *keys {
            let path = if map.is_empty() {
                (*key).to_owned()
            } else {
                format!("{map}.{key}")
            };
            assert!(sites.iter().any(|site| site.path == path), "no file has {path}");
        }
    }
    for (path, kind, _) in table::VALUES {
        assert!(
            sites.iter().any(|site| site.path == *path && site.kind == *kind),
            "no file has a value for {path}"
        );
    }
}
