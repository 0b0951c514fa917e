use super::*;
use crate::record::sample::full;
use crate::record::{Agent, BootRecord, Outcome, to_json};

/// Each field of each object in the value is one the schema knows, and each the schema requires is there.
fn agree(schema: &Value, value: &Value, path: &str) {
    if let Some(shapes) = schema.get("anyOf").or(schema.get("oneOf")) {
        let shapes = shapes.as_array().unwrap();
        let fits = shapes.iter().find(|shape| match value {
            Value::Null => shape["type"] == "null",
            Value::Array(_) => shape["type"] == "array",
            Value::Object(fields) => {
                let constants = shape["properties"].as_object();
                constants.is_some_and(|constants| {
                    constants.iter().all(|(name, shape)| {
                        shape
                            .get("const")
                            .is_none_or(|wanted| fields.get(name) == Some(wanted))
                    })
                })
            }
            _ => shape["type"] != "null",
        });
        return agree(
            fits.unwrap_or_else(|| panic!("no shape for {path}: {value}")),
            value,
            path,
        );
    }
    match value {
        Value::Null => assert_eq!(schema["type"], "null", "{path} has no place for null"),
        Value::Object(fields) => {
            // A map whose names are others'.
            if let Some(each) = schema.get("additionalProperties") {
                return fields.values().for_each(|value| agree(each, value, path));
            }
            let known = schema["properties"].as_object().unwrap();
            for (name, value) in fields {
                let shape = known.get(name);
                agree(
                    shape.unwrap_or_else(|| panic!("{path}.{name} is not in the schema")),
                    value,
                    &format!("{path}.{name}"),
                );
            }
            for name in schema["required"].as_array().unwrap() {
                assert!(
                    fields.contains_key(name.as_str().unwrap()),
                    "{path}.{name} is required and not there"
                );
            }
        }
        Value::Array(all) => {
            for (at, one) in all.iter().enumerate() {
                agree(&schema["items"], one, &format!("{path}[{at}]"));
            }
        }
        Value::String(text) => match schema.get("enum").or(schema.get("const")) {
            Some(Value::Array(words)) => assert!(words.contains(value), "{path}: {text}"),
            Some(word) => assert_eq!(word, value, "{path}"),
            None => assert_eq!(schema["type"], "string", "{path}"),
        },
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{path}"),
        Value::Number(_) => {
            assert!(schema["type"] == "integer" || schema["const"] == *value, "{path}");
        }
    }
}

fn status(record: &BootRecord) -> Value {
    serde_json::from_str(&to_json(record, Agent::Running)).unwrap()
}

#[test]
fn it_knows_every_field_of_a_full_record_and_of_an_empty_one() {
    agree(&schema(), &status(&full()), "status");
    agree(&schema(), &status(&BootRecord::new("0", 1, 2)), "status");
}

#[test]
fn a_full_record_has_something_in_every_field() {
    let status = status(&full());
    for (name, value) in status.as_object().unwrap() {
        let nothing = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        assert!(
            !nothing,
            "{name} is empty in the sample: the schema is not held against it"
        );
    }
}

#[test]
fn it_knows_every_outcome() {
    let reason = || "because".to_owned();
    for outcome in [
        Outcome::Booting,
        Outcome::Ready { since: 1 },
        Outcome::Completed { since: 1 },
        Outcome::Degraded {
            since: 1,
            reason: reason(),
        },
        Outcome::Failed {
            since: 1,
            reason: reason(),
            exit_code: 78,
        },
        Outcome::Stopped { since: 1 },
        Outcome::Warm { since: 1 },
        Outcome::Draining {
            since: 1,
            phase: DrainPhase::Done,
            reason: reason(),
        },
        Outcome::Drained {
            since: 1,
            reason: reason(),
        },
    ] {
        let mut record = full();
        record.outcome = outcome;
        agree(&schema(), &status(&record), "status");
    }
}
