//! Where the keys of log services come from: asked for when a sink first needs one, so that no boot waits for a key and
//! a restarted agent can go on without any.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use monopod_core::logs::LogKey;
use monopod_core::secret::Secret;

use super::sinks::SendError;
use crate::host::{AskError, Class};

type Fetch = dyn Fn(LogKey) -> BoxFuture<'static, Result<Secret, AskError>> + Send + Sync;

/// Fetches keys.
#[derive(Clone)]
pub struct Keys(Arc<Fetch>);

impl Keys {
    /// With a function that asks for one. It also tells the redactor.
    pub fn new(
        fetch: impl Fn(LogKey) -> BoxFuture<'static, Result<Secret, AskError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(fetch))
    }

    /// Asks for it. As what a sink answers with, since without its key it can do nothing. Blanks around it, such as the
    /// line feed that an editor left in a parameter, are no part of a key; one of blanks alone is none.
    pub(crate) async fn get(&self, key: &LogKey) -> Result<Secret, SendError> {
        let failed = |error: AskError| SendError {
            class: error.class,
            text: error.text,
        };
        let found = (self.0)(key.clone()).await.map_err(failed)?;
        let trimmed = found.expose().trim();
        if trimmed.is_empty() {
            return Err(SendError {
                class: Class::Permanent,
                text: empty(key),
            });
        }
        Ok(Secret::new(trimmed.to_owned()))
    }
}

/// What to say of a key that is there and says nothing.
fn empty(key: &LogKey) -> String {
    let place = match key {
        LogKey::Stored(reference) => reference.source.to_string(),
        LogKey::UserData(name) => format!("`{name}` of the user data"),
    };
    format!(
        "the log service's key is empty: there is nothing but blanks in {place}; write the key there, it is asked for again"
    )
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn got(found: &'static str) -> Result<Secret, SendError> {
        let keys = Keys::new(move |_| Box::pin(async move { Ok(Secret::new(found.into())) }));
        keys.get(&LogKey::UserData("logentries_account_key".into())).await
    }

    #[tokio::test]
    async fn blanks_are_no_part_of_a_key() {
        for found in ["key", "key\n", " \tkey\r\n\n"] {
            assert_eq!(got(found).await.unwrap().expose(), "key");
        }
    }

    #[tokio::test]
    async fn an_empty_key_is_refused_for_good_and_by_its_place() {
        for found in ["", " ", "\n"] {
            let error = got(found).await.unwrap_err();
            assert_eq!(error.class, Class::Permanent);
            assert_eq!(
                error.text,
                "the log service's key is empty: there is nothing but blanks in `logentries_account_key` of the user data; write the key there, it is asked for again"
            );
        }
    }
}
