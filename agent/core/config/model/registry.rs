//! Logins for registries.

use std::fmt;

use crate::secret::{SecretRef, SecretSource};

/// The one registry whose login Taupage made by itself.
const PIER_ONE: &str = "pierone.stups.zalan.do";

/// A login for one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryAuth {
    /// Host and port: in the one spelling of [`crate::config::RegistryHost`] in a config, and as the image reference or
    /// the mirror has them in a plan.
    pub registry: String,
    /// Where user and password come from.
    pub login: RegistryLogin,
}

/// Where user and password come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryLogin {
    /// The base64 of `user:password`, from the user data.
    Auth(SecretSource),
    /// Both apart, from the user data.
    Password {
        /// User.
        user: SecretSource,
        /// Password.
        password: SecretSource,
    },
    /// ECR gives them for the instance's role.
    Ecr {
        /// Which region's ECR is asked.
        region: String,
    },
    /// The instance's identity document, as Pier One takes it.
    InstanceIdentity,
}

/// What the name of an ECR registry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrHost {
    /// The account it belongs to.
    pub account: String,
    /// The region it is in.
    pub region: String,
}

impl EcrHost {
    /// Reads `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, with `-fips` and `.cn` where they belong.
    pub fn parse(registry: &str) -> Option<Self> {
        let (account, rest) = registry.split_once(".dkr.")?;
        let rest = rest
            .strip_prefix("ecr.")
            .or_else(|| rest.strip_prefix("ecr-fips."))?;
        let rest = rest.strip_suffix(".cn").unwrap_or(rest);
        let region = rest.strip_suffix(".amazonaws.com")?;
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        (is_account && is_region(region)).then(|| Self {
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }
}

/// `eu-central-1`.
pub(in crate::config) fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let number = parts.next_back().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    words.len() >= 2
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

impl RegistryLogin {
    /// The login that a registry gets when the user data has none for it.
    pub fn automatic(registry: &str) -> Option<Self> {
        if registry == PIER_ONE {
            return Some(Self::InstanceIdentity);
        }
        EcrHost::parse(registry).map(|host| Self::Ecr { region: host.region })
    }

    /// What has to be fetched for it, and the key below the registry's where it stands.
    pub fn references(&self) -> Vec<(&SecretRef, &'static str)> {
        let sources = match self {
            Self::Auth(auth) => vec![(auth, "")],
            Self::Password { user, password } => vec![(password, ".password"), (user, ".username")],
            Self::Ecr { .. } | Self::InstanceIdentity => Vec::new(),
        };
        sources
            .into_iter()
            .filter_map(|(source, key)| match source {
                SecretSource::Stored(ciphertext) => Some((ciphertext, key)),
                SecretSource::Literal(_) => None,
            })
            .collect()
    }

    /// Its kind in one word, as the user data has it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Auth(_) | Self::Password { .. } => "basic",
            Self::Ecr { .. } => "ecr",
            Self::InstanceIdentity => "instance-identity",
        }
    }
}

impl fmt::Display for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(_) | Self::Password { .. } => f.write_str("the login of `dockercfg`"),
            Self::Ecr { region } => write!(f, "the login that ECR in {region} gives the instance's role"),
            Self::InstanceIdentity => f.write_str("the instance's identity as login"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecr_is_known_by_its_name_and_nothing_that_looks_like_it() {
        for (registry, region) in [
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
            ),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ] {
            let host = EcrHost::parse(registry).unwrap();
            assert_eq!(
                (host.account.as_str(), host.region.as_str()),
                ("123456789012", region)
            );
            assert_eq!(RegistryLogin::automatic(registry).unwrap().kind(), "ecr");
        }
        for registry in [
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com:5000",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-central.amazonaws.com",
            "123456789012.dkr.ecr.evil.example.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "evil.example.dkr.ecr.eu-central-1.amazonaws.com",
            "public.ecr.aws",
            "pierone.stups.zalan.do.example.org",
            "docker.io",
        ] {
            assert_eq!(RegistryLogin::automatic(registry), None, "{registry}");
        }
        assert_eq!(
            RegistryLogin::automatic("pierone.stups.zalan.do"),
            Some(RegistryLogin::InstanceIdentity)
        );
    }
}
