//! What an answer means.
//!
//! The protocol names the answers that are to be tried again (429, 502, 503, 504). A receiver that broke (any other 5xx)
//! is tried again, too: data is not given up because somebody else crashed. An answer about the request as such (a login,
//! a path, a content type) is somebody's to change and says nothing about the data, so nothing is given up for it either.

use serde_json::Value;

use crate::text;

/// What is quoted of an answer.
const WORDS: usize = 200;
/// Nobody is obeyed for longer, in seconds.
const LONGEST: u64 = 300;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Taken {
        /// So many records, points or spans it will never have.
        rejected: u64,
        /// What it said of that, or of what it took.
        message: Option<String>,
    },
    /// Not now.
    Busy {
        /// The status and what was said.
        said: String,
        /// Because of a limit that others share.
        throttled: bool,
        /// Not before so many seconds.
        after: Option<u64>,
    },
    /// Less of it may be taken.
    TooLarge {
        /// The status and what was said.
        said: String,
    },
    /// Not this data.
    Refused {
        /// The status and what was said.
        said: String,
    },
    /// Not this request, whatever is in it.
    Denied {
        /// The status and what was said.
        said: String,
        /// Whether other headers may help.
        login: bool,
        /// What to do, with its semicolon.
        advice: &'static str,
    },
}

const LOGIN: &str = "; check `otlp.headers`, they are fetched again for the next attempt";
const PLACE: &str = "; is `otlp.endpoint` what stands before /v1/logs, /v1/metrics and /v1/traces there?";
const JSON: &str = "; the receiver has to take OTLP over HTTP as JSON with gzip, as the protocol asks of it";

/// Judges an answer. `retry_after` is that header's text.
pub fn judge(status: u16, retry_after: Option<&str>, body: &[u8]) -> Verdict {
    let said = said(status, body);
    let busy = |throttled| Verdict::Busy {
        said: said.clone(),
        throttled,
        after: retry_after
            .and_then(|text| text.trim().parse().ok())
            .map(|seconds: u64| seconds.min(LONGEST)),
    };
    let denied = |login, advice| Verdict::Denied {
        said: said.clone(),
        login,
        advice,
    };
    match status {
        200..=299 => taken(body).unwrap_or_else(|| denied(false, PLACE)),
        429 => busy(true),
        408 | 425 | 500..=599 => busy(false),
        413 => Verdict::TooLarge { said },
        401 | 403 | 407 => denied(true, LOGIN),
        406 | 415 => denied(false, JSON),
        300..=399 | 404 | 405 | 410 => denied(false, PLACE),
        _ => Verdict::Refused { said },
    }
}

/// `None` if it is no answer of the protocol's: somebody else said yes, who keeps nothing.
fn taken(body: &[u8]) -> Option<Verdict> {
    let nothing = Verdict::Taken {
        rejected: 0,
        message: None,
    };
    if body.trim_ascii().is_empty() {
        return Some(nothing);
    }
    let answer: Value = serde_json::from_slice(body).ok()?;
    let Some(partial) = answer.as_object()?.get("partialSuccess") else {
        return Some(nothing);
    };
    let rejected = ["rejectedLogRecords", "rejectedDataPoints", "rejectedSpans"]
        .iter()
        .find_map(|key| number(partial.get(key)?))
        .unwrap_or(0);
    let message = partial.get("errorMessage").and_then(Value::as_str);
    let message = message.map(clean).filter(|message| !message.is_empty());
    Some(Verdict::Taken { rejected, message })
}

/// A whole number of 64 bits is a text in this form, and some write a number.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The status, and the message of the answer where it has one.
fn said(status: u16, body: &[u8]) -> String {
    let answer = serde_json::from_slice::<Value>(body).ok();
    let message = answer
        .as_ref()
        .and_then(|answer| answer.get("message")?.as_str())
        .map_or_else(|| clean(&String::from_utf8_lossy(body)), clean);
    match message.as_str() {
        "" => format!("HTTP {status}"),
        message => format!("HTTP {status}, {message}"),
    }
}

fn clean(message: &str) -> String {
    text::one_line(text::printable(message).trim(), WORDS)
}
