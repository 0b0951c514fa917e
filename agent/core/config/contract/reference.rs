//! All keys and codes as one Markdown page: config-samples/REFERENCE.md.

use super::super::problem::Code;
use super::explain::status;
use super::{CONTRACT, Fate, Group, Path, every, every_policy};

const HEAD: &str = "\
# Every key, every code

Printed from `agent/core/config/contract` by `make golden`: change it there. `monopod explain KEY` and
`monopod explain CODE` show the same at a terminal, and [schema.json](schema.json) and
[policy.schema.json](policy.schema.json) tell an editor.

User data is a YAML map; its first line is `#taupage-ami-config`. YAML is read as Taupage's parser read it (1.1): `yes` is
true, `0755` is 493, `22:30` is 1350; quote what should stay as it is written. An empty value is as if the key were left
out. A key that is not here is a warning, or an error with `unknown_keys: deny`.

**Now** says what becomes of a key in this version.
";

/// The whole page.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    out.push('\n');
    for group in CONTRACT {
        out.push_str(&format!("- [{}](#{})\n", group.title, anchor(group.title)));
    }
    for title in [CODES, POLICY_FILE] {
        out.push_str(&format!("- [{title}](#{})\n", anchor(title)));
    }
    for group in CONTRACT {
        out.push_str(&format!("\n## {}\n", group.title));
        keys(group, &mut out);
    }
    codes(&mut out);
    policy_file(&mut out);
    out
}

const CODES: &str = "Codes";
const POLICY_FILE: &str = "The policy file";

/// As GitHub makes it from a heading.
fn anchor(title: &str) -> String {
    title.to_ascii_lowercase().replace(' ', "-").replace('\'', "")
}

fn keys(group: &Group, out: &mut String) {
    let all: Vec<Path> = every()
        .into_iter()
        .filter(|path| path.keys().len() == 1 && group.keys.iter().any(|key| path.starts_with(key)))
        .collect();
    if all.iter().all(|path| matches!(path.key().fate, Fate::Retired(_))) {
        gone(&all, out);
        return;
    }
    for path in all {
        entry(&path, out);
    }
}

fn entry(path: &Path, out: &mut String) {
    let key = path.key();
    out.push_str(&format!("\n### `{}`\n\n{}\n\n", path.dotted, key.summary));
    let mut line = |what: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&format!("- **{what}:** {text}\n"));
        }
    };
    line("Type", &key.shape.in_words());
    line(
        "Default",
        if key.required {
            "none; it is required"
        } else {
            key.default
        },
    );
    line("Taupage", key.taupage);
    line("monopod", key.ours);
    if key.fate != Fate::Read {
        line("Now", &status(path));
    }
    if !key.example.is_empty() {
        out.push_str(&format!("\n```yaml\n{}\n```\n", key.example));
    }
    let inner = path.inner();
    if inner.is_empty() {
        return;
    }
    out.push_str("\n| key inside | what it does | type | default | example |\n|---|---|---|---|---|\n");
    for one in inner {
        let key = one.key();
        let mut what = key.summary.to_owned();
        for (who, text) in [("Taupage", key.taupage), ("monopod", key.ours)] {
            if !text.is_empty() {
                what.push_str(&format!(" {who}: {text}"));
            }
        }
        if key.fate != Fate::Read {
            what.push_str(&format!(" Now: {}", status(&one)));
        }
        let default = if key.required { "required" } else { key.default };
        row(
            out,
            &[
                &code_cell(&one.dotted),
                &cell(&what),
                &cell(&key.shape.in_words()),
                &cell(default),
                &code_cell(key.example),
            ],
        );
    }
}

fn gone(all: &[Path], out: &mut String) {
    out.push_str("\nAccepted, each with a warning, never an error.\n\n| key | what it was | instead |\n|---|---|---|\n");
    for path in all {
        if let Fate::Retired(instead) = path.key().fate {
            row(
                out,
                &[
                    &code_cell(&path.dotted),
                    &cell(path.key().summary),
                    &cell(instead),
                ],
            );
        }
    }
}

fn codes(out: &mut String) {
    out.push_str(&format!(
        "\n## {CODES}\n\nA number is never given to another kind of problem. `monopod explain CODE` says why it matters and how to \
         put it right.\n\n| code | meaning |\n|---|---|\n"
    ));
    for code in Code::ALL {
        row(out, &[&code_cell(code.as_str()), &cell(code.meaning())]);
    }
}

fn policy_file(out: &mut String) {
    out.push_str(&format!(
        "\n## {POLICY_FILE}\n\n`/etc/monopod/policy.yaml` in the machine's image says what user data may ask for. A mistake in it is an \
         error: a rule that nobody enforces is worse than none. So is a file that holds nothing, such as a copy that was \
         cut off; `{{}}` is a policy that says nothing. `monopod explain policy.KEY` explains one of its keys.\n"
    ));
    for path in every_policy() {
        if path.keys().len() == 1 {
            entry(&path, out);
        }
    }
}

fn row(out: &mut String, cells: &[&str]) {
    out.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// Text in a table: one line, and no bar of its own.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn code_cell(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", cell(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_out_and_every_table_is_whole() {
        assert_eq!(cell("a|b\nc"), "a\\|b c");
        let page = reference();
        for path in every() {
            let name = format!("`{}`", path.dotted);
            assert!(
                page.contains(&name) && page.contains(&cell(path.key().summary)),
                "{name}"
            );
        }
        for path in every_policy() {
            assert!(page.contains(&format!("`{}`", path.dotted)), "{}", path.dotted);
        }
        for code in Code::ALL {
            assert!(
                page.contains(&format!("| `{code}` | {} |", code.meaning())),
                "{code}"
            );
        }
        let mut columns = 0;
        for line in page.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            if line.starts_with("|---") {
                columns = bars;
            }
            if line.starts_with("| `") {
                assert_eq!(bars, columns, "{line}");
            }
            assert_eq!(line.trim_end(), line);
        }
        for link in page
            .lines()
            .filter_map(|line| line.strip_prefix("- [")?.split_once("](#"))
        {
            let title = link.0;
            assert!(page.contains(&format!("\n## {title}\n")), "{title}");
        }
    }
}
