//! Our reading of scalars against the real PyYAML, the reference users wrote their files for.
//!
//! One Python process reads every text; each has to become the same environment value, or be refused
//! by both. Where we knowingly take more than PyYAML did, [`LENIENT`] says so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use monopod_core::config::{EnvValue, parse};

/// Reads the texts as a JSON list; answers with the printed values, null for what it refuses.
const REFERENCE: &str = r#"
import json, sys, yaml
def read(text):
    try:
        value = yaml.safe_load(text)["environment"]["X"]
        return None if isinstance(value, (dict, list, bytes, set)) else str(value)
    except Exception:
        return None
json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
"#;

/// What PyYAML has no constructor for is to us the text it looks like, and a tab inside an unquoted value does no harm.
const LENIENT: &[&str] = &["=", "<<", "a\tb", "12\t", "yes\t"];

/// Written by hand: every form the resolver knows, and its neighbours.
const WRITTEN: &str = include_str!("pyyaml_scalars.json");

/// Numbers and dates by chance, the same ones in every run.
fn by_chance() -> Vec<String> {
    const PIECES: &[&str] = &[
        "0",
        "1",
        "7",
        "8",
        "9",
        "12",
        "59",
        "60",
        "00",
        "08",
        "_",
        ".",
        ":",
        "-",
        "+",
        "e",
        "E",
        "e+",
        "e-",
        "x",
        "0x",
        "0b",
        "0o",
        "f",
        "inf",
        ".inf",
        "2001-",
        "-02-",
        "T",
        "Z",
        " ",
        "30",
        "1999",
        "000001",
        "99999999999999999999",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let piece =
        |next: &mut dyn FnMut(usize) -> usize| PIECES.get(next(PIECES.len())).copied().unwrap_or_default();
    let mut texts: Vec<String> = (0..1500)
        .map(|_| (0..1 + next(6)).map(|_| piece(&mut next)).collect::<String>())
        .collect();
    texts.extend((0..300).map(|_| {
        let zone = ["", "Z", " Z", "+1", "-05:30", " +10:00", "+23:59", "-9:5"]
            .get(next(8))
            .copied()
            .unwrap_or_default();
        let fraction = ["", ".", ".5", ".000", ".1234567"]
            .get(next(5))
            .copied()
            .unwrap_or_default();
        let between = ["T", "t", " ", "  "].get(next(4)).copied().unwrap_or_default();
        let (year, month, day) = (1990 + next(30), next(14), next(33));
        let (hour, minute, second) = (next(26), next(62), next(62));
        format!("{year}-{month:02}-{day}{between}{hour}:{minute:02}:{second:02}{fraction}{zone}")
    }));
    texts.extend((0..500).map(|_| {
        let exponent = next(40) as i64 - 20;
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}.{}e{sign}{}", next(1000), next(100_000_000), exponent.abs())
    }));
    texts
}

fn document(value: &str) -> String {
    format!(
        "#taupage-ami-config\napplication_id: my-app\napplication_version: a\nsource: a:1\nenvironment:\n  X: {value}\n"
    )
}

fn ours(text: &str) -> Option<String> {
    let report = parse(text.as_bytes(), "user data");
    report.config().map(|config| {
        match &config
            .environment()
            .iter()
            .find(|(name, _)| name == "X")
            .unwrap()
            .1
        {
            EnvValue::Plain(text) => text.clone(),
            EnvValue::Secret(_) => unreachable!("no text here begins with aws:kms:"),
        }
    })
}

fn python() -> PathBuf {
    let rig = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/rig/venv/bin/python3");
    let python = std::env::var_os("MONOPOD_RIG_PYTHON").map_or(rig, PathBuf::from);
    assert!(
        python.exists(),
        "run make setup first: there is no {}",
        python.display()
    );
    python
}

fn theirs(texts: &[String]) -> Vec<Option<String>> {
    let mut child = Command::new(python())
        .args(["-c", REFERENCE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(texts).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the reference failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn environment_values_are_what_pyyaml_makes_of_them() {
    let mut values: Vec<String> = serde_json::from_str(WRITTEN).unwrap();
    values.extend(by_chance());
    let known: BTreeSet<&String> = values.iter().collect();
    assert!(known.len() > 1500, "only {} different texts", known.len());
    let texts: Vec<String> = values.iter().map(|value| document(value)).collect();
    let mut different = Vec::new();
    let mut refused = 0;
    for ((value, text), theirs) in values.iter().zip(&texts).zip(theirs(&texts)) {
        refused += usize::from(theirs.is_none());
        let ours = ours(text);
        if ours != theirs && !(theirs.is_none() && LENIENT.contains(&value.as_str())) {
            different.push(format!("{value:?}: PyYAML {theirs:?}, ours {ours:?}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        texts.len(),
        different.join("\n")
    );
    assert!(
        refused * 4 < texts.len(),
        "{refused} of {} are refused: the reference is not at work",
        texts.len()
    );
}
