//! Fetching the text that user data names instead of holding it: from S3, or over https.
//!
//! What is fetched is compared with the pin in the user data before anybody reads it, so neither the
//! bucket nor the server is trusted. [`Cache`] keeps it by its hash: a reboot needs nobody.

mod cache;
mod https;
mod s3;

use std::time::Duration;

use monopod_core::config::{Include, Location, NotTheText};

use tokio::sync::OnceCell;

use self::cache::Body;
use super::s3::S3;
use super::{Class, Classified};
pub use cache::Cache;

/// No answer is read further than this.
const LARGEST_ANSWER: usize = 1 << 20;

/// One try, with the whole body. A text of this size takes a second on a bad line.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the text is not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answers, or there are no credentials to ask with (yet).
    #[error("the text of the user data was not fetched from {place}: there was no answer")]
    Unreachable {
        /// What was asked for.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It began and did not end in time.
    #[error("the text of the user data was not fetched from {place}: it took longer than {} s", PATIENCE.as_secs())]
    TimedOut {
        /// What was asked for.
        place: String,
    },
    /// Overloaded, starting, or having a bad moment.
    #[error("the text of the user data was not fetched from {place}: the answer was {answer}")]
    Busy {
        /// What was asked for.
        place: String,
        /// A code or a status, and what it said.
        answer: String,
    },
    /// An answer that no retry changes.
    #[error("the text of the user data was not fetched from {place}: the answer was {answer}{advice}")]
    Refused {
        /// What was asked for.
        place: String,
        /// A code or a status, and what it said.
        answer: String,
        /// What to do, with its semicolon.
        advice: String,
    },
    /// It cannot even be asked for.
    #[error("the text of the user data cannot be fetched from {place}{advice}: {why}")]
    Unusable {
        /// What was asked for.
        place: String,
        /// What to do, with its semicolon.
        advice: &'static str,
        /// Why, with no address in it.
        why: String,
    },
    /// No user data is of that size.
    #[error(
        "the text at {place} is over 1 MiB, and monopod reads 64 KiB: the user data names something else"
    )]
    TooLarge {
        /// What was asked for.
        place: String,
    },
    /// Other bytes than the user data says.
    #[error("the text at {place} is not taken: {reason}")]
    NotTheText {
        /// What was asked for.
        place: String,
        /// Why.
        reason: NotTheText,
    },
}

impl Classified for FetchError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Busy { .. } => Class::Transient,
            Self::Refused { .. }
            | Self::Unusable { .. }
            | Self::TooLarge { .. }
            | Self::NotTheText { .. } => Class::Permanent,
        }
    }
}

/// Fetches for a machine in one region.
#[derive(Debug)]
pub struct Fetcher {
    region: String,
    /// Made once: it keeps its credentials and its connection between tries.
    s3: OnceCell<S3>,
}

impl Fetcher {
    /// Asks nobody yet.
    pub fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            s3: OnceCell::new(),
        }
    }

    /// One try: the bytes that the user data means.
    pub async fn fetch(&self, include: &Include) -> Result<Vec<u8>, FetchError> {
        let place = include.location.to_string();
        let work = async {
            match &include.location {
                Location::S3 { bucket, key } => {
                    let s3 = self.s3.get_or_init(|| S3::new(&self.region)).await;
                    s3::get(s3, &self.region, bucket, key, &place).await
                }
                Location::Https(url) => https::get(url, &place).await,
            }
        };
        let bytes = match tokio::time::timeout(PATIENCE, work).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(FetchError::TimedOut { place }),
        };
        match include.verify(&bytes) {
            Ok(()) => Ok(bytes),
            Err(reason) => Err(FetchError::NotTheText { place, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_mend_itself_is_tried_again() {
        let place = || "s3://bucket/key".to_owned();
        let answer = || "500".to_owned();
        let reason = NotTheText::OtherHash {
            expected: "aa".to_owned(),
            got: "bb".to_owned(),
        };
        for (error, class) in [
            (FetchError::TimedOut { place: place() }, Class::Transient),
            (
                FetchError::Busy {
                    place: place(),
                    answer: answer(),
                },
                Class::Transient,
            ),
            (
                FetchError::Refused {
                    place: place(),
                    answer: answer(),
                    advice: String::new(),
                },
                Class::Permanent,
            ),
            (FetchError::TooLarge { place: place() }, Class::Permanent),
            (
                FetchError::NotTheText {
                    place: place(),
                    reason,
                },
                Class::Permanent,
            ),
        ] {
            assert_eq!(error.class(), class, "{error}");
            assert!(error.to_string().contains("s3://bucket/key"), "{error}");
        }
    }
}
