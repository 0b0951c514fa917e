//! What a registry asks for when it answers 401: the `WWW-Authenticate` header (RFC 9110, 11.6.1).

use std::collections::BTreeMap;

/// One way to say who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token, from a server that knows user and password.
    Bearer {
        /// The token server's address.
        realm: String,
        /// Which service the token is for.
        service: Option<String>,
    },
}

/// The challenges in the header's values that we can answer, tokens first.
pub(super) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut found = Vec::new();
    for (scheme, mut parameters) in values.flat_map(schemes) {
        match scheme.as_str() {
            "basic" => found.push(Challenge::Basic),
            "bearer" => {
                if let Some(realm) = parameters.remove("realm") {
                    let service = parameters.remove("service");
                    found.insert(0, Challenge::Bearer { realm, service });
                }
            }
            _ => {}
        }
    }
    found
}

/// Scheme and parameters of each challenge, names in lower case. Whatever makes no sense ends the list.
fn schemes(value: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return found;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            Some(value) => {
                let Some((value, after)) = parameter(value.trim_start_matches([' ', '\t'])) else {
                    return found;
                };
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
                rest = after;
            }
            None => {
                found.push((word.to_ascii_lowercase(), BTreeMap::new()));
                rest = after;
            }
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A token or a quoted string, and what comes after it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn as_registries_write_it() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            parse([hub].into_iter()),
            [bearer("https://auth.docker.io/token", Some("registry.docker.io"))]
        );
        assert_eq!(
            parse([r#"Basic realm="Registry Realm""#].into_iter()),
            [Challenge::Basic]
        );
        assert_eq!(parse(["Basic"].into_iter()), [Challenge::Basic]);
        assert_eq!(
            parse([r#"bearer Realm = "https://a/\"b\\" , error=invalid_token"#].into_iter()),
            [bearer(r#"https://a/"b\"#, None)]
        );
    }

    #[test]
    fn several_in_one_header_or_in_two() {
        let both = [Challenge::Basic, bearer("https://a", None)];
        let swapped = [both[1].clone(), both[0].clone()];
        assert_eq!(
            parse([r#"Basic realm="x, y", Bearer realm="https://a""#].into_iter()),
            swapped
        );
        assert_eq!(
            parse(["Basic", r#"Bearer realm="https://a""#].into_iter()),
            swapped
        );
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in [
            "",
            ",,",
            "Bearer",
            r#"Bearer realm="https://a"#,
            "Negotiate",
            "=",
            "\"",
            "Bearer realm=\"a\\",
        ] {
            assert_eq!(parse([text].into_iter()), [], "{text}");
        }
    }
}
