//! The machine's settings, in the order in which somebody waits for them: kernel settings for the container, then sshd and
//! the rest for people.
//!
//! A kernel setting that is refused fails the boot, once everything else is done: whoever comes to look finds sshd where the
//! user data has it. Nothing else here fails it; a machine that serves and cannot be logged into is better than none.

use std::path::Path;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::machine::MachinePlan;

use crate::host::sshd::Programs;
use crate::host::sysctl::{Outcome, SysctlError};
use crate::host::{Class, Classified, accounts, chain, logrotate, sshd, sysctl};

/// Between two looks at how far cloud-init is.
const LOOK: Duration = Duration::from_millis(200);

/// The container must not start on this machine as it is.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A kernel setting.
    #[error(transparent)]
    Kernel(#[from] SysctlError),
}

impl Classified for SettingsError {
    fn class(&self) -> Class {
        match self {
            Self::Kernel(error) => error.class(),
        }
    }
}

/// Ends with the machine below `root` as the plan has it; what should be known of it is told.
///
/// The users come with [`ensure_users`], which waits.
pub(crate) async fn ensure_settings(
    machine: &MachinePlan,
    root: &Path,
    tell: impl Fn(Event),
) -> Result<(), SettingsError> {
    ensure_with(machine, root, &Programs::default(), tell).await
}

async fn ensure_with(
    machine: &MachinePlan,
    root: &Path,
    programs: &Programs,
    tell: impl Fn(Event),
) -> Result<(), SettingsError> {
    let warn = |text: String| tell(Event::Warning { text });
    let kernel = ensure_kernel(machine, root, &warn);
    if let Err(error) = logrotate::ensure_rotation(root, machine.custom_logs.as_ref()) {
        warn(format!("custom logs are not rotated: {}", chain(&error)));
    }
    let (plan, place, programs) = (machine.clone(), root.to_owned(), programs.clone());
    // It waits for other programs, and the progress of this one is told meanwhile.
    let told = tokio::task::spawn_blocking(move || sshd::ensure_drop_in(&place, &plan, &programs)).await;
    match told {
        Ok(Ok(warnings)) => warnings.into_iter().for_each(&warn),
        Ok(Err(error)) => warn(format!("sshd stays as it is: {}", chain(&error))),
        Err(error) => warn(format!("sshd stays as it is: {error}")),
    }
    Ok(kernel?)
}

fn ensure_kernel(machine: &MachinePlan, root: &Path, warn: &impl Fn(String)) -> Result<(), SysctlError> {
    let sysctl = sysctl::ensure_sysctls(root, &machine.sysctl);
    let sysfs = sysctl::ensure_sysfs(root, &machine.sysfs);
    let unknown = |key: &str, outcome: Outcome| {
        for name in outcome.unknown {
            warn(format!(
                "this kernel has no {name}, or the module that brings it is not loaded: `{key}` does not set it, ignoring"
            ));
        }
    };
    // The copy for later is a convenience.
    if let Err(error) = sysctl::ensure_noted(root, &machine.sysctl) {
        warn(chain(&error));
    }
    unknown("sysctl", sysctl?);
    unknown("sysfs", sysfs?);
    Ok(())
}

/// Removes the authorized_keys of the cloud image's own users, where the user data or the machine's image says so: those
/// that are there at once, and those that cloud-init writes in this boot, for which it waits so long at most. No
/// container waits for this.
pub(crate) async fn ensure_users(
    machine: &MachinePlan,
    root: &Path,
    patience: Duration,
    tell: impl Fn(Event),
) {
    if machine.keep_instance_users != Some(false) {
        return;
    }
    let warn = |text: String| tell(Event::Warning { text });
    let end = tokio::time::Instant::now() + patience;
    loop {
        // Asked first: what is written between the two looks is removed by the second.
        let written = accounts::are_keys_written(root);
        if let Err(error) = accounts::ensure_keys_removed(root) {
            return warn(format!("`keep_instance_users: false`: {}", chain(&error)));
        }
        match written {
            Ok(true) => return,
            Ok(false) if tokio::time::Instant::now() < end => tokio::time::sleep(LOOK).await,
            Ok(false) => {
                return warn(format!(
                    "cloud-init has not made its users within {} s: their authorized_keys are removed at the next boot",
                    patience.as_secs()
                ));
            }
            Err(error) => return warn(format!("`keep_instance_users: false`: {}", chain(&error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn machine(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("monopod-settings-{name}-{}", std::process::id()));
        let _gone = fs::remove_dir_all(&root);
        for directory in [
            "proc/sys/vm",
            "etc/sudoers.d",
            "home/admin/.ssh",
            "run/cloud-init",
        ] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("proc/sys/vm/swappiness"), "60\n").unwrap();
        fs::write(
            root.join("etc/passwd"),
            "admin:x:1000:1000::/home/admin:/bin/sh\n",
        )
        .unwrap();
        root
    }

    fn programs(root: &Path) -> Programs {
        Programs {
            sshd: root.join("no-sshd"),
            systemctl: root.join("no-systemctl"),
        }
    }

    fn text(event: Event) -> String {
        match event {
            Event::Warning { text } => text,
            other => format!("{other:?}"),
        }
    }

    fn setting(name: &str) -> (String, String) {
        (name.to_owned(), "1".to_owned())
    }

    #[tokio::test]
    async fn what_is_not_the_container_s_never_fails_the_boot() {
        let root = machine("warnings");
        let plan = MachinePlan {
            sysctl: vec![setting("vm.swappiness"), setting("vm.of_another_kernel")],
            ssh_ports: vec![2222],
            ..Default::default()
        };
        let told = RefCell::new(Vec::new());
        let tell = |event| told.borrow_mut().push(text(event));
        ensure_with(&plan, &root, &programs(&root), tell).await.unwrap();
        assert_eq!(
            fs::read_to_string(root.join("proc/sys/vm/swappiness"))
                .unwrap()
                .trim(),
            "1"
        );
        let told = told.into_inner();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].contains("this kernel has no vm.of_another_kernel"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("sshd stays as it is: there is no sshd"),
            "{told:?}"
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn a_refused_setting_fails_it_after_the_rest_is_done() {
        let root = machine("refused");
        fs::create_dir(root.join("proc/sys/vm/directory")).unwrap();
        fs::create_dir_all(root.join("etc/logrotate.d")).unwrap();
        fs::write(root.join("etc/logrotate.d/monopod-custom"), "old").unwrap();
        let plan = MachinePlan {
            sysctl: vec![setting("vm.directory")],
            ..Default::default()
        };
        let error = ensure_with(&plan, &root, &programs(&root), |_| ())
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert!(error.to_string().contains("vm.directory"), "{error}");
        assert!(
            !root.join("etc/logrotate.d/monopod-custom").exists(),
            "its key is gone"
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn keys_are_removed_once_cloud_init_has_written_them() {
        let root = machine("users");
        let key = root.join("home/admin/.ssh/authorized_keys");
        fs::write(root.join("run/cloud-init/enabled"), "").unwrap();
        let told = RefCell::new(Vec::new());
        let tell = |event| told.borrow_mut().push(text(event));
        let plan = MachinePlan {
            keep_instance_users: Some(false),
            ..Default::default()
        };
        let patience = Duration::from_secs(60);
        let cloud_init = async {
            // The other has looked once by now, and waits.
            fs::write(&key, "ssh-ed25519 A").unwrap();
            let done = "{\"v1\":{\"init\":{\"finished\":1.0}}}";
            fs::write(root.join("run/cloud-init/status.json"), done).unwrap();
        };
        tokio::join!(ensure_users(&plan, &root, patience, tell), cloud_init);
        assert!(!key.exists());
        assert_eq!(told.borrow().len(), 0);
        fs::remove_file(root.join("run/cloud-init/status.json")).unwrap();
        ensure_users(&plan, &root, Duration::ZERO, tell).await;
        assert!(told.borrow()[0].contains("within 0 s"), "{told:?}");
        fs::write(&key, "ssh-ed25519 A").unwrap();
        ensure_users(&MachinePlan::default(), &root, patience, tell).await;
        assert!(key.exists(), "nobody said anything about it");
        fs::remove_dir_all(root).unwrap();
    }
}
