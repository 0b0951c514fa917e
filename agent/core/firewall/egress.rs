//! Where something may go: `10.0.0.0/8`, `10.0.0.2`, `fd00::/8`, or a name with ports.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The longest name that DNS has.
const LONGEST_NAME: usize = 253;
/// The longest part of one.
const LONGEST_LABEL: usize = 63;

/// One thing that may leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRule {
    /// Where to.
    pub to: To,
    /// To which ports, first and last; empty is any.
    pub ports: Vec<(u16, u16)>,
    /// By which protocol.
    pub protocol: Transport,
}

/// A protocol, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// With ports both of them, without ports whatever goes over IP.
    Any,
}

/// Where something goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// A network, or one address.
    Net {
        /// Its first address.
        addr: IpAddr,
        /// Bits of it that count.
        prefix: u8,
    },
    /// A name of DNS, in lower case.
    Name(String),
}

/// What no destination can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADestination {
    /// Neither.
    #[error("is neither an address, nor a network, nor a DNS name")]
    Neither,
    /// Nothing can be asked for it.
    #[error("has a star, and there is no asking for all names below one")]
    Star,
    /// The bits of a network.
    #[error("has a prefix that its kind of address does not have")]
    Prefix,
    /// `10.0.0.1/8`.
    #[error("names an address in the middle of its network")]
    HostBits,
}

impl To {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, NotADestination> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        if let Ok(addr) = address.parse::<IpAddr>() {
            return net(addr, prefix);
        }
        match prefix {
            Some(_) => Err(NotADestination::Neither),
            None if text.contains('*') => Err(NotADestination::Star),
            None => name(text),
        }
    }

    /// The name, where it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Net { .. } => None,
        }
    }
}

fn net(addr: IpAddr, prefix: Option<&str>) -> Result<To, NotADestination> {
    let width = if addr.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => width,
        Some(digits)
            if digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0')) =>
        {
            digits
                .parse::<u8>()
                .ok()
                .filter(|prefix| *prefix <= width)
                .ok_or(NotADestination::Prefix)?
        }
        Some(_) => return Err(NotADestination::Prefix),
    };
    let beyond = match addr {
        IpAddr::V4(addr) => addr.to_bits().checked_shl(u32::from(prefix)).unwrap_or(0) != 0,
        IpAddr::V6(addr) => addr.to_bits().checked_shl(u32::from(prefix)).unwrap_or(0) != 0,
    };
    if beyond {
        return Err(NotADestination::HostBits);
    }
    Ok(To::Net { addr, prefix })
}

fn name(text: &str) -> Result<To, NotADestination> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // `10.0.0.300` is no name: no domain ends in a number.
    let ends_in_a_word = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
    if text.len() <= LONGEST_NAME && text.split('.').all(is_label) && ends_in_a_word {
        Ok(To::Name(text))
    } else {
        Err(NotADestination::Neither)
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Net { addr, prefix } => match (addr, prefix) {
                (IpAddr::V4(addr), 32) => addr.fmt(f),
                (IpAddr::V6(addr), 128) => addr.fmt(f),
                (addr, prefix) => write!(f, "{addr}/{prefix}"),
            },
        }
    }
}

impl EgressRule {
    /// `5432, 8000-8010`.
    pub(super) fn ports_text(&self) -> String {
        let each = self.ports.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// `tcp 5432 of db.example.org`, `10.0.0.0/8`.
impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.ports.is_empty()) {
            (Transport::Any, true) => return self.to.fmt(f),
            (Transport::Tcp, _) => f.write_str("tcp")?,
            (Transport::Udp, _) => f.write_str("udp")?,
            (Transport::Any, false) => f.write_str("tcp and udp")?,
        }
        if !self.ports.is_empty() {
            write!(f, " {}", self.ports_text())?;
        }
        write!(f, " of {}", self.to)
    }
}
