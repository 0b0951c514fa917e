//! Manifests, as far as anybody here reads them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `application/vnd.docker.distribution.manifest.v2+json`.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's name for an index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The same two by OCI's names.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image for several platforms.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Everything a registry may answer with.
pub(super) const ACCEPT: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// A manifest, and what the registry said beside it.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Of the bytes: `sha256:...`, or by the algorithm it was asked for with.
    pub digest: String,
    /// One of the four.
    pub media_type: String,
    /// As they came.
    pub bytes: Vec<u8>,
    /// Whether the image may be run, as Taupage asked for it.
    pub trust: TrustHeaders,
    /// What is in it.
    pub content: Content,
}

/// What Pier One says about an image, value for value as it says it; a header that stands twice has two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustHeaders {
    /// `X-Production-Ready-Taupage`.
    pub production_ready: Vec<String>,
    /// `X-Trusted`.
    pub trusted: Vec<String>,
    /// `X-Production-Ready-Reason`.
    pub reason: Vec<String>,
}

/// What a manifest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One image.
    Single {
        /// Its configuration.
        config: Descriptor,
        /// Its layers, the lowest first.
        layers: Vec<Descriptor>,
    },
    /// One for each platform.
    Index(Vec<Descriptor>),
}

/// Something in the registry, by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// `sha256:...`.
    pub digest: String,
    /// In bytes.
    pub size: u64,
    /// What it runs on; in an index.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Notes: signatures carry theirs here.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// What an image runs on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
    /// `v8`.
    #[serde(default)]
    pub variant: Option<String>,
}

/// Why bytes are no manifest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoManifest {
    /// The old form.
    Schema1,
    /// Something else.
    Other(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<serde_json::Value>,
}

fn or_default<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads one; `header` is the answer's content type. The two must agree: a text that is read as one thing by us and as
/// another by the engine would be checked as the first and run as the second.
pub(super) fn parse(header: Option<&str>, bytes: &[u8]) -> Result<(String, Content), NoManifest> {
    let other = |why: &str| NoManifest::Other(why.to_owned());
    let header = header
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    if header.as_deref().is_some_and(is_schema_1) {
        return Err(NoManifest::Schema1);
    }
    let raw: Raw = serde_json::from_slice(bytes)
        .map_err(|error| NoManifest::Other(format!("it is no manifest in JSON ({error})")))?;
    if raw.schema_version == Some(1) || raw.media_type.as_deref().is_some_and(is_schema_1) {
        return Err(NoManifest::Schema1);
    }
    if raw.schema_version != Some(2) || raw.fs_layers.is_some() {
        return Err(other("its schemaVersion is not 2"));
    }
    let of_header = header.filter(|value| ACCEPT.contains(&value.as_str()));
    let media_type = match (of_header, raw.media_type) {
        (Some(header), Some(own)) if header != own => {
            return Err(other(
                "it calls itself something else than the answer's Content-Type",
            ));
        }
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => return Err(other("neither it nor the answer's Content-Type says what it is")),
    };
    let content = match (media_type.as_str(), raw.config, raw.layers, raw.manifests) {
        (DOCKER_MANIFEST | OCI_MANIFEST, Some(config), Some(layers), None) => {
            Content::Single { config, layers }
        }
        (DOCKER_LIST | OCI_INDEX, None, None, Some(manifests)) => Content::Index(manifests),
        (DOCKER_MANIFEST | OCI_MANIFEST, ..) => {
            return Err(other(
                "an image's manifest has `config` and `layers`, and no `manifests`",
            ));
        }
        (DOCKER_LIST | OCI_INDEX, ..) => {
            return Err(other(
                "an index has `manifests`, and neither `config` nor `layers`",
            ));
        }
        _ => return Err(other("its media type is not an image's")),
    };
    Ok((media_type, content))
}

fn is_schema_1(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(header: &str, value: &Value) -> Result<(String, Content), NoManifest> {
        parse(Some(header), value.to_string().as_bytes())
    }

    fn single(media_type: &str) -> Value {
        let blob = |digit: &str| json!({"mediaType": "x", "digest": format!("sha256:{}", digit.repeat(64)), "size": 7});
        json!({"schemaVersion": 2, "mediaType": media_type, "config": blob("a"), "layers": [blob("b"), blob("c")]})
    }

    #[test]
    fn images_and_indexes_of_both_kinds() {
        for kind in [DOCKER_MANIFEST, OCI_MANIFEST] {
            let (media_type, content) = read(kind, &single(kind)).unwrap();
            assert_eq!(media_type, kind);
            let Content::Single { config, layers } = content else {
                panic!("not an index")
            };
            assert_eq!((config.size, layers.len()), (7, 2));
        }
        for kind in [DOCKER_LIST, OCI_INDEX] {
            let index = json!({"schemaVersion": 2, "manifests": [
                {"mediaType": OCI_MANIFEST, "digest": "sha256:a", "size": 1, "annotations": null,
                 "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}]});
            let (_, content) = read(&format!("{kind}; charset=utf-8"), &index).unwrap();
            let Content::Index(manifests) = content else {
                panic!("an index")
            };
            assert_eq!(manifests[0].platform.as_ref().unwrap().architecture, "arm64");
        }
    }

    #[test]
    fn the_old_form_is_refused_by_name() {
        let old = json!({"schemaVersion": 1, "name": "a", "fsLayers": []});
        assert_eq!(read("application/json", &old), Err(NoManifest::Schema1));
        let header = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert_eq!(read(header, &json!({})), Err(NoManifest::Schema1));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_none() {
        assert!(read(OCI_INDEX, &single(OCI_MANIFEST)).is_err());
        assert!(read(DOCKER_MANIFEST, &single(OCI_MANIFEST)).is_err());
        let mut both = single(OCI_MANIFEST);
        both["manifests"] = json!([]);
        assert!(read(OCI_MANIFEST, &both).is_err());
        assert!(parse(None, json!({"schemaVersion": 2}).to_string().as_bytes()).is_err());
        assert!(parse(Some(OCI_MANIFEST), b"<html>").is_err());
        // A registry that names no type leaves it to the manifest.
        assert!(read("application/json", &single(OCI_MANIFEST)).is_ok());
    }
}
