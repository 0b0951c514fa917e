//! Where things are mounted in the container: each at a place of its own.

use super::super::model::{Mount, Options};
use super::super::problem::Code;
use super::Checker;
use crate::plan::container::{CREDENTIALS, SECRETS};
use crate::storage::is_read_only;

/// What is mounted read-only, so that nothing can be mounted below it.
const READ_ONLY: &[&str] = &["mount_certs", "secrets", "mint_bucket"];

/// The kernel's own file systems, which the engine lets nobody hide.
const KERNEL: &[&str] = &["/proc", "/sys"];

/// Directories of ours, there or not.
const OURS: &[&str] = &[SECRETS, CREDENTIALS];

impl Checker<'_> {
    /// Nothing is mounted over something else of ours, and nothing into what cannot be written.
    pub(super) fn targets(&mut self, options: &Options, mounts: &[Mount]) {
        let mut taken: Vec<(&str, &str)> = [
            (options.mount_certs, "mount_certs", "/etc/ssl/certs"),
            (options.mount_var_log, "mount_var_log", "/var/log-host"),
            (options.mount_custom_log, "mount_custom_log", "/var/log"),
            (
                options.docker_daemon_access,
                "docker_daemon_access",
                "/var/run/docker.sock",
            ),
        ]
        .into_iter()
        .filter(|(asked, ..)| *asked == Some(true))
        .map(|(_, key, target)| (key, target))
        .collect();
        let secret_directories = [("secrets", SECRETS), ("mint_bucket", CREDENTIALS)]
            .into_iter()
            .filter(|(key, _)| self.field(key).is_some());
        taken.extend(secret_directories);
        let tmpfs = options.tmpfs.iter().map(|one| ("tmpfs", one.path.as_str()));
        let volumes = mounts.iter().map(|one| ("mounts", one.path.as_str()));
        let files = options.files.iter().map(|one| ("files", one.path.as_str()));
        for (key, target) in tmpfs.chain(volumes).chain(files) {
            let below = |whole: &str| {
                target
                    .strip_prefix(whole)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            let at_or_below = |whole: &&&str| target == **whole || below(whole);
            let kernel = KERNEL
                .iter()
                .find(at_or_below)
                // The engine makes /dev itself; a disk over it would take /dev/null away.
                .or_else(|| Some(&"/dev").filter(|dev| key == "mounts" && at_or_below(dev)));
            let ours = OURS.iter().find(at_or_below).filter(|_| key == "mounts");
            let message = if let Some((other, _)) = taken.iter().find(|(_, other)| *other == target) {
                Some(format!("`{key}` and `{other}` are mounted at one place"))
            } else if let Some(kernel) = kernel {
                Some(format!("nothing can be mounted at {kernel} or below"))
            } else if let Some(ours) = ours {
                Some(format!(
                    "{ours} is for what monopod delivers: nothing can be mounted there or below"
                ))
            } else if key == "files"
                && mounts
                    .iter()
                    .any(|one| is_read_only(one.options.as_deref()) && below(&one.path))
            {
                Some("a file cannot be put into a mount that is read-only".to_owned())
            } else if let Some((other, _)) = taken
                .iter()
                .find(|(other, whole)| key != "tmpfs" && READ_ONLY.contains(other) && below(whole))
            {
                Some(format!("nothing can be put into `{other}`, which is read-only"))
            } else {
                None
            };
            match message {
                Some(message) => {
                    let Some(field) = self.field(key) else { continue };
                    let place = field
                        .entries()
                        .ok()
                        .and_then(|entries| entries.iter().find(|entry| entry.name == target))
                        .map_or(field.key_place, |entry| entry.place);
                    let problem = field.error(Code::BadValue, message).at(place);
                    self.report(problem.help("choose another path"));
                }
                None => taken.push((key, target)),
            }
        }
    }
}
