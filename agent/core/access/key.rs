//! Public keys as OpenSSH writes them. What is let through is written again from its bytes, so nothing but the key (no option,
//! no comment, no second line) gets into a file of sshd's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Bytes of a file of keys.
pub const LONGEST_KEYS: usize = 16 * 1024;
/// Keys of one user: a person has a few devices.
const MOST_KEYS: usize = 8;
/// Bits of an RSA key; shorter ones are broken, longer ones only slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=16_384;

/// Why a text holds no key that may be used. Texts are never repeated: they come from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Too long.
    #[error("the keys are longer than {LONGEST_KEYS} bytes")]
    TooLong,
    /// Nothing.
    #[error("there is no key")]
    None,
    /// Too many.
    #[error("there are more than {MOST_KEYS} keys")]
    TooMany,
    /// No line of printable ASCII.
    #[error("a key's line holds something else than printable ASCII")]
    NotAscii,
    /// Another kind, options, or no key at all.
    #[error(
        "a key's line begins with its type, without options: ssh-ed25519, ecdsa-sha2-nistp256, -384 or -521, ssh-rsa, \
         sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com"
    )]
    Type,
    /// No base64.
    #[error("the key behind its type is no base64: perhaps it was cut off")]
    Base64,
    /// Bytes that are no key of this type.
    #[error("the key's bytes are no key of its type")]
    Content,
    /// Too short, or absurdly long.
    #[error("an RSA key has 2048 to 16384 bits: make one of type ed25519")]
    RsaBits,
}

/// One key, as sshd takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    kind: String,
    blob: Vec<u8>,
}

/// How the bytes behind the type go on.
#[derive(Clone, Copy)]
enum Form {
    Ed25519,
    Ecdsa { curve: &'static str, point: usize },
    Rsa,
}

/// Type, form, and whether an application stands at the end: a security key's.
const KINDS: [(&str, Form, bool); 7] = [
    ("ssh-ed25519", Form::Ed25519, false),
    (
        "ecdsa-sha2-nistp256",
        Form::Ecdsa {
            curve: "nistp256",
            point: 65,
        },
        false,
    ),
    (
        "ecdsa-sha2-nistp384",
        Form::Ecdsa {
            curve: "nistp384",
            point: 97,
        },
        false,
    ),
    (
        "ecdsa-sha2-nistp521",
        Form::Ecdsa {
            curve: "nistp521",
            point: 133,
        },
        false,
    ),
    ("ssh-rsa", Form::Rsa, false),
    ("sk-ssh-ed25519@openssh.com", Form::Ed25519, true),
    (
        "sk-ecdsa-sha2-nistp256@openssh.com",
        Form::Ecdsa {
            curve: "nistp256",
            point: 65,
        },
        true,
    ),
];

impl PublicKey {
    /// Reads a line: type, base64, and a comment that is dropped.
    pub fn parse(line: &str) -> Result<Self, KeyError> {
        if !line.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
            return Err(KeyError::NotAscii);
        }
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let word = words.next().ok_or(KeyError::None)?;
        let (kind, form, is_hardware) = KINDS
            .into_iter()
            .find(|(kind, ..)| *kind == word)
            .ok_or(KeyError::Type)?;
        let blob = STANDARD
            .decode(words.next().ok_or(KeyError::Base64)?)
            .map_err(|_| KeyError::Base64)?;
        check(&blob, kind, form, is_hardware)?;
        Ok(Self {
            kind: kind.to_owned(),
            blob,
        })
    }

    /// Type and base64.
    pub fn line(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.line()
    }
}

/// Reads a file of keys: blank lines and comments aside, every line is one, or none of them is taken. Who sends half a file
/// sends the wrong one.
pub fn public_keys(text: &[u8]) -> Result<Vec<PublicKey>, KeyError> {
    if text.len() > LONGEST_KEYS {
        return Err(KeyError::TooLong);
    }
    let text = std::str::from_utf8(text).map_err(|_| KeyError::NotAscii)?;
    let mut keys = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = PublicKey::parse(line)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    match keys.len() {
        0 => Err(KeyError::None),
        count if count > MOST_KEYS => Err(KeyError::TooMany),
        _ => Ok(keys),
    }
}

fn check(blob: &[u8], kind: &str, form: Form, is_hardware: bool) -> Result<(), KeyError> {
    let mut rest = Strings(blob);
    if rest.next()? != kind.as_bytes() {
        return Err(KeyError::Content);
    }
    match form {
        Form::Ed25519 => require(rest.next()?.len() == 32)?,
        Form::Ecdsa { curve, point } => {
            require(rest.next()? == curve.as_bytes())?;
            let bytes = rest.next()?;
            require(bytes.len() == point && bytes.first() == Some(&4))?;
        }
        Form::Rsa => {
            let exponent = number(rest.next()?)?;
            require(!exponent.is_empty() && exponent.len() <= 8)?;
            let modulus = number(rest.next()?)?;
            let zeros = modulus.first().map_or(0, |first| first.leading_zeros());
            let bits = modulus.len() * 8 - usize::try_from(zeros).unwrap_or(0);
            if !RSA_BITS.contains(&bits) {
                return Err(KeyError::RsaBits);
            }
        }
    }
    if is_hardware {
        let application = rest.next()?;
        require(application.starts_with(b"ssh:") && application.len() <= 256)?;
    }
    require(rest.0.is_empty())
}

fn require(holds: bool) -> Result<(), KeyError> {
    if holds { Ok(()) } else { Err(KeyError::Content) }
}

/// A positive number without the zero before a first bit that is set.
fn number(bytes: &[u8]) -> Result<&[u8], KeyError> {
    match bytes {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Ok(rest),
        [first, ..] if (1..0x80).contains(first) => Ok(bytes),
        _ => Err(KeyError::Content),
    }
}

/// Strings of the wire: four bytes of length, then as many.
struct Strings<'b>(&'b [u8]);

impl<'b> Strings<'b> {
    fn next(&mut self) -> Result<&'b [u8], KeyError> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or(KeyError::Content)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| KeyError::Content)?;
        let (string, rest) = rest.split_at_checked(length).ok_or(KeyError::Content)?;
        self.0 = rest;
        Ok(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(parts: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for part in parts {
            all.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            all.extend(*part);
        }
        all
    }

    fn line(kind: &str, parts: &[&[u8]]) -> String {
        let mut all: Vec<&[u8]> = vec![kind.as_bytes()];
        all.extend(parts);
        format!("{kind} {}", STANDARD.encode(blob(&all)))
    }

    fn rsa(bits: usize) -> String {
        let mut modulus = vec![0xff; bits / 8];
        modulus.insert(0, 0);
        line("ssh-rsa", &[&[1, 0, 1], &modulus])
    }

    fn point(length: usize) -> Vec<u8> {
        let mut point = vec![7; length];
        point[0] = 4;
        point
    }

    #[test]
    fn keys_of_every_kind_and_nothing_but_the_key() {
        let all = [
            line("ssh-ed25519", &[&[7; 32]]),
            line("ecdsa-sha2-nistp256", &[b"nistp256", &point(65)]),
            line("ecdsa-sha2-nistp384", &[b"nistp384", &point(97)]),
            line("ecdsa-sha2-nistp521", &[b"nistp521", &point(133)]),
            rsa(2048),
            rsa(4096),
            line("sk-ssh-ed25519@openssh.com", &[&[7; 32], b"ssh:"]),
            line(
                "sk-ecdsa-sha2-nistp256@openssh.com",
                &[b"nistp256", &point(65), b"ssh:work"],
            ),
        ];
        for key in &all {
            assert_eq!(PublicKey::parse(key).unwrap().line(), *key);
            let with_comment = format!("{key} alice@laptop\",command=\"id");
            assert_eq!(PublicKey::parse(&with_comment).unwrap().line(), *key);
        }
        let file = format!("# mine\n\n{}\r\n{}\n", all.join("\n"), all[0]);
        assert_eq!(public_keys(file.as_bytes()).unwrap().len(), all.len());
    }

    #[test]
    fn what_is_no_key() {
        let good = line("ssh-ed25519", &[&[7; 32]]);
        let base64 = good.split_once(' ').unwrap().1.to_owned();
        for (text, error) in [
            (String::new(), KeyError::None),
            (format!("command=\"id\" {good}"), KeyError::Type),
            (format!("restrict {good}"), KeyError::Type),
            ("ssh-dss AAAA".to_owned(), KeyError::Type),
            (
                format!("ssh-ed25519-cert-v01@openssh.com {base64}"),
                KeyError::Type,
            ),
            ("<html>".to_owned(), KeyError::Type),
            ("ssh-ed25519".to_owned(), KeyError::Base64),
            (
                format!("ssh-ed25519 {}", base64.get(..base64.len() - 3).unwrap()),
                KeyError::Base64,
            ),
            (format!("ssh-ed25519 {base64}\u{e9}"), KeyError::NotAscii),
            (format!("ssh-ed25519\t{base64}"), KeyError::NotAscii),
            (format!("ssh-rsa {base64}"), KeyError::Content),
            (line("ssh-ed25519", &[&[7; 31]]), KeyError::Content),
            (line("ssh-ed25519", &[&[7; 32], b"more"]), KeyError::Content),
            (
                line("ecdsa-sha2-nistp256", &[b"nistp384", &point(65)]),
                KeyError::Content,
            ),
            (
                line("ecdsa-sha2-nistp256", &[b"nistp256", &[7; 65]]),
                KeyError::Content,
            ),
            (rsa(1024), KeyError::RsaBits),
            (rsa(32_768), KeyError::RsaBits),
            (line("ssh-rsa", &[&[], &[0x7f; 256]]), KeyError::Content),
            (line("sk-ssh-ed25519@openssh.com", &[&[7; 32]]), KeyError::Content),
        ] {
            assert_eq!(PublicKey::parse(&text), Err(error), "{text}");
        }
        assert_eq!(public_keys(b"\n# none\n"), Err(KeyError::None));
        assert_eq!(public_keys(&[b'a'; LONGEST_KEYS + 1]), Err(KeyError::TooLong));
        assert_eq!(public_keys(&[0xff, 0xfe]), Err(KeyError::NotAscii));
        let half = format!("{good}\nssh-rsa AAAA\n");
        assert_eq!(public_keys(half.as_bytes()), Err(KeyError::Content));
        let many: Vec<String> = (0..9).map(|n| line("ssh-ed25519", &[&[n; 32]])).collect();
        assert_eq!(public_keys(many.join("\n").as_bytes()), Err(KeyError::TooMany));
    }
}
