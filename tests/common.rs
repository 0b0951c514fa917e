//! What most tests begin with: a machine, user data for it, and the agent on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_testrig::{Agent, Machine};
use serde_json::Value;

/// A boot takes a second or two; a busy machine gets more.
pub(crate) const BOOT: Duration = Duration::from_secs(60);
/// For what follows an event at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The name users know the container by.
pub(crate) const CONTAINER: &str = "taupageapp";

pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_monopod"))
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program of others that `tests/setup.sh` installs.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = repository("target/rig/tools/bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: run tests/setup.sh first",
        path.display()
    );
    path
}

/// User data for one of the rig's images, with the registry's password in it.
pub(crate) struct UserData(String);

impl UserData {
    pub(crate) fn new(machine: &Machine, image: &str) -> Self {
        Self::of(machine, &machine.registry().image(image))
    }

    /// As it stands.
    pub(crate) fn raw(text: String) -> Self {
        Self(text)
    }

    /// For any reference.
    pub(crate) fn of(machine: &Machine, source: &str) -> Self {
        Self(format!(
            "#taupage-ami-config\napplication_id: app\napplication_version: \"1.0\"\nruntime: Docker\nsource: {source}\n\
             dockercfg: {}\n",
            machine.registry().dockercfg()
        ))
    }

    /// For a whole text.
    pub(crate) fn from_text(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn line(mut self, line: &str) -> Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }

    /// Published on 8080, asked for /health.
    pub(crate) fn web(self) -> Self {
        self.line("ports: {8080: 8080}")
            .line("health_check_path: /health")
    }

    pub(crate) fn env(self, pairs: &[(&str, &str)]) -> Self {
        let all: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("  {name}: {value:?}"))
            .collect();
        self.line(&format!("environment:\n{}", all.join("\n")))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Gives it to the machine's metadata service.
    pub(crate) fn serve(&self, machine: &Machine) {
        machine.set_user_data(&self.0);
    }
}

/// Starts the daemon as the unit does.
pub(crate) fn run(machine: &Machine) -> Agent {
    run_with(machine, &[])
}

pub(crate) fn run_with(machine: &Machine, more: &[&str]) -> Agent {
    let syslog = machine.dirs().syslog.display().to_string();
    let mut args = vec!["run", "--syslog-socket", &syslog];
    args.extend(more);
    machine.spawn(binary(), &args)
}

/// Starts the daemon and waits until systemd is told READY.
pub(crate) fn run_until_ready(machine: &Machine) -> Agent {
    machine.notify().clear();
    let agent = run(machine);
    wait_ready(machine, &agent);
    agent
}

/// Waits for READY; what the agent said stands in the failure.
pub(crate) fn wait_ready(machine: &Machine, agent: &Agent) {
    let ready = machine.notify().journal().wait_for(BOOT, |all| {
        all.iter()
            .any(|message| message.text.lines().any(|line| line == "READY=1"))
            .then_some(())
    });
    assert!(ready.is_some(), "no READY=1; the agent said:\n{}", agent.output());
}

/// Whether systemd was told READY so far.
pub(crate) fn is_ready(machine: &Machine) -> bool {
    machine.notify().lines().iter().any(|line| line == "READY=1")
}

/// The one container there is, as the engine shows it; fails if there is none or more than one.
pub(crate) fn the_container(machine: &Machine) -> Value {
    let all = machine.containers();
    assert_eq!(all.len(), 1, "exactly one container is expected: {all:#?}");
    machine.inspect(CONTAINER).expect("it has the name users know")
}

pub(crate) fn container_id(machine: &Machine) -> String {
    the_container(machine)["Id"].as_str().unwrap().to_owned()
}

pub(crate) fn is_running(container: &Value) -> bool {
    container["State"]["Running"] == true
}

/// `monopod status --json` on this machine, whether it is healthy or not.
pub(crate) fn status(machine: &Machine) -> Value {
    let output = machine.monopod(binary(), &["status", "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("status: {error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let wanted = if shown["healthy"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(wanted), "{shown:#}");
    shown
}

/// The one ERROR line that ends or degrades a boot.
pub(crate) fn error_line(agent: &Agent) -> String {
    let output = agent.output();
    let errors: Vec<&str> = output.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert_eq!(errors.len(), 1, "one ERROR line is expected:\n{output}");
    errors[0].to_owned()
}

/// Runs the daemon to its end with this user data.
pub(crate) fn run_to_end(machine: &Machine) -> (i32, Agent) {
    let agent = run(machine);
    let code = agent.wait_exit(BOOT);
    (code, agent)
}

/// Everything a secret could have leaked into, as one text: what the agent said and told, its files, its processes.
pub(crate) fn everything_told(machine: &Machine, agent: &Agent) -> String {
    let mut all = agent.output();
    all.push_str(&machine.notify().lines().join("\n"));
    for dir in [&machine.dirs().runtime, &machine.dirs().state] {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if let Ok(bytes) = std::fs::read(entry.path()) {
                all.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
    all.push_str(&arguments_of_all_processes());
    for args in [&["status"][..], &["status", "--json"]] {
        let output = machine.monopod(binary(), args).output().unwrap();
        all.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    all
}

/// What `ps` would show of everybody.
fn arguments_of_all_processes() -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        if let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
            all.push_str(&String::from_utf8_lossy(&line).replace('\0', " "));
            all.push('\n');
        }
    }
    all
}
