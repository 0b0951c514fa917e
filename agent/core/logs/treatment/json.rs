//! Whether a line is JSON.

use serde::de::IgnoredAny;

/// Whether it is an object and nothing else. Only what begins with a brace is looked at: a number is JSON as well.
pub(super) fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The text as it stands between the quotes of a string.
pub(super) fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_objects() {
        assert!(is_object(r#"{"a": [1, "}"]} "#));
        for other in ["{", "{} {}", "{a: 1}", "[1]", "1", " {}", ""] {
            assert!(!is_object(other), "{other}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped("a\"\\\n\u{1}ü$1"), r#"a\"\\\n\u0001ü$1"#);
        assert_eq!(escaped(""), "");
    }
}
