//! Mount units for PID 1: nobody else's mount reaches the engine.

use super::{parts, place};
use crate::config::{Filesystem, Mount};

/// The longest name systemd takes for a unit.
pub const NAME_MOST: usize = 255;

/// A unit of systemd's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountUnit {
    /// `mounts-data.mount`.
    pub name: String,
    /// The whole file.
    pub text: String,
}

/// The name systemd wants for what is mounted at `path` in the container: `/data` at `/mounts/data` is `mounts-data.mount`.
pub fn unit_name(path: &str) -> String {
    format!("{}.mount", escape(&place(path)))
}

/// The unit that mounts `what` for the container.
///
/// The type is the mount's own: where [`super::decide`] found another ext, the caller puts that in first. Set-user-ID programs and
/// device files mean nothing on a disk of data, so they are off unless the options turn them on.
pub fn mount_unit(mount: &Mount, what: &str) -> MountUnit {
    let place = place(&mount.path);
    let options = match mount.options.as_deref() {
        None => "nosuid,nodev".to_owned(),
        // Of two that contradict each other mount(8) takes the last.
        Some(options) => format!("nosuid,nodev,{}", line(options)),
    };
    // It is ordered before what uses it, so at the machine's end it is unmounted after the container is gone. systemd checks only
    // file systems of fstab: this one was checked before.
    let text = format!(
        "[Unit]\n\
         Description={path} of the container\n\
         Before=docker.service monopod-drain.service\n\
         \n\
         [Mount]\n\
         What={what}\n\
         Where={place}\n\
         Type={kind}\n\
         Options={options}\n\
         DirectoryMode=0755\n\
         TimeoutSec=300\n",
        path = line(&mount.path),
        what = line(what),
        place = line(&place),
        kind = mount.filesystem.word(),
    );
    MountUnit {
        name: unit_name(&mount.path),
        text,
    }
}

/// Whether the options of a mount make it read-only: of `ro` and `rw` the last counts, as mount(8) has it.
pub fn is_read_only(options: Option<&str>) -> bool {
    options
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .rfind(|option| matches!(*option, "ro" | "rw"))
        == Some("ro")
}

/// A value of a unit file: percent signs are specifiers there, and a line ends nowhere but at its end.
fn line(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars().filter(|c| !c.is_control()) {
        escaped.push(c);
        if c == '%' {
            escaped.push(c);
        }
    }
    // A backslash at the end would take the next line with it.
    escaped.trim_end_matches('\\').to_owned()
}

/// systemd-escape(1) of a path.
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for (at, byte) in parts(path).collect::<Vec<_>>().join("/").bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if at > 0 => escaped.push('.'),
            b':' | b'_' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("\\x{byte:02x}")),
        }
    }
    escaped
}

/// Whether a mount has a device, or memory, that has to be mounted; otherwise it is a directory of the machine.
pub fn is_mounted(mount: &Mount) -> bool {
    mount.partition.is_some() || mount.filesystem == Filesystem::Tmpfs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &str, options: Option<&str>) -> Mount {
        Mount {
            path: path.to_owned(),
            partition: Some("/dev/xvdf".to_owned()),
            filesystem: Filesystem::Ext4,
            erase_on_boot: None,
            options: options.map(str::to_owned),
        }
    }

    #[test]
    fn names_are_escaped_as_systemd_does() {
        // What systemd-escape --path --suffix=mount says of /mounts and each of these.
        for (path, name) in [
            ("/data", "mounts-data.mount"),
            ("/var/lib/x", "mounts-var-lib-x.mount"),
            ("/my-data", "mounts-my\\x2ddata.mount"),
            ("/a b", "mounts-a\\x20b.mount"),
            ("/.hidden", "mounts-.hidden.mount"),
            ("/a.b_c:d", "mounts-a.b_c:d.mount"),
            ("/ä", "mounts-\\xc3\\xa4.mount"),
            ("/a\\b", "mounts-a\\x5cb.mount"),
            ("/data/", "mounts-data.mount"),
        ] {
            assert_eq!(unit_name(path), name, "{path}");
        }
    }

    #[test]
    fn the_unit_is_whole() {
        let unit = mount_unit(&mount("/data", Some("noatime,discard")), "/dev/nvme1n1");
        assert_eq!(unit.name, "mounts-data.mount");
        assert_eq!(
            unit.text,
            "[Unit]\nDescription=/data of the container\nBefore=docker.service monopod-drain.service\n\n\
             [Mount]\nWhat=/dev/nvme1n1\nWhere=/mounts/data\nType=ext4\n\
             Options=nosuid,nodev,noatime,discard\nDirectoryMode=0755\nTimeoutSec=300\n"
        );
        let plain = mount_unit(&mount("/data", None), "/dev/nvme1n1").text;
        assert!(plain.contains("\nOptions=nosuid,nodev\n"), "{plain}");
    }

    #[test]
    fn no_value_reaches_into_another_line() {
        let unit = mount_unit(
            &mount("/a%b\nWhat=/dev/root", Some("x-%i\nExecStart=/bin/sh\\")),
            "/dev/sd%f\n",
        );
        assert_eq!(
            unit.text.lines().filter(|line| line.starts_with("What=")).count(),
            1
        );
        assert!(!unit.text.contains("\nExecStart"), "{}", unit.text);
        assert!(unit.text.contains("x-%%i"), "{}", unit.text);
        assert!(
            !unit.text.lines().any(|line| line.ends_with('\\')),
            "{}",
            unit.text
        );
        assert_eq!(unit.text.lines().count(), 11);
    }

    #[test]
    fn the_last_of_ro_and_rw_counts() {
        for (options, read_only) in [
            (None, false),
            (Some("ro"), true),
            (Some("noatime, ro"), true),
            (Some("ro,rw"), false),
            (Some("rw,noatime,ro"), true),
            (Some("errors=remount-ro"), false),
            (Some("rodent"), false),
        ] {
            assert_eq!(is_read_only(options), read_only, "{options:?}");
        }
    }
}
