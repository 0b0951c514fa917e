//! A shape as JSON Schema.

use serde_json::{Map, Value, json};

use super::super::grammar::between;
use super::super::{Grammar, Key, Shape};
use super::{Unknown, map_of};

/// Whether null is as if the value were left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    Taken,
    Refused,
}

const REFERENCE: &str = "^aws:(?:kms|ssm|secretsmanager):";
/// Blanks may stand anywhere in base64; whether it has the right length, and what may follow the question mark, is for
/// the validator.
const WHOLE_REFERENCE: &str = "^aws:(?:kms:[ \\t\\r\\n]*[A-Za-z0-9+/][A-Za-z0-9+/ \\t\\r\\n]*(?:=[ \\t\\r\\n]*){0,2}|ssm:[A-Za-z0-9._/:-]+|secretsmanager:[A-Za-z0-9/_+=.@!:-]+)(?:\\?[^\\x00-\\x1f]+=[^\\x00-\\x1f]+\\s*)?$";
/// Quotes and backslashes as in a shell; none is left open.
const WORDS: &str = "^(?:[^'\"\\\\]|\\\\[\\s\\S]|'[^']*'|\"(?:[^\"\\\\]|\\\\[\\s\\S])*\")*$";
const SIZE: &str = "^[0-9]+(?:\\.[0-9]+)? ?(?:[KkMmGg](?:[Ii]?[Bb])?|[KkMmGg][Ii]|[Bb])?$";
const FRACTION: &str = "^(?:[0-9]+(?:\\.[0-9]{0,9})?|\\.[0-9]{1,9})$";
const UNITS: &str =
    "[0-9]+d(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?|[0-9]+h(?:[0-9]+m)?(?:[0-9]+s)?|[0-9]+m(?:[0-9]+s)?|[0-9]+s";
const FLAG: &str = "^(?:[Tt][Rr][Uu][Ee]|[Yy][Ee][Ss]|[Oo][Nn]|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff][Ff])$";

/// What a value of this shape may be.
pub(super) fn of(shape: &'static Shape, nulls: Nulls, unknown: Unknown) -> Map<String, Value> {
    let value = match shape {
        Shape::Anything => json!({}),
        Shape::Flag => json!({
            "type": ["boolean", "string"],
            "pattern": FLAG,
            "patternErrorMessage": "true or false",
        }),
        Shape::StrictFlag => json!({"type": ["boolean"]}),
        Shape::Text(grammar) => text(*grammar),
        Shape::Secret => json!({
            "type": ["string", "number", "boolean"],
            "if": reference(),
            "then": {"pattern": WHOLE_REFERENCE},
        }),
        Shape::Reference => json!({
            "type": ["string"],
            "pattern": WHOLE_REFERENCE,
            "patternErrorMessage": "a reference: aws:kms:, aws:ssm: or aws:secretsmanager:",
        }),
        Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Shape::Number { least, most, .. } => json!({
            "type": ["integer", "string"],
            "minimum": least,
            "maximum": most,
            "pattern": format!("^0*(?:{})$", between(*least, *most)),
            "patternErrorMessage": format!("a number from {least} to {most}"),
        }),
        Shape::Decimal {
            least_thousandths,
            most,
            ..
        } => json!({
            "type": ["number", "string"],
            "minimum": f64::from(*least_thousandths) / 1000.0,
            "maximum": most,
            "pattern": FRACTION,
        }),
        Shape::Size { least } => json!({
            "type": ["number", "string"],
            "minimum": least,
            "pattern": SIZE,
            "patternErrorMessage": "bytes, or a number with b, k, m or g",
        }),
        Shape::Time { least, most } => json!({
            "type": ["integer", "string"],
            "minimum": least,
            "maximum": most,
            "pattern": format!("^(?:0*(?:{})|{UNITS})$", between(*least, *most)),
            "patternErrorMessage": "seconds, or a time such as 90s, 15m, 1h30m",
        }),
        Shape::Choice(words) => choice(words),
        Shape::List(item) => {
            // An empty line in a list is nothing, except where each item has to be a name.
            let nulls = match item {
                Shape::Text(Grammar::Capability) => Nulls::Refused,
                _ => Nulls::Taken,
            };
            json!({"type": ["array"], "items": of(item, nulls, unknown)})
        }
        Shape::Words => words(),
        Shape::Map { names, value, .. } => names_of_the_user(*names, value, unknown),
        Shape::Object(keys) => {
            let keys: Vec<&'static Key> = keys.iter().collect();
            Value::Object(map_of(&keys, unknown))
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes
                .iter()
                .map(|shape| Value::Object(of(shape, Nulls::Refused, unknown)))
                .collect();
            json!({"anyOf": any})
        }
    };
    let Value::Object(mut map) = value else {
        return Map::new();
    };
    if nulls == Nulls::Taken {
        take_null(&mut map);
    }
    map
}

fn take_null(map: &mut Map<String, Value>) {
    if let Some(kind) = map.get_mut("type") {
        match kind {
            Value::Array(kinds) => kinds.push("null".into()),
            one => *one = json!([one.take(), "null"]),
        }
    } else if let Some(Value::Array(words)) = map.get_mut("enum") {
        words.push(Value::Null);
    } else if let Some(Value::Array(any)) = map.get_mut("anyOf") {
        any.push(json!({"type": "null"}));
    }
}

/// A string that begins as a reference does. `pattern` alone would hold for every number.
fn reference() -> Value {
    json!({"type": "string", "pattern": REFERENCE})
}

/// A text, or another scalar that is taken as it is written.
fn text(grammar: Grammar) -> Value {
    let (kinds, least, most): (&[&str], Option<i64>, Option<i64>) = match grammar {
        Grammar::Any
        | Grammar::NotEmpty
        | Grammar::Regex
        | Grammar::MountOptions
        | Grammar::DiskOptions
        | Grammar::HeaderValue
        | Grammar::EventBus
        | Grammar::Bucket
        | Grammar::Server
        | Grammar::Namespace
        | Grammar::LogGroup => (&["string", "number", "boolean"], None, None),
        Grammar::ApplicationId | Grammar::MetricName => (&["string", "boolean"], None, None),
        Grammar::ApplicationVersion | Grammar::Hostname => (&["string", "number", "boolean"], Some(0), None),
        Grammar::HookName => (&["string", "integer", "boolean"], None, None),
        Grammar::User => (&["string", "integer"], Some(0), Some(2_147_483_647)),
        Grammar::Port => (&["string", "integer"], Some(1), Some(65_535)),
        Grammar::Signal => (&["string", "integer"], Some(1), Some(64)),
        Grammar::Limit => (&["string", "integer"], Some(-1), None),
        _ => (&["string"], None, None),
    };
    let known = grammar.known();
    let mut map = Map::new();
    map.insert("type".to_owned(), json!(kinds));
    if let Some(pattern) = grammar.pattern() {
        map.insert("pattern".to_owned(), pattern.into());
        map.insert("patternErrorMessage".to_owned(), grammar.words().into());
    }
    for (name, bound) in [("minimum", least), ("maximum", most)] {
        if let Some(bound) = bound {
            map.insert(name.to_owned(), bound.into());
        }
    }
    let refused = match grammar {
        Grammar::Any
        | Grammar::NotEmpty
        | Grammar::Regex
        | Grammar::MountOptions
        | Grammar::DiskOptions
        | Grammar::Namespace
        | Grammar::HeaderValue => Some(reference()),
        // Their images change under a running fleet.
        Grammar::Image => Some(json!({
            "type": "string",
            "pattern": ":(?:latest|[^/@:]*SNAPSHOT[^/@:]*)(?:@|$)",
        })),
        _ => None,
    };
    if let Some(refused) = refused {
        map.insert("not".to_owned(), refused);
    }
    if grammar == Grammar::Hostname {
        map.insert("maxLength".to_owned(), 63.into());
    }
    if known.is_empty() {
        Value::Object(map)
    } else {
        // The words first, for editors offer them; other spellings are taken too.
        json!({"anyOf": [{"enum": known}, map]})
    }
}

/// A word of digits may be written as a number.
fn choice(words: &[&str]) -> Value {
    let mut all: Vec<Value> = words.iter().map(|word| (*word).into()).collect();
    all.extend(
        words
            .iter()
            .filter_map(|word| word.parse::<u32>().ok())
            .map(Value::from),
    );
    json!({"enum": all})
}

fn words() -> Value {
    json!({"anyOf": [
        {
            "type": ["string", "number", "boolean"],
            "pattern": WORDS,
            "patternErrorMessage": "a quote is never closed",
            "not": reference(),
        },
        {"type": "array", "items": {"type": ["string", "number", "boolean"], "not": reference()}},
    ]})
}

/// A map whose keys the user chooses.
fn names_of_the_user(names: Grammar, value: &'static Shape, unknown: Unknown) -> Value {
    let nulls = match names {
        Grammar::Registry | Grammar::HostPort => Nulls::Refused,
        _ => Nulls::Taken,
    };
    let mut each = of(value, nulls, unknown);
    if matches!(value, Shape::Scalar) && matches!(names, Grammar::Variable | Grammar::Path) {
        each.insert("if".to_owned(), reference());
        each.insert("then".to_owned(), json!({"pattern": WHOLE_REFERENCE}));
    }
    let mut names_schema = Map::new();
    if let Some(pattern) = names.pattern() {
        names_schema.insert("pattern".to_owned(), pattern.into());
        names_schema.insert("patternErrorMessage".to_owned(), names.words().into());
    }
    let known = names.known();
    if !known.is_empty() {
        names_schema.insert("enum".to_owned(), json!(known));
    }
    let map = json!({"type": ["object"], "propertyNames": names_schema, "additionalProperties": each});
    if names != Grammar::Registry || !matches!(value, Shape::Object(_)) {
        return map;
    }
    // The form docker has since 2015, one level deeper. Its programs for logins are not run.
    let Value::Object(mut map) = map else {
        return map;
    };
    let mut inner = map.clone();
    take_null(&mut inner);
    let known = json!({"auths": inner, "credsStore": false, "credHelpers": false});
    map.insert("properties".to_owned(), known);
    Value::Object(map)
}
