//! One key or one code at length, for a person at a terminal.

use super::super::keys::nearest_of;
use super::super::problem::Code;
use super::lessons::{Example, Lesson, lesson};
use super::{CONTRACT, Fate, Path, every, every_policy};
use crate::text;

/// What is known about a key (`memory`, `mounts.*.filesystem`, `policy.allow.root`) or a code (`MP0310`).
///
/// # Errors
/// Nobody knows the word; the known one closest to it.
pub fn explain(word: &str) -> Result<String, Option<&'static str>> {
    if let Some(code) = Code::ALL
        .iter()
        .find(|code| code.as_str().eq_ignore_ascii_case(word))
    {
        return Ok(about_code(*code));
    }
    let found = match word.strip_prefix("policy.") {
        Some(path) => every_policy()
            .into_iter()
            .filter(|one| one.is(path))
            .map(Path::of_policy)
            .collect(),
        None => find(word),
    };
    if found.is_empty() {
        return Err(nearest(word));
    }
    let texts: Vec<String> = found.iter().map(about_key).collect();
    Ok(texts.join("\n"))
}

/// Every key and every code, one a line.
pub fn overview() -> String {
    let mut out = String::new();
    let line = |name: &str, summary: &str| format!("  {name:<44} {summary}\n");
    for group in CONTRACT {
        out.push_str(&format!("{}\n", group.title));
        for path in every()
            .iter()
            .filter(|path| group.keys.iter().any(|key| path.starts_with(key)))
        {
            out.push_str(&line(&path.dotted, path.key().summary));
        }
    }
    out.push_str("The image's policy\n");
    for path in every_policy() {
        out.push_str(&line(&format!("policy.{}", path.dotted), path.key().summary));
    }
    out.push_str("Codes\n");
    for code in Code::ALL {
        out.push_str(&line(code.as_str(), code.meaning()));
    }
    out
}

/// The key of this path; else every key inside a map that is called so.
fn find(word: &str) -> Vec<Path> {
    let all = every();
    if let Some(path) = all.iter().find(|path| path.is(word)) {
        return vec![path.clone()];
    }
    all.into_iter()
        .chain(every_policy().into_iter().map(Path::of_policy))
        .filter(|path| path.key().name == word)
        .collect()
}

fn nearest(word: &str) -> Option<&'static str> {
    if word.to_ascii_lowercase().starts_with("mp") && word.chars().any(|c| c.is_ascii_digit()) {
        return nearest_of(
            &word.to_ascii_uppercase(),
            Code::ALL.iter().map(|code| code.as_str()),
        );
    }
    let all: Vec<Path> = every().into_iter().chain(every_policy()).collect();
    let last = word.rsplit('.').next().unwrap_or(word);
    nearest_of(
        last,
        all.iter()
            .map(|path| path.key().name)
            .filter(|name| !name.ends_with('*')),
    )
}

fn about_key(path: &Path) -> String {
    let key = path.key();
    let mut out = format!("{}\n\n{}\n\n", path.dotted, key.summary);
    let mut line = |what: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&format!("{what:<10} {text}\n"));
        }
    };
    line("Type:", &key.shape.in_words());
    line(
        "Default:",
        if key.required {
            "none; it is required"
        } else {
            key.default
        },
    );
    line("Taupage:", key.taupage);
    line("monopod:", key.ours);
    line("Now:", &status(path));
    if !key.example.is_empty() {
        out.push_str("\nExample:\n");
        out.push_str(&indented(key.example));
    }
    let inner = path.inner();
    if !inner.is_empty() {
        out.push_str("\nKeys inside:\n");
        for one in inner {
            out.push_str(&format!("  {:<34} {}\n", one.dotted, one.key().summary));
        }
    }
    out
}

/// What becomes of the key: a key inside a map shares the map's fate.
pub(super) fn status(path: &Path) -> String {
    let fate = match path.key().fate {
        Fate::Read => path.outermost().fate,
        own => own,
    };
    match fate {
        Fate::Read => "takes effect.".to_owned(),
        Fate::Later(lost) => {
            format!("checked, without effect in this version, which a warning says: {lost}.")
        }
        Fate::Refused(lost) => format!("checked, and refused as long as it cannot be carried out: {lost}."),
        Fate::Retired(instead) => {
            format!("its service is gone; it has no effect, and a warning says so. Instead: {instead}.")
        }
    }
}

fn about_code(code: Code) -> String {
    let mut out = format!("{code}  {}\n", code.meaning());
    let Some(Lesson { why, example, .. }) = lesson(code) else {
        return out;
    };
    out.push_str(&format!("\n{why}\n"));
    let (policy, bad, good) = match example {
        Example::Unshown(_) => return out,
        Example::Lines { bad, good } | Example::Text { bad, good } => (None, bad, good),
        Example::Policy { policy, bad, good } => (Some(policy), bad, good),
    };
    if let Some(policy) = policy {
        out.push_str("\nWith this policy in the machine's image:\n");
        out.push_str(&indented(policy));
    }
    out.push_str("\nThis is reported:\n");
    out.push_str(&indented(bad));
    out.push_str(&if good.is_empty() {
        "\nWithout the line it is not.\n".to_owned()
    } else {
        format!("\nThis is right:\n{}", indented(good))
    });
    out
}

/// Lines of an example, no character of which moves the cursor.
fn indented(example: &str) -> String {
    if example.is_empty() {
        return "    (nothing)\n".to_owned();
    }
    example
        .lines()
        .map(|line| format!("    {}\n", text::printable(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::POLICY;
    use super::*;

    #[test]
    fn every_path_is_explained_and_nothing_is_left_out() {
        let policies = every_policy().into_iter().map(Path::of_policy);
        for path in every().into_iter().chain(policies) {
            let text = explain(&path.dotted).unwrap_or_else(|near| panic!("{}: {near:?}", path.dotted));
            assert!(
                text.starts_with(&path.dotted) && text.contains(path.key().summary),
                "{text}"
            );
            for line in text.lines() {
                assert!(line.trim_end() == line, "{line:?}");
            }
            for inner in path.inner() {
                assert!(text.contains(&inner.dotted), "{text}");
            }
        }
        for code in Code::ALL {
            let text = explain(code.as_str()).unwrap();
            assert!(
                text.contains(code.meaning()) && text.lines().count() > 2,
                "{text}"
            );
        }
        let overview = overview();
        for name in [
            "  memory ",
            "  mounts.*.filesystem ",
            "  policy.allow.root ",
            "  MP0310 ",
            "Limits\n",
        ] {
            assert!(overview.contains(name), "{name}");
        }
        assert_eq!(POLICY.len() + 27, every_policy().len());
    }

    #[test]
    fn what_is_written_about_a_key() {
        let text = explain("mounts./data.erase_on_boot").unwrap();
        for part in [
            "mounts.*.erase_on_boot",
            "a string is an error",
            "takes effect.",
            "erase_on_boot: false",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = explain("memory").unwrap();
        for part in [
            "6 MiB or more",
            "256 MiB and 10 %",
            "memory: 512m",
            "No limit",
            "takes effect.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            explain("newrelic_account_key")
                .unwrap()
                .contains("Instead: build the vendor's")
        );
        assert!(explain("logging.fluentd_buffer").unwrap().contains("gone"));
        // An inner name alone finds every key of that name.
        let text = explain("scalyr_region").unwrap();
        assert!(text.starts_with("scalyr_region\n") && !text.contains("logging.scalyr_region"));
        assert!(explain("s3_bucket").unwrap().starts_with("logging.s3_bucket\n"));
        assert!(
            explain("loadbalancer_name")
                .unwrap()
                .starts_with("healthcheck.loadbalancer_name\n")
        );
        assert!(
            explain("undigested_tags")
                .unwrap()
                .starts_with("policy.allow.undigested_tags\n")
        );
    }

    #[test]
    fn an_unknown_word_finds_its_neighbour() {
        for (word, near) in [
            ("memroy", Some("memory")),
            ("logging.s3_buckt", Some("s3_bucket")),
            ("policy.alow", Some("allow")),
            ("xyzzy", None),
            ("", None),
            ("policy.", None),
        ] {
            assert_eq!(explain(word), Err(near), "{word}");
        }
        assert!(explain("mp0310").is_ok());
        assert!(explain("MP9999").is_err());
    }
}
