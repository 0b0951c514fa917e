//! Where an object goes: the original's layout, with names that say which lines are in it.
//!
//! ```text
//! taupage/<application_id>/<application_version>/<stream>/2026/01/02/03/<host>/20260102T030405.678_<file>_<offset>.gz
//! ```
//!
//! Time and hour are those of the first line, in UTC, with milliseconds so that names are in the order of lines also where
//! the file changes within a second. `<file>` is a hash of what identifies the file that the first line
//! was read from, `<offset>` where in it. So whoever makes the object again gives it the same name, and what two files,
//! two machines or two moments have to say never meets.
//!
//! The original named the folder of a stream after fluentd's tag (`s3.var.log.application.log`), rounded the minute down
//! to its time slice, and counted objects of one minute (`20260102T0300_0.gz`) after asking the bucket which are there.

use std::fmt::Write as _;

use monopod_core::logs::{Attributes, Span, StreamName};
use monopod_core::text;
use sha2::{Digest, Sha256};

use crate::host::clock::now_seconds;

/// What all names of a sink have in common.
#[derive(Debug)]
pub(super) struct Names {
    /// `taupage/my-app/1.0/applog`.
    folder: String,
    host: String,
    instance: String,
}

impl Names {
    pub(super) fn new(stream: StreamName, file: Option<&str>, attributes: &Attributes) -> Self {
        let folder = format!(
            "taupage/{}/{}/{stream}",
            segment(&attributes.application_id),
            segment(&attributes.application_version)
        );
        let host = match attributes.hostname.as_str() {
            "" => &attributes.instance_id,
            name => name,
        };
        Self {
            folder: match file {
                // One level for a stream, whichever it is: what is listed or partitioned by level stays in step.
                Some(file) => format!("{folder}.{}", segment(&file.replace('/', "_"))),
                None => folder,
            },
            host: segment(&host.replace('/', "_")),
            instance: attributes.instance_id.clone(),
        }
    }

    /// The object whose first line has this time and was read there. `take` is for one that must not be what another
    /// has become.
    pub(super) fn of_place(&self, time: &str, start: &Span, take: u32) -> String {
        let file = &start.file;
        let birth = file.birth.unwrap_or_default();
        let first = file.first_record.as_deref().unwrap_or_default();
        // Without the device, which a reboot can renumber.
        let identity = format!("{}\0{}\0{birth}\0{first}", self.instance, file.inode);
        let mut what = format!("{}_{:012}", short_hash(identity.as_bytes()), start.from);
        if take > 0 {
            what.push_str(&format!("_r{take}"));
        }
        self.of(time, &what)
    }

    /// The object that has no place in a file, by what is in it.
    pub(super) fn of_content(&self, time: &str, content: &[u8]) -> String {
        self.of(time, &format!("told_{}", short_hash(content)))
    }

    fn of(&self, time: &str, what: &str) -> String {
        let Self { folder, host, .. } = self;
        let stamp = stamp(time).or_else(|| stamp(&text::timestamp(now_seconds())));
        let [year, month, day, hour, minute, second] = stamp.unwrap_or(["0"; 6].map(str::to_owned));
        let millis = millis(time);
        format!(
            "{folder}/{year}/{month}/{day}/{hour}/{host}/{year}{month}{day}T{hour}{minute}{second}.{millis}_{what}.gz"
        )
    }
}

/// Year to second of an RFC 3339 time in UTC.
fn stamp(time: &str) -> Option<[String; 6]> {
    let mut parts = time.get(..19)?.split(['-', 'T', ':']);
    let mut next = |length: usize| {
        parts
            .next()
            .filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
            .map(str::to_owned)
    };
    Some([next(4)?, next(2)?, next(2)?, next(2)?, next(2)?, next(2)?])
}

/// Three digits of its fraction.
fn millis(time: &str) -> String {
    let fraction = time
        .get(19..)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or_default();
    let digits: String = fraction
        .chars()
        .take_while(char::is_ascii_digit)
        .take(3)
        .collect();
    format!("{digits:0<3}")
}

fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .fold(String::new(), |mut hash, byte| {
            // Writing to a string can't fail.
            write!(hash, "{byte:02x}").ok();
            hash
        })
}

/// Part of a key. The SDK's address of an object would lose `..`, and nobody wants to type a control character.
fn segment(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '_' } else { c })
        .collect();
    match clean.as_str() {
        "" | "." | ".." => "_".to_owned(),
        _ => clean,
    }
}

#[cfg(test)]
mod tests {
    use monopod_core::logs::FileIdentity;

    use super::*;

    const TIME: &str = "2026-01-02T03:04:05.000000001Z";

    fn names(stream: StreamName, file: Option<&str>) -> Names {
        let attributes = Attributes {
            application_id: "my-app".into(),
            application_version: "1.0".into(),
            instance_id: "i-1".into(),
            hostname: "ip-10-0-0-1".into(),
            ..Attributes::default()
        };
        Names::new(stream, file, &attributes)
    }

    fn start(inode: u64, record: &str, from: u64) -> Span {
        Span {
            file: FileIdentity {
                device: 1,
                inode,
                birth: Some(5),
                first_record: Some(FileIdentity::hash(record.as_bytes())),
            },
            from,
            to: from + 10,
            checksum: 0,
            lines: 1,
        }
    }

    #[test]
    fn keeps_the_layout() {
        let key = names(StreamName::Applog, None).of_place(TIME, &start(7, "a", 1234), 0);
        let (folder, name) = key.rsplit_once('/').unwrap();
        assert_eq!(folder, "taupage/my-app/1.0/applog/2026/01/02/03/ip-10-0-0-1");
        assert!(name.starts_with("20260102T030405.000_"), "{name}");
        assert!(name.ends_with("_000000001234.gz"), "{name}");
        assert_eq!(
            name.len(),
            "20260102T030405.000_".len() + 16 + "_000000001234.gz".len()
        );
        let key = names(StreamName::Customlog, Some("gc.log")).of_place(TIME, &start(7, "a", 0), 0);
        assert!(
            key.starts_with("taupage/my-app/1.0/customlog.gc.log/2026/"),
            "{key}"
        );
    }

    #[test]
    fn another_place_is_another_name_and_the_same_place_the_same() {
        let names = names(StreamName::Applog, None);
        let key = names.of_place(TIME, &start(7, "a", 0), 0);
        let renumbered = Span {
            file: FileIdentity {
                device: 2,
                ..start(7, "a", 0).file
            },
            ..start(7, "a", 0)
        };
        assert_eq!(key, names.of_place(TIME, &renumbered, 0));
        for other in [start(7, "a", 1), start(8, "a", 0), start(7, "b", 0)] {
            assert_ne!(key, names.of_place(TIME, &other, 0));
        }
        assert_ne!(key, names.of_place(TIME, &start(7, "a", 0), 1));
        assert_ne!(key, names.of_content(TIME, b"x"));
    }

    #[test]
    fn a_name_is_a_name_whatever_it_is_made_of() {
        for time in ["", "yesterday", "2026-01-02X03:04:05Z", "2026-1-2T3:4:5.000000Z"] {
            let key = names(StreamName::Applog, None).of_content(time, b"x");
            assert!(key.starts_with("taupage/my-app/1.0/applog/20"), "{key}");
        }
        for (time, expected) in [
            (TIME, "000"),
            ("2026-01-02T03:04:05.67Z", "670"),
            ("2026-01-02T03:04:05.6789Z", "678"),
            ("2026-01-02T03:04:05Z", "000"),
        ] {
            assert_eq!(millis(time), expected);
        }
        assert_eq!(segment(".."), "_");
        assert_eq!(segment("a\nb"), "a_b");
        let nobody = Names::new(StreamName::Applog, Some("a/b"), &Attributes::default());
        assert!(
            nobody
                .of_content(TIME, b"x")
                .starts_with("taupage/_/_/applog.a_b/2026/01/02/03/_/"),
        );
    }
}
