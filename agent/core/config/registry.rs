//! A registry's address, compared as what it is and not as it is spelled.
//!
//! Upper case, `:443` and leading zeros of a port name the same registry, and so do the names that Docker Hub's API goes
//! by. A rule that could be passed by with another spelling would protect nothing, and a login or a mirror that another
//! spelling hides would be ignored in silence: so policies, logins and mirrors all compare these.

use std::fmt;
use std::net::Ipv6Addr;

/// The port of a registry that names none.
const HTTPS: u16 = 443;
/// Docker Hub, as image references call it.
const DOCKER_HUB: &str = "docker.io";
/// What else it answers to. All of them have the same images and take the same logins.
const HUB_ALIASES: [&str; 3] = [
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

/// A registry, in one spelling only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryHost {
    name: String,
    port: u16,
}

impl RegistryHost {
    /// Of a registry's host and port that were checked before.
    pub fn new(registry: &str) -> Self {
        let (name, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => {
                let name = address
                    .parse::<Ipv6Addr>()
                    .map_or_else(|_| address.to_ascii_lowercase(), |address| address.to_string());
                (name, port.strip_prefix(':'))
            }
            None => match registry.split_once(':') {
                Some((name, port)) => (name.to_ascii_lowercase(), Some(port)),
                None => (registry.to_ascii_lowercase(), None),
            },
        };
        let name = if HUB_ALIASES.contains(&name.as_str()) {
            DOCKER_HUB.to_owned()
        } else {
            name
        };
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(HTTPS);
        Self { name, port }
    }

    /// Whether it is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.name == DOCKER_HUB
    }

    /// Whether it lies below a domain, at the same port.
    pub fn is_below(&self, domain: &Self) -> bool {
        self.port == domain.port && is_below(&self.name, &domain.name)
    }

    /// Whether a text, upper case or not, is one of Docker Hub's names that stand in no rule, or a domain of Docker's
    /// below which they lie: what was written for the alias is meant for `docker.io`.
    pub fn is_hub_alias(text: &str) -> bool {
        let name = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(domain) => domain.contains('.') && HUB_ALIASES.iter().any(|alias| is_below(alias, domain)),
            None => HUB_ALIASES.contains(&name.as_str()),
        }
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            f.write_str(&self.name)?;
        }
        if self.port != HTTPS {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    let before = name.strip_suffix(domain);
    before.is_some_and(|before| before.len() > 1 && before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_one_spelling() {
        for (text, wanted) in [
            ("Registry.Example.org:443", "registry.example.org"),
            ("registry.example.org:05000", "registry.example.org:5000"),
            ("[0:0:0:0:0:0:0:1]:5000", "[::1]:5000"),
            ("[::1]", "[::1]"),
            ("docker.io", "docker.io"),
            ("INDEX.docker.io", "docker.io"),
            ("registry-1.docker.io:443", "docker.io"),
            ("registry.hub.docker.com", "docker.io"),
            ("hub.docker.com.example.org", "hub.docker.com.example.org"),
        ] {
            assert_eq!(RegistryHost::new(text).to_string(), wanted, "{text}");
        }
    }
}
