//! The contract as JSON Schema, for editors and for CI.
//!
//! ```text
//! CONTRACT ─► schema(): user data        POLICY ─► policy(): the image's policy file
//! ```
//!
//! Types are those the validator takes, coerced strings and null included, so that an editor refuses nothing monopod
//! would read. What the validator warns about is allowed here and said in a description, for a schema knows no
//! warnings. Editors read YAML 1.2, where `yes` is a string: that is why a [`Shape::Flag`] takes some strings.
//!
//! It deliberately says nothing about keys that depend on each other; `monopod validate` does.

mod shapes;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::super::yaml::{self, Kind, Node, Resolved, Tags};
use super::{CONTRACT, Fate, Grammar, Key, POLICY, Shape};
use shapes::{Nulls, of};

/// No file has a home on the web: a name is enough to tell schemas apart.
const USER_DATA_ID: &str = "urn:monopod:user-data";
const POLICY_ID: &str = "urn:monopod:policy";
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of user data.
pub fn schema() -> Value {
    let keys: Vec<&'static Key> = CONTRACT.iter().flat_map(|group| group.keys).collect();
    let mut map = map_of(&keys, Unknown::Warned);
    head(
        &mut map,
        USER_DATA_ID,
        "monopod user data",
        "What a machine runs: one container. The first line of the file is `#taupage-ami-config`.",
    );
    Value::Object(map)
}

/// The JSON Schema of the image's policy file.
pub fn policy() -> Value {
    let keys: Vec<&'static Key> = POLICY.iter().collect();
    let mut map = map_of(&keys, Unknown::Refused);
    head(
        &mut map,
        POLICY_ID,
        "monopod policy",
        "What user data may ask for on machines made from this image: /etc/monopod/policy.yaml.",
    );
    Value::Object(map)
}

fn head(map: &mut Map<String, Value>, id: &str, title: &str, description: &str) {
    for (name, value) in [
        ("$schema", DIALECT),
        ("$id", id),
        ("title", title),
        ("description", description),
    ] {
        map.insert(name.to_owned(), value.into());
    }
}

/// What a key that nobody knows is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Warned,
    Refused,
}

/// A map with known keys.
fn map_of(keys: &[&'static Key], unknown: Unknown) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut families = Map::new();
    let mut required = Vec::new();
    for key in keys {
        let value = property(key, unknown);
        match key.name.strip_suffix('*') {
            Some(prefix) => families.insert(format!("^{prefix}."), value),
            None => properties.insert(key.name.to_owned(), value),
        };
        if key.required {
            required.push(key.name);
        }
    }
    let mut map = Map::new();
    map.insert("type".to_owned(), "object".into());
    map.insert("properties".to_owned(), properties.into());
    if !families.is_empty() {
        map.insert("patternProperties".to_owned(), families.into());
    }
    if !required.is_empty() {
        map.insert("required".to_owned(), json!(required));
    }
    let others = match unknown {
        Unknown::Refused => false.into(),
        Unknown::Warned => json!({
            "description": "monopod does not know this key: it has no effect, and a warning says so. With `unknown_keys: deny` it is an error."
        }),
    };
    map.insert("additionalProperties".to_owned(), others);
    map
}

/// One key: what it takes, and what a person wants to read while writing it.
fn property(key: &'static Key, unknown: Unknown) -> Value {
    // A rule of a policy that says nothing is an error.
    let nulls = if key.required || unknown == Unknown::Refused {
        Nulls::Refused
    } else {
        Nulls::Taken
    };
    let mut map = of(&key.shape, nulls, unknown);
    peculiar(key, &mut map);
    map.insert("description".to_owned(), described(key).into());
    map.insert("markdownDescription".to_owned(), in_full(key).into());
    if let Some(default) = default(key) {
        map.insert("default".to_owned(), default);
    }
    if let Some(example) = example(key) {
        map.insert("examples".to_owned(), json!([example]));
    }
    if matches!(key.fate, Fate::Retired(_)) {
        map.insert("deprecated".to_owned(), true.into());
    }
    Value::Object(map)
}

/// What a check takes or refuses beyond the key's shape.
fn peculiar(key: &Key, map: &mut Map<String, Value>) {
    match key.name {
        // Any case is taken, with a warning.
        "runtime" => {
            map.remove("enum");
            let pattern = format!("^{}$", super::grammar::any_case("docker"));
            let any = json!([{"enum": ["Docker", null]}, {"type": "string", "pattern": pattern}]);
            map.insert("anyOf".to_owned(), any);
        }
        // `off` is false to YAML 1.1, and means never.
        "shutdown" => {
            if let Some(Value::Array(words)) = map.get_mut("enum") {
                words.push(false.into());
            }
        }
        "devices" => {
            map.insert("minItems".to_owned(), 2.into());
        }
        _ => {}
    }
}

/// Meaning, default and fate, in plain text.
fn described(key: &Key) -> String {
    let mut text = key.summary.to_owned();
    if !key.default.is_empty() {
        text.push_str(&format!(" Default: {}.", key.default));
    }
    if let Some(fate) = fate(key) {
        text.push(' ');
        text.push_str(&fate);
    }
    text
}

/// The same with what Taupage did, for editors that show Markdown.
fn in_full(key: &Key) -> String {
    let mut text = described(key);
    for (who, what) in [("Taupage", key.taupage), ("monopod", key.ours)] {
        if !what.is_empty() {
            text.push_str(&format!("\n\n**{who}:** {what}"));
        }
    }
    text
}

/// What becomes of a key that does not simply take effect.
fn fate(key: &Key) -> Option<String> {
    match key.fate {
        Fate::Read => None,
        Fate::Later(lost) => Some(format!("Not in this version: {lost}.")),
        Fate::Refused(lost) => Some(format!("Not available yet, and refused: {lost}.")),
        Fate::Retired(instead) => Some(format!("Gone: it has no effect. Instead: {instead}.")),
    }
}

/// The default where it is a value and not a sentence.
fn default(key: &Key) -> Option<Value> {
    let text = key.default;
    match key.shape {
        Shape::Flag | Shape::StrictFlag => text.parse::<bool>().ok().map(Value::from),
        Shape::Number { .. } => text.parse::<u32>().ok().map(Value::from),
        Shape::Choice(words) => words.iter().find(|word| **word == text).map(|word| json!(word)),
        Shape::Size { .. } | Shape::Time { .. } => text
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| text.into()),
        Shape::List(_) | Shape::Either(&[Shape::List(_), ..]) => serde_json::from_str(text).ok(),
        Shape::Text(Grammar::Seccomp | Grammar::NotEmpty)
            if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') =>
        {
            (!text.is_empty()).then(|| text.into())
        }
        _ => None,
    }
}

/// The example's value.
fn example(key: &Key) -> Option<Value> {
    let root = yaml::load(key.example, 0, Tags::Refuse, &mut Vec::new()).ok()??;
    let Kind::Map(entries) = root.kind else {
        return None;
    };
    let entry = entries.into_iter().find(|entry| entry.name == key.name)?;
    Some(as_json(&entry.value))
}

fn as_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Seq(nodes) => nodes.iter().map(as_json).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| (entry.name.clone(), as_json(&entry.value)))
            .collect::<Map<String, Value>>()
            .into(),
        Kind::Scalar(scalar) => match &scalar.value {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => (*value).into(),
            Resolved::Int(digits) => digits
                .parse::<i64>()
                .map_or_else(|_| digits.as_str().into(), Value::from),
            Resolved::Float(value) => (*value).into(),
            Resolved::Stamp(text) => text.as_str().into(),
            Resolved::Str => scalar.text.as_str().into(),
        },
        Kind::Broken | Kind::Hole => Value::Null,
    }
}
