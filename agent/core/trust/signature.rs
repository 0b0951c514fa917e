//! Signatures as `cosign sign --key` leaves them in a registry.
//!
//! ```text
//! tag sha256-<hex of the image>.sig ─► OCI manifest
//!   layers[]: application/vnd.dev.cosign.simplesigning.v1+json
//!     digest ─► blob: the payload, {"critical": {"image": {"docker-manifest-digest": "sha256:..."}, ...}, ...}
//!     annotations: dev.cosignproject.cosign/signature ─► base64 of the DER of ECDSA over the payload's bytes
//! ```
//!
//! One good layer is enough, since everybody who signs adds one. The payload is believed only after a key verified it, and
//! it is read strictly: a key that stands twice, or one that nobody knows beside those that matter, is an error, so that no
//! two readers can see two different digests.
//!
//! cosign itself compares the digest alone. Here `docker-reference` has to end in our repository too, where it says
//! anything: a key often signs many images, and whoever may write to a registry could otherwise put another signed image
//! of the same team, or one of last year, under our name. The registry's host is not compared: images are copied between
//! registries together with their signatures, and the rule ties keys to hosts already.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Refusal, TrustedKey, has_digest};
use crate::config::ImageRef;

/// A payload is some hundred bytes; the annotations in it may be more.
pub const LARGEST_PAYLOAD: usize = 128 << 10;
/// Every signer adds a layer; more is a mistake or worse.
pub const MOST_LAYERS: usize = 64;
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "cosign container image signature";
/// Of ECDSA on P-256 in DER: 72 bytes at most.
const LONGEST_SIGNATURE: usize = 128;

/// A signature that lies beside an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The payload's.
    pub digest: String,
    /// DER.
    pub signature: Vec<u8>,
}

/// The tag under which signatures of an image lie.
pub fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<RawLayer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLayer {
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The signatures in a manifest; layers of another type are none. One that cannot be read is passed over as long as
/// another can: it is no worse than a signature by somebody else.
pub fn layers(manifest: &[u8]) -> Result<Vec<Layer>, Refusal> {
    let bad = |what| Refusal::BadSignature { what };
    let manifest: Manifest =
        serde_json::from_slice(manifest).map_err(|_| bad("its manifest is not one of the OCI's"))?;
    let signatures = manifest
        .layers
        .into_iter()
        .filter(|layer| layer.media_type == SIMPLE_SIGNING);
    let all: Vec<Option<Layer>> = signatures.map(RawLayer::read).collect();
    if all.len() > MOST_LAYERS {
        return Err(bad("there are more of them than monopod looks at"));
    }
    if !all.is_empty() && all.iter().all(Option::is_none) {
        return Err(bad("no layer has one in base64"));
    }
    Ok(all.into_iter().flatten().collect())
}

impl RawLayer {
    fn read(self) -> Option<Layer> {
        let encoded = self.annotations.get(SIGNATURE)?;
        let signature = STANDARD.decode(encoded.trim()).ok()?;
        (self.digest.starts_with("sha256:") && signature.len() <= LONGEST_SIGNATURE).then_some(Layer {
            digest: self.digest,
            signature,
        })
    }
}

/// What is known about a layer.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// The layer.
    pub layer: &'f Layer,
    /// Its blob.
    pub payload: &'f [u8],
    /// Which of the rule's keys verified the signature over the payload, as their places in the rule.
    pub verified_by: &'f [usize],
    /// Seconds since the epoch.
    pub now: u64,
}

/// Whether a layer is a good signature of an image; which of the keys it is by.
pub fn judge<'k>(
    facts: &Facts<'_>,
    keys: &'k [TrustedKey],
    image: &ImageRef,
    digest: &str,
) -> Result<&'k TrustedKey, Refusal> {
    if !has_digest(facts.payload, &facts.layer.digest) {
        return Err(Refusal::BadSignature {
            what: "the registry's blob is not the one that the manifest names",
        });
    }
    let signers: Vec<&TrustedKey> = facts
        .verified_by
        .iter()
        .filter_map(|index| keys.get(*index))
        .collect();
    let Some(signer) = signers.first() else {
        return Err(wrong_key(keys));
    };
    let payload = Payload::read(facts.payload)?;
    if payload.digest != digest {
        return Err(Refusal::WrongDigest {
            key: signer.name().to_owned(),
            signed: crate::text::printable(&crate::text::shortened(&payload.digest, 80)),
        });
    }
    if !payload.names(image, digest) {
        return Err(Refusal::WrongName {
            key: signer.name().to_owned(),
        });
    }
    let in_time = |key: &&&TrustedKey| key.not_after.is_none_or(|day| !day.is_over(facts.now));
    match (signers.iter().find(in_time), signer.not_after) {
        (Some(key), _) => Ok(key),
        (None, Some(not_after)) => Err(Refusal::KeyExpired {
            key: signer.name().to_owned(),
            not_after,
        }),
        (None, None) => Err(wrong_key(keys)),
    }
}

fn wrong_key(keys: &[TrustedKey]) -> Refusal {
    let names: Vec<&str> = keys.iter().map(TrustedKey::name).collect();
    Refusal::WrongKey {
        keys: names.join(", "),
    }
}

/// Of several layers' reasons the one that says most: the nearer it was to being good.
pub fn most_telling(refusals: Vec<Refusal>) -> Option<Refusal> {
    let rank = |refusal: &Refusal| match refusal {
        Refusal::KeyExpired { .. } => 5,
        Refusal::WrongName { .. } => 4,
        Refusal::WrongDigest { .. } => 3,
        Refusal::WrongKey { .. } => 2,
        Refusal::BadSignature { .. } => 1,
        Refusal::OtherDigest
        | Refusal::Unsigned { .. }
        | Refusal::NoHeader
        | Refusal::HeaderRefused { .. }
        | Refusal::TagMoved
        | Refusal::Gone => 0,
    };
    refusals.into_iter().max_by_key(rank)
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// `docker-manifest-digest`.
    pub digest: String,
    /// `docker-reference`; empty where it says nothing.
    pub reference: String,
}

/// A struct of serde's takes a map only, and refuses a key that stands twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    critical: Critical,
    #[serde(default, rename = "optional")]
    _optional: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(default)]
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(default, rename = "docker-reference")]
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

impl Payload {
    /// Reads what was signed.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let bad = |what| Refusal::BadSignature { what };
        // A list would be taken for a struct's fields in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(bad("what was signed is no map"));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(|_| {
            bad("what was signed is not a payload of cosign's simple signing, or says something twice")
        })?;
        if document.critical.kind != TYPE {
            return Err(bad("what was signed is of another type"));
        }
        Ok(Self {
            digest: document.critical.image.digest,
            reference: document.critical.identity.reference,
        })
    }

    /// Whether it is about an image of this repository, on whatever registry, and of no other digest.
    fn names(&self, image: &ImageRef, digest: &str) -> bool {
        if self.reference.is_empty() {
            return true;
        }
        ImageRef::parse(&self.reference).is_ok_and(|signed| {
            signed.repository() == image.repository() && signed.digest().is_none_or(|signed| signed == digest)
        })
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
