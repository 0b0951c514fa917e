//! What CloudFormation answers, read.

use monopod_core::text;
use serde::Deserialize;

use super::{Signalled, Status};
use crate::host::sigv4::Came;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The signal is there, or nobody waits for it.
    Done(Signalled),
    /// An error of CloudFormation's own.
    Refused { code: String, message: String },
    /// Nothing CloudFormation says.
    Nonsense,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    error: Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Error {
    code: String,
    message: Option<String>,
}

impl Verdict {
    /// On a signal of this status.
    pub(super) fn of(came: &Came, sent: Status) -> Self {
        let body = String::from_utf8_lossy(&came.body);
        if came.is_yes() {
            // Whoever stands in between may answer 200 too.
            return if body.contains("SignalResourceResponse") {
                Self::Done(Signalled::Accepted)
            } else {
                Self::Nonsense
            };
        }
        match error(&body) {
            None => Self::Nonsense,
            Some((code, message)) => match settled(&code, &message, sent) {
                Some(signalled) => Self::Done(signalled),
                None => Self::Refused { code, message },
            },
        }
    }
}

/// Whether a refusal means that there is nothing left to tell. By its words: one code stands for everything.
///
/// - `Stack arn:... is in CREATE_COMPLETE state and cannot be signaled`, the same of a resource: nobody waits any more.
/// - `Stack 'x' does not exist`, `Stack with id x does not exist`, `Stack [x] does not exist`: it is gone. But
///   `Resource X does not exist for stack y` is a mistake of the template's.
/// - `Signal with ID i-... for resource X already exists`: an earlier attempt whose answer was lost.
fn settled(code: &str, message: &str, sent: Status) -> Option<Signalled> {
    if code != "ValidationError" {
        return None;
    }
    let not_waiting = || Signalled::NotWaiting(text::printable(message));
    if message.starts_with("Signal with ID") && message.contains("already exists") {
        return Some(match sent {
            Status::Success => Signalled::Accepted,
            Status::Failure => not_waiting(),
        });
    }
    let gone = message.starts_with("Stack") && message.trim_end_matches('.').ends_with("does not exist");
    (gone || message.contains("cannot be signaled")).then(not_waiting)
}

/// Code and message. JSON was asked for; what turns a request away early may not know.
fn error(body: &str) -> Option<(String, String)> {
    if let Ok(failure) = serde_json::from_str::<Failure>(body) {
        let message = failure.error.message.unwrap_or_else(|| "no message".to_owned());
        return Some((failure.error.code, message));
    }
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.to_owned())
    };
    let message = element("Message").unwrap_or_else(|| "no message".to_owned());
    let plain = message
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    Some((element("Code")?, plain))
}
