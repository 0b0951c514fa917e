//! Stopping a container that may take its time.
//!
//! One stop call would last as long as `stop_timeout` lets the application take, and no call may last longer than half
//! of the unit's WatchdogSec. So the call is taken apart: the signal, the wait, and SIGKILL when the time is up.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptionsBuilder;
use monopod_core::notice::engine::Deed;
use monopod_core::plan::reconcile::Phase;

use super::{ACT, Engine, EngineError, What};

/// Through whom a container is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was told to, and did; or it is gone.
    ByUs,
    /// It was down already, and nobody told it anything.
    Before,
}

impl Engine {
    /// Stops it as `docker stop` does: its own stop signal, its own time, then SIGKILL.
    pub async fn ensure_stopped(&self, id: &str) -> Result<Stopped, EngineError> {
        let Some(status) = self.status(id).await? else {
            return Ok(Stopped::ByUs);
        };
        match status.phase {
            Phase::Running | Phase::Paused => {}
            Phase::Created | Phase::Exited | Phase::Dead => return Ok(Stopped::Before),
        }
        let stop = || What::Stop { id: id.to_owned() };
        if !self.kill(id, &status.stop_signal, stop()).await? {
            return Ok(Stopped::Before);
        }
        if self.ended_within(id, status.stop_timeout).await? {
            return Ok(Stopped::ByUs);
        }
        self.kill(id, "SIGKILL", stop()).await?;
        if self.ended_within(id, ACT).await? {
            return Ok(Stopped::ByUs);
        }
        Err(EngineError::Silent {
            what: stop(),
            host: self.host.clone(),
            after: ACT,
        })
    }

    /// Sends it its own stop signal; false where it does not run. Whoever asks waits, and kills it when its time is up.
    pub async fn tell_to_stop(&self, id: &str) -> Result<bool, EngineError> {
        let Some(status) = self.status(id).await? else {
            return Ok(false);
        };
        match status.phase {
            Phase::Running | Phase::Paused => {
                self.kill(id, &status.stop_signal, What::Stop { id: id.to_owned() })
                    .await
            }
            Phase::Created | Phase::Exited | Phase::Dead => Ok(false),
        }
    }

    /// Sends it a signal, as `docker kill` does; one that does not run needs none.
    pub async fn signal(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let what = What::Signal {
            id: id.to_owned(),
            signal: signal.to_owned(),
        };
        self.kill(id, signal, what).await.map(drop)
    }

    /// Whether it was told: a container that has ended meanwhile has nothing left to be told.
    async fn kill(&self, id: &str, signal: &str, what: What) -> Result<bool, EngineError> {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        let call = self.within(ACT, what, |docker| docker.kill_container(id, Some(options)));
        match self.ours(Deed::Kill, id, call).await {
            Err(EngineError::NotFound { .. } | EngineError::Refused { status: 409, .. }) => Ok(false),
            other => other.map(|()| true),
        }
    }

    async fn ended_within(&self, id: &str, patience: Duration) -> Result<bool, EngineError> {
        match tokio::time::timeout(patience, self.ended(id)).await {
            Err(_) => Ok(false),
            Ok(Ok(()) | Err(EngineError::NotFound { .. })) => Ok(true),
            Ok(Err(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    /// An engine that knows one container in this state, and answers a signal with this status.
    async fn answer(mut stream: UnixStream, state: &str, kill: u16) {
        let mut asked = Vec::new();
        let mut part = [0; 4096];
        while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut part).await {
                Ok(length) if length > 0 => asked.extend_from_slice(&part[..length]),
                _ => return,
            }
        }
        let asked = String::from_utf8_lossy(&asked)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        let (status, body) = if asked.contains("/json") {
            let running = state == "running";
            let body = json!({ "Id": "c", "State": { "Status": state, "Running": running, "ExitCode": 0 } });
            (200, body)
        } else if asked.contains("/kill") {
            (kill, json!({ "message": "is not running" }))
        } else {
            (200, json!({ "StatusCode": 143 }))
        };
        let body = if status == 204 {
            String::new()
        } else {
            body.to_string()
        };
        let text = format!(
            "HTTP/1.1 {status} it\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.ok();
    }

    #[tokio::test]
    async fn it_says_whether_it_stopped_anything() {
        for (state, kill, stopped) in [
            ("exited", 204, Stopped::Before),
            ("running", 409, Stopped::Before),
            ("running", 204, Stopped::ByUs),
        ] {
            let path =
                std::env::temp_dir().join(format!("monopod-stop-{}-{state}-{kill}", std::process::id()));
            let listener = UnixListener::bind(&path).unwrap();
            let engine = Engine::new(Some(&format!("unix://{}", path.display()))).unwrap();
            let serve = async {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    answer(stream, state, kill).await;
                }
            };
            tokio::select! {
                said = engine.ensure_stopped("c") => assert_eq!(said.unwrap(), stopped, "{state} {kill}"),
                () = serve => {}
            }
            std::fs::remove_file(&path).unwrap();
        }
    }
}
