//! The application's own credentials: `<application id>/user.json` and `<application id>/client.json` of `mint_bucket`.
//!
//! STUPS' mint puts them there and renews them; berry, whose place this takes, fetched them every two minutes. The files
//! are handed on byte for byte, as berry did, once they are known to be JSON.
//!
//! Where it differs from berry, on purpose
//! - Both files or none: berry wrote the one it got, and its failure was ignored.
//! - JSON is what RFC 8259 says: Python's `NaN` and `Infinity` are refused, since no other reader takes them.
//! - A file that only changed its white space is a new file, and `null` is one too; berry passed both over.
//!
//! It keeps what it saw last, with S3's tag: an unchanged object is not sent again. A bucket in another region is followed
//! there, as berry did. Its errors name bucket and key, never a content.

use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use monopod_core::plan::partition;
use monopod_core::secret::Secret;
use serde::de::IgnoredAny;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::s3::{Got, Object, S3, S3Error};
use super::{Class, Classified, Verdict};

/// The files there are, in the order they are handed on.
pub const FILES: [&str; 2] = ["user.json", "client.json"];

/// A credentials file has some hundred bytes.
const LARGEST: usize = 1 << 20;

/// Both files.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the credentials are not here.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Nobody answers, or there are no credentials to ask with (yet).
    #[error("the application's credentials were not fetched from {place}: there was no answer")]
    Unreachable {
        /// What was asked for.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It began and did not end in time.
    #[error("the application's credentials were not fetched from {place}: it took longer than {} s", PATIENCE.as_secs())]
    TimedOut {
        /// What was asked for.
        place: String,
    },
    /// Overloaded, starting, or having a bad moment.
    #[error("the application's credentials were not fetched from {place}: the answer was {answer}")]
    Busy {
        /// What was asked for.
        place: String,
        /// A status, a code, and what it said.
        answer: String,
    },
    /// An answer that no retry changes.
    #[error("the application's credentials were not fetched from {place}: the answer was {answer}{advice}")]
    Refused {
        /// What was asked for.
        place: String,
        /// A status, a code, and what it said.
        answer: String,
        /// What to do, with its semicolon.
        advice: String,
    },
    /// No credentials are of that size.
    #[error("{place} is over 1 MiB, which credentials never are; check `mint_bucket`, and what writes to it")]
    TooLarge {
        /// What was asked for.
        place: String,
    },
    /// Bytes that are no credentials.
    #[error("{place} is not JSON{at}; have mint write it again, and check what else writes to `mint_bucket`")]
    NotJson {
        /// What was asked for.
        place: String,
        /// Where it stops being JSON, with its comma.
        at: String,
    },
}

impl Classified for MintError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Busy { .. } => Class::Transient,
            Self::Refused { .. } | Self::TooLarge { .. } | Self::NotJson { .. } => Class::Permanent,
        }
    }
}

impl MintError {
    /// What it says of the credentials.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Busy { .. } | Self::Refused { .. } => {
                Verdict::of(self.class())
            }
            Self::TooLarge { .. } | Self::NotJson { .. } => Verdict::Broken,
        }
    }
}

/// What the bucket holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MintFetch {
    /// What is known already.
    Unchanged,
    /// Both files by their names.
    Files(Vec<(String, Secret)>),
}

/// A file as it was seen last.
#[derive(Clone, Debug)]
struct Seen {
    tag: Option<String>,
    content: Secret,
}

/// Fetches for one application on a machine in one region.
#[derive(Debug)]
pub struct Mint {
    region: String,
    bucket: String,
    application_id: String,
    /// Made when it is first needed, and again when the bucket turns out to be in another region.
    s3: Mutex<Option<Arc<S3>>>,
    seen: Lock<[Option<Seen>; FILES.len()]>,
}

impl Mint {
    /// Asks nobody yet.
    pub fn new(region: &str, bucket: &str, application_id: &str) -> Self {
        Self {
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            application_id: application_id.to_owned(),
            s3: Mutex::default(),
            seen: Lock::default(),
        }
    }

    /// One try at both files, at the same time. `known` is what the caller has of them; empty if nothing.
    pub async fn fetch(&self, known: &[(String, Secret)]) -> Result<MintFetch, MintError> {
        let [user, client] = FILES;
        let seen = self.last_seen();
        let [user_seen, client_seen] = &seen;
        let both = async {
            tokio::join!(
                self.file(user, user_seen.as_ref()),
                self.file(client, client_seen.as_ref())
            )
        };
        let Ok(both) = tokio::time::timeout(PATIENCE, both).await else {
            return Err(MintError::TimedOut {
                place: self.place("*.json"),
            });
        };
        let now = match both {
            (Ok(user), Ok(client)) => [user, client],
            // A refusal is told before what somebody has to mend, and that before what may mend itself.
            (Err(one), Err(other)) if one.verdict() < other.verdict() => return Err(other),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let files: Vec<(String, Secret)> = FILES
            .iter()
            .zip(&now)
            .map(|(name, one)| ((*name).to_owned(), one.content.clone()))
            .collect();
        self.remember(now);
        Ok(if files == known {
            MintFetch::Unchanged
        } else {
            MintFetch::Files(files)
        })
    }

    async fn file(&self, name: &str, seen: Option<&Seen>) -> Result<Seen, MintError> {
        let key = format!("{}/{name}", self.application_id);
        let tag = seen.and_then(|seen| seen.tag.as_deref());
        let s3 = self.s3().await;
        let got = match s3.get(&self.bucket, &key, tag, LARGEST).await {
            Err(S3Error::Elsewhere { region, .. }) => {
                let there = self.follow(&region).await;
                there.get(&self.bucket, &key, tag, LARGEST).await
            }
            other => other,
        };
        match (got, seen) {
            (Ok(Got::Object(object)), _) => self.checked(name, object),
            (Ok(Got::Unchanged), Some(seen)) => Ok(seen.clone()),
            (Ok(Got::Unchanged), None) => Err(self.told(
                name,
                S3Error::Busy {
                    answer: "304 for a file that was never seen".to_owned(),
                },
            )),
            (Err(error), _) => Err(self.told(name, error)),
        }
    }

    fn checked(&self, name: &str, mut object: Object) -> Result<Seen, MintError> {
        // Its text says where, never what.
        let not_json = |at: String| MintError::NotJson {
            place: self.place(name),
            at,
        };
        let read = serde_json::from_slice::<IgnoredAny>(&object.bytes);
        read.map_err(|error| not_json(format!(" at line {}, column {}", error.line(), error.column())))?;
        let text = String::from_utf8(std::mem::take(&mut *object.bytes)).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            drop(Zeroizing::new(error.into_bytes()));
            not_json(format!(": it is not UTF-8 from byte {at} on"))
        })?;
        Ok(Seen {
            tag: object.tag,
            content: Secret::new(text),
        })
    }

    fn told(&self, name: &str, error: S3Error) -> MintError {
        let place = self.place(name);
        match error {
            S3Error::Unreachable(source) => MintError::Unreachable { place, source },
            S3Error::Busy { answer } | S3Error::Throttled { answer } => MintError::Busy { place, answer },
            S3Error::Refused { answer, code } => MintError::Refused {
                place,
                answer,
                advice: self.advice(&code),
            },
            S3Error::Elsewhere { answer, region } => MintError::Refused {
                place,
                answer,
                advice: format!(
                    "; it was asked for where S3 said, and now S3 says {region}: check `mint_bucket`"
                ),
            },
            S3Error::TooLarge => MintError::TooLarge { place },
        }
    }

    fn advice(&self, code: &str) -> String {
        match code {
            "AccessDenied" | "AllAccessDisabled" => format!(
                "; grant the instance profile's role s3:GetObject on arn:{}:s3:::{}/{}/*, and check that mint has put the file there: S3 answers so for a missing object too",
                partition(&self.region),
                self.bucket,
                self.application_id
            ),
            "NoSuchKey" => format!(
                "; mint has not put it there yet, or knows the application by another name than {}",
                self.application_id
            ),
            "NoSuchBucket" => "; mend `mint_bucket` in the user data".to_owned(),
            _ => String::new(),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("s3://{}/{}/{name}", self.bucket, self.application_id)
    }

    async fn s3(&self) -> Arc<S3> {
        let mut s3 = self.s3.lock().await;
        match &*s3 {
            Some(s3) => Arc::clone(s3),
            None => Arc::clone(s3.insert(Arc::new(S3::new(&self.region).await))),
        }
    }

    async fn follow(&self, region: &str) -> Arc<S3> {
        let there = Arc::new(S3::new(region).await);
        *self.s3.lock().await = Some(Arc::clone(&there));
        there
    }

    fn last_seen(&self) -> [Option<Seen>; FILES.len()] {
        // Nobody panics while holding it; what it holds is whole in any case.
        let seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.clone()
    }

    fn remember(&self, now: [Seen; FILES.len()]) {
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *seen = now.map(Some);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint() -> Mint {
        Mint::new("eu-central-1", "mint", "app")
    }

    fn object(bytes: &[u8]) -> Object {
        Object {
            bytes: Zeroizing::new(bytes.to_vec()),
            tag: None,
        }
    }

    #[test]
    fn json_is_handed_on_byte_for_byte() {
        for text in [
            "{}",
            " {\"b\" : 1,\r\n\t\"a\": [1.0, 1e999, 123456789012345678901234567890]}\n\n",
            r#"{"a":"\ud800 \u00e9","a":"é 🔑"}"#,
            "\"text\"",
            "null",
        ] {
            let seen = mint().checked("user.json", object(text.as_bytes())).unwrap();
            assert_eq!(seen.content.expose(), text);
        }
        let deep = format!("{}{}", "[".repeat(900), "]".repeat(900));
        mint().checked("user.json", object(deep.as_bytes())).unwrap();
    }

    #[test]
    fn what_is_not_json_is_refused_without_a_word_of_it() {
        for (bytes, at) in [
            (&b""[..], " at line 1, column 0"),
            (b"{\"canary\": ", " at line 1, column 11"),
            (b"canary", " at line 1, column 1"),
            (b"{\"canary\": NaN}", " at line 1, column 12"),
            (b"{} canary", " at line 1, column 4"),
            (b"\xef\xbb\xbf{\"canary\": 1}", " at line 1, column 1"),
            (b"{\"canary\": \"\xff\"}", ": it is not UTF-8 from byte 12 on"),
        ] {
            let error = mint().checked("client.json", object(bytes)).unwrap_err();
            assert_eq!(error.class(), Class::Permanent);
            assert_eq!(
                error.to_string(),
                format!(
                    "s3://mint/app/client.json is not JSON{at}; have mint write it again, and check what else writes to `mint_bucket`"
                )
            );
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = |region: &str, code: &str| {
            let error = S3Error::Refused {
                answer: format!("403 {code}: said"),
                code: code.to_owned(),
            };
            let error = Mint::new(region, "mint", "app").told("user.json", error);
            assert_eq!(error.class(), Class::Permanent);
            error.to_string()
        };
        let said = refused("cn-north-1", "AccessDenied");
        assert!(said.contains("s3://mint/app/user.json"), "{said}");
        assert!(
            said.contains("s3:GetObject on arn:aws-cn:s3:::mint/app/*"),
            "{said}"
        );
        assert!(said.contains("for a missing object too"), "{said}");
        assert!(refused("eu-central-1", "NoSuchKey").contains("another name than app"));
        assert!(refused("eu-central-1", "NoSuchBucket").contains("mend `mint_bucket`"));
    }

    #[test]
    fn only_what_can_mend_itself_is_tried_again() {
        let answer = || "503 SlowDown: said".to_owned();
        for (error, class) in [
            (
                S3Error::Unreachable(Box::new(std::io::Error::other("x"))),
                Class::Transient,
            ),
            (S3Error::Busy { answer: answer() }, Class::Transient),
            (S3Error::TooLarge, Class::Permanent),
            (
                S3Error::Elsewhere {
                    answer: answer(),
                    region: "eu-west-1".to_owned(),
                },
                Class::Permanent,
            ),
        ] {
            let error = mint().told("user.json", error);
            assert_eq!(error.class(), class, "{error}");
        }
        let late = MintError::TimedOut {
            place: mint().place("*.json"),
        };
        assert_eq!(late.class(), Class::Transient);
    }

    #[test]
    fn a_copy_stands_in_for_what_is_broken_and_not_for_what_is_refused() {
        let answer = || "403 AccessDenied: said".to_owned();
        let refused = S3Error::Refused {
            answer: answer(),
            code: "AccessDenied".to_owned(),
        };
        let broken = mint().checked("user.json", object(b"{")).unwrap_err();
        for (error, verdict) in [
            (broken, Verdict::Broken),
            (mint().told("user.json", S3Error::TooLarge), Verdict::Broken),
            (
                mint().told("user.json", S3Error::Busy { answer: answer() }),
                Verdict::NoAnswer,
            ),
            (mint().told("user.json", refused), Verdict::Refused),
        ] {
            assert_eq!(error.verdict(), verdict, "{error}");
        }
    }
}
