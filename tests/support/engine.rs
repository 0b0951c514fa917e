//! A Docker Engine inside a sandbox: its own data, its own containerd, its own bridge.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::http::{self, Response};
use crate::process::{Part, alive, children, send, stopped, tied};
use crate::sandbox::Sandbox;
use crate::wait::wait_until;

/// No call of the rig's own may hang a test run; an engine that was stopped on purpose is never asked.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Engine {
    run: PathBuf,
    data: PathBuf,
    live_restore: bool,
    process: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// `nsenter`, which waits for the engine and ends as it ends.
    part: Part,
    pid: u32,
}

impl Running {
    /// To the engine and to nsenter: it stops itself when its child is stopped, and would not see it end.
    fn signal(&self, signal: Signal) {
        send(self.pid, signal);
        self.part.signal(signal);
    }
}

impl Engine {
    /// An engine with its socket and log in `run`, its images and containers in `data`; not started.
    pub(crate) fn new(run: &Path, data: &Path) -> Self {
        Self {
            run: run.to_owned(),
            data: data.to_owned(),
            live_restore: true,
            process: None,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    /// The process outside of the sandbox that waits for the engine.
    pub(crate) fn waiter(&self) -> Option<u32> {
        self.process.as_ref().map(|running| running.part.pid())
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.run.join("engine.log")
    }

    pub(crate) fn tail(&self) -> String {
        crate::process::tail("engine", &self.log())
    }

    pub(crate) fn live_restore(&self) -> bool {
        self.live_restore
    }

    /// From its next start.
    pub(crate) fn set_live_restore(&mut self, on: bool) {
        self.live_restore = on;
    }

    pub(crate) fn running(&self) -> bool {
        self.process.as_ref().is_some_and(|running| alive(running.pid))
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(&mut self, sandbox: &Sandbox, cgroup: &str) {
        if self.running() {
            return;
        }
        self.process = None;
        let config = self.run.join("daemon.json");
        // A configuration of its own: the machine's /etc/docker/daemon.json is somebody else's. The cgroup driver is
        // named because the default follows the host's systemd, which knows nothing of our sandbox.
        let settings = json!({
            "live-restore": self.live_restore,
            "cgroup-parent": cgroup,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "shutdown-timeout": 5,
        });
        fs::write(&config, settings.to_string())
            .unwrap_or_else(|e| panic!("rig: writing {}: {e}", config.display()));
        let pidfile = self.run.join("engine.pid");
        // An engine that was killed leaves both behind, and refuses to start where its pid seems to be taken.
        drop(fs::remove_file(&pidfile));
        drop(fs::remove_file(self.socket()));
        let mut command = tied("nsenter");
        command
            .args([
                "--target",
                &sandbox.init().to_string(),
                "--net",
                "--mount",
                "--pid",
                "--",
                "dockerd",
            ])
            .arg("--config-file")
            .arg(&config)
            .arg("--data-root")
            .arg(&self.data)
            .arg("--exec-root")
            .arg(self.run.join("exec"))
            .arg("--pidfile")
            .arg(&pidfile)
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()));
        let part = Part::start("engine", command, &self.log());
        part.ready(Duration::from_secs(30), |_| {
            self.ask("GET", "/_ping", None, Duration::from_secs(5))
                .ok()
                .filter(|answer| answer.status == 200)
        });
        let pid = children(part.pid())
            .first()
            .copied()
            .expect("rig: nsenter has the engine as its child");
        self.process = Some(Running { part, pid });
    }

    /// SIGTERM, and waits for its end. Containers stay with live-restore, are stopped without.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// SIGKILL, and waits until its containerd, which dies with it, is gone too.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        let Some(running) = self.process.take() else {
            return;
        };
        let helpers = children(running.pid);
        send(running.pid, signal);
        running.signal(Signal::SIGCONT);
        if running.part.wait(Duration::from_secs(20)).is_none() {
            panic!(
                "rig: the engine is still running 20 s after {signal}{}",
                running.part.tail()
            );
        }
        wait_until(Duration::from_secs(10), || {
            helpers.iter().all(|pid| !alive(*pid)).then_some(())
        })
        .unwrap_or_else(|| panic!("rig: the engine's containerd outlived it{}", running.part.tail()));
    }

    /// Stops all of its threads: an engine that is there and doesn't answer.
    pub(crate) fn freeze(&self) {
        let Some(running) = &self.process else { return };
        running.signal(Signal::SIGSTOP);
        // The signal has been sent, and threads stop one after another: one more answer is possible until the last has.
        wait_until(Duration::from_secs(5), || stopped(running.pid).then_some(()))
            .unwrap_or_else(|| panic!("rig: the engine goes on 5 s after SIGSTOP{}", self.tail()));
    }

    /// Ends [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        if let Some(running) = &self.process {
            running.signal(Signal::SIGCONT);
        }
    }

    /// Forgets the process after its sandbox has been killed.
    pub(crate) fn died(&mut self) {
        self.process = None;
        // What a machine keeps in /run doesn't survive a reboot.
        drop(fs::remove_dir_all(self.run.join("exec")));
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>, timeout: Duration) -> io::Result<Response> {
        let stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        http::call(
            stream,
            method,
            path,
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )
    }

    /// One call of the engine's API.
    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.ask(method, path, body, CALL_TIMEOUT).unwrap_or_else(|e| {
            panic!(
                "rig: {method} {path} on {}: {e}{}",
                self.socket().display(),
                self.tail()
            )
        })
    }

    /// A list the engine gives, as JSON.
    pub(crate) fn list(&self, path: &str) -> Vec<Value> {
        let answer = self.api("GET", path, None);
        match serde_json::from_slice(&answer.body) {
            Ok(Value::Array(items)) => items,
            other => panic!(
                "rig: GET {path}: status {}, no list: {other:?}{}",
                answer.status,
                self.tail()
            ),
        }
    }

    /// Removes every container and, if asked, every image, volume and network that isn't the engine's own.
    pub(crate) fn scrub(&self, images: bool) {
        for container in self.list("/containers/json?all=1") {
            let id = container["Id"].as_str().unwrap_or_default();
            self.delete(&format!("/containers/{id}?force=1&v=1"));
        }
        if images {
            for image in self.list("/images/json") {
                let id = image["Id"].as_str().unwrap_or_default();
                self.delete(&format!("/images/{id}?force=1"));
            }
            self.api("POST", "/networks/prune", None);
            self.api("POST", "/volumes/prune", None);
        }
    }

    fn delete(&self, path: &str) {
        let answer = self.api("DELETE", path, None);
        // 404: somebody was faster. 409: a removal is under way.
        assert!(
            matches!(answer.status, 200 | 204 | 404 | 409),
            "rig: DELETE {path}: {} {}{}",
            answer.status,
            answer.text(),
            self.tail()
        );
    }
}
