//! Public keys as the machine's image holds them: PEM around the DER of a P-256 key, and nothing else.
//!
//! One algorithm only, so nobody can choose a weaker one. The form is fixed to the byte: `openssl ec -pubout` and
//! `cosign generate-key-pair` both write it. Whether the point lies on the curve is arithmetic, and checked where the
//! cryptography is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The identifier of a key on any elliptic curve, as DER.
const ANY_CURVE: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const UNCOMPRESSED: u8 = 0x04;
const POINT: usize = 65;
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END PUBLIC KEY-----";

/// A P-256 public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: [u8; POINT],
    fingerprint: String,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No `-----BEGIN PUBLIC KEY-----`.
    #[error("it has no `-----BEGIN PUBLIC KEY-----`")]
    NotPem,
    /// Somebody baked the wrong half.
    #[error(
        "it is a private key, which must not lie on machines: replace the key, since it has to count as known"
    )]
    Private,
    /// A certificate and the like.
    #[error("it is PEM, but not a public key")]
    AnotherKind,
    /// More than one.
    #[error("it holds more than one key")]
    Several,
    /// Broken inside.
    #[error("what it holds is not base64")]
    Base64,
    /// P-384 and the like.
    #[error("it is no uncompressed point on the curve P-256")]
    Curve,
    /// RSA, Ed25519, or broken.
    #[error("it is not an ECDSA key on the curve P-256")]
    Algorithm,
}

impl PublicKey {
    /// Reads a PEM file.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(pem).map_err(|_| KeyError::NotPem)?;
        let mut blocks = text
            .lines()
            .filter_map(|line| line.trim_end().strip_prefix(BEGIN));
        let label = blocks.next().ok_or(KeyError::NotPem)?;
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        if label != "PUBLIC KEY-----" {
            return Err(KeyError::AnotherKind);
        }
        if blocks.next().is_some() {
            return Err(KeyError::Several);
        }
        let body: String = text
            .lines()
            .map(str::trim_end)
            .skip_while(|line| !line.starts_with(BEGIN))
            .skip(1)
            .take_while(|line| *line != END)
            .collect();
        if !text.lines().any(|line| line.trim_end() == END) {
            return Err(KeyError::NotPem);
        }
        let der = STANDARD.decode(body).map_err(|_| KeyError::Base64)?;
        Self::of_der(&der)
    }

    fn of_der(der: &[u8]) -> Result<Self, KeyError> {
        let point = der
            .strip_prefix(&P256)
            .and_then(|point| <[u8; POINT]>::try_from(point).ok());
        match point {
            Some(point) if point.first() == Some(&UNCOMPRESSED) => Ok(Self {
                point,
                fingerprint: hex(&Sha256::digest(der)),
            }),
            _ if der.windows(ANY_CURVE.len()).any(|window| window == ANY_CURVE) => Err(KeyError::Curve),
            _ => Err(KeyError::Algorithm),
        }
    }

    /// The point, uncompressed: 0x04, X, Y.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// SHA-256 of the key's DER, in hexadecimal: what `openssl pkey -pubin -outform DER | sha256sum` says.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint)
    }
}

/// Lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ok = write!(text, "{byte:02x}").is_ok();
        text
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made by `openssl ecparam -name prime256v1 -genkey | openssl ec -pubout`.
    pub(crate) const TEAM: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETf7g6xL6n/ptUM7l8TBT9lxEHuJJ\nYiovRXHuSAmIW+324AW1gMhpuW0kk9JTKJls3xxlGBG/8GkL5ZlXuqLRLg==\n-----END PUBLIC KEY-----\n";
    /// Likewise.
    pub(crate) const OLD: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKT7PkMLTw82x3py6dtHs8lo92IkO\nKwLyJmNcKUZgx0JmH57q34/uB98SDL2OyXc5d58C0Xyc9GfvgZbZq/o2IA==\n-----END PUBLIC KEY-----\n";
    const P384: &str = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE4NOHn8IglT1pJB+27+nbT8VBFNbmllXW\n3VXzEjjKXYEbMGI7IJQ8KPnum5wiySKrYhbotZO+wQsjXiBs9XwjR/Z5k4OwH1Oi\nhwDqyPh3lIISYNRcsD6BV+OtdvOE5uMV\n-----END PUBLIC KEY-----\n";
    const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAeQEB3tHSeq8w+7NsjGbi8SZeauHckdJhNyh2wi0mve0=\n-----END PUBLIC KEY-----\n";
    const COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----\nMDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACTf7g6xL6n/ptUM7l8TBT9lxEHuJJ\nYiovRXHuSAmIW+0=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn openssl_s_keys_are_read() {
        let team = PublicKey::parse(TEAM.as_bytes()).unwrap();
        assert_eq!(
            team.fingerprint(),
            "2778d77513225b9f87bafa566fa12871d3c36abd6ac144a71f4c26f24c9b398f"
        );
        assert_eq!(team.point().len(), POINT);
        let windows = format!("made by the team\r\n{}", TEAM.replace('\n', "\r\n"));
        assert_eq!(PublicKey::parse(windows.as_bytes()), Ok(team.clone()));
        assert_ne!(PublicKey::parse(OLD.as_bytes()), Ok(team));
    }

    #[test]
    fn everything_else_is_named() {
        let two = format!("{TEAM}{OLD}");
        let cut = TEAM.replace("-----END PUBLIC KEY-----", "");
        let short = TEAM.replacen("MFkw", "", 1);
        for (text, error) in [
            ("", KeyError::NotPem),
            ("ssh-ed25519 AAAA", KeyError::NotPem),
            (cut.as_str(), KeyError::NotPem),
            (
                "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----",
                KeyError::Private,
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                KeyError::AnotherKind,
            ),
            (two.as_str(), KeyError::Several),
            (
                "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----",
                KeyError::Base64,
            ),
            (
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
                KeyError::Algorithm,
            ),
            (P384, KeyError::Curve),
            (COMPRESSED, KeyError::Curve),
            (ED25519, KeyError::Algorithm),
            (short.as_str(), KeyError::Curve),
        ] {
            assert_eq!(PublicKey::parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(PublicKey::parse(b"\xff"), Err(KeyError::NotPem));
    }
}
