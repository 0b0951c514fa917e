//! Where the keys of log services come from: asked for when a sink first needs one, so that no boot waits for a key and
//! a restarted agent can go on without any.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use monopod_core::logs::LogKey;
use monopod_core::secret::Secret;

use super::sinks::SendError;
use crate::host::Class;

/// Why there is no key yet.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct KeyError {
    /// Whether asking again can help.
    pub class: Class,
    /// What was asked, of whom, and what came.
    pub text: String,
}

type Fetch = dyn Fn(LogKey) -> BoxFuture<'static, Result<Secret, KeyError>> + Send + Sync;

/// Fetches keys.
#[derive(Clone)]
pub struct Keys(Arc<Fetch>);

impl Keys {
    /// With a function that asks for one. It also tells the redactor.
    pub fn new(
        fetch: impl Fn(LogKey) -> BoxFuture<'static, Result<Secret, KeyError>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(fetch))
    }

    /// Asks for it. As what a sink answers with, since without its key it can do nothing.
    pub(crate) async fn get(&self, key: &LogKey) -> Result<Secret, SendError> {
        let failed = |error: KeyError| SendError {
            class: error.class,
            text: error.text,
        };
        (self.0)(key.clone()).await.map_err(failed)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
