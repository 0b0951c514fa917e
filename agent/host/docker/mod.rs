//! The container engine, by its API on the local socket.
//!
//! Every call has a deadline under half of the unit's WatchdogSec, because a stopped engine is
//! silent. Errors are told apart by what the engine means, not by its status code alone: Docker
//! 20.10 answers missing registry credentials with 500.

mod archive;
mod describe;
mod error;
mod exec;
mod image;
mod network;
mod observe;
mod spec;
mod stop;
mod words;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bollard::{BollardRequest, Docker};
use futures_util::StreamExt as _;
use monopod_core::config::EnvValue;
use monopod_core::plan::container::NAME;
use tokio::sync::Mutex;

pub use super::registry::Credentials;
pub use error::{EngineError, What};
pub use exec::Ran;
pub use image::{About, LayerProgress, Local, Remote, Removed};
pub use observe::{Address, ContainerStatus, Health};
pub use spec::{Labels, Made};
pub use stop::Stopped;

/// A question.
const ASK: Duration = Duration::from_secs(10);
/// Creating, starting, removing: disks and networks are touched.
const ACT: Duration = Duration::from_secs(45);
/// Until the engine's first byte of an answer; pulls and waits go on after that.
const FIRST_BYTE_SECONDS: u64 = 85;

/// Where it listens unless `DOCKER_HOST` says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// The engine on one socket; connects when it is first asked, since it may come up after us.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Arc<OnceLock<Docker>>,
    host: String,
    starts: Arc<Mutex<Starts>>,
}

/// Whether anything may be started. Held over a start, so that who forbids the next one knows how the last one went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Starts {
    #[default]
    Allowed,
    Forbidden,
}

impl Engine {
    /// For `DOCKER_HOST` or the usual socket.
    pub fn new(host: Option<&str>) -> Result<Self, EngineError> {
        let host = host.unwrap_or(DEFAULT_HOST).to_owned();
        if host.starts_with("unix:///") {
            Ok(Self {
                docker: Arc::default(),
                host,
                starts: Arc::default(),
            })
        } else {
            Err(EngineError::Host { host })
        }
    }

    /// The crate wants to see the socket's file before it makes a client, so that is the first thing to fail.
    fn docker(&self, what: &What) -> Result<&Docker, EngineError> {
        if let Some(docker) = self.docker.get() {
            return Ok(docker);
        }
        let docker = Docker::connect_with_unix(&self.host, FIRST_BYTE_SECONDS, bollard::API_DEFAULT_VERSION)
            .map_err(|source| EngineError::Unreachable {
                what: what.clone(),
                host: self.host.clone(),
                source: Box::new(source),
            })?;
        Ok(self
            .docker
            .get_or_init(|| docker.with_request_modifier(with_url_safe_auth)))
    }

    /// The socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        Path::new(self.host.strip_prefix("unix://").unwrap_or(&self.host))
    }

    async fn within<'a, T, F: Future<Output = Result<T, bollard::errors::Error>>>(
        &'a self,
        deadline: Duration,
        what: What,
        call: impl FnOnce(&'a Docker) -> F,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(deadline, call(self.docker(&what)?)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(EngineError::from_call(what, &self.host, source)),
            Err(_) => Err(EngineError::Silent {
                what,
                host: self.host.clone(),
                after: deadline,
            }),
        }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.within(ASK, What::Ping, Docker::ping).await.map(drop)
    }

    /// Creates the container; secrets go in the body of the request, never into an argument.
    pub async fn create(
        &self,
        made: Made<'_>,
        value: impl Fn(&EnvValue) -> Option<String>,
    ) -> Result<String, EngineError> {
        let body = spec::body(made, value)?;
        let options = CreateContainerOptionsBuilder::default().name(NAME).build();
        let created = self
            .within(ACT, What::Create, |docker| {
                docker.create_container(Some(options), body)
            })
            .await?;
        Ok(created.id)
    }

    /// Starts it; an engine that says it runs already is fine.
    pub async fn ensure_started(&self, id: &str) -> Result<(), EngineError> {
        let starts = Arc::clone(&self.starts).lock_owned().await;
        if *starts == Starts::Forbidden {
            return Err(EngineError::Leaving { id: id.to_owned() });
        }
        let (engine, id) = (self.clone(), id.to_owned());
        // On a task of its own: the engine carries out what it was asked for, whether or not anybody waits for the answer.
        let started = tokio::spawn(async move {
            let _held = starts;
            engine.start(&id).await
        });
        started.await.unwrap_or_else(|_| {
            Err(EngineError::Hangup {
                host: self.host.clone(),
            })
        })
    }

    /// From now on this process starts nothing, and what was being started is over: the machine leaves.
    pub async fn forbid_starts(&self) {
        *self.starts.lock().await = Starts::Forbidden;
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        let options = None::<bollard::query_parameters::StartContainerOptions>;
        self.within(ACT, What::Start { id: id.to_owned() }, |docker| {
            docker.start_container(id, options)
        })
        .await
        .or_else(unchanged)
    }

    /// Removes it with its log files. Not by force: one that runs after all is [`EngineError::Changed`], and everything
    /// has to be looked at again.
    pub async fn ensure_removed(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        match self
            .within(ACT, What::Remove { id: id.to_owned() }, |docker| {
                docker.remove_container(id, Some(options))
            })
            .await
        {
            Err(EngineError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// Returns when the container no longer runs, or with an error when the engine goes away.
    pub async fn ended(&self, id: &str) -> Result<(), EngineError> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let what = What::Wait { id: id.to_owned() };
        let mut stream = std::pin::pin!(self.docker(&what)?.wait_container(id, Some(options)));
        match stream.next().await {
            // The crate makes an error of every exit code but 0.
            Some(Ok(_) | Err(bollard::errors::Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(source)) => Err(EngineError::from_call(what, &self.host, source)),
            None => Err(EngineError::Hangup {
                host: self.host.clone(),
            }),
        }
    }
}

/// The engine reads this header as URL-safe base64, the crate writes the standard alphabet; with the wrong one the
/// engine pulls anonymously without a word (passwords with `~`, `?` or `>` in the wrong place).
fn with_url_safe_auth(mut request: BollardRequest) -> BollardRequest {
    if let Some(value) = request.headers_mut().get_mut("X-Registry-Auth") {
        let safe = value
            .to_str()
            .unwrap_or_default()
            .replace('+', "-")
            .replace('/', "_");
        if let Ok(safe) = safe.parse() {
            *value = safe;
            value.set_sensitive(true);
        }
    }
    request
}

/// 304: it is so already.
fn unchanged(error: EngineError) -> Result<(), EngineError> {
    match error {
        EngineError::Refused { status: 304, .. } => Ok(()),
        other => Err(other),
    }
}

fn to_bollard(credentials: &Credentials) -> DockerCredentials {
    DockerCredentials {
        username: Some(credentials.user.clone()),
        password: Some(credentials.password.expose().to_owned()),
        serveraddress: Some(credentials.registry.clone()),
        ..Default::default()
    }
}
