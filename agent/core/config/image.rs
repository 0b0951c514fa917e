//! Image references: the grammar of the distribution project, and Docker's way of completing a short name.
//!
//! ```text
//! [registry[:port]/]path[/path...][:tag][@algorithm:hex]
//! ```
//!
//! Grammar only: that `latest` is refused is the configuration's policy, not the grammar's. Nothing
//! is looked up, and a reference keeps the text it was written as.

use std::fmt;

use thiserror::Error;

/// The registry of a name without one.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The longest name, registry and path together.
const MAX_NAME: usize = 255;
/// The longest tag.
const MAX_TAG: usize = 128;

/// A checked image reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageRef {
    written: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageRefError {
    /// Nothing there.
    #[error("the image reference is empty")]
    Empty,
    /// A blank or a control character.
    #[error("an image reference has no blanks")]
    Blank,
    /// `https://...`.
    #[error("an image reference has no scheme such as https://")]
    Scheme,
    /// The part before the first slash.
    #[error("the registry's name or port cannot be read")]
    Registry,
    /// A path component.
    #[error("a repository name is lower-case letters and digits, separated by one of . _ __ or dashes")]
    Repository,
    /// Upper case in the path.
    #[error("a repository name has no upper-case letters")]
    UpperCase,
    /// 64 hexadecimal digits are an image id to the engine.
    #[error("64 hexadecimal digits are an image id, not a name")]
    ImageId,
    /// Longer than 255.
    #[error("the image's name is longer than 255 characters")]
    TooLong,
    /// After the colon.
    #[error(
        "a tag is up to 128 letters, digits, dots, dashes and underscores, and starts with none of . and -"
    )]
    Tag,
    /// After the `@`.
    #[error("a digest is sha256: and 64 hexadecimal digits")]
    Digest,
}

impl ImageRef {
    /// Reads a reference as Docker would.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        if text.is_empty() {
            return Err(ImageRefError::Empty);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ImageRefError::Blank);
        }
        if text.contains("://") {
            return Err(ImageRefError::Scheme);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(checked_digest(digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        let tag = tag.map(checked_tag).transpose()?;
        let (registry, repository) = split_registry(name);
        check_registry(&registry)?;
        check_repository(&repository)?;
        if name.len() > MAX_NAME || registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(ImageRefError::TooLong);
        }
        if digest.is_none() && tag.is_none() && name.len() == 64 && is_lower_hex(name) {
            return Err(ImageRefError::ImageId);
        }
        Ok(Self {
            written: text.to_owned(),
            registry,
            repository,
            tag,
            digest,
        })
    }

    /// The registry, with its port; `docker.io` for a short name.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry, `library/` added as Docker does.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one is written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// `sha256:...`, where one is written.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Registry and repository in full, with tag and digest as far as they are written.
    pub fn canonical(&self) -> String {
        let mut text = format!("{}/{}", self.registry, self.repository);
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest);
        }
        text
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A colon after the last slash starts the tag; one before it belongs to a registry's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !(tag.contains('/') || name.is_empty() || tag.ends_with(']')) => {
            (name, Some(tag))
        }
        _ => (text, None),
    }
}

/// Docker's rule: the first component is a registry if it could not be a path.
fn split_registry(name: &str) -> (String, String) {
    let named = name.split_once('/').filter(|(first, _)| {
        first.contains(['.', ':']) || *first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
    });
    let (registry, path) = named.unwrap_or((DEFAULT_REGISTRY, name));
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    if registry == DEFAULT_REGISTRY && !path.contains('/') {
        (registry.to_owned(), format!("library/{path}"))
    } else {
        (registry.to_owned(), path.to_owned())
    }
}

pub(super) fn check_registry(registry: &str) -> Result<(), ImageRefError> {
    let (host, port) = if let Some(rest) = registry.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(ImageRefError::Registry)?;
        address
            .parse::<std::net::Ipv6Addr>()
            .map_err(|_| ImageRefError::Registry)?;
        (
            "v6",
            if port.is_empty() {
                None
            } else {
                Some(port.strip_prefix(':').ok_or(ImageRefError::Registry)?)
            },
        )
    } else {
        match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        }
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if port_fits && host.split('.').all(label) {
        Ok(())
    } else {
        Err(ImageRefError::Registry)
    }
}

pub(super) fn check_repository(path: &str) -> Result<(), ImageRefError> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ImageRefError::UpperCase);
    }
    if path.split('/').all(is_path_component) {
        Ok(())
    } else {
        Err(ImageRefError::Repository)
    }
}

/// Runs of letters and digits with one separator between two of them.
fn is_path_component(component: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_in_words =
        bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word);
    let separators_fit = component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .filter(|separator| !separator.is_empty())
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-'));
    ends_in_words && separators_fit
}

fn checked_tag(tag: &str) -> Result<String, ImageRefError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fits = tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if fits {
        Ok(tag.to_owned())
    } else {
        Err(ImageRefError::Tag)
    }
}

fn checked_digest(digest: &str) -> Result<String, ImageRefError> {
    let (algorithm, hex) = digest.split_once(':').ok_or(ImageRefError::Digest)?;
    let length_fits = match algorithm {
        "sha256" => hex.len() == 64,
        "sha384" => hex.len() == 96,
        "sha512" => hex.len() == 128,
        // The grammar knows others, but no engine verifies them.
        _ => false,
    };
    if length_fits && is_lower_hex(hex) {
        Ok(digest.to_owned())
    } else {
        Err(ImageRefError::Digest)
    }
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parts(text: &str) -> (String, String, Option<String>, Option<String>) {
        let image = ImageRef::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(image.to_string(), text);
        (
            image.registry().to_owned(),
            image.repository().to_owned(),
            image.tag().map(str::to_owned),
            image.digest().map(str::to_owned),
        )
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let own = |registry: &str, repository: &str, tag: Option<&str>| {
            (
                registry.to_owned(),
                repository.to_owned(),
                tag.map(str::to_owned),
                None,
            )
        };
        assert_eq!(parts("nginx"), own("docker.io", "library/nginx", None));
        assert_eq!(parts("nginx:1.2"), own("docker.io", "library/nginx", Some("1.2")));
        assert_eq!(parts("foo/nginx:1"), own("docker.io", "foo/nginx", Some("1")));
        assert_eq!(
            parts("index.docker.io/nginx:1"),
            own("docker.io", "library/nginx", Some("1"))
        );
        assert_eq!(parts("docker.io/a/b/c:1"), own("docker.io", "a/b/c", Some("1")));
        assert_eq!(parts("localhost/a:1"), own("localhost", "a", Some("1")));
        assert_eq!(parts("localhost:5000/a"), own("localhost:5000", "a", None));
        assert_eq!(parts("HOST/a:1"), own("HOST", "a", Some("1")));
        assert_eq!(
            parts("[::1]:5000/team/app:1"),
            own("[::1]:5000", "team/app", Some("1"))
        );
        assert_eq!(parts("[2001:db8::1]/app"), own("[2001:db8::1]", "app", None));
        assert_eq!(
            parts("registry.example.org/t/a__b.c---d:0.1-cd42"),
            own("registry.example.org", "t/a__b.c---d", Some("0.1-cd42"))
        );
        let pinned = parts(&format!("10.0.0.1:5000/app:1@{DIGEST}"));
        assert_eq!(pinned.0, "10.0.0.1:5000");
        assert_eq!(
            (pinned.2.as_deref(), pinned.3.as_deref()),
            (Some("1"), Some(DIGEST))
        );
    }

    #[test]
    fn every_digest_an_engine_verifies_and_every_host_it_dials() {
        for (algorithm, digits) in [("sha256", 64), ("sha384", 96), ("sha512", 128)] {
            let digest = format!("{algorithm}:{}", "0f".repeat(digits / 2));
            let pinned = parts(&format!("[2001:DB8::1]:5000/app:1@{digest}"));
            assert_eq!(
                (pinned.0.as_str(), pinned.3),
                ("[2001:DB8::1]:5000", Some(digest.clone()))
            );
            assert_eq!(
                ImageRef::parse(&format!("a@{digest}0")),
                Err(ImageRefError::Digest)
            );
        }
        assert_eq!(
            parts("Registry.Example.ORG:5000/a:1").0,
            "Registry.Example.ORG:5000"
        );
        assert_eq!(parts("a-1.b/c:1").0, "a-1.b");
    }

    #[test]
    fn what_docker_refuses_is_refused_by_name() {
        let refused = |text: &str| ImageRef::parse(text).unwrap_err();
        assert_eq!(refused(""), ImageRefError::Empty);
        assert_eq!(refused("a b"), ImageRefError::Blank);
        assert_eq!(refused("https://registry.example.org/a:1"), ImageRefError::Scheme);
        assert_eq!(refused("registry.example.org:x/a"), ImageRefError::Registry);
        assert_eq!(refused("registry.example.org:0/a"), ImageRefError::Registry);
        assert_eq!(refused("-a.example/a"), ImageRefError::Registry);
        assert_eq!(refused("[::1/a"), ImageRefError::Registry);
        assert_eq!(refused("Nginx:1"), ImageRefError::UpperCase);
        assert_eq!(refused("a//b"), ImageRefError::Repository);
        assert_eq!(refused("a/"), ImageRefError::Repository);
        assert_eq!(refused("/a"), ImageRefError::Repository);
        assert_eq!(refused("a___b"), ImageRefError::Repository);
        assert_eq!(refused("a._b"), ImageRefError::Repository);
        assert_eq!(refused("a:"), ImageRefError::Tag);
        assert_eq!(refused("a:.1"), ImageRefError::Tag);
        assert_eq!(refused(&format!("a:{}", "x".repeat(129))), ImageRefError::Tag);
        assert_eq!(refused("a@sha256:12"), ImageRefError::Digest);
        assert_eq!(
            refused(&format!("a@{}", DIGEST.to_uppercase())),
            ImageRefError::Digest
        );
        assert_eq!(refused(&"a/".repeat(150)), ImageRefError::Repository);
        assert_eq!(refused(&format!("{}a", "a/".repeat(150))), ImageRefError::TooLong);
        assert_eq!(refused(&"a".repeat(64)), ImageRefError::ImageId);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_canonical_reference_reads_as_itself(
            registry in "([a-z][a-z0-9]{0,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?/)?",
            path in "[a-z0-9]{1,6}([_-][a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}){0,3}",
            tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,10})?",
            pinned in any::<bool>(),
        ) {
            let digest = if pinned { format!("@{DIGEST}") } else { String::new() };
            let text = format!("{registry}{path}{tag}{digest}");
            let image = ImageRef::parse(&text).unwrap();
            prop_assert_eq!(image.to_string(), text);
            let again = ImageRef::parse(&image.canonical()).unwrap();
            prop_assert_eq!(again.canonical(), image.canonical());
            prop_assert_eq!(again.registry(), image.registry());
            prop_assert_eq!(again.repository(), image.repository());
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ignored = ImageRef::parse(&text).is_ok();
        }
    }
}
