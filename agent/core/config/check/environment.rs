//! The container's environment: names, Python's spelling of values, KMS references.

use super::super::model::EnvValue;
use super::super::problem::{Code, Problem};
use super::super::yaml::{Entry, Resolved};
use super::Checker;
use super::field::Field;

/// Set by monopod for every container.
const OURS: &[&str] = &["APPLICATION_ID", "APPLICATION_VERSION", "CREDENTIALS_DIR"];

impl Checker<'_> {
    /// In file order, without the variables that are always ours.
    pub(super) fn environment(&mut self) -> Vec<(String, EnvValue)> {
        let Some(field) = self.field("environment") else {
            return Vec::new();
        };
        let entries = self.take(
            field
                .entries()
                .map_err(|problem| problem.help("write `environment: {NAME: value}`")),
        );
        let mut variables: Vec<(String, EnvValue)> = Vec::new();
        let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        for entry in entries.unwrap_or_default() {
            let child = field.child(entry);
            let named = self.variable_name(entry, &child);
            let value = self.variable_value(&child);
            let (true, Some(value)) = (named, value) else {
                continue;
            };
            let name = entry.name.clone();
            if OURS.contains(&name.as_str()) {
                let message = format!("`{name}` is always set by monopod: this value has no effect");
                self.report(at_key(
                    &child,
                    Problem::warning(Code::EnvironmentOverridden, message),
                ));
                continue;
            }
            // `80` and `'80'` are two keys to YAML and one to the container.
            match seen.get(&name).and_then(|index| variables.get_mut(*index)) {
                Some(earlier) => {
                    earlier.1 = value;
                    let message = format!("`{name}` stands twice, once as a number; the last one counts");
                    self.report(at_key(&child, Problem::warning(Code::DuplicateKey, message)));
                }
                None => {
                    seen.insert(name.clone(), variables.len());
                    variables.push((name, value));
                }
            }
        }
        variables
    }

    fn variable_name(&mut self, entry: &Entry, field: &Field<'_>) -> bool {
        let name = &entry.name;
        let wrong = if name.is_empty() {
            Some("the name of an environment variable is empty")
        } else if name.contains('=') {
            Some("the name of an environment variable may hold no `=`")
        } else if name.contains('\0') {
            Some("the name of an environment variable may hold no NUL")
        } else {
            None
        };
        if let Some(message) = wrong {
            let help = "write `NAME: value`, with a colon and a blank between them";
            self.report(at_key(field, Problem::error(Code::EnvironmentName, message)).help(help));
            return false;
        }
        if !matches!(entry.key.value, Resolved::Str | Resolved::Int(_)) {
            let message = format!("this name reads as `{name}` in YAML, and the variable is called that");
            self.report(
                at_key(field, Problem::warning(Code::Coerced, message)).help("put the name in quotes"),
            );
        }
        true
    }

    fn variable_value(&mut self, field: &Field<'_>) -> Option<EnvValue> {
        if field.is_broken() {
            return None;
        }
        let Some(scalar) = field.scalar() else {
            let problem = field.wrong_type("a single value");
            self.report(problem.help("put it in quotes if the app expects JSON or YAML"));
            return None;
        };
        let text = scalar.python_str();
        if scalar.value == Resolved::Str
            && let Some(reference) = field.reference(&text)
        {
            return self.take_reference(reference).map(EnvValue::Secret);
        }
        self.problems.extend(field.nearly_a_reference(&text));
        if text.contains('\0') {
            let message = format!(
                "`{}` holds a NUL character, which no environment can carry",
                field.path
            );
            self.report(field.error(Code::BadValue, message));
            return None;
        }
        Some(EnvValue::Plain(text))
    }
}

fn at_key(field: &Field<'_>, problem: Problem) -> Problem {
    problem.at(field.key_place).key(field.path.clone())
}
