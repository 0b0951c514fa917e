//! Whose processes are whose, and their end.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a look at the machine's processes found of one user, and killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sweep {
    /// Processes that run as the user.
    pub(super) own: usize,
    /// Processes of its logins that run as somebody else: sshd's, sudo's.
    pub(super) of_logins: usize,
}

impl Sweep {
    pub(super) fn is_clean(self) -> bool {
        self.own == 0 && self.of_logins == 0
    }
}

/// How far a look goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What runs as the user. What sshd holds of a login ends by itself then, and tells PAM.
    Own,
    /// And whatever came of its logins.
    Logins,
}

/// At once, one look after the other: who has children faster is caught by the group.
const LOOKS: usize = 10;

/// Kills what there is of a user, and looks again for what was born meanwhile. Says what the first look found.
pub(super) fn sweep(uid: u32, reach: Reach) -> Sweep {
    if reach == Reach::Logins {
        kill_group(uid);
    }
    let first = look(uid, reach);
    let mut found = first;
    for _ in 1..LOOKS {
        if found.own == 0 {
            break;
        }
        found = look(uid, reach);
    }
    first
}

fn look(uid: u32, reach: Reach) -> Sweep {
    let mut found = Sweep::default();
    let mine = i32::try_from(std::process::id()).unwrap_or(0);
    for pid in all() {
        if pid == mine || pid <= 1 {
            continue;
        }
        let place = Path::new("/proc").join(pid.to_string());
        let text = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_default();
        let is_own = runs_as(&text("status"), uid);
        let kills = match is_own {
            None => continue,
            Some(true) => {
                found.own += 1;
                true
            }
            Some(false) if comes_of_login(&text("loginuid"), &text("cgroup"), uid) => {
                found.of_logins += 1;
                reach == Reach::Logins
            }
            Some(false) => false,
        };
        if kills {
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => tracing::warn!("cannot kill process {pid} of user {uid}: {errno}"),
            }
        }
    }
    found
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").map(|entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).collect()
    });
    entries.unwrap_or_default()
}

/// Whether a process has this user among its four; `None` for one that is gone, or a zombie, which runs nothing. One whose
/// first thread alone has ended is called a zombie too, and its others run on.
fn runs_as(status: &str, uid: u32) -> Option<bool> {
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let state = value("State:")?.trim_start();
    let threads = value("Threads:").and_then(|count| count.trim().parse().ok());
    if state.starts_with('X') || (state.starts_with('Z') && threads.unwrap_or(1u32) < 2) {
        return None;
    }
    let mut uids = value("Uid:")?.split_ascii_whitespace();
    Some(uids.any(|word| word.parse() == Ok(uid)))
}

/// The kernel remembers who logged in (pam_loginuid), and logind puts a user's sessions into one slice.
fn comes_of_login(loginuid: &str, cgroup: &str, uid: u32) -> bool {
    let slice = format!("/user-{uid}.slice");
    let in_slice = cgroup.lines().any(|line| {
        line.split_once(&slice)
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
    });
    loginuid.trim().parse() == Ok(uid) || in_slice
}

/// All at once, where the kernel can: nothing is born meanwhile.
fn kill_group(uid: u32) {
    let path = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/cgroup.kill");
    // Not there on an older kernel, or without logind: one by one, then.
    let _by_hand = fs::write(path, "1").is_err();
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tsh\nState:\tS (sleeping)\nTgid:\t7\nUid:\t0\t60706\t0\t0\nGid:\t0\t0\t0\t0\n";

    #[test]
    fn any_of_its_four_users_counts() {
        assert_eq!(runs_as(STATUS, 60_706), Some(true));
        assert_eq!(runs_as(STATUS, 0), Some(true));
        assert_eq!(runs_as(STATUS, 6070), Some(false));
        assert_eq!(runs_as(&STATUS.replace("S (sl", "Z (zo"), 60_706), None);
        assert_eq!(runs_as("", 60_706), None);
    }

    #[test]
    fn a_zombie_with_threads_runs_on() {
        let zombie = STATUS.replace("S (sleeping)", "Z (zombie)");
        assert_eq!(runs_as(&format!("{zombie}Threads:\t2\n"), 60_706), Some(true));
        assert_eq!(runs_as(&format!("{zombie}Threads:\t1\n"), 60_706), None);
        let dead = STATUS.replace("S (sleeping)", "X (dead)");
        assert_eq!(runs_as(&format!("{dead}Threads:\t2\n"), 60_706), None);
    }

    #[test]
    fn a_login_is_known_by_the_kernel_and_by_its_slice() {
        let session = "1:name=systemd:/user.slice/user-60706.slice/session-4.scope\n";
        assert!(comes_of_login("4294967295", session, 60_706));
        assert!(comes_of_login("60706", "0::/system.slice/cron.service", 60_706));
        assert!(comes_of_login("", "0::/user.slice/user-60706.slice", 60_706));
        assert!(!comes_of_login("4294967295", session, 6070));
        assert!(!comes_of_login(
            "60707",
            "0::/user.slice/user-607060.slice/x",
            60_706
        ));
        assert!(!comes_of_login("", "", 60_706));
    }
}
