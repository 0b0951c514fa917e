//! Notices: what somebody should hear of as it happens, as values with one stable form as JSON.
//!
//! ```json
//! {"version":1,"id":"e-1785312000123456789-exec","time":"2026-07-29T08:00:00Z","kind":"exec","security":true,
//!  "text":"somebody ran `sh` in the container","account_id":"123456789012","region":"eu-central-1",
//!  "instance_id":"i-0123456789abcdef0","image_id":"ami-0123456789abcdef0","application_id":"my-app",
//!  "application_version":"1.0","details":{"container":"0123456789ab","program":"sh","times":1}}
//! ```
//!
//! The same object is a webhook's body and the `Detail` of an event in EventBridge (source `monopod`, detail type
//! `monopod KIND`). Fields are added and never change their meaning; `version` changes if one ever has to. `details`
//! depends on the kind. Delivery is at least once: who counts keeps the `id`.
//!
//! It knows no clock, file or network: what an engine's event means is decided in [`engine`], what a burst comes to in
//! [`bursts`], what the access record says in [`access`], and what has changed in the configuration in [`files`].

pub mod access;
pub mod boot;
pub mod bursts;
pub mod engine;
pub mod files;
mod plan;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::facts::InstanceFacts;
use crate::plan::Application;
use crate::text;

pub use plan::{EventsPlan, header_key, shown};

/// Changes when a field changes its meaning.
pub const VERSION: u32 = 1;

/// What EventBridge shows as the sender.
pub const SOURCE: &str = "monopod";

/// Longer texts are cut: EventBridge takes 256 KB for all of a call, and a webhook's reader a screen.
const LONGEST: usize = 2000;
/// Names and paths are cut here.
const LONGEST_NAME: usize = 300;
/// More opened keys than there are in the contract.
const MOST_KEYS: usize = 100;

/// One thing that somebody should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The same for the same happening, however often it is told.
    pub id: String,
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The engine has a container that the agent did not make.
    ContainerNotOurs {
        /// Its id, short.
        container: String,
        /// Its name.
        name: String,
        /// What it was made of.
        image: String,
        /// `created`, `started`, `found`.
        did: &'static str,
        /// How many of this image, where it is told for several.
        times: u64,
    },
    /// A command was run in our container, and it is none of its health checks.
    Exec {
        /// Our container's id, short.
        container: String,
        /// The program's name; never its arguments, which may hold a secret.
        program: String,
        /// How often, where it is told for several.
        times: u64,
    },
    /// Our container was stopped, paused or removed, and not by the agent.
    StoppedByHand {
        /// Our container's id, short.
        container: String,
        /// `SIGTERM`, `paused`, `removed`.
        how: String,
    },
    /// Somebody may come in, came in, or was turned away.
    Access(Box<Access>),
    /// A file that the agent goes by is another one than when the machine booted.
    FileChanged {
        /// Which; never what is in it.
        path: String,
        /// `changed`, `new`, `gone`.
        how: &'static str,
    },
    /// What the configuration opens that is shut otherwise.
    OptOut {
        /// The keys.
        keys: Vec<String>,
    },
    /// A rule of the image's policy about where an image comes from was not met.
    Verdict {
        /// `EC2_WITH_A_SNAPSHOT_IMAGE`.
        name: String,
        /// `warn`, `deny`.
        severity: String,
        /// One sentence.
        text: String,
    },
    /// How a boot ended, and when that changes.
    Boot(Box<Boot>),
    /// For some time nobody watched.
    Unseen {
        /// What is not known, as one sentence.
        text: String,
    },
}

/// What the record of logins says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// `granted`, `refused`, `login`, `logout`, `ended`, `failed`.
    pub what: String,
    /// Who.
    pub user: String,
    /// `guest`, `admin`.
    pub role: String,
    /// Why, as whoever granted it said.
    pub reason: String,
    /// Who granted it.
    pub by: String,
    /// From where.
    pub from: String,
    /// What else there is to say.
    pub detail: String,
    /// When it ends, in milliseconds since the epoch.
    pub until: Option<u64>,
}

/// One boot's result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// `ready`, `completed`, `degraded`, `failed`.
    pub outcome: String,
    /// Why, where it is not well.
    pub reason: Option<String>,
    /// From the agent's start to the outcome.
    pub seconds: u64,
    /// Which boot of the machine.
    pub boot_id: String,
    /// The image as the user wrote it.
    pub image: Option<String>,
    /// The digest that runs.
    pub digest: Option<String>,
    /// `deployment_id`.
    pub deployment_id: Option<String>,
    /// The commit that the image was built from, where it says so.
    pub commit: Option<String>,
    /// The agent's own version.
    pub agent_version: String,
}

/// Which machine tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What the machine says about itself.
    pub facts: Option<InstanceFacts>,
    /// Who runs on it.
    pub application: Option<Application>,
}

impl What {
    /// One word for every kind: `kind` of the JSON, and a label of the metric.
    pub const KINDS: [&'static str; 9] = [
        "container-not-ours",
        "exec",
        "stopped-by-hand",
        "access",
        "file-changed",
        "opt-out",
        "verdict",
        "boot",
        "unseen",
    ];

    /// Which of them this is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ContainerNotOurs { .. } => "container-not-ours",
            Self::Exec { .. } => "exec",
            Self::StoppedByHand { .. } => "stopped-by-hand",
            Self::Access(_) => "access",
            Self::FileChanged { .. } => "file-changed",
            Self::OptOut { .. } => "opt-out",
            Self::Verdict { .. } => "verdict",
            Self::Boot(_) => "boot",
            Self::Unseen { .. } => "unseen",
        }
    }

    /// Whether the audit has to know. How a boot ended is told to it as a record of its own.
    pub const fn is_security(&self) -> bool {
        !matches!(self, Self::Boot(_))
    }

    /// Whether somebody did what nobody should have to do.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::ContainerNotOurs { .. }
            | Self::Exec { .. }
            | Self::StoppedByHand { .. }
            | Self::FileChanged { .. }
            | Self::Unseen { .. } => true,
            Self::Access(access) => matches!(access.what.as_str(), "refused" | "failed"),
            // Told as events of their own already.
            Self::Verdict { .. } | Self::OptOut { .. } | Self::Boot(_) => false,
        }
    }

    /// One sentence.
    pub fn text(&self) -> String {
        let more = |times: &u64| match times {
            0 | 1 => String::new(),
            times => format!(" ({times} times)"),
        };
        match self {
            Self::ContainerNotOurs {
                container,
                name,
                image,
                did,
                times,
            } => format!(
                "a container that is not ours was {did} on this machine's engine: {name} ({container}) of {image}{}",
                more(times)
            ),
            Self::Exec {
                container,
                program,
                times,
            } => format!(
                "somebody ran `{program}` in the container {container}{}",
                more(times)
            ),
            Self::StoppedByHand { container, how } => match how.as_str() {
                "paused" | "removed" => format!("the container {container} was {how} by somebody else"),
                signal => format!("somebody else sent {signal} to the container {container}"),
            },
            Self::Access(access) => access.text(),
            Self::FileChanged { path, how } => match *how {
                "new" => format!("{path} is new since the machine booted"),
                "gone" => format!("{path} is gone since the machine booted"),
                _ => format!("{path} has changed since the machine booted"),
            },
            Self::OptOut { keys } => format!("the configuration opens: {}", keys.join(", ")),
            Self::Verdict {
                name, severity, text, ..
            } => format!("{name} ({severity}): {text}"),
            Self::Boot(boot) => match &boot.reason {
                None => format!("the machine is {} after {} s", boot.outcome, boot.seconds),
                Some(reason) => format!(
                    "the machine is {} after {} s: {reason}",
                    boot.outcome, boot.seconds
                ),
            },
            Self::Unseen { text } => text.clone(),
        }
    }

    fn details(&self) -> Value {
        match self {
            Self::ContainerNotOurs {
                container,
                name,
                image,
                did,
                times,
            } => json!({ "container": container, "name": name, "image": image, "did": did, "times": times }),
            Self::Exec {
                container,
                program,
                times,
            } => json!({ "container": container, "program": program, "times": times }),
            Self::StoppedByHand { container, how } => json!({ "container": container, "how": how }),
            Self::Access(access) => access.details(),
            Self::FileChanged { path, how } => json!({ "path": path, "how": how }),
            Self::OptOut { keys } => json!({ "keys": keys }),
            Self::Verdict { name, severity, .. } => json!({ "name": name, "severity": severity }),
            Self::Boot(boot) => json!({
                "outcome": boot.outcome,
                "reason": boot.reason,
                "seconds": boot.seconds,
                "boot_id": boot.boot_id,
                "image": boot.image,
                "digest": boot.digest,
                "deployment_id": boot.deployment_id,
                "commit": boot.commit,
                "agent_version": boot.agent_version,
            }),
            Self::Unseen { .. } => json!({}),
        }
    }

    /// Every text that comes from outside, to be redacted and bounded.
    fn each_text(&mut self, change: &mut impl FnMut(&mut String)) {
        match self {
            Self::ContainerNotOurs {
                container,
                name,
                image,
                did: _,
                times: _,
            } => [container, name, image].into_iter().for_each(change),
            Self::Exec {
                container,
                program,
                times: _,
            } => [container, program].into_iter().for_each(change),
            Self::StoppedByHand { container, how } => [container, how].into_iter().for_each(change),
            Self::Access(access) => {
                let Access {
                    what,
                    user,
                    role,
                    reason,
                    by,
                    from,
                    detail,
                    until: _,
                } = &mut **access;
                [what, user, role, reason, by, from, detail]
                    .into_iter()
                    .for_each(change);
            }
            Self::FileChanged { path, how: _ } => change(path),
            Self::OptOut { keys } => keys.iter_mut().for_each(change),
            Self::Verdict { name, severity, text } => [name, severity, text].into_iter().for_each(change),
            Self::Boot(boot) => {
                let Boot {
                    outcome,
                    reason,
                    seconds: _,
                    boot_id,
                    image,
                    digest,
                    deployment_id,
                    commit,
                    agent_version,
                } = &mut **boot;
                [outcome, boot_id, agent_version]
                    .into_iter()
                    .chain(
                        [reason, image, digest, deployment_id, commit]
                            .into_iter()
                            .flatten(),
                    )
                    .for_each(change);
            }
            Self::Unseen { text } => change(text),
        }
    }
}

impl Access {
    fn text(&self) -> String {
        let says = |word: &str, value: &str| match value {
            "" => String::new(),
            value => format!(" {word} {value}"),
        };
        let Self {
            what,
            user,
            role,
            reason,
            by,
            from,
            detail,
            until: _,
        } = self;
        let role = says("as", role);
        let because = match reason.as_str() {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let detail = match detail.as_str() {
            "" => String::new(),
            detail => format!(" ({detail})"),
        };
        match what.as_str() {
            "granted" => format!("{user} may log in{role}{}{because}{detail}", says("by", by)),
            "refused" => format!("a login of {user} was refused{}{because}{detail}", says("to", by)),
            "login" => format!("{user} logged in{role}{}{because}{detail}", says("from", from)),
            "logout" => format!("{user} logged out{}{detail}", says("from", from)),
            "ended" => format!("the login of {user} ended{because}{detail}"),
            other => format!("access of {user}: {other}{because}{detail}"),
        }
    }

    fn details(&self) -> Value {
        json!({
            "what": self.what,
            "user": self.user,
            "role": self.role,
            "reason": self.reason,
            "by": self.by,
            "from": self.from,
            "detail": self.detail,
            "until": self.until.map(|at| text::timestamp(at / 1000)),
        })
    }
}

impl Notice {
    /// As it is known: nothing is cut before the redactor has seen it.
    pub const fn new(id: String, at: u64, what: What) -> Self {
        Self { id, at, what }
    }

    /// With every text on one line and not too long, whoever wrote it. Only what is redacted is cut: a part of a secret
    /// is not found.
    fn fitted(&self) -> What {
        let mut what = self.what.clone();
        let longest = match &what {
            What::Boot(_) | What::Verdict { .. } | What::Unseen { .. } => LONGEST,
            _ => LONGEST_NAME,
        };
        if let What::OptOut { keys } = &mut what {
            keys.truncate(MOST_KEYS);
        }
        what.each_text(&mut |text| *text = text::shortened(&text::printable(text), longest));
        what
    }

    /// Changes every text in it.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self { id, at: _, what } = self;
        change(id);
        what.each_text(&mut change);
    }

    /// One sentence.
    pub fn text(&self) -> String {
        self.fitted().text()
    }

    /// As it is sent; fields that are not known are null.
    pub fn to_json(&self, origin: &Origin) -> Value {
        let what = self.fitted();
        let facts = origin.facts.as_ref();
        let application = origin.application.as_ref();
        let mut all = Map::new();
        let mut put = |key: &str, value: Value| {
            all.insert(key.to_owned(), value);
        };
        put("version", VERSION.into());
        put("id", json!(self.id));
        put("time", text::timestamp(self.at / 1000).into());
        put("kind", what.kind().into());
        put("security", what.is_security().into());
        put("text", what.text().into());
        put("account_id", json!(facts.map(|facts| &facts.account_id)));
        put("region", json!(facts.map(|facts| &facts.region)));
        put("instance_id", json!(facts.map(|facts| &facts.instance_id)));
        put("image_id", json!(facts.and_then(|facts| facts.image_id.as_ref())));
        put("application_id", json!(application.map(|one| &one.id)));
        put("application_version", json!(application.map(|one| &one.version)));
        put("details", what.details());
        Value::Object(all)
    }
}

/// The entry of one notice in a call of EventBridge.
pub fn entry(bus: &str, notice: &Value) -> Value {
    let text = |key: &str| notice.get(key).and_then(Value::as_str).unwrap_or_default();
    json!({
        "Source": SOURCE,
        "DetailType": format!("monopod {}", text("kind")),
        "Detail": notice.to_string(),
        "EventBusName": bus,
        "Time": text::parse_timestamp_millis(text("time")).unwrap_or_default() / 1000,
        "Resources": [],
    })
}

/// One of every kind with the same text everywhere, for tests.
#[cfg(test)]
pub(crate) fn every_kind(text: &str) -> impl Iterator<Item = What> {
    let text = || text.to_owned();
    let access = Access {
        what: text(),
        user: text(),
        role: text(),
        reason: text(),
        by: text(),
        from: text(),
        detail: text(),
        until: None,
    };
    let boot = Boot {
        outcome: text(),
        reason: Some(text()),
        seconds: 1,
        boot_id: text(),
        image: Some(text()),
        digest: Some(text()),
        deployment_id: Some(text()),
        commit: Some(text()),
        agent_version: text(),
    };
    [
        What::ContainerNotOurs {
            container: text(),
            name: text(),
            image: text(),
            did: "created",
            times: 1,
        },
        What::Exec {
            container: text(),
            program: text(),
            times: 1,
        },
        What::StoppedByHand {
            container: text(),
            how: text(),
        },
        What::Access(Box::new(access)),
        What::FileChanged {
            path: text(),
            how: "changed",
        },
        What::OptOut { keys: vec![text()] },
        What::Verdict {
            name: text(),
            severity: text(),
            text: text(),
        },
        What::Boot(Box::new(boot)),
        What::Unseen { text: text() },
    ]
    .into_iter()
}
