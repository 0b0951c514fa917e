//! Which repositories images may be built from: `github.com/my-org/*`, in the form that the policy's patterns for images
//! have.
//!
//! ```text
//! HOST/COMPONENT[/COMPONENT...]        github.com, git.example.org:8443, *.example.org
//! *     any letters within one component
//! **    as a whole component: one component or more
//! **    alone: every repository
//! ```
//!
//! One repository goes by several addresses (`git@host:org/app.git`, `https://host/org/app`, `git:ssh://...`): they are
//! compared as host and path. An address that cannot be read as these is in no list: what is not certain is not allowed.

use std::fmt;

use thiserror::Error;

use crate::trust::pattern::{Part, path_matches};

/// Longer than any address.
const LONGEST: usize = 512;

/// Where a commit lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    host: String,
    path: Vec<String>,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Without a slash.
    #[error("it names no host and repository")]
    NoHost,
    /// The part before the first slash.
    #[error("its host cannot be read, or has a `*` that is not the beginning `*.`")]
    Host,
    /// A component no repository has.
    #[error("no repository's address can look like it")]
    Component,
}

/// A rule about repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryPattern {
    written: String,
    hosts: Hosts,
    path: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    One(String),
    Below(String),
}

impl Repository {
    /// Reads an address as build tools write it.
    pub fn parse(url: &str) -> Option<Self> {
        let url = url.trim();
        if url.len() > LONGEST {
            return None;
        }
        // `git:` before the address says which program reads it; `git://` is the address.
        let bare = ["git", "hg", "svn", "scm"].iter().find_map(|program| {
            let rest = url.strip_prefix(program)?.strip_prefix([':', '+'])?;
            (!rest.starts_with("//")).then_some(rest)
        });
        let url = bare.unwrap_or(url);
        let (host, path) = match url.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/')?;
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                let usual = match scheme {
                    "https" => ":443",
                    "http" => ":80",
                    "ssh" | "git+ssh" => ":22",
                    "git" => ":9418",
                    _ => return None,
                };
                (host.strip_suffix(usual).unwrap_or(host), path)
            }
            // As scp writes it.
            None => {
                let (authority, path) = url.split_once(':')?;
                (
                    authority.rsplit_once('@').map_or(authority, |(_, host)| host),
                    path,
                )
            }
        };
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let host = host.to_ascii_lowercase();
        let path: Vec<String> = path.split('/').map(str::to_owned).collect();
        (is_host(&host) && path.iter().all(|one| is_component(one))).then_some(Self { host, path })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path.join("/"))
    }
}

impl RepositoryPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let of = |hosts, path| Self {
            written: text.to_owned(),
            hosts,
            path,
        };
        if text == "**" {
            return Ok(of(Hosts::All, vec![Part::Deep]));
        }
        if text.len() > LONGEST {
            return Err(PatternError::Component);
        }
        let (host, path) = text.split_once('/').ok_or(PatternError::NoHost)?;
        let host = host.to_ascii_lowercase();
        let hosts = match host.strip_prefix("*.") {
            Some(domain) if is_host(domain) => Hosts::Below(domain.to_owned()),
            None if is_host(&host) => Hosts::One(host),
            _ => return Err(PatternError::Host),
        };
        let path = path.strip_suffix(".git").unwrap_or(path);
        let parts = path.split('/').map(|part| match part {
            "**" => Ok(Part::Deep),
            // A letter fits wherever a `*` stands.
            part if !part.contains("**") && is_component(&part.replace('*', "a")) => {
                Ok(Part::Component(part.to_owned()))
            }
            _ => Err(PatternError::Component),
        });
        Ok(of(hosts, parts.collect::<Result<_, _>>()?))
    }

    /// Whether a repository is meant.
    pub fn matches(&self, repository: &Repository) -> bool {
        let host = &repository.host;
        let at_host = match &self.hosts {
            Hosts::All => true,
            Hosts::One(one) => one == host,
            Hosts::Below(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.ends_with('.')),
        };
        let path: Vec<&str> = repository.path.iter().map(String::as_str).collect();
        at_host && path_matches(&self.path, &path)
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A name or an address with a port or without.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Neither up nor down again, and nothing that another program would read as something else.
fn is_component(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.~+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_by_all_its_addresses() {
        for url in [
            "git:git@github.com:zalando-stups/pierone.git",
            "git@github.com:zalando-stups/pierone",
            "https://github.com/zalando-stups/pierone.git",
            "https://user:token@GitHub.com:443/zalando-stups/pierone/",
            "git:https://github.com/zalando-stups/pierone",
            "git+https://github.com/zalando-stups/pierone",
            "ssh://git@github.com:22/zalando-stups/pierone.git",
            "git://github.com/zalando-stups/pierone",
        ] {
            let repository = Repository::parse(url).unwrap();
            assert_eq!(
                repository.to_string(),
                "github.com/zalando-stups/pierone",
                "{url}"
            );
        }
        assert_eq!(
            Repository::parse("https://git.example.org:8443/a/b/c")
                .unwrap()
                .to_string(),
            "git.example.org:8443/a/b/c"
        );
    }

    #[test]
    fn what_cannot_be_read_is_in_no_list() {
        for url in [
            "",
            "github.com",
            "/srv/git/app",
            "file:///srv/git/app",
            "https://github.com",
            "https://github.com/",
            "https://github.com/org/../evil/app",
            "https://github.com/org%2fapp/x",
            "https://github.com/org//app",
            "git@github.com:",
            "https://github.com/my-org/app?x",
            "https://evil.example/github.com\\@x",
            "javascript:alert(1)",
            "https://[::1]/a/b",
        ] {
            assert_eq!(Repository::parse(url), None, "{url}");
        }
        assert_eq!(
            Repository::parse(&format!("https://h.example/{}", "a".repeat(600))),
            None
        );
    }

    #[test]
    fn patterns() {
        let holds = |pattern: &str, url: &str| {
            RepositoryPattern::parse(pattern)
                .unwrap()
                .matches(&Repository::parse(url).unwrap())
        };
        let app = "git@github.com:my-org/app.git";
        for (pattern, expected) in [
            ("github.com/my-org/*", true),
            ("GitHub.com/my-org/app", true),
            ("github.com/my-org/app.git", true),
            ("github.com/**", true),
            ("**", true),
            ("github.com/my-*/a*p", true),
            ("github.com/*", false),
            ("github.com/My-Org/*", false),
            ("github.com/other/*", false),
            ("*.github.com/my-org/*", false),
            ("hub.com/**", false),
            ("*.com/my-org/app", true),
        ] {
            assert_eq!(holds(pattern, app), expected, "{pattern}");
        }
        assert!(!holds("*.example.org/**", "https://example.org/a/b"));
        assert!(!holds("*.example.org/**", "https://evilexample.org/a/b"));
        for (text, error) in [
            ("github.com", PatternError::NoHost),
            ("git*.com/a", PatternError::Host),
            ("/a/b", PatternError::Host),
            ("github.com/", PatternError::Component),
            ("github.com/a**b/c", PatternError::Component),
            ("github.com/a/../b", PatternError::Component),
        ] {
            assert_eq!(RepositoryPattern::parse(text), Err(error), "{text}");
        }
    }
}
