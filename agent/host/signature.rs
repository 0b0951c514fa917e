//! Whether a key signed some bytes: ECDSA on P-256 over SHA-256, and nothing else, so that nobody can ask for less.
//!
//! What follows from it is decided in `monopod_core::trust`.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use monopod_core::trust::key::PublicKey;

/// Whether the key's point lies on the curve; no other is a key.
pub fn is_on_curve(key: &PublicKey) -> bool {
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.point()).is_ok()
}

/// Whether `signature`, DER as `openssl dgst -sha256 -sign` and cosign write it, is the key's over these bytes. Both of
/// the two forms that every signature has (s, and the curve's order less s) are good: Go, and so cosign, writes either.
pub fn verifies(key: &PublicKey, bytes: &[u8], signature: &[u8]) -> bool {
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.point())
        .is_ok_and(|key| key.verify_sig(bytes, signature).is_ok())
}

#[cfg(test)]
#[path = "signature_tests.rs"]
pub(super) mod tests;
