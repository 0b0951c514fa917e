//! Kernel settings of the machine: what lies below `/proc/sys`, and the few of `/sys` that may be written.
//!
//! A value that is there already is not written again. What the kernel does not have is told and passed over: an image with
//! another kernel, or without a module, has no use for it. What the kernel refuses ends the boot, since an application that
//! needs the setting would fail later and say less; the others are written all the same, so that one message names all.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use monopod_core::machine::sysctl::{file, is_chosen, is_same, path};

use super::files::{self, FileError};
use super::{Class, Classified};

/// Of systemd's: in memory, so that a key that is gone from the user data is gone after a reboot. The last of all by name,
/// so that no package's file is written over it.
const DROP_IN: &str = "run/sysctl.d/zz-monopod.conf";

/// A setting was not made.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// The kernel said no.
    #[error("the kernel refuses {} of `{key}`; correct or remove {} in the user data", .names.join(", "), if .names.len() == 1 { "it" } else { "them" })]
    Refused {
        /// `sysctl` or `sysfs`.
        key: &'static str,
        /// The settings' names; their values may be anything.
        names: Vec<String>,
        /// What it said of the first.
        #[source]
        source: io::Error,
    },
    /// systemd's copy of them.
    #[error("kernel settings are made, but not noted for network interfaces that come later")]
    NotNoted(#[source] FileError),
}

impl Classified for SysctlError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { source, .. } => match source.kind() {
                ErrorKind::ResourceBusy
                | ErrorKind::OutOfMemory
                | ErrorKind::Interrupted
                | ErrorKind::WouldBlock => Class::Transient,
                _ => Class::Permanent,
            },
            Self::NotNoted(_) => Class::Transient,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many were not so before.
    pub written: usize,
    /// Those that this kernel does not have.
    pub unknown: Vec<String>,
}

/// Sets them below `root`, which is `/` but in tests.
pub fn ensure_sysctls(root: &Path, settings: &[(String, String)]) -> Result<Outcome, SysctlError> {
    let proc = root.join("proc/sys");
    ensure_all("sysctl", settings, is_same, |name| proc.join(path(name)))
}

/// The same for files below `/sys`, which stand under their whole paths.
pub fn ensure_sysfs(root: &Path, settings: &[(String, String)]) -> Result<Outcome, SysctlError> {
    ensure_all("sysfs", settings, is_chosen, |name| {
        root.join(name.trim_start_matches('/'))
    })
}

/// Leaves them to systemd for network interfaces that come later, or takes back what an earlier run left there.
pub fn ensure_noted(root: &Path, settings: &[(String, String)]) -> Result<(), SysctlError> {
    let path = root.join(DROP_IN);
    let text = file(settings);
    let before = files::read(&path).map_err(SysctlError::NotNoted)?;
    if settings.is_empty() {
        return match before {
            Some(_) => files::ensure_gone(&path).map_err(SysctlError::NotNoted),
            None => Ok(()),
        };
    }
    if before.as_deref() == Some(text.as_bytes()) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        files::ensure_directory(directory).map_err(SysctlError::NotNoted)?;
    }
    files::ensure_content(&path, text.as_bytes()).map_err(SysctlError::NotNoted)
}

fn ensure_all(
    key: &'static str,
    settings: &[(String, String)],
    holds: impl Fn(&str, &str) -> bool,
    place: impl Fn(&str) -> std::path::PathBuf,
) -> Result<Outcome, SysctlError> {
    let mut outcome = Outcome::default();
    let (mut refused, mut first) = (Vec::new(), None);
    for (name, value) in settings {
        match ensure(&place(name), value, &holds) {
            Ok(true) => outcome.written += 1,
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => outcome.unknown.push(name.clone()),
            Err(error) => {
                refused.push(name.clone());
                first.get_or_insert(error);
            }
        }
    }
    match first {
        None => Ok(outcome),
        Some(source) => Err(SysctlError::Refused {
            key,
            names: refused,
            source,
        }),
    }
}

/// Whether it had to be written.
fn ensure(path: &Path, value: &str, holds: &impl Fn(&str, &str) -> bool) -> io::Result<bool> {
    // Some can be written and not read.
    if fs::read_to_string(path).is_ok_and(|now| holds(&now, value)) {
        return Ok(false);
    }
    // Never created: these are no files. In one call: the kernel takes each as a whole value.
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(format!("{value}\n").as_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::chain;
    use crate::host::testing::temporary_directory;

    fn setting(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_is_there_is_set_once() {
        let root = temporary_directory("sysctl");
        fs::create_dir_all(root.join("proc/sys/net/ipv4/conf/eth0.1")).unwrap();
        let ports = root.join("proc/sys/net/ipv4/ip_local_port_range");
        fs::write(&ports, "32768\t60999\n").unwrap();
        let filter = root.join("proc/sys/net/ipv4/conf/eth0.1/rp_filter");
        fs::write(&filter, "0\n").unwrap();
        let settings = [
            setting("net.ipv4.ip_local_port_range", "32768 60999"),
            setting("net.ipv4.conf.eth0/1.rp_filter", "2"),
            setting("vm.no_such_setting", "1"),
        ];
        let wanted = |written| Outcome {
            written,
            unknown: vec!["vm.no_such_setting".to_owned()],
        };
        assert_eq!(ensure_sysctls(&root, &settings).unwrap(), wanted(1));
        assert_eq!(fs::read_to_string(&filter).unwrap(), "2\n");
        assert_eq!(
            fs::read_to_string(&ports).unwrap(),
            "32768\t60999\n",
            "not written"
        );
        assert_eq!(ensure_sysctls(&root, &settings).unwrap(), wanted(0));
        assert!(!root.join("proc/sys/vm").exists(), "nothing is made there");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn huge_pages() {
        let root = temporary_directory("sysfs");
        let directory = root.join("sys/kernel/mm/transparent_hugepage");
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("enabled");
        fs::write(&file, "always [madvise] never\n").unwrap();
        let wish = |word| [setting("/sys/kernel/mm/transparent_hugepage/enabled", word)];
        assert_eq!(ensure_sysfs(&root, &wish("madvise")).unwrap().written, 0);
        assert_eq!(ensure_sysfs(&root, &wish("never")).unwrap().written, 1);
        assert!(fs::read_to_string(&file).unwrap().starts_with("never\n"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn all_that_is_refused_is_named_and_the_rest_is_done() {
        let root = temporary_directory("sysctl-refused");
        // A directory can't be written, whoever tries.
        for name in ["a", "c"] {
            fs::create_dir_all(root.join("proc/sys/vm").join(name)).unwrap();
        }
        fs::write(root.join("proc/sys/vm/b"), "0").unwrap();
        let settings = [
            setting("vm.a", "secret-1"),
            setting("vm.b", "7"),
            setting("vm.c", "secret-2"),
        ];
        let error = ensure_sysctls(&root, &settings).unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        let text = chain(&error);
        assert!(
            text.starts_with("the kernel refuses vm.a, vm.c of `sysctl`; correct or remove them"),
            "{text}"
        );
        assert!(!text.contains("secret-"), "{text}");
        assert_eq!(fs::read_to_string(root.join("proc/sys/vm/b")).unwrap(), "7\n");
        fs::remove_dir_all(root).unwrap();
    }

    /// The test below, in a network of its own, where a mistake harms nobody.
    #[test]
    fn the_kernel_itself() {
        let test = "host::sysctl::tests::in_a_network_of_its_own";
        let ended = std::process::Command::new("unshare")
            .arg("--net")
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", test])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        if nix::unistd::geteuid().is_root() {
            assert!(ended.status.success() && said.contains("1 passed"), "{said}");
        }
    }

    #[test]
    #[ignore = "run by the one above"]
    fn in_a_network_of_its_own() {
        let root = Path::new("/");
        let port = "net.ipv4.ip_unprivileged_port_start";
        let range = "net.ipv4.ip_local_port_range";
        let settings = [
            setting(port, "0"),
            setting(range, "20000 30000"),
            // Of the machine's network alone.
            setting("net.ipv4.tcp_mem", "1 2 3"),
        ];
        let outcome = ensure_sysctls(root, &settings).unwrap();
        assert_eq!(
            (outcome.written, &outcome.unknown[..]),
            (2, &["net.ipv4.tcp_mem".to_owned()][..])
        );
        assert_eq!(
            fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap(),
            "0\n"
        );
        assert_eq!(ensure_sysctls(root, &settings).unwrap().written, 0, "again");
        let error = ensure_sysctls(root, &[setting(port, "many"), setting(range, "5 4")]).unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert!(
            chain(&error).contains(&format!("refuses {port}, {range} of")),
            "{}",
            chain(&error)
        );
    }

    #[test]
    fn systemd_s_copy_comes_and_goes() {
        let root = temporary_directory("sysctl-noted");
        let path = root.join(DROP_IN);
        ensure_noted(&root, &[]).unwrap();
        assert!(!path.exists());
        ensure_noted(&root, &[setting("vm.swappiness", "1")]).unwrap();
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .ends_with("-vm/swappiness = 1\n")
        );
        ensure_noted(&root, &[]).unwrap();
        assert!(!path.exists());
        fs::remove_dir_all(root).unwrap();
    }
}
