//! What the metadata service is asked more than once: who we are with a signature, and what is to become of the machine.
//!
//! Notices are asked for every few seconds for as long as the machine lives, so their token is kept, and made anew when the
//! service does not take it any more.

use monopod_core::lifecycle::{Notices, TargetState};
use monopod_core::secret::Secret;
use monopod_core::text;
use reqwest::StatusCode;
use serde::Deserialize;

use super::{Imds, ImdsError};

const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
const SIGNATURE: &str = "/latest/dynamic/instance-identity/signature";
const TARGET: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";
const SPOT: &str = "/latest/meta-data/spot/instance-action";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const GROUP_TAG: &str = "/latest/meta-data/tags/instance/aws:autoscaling:groupName";

/// The instance's identity document, and EC2's signature of exactly these bytes. Together they prove to others who we are.
#[derive(Debug)]
pub struct SignedDocument {
    /// As it stands there.
    pub document: Vec<u8>,
    /// Base64, as it stands there: with line breaks.
    pub signature: Secret,
}

#[derive(Deserialize)]
struct Action {
    action: String,
    time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recommendation {
    notice_time: String,
}

impl Imds {
    /// The identity document and its signature, under one token.
    pub async fn signed_document(&self) -> Result<SignedDocument, ImdsError> {
        let token = self.token().await?;
        let document = self.required(&token, DOCUMENT).await?;
        let signature = self.required(&token, SIGNATURE).await?;
        let signature =
            Secret::from_bytes(signature).ok_or_else(|| self.malformed(SIGNATURE, "it is no text"))?;
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c) || c.is_ascii_whitespace();
        if document.is_empty()
            || signature.expose().trim().is_empty()
            || !signature.expose().chars().all(is_base64)
        {
            return Err(self.malformed(SIGNATURE, "it is no signature"));
        }
        Ok(SignedDocument { document, signature })
    }

    /// What the Auto Scaling group wants this machine to become; `None` outside of any.
    pub async fn target_state(&self) -> Result<Option<TargetState>, ImdsError> {
        Ok(self.word(TARGET).await?.map(|word| TargetState::parse(&word)))
    }

    /// Everything that may end this machine. An answer that is none hides no other: what it is about stays as it was
    /// `before`, and the first such error comes along. An error alone where nothing at all was heard.
    pub async fn notices(&self, before: &Notices) -> Result<(Notices, Option<ImdsError>), ImdsError> {
        // Without one each of the three would wait for it.
        self.kept_token(None).await?;
        // One that hangs holds up no other. A spot notice leaves the least time.
        let (spot, target, rebalance) = tokio::join!(self.spot(), self.target_state(), self.rebalance());
        let mut notices = before.clone();
        let mut failures = Vec::new();
        match spot {
            Ok(spot) => notices.spot = spot,
            Err(error) => failures.push(error),
        }
        match target {
            Ok(target) => notices.target = target,
            Err(error) => failures.push(error),
        }
        match rebalance {
            Ok(rebalance) => notices.rebalance = rebalance,
            Err(error) => failures.push(error),
        }
        let nothing_heard = failures.len() == 3;
        match failures.into_iter().next() {
            Some(error) if nothing_heard => Err(error),
            failure => Ok((notices, failure)),
        }
    }

    async fn spot(&self) -> Result<Option<(String, u64)>, ImdsError> {
        let Some(body) = self.kept(SPOT).await? else {
            return Ok(None);
        };
        let said: Action = self.json(SPOT, &body)?;
        Ok(Some((said.action, self.time(SPOT, &said.time)?)))
    }

    async fn rebalance(&self) -> Result<Option<u64>, ImdsError> {
        let Some(body) = self.kept(REBALANCE).await? else {
            return Ok(None);
        };
        let said: Recommendation = self.json(REBALANCE, &body)?;
        Ok(Some(self.time(REBALANCE, &said.notice_time)?))
    }

    /// The group's name, from the instance's tags; `None` outside of any, and where instances do not see their tags.
    pub async fn group_tag(&self) -> Result<Option<String>, ImdsError> {
        let Some(body) = self.kept(GROUP_TAG).await? else {
            return Ok(None);
        };
        match String::from_utf8(body) {
            Ok(name) if !name.trim().is_empty() && !name.contains(char::is_control) => Ok(Some(name)),
            _ => Err(self.malformed(GROUP_TAG, "it is no name")),
        }
    }

    /// One word.
    async fn word(&self, path: &str) -> Result<Option<String>, ImdsError> {
        let Some(body) = self.kept(path).await? else {
            return Ok(None);
        };
        let word = String::from_utf8(body).unwrap_or_default().trim().to_owned();
        // `Warmed:Pending:Wait`.
        if word.is_empty() || !word.chars().all(|c| c.is_ascii_alphanumeric() || c == ':') {
            return Err(self.malformed(path, "it is no state"));
        }
        Ok(Some(word))
    }

    /// Under the token that is kept.
    async fn kept(&self, path: &str) -> Result<Option<Vec<u8>>, ImdsError> {
        let token = self.kept_token(None).await?;
        match self.get(&token, path).await {
            Err(ImdsError::Busy { status, .. }) if status == StatusCode::UNAUTHORIZED => {
                let token = self.kept_token(Some(&token)).await?;
                self.get(&token, path).await
            }
            answer => answer,
        }
    }

    /// The token that is kept, or a new one where there is none but one that was refused.
    async fn kept_token(&self, refused: Option<&str>) -> Result<String, ImdsError> {
        // Held over the call: whoever asks meanwhile gets the same one.
        let mut kept = self.kept.lock().await;
        match kept.as_deref() {
            Some(token) if Some(token) != refused => Ok(token.to_owned()),
            _ => {
                *kept = None;
                let token = self.token().await?;
                *kept = Some(token.clone());
                Ok(token)
            }
        }
    }

    fn json<T: for<'a> Deserialize<'a>>(&self, path: &str, body: &[u8]) -> Result<T, ImdsError> {
        serde_json::from_slice(body).map_err(|error| self.malformed(path, &error.to_string()))
    }

    fn time(&self, path: &str, time: &str) -> Result<u64, ImdsError> {
        text::parse_timestamp_millis(time)
            .ok_or_else(|| self.malformed(path, &format!("its time is {time:?}")))
    }

    fn malformed(&self, path: &str, what: &str) -> ImdsError {
        ImdsError::Malformed {
            url: format!("{}{path}", self.endpoint),
            what: what.to_owned(),
        }
    }
}
