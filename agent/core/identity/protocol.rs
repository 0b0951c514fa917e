//! What is said on the credentials' endpoint: the protocol of containers' credentials, as ECS began it.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::RoleArn;
use crate::secret::Secret;
use crate::text;

/// Credentials for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCredentials {
    /// Names the key; it stands in CloudTrail, and is still in no log of ours.
    pub access_key_id: Secret,
    /// Signs.
    pub secret_access_key: Secret,
    /// Goes with every signature.
    pub session_token: Option<Secret>,
    /// In milliseconds since the epoch.
    pub expires_at: u64,
}

impl SessionCredentials {
    /// Everything of them that nobody may read.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.access_key_id, &self.secret_access_key]
            .into_iter()
            .chain(&self.session_token)
    }

    /// Whether they are still good.
    pub fn is_valid(&self, now: u64) -> bool {
        self.expires_at > now
    }

    /// The answer to an SDK. Each wants `Expiration`; `RoleArn` is there where it is known.
    pub fn answer(&self, role: Option<&RoleArn>) -> Secret {
        let mut answer = json!({
            "AccessKeyId": self.access_key_id.expose(),
            "SecretAccessKey": self.secret_access_key.expose(),
            "Token": self.session_token.as_ref().map_or("", Secret::expose),
            "Expiration": text::timestamp(self.expires_at / 1000),
        });
        if let (Some(role), Some(map)) = (role, answer.as_object_mut()) {
            map.insert("RoleArn".to_owned(), role.as_str().into());
        }
        Secret::new(answer.to_string())
    }
}

/// Why there are none, in the form SDKs put into their own errors.
pub fn refusal(code: &str, message: &str) -> String {
    json!({ "code": code, "message": message }).to_string()
}

/// What came of a request's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// It is ours.
    Granted,
    /// There was none.
    Missing,
    /// It is another's, or an old one.
    Wrong,
}

/// Compares by hashes: how long it takes says nothing about the token.
pub fn authorize(said: Option<&[u8]>, token: &Secret) -> Authorization {
    let Some(said) = said.map(<[u8]>::trim_ascii).filter(|said| !said.is_empty()) else {
        return Authorization::Missing;
    };
    let (said, token) = (Sha256::digest(said), Sha256::digest(token.expose().as_bytes()));
    let difference = said
        .iter()
        .zip(token.iter())
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    if difference == 0 {
        Authorization::Granted
    } else {
        Authorization::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn credentials() -> SessionCredentials {
        SessionCredentials {
            access_key_id: secret("ASIAEXAMPLE"),
            secret_access_key: secret("se\"cret"),
            session_token: Some(secret("token")),
            expires_at: 1_800_000_000_999,
        }
    }

    #[test]
    fn the_answer_has_what_sdks_read() {
        let role = RoleArn::parse("arn:aws:iam::123456789012:role/my-app").unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(credentials().answer(Some(&role)).expose()).unwrap();
        assert_eq!(
            answer,
            json!({
                "AccessKeyId": "ASIAEXAMPLE",
                "SecretAccessKey": "se\"cret",
                "Token": "token",
                "Expiration": "2027-01-15T08:00:00Z",
                "RoleArn": "arn:aws:iam::123456789012:role/my-app",
            })
        );
        let without: serde_json::Value = serde_json::from_str(credentials().answer(None).expose()).unwrap();
        assert_eq!(without.get("RoleArn"), None);
        assert_eq!(format!("{:?}", credentials()).matches("<secret>").count(), 3);
        assert_eq!(credentials().secrets().count(), 3);
    }

    #[test]
    fn they_end_with_their_time() {
        assert!(credentials().is_valid(1_800_000_000_998));
        assert!(!credentials().is_valid(1_800_000_000_999));
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = secret("0123456789abcdef");
        for (said, wanted) in [
            (None, Authorization::Missing),
            (Some(""), Authorization::Missing),
            (Some(" "), Authorization::Missing),
            (Some("0123456789abcdef"), Authorization::Granted),
            (Some("0123456789abcdef\n"), Authorization::Granted),
            (Some("0123456789abcde"), Authorization::Wrong),
            (Some("0123456789abcdefg"), Authorization::Wrong),
            (Some("0123456789ABCDEF"), Authorization::Wrong),
            (Some("Bearer 0123456789abcdef"), Authorization::Wrong),
        ] {
            assert_eq!(authorize(said.map(str::as_bytes), &token), wanted, "{said:?}");
        }
    }
}
