//! Where else a registry's images are: a host, and perhaps a path that stands before their names there.
//!
//! A mirror is asked for a digest, so that it can only have the right image or none; what it says about a tag is
//! believed, as the registry itself would be, unless a rule of the policy lets the image run without any proof. Logins and
//! rules go by names: a login belongs to the mirror's own host, and the policy has to allow that host, too.

use std::fmt;

use super::image::{ImageRef, ImageRefError, check_registry, check_repository};

/// One mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    registry: String,
    prefix: Option<String>,
}

/// The mirrors of one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryMirrors {
    /// Host and port in the one spelling of [`super::RegistryHost`].
    pub registry: String,
    /// In the order they are asked.
    pub mirrors: Vec<Mirror>,
}

impl Mirror {
    /// Reads `mirror.example.org`, with a port and a path where there are some.
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
        let (registry, prefix) = match text.split_once('/') {
            Some((registry, prefix)) => (registry, Some(prefix)),
            None => (text, None),
        };
        check_registry(registry)?;
        if let Some(prefix) = prefix {
            check_repository(prefix)?;
        }
        let mirror = Self {
            registry: registry.to_owned(),
            prefix: prefix.map(str::to_owned),
        };
        // A plain word would be a folder of Docker Hub's to the engine.
        match ImageRef::parse(&mirror.name("a")) {
            Ok(image) if image.registry() == registry => Ok(mirror),
            _ => Err(ImageRefError::Registry),
        }
    }

    /// Its host, with its port: whose login is used.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// A repository's path below the host.
    pub fn repository(&self, repository: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{repository}"),
            None => repository.to_owned(),
        }
    }

    /// What a repository is called there.
    pub fn name(&self, repository: &str) -> String {
        format!("{self}/{repository}")
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        match &self.prefix {
            Some(prefix) => write!(f, "/{prefix}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_a_host_and_perhaps_a_path() {
        for (text, registry, name) in [
            (
                "mirror.example.org",
                "mirror.example.org",
                "mirror.example.org/team/app",
            ),
            ("localhost:5001", "localhost:5001", "localhost:5001/team/app"),
            ("10.0.0.1/cache/hub", "10.0.0.1", "10.0.0.1/cache/hub/team/app"),
            ("[::1]:5000/cache", "[::1]:5000", "[::1]:5000/cache/team/app"),
        ] {
            let mirror = Mirror::parse(text).unwrap();
            assert_eq!(
                (mirror.registry(), mirror.name("team/app").as_str()),
                (registry, name)
            );
            assert_eq!(mirror.to_string(), text);
        }
    }

    #[test]
    fn what_the_engine_would_look_for_elsewhere_is_refused() {
        for text in [
            "",
            "mirror",
            "mirror/cache",
            "https://mirror.example.org",
            "a b.org",
            "m.org/",
            "m.org/Cache",
            "m.org:x",
        ] {
            assert!(Mirror::parse(text).is_err(), "{text}");
        }
    }
}
