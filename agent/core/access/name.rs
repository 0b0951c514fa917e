//! Words from outside that are safe to use once they are of these types: they hold no blank, no slash, no control character
//! and do not begin with a dash.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a word is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No user's name.
    #[error(
        "a user's name begins with a small letter and has at most 32 small letters, digits, dashes and underscores"
    )]
    User,
    /// No host.
    #[error(
        "a host is an address, or a name of at most 253 letters, digits, dots and dashes that begins with a letter or digit"
    )]
    Host,
    /// No time.
    #[error("a time is a number with a unit, like 90s, 30m, 8h or 1h30m")]
    Duration,
}

/// A user's name: `^[a-z][a-z0-9_-]{0,31}$`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let all = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        (first && all && text.len() <= 32)
            .then(|| Self(text.to_owned()))
            .ok_or(NameError::User)
    }

    /// As it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Another machine: a name, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let all = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        (v6 || (first && all && text.len() <= 253))
            .then(|| Self(text.to_owned()))
            .ok_or(NameError::Host)
    }

    /// As sshd writes a host before a port.
    pub fn before_port(&self) -> String {
        if self.0.contains(':') {
            format!("[{}]", self.0)
        } else {
            self.0.clone()
        }
    }
}

impl TryFrom<String> for Host {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long, in seconds: `90s`, `30m`, `8h`, `1h30m`, `1d`. A number alone is none: nobody knows of what.
pub fn duration(text: &str) -> Result<u64, NameError> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NameError::Duration);
    }
    crate::config::seconds(text)
        .map(u64::from)
        .filter(|seconds| *seconds > 0)
        .ok_or(NameError::Duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users() {
        for name in ["a", "alice", "a-b_c9", &"a".repeat(32)] {
            assert_eq!(UserName::parse(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "A",
            "9a",
            "-a",
            "_a",
            "a b",
            "a/b",
            "../a",
            "a.b",
            "a\n",
            "a\0",
            "ä",
            "aä",
            "a:b",
            "a;b",
            "a$b",
            &"a".repeat(33),
        ] {
            assert_eq!(UserName::parse(name), Err(NameError::User), "{name:?}");
            assert!(
                serde_json::from_value::<UserName>(name.into()).is_err(),
                "{name:?}"
            );
        }
    }

    #[test]
    fn hosts() {
        for host in ["a", "10.0.0.1", "db-1.example.org", "fd00::1", "EC2.internal"] {
            assert!(Host::parse(host).is_ok(), "{host}");
        }
        for host in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "a,b",
            "*",
            "a\"b",
            "a:22",
            ".a",
            "a\n",
            "ä.de",
            "[::1]",
            "a/b",
            &"a".repeat(254),
        ] {
            assert_eq!(Host::parse(host), Err(NameError::Host), "{host:?}");
        }
        assert_eq!(Host::parse("fd00::1").unwrap().before_port(), "[fd00::1]");
        assert_eq!(Host::parse("a.b").unwrap().before_port(), "a.b");
    }

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [
            ("5s", 5),
            ("30m", 1800),
            ("8h", 28_800),
            ("1h30m", 5400),
            ("1d", 86_400),
        ] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "5",
            "0s",
            "m",
            "-1h",
            "1h1h",
            "1w",
            "99999999999h",
            "1 h",
            "1.5h",
        ] {
            assert_eq!(duration(text), Err(NameError::Duration), "{text:?}");
        }
    }
}
