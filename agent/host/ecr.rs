//! Logins for ECR's registries, made by ECR for the instance's role.
//!
//! A login lasts 12 hours. It is kept in memory only, and made anew when less than a quarter of its life is left, so
//! that whoever asks in time before every try has one that lasts through it.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ecr::operation::get_authorization_token::GetAuthorizationTokenError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_core::secret::Secret;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::kms::is_busy;
use super::{Class, Classified, aws, clock};

/// What ECR's logins last; one that claims more is not believed.
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// Why ECR made no login.
#[derive(Debug, thiserror::Error)]
pub enum EcrError {
    /// ECR is overloaded or has a bad moment.
    #[error("ECR in {region} made no login yet: {code}: {message}")]
    Busy {
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
    /// ECR was not reached, or there are no credentials to reach it with (yet).
    #[error("ECR in {region} was not reached for a login")]
    Unreachable {
        /// Where.
        region: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// ECR says no.
    #[error("ECR in {region} refused to make a login: {code}: {message}{}", advice(.code))]
    Refused {
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's text.
        message: String,
    },
    /// The answer holds no login.
    #[error("ECR in {region} answered with a login that is none; ask AWS's support about it")]
    Malformed {
        /// Where.
        region: String,
    },
}

impl Classified for EcrError {
    fn class(&self) -> Class {
        match self {
            Self::Busy { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::Refused { .. } | Self::Malformed { .. } => Class::Permanent,
        }
    }
}

/// User and password for every ECR registry of a region that the instance's role may read.
#[derive(Clone, Debug)]
pub struct EcrLogin {
    /// Always `AWS`, so far.
    pub user: String,
    /// The token.
    pub password: Secret,
}

/// ECR in every region that is asked; nobody is asked before that.
#[derive(Debug, Default)]
pub struct Ecr(Mutex<BTreeMap<String, Region>>);

#[derive(Debug)]
struct Region {
    client: Client,
    made: Option<(EcrLogin, Instant)>,
}

impl Ecr {
    /// The login that is kept, or a new one when that nears its end. One call at most.
    pub async fn login(&self, region: &str) -> Result<EcrLogin, EcrError> {
        // Held over the call: whoever asks meanwhile gets what it brings.
        let mut regions = self.0.lock().await;
        if !regions.contains_key(region) {
            let client = Client::new(&aws::config(region).await);
            regions.insert(region.to_owned(), Region { client, made: None });
        }
        let malformed = || EcrError::Malformed {
            region: region.to_owned(),
        };
        let entry = regions.get_mut(region).ok_or_else(malformed)?;
        if let Some((login, until)) = &entry.made
            && Instant::now() < *until
        {
            return Ok(login.clone());
        }
        let asked = Instant::now();
        let answer = entry.client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| classify(region, error))?;
        let data = answer.authorization_data.and_then(|all| all.into_iter().next());
        let data = data.ok_or_else(malformed)?;
        let encoded = Secret::new(data.authorization_token.ok_or_else(malformed)?);
        let login = read(&encoded).ok_or_else(malformed)?;
        let ends = data.expires_at.map(|time| time.secs());
        let now = i64::try_from(clock::now_millis() / 1000).unwrap_or(i64::MAX);
        entry.made = Some((login.clone(), asked + kept_for(ends, now)));
        Ok(login)
    }
}

fn read(encoded: &Secret) -> Option<EcrLogin> {
    let decoded = Secret::new(String::from_utf8(STANDARD.decode(encoded.expose()).ok()?).ok()?);
    let (user, password) = decoded.expose().split_once(':')?;
    (!user.is_empty() && !password.is_empty()).then(|| EcrLogin {
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
    })
}

/// Three quarters of its life. One that has ended already by this machine's clock is used at once and never again.
fn kept_for(ends: Option<i64>, now: i64) -> Duration {
    let life = ends.map_or(0, |ends| ends.saturating_sub(now));
    let life = Duration::from_secs(u64::try_from(life).unwrap_or(0)).min(LIFE);
    life * 3 / 4
}

fn classify(region: &str, error: SdkError<GetAuthorizationTokenError>) -> EcrError {
    let region = region.to_owned();
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let error = context.into_err();
            let code = error.code().unwrap_or("no error code").to_owned();
            let message = error.message().unwrap_or("no message").to_owned();
            if is_busy(&code, status) || code == "ServerException" {
                EcrError::Busy {
                    region,
                    code,
                    message,
                }
            } else {
                EcrError::Refused {
                    region,
                    code,
                    message,
                }
            }
        }
        other => EcrError::Unreachable {
            region,
            source: other.into(),
        },
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => {
            "; grant the instance profile's role ecr:GetAuthorizationToken on * (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_kept_for_three_quarters_of_its_life() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(kept_for(Some(1_000_000 + 12 * 3600), 1_000_000), hours(9));
        assert_eq!(kept_for(Some(i64::MAX), 0), hours(9));
        assert_eq!(kept_for(Some(1_000_000 + 40), 1_000_000), Duration::from_secs(30));
        for ended in [Some(1_000_000), Some(0), Some(i64::MIN), None] {
            assert_eq!(kept_for(ended, 1_000_000), Duration::ZERO, "{ended:?}");
        }
    }

    #[test]
    fn a_login_is_a_user_and_a_password() {
        let login = |text: &str| read(&Secret::new(STANDARD.encode(text)));
        let made = login("AWS:a:b").unwrap();
        assert_eq!((made.user.as_str(), made.password.expose()), ("AWS", "a:b"));
        assert!(!format!("{made:?}").contains("a:b"));
        for none in ["AWS", "AWS:", ":a", ""] {
            assert!(login(none).is_none(), "{none}");
        }
        assert!(read(&Secret::new("no base64!".to_owned())).is_none());
    }

    #[test]
    fn a_refusal_says_what_to_grant() {
        let error = EcrError::Refused {
            region: "eu-central-1".into(),
            code: "AccessDeniedException".into(),
            message: "not authorized".into(),
        };
        assert_eq!(error.class(), Class::Permanent);
        assert!(
            error.to_string().contains("ecr:GetAuthorizationToken on *"),
            "{error}"
        );
    }
}
