//! What an answer of Scalyr's means.
//!
//! Its `status` is read from the left, as the documentation asks: what is behind a known beginning says it more exactly.
//! Of what the documentation leaves open the original's agent is the model: `discardBuffer` anywhere in the status means
//! that these events are to be forgotten.

use monopod_core::secret::Secret;
use serde::Deserialize;

use crate::host::Class;

/// Of somebody else's words this much is told.
const WORDS: usize = 200;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken, perhaps with a remark.
    Taken {
        /// What Scalyr has to say about it.
        remark: Option<String>,
    },
    /// It will never be taken.
    Discarded {
        /// In Scalyr's words.
        why: String,
    },
    /// It was not taken, or nobody knows.
    Refused(Refusal),
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Whether trying again can help.
    pub(super) class: Class,
    /// In Scalyr's words.
    pub(super) why: String,
    /// What to do.
    pub(super) advice: &'static str,
    /// The key may be to blame: the next attempt asks for it again.
    pub(super) key: bool,
    /// The times may be to blame, if an earlier attempt was taken after all.
    pub(super) times: bool,
    /// The events may be to blame: fewer of them may be taken.
    pub(super) events: bool,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    message: String,
}

/// Reads an answer. Whatever of the key it repeats is left out.
pub(super) fn judge(http: u16, body: &[u8], key: &Secret) -> Verdict {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Verdict::Refused(without_status(http));
    };
    let (status, message) = (clean(&answer.status, key), clean(&answer.message, key));
    if status.starts_with("success") && (200..300).contains(&http) {
        let remark = (!message.is_empty()).then_some(message);
        return Verdict::Taken { remark };
    }
    let why = match message.as_str() {
        "" => format!("{status} (HTTP {http})"),
        message => format!("{status}: {message} (HTTP {http})"),
    };
    if status.contains("discardBuffer") {
        return Verdict::Discarded { why };
    }
    let events = http == 413
        || (status.starts_with("error/client")
            && !matches!(http, 401 | 403 | 429)
            && !status.starts_with("error/client/noPermission"));
    let (class, advice, key, times) = match http {
        _ if status.contains("requestTooLarge") => (Class::Permanent, TOO_LARGE, false, false),
        413 => (Class::Permanent, TOO_LARGE, false, false),
        429 => (Class::Throttled, "", false, false),
        _ if status.starts_with("error/server/backoff") => (Class::Throttled, "", false, false),
        _ if status.starts_with("error/client/noPermission") => (Class::Permanent, KEY, true, false),
        401 | 403 => (Class::Permanent, KEY, true, false),
        _ if status.starts_with("error/client/badParam") => (Class::Permanent, PARAMETER, true, true),
        _ if status.starts_with("error/client") => (Class::Permanent, PARAMETER, false, false),
        // A new kind of status is an error like any other, says the documentation.
        _ => (Class::Transient, "", false, false),
    };
    Verdict::Refused(Refusal {
        class,
        why,
        advice,
        key,
        times,
        events,
    })
}

const KEY: &str = "; its key has to be one for writing logs, of an account in this region: put a right one where the \
                   user data's scalyr_account_key says, it is fetched again for every attempt";
const PARAMETER: &str = "; if the key is right and for this region, this is a fault of ours: report it";
const TOO_LARGE: &str = "; Scalyr takes 6 MB and this is far less: look at what is between, such as a proxy with a limit of its own";
const SOMEBODY_ELSE: &str =
    "; that is not Scalyr's answer: look at MONOPOD_SCALYR_ENDPOINT and at what is between";

/// Somebody between us and Scalyr, or Scalyr in trouble.
fn without_status(http: u16) -> Refusal {
    let (class, advice, key) = match http {
        429 => (Class::Throttled, "", false),
        401 | 403 => (Class::Permanent, KEY, true),
        413 => (Class::Permanent, TOO_LARGE, false),
        408 | 425 | 500.. => (Class::Transient, "", false),
        300..=499 => (Class::Permanent, SOMEBODY_ELSE, false),
        _ => (Class::Transient, SOMEBODY_ELSE, false),
    };
    Refusal {
        class,
        why: format!("HTTP {http} without a status"),
        advice,
        key,
        times: false,
        events: http == 413,
    }
}

fn clean(text: &str, key: &Secret) -> String {
    let text = match key.expose() {
        "" => text.to_owned(),
        key => text.replace(key, "<secret>"),
    };
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(http: u16, body: &str) -> Verdict {
        judge(http, body.as_bytes(), &Secret::new("canary".into()))
    }

    fn refusal(http: u16, body: &str) -> Refusal {
        match verdict(http, body) {
            Verdict::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_success_is_one() {
        let taken = |remark: Option<&str>| Verdict::Taken {
            remark: remark.map(str::to_owned),
        };
        assert_eq!(
            verdict(200, r#"{"status":"success","bytesCharged":0}"#),
            taken(None)
        );
        assert_eq!(
            verdict(200, r#"{"status":"success/x","message":""}"#),
            taken(None)
        );
        let late = r#"{"status":"success","message":"2 events were too old"}"#;
        assert_eq!(verdict(200, late), taken(Some("2 events were too old")));
        for (http, body) in [(500, r#"{"status":"success"}"#), (200, ""), (200, "<html>")] {
            assert_eq!(refusal(http, body).class, Class::Transient, "{http} {body}");
        }
    }

    #[test]
    fn each_answer_has_its_class() {
        for (http, status, class, key) in [
            (200, "error/server/backoff", Class::Throttled, false),
            (429, "error/server/backoff/x", Class::Throttled, false),
            (429, "x", Class::Throttled, false),
            (500, "error/server", Class::Transient, false),
            (200, "error/server/other", Class::Transient, false),
            (200, "something new", Class::Transient, false),
            (401, "error/client/noPermission", Class::Permanent, true),
            (
                200,
                "error/client/noPermission/accountDisabled",
                Class::Permanent,
                true,
            ),
            (400, "error/client/badParam", Class::Permanent, true),
            (200, "error/client", Class::Permanent, false),
            (413, "error/client/badParam", Class::Permanent, false),
            (400, "error/client/requestTooLarge", Class::Permanent, false),
        ] {
            let refusal = refusal(http, &format!(r#"{{"status":"{status}"}}"#));
            assert_eq!((refusal.class, refusal.key), (class, key), "{http} {status}");
        }
        for (http, class) in [
            (302, Class::Permanent),
            (404, Class::Permanent),
            (403, Class::Permanent),
            (429, Class::Throttled),
            (504, Class::Transient),
        ] {
            assert_eq!(refusal(http, "<html>").class, class, "{http}");
        }
        let discard = verdict(400, r#"{"status":"error/client/discardBuffer","message":"no"}"#);
        let why = "error/client/discardBuffer: no (HTTP 400)".to_owned();
        assert_eq!(discard, Verdict::Discarded { why });
    }

    #[test]
    fn what_fewer_events_may_mend() {
        for (http, status, events) in [
            (413, "x", true),
            (200, "error/client/requestTooLarge", true),
            (400, "error/client/badParam", true),
            (200, "error/client", true),
            (401, "error/client/noPermission", false),
            (200, "error/client/noPermission", false),
            (403, "error/client", false),
            (429, "error/client", false),
            (500, "error/server", false),
            (200, "something new", false),
        ] {
            let refusal = refusal(http, &format!(r#"{{"status":"{status}"}}"#));
            assert_eq!(refusal.events, events, "{http} {status}");
        }
        assert!(refusal(413, "<html>").events);
        assert!(!refusal(404, "<html>").events);
    }

    #[test]
    fn the_key_is_not_repeated() {
        let body = r#"{"status":"error/client/badParam","message":"unknown token canary\u0000"}"#;
        let why = refusal(400, body).why;
        assert_eq!(why, "error/client/badParam: unknown token <secret> (HTTP 400)");
    }
}
