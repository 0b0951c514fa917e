//! A machine with canaries in it: what it is given, what came of it, and every text that anybody could see.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::{Agent, Machine, wait_until};
use serde_json::Value;

use super::Canary;
use super::sources::Way;
use crate::common::*;

/// Who must not be seen in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nobody of all canaries.
    ByAll,
    /// It shows variables by design, and nothing else.
    ByVariables,
}

/// Something that could be read.
pub(crate) struct Text {
    pub(crate) place: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) seen: Seen,
}

/// A machine, and what it has been given.
pub(crate) struct Boot<'a> {
    pub(crate) machine: &'a Machine,
    /// What user data refers to.
    pub(crate) canaries: &'a [Canary],
    /// What it does not.
    pub(crate) kept: &'a [Canary],
    /// What was looked at before it changed.
    texts: Mutex<Vec<Text>>,
    reached: Mutex<BTreeSet<String>>,
}

impl<'a> Boot<'a> {
    pub(crate) fn new(machine: &'a Machine, canaries: &'a [Canary], kept: &'a [Canary]) -> Self {
        Self {
            machine,
            canaries,
            kept,
            texts: Mutex::default(),
            reached: Mutex::default(),
        }
    }

    /// User data for this image, with all canaries where their sources put them; more variables may follow.
    pub(crate) fn user_data(&self, source: &str, dockercfg: &str) -> String {
        self.user_data_of(self.canaries, source, dockercfg)
    }

    pub(crate) fn user_data_of(&self, canaries: &[Canary], source: &str, dockercfg: &str) -> String {
        let lines = |way: Way, before: &str| -> String {
            let of_way = canaries
                .iter()
                .filter_map(|canary| Some((canary, canary.source.filter(|source| source.way == way)?)));
            of_way
                .map(|(canary, source)| {
                    let reference = (source.reference)(self.machine, canary);
                    format!("  {before}{}: {reference:?}\n", canary.name)
                })
                .collect()
        };
        let mut text = format!(
            "#taupage-ami-config\napplication_id: app\napplication_version: \"1.0\"\nruntime: Docker\nsource: {source}\n\
             dockercfg: {dockercfg}\nredact_secrets: true\n"
        );
        for (key, entries) in [
            ("secrets", lines(Way::Secret, "")),
            ("files", lines(Way::Text, "/etc/canary/")),
        ] {
            if !entries.is_empty() {
                text.push_str(&format!("{key}:\n{entries}"));
            }
        }
        text.push_str(&format!(
            "environment:\n  RUN: again\n{}",
            lines(Way::Variable, "")
        ));
        text
    }

    /// Gives it to the machine as a file, for it is more than EC2 takes; what was there is replaced.
    pub(crate) fn serve(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
        self.note("plan", &["plan", &self.file()]);
        self.note("plan --json", &["plan", "--json", &self.file()]);
        self.note("validate", &["validate", &self.file()]);
    }

    /// The agent on it.
    pub(crate) fn run(&self) -> Agent {
        run_with(
            self.machine,
            &["--log-level", "debug", "--user-data", &self.file()],
        )
    }

    /// The agent on it, to a refusal whose line says all of this.
    pub(crate) fn refused(&self, words: &[&str]) -> Agent {
        let agent = self.run();
        assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
        let error = error_line(&agent);
        for word in words {
            assert!(error.contains(word), "{word} is missing in {error}");
        }
        self.look();
        agent
    }

    /// How often the stores were asked.
    pub(crate) fn fetches(&self) -> usize {
        ["Decrypt", "GetParameter", "GetSecretValue"]
            .iter()
            .map(|op| self.machine.aws().count(op))
            .sum()
    }

    /// Keeps what a command of ours prints.
    fn note(&self, place: &str, args: &[&str]) {
        let output = self.machine.monopod(binary(), args).output().unwrap();
        self.keep(place, [output.stdout, output.stderr].concat(), Seen::ByAll);
    }

    fn keep(&self, place: &str, bytes: Vec<u8>, seen: Seen) {
        self.texts.lock().unwrap().push(Text {
            place: place.to_owned(),
            bytes,
            seen,
        });
    }

    /// What everybody can see now, before it changes.
    pub(crate) fn look(&self) {
        self.note("status", &["status"]);
        self.note("status --json", &["status", "--json"]);
        for (place, text) in self.traces() {
            if place.starts_with("/proc/") || place.ends_with(".json") {
                self.keep(&place, text.into_bytes(), Seen::ByAll);
            }
        }
        for container in self.machine.containers() {
            let id = container["Id"].as_str().unwrap();
            if let Some(inspected) = self.machine.inspect(id) {
                self.keep(
                    "docker inspect",
                    inspected.to_string().into_bytes(),
                    Seen::ByVariables,
                );
            }
        }
        let of_processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        for process in of_processes {
            let agents = fs::read_link(process.join("exe")).is_ok_and(|program| program == binary());
            let seen = if agents { Seen::ByAll } else { Seen::ByVariables };
            if let Ok(bytes) = fs::read(process.join("environ")) {
                self.keep(&process.join("environ").display().to_string(), bytes, seen);
            }
        }
    }

    /// What was said and written, without what is the container's or a registry's.
    fn traces(&self) -> Vec<(String, String)> {
        let dirs = self.machine.dirs();
        let delivery = ["files", "secrets", "credentials"].map(|name| dirs.runtime.join(name));
        let not_ours: Vec<PathBuf> = delivery.into_iter().chain([dirs.base.join("guard")]).collect();
        let mut traces = self.machine.traces();
        traces.retain(|(place, _)| !not_ours.iter().any(|path| Path::new(place).starts_with(path)));
        traces
    }

    /// All there is to look at, at the end.
    pub(crate) fn texts(&self) -> Vec<Text> {
        self.look();
        for (place, text) in self.traces() {
            self.keep(&place, text.into_bytes(), Seen::ByAll);
        }
        self.engine_data(&self.machine.dirs().engine_data);
        std::mem::take(&mut *self.texts.lock().unwrap())
    }

    /// Every byte the engine has written, but for what the application printed.
    fn engine_data(&self, directory: &Path) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.display().to_string();
            if kind.is_dir() {
                self.engine_data(&path);
            } else if kind.is_file() && !name.contains("-json.log") {
                self.keep(&name, fs::read(&path).unwrap_or_default(), Seen::ByVariables);
            }
        }
    }

    /// This one came to whoever it was meant for.
    pub(crate) fn has_reached(&self, canary: &Canary) {
        self.reached.lock().unwrap().insert(canary.name.clone());
    }

    pub(crate) fn reached(&self) -> BTreeSet<String> {
        self.reached.lock().unwrap().clone()
    }

    /// The agent has fetched every value, and no container was to get it.
    pub(crate) fn all_fetched(&self, calls: usize) {
        assert_eq!(calls, self.canaries.len(), "each is fetched once");
        self.canaries.iter().for_each(|canary| self.has_reached(canary));
    }

    /// The container has every value, byte for byte: without that nothing would be shown.
    pub(crate) fn delivered(&self) {
        let container = the_container(self.machine);
        for canary in self.canaries {
            let path = path(canary);
            let there = match &path {
                Some(path) => in_mounts(&container, path),
                None => in_environment(&container, &canary.name),
            };
            assert!(
                there.as_deref() == Some(canary.value.as_bytes()),
                "{} is not what was meant",
                canary.name
            );
            self.has_reached(canary);
        }
    }

    /// The same as the container itself sees its files; for what `value` says is in a file now.
    pub(crate) fn delivered_inside(&self, value: impl Fn(&Canary) -> String) {
        let files: Vec<(&Canary, String)> = self
            .canaries
            .iter()
            .filter_map(|canary| Some((canary, path(canary)?)))
            .collect();
        let mut args = vec!["exec", CONTAINER, "/bin/busybox", "sh", "-c"];
        args.push("for file; do /bin/busybox base64 \"$file\" | /bin/busybox tr -d '\\n'; echo; done");
        args.push("sh");
        args.extend(files.iter().map(|(_, path)| path.as_str()));
        // Values that change one after the other may come in two rounds, with a restart for each.
        let as_meant = || {
            let output = self.machine.docker(&args);
            let output = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = output.trim_end().lines().collect();
            let right = lines.len() == files.len()
                && files.iter().zip(lines).all(|((canary, _), line)| {
                    STANDARD
                        .decode(line)
                        .is_ok_and(|there| there == value(canary).into_bytes())
                });
            right.then_some(())
        };
        wait_until(BOOT, as_meant).expect("the container's files are what was meant");
    }

    fn file(&self) -> String {
        self.machine
            .dirs()
            .base
            .join("user-data.yaml")
            .display()
            .to_string()
    }
}

/// Where the container finds a file.
fn path(canary: &Canary) -> Option<String> {
    match canary.source?.way {
        Way::Variable => None,
        Way::Secret => Some(format!("/run/secrets/{}", canary.name)),
        Way::Text => Some(format!("/etc/canary/{}", canary.name)),
    }
}

fn in_environment(container: &Value, name: &str) -> Option<Vec<u8>> {
    let all = container["Config"]["Env"].as_array().unwrap().iter();
    let value = all
        .filter_map(Value::as_str)
        .find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
    value.map(|value| value.as_bytes().to_vec())
}

/// By what is mounted there, whether the container runs or not.
fn in_mounts(container: &Value, path: &str) -> Option<Vec<u8>> {
    container["Mounts"].as_array().unwrap().iter().find_map(|mount| {
        let rest = Path::new(path)
            .strip_prefix(mount["Destination"].as_str()?)
            .ok()?;
        let source = Path::new(mount["Source"].as_str()?);
        let whole = rest.as_os_str().is_empty();
        fs::read(if whole {
            source.to_owned()
        } else {
            source.join(rest)
        })
        .ok()
    })
}
