//! What the granting service may say: a line of the original's forced command.
//!
//! ```text
//! grant-ssh-access  [--remote-host HOST | --remote-host=[HOST]] NAME
//! revoke-ssh-access [--remote-host HOST | --remote-host=[HOST]] [--keep-local] NAME
//! ```
//!
//! Options may stand before or behind the name, each once; blanks part words and nothing quotes them. The service writes
//! `--remote-host=` where it has no host, so an empty one is none. Everything else is refused as a whole.

use super::{Host, NameError, UserName};

/// Bytes of a line.
pub const LONGEST_COMMAND: usize = 1024;

/// One line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForcedCommand {
    /// Let somebody in.
    Grant {
        /// Whom.
        user: UserName,
        /// Where the login leads on to.
        remote_host: Option<Host>,
    },
    /// Let nobody of that name in any more.
    Revoke {
        /// Whom.
        user: UserName,
        /// Where the login led on to.
        remote_host: Option<Host>,
        /// Another grant of the same user goes on: end nothing here.
        keep_local: bool,
    },
}

/// Why a line is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing was asked for.
    #[error("no command was sent: this login takes `grant-ssh-access NAME` and `revoke-ssh-access NAME`")]
    Missing,
    /// Too long.
    #[error("the command is longer than {LONGEST_COMMAND} bytes")]
    TooLong,
    /// No line of printable ASCII.
    #[error("the command holds something else than printable ASCII and blanks")]
    NotAscii,
    /// Not ours.
    #[error("this login takes `grant-ssh-access NAME` and `revoke-ssh-access NAME`, nothing else")]
    Unknown,
    /// The words behind it.
    #[error(
        "the command takes one name, `--remote-host HOST` at most once and, to revoke, `--keep-local` at most once"
    )]
    Words,
    /// The name or the host.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl ForcedCommand {
    /// Reads a line as sshd hands it over.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        if line.len() > LONGEST_COMMAND {
            return Err(CommandError::TooLong);
        }
        if !line.iter().all(|b| (0x20..=0x7e).contains(b)) {
            return Err(CommandError::NotAscii);
        }
        let text = std::str::from_utf8(line).map_err(|_| CommandError::NotAscii)?;
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let grants = match words.next() {
            None => return Err(CommandError::Missing),
            Some("grant-ssh-access") => true,
            Some("revoke-ssh-access") => false,
            Some(_) => return Err(CommandError::Unknown),
        };
        let (mut user, mut host, mut keep_local) = (None, None, false);
        while let Some(word) = words.next() {
            let host_word = match word {
                "--remote-host" => match words.next() {
                    Some(host) if !host.starts_with('-') => Some(host),
                    _ => return Err(CommandError::Words),
                },
                _ => word.strip_prefix("--remote-host="),
            };
            if let Some(word) = host_word {
                let read = if word.is_empty() {
                    None
                } else {
                    Some(Host::parse(word)?)
                };
                if host.replace(read).is_some() {
                    return Err(CommandError::Words);
                }
            } else if word == "--keep-local" && !grants && !keep_local {
                keep_local = true;
            } else if word.starts_with('-') || user.is_some() {
                return Err(CommandError::Words);
            } else {
                user = Some(UserName::parse(word)?);
            }
        }
        let user = user.ok_or(CommandError::Words)?;
        let remote_host = host.flatten();
        Ok(if grants {
            Self::Grant { user, remote_host }
        } else {
            Self::Revoke {
                user,
                remote_host,
                keep_local,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<ForcedCommand, CommandError> {
        ForcedCommand::parse(line.as_bytes())
    }

    fn alice() -> UserName {
        UserName::parse("alice").unwrap()
    }

    #[test]
    fn what_the_service_sends() {
        let grant = |host: Option<&str>| ForcedCommand::Grant {
            user: alice(),
            remote_host: host.map(|host| Host::parse(host).unwrap()),
        };
        for (line, host) in [
            ("grant-ssh-access alice", None),
            ("  grant-ssh-access   alice ", None),
            ("grant-ssh-access --remote-host= alice", None),
            ("grant-ssh-access --remote-host=10.0.0.1 alice", Some("10.0.0.1")),
            (
                "grant-ssh-access alice --remote-host db.internal",
                Some("db.internal"),
            ),
        ] {
            assert_eq!(read(line), Ok(grant(host)), "{line}");
        }
        let revoke = |host: Option<&str>, keep_local| ForcedCommand::Revoke {
            user: alice(),
            remote_host: host.map(|host| Host::parse(host).unwrap()),
            keep_local,
        };
        for (line, wanted) in [
            ("revoke-ssh-access alice", revoke(None, false)),
            ("revoke-ssh-access alice --keep-local", revoke(None, true)),
            (
                "revoke-ssh-access alice --remote-host 10.0.0.1 --keep-local",
                revoke(Some("10.0.0.1"), true),
            ),
        ] {
            assert_eq!(read(line), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (line, error) in [
            ("", CommandError::Missing),
            ("   ", CommandError::Missing),
            ("id", CommandError::Unknown),
            ("Grant-ssh-access alice", CommandError::Unknown),
            ("grant-ssh-access", CommandError::Words),
            ("grant-ssh-access alice bob", CommandError::Words),
            ("grant-ssh-access alice --keep-local", CommandError::Words),
            ("grant-ssh-access alice --remote-host", CommandError::Words),
            (
                "grant-ssh-access alice --remote-host --keep-local",
                CommandError::Words,
            ),
            ("grant-ssh-access alice --remote 10.0.0.1", CommandError::Words),
            (
                "grant-ssh-access alice --remote-host a --remote-host b",
                CommandError::Words,
            ),
            (
                "revoke-ssh-access alice --keep-local --keep-local",
                CommandError::Words,
            ),
            ("grant-ssh-access -- alice", CommandError::Words),
            ("grant-ssh-access --help", CommandError::Words),
            ("grant-ssh-access $(id)", CommandError::Name(NameError::User)),
            ("grant-ssh-access alice;id", CommandError::Name(NameError::User)),
            ("grant-ssh-access ../alice", CommandError::Name(NameError::User)),
            ("grant-ssh-access 'alice'", CommandError::Name(NameError::User)),
            (
                "grant-ssh-access alice --remote-host=-oProxyCommand=id",
                CommandError::Name(NameError::Host),
            ),
            (
                "grant-ssh-access alice --remote-host a;id",
                CommandError::Name(NameError::Host),
            ),
            ("grant-ssh-access\talice", CommandError::NotAscii),
            ("grant-ssh-access alice\n", CommandError::NotAscii),
            ("grant-ssh-access alice\0", CommandError::NotAscii),
            ("grant-ssh-access alic\u{e9}", CommandError::NotAscii),
        ] {
            assert_eq!(read(line), Err(error), "{line:?}");
        }
        let long = format!("grant-ssh-access alice{}", " ".repeat(LONGEST_COMMAND));
        assert_eq!(read(&long), Err(CommandError::TooLong));
    }
}
