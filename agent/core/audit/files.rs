//! Names of the machine's audit log in its directory.
//!
//! ```text
//! audit.log                     live: rsyslog appends to it
//! audit.log.7.gz                rotated: sent, then removed
//! audit.log.sent-2048-1f0c...   what was live at a shutdown, of which 2048 bytes are sent; the last of the name is the boot
//! ```
//!
//! At shutdown the live file is sent while rsyslog still has it open. Removing it, as the original did, loses what is
//! written between the reading and the end; leaving it sends all of it again with the next rotation. So it is given a
//! name that says how much is sent, and the next boot, in which nobody has it open, sends the rest.

/// How much of a boot's id a name has.
const BOOT: usize = 8;

/// What a file of the directory is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Rotated and compressed.
    Rotated,
    /// Appended to.
    Live,
    /// Left by a shutdown of an earlier boot: what is behind these bytes is not sent.
    Left(u64),
    /// Left in this boot: somebody may still append to it.
    Leaving(u64),
}

impl Name {
    /// `None` for what is none of our business.
    pub fn of(name: &str, boot_id: &str) -> Option<Self> {
        let rest = name.strip_prefix("audit.log")?;
        if rest.is_empty() {
            return Some(Self::Live);
        }
        let rest = rest.strip_prefix('.')?;
        if let Some((bytes, boot)) = rest.strip_prefix("sent-").and_then(|rest| rest.split_once('-')) {
            let bytes = bytes.parse().ok()?;
            return Some(match boot == short(boot_id) {
                true => Self::Leaving(bytes),
                false => Self::Left(bytes),
            });
        }
        rest.ends_with(".gz").then_some(Self::Rotated)
    }
}

/// The name of a live file of which so many bytes are sent.
pub fn left_name(bytes: u64, boot_id: &str) -> String {
    format!("audit.log.sent-{bytes}-{}", short(boot_id))
}

fn short(boot_id: &str) -> &str {
    boot_id.get(..BOOT).unwrap_or(boot_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let boot = "1f0c2a34-0000-4000-8000-000000000000";
        for (name, expected) in [
            ("audit.log", Some(Name::Live)),
            ("audit.log.1.gz", Some(Name::Rotated)),
            ("audit.log.48.gz", Some(Name::Rotated)),
            ("audit.log.20261121.gz", Some(Name::Rotated)),
            // Not compressed yet.
            ("audit.log.1", None),
            ("audit.log.gz", None),
            ("audit.log.1.gz.new", None),
            ("audit.logs", None),
            ("application.log", None),
            ("xaudit.log.1.gz", None),
            ("audit.log.sent-2048-1f0c2a34", Some(Name::Leaving(2048))),
            ("audit.log.sent-2048-00000000", Some(Name::Left(2048))),
            ("audit.log.sent-x-00000000", None),
        ] {
            assert_eq!(Name::of(name, boot), expected, "{name}");
        }
        assert_eq!(Name::of(&left_name(7, boot), boot), Some(Name::Leaving(7)));
        assert_eq!(Name::of(&left_name(7, "short"), boot), Some(Name::Left(7)));
    }
}
