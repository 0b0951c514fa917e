//! What an event of the engine means, given what we did ourselves.
//!
//! Our own deeds are noted before the engine is asked, with the time the engine may take for them. The engine's time and
//! ours are one clock, so a deed covers the events whose time lies in it, however late they are read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sha2::{Digest as _, Sha256};

use crate::plan::container::NAME;
use crate::plan::reconcile::LABEL_SPEC;
use crate::text;

use super::bursts::Key;
use super::{Notice, What};

/// More of our own deeds than this are not remembered: the supervisor waits longer between two than the engine takes.
const MOST_DEEDS: usize = 64;
/// More commands of our own are not remembered.
const MOST_COMMANDS: usize = 64;
/// An engine that did not answer in time may carry out later what it was asked for.
const LATE: u64 = 120_000;
/// The engine takes the time of an event a moment after the deed.
const SLACK: u64 = 1_000;
/// After a notice that our container was stopped, what follows from that is no news for so long.
const AFTERMATH: u64 = 60_000;
/// Containers whose stop was told; there is one of ours, and few that were.
const MOST_STOPPED: usize = 16;

/// Something we ask the engine to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Make our container.
    Create,
    /// Signal or stop it.
    Kill,
    /// Remove it.
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Done {
    number: u64,
    deed: Deed,
    /// The container's id; empty for one that is to be made.
    id: String,
    from: u64,
    until: Option<u64>,
}

/// What this agent asks of the engine: deeds with their times, and commands.
#[derive(Clone, Debug, Default)]
pub struct Own {
    deeds: VecDeque<Done>,
    next: u64,
    commands: VecDeque<String>,
}

impl Own {
    /// Before the engine is asked; the number is for [`Self::ends`].
    pub fn begins(&mut self, deed: Deed, id: &str, now: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        if self.deeds.len() >= MOST_DEEDS {
            self.deeds.pop_front();
        }
        self.deeds.push_back(Done {
            number,
            deed,
            id: id.to_owned(),
            from: now,
            until: None,
        });
        number
    }

    /// The engine has answered, or `late` will.
    pub fn ends(&mut self, number: u64, late: bool, now: u64) {
        if let Some(done) = self.deeds.iter_mut().find(|done| done.number == number) {
            done.until = Some(now.saturating_add(if late { LATE } else { SLACK }));
        }
    }

    /// A command of a health check, before the engine is asked to run it.
    pub fn runs(&mut self, command: &[String]) {
        let command = command.join(" ").trim().to_owned();
        if self.commands.contains(&command) {
            return;
        }
        if self.commands.len() >= MOST_COMMANDS {
            self.commands.pop_front();
        }
        self.commands.push_back(command);
    }

    fn covers(&self, deed: Deed, id: &str, at: u64) -> bool {
        self.deeds.iter().any(|done| {
            done.deed == deed
                && (done.id.is_empty() || done.id == id)
                && done.from <= at.saturating_add(SLACK)
                && at <= done.until.unwrap_or_else(|| done.from.saturating_add(LATE))
        })
    }

    /// Whether this is a command of ours.
    pub fn has_run(&self, command: &str) -> bool {
        self.commands.iter().any(|one| one == command)
    }
}

/// An event of the engine's about a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `create`, `start`, `exec_create: sh -c ls`, `kill`, `pause`, `destroy`.
    pub action: String,
    /// The container.
    pub id: String,
    /// When, in nanoseconds since the epoch.
    pub nanos: u64,
    /// Name, image, labels, `signal`.
    pub attributes: BTreeMap<String, String>,
}

impl Seen {
    /// In milliseconds.
    pub const fn millis(&self) -> u64 {
        self.nanos / 1_000_000
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Ours by name and label. There is one container of a name, so nobody else's is while ours is there.
    pub fn is_ours(&self) -> bool {
        self.attribute("name") == NAME && self.attributes.contains_key(LABEL_SPEC)
    }

    /// The command of an exec, as the engine writes it.
    pub fn command(&self) -> Option<&str> {
        self.action.strip_prefix("exec_create:").map(str::trim)
    }

    /// The same happening has the same id, whichever agent reads of it.
    fn notice_id(&self, kind: &str) -> String {
        format!("e-{}-{kind}", self.nanos)
    }
}

/// What is to be done about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Ours, or no news.
    Nothing,
    /// To be told, once for all of its kind in a burst.
    Tell(Key, Notice),
    /// As [`Self::Tell`], unless the engine itself is on its way down and stops all containers.
    UnlessEngineLeaves(Key, Notice),
    /// To be told unless it is one of the image's own health check.
    UnlessHealthCheck(Key, Notice),
}

/// What is remembered of earlier events.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Our containers whose stop was told, and when.
    stopped: VecDeque<(String, u64)>,
    /// Fingerprints of the commands of health checks, the agent's and the image's own.
    pub checks: BTreeSet<String>,
}

impl Memory {
    /// What an event means. `alive` is when this agent's own deeds began to be noted: what an earlier agent did before
    /// is not known, so what only its deeds could explain is not told.
    pub fn judge(&mut self, seen: &Seen, own: &Own, alive: u64) -> Meaning {
        let at = seen.millis();
        let short = text::short_id(&seen.id).to_owned();
        match seen.action.as_str() {
            "create" | "start" => self.made(seen, own, at, short, alive),
            _ if !seen.is_ours() => Meaning::Nothing,
            "kill" if own.covers(Deed::Kill, &seen.id, at) => Meaning::Nothing,
            "destroy" if own.covers(Deed::Remove, &seen.id, at) => Meaning::Nothing,
            "kill" | "pause" | "destroy" if at < alive => Meaning::Nothing,
            "kill" => {
                let how = signal_name(seen.attribute("signal"));
                self.stopped(seen, at, short, how)
            }
            "pause" => self.stopped(seen, at, short, "paused".to_owned()),
            "destroy" => self.stopped(seen, at, short, "removed".to_owned()),
            _ => match seen.command() {
                Some(command) => self.ran(seen, own, at, short, command),
                None => Meaning::Nothing,
            },
        }
    }

    fn made(&mut self, seen: &Seen, own: &Own, at: u64, container: String, alive: u64) -> Meaning {
        let created = seen.action == "create";
        let is_ours = seen.is_ours() && (!created || at < alive || own.covers(Deed::Create, &seen.id, at));
        if is_ours {
            // It may be stopped by somebody again.
            self.stopped.retain(|(id, _)| *id != seen.id);
            return Meaning::Nothing;
        }
        let image = seen.attribute("image").to_owned();
        let what = What::ContainerNotOurs {
            container,
            name: seen.attribute("name").to_owned(),
            image: image.clone(),
            did: if created { "created" } else { "started" },
            times: 1,
        };
        let key = Key::new("container-not-ours", &image).about(&seen.id);
        let kind = if created { "created" } else { "started" };
        Meaning::Tell(key, Notice::new(seen.notice_id(kind), at, what))
    }

    fn ran(&self, seen: &Seen, own: &Own, at: u64, container: String, command: &str) -> Meaning {
        if own.has_run(command) || self.checks.contains(&fingerprint(command)) {
            return Meaning::Nothing;
        }
        let program = program(command).to_owned();
        let key = Key::new("exec", &program);
        let what = What::Exec {
            container,
            program,
            times: 1,
        };
        Meaning::UnlessHealthCheck(key, Notice::new(seen.notice_id("exec"), at, what))
    }

    /// A stop is a signal, perhaps a second one, and perhaps a removal: one notice, and one more for the removal.
    fn stopped(&mut self, seen: &Seen, at: u64, container: String, how: String) -> Meaning {
        let is_removal = how == "removed";
        let key = format!("{}{}", seen.id, if is_removal { "-removed" } else { "" });
        self.stopped
            .retain(|(_, told)| at < told.saturating_add(AFTERMATH));
        if self.stopped.iter().any(|(id, _)| *id == key) {
            return Meaning::Nothing;
        }
        if self.stopped.len() >= MOST_STOPPED {
            self.stopped.pop_front();
        }
        self.stopped.push_back((key.clone(), at));
        let notice = Notice::new(
            seen.notice_id("stopped"),
            at,
            What::StoppedByHand { container, how },
        );
        let key = Key::new("stopped-by-hand", &key);
        if is_removal {
            Meaning::Tell(key, notice)
        } else {
            Meaning::UnlessEngineLeaves(key, notice)
        }
    }
}

/// What a command is known by when it is written down: it may hold a secret.
pub fn fingerprint(command: &str) -> String {
    let hash = Sha256::digest(command.trim().as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The name of the program in a command as the engine writes it. The engine joins a command's words with blanks, so a
/// program whose path has one is cut there: rather too little than a word too much.
fn program(command: &str) -> &str {
    let first = command.split_whitespace().next().unwrap_or_default();
    // `NAME=value program` is what a shell would take; as a program's name it may hold a secret.
    let path = first.split('=').next().unwrap_or_default();
    path.rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or(path)
}

/// `SIGTERM` for 15; a number nobody has a name for as it is.
fn signal_name(number: &str) -> String {
    let name = match number {
        "1" => "SIGHUP",
        "2" => "SIGINT",
        "3" => "SIGQUIT",
        "9" => "SIGKILL",
        "10" => "SIGUSR1",
        "12" => "SIGUSR2",
        "15" => "SIGTERM",
        "19" => "SIGSTOP",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
