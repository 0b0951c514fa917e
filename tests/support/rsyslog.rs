//! A real rsyslogd with a snippet of configuration, its own socket and its own files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::layout::make_dir;
use crate::process::{Part, tied};
use crate::wait::wait_until;

/// A running rsyslogd; stopped on drop.
#[derive(Debug)]
pub struct Rsyslog {
    dir: PathBuf,
    part: Option<Part>,
}

impl Rsyslog {
    /// Starts it in `dir` with `snippet`, a file as it would lie in /etc/rsyslog.d. Paths under /var/log in it are moved
    /// into `dir`: `/var/log/application.log` is at `output("application.log")`.
    #[must_use]
    pub fn start(dir: &Path, snippet: &Path) -> Self {
        make_dir(dir);
        let text =
            fs::read_to_string(snippet).unwrap_or_else(|e| panic!("rig: reading {}: {e}", snippet.display()));
        let moved = text.replace("/var/log/", &format!("{}/", dir.display()));
        let config = format!(
            "global(workDirectory=\"{0}\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{0}/log.sock\" CreatePath=\"on\" RateLimit.Interval=\"0\")\n\
             {moved}\n\
             *.* action(type=\"omfile\" file=\"{0}/everything.log\")\n",
            dir.display()
        );
        let path = dir.join("rsyslog.conf");
        fs::write(&path, config).unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
        let mut rsyslog = Self {
            dir: dir.to_owned(),
            part: None,
        };
        rsyslog.up();
        rsyslog
    }

    /// Starts it again after [`Self::down`].
    pub fn up(&mut self) {
        if self.part.is_some() {
            return;
        }
        let mut command = tied("rsyslogd");
        command
            .arg("-n")
            .arg("-f")
            .arg(self.dir.join("rsyslog.conf"))
            .arg("-i")
            .arg(self.dir.join("rsyslogd.pid"));
        let part = Part::start("rsyslogd", command, &self.dir.join("rsyslogd.log"));
        let socket = self.socket();
        part.ready(Duration::from_secs(10), |_| socket.exists().then_some(()));
        self.part = Some(part);
    }

    /// Stops it: its socket and pid file are gone.
    pub fn down(&mut self) {
        if let Some(part) = self.part.take() {
            part.signal(nix::sys::signal::Signal::SIGTERM);
            let _ = part.wait(Duration::from_secs(5));
            part.kill();
        }
        drop(fs::remove_file(self.socket()));
        drop(fs::remove_file(self.dir.join("rsyslogd.pid")));
    }

    /// The socket to write to.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.join("log.sock")
    }

    /// A file it writes, by the name it has under /var/log.
    #[must_use]
    pub fn output(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Waits until a file it writes contains `part`; panics with what rsyslogd said and wrote instead.
    pub fn wait_for(&self, name: &str, part: &str, within: Duration) -> String {
        let path = self.output(name);
        wait_until(within, || {
            fs::read_to_string(&path).ok().filter(|text| text.contains(part))
        })
        .unwrap_or_else(|| {
            let said = self.part.as_ref().map(Part::tail).unwrap_or_default();
            let wrote = crate::process::tail(name, &path);
            let all = crate::process::tail("everything", &self.output("everything.log"));
            panic!(
                "rig: no {part:?} in {} within {within:?}{wrote}{all}{said}",
                path.display()
            )
        })
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.down();
    }
}
