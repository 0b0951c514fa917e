//! The container's own options: flags, host name, network, shared memory, restarts.

use super::super::keys::nearest_of;
use super::super::model::{Networking, RestartPolicy};
use super::super::problem::{Code, Problem};
use super::super::yaml::Resolved;
use super::Checker;

impl Checker<'_> {
    pub(super) fn strict_flag(&mut self, key: &str) -> Option<bool> {
        let field = self.field(key)?;
        self.take(field.strict_flag())
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let field = self.field(key)?;
        let read = self.take(field.flag())?;
        Some(self.warned(read))
    }

    pub(super) fn hostname(&mut self) -> Option<String> {
        let field = self.field("hostname")?;
        let read = self.take(field.text())?;
        let text = self.warned(read);
        if text.is_empty() {
            return None;
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 63 && text.split('.').all(label) {
            return Some(text);
        }
        let message =
            "`hostname` is up to 63 letters, digits, dots and dashes, and no part begins or ends with a dash";
        self.report(field.error(Code::BadValue, message));
        None
    }

    pub(super) fn networking(&mut self) -> Option<Networking> {
        let field = self.field("networking")?;
        let read = self.take(field.text())?;
        let text = self.warned(read);
        let problem = match text.as_str() {
            "bridge" => return Some(Networking::Bridge),
            "host" => return Some(Networking::Host),
            "none" => return Some(Networking::None),
            other if other.starts_with("container:") => field
                .error(
                    Code::Networking,
                    "`networking: container:...` is refused: monopod runs exactly one container",
                )
                .help("write `bridge`, `host` or `none`"),
            other => {
                let problem = field.error(
                    Code::Networking,
                    "`networking` has to be `bridge`, `host` or `none`",
                );
                suggest(problem, other, &["bridge", "host", "none"])
            }
        };
        self.report(problem);
        None
    }

    pub(super) fn shm_size(&mut self) -> Option<u64> {
        let field = self.field("shm_size")?;
        let bytes = match field.scalar() {
            Some(scalar) if matches!(scalar.value, Resolved::Int(_) | Resolved::Str) => {
                bytes(&scalar.python_str()).filter(|bytes| *bytes > 0)
            }
            _ => {
                self.report(field.wrong_type("a size"));
                return None;
            }
        };
        if bytes.is_none() {
            let problem = field.error(
                Code::BadValue,
                "`shm_size` has to be a number of bytes, or one with b, k, m or g",
            );
            self.report(problem.help("write `shm_size: 256m`"));
        }
        bytes
    }

    pub(super) fn restart(&mut self) -> Option<RestartPolicy> {
        let field = self.field("restart")?;
        if let Some(Resolved::Bool(false)) = field.scalar().map(|scalar| &scalar.value) {
            let problem = field.error(Code::BadValue, "`no` reads as the boolean false in YAML");
            self.report(problem.help("write `restart: never`"));
            return None;
        }
        let read = self.take(field.text())?;
        let text = self.warned(read);
        let problem = field.error(
            Code::BadValue,
            "`restart` has to be `always`, `on-failure` or `never`",
        );
        let problem = match text.as_str() {
            "always" => return Some(RestartPolicy::Always),
            "on-failure" => return Some(RestartPolicy::OnFailure),
            "never" => return Some(RestartPolicy::Never),
            "no" => problem.help("write `restart: never`"),
            "unless-stopped" => problem.help("write `restart: always`"),
            other if other.starts_with("on-failure:") => problem
                .help("write `restart: on-failure`: restarts have a budget over time instead of a number"),
            other => suggest(problem, other, &["always", "on-failure", "never"]),
        };
        self.report(problem);
        None
    }
}

fn suggest(problem: Problem, text: &str, known: &[&str]) -> Problem {
    // `-` and `_` are the same to the comparison.
    let candidates: Vec<String> = known.iter().map(|known| known.replace('-', "_")).collect();
    match nearest_of(text, candidates.iter().map(String::as_str)) {
        Some(near) => problem.help(format!("did you mean `{}`?", near.replace('_', "-"))),
        None => problem,
    }
}

/// A size as docker reads it: `64m`, `1.5g`, `1 GiB`, `4096`.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number_ends = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at_checked(number_ends)?;
    let shift = match unit.strip_prefix(' ').unwrap_or(unit) {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    // Nine digits are enough for a byte of a gibibyte.
    let digits: String = fraction.chars().take(9).collect();
    let fraction = (digits.parse::<u64>().ok()? << shift) / 10_u64.pow(u32::try_from(digits.len()).ok()?);
    whole
        .checked_mul(1 << shift)?
        .checked_add(fraction)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, size) in [
            ("4096", 4096),
            ("64b", 64),
            ("64k", 65_536),
            ("64M", 67_108_864),
            ("1g", 1 << 30),
            ("1.5g", 3 << 29),
            ("1 GiB", 1 << 30),
            ("2mb", 2 << 20),
            ("0.5k", 512),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in [
            "",
            "m",
            "1x",
            "-1",
            "1.2.3k",
            "1 2",
            "99999999999g",
            ".5g",
            "1.",
            "١k",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
