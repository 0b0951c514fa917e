//! How each kind is told: its sentence, its details as JSON, and which texts of it come from outside.

use serde_json::{Value, json};

use super::{Access, Boot, What};
use crate::text;

impl What {
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

    pub(super) fn details(&self) -> Value {
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
    pub(super) fn each_text(&mut self, change: &mut impl FnMut(&mut String)) {
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
