//! What others do on the engine: its events, and the containers that are not ours.
//!
//! Everything this process asks of the engine is noted before it is asked, so that an event of it is known as ours.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use monopod_core::notice::engine::{Deed, Own, Seen};
use monopod_core::plan::container::NAME;
use monopod_core::plan::reconcile::LABEL_SPEC;
use monopod_core::{retry, text};
use tokio::time::Instant;

use super::{ASK, Engine, EngineError, What};
use crate::host::clock;

/// Those that somebody may have to hear of. The engine takes `exec_create` for every command's.
const ACTIONS: [&str; 6] = ["create", "start", "exec_create", "kill", "pause", "destroy"];

/// A stream of events that was there for so long was one.
const LASTED: Duration = Duration::from_secs(1);

/// A container that the agent did not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it was made of.
    pub image: String,
    /// When it was made, in milliseconds since the epoch.
    pub created: u64,
}

impl Engine {
    /// What this process asks of the engine.
    pub fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command of a health check is about to be run.
    pub(super) fn runs(&self, command: &[String]) {
        self.own().runs(command);
    }

    /// Carries out a deed of ours, noted from before its begin to a moment after its end.
    pub(super) async fn ours<T>(
        &self,
        deed: Deed,
        id: &str,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let number = self.own().begins(deed, id, clock::now_millis());
        let answer = call.await;
        let late = answer.as_ref().is_err_and(EngineError::is_outage);
        self.own().ends(number, late, clock::now_millis());
        answer
    }

    /// Events from this moment on, in nanoseconds since the epoch; the engine remembers its last 256. The stream ends
    /// with the engine, or with an error.
    pub fn events(
        &self,
        since: u64,
    ) -> Result<impl Stream<Item = Result<Seen, EngineError>> + use<'_>, EngineError> {
        let filters = HashMap::from([("type", vec!["container"]), ("event", ACTIONS.to_vec())]);
        let since = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
        let options = EventsOptionsBuilder::default()
            .since(&since)
            .filters(&filters)
            .build();
        let events = self.docker(&What::List)?.events(Some(options));
        Ok(events.map(|event| match event {
            Ok(event) => Ok(seen(event)),
            Err(source) => Err(EngineError::from_call(What::List, &self.host, source)),
        }))
    }

    /// Returns when the engine has gone away, or was away already: its stream of events ends with it.
    pub async fn gone(&self) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            match self.stream_ends().await {
                Ok(()) if began.elapsed() >= LASTED => return,
                Err(error) if error.is_outage() => return,
                // A stream that ends as soon as it begins is no engine that went.
                Ok(()) | Err(_) => {}
            }
            failures += 1;
            tokio::time::sleep(retry::LOCAL.delay(failures, clock::chance())).await;
        }
    }

    async fn stream_ends(&self) -> Result<(), EngineError> {
        // Hardly any event is of this type, and none is wanted.
        let filters = HashMap::from([("type", vec!["daemon"])]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let mut events = std::pin::pin!(self.docker(&What::List)?.events(Some(options)));
        while let Some(event) = events.next().await {
            event.map_err(|source| EngineError::from_call(What::List, &self.host, source))?;
        }
        Ok(())
    }

    /// Every container that is not ours.
    pub async fn foreign(&self) -> Result<Vec<Foreign>, EngineError> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let all = self
            .within(ASK, What::List, |docker| docker.list_containers(Some(options)))
            .await?;
        let foreign = all.into_iter().filter_map(|one| {
            let names = one.names.unwrap_or_default();
            let name = names.first()?.trim_start_matches('/').to_owned();
            let ours = name == NAME && one.labels.is_some_and(|labels| labels.contains_key(LABEL_SPEC));
            (!ours).then(|| Foreign {
                id: one.id.unwrap_or_default(),
                name,
                image: one.image.unwrap_or_default(),
                created: one
                    .created
                    .and_then(|at| u64::try_from(at).ok())
                    .unwrap_or_default()
                    * 1000,
            })
        });
        Ok(foreign.collect())
    }

    /// The command of the image's own health check, as the engine writes it into events.
    pub async fn health_command(&self, id: &str) -> Result<Option<String>, EngineError> {
        let what = What::Inspect {
            subject: format!("the container {}", text::short_id(id)),
        };
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        let answer = self
            .within(ASK, what, |docker| docker.inspect_container(id, options))
            .await?;
        let config = answer.config.unwrap_or_default();
        let test = config
            .healthcheck
            .and_then(|check| check.test)
            .unwrap_or_default();
        Ok(match test.split_first() {
            Some((kind, rest)) if kind == "CMD" => Some(rest.join(" ")),
            Some((kind, rest)) if kind == "CMD-SHELL" => {
                let shell = config.shell.filter(|shell| !shell.is_empty());
                let shell = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
                Some([shell.as_slice(), rest].concat().join(" "))
            }
            _ => None,
        })
    }
}

fn seen(event: EventMessage) -> Seen {
    let actor = event.actor.unwrap_or_default();
    Seen {
        action: event.action.unwrap_or_default(),
        id: actor.id.unwrap_or_default(),
        nanos: event
            .time_nano
            .and_then(|nanos| u64::try_from(nanos).ok())
            .unwrap_or_default(),
        attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
    }
}
