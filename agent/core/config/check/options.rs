//! The options that docker run and compose know too.

use std::net::IpAddr;

use super::super::contract::{SIGNALS, ULIMITS};
use super::super::model::{EnvValue, FileMount, Gpus, HostEntry, Options, Seccomp, Tmpfs, Ulimit};
use super::super::problem::{Code, Problem};
use super::super::yaml::{Kind, Resolved};
use super::Checker;
use super::field::{Field, is_digits};

/// All of a container's files together; user data is small.
const MAX_FILES: usize = 64;

impl<'c> Checker<'c> {
    pub(super) fn options(&mut self) -> Options {
        Options {
            entrypoint: self.words("entrypoint"),
            command: self.command(),
            user: self.user(),
            memory: self.size("memory"),
            nano_cpus: self.field("cpus").and_then(|field| self.take(field.billionths())),
            pids_limit: self
                .field("pids_limit")
                .and_then(|field| self.read_number(&field)),
            ulimits: self.ulimits(),
            tmpfs: self.tmpfs(),
            stop_signal: self.stop_signal(),
            stop_timeout: self.time("stop_timeout"),
            seccomp: self.seccomp(),
            dns: self.dns(),
            extra_hosts: self.extra_hosts(),
            files: self.files(),
            gpus: self
                .field("gpus")
                .and_then(|field| self.choice(&field))
                .map(|word| match word {
                    "all" => Gpus::All,
                    _ => Gpus::None,
                }),
            log_budget: self.size("log_budget"),
            mount_certs: self.flag("mount_certs"),
            mount_var_log: self.flag("mount_var_log"),
            mount_custom_log: self.flag("mount_custom_log"),
            docker_daemon_access: self.strict_flag("docker_daemon_access"),
        }
    }

    pub(super) fn size(&mut self, key: &str) -> Option<u64> {
        let field = self.field(key)?;
        self.take(field.size())
    }

    pub(super) fn time(&mut self, key: &str) -> Option<u32> {
        let field = self.field(key)?;
        self.take(field.time())
    }

    fn words(&mut self, key: &str) -> Option<Vec<String>> {
        let field = self.field(key)?;
        self.take(field.words())
    }

    fn command(&mut self) -> Option<Vec<String>> {
        let (command, args) = (self.words("command"), self.words("args"));
        if let (Some(_), Some(field)) = (&command, self.field("args")) {
            let problem = field.error(Code::BadValue, "`args` and `command` are two names for one thing");
            self.report(problem.at(field.key_place).help(
                "in Kubernetes `command` is what is `entrypoint` here: write `entrypoint` and `command`",
            ));
        }
        command.or(args)
    }

    fn user(&mut self) -> Option<String> {
        let field = self.field("user")?;
        let text = self.text(&field)?;
        let (uid, gid) = text
            .split_once(':')
            .map_or((text.as_str(), None), |(uid, gid)| (uid, Some(gid)));
        let id = |text: &str| is_digits(text) && text.parse::<i32>().is_ok();
        if !id(uid) || !gid.is_none_or(id) {
            let problem = field.error(Code::BadValue, "`user` has to be a uid, or uid:gid, in numbers");
            self.report(problem.help("write `user: \"999:999\"`; names are known inside the image only"));
            return None;
        }
        let root = self
            .field("root")
            .and_then(|field| field.strict_flag().ok())
            .unwrap_or_default();
        if uid.trim_start_matches('0').is_empty() && !root {
            let problem = field.error(Code::BadValue, "`user` is root, but `root` is not true");
            self.report(problem.help("add `root: true` if the app has to be root, or choose another uid"));
            return None;
        }
        Some(text)
    }

    fn ulimits(&mut self) -> Vec<Ulimit> {
        let Some(field) = self.field("ulimits") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            if !ULIMITS.contains(&entry.name.as_str()) {
                let problem = child
                    .error(Code::BadValue, "the kernel has no such limit")
                    .at(child.key_place);
                self.report(near(problem, &entry.name, ULIMITS));
                continue;
            }
            if let Some((soft, hard)) = self.limit(child) {
                all.push(Ulimit {
                    name: entry.name.clone(),
                    soft,
                    hard,
                });
            }
        }
        all
    }

    /// `65536`, `"1024:4096"`, `{soft: 1024, hard: 4096}`.
    fn limit(&mut self, field: Field<'c>) -> Option<(i64, i64)> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|value| *value >= -1);
        let wrong = |field: &Field<'_>| {
            field
                .error(
                    Code::BadValue,
                    format!("`{}` has to be a number, or -1 for unlimited", field.path),
                )
                .help("write `nofile: 65536`, `nofile: \"1024:4096\"`, or soft and hard below it")
        };
        let (soft, hard) = if matches!(field.node.kind, Kind::Map(_)) {
            let section = self.section(field.clone())?;
            let (soft, hard) = (section.get("soft")?, section.get("hard")?);
            let mut read = |part: &Field<'_>| {
                let value = part.scalar().and_then(|scalar| number(&scalar.python_str()));
                if value.is_none() {
                    self.report(wrong(part));
                }
                value
            };
            (read(&soft)?, read(&hard)?)
        } else {
            let text = field
                .scalar()
                .map(super::super::yaml::Scalar::python_str)
                .unwrap_or_default();
            let (soft, hard) = text.split_once(':').unwrap_or((&text, &text));
            match (number(soft), number(hard)) {
                (Some(soft), Some(hard)) => (soft, hard),
                _ => {
                    self.report(wrong(&field));
                    return None;
                }
            }
        };
        if hard != -1 && (soft == -1 || soft > hard) {
            let message = format!("`{}`: the soft limit is above the hard one", field.path);
            self.report(field.error(Code::BadValue, message));
            return None;
        }
        Some((soft, hard))
    }

    /// `{/run: size=16m}`, `[/run, "/tmp:size=16m"]`, `/run`.
    fn tmpfs(&mut self) -> Vec<Tmpfs> {
        let Some(field) = self.field("tmpfs") else {
            return Vec::new();
        };
        let mut found: Vec<(String, String, Field<'c>)> = Vec::new();
        match &field.node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    let child = field.child(entry);
                    let options = if child.is_null() {
                        Some(String::new())
                    } else {
                        self.text(&child)
                    };
                    if let Some(options) = options.filter(|_| !child.is_broken()) {
                        found.push((entry.name.clone(), options, child));
                    }
                }
            }
            Kind::Seq(_) | Kind::Scalar(_) => {
                let items = if matches!(field.node.kind, Kind::Seq(_)) {
                    self.list(&field)
                } else {
                    vec![field]
                };
                for item in items {
                    if let Some(text) = self.text(&item) {
                        let (path, options) = text.split_once(':').unwrap_or((&text, ""));
                        found.push((path.to_owned(), options.to_owned(), item));
                    }
                }
            }
            Kind::Broken | Kind::Hole => {}
        }
        let mut all: Vec<Tmpfs> = Vec::new();
        for (path, options, at) in found {
            let problem = |message| {
                at.error(Code::BadValue, message)
                    .at(at.key_place.max(at.node.place))
            };
            if !self.absolute(&path, problem, "tmpfs") {
                continue;
            }
            if options.contains(|c: char| c.is_whitespace() || c == '\0') {
                let problem = at.error(Code::BadValue, "mount options have commas and no blanks");
                self.report(problem.help("write `tmpfs: {/run: \"size=16m,mode=1770\"}`"));
                continue;
            }
            if all.iter().any(|one| one.path == path) {
                self.report(at.error(Code::BadValue, "two file systems for one path"));
                continue;
            }
            all.push(Tmpfs { path, options });
        }
        all
    }

    fn stop_signal(&mut self) -> Option<String> {
        let field = self.field("stop_signal")?;
        self.read_signal(&field)
    }

    pub(super) fn read_signal(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?;
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if SIGNALS.contains(&name) {
            return Some(format!("SIG{name}"));
        }
        if text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number)) {
            return Some(text);
        }
        let problem = field.error(
            Code::BadValue,
            format!("`{}` has to be the name or number of a signal", field.path),
        );
        self.report(
            match super::super::keys::nearest_of(name, SIGNALS.iter().copied()) {
                Some(near) => problem.help(format!("did you mean `SIG{near}`?")),
                None => problem.help("write one like `SIGINT`"),
            },
        );
        None
    }

    fn seccomp(&mut self) -> Option<Seccomp> {
        let field = self.field("seccomp")?;
        match self.text(&field)?.as_str() {
            "default" => Some(Seccomp::Default),
            "unconfined" => Some(Seccomp::Unconfined),
            path if path.starts_with('/') => self
                .absolute(path, |message| field.error(Code::BadValue, message), "seccomp")
                .then(|| Seccomp::Profile(path.to_owned())),
            other => {
                let message = "`seccomp` has to be `default`, `unconfined` or the absolute path of a profile";
                let problem = field.error(Code::BadValue, message);
                self.report(near(problem, other, &["default", "unconfined"]));
                None
            }
        }
    }

    fn dns(&mut self) -> Vec<IpAddr> {
        let Some(field) = self.field("dns") else {
            return Vec::new();
        };
        let items = if field.scalar().is_some() {
            vec![field]
        } else {
            self.list(&field)
        };
        let mut all = Vec::new();
        for item in items {
            match item
                .scalar()
                .and_then(|scalar| scalar.text.parse::<IpAddr>().ok())
            {
                Some(address) => all.push(address),
                None => {
                    let problem = item.error(Code::BadValue, "`dns` holds something that is no IP address");
                    self.report(problem.help("write `dns: [10.0.0.2]`"));
                }
            }
        }
        all
    }

    /// `{db: 10.0.0.12}`, `["db:10.0.0.12"]`.
    fn extra_hosts(&mut self) -> Vec<HostEntry> {
        let Some(field) = self.field("extra_hosts") else {
            return Vec::new();
        };
        let mut pairs: Vec<(String, String, Field<'c>)> = Vec::new();
        if matches!(field.node.kind, Kind::Map(_)) {
            for (entry, child) in self.children(&field) {
                if let Some(address) = self.text(&child) {
                    pairs.push((entry.name.clone(), address, child));
                }
            }
        } else {
            for item in self.list(&field) {
                let Some(text) = self.text(&item) else { continue };
                match text.split_once([':', '=']) {
                    Some((name, address)) => pairs.push((name.to_owned(), address.to_owned(), item)),
                    None => {
                        let problem =
                            item.error(Code::BadValue, "`extra_hosts` holds a name without an address");
                        self.report(problem.help("write `extra_hosts: {db: 10.0.0.12}`"));
                    }
                }
            }
        }
        let mut all = Vec::new();
        for (name, address, at) in pairs {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            if name.is_empty() || name.contains(char::is_whitespace) {
                self.report(at.error(Code::BadValue, "a host's name has no blanks and is not empty"));
            } else if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
                let problem = at.error(
                    Code::BadValue,
                    "`extra_hosts` holds something that is no IP address",
                );
                self.report(problem.help("write an address, or `host-gateway` for the machine itself"));
            } else {
                all.push(HostEntry {
                    name,
                    address: bare.to_owned(),
                });
            }
        }
        all
    }

    fn files(&mut self) -> Vec<FileMount> {
        let Some(field) = self.field("files") else {
            return Vec::new();
        };
        let mut all: Vec<FileMount> = Vec::new();
        for (entry, child) in self.children(&field) {
            let at_key = |message: String| child.error(Code::BadValue, message).at(child.key_place);
            if !self.absolute(&entry.name, at_key, "files") {
                continue;
            }
            let Some(scalar) = child.scalar() else {
                let problem = child.wrong_type("the file's text");
                self.report(problem.help("write `/etc/my-app.conf: |` and the text below it, indented"));
                continue;
            };
            let text = scalar.python_str();
            let content = match child.reference(&text).filter(|_| scalar.value == Resolved::Str) {
                Some(reference) => match self.take_reference(reference) {
                    Some(reference) => EnvValue::Secret(reference),
                    None => continue,
                },
                None => {
                    self.problems.extend(child.nearly_a_reference(&text));
                    EnvValue::Plain(text)
                }
            };
            all.push(FileMount {
                path: entry.name.clone(),
                content,
            });
        }
        if all.len() > MAX_FILES {
            let message = format!("`files` holds more than {MAX_FILES} files");
            self.report(
                field
                    .error(Code::BadValue, message)
                    .at(field.key_place)
                    .help("put them into the image"),
            );
        }
        all
    }
}

fn near(problem: Problem, text: &str, known: &[&str]) -> Problem {
    match super::super::keys::nearest_of(text, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("known are {}", known.join(", "))),
    }
}
