//! `aws:kms:` values as they are written, and the names of keys as people write them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::config::nearest::nearest_of;
use crate::secret::Ciphertext;

/// An encryption context: what KMS binds a ciphertext to, and asks for again when it decrypts. It is no secret.
pub type Context = BTreeMap<String, String>;

/// Why an encryption context can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Not `NAME=VALUE`.
    #[error("an encryption context is written NAME=VALUE, with a name and a value")]
    Form,
    /// One name, one value.
    #[error("an encryption context has a name twice")]
    Twice,
}

/// Reads `NAME=VALUE` pairs.
pub fn context<'p>(pairs: impl Iterator<Item = &'p str>) -> Result<Context, ContextError> {
    let mut all = Context::new();
    for pair in pairs {
        let (name, value) = pair.split_once('=').ok_or(ContextError::Form)?;
        if name.is_empty() || value.is_empty() {
            return Err(ContextError::Form);
        }
        if all.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(ContextError::Twice);
        }
    }
    Ok(all)
}

/// `aws:kms:<base64>`, with `?context.NAME=VALUE&...` behind it where there is a context.
pub fn written(ciphertext: &Ciphertext, context: &Context) -> String {
    let mut text = format!("aws:kms:{}", BASE64.encode(ciphertext.as_bytes()));
    for (at, (name, value)) in context.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str("context.");
        push_escaped(&mut text, name);
        text.push('=');
        push_escaped(&mut text, value);
    }
    text
}

/// RFC 3986: everything but letters, digits and `-._~` as `%XX`.
fn push_escaped(text: &mut String, part: &str) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// What is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is named by an alias (`alias/my-app`, or `my-app`), its id or its ARN")]
pub struct KeyIdError;

/// What KMS takes: an id, an ARN or an alias; any other word is the name of an alias.
pub fn key_id(name: &str) -> Result<String, KeyIdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | ':');
    let bare = name.strip_prefix("alias/").unwrap_or(name);
    if bare.is_empty() || !name.chars().all(allowed) {
        return Err(KeyIdError);
    }
    if name.starts_with("arn:") || name.starts_with("alias/") || is_id(name) {
        return Ok(name.to_owned());
    }
    if name.contains(':') {
        return Err(KeyIdError);
    }
    Ok(format!("alias/{name}"))
}

/// A UUID, or `mrk-` and 32 hexadecimal digits.
fn is_id(name: &str) -> bool {
    let is_hex =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = name.split('-').collect();
    match parts.as_slice() {
        ["mrk", digits] => is_hex(digits, 32),
        [a, b, c, d, e] => is_hex(a, 8) && is_hex(b, 4) && is_hex(c, 4) && is_hex(d, 4) && is_hex(e, 12),
        _ => false,
    }
}

/// The alias closest to one that is not there.
pub fn nearest_alias<'n>(wanted: &str, names: &'n [String]) -> Option<&'n str> {
    nearest_of(wanted, names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names_of_four_kinds() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let arn = format!("arn:aws:kms:eu-central-1:123456789012:key/{id}");
        let multi = "mrk-1234abcd12ab34cd56ef1234567890ab";
        for same in [id, &arn, multi, "alias/my-app"] {
            assert_eq!(key_id(same).as_deref(), Ok(same));
        }
        assert_eq!(key_id("my-app").as_deref(), Ok("alias/my-app"));
        assert_eq!(key_id("team/my-app").as_deref(), Ok("alias/team/my-app"));
        for wrong in ["", "alias/", "my app", "my:app", "ü"] {
            assert_eq!(key_id(wrong), Err(KeyIdError), "{wrong}");
        }
    }

    #[test]
    fn a_context_is_written_behind_the_ciphertext() {
        let ciphertext = Ciphertext::new(b"hello".to_vec());
        let read = |pairs: &[&str]| context(pairs.iter().copied());
        assert_eq!(written(&ciphertext, &Context::new()), "aws:kms:aGVsbG8=");
        let two = read(&["team=a b&c=\u{fc}", "app=x"]).unwrap();
        assert_eq!(
            written(&ciphertext, &two),
            "aws:kms:aGVsbG8=?context.app=x&context.team=a%20b%26c%3D%C3%BC"
        );
        for wrong in ["team", "=a", "team="] {
            assert_eq!(read(&[wrong]), Err(ContextError::Form), "{wrong}");
        }
        assert_eq!(read(&["a=1", "a=2"]), Err(ContextError::Twice));
    }
}
